//! Every command that the README shows after a `$` is run, in its order, with a real registry in the place of its names.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::sign_in::registry_with_htpasswd;
use crate::support::images::{push_image, push_image_with};
use crate::support::registry::sha256;
use crate::support::{Registry, other_command, run};

/// The commands of all blocks, each with the first line of what it is shown to print.
fn commands(readme: &str) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = Vec::new();
    let (mut in_block, mut continues) = (false, false);
    for line in readme.lines() {
        if line.starts_with("```") {
            in_block = !in_block;
            continues = false;
            continue;
        }
        match commands.last_mut() {
            _ if !in_block => {}
            Some((command, _)) if continues => {
                command.push('\n');
                command.push_str(line);
                continues = line.ends_with('\\');
            }
            last => match (line.strip_prefix("$ "), last) {
                (Some(command), _) => {
                    continues = command.ends_with('\\');
                    commands.push((command.to_owned(), String::new()));
                }
                (None, Some((_, shown))) if shown.is_empty() => line.clone_into(shown),
                _ => {}
            },
        }
    }
    commands
}

const SPEC: &str = "image: HOST/app:v1\ntags: [latest]\ntype: oci\nmanifests:\n- image: HOST/app:v1-amd64\n\
                    - image: HOST/app:v1-arm64\n- image: HOST/app:v1-s390x\n";

/// What the README takes for granted: images of several builds, specs, archives.
fn prepare(registry: &Registry, work: &Path) {
    for architecture in ["amd64", "arm64", "riscv64", "s390x"] {
        push_image(registry, "app", &format!("v1-{architecture}"), architecture);
    }
    let rootfs = json!({"type": "layers", "diff_ids": [sha256(b"layer of armv7")]});
    let config = json!({"os": "linux", "architecture": "arm", "variant": "v7", "rootfs": rootfs}).to_string();
    push_image_with(registry, "app", "v1-armv7", config.as_bytes(), b"layer of armv7");
    let spec = |text: &str| text.replace("HOST", &registry.host);
    std::fs::write(work.join("app.yaml"), spec(SPEC)).unwrap();
    std::fs::create_dir_all(work.join("specs")).unwrap();
    std::fs::write(work.join("specs/app.yaml"), spec(SPEC)).unwrap();
    std::fs::write(work.join("more.yaml"), spec(SPEC).replace("app:v1\n", "tools:v1\n")).unwrap();
    std::fs::create_dir_all(work.join("build")).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for architecture in ["amd64", "arm64"] {
        let (layout, archive) = (root.join("examples/layouts").join(architecture), format!("build/{architecture}.tar"));
        let packed = Command::new("tar").args(["-cf", &archive, "-C"]).arg(layout).arg(".").current_dir(work).status();
        assert!(packed.unwrap().success());
    }
    std::os::unix::fs::symlink(root.join("integration"), work.join("integration")).unwrap();
}

#[test]
fn every_command_is_run() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let commands = commands(&std::fs::read_to_string(root.join("README.md")).unwrap());
    assert!(commands.len() > 20, "{commands:?}");
    let (registry, work) = (Registry::start(), tempfile::tempdir().unwrap());
    prepare(&registry, work.path());
    let guarded = registry_with_htpasswd(&work);
    let binaries = Path::new(env!("CARGO_BIN_EXE_manifest-tool")).parent().unwrap();
    for (command, shown) in commands {
        // User and password are for a registry that asks for them.
        let host = if command.contains("login") || command.contains("logout") { &guarded.host } else { &registry.host };
        let script = command.replace("registry.example", host).replace("staging.example", host);
        let script = script.replace("--username me", "--username user");
        let is_lint = command.starts_with("manifest-tool lint");
        if is_lint {
            let wrong = SPEC.replace("manifests", "tag: x\nmanifests").replace("HOST", host);
            std::fs::write(work.path().join("app.yaml"), wrong).unwrap();
        }
        let mut shell = other_command("bash".as_ref(), work.path(), &["-o", "pipefail", "-c", &script]);
        shell.env("PATH", format!("{}:{}", binaries.display(), std::env::var("PATH").unwrap()));
        shell.env("PASSWORD", "secret-word");
        let outcome = run(shell, "");
        // What is shown there as unsound is not so here.
        let fails = shown.starts_with("error: ");
        assert_eq!(outcome.exit != 0, fails, "$ {command}\n{outcome:?}");
        if is_lint {
            std::fs::write(work.path().join("app.yaml"), SPEC.replace("HOST", host)).unwrap();
        }
    }
}
