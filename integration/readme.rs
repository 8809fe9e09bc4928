//! Every command that the README shows after a `$`, and every example in the help of a command, is run with a real
//! registry in the place of its names.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::sign_in::registry_with_htpasswd;
use crate::support::images::{push_image, push_image_with};
use crate::support::registry::sha256;
use crate::support::{Outcome, Registry, other_command, run};

/// The commands of all blocks, each with what it is shown to print.
fn commands(readme: &str) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = Vec::new();
    for block in readme.split("```").skip(1).step_by(2).filter(|block| block.starts_with("\n$ ")) {
        for text in format!("\n{}", block.trim_matches('\n')).split("\n$ ").skip(1) {
            let mut lines = text.split('\n');
            let mut command: Vec<&str> = Vec::new();
            while command.last().is_none_or(|last| last.ends_with('\\')) {
                command.push(lines.next().unwrap());
            }
            commands.push((command.join("\n"), lines.map(|line| format!("{line}\n")).collect()));
        }
    }
    commands
}

const SPEC: &str = "image: HOST/app:v1\ntags: [latest]\ntype: oci\nmanifests:\n- image: HOST/app:v1-amd64\n\
                    - image: HOST/app:v1-arm64\n- image: HOST/app:v1-s390x\n";

fn push_arm_v7(registry: &Registry, repository: &str, tag: &str) {
    let rootfs = json!({"type": "layers", "diff_ids": [sha256(b"layer of armv7")]});
    let config = json!({"os": "linux", "architecture": "arm", "variant": "v7", "rootfs": rootfs}).to_string();
    push_image_with(registry, repository, tag, config.as_bytes(), b"layer of armv7");
}

const MISTAKEN: &str = "image: HOST/app:v1\nmanifests:\n  - image: HOST/app:v1-amd64\n    platfrom: {os: linux}\n";

/// What the README takes for granted: images of several builds, specs, archives.
fn prepare(registry: &Registry, work: &Path) {
    for architecture in ["amd64", "arm64", "riscv64", "s390x"] {
        push_image(registry, "app", &format!("v1-{architecture}"), architecture);
    }
    push_arm_v7(registry, "app", "v1-armv7");
    let spec = |text: &str| text.replace("HOST", &registry.host);
    std::fs::write(work.join("app.yaml"), spec(SPEC)).unwrap();
    std::fs::create_dir_all(work.join("specs")).unwrap();
    std::fs::write(work.join("specs/app.yaml"), spec(SPEC)).unwrap();
    std::fs::write(
        work.join("more.yaml"),
        spec(SPEC).replace("app:v1\n", "tools:v1\n").replace("type: oci", "type: docker"),
    )
    .unwrap();
    std::fs::create_dir_all(work.join("build")).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for architecture in ["amd64", "arm64"] {
        let (layout, archive) = (root.join("examples/layouts").join(architecture), format!("build/{architecture}.tar"));
        let packed = Command::new("tar").args(["-cf", &archive, "-C"]).arg(layout).arg(".").current_dir(work).status();
        assert!(packed.unwrap().success());
    }
    std::os::unix::fs::symlink(root.join("integration"), work.join("integration")).unwrap();
}

/// What stands in the place of the names.
struct Place {
    registry: Registry,
    staging: Registry,
    guarded: Registry,
    work: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let (registry, staging, work) = (Registry::start(), Registry::start(), tempfile::tempdir().unwrap());
        prepare(&registry, work.path());
        let guarded = registry_with_htpasswd(&work);
        Self { registry, staging, guarded, work }
    }

    fn run(&self, command: &str) -> Outcome {
        // User and password are for a registry that asks for them.
        let signs_in = command.contains("login") || command.contains("logout");
        let host = if signs_in { &self.guarded.host } else { &self.registry.host };
        let script = command.replace("registry.example", host).replace("staging.example", &self.staging.host);
        let script = script.replace("--username me", "--username user");
        let mut shell = other_command("bash".as_ref(), self.work.path(), &["-o", "pipefail", "-c", &script]);
        let binaries = Path::new(env!("CARGO_BIN_EXE_manifest-tool")).parent().unwrap();
        shell.env("PATH", format!("{}:{}", binaries.display(), std::env::var("PATH").unwrap()));
        shell.env("PASSWORD", "secret-word");
        run(shell, "")
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.work.path().join(name), text.replace("HOST", &self.registry.host)).unwrap();
    }
}

#[test]
fn every_command_is_run() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let commands = commands(&std::fs::read_to_string(root.join("README.md")).unwrap());
    assert!(commands.len() > 20, "{commands:?}");
    for subcommand in manifest_tool::cli::command().get_subcommands() {
        let name = format!("manifest-tool {}", subcommand.get_name());
        assert!(commands.iter().any(|(command, _)| command.contains(&name)), "the README has no example of {name}");
    }
    let place = Place::new();
    for architecture in ["amd64", "arm64"] {
        push_image(&place.staging, "app", &format!("v1-{architecture}"), architecture);
    }
    let pushed = place.run(
        "manifest-tool push from-args --platforms linux/amd64,linux/arm64 --template staging.example/app:v1-ARCH \\
         --target staging.example/app:v1",
    );
    assert_eq!(pushed.exit, 0, "{pushed:?}");
    for (command, shown) in commands {
        let is_mistaken = shown.contains("platfrom");
        if is_mistaken {
            place.write("app.yaml", MISTAKEN);
        }
        let outcome = place.run(&command);
        // What is shown there as unsound is not so here.
        let fails = shown.starts_with("error: ");
        assert_eq!(outcome.exit != 0, fails, "$ {command}\n{outcome:?}");
        // What is cut short there is of another registry.
        if !shown.is_empty() && !shown.contains("...") {
            let printed = (outcome.stdout + &outcome.stderr).replace(&place.registry.host, "registry.example");
            assert_eq!(printed, shown, "$ {command}");
        }
        if is_mistaken {
            place.write("app.yaml", SPEC);
        }
    }
}

/// The commands below `Example:` in a command's help, and in that of those below it.
fn examples(command: &clap::Command) -> Vec<String> {
    let help = command.get_after_help().unwrap().to_string();
    let mut examples: Vec<String> = Vec::new();
    for line in help.split("Example:\n").nth(1).unwrap().lines().map_while(|line| line.strip_prefix("  ")) {
        match examples.last_mut().filter(|last| last.ends_with('\\')) {
            Some(last) => *last += &format!("\n{line}"),
            None => examples.push(line.to_owned()),
        }
    }
    assert!(!examples.is_empty(), "{help}");
    examples.into_iter().chain(command.get_subcommands().flat_map(self::examples)).collect()
}

#[test]
fn every_example_in_the_help_is_run() {
    let place = Place::new();
    push_image(&place.registry, "app", "pr-17", "ppc64le");
    push_image(&place.registry, "app", "v1-armv6", "arm");
    for architecture in ["amd64", "arm64"] {
        push_image(&place.registry, "trial", architecture, architecture);
        push_image(&place.registry, &format!("app-{architecture}"), "v1", architecture);
        push_image(&place.staging, "app", &format!("v1.{architecture}"), architecture);
    }
    push_arm_v7(&place.registry, "app-armv7", "v1");
    place.write("manifest.json", "{}");
    place.write("token.txt", "secret-word\n");
    place.write("specs/app.yaml", &SPEC.replace("app:v1\n", "other:v1\n"));
    let layout = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/layouts/amd64");
    let copied = place.run(&format!("manifest-tool copy oci:{} oci-archive:app.tar", layout.display()));
    assert_eq!(copied.exit, 0, "{copied:?}");

    let examples = examples(&manifest_tool::cli::command());
    assert!(examples.len() > 25, "{examples:?}");
    for example in examples {
        // What the first of them takes for granted, whatever the one before it has done.
        let before = "manifest-tool push --append --settle 1ms from-args --platforms linux/amd64,linux/arm64,linux/s390x,linux/arm/v6 \\
             --template HOST/app:v1-ARCHVARIANT --target HOST/app:v1 && manifest-tool copy HOST/app:v1 staging.example/app:v1";
        let prepared = place.run(&before.replace("HOST", &place.registry.host));
        assert_eq!(prepared.exit, 0, "{prepared:?}");
        let example =
            example.replace("--username ci", "--username user").replace("/etc/", "./").replace("/usr/local/", "./");
        if let Some((_, file)) = example.split_once(" >") {
            std::fs::create_dir_all(place.work.path().join(file).parent().unwrap()).unwrap();
        }
        let outcome = place.run(&example);
        if example.starts_with("manifest-tool delete ") && !example.contains("--yes") {
            // This registry deletes no tag alone.
            assert!(outcome.exit == 1 && outcome.stderr.contains("hint: --yes"), "{example}\n{outcome:?}");
        } else {
            assert_eq!(outcome.exit, 0, "{example}\n{outcome:?}");
        }
    }
}
