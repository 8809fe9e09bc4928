//! Runs every command that the README shows after a `$`, and every example in the help of a command. The example host
//! names are replaced with real registries.

use std::path::Path;
use std::process::Command;

use indoc::indoc;
use serde_json::json;

use crate::support::images::{push_image, push_image_with, push_index, push_referrer};
use crate::support::registry::sha256;
use crate::support::{Outcome, Registry, Workspace, external_command, run};

/// Returns the commands of all code blocks, each with the output that the README shows for it.
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

const SPEC: &str = indoc! {"
    image: HOST/app:v1
    tags: [latest]
    type: oci
    manifests:
    - image: HOST/app:v1-amd64
    - image: HOST/app:v1-arm64
    - image: HOST/app:v1-s390x
"};

/// A spec with a misspelled key, for the error that the README shows.
const MISSPELLED: &str = indoc! {"
    image: HOST/app:v1
    manifests:
      - image: HOST/app:v1-amd64
        platfrom: {os: linux}
"};

fn push_arm_v7(registry: &Registry, repository: &str, tag: &str) {
    let rootfs = json!({"type": "layers", "diff_ids": [sha256(b"layer of armv7")]});
    let config = json!({"os": "linux", "architecture": "arm", "variant": "v7", "rootfs": rootfs}).to_string();
    push_image_with(registry, repository, tag, config.as_bytes(), b"layer of armv7");
}

/// Creates the images, specs and archives that the README's commands use.
fn prepare(registry: &Registry, workspace: &Workspace) {
    for architecture in ["amd64", "arm64", "riscv64", "s390x"] {
        push_image(registry, "app", &format!("v1-{architecture}"), architecture);
    }
    push_arm_v7(registry, "app", "v1-armv7");
    workspace.write("app.yaml", SPEC);
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/data/signatures");
    for (name, file) in [("cosign.key", "p256.key"), ("cosign.pub", "p256.pub")] {
        std::fs::copy(keys.join(file), workspace.path(name)).unwrap();
    }
    workspace.write("specs/app.yaml", SPEC);
    workspace.write("sync.yaml", "HOST:\n  images: {app: [v1-amd64, v1-arm64]}\n");
    workspace.write("more.yaml", &SPEC.replace("app:v1\n", "tools:v1\n").replace("type: oci", "type: docker"));
    let digest = registry.manifest("app", "v1-amd64").unwrap().digest;
    workspace.write(&format!("digests/{}", digest.trim_start_matches("sha256:")), "");
    std::fs::create_dir_all(workspace.path("build")).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for architecture in ["amd64", "arm64"] {
        let (layout, archive) = (root.join("examples/layouts").join(architecture), format!("build/{architecture}.tar"));
        let mut tar = Command::new("tar");
        tar.args(["-cf", &archive, "-C"]).arg(layout).arg(".").current_dir(workspace.folder());
        assert!(tar.status().unwrap().success());
    }
    std::os::unix::fs::symlink(root.join("integration"), workspace.path("integration")).unwrap();
}

/// The registries that replace the example host names, and the folder in which commands run.
struct ExampleFixture {
    registry: Registry,
    staging: Registry,
    /// A registry that requires credentials.
    protected: Registry,
    workspace: Workspace,
}

impl ExampleFixture {
    fn new() -> Self {
        let (registry, staging) = (Registry::start(), Registry::start());
        let workspace = Workspace::new().placeholder("HOST", &registry.host);
        prepare(&registry, &workspace);
        Self { registry, staging, protected: Registry::with_htpasswd(), workspace }
    }

    fn run(&self, command: &str) -> Outcome {
        let signs_in = command.contains("login") || command.contains("logout");
        let host = if signs_in { &self.protected.host } else { &self.registry.host };
        let script = command.replace("registry.example", host).replace("staging.example", &self.staging.host);
        let script = script.replace("--username me", "--username user");
        let mut shell = external_command("bash".as_ref(), self.workspace.folder(), &["-o", "pipefail", "-c", &script]);
        let binaries = Path::new(env!("CARGO_BIN_EXE_manifest-tool")).parent().unwrap();
        shell.env("PATH", format!("{}:{}", binaries.display(), std::env::var("PATH").unwrap()));
        shell.env("PASSWORD", "secret-word");
        run(shell, "")
    }
}

#[test]
fn every_command_of_the_readme_prints_what_it_shows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let commands = commands(&std::fs::read_to_string(root.join("README.md")).unwrap());
    assert!(commands.len() > 20, "{commands:?}");
    for subcommand in manifest_tool::cli::command().get_subcommands() {
        let name = format!("manifest-tool {}", subcommand.get_name());
        assert!(commands.iter().any(|(command, _)| command.contains(&name)), "the README has no example of {name}");
    }
    let fixture = ExampleFixture::new();
    for architecture in ["amd64", "arm64"] {
        push_image(&fixture.staging, "app", &format!("v1-{architecture}"), architecture);
    }
    let pushed = fixture.run(
        "manifest-tool push from-args --platforms linux/amd64,linux/arm64 --template staging.example/app:v1-ARCH \\
         --target staging.example/app:v1",
    );
    pushed.success();
    for architecture in ["amd64", "arm64"] {
        let (source, target) =
            (format!("registry.example/app:v1-{architecture}"), format!("docker-archive:{architecture}.tar"));
        fixture.run(&format!("manifest-tool copy {source} {target}")).success();
    }
    for (command, expected) in commands {
        let is_misspelled = expected.contains("platfrom");
        if is_misspelled {
            fixture.workspace.write("app.yaml", MISSPELLED);
        }
        let outcome = fixture.run(&command);
        // Images that `verify` calls unsound in the README are sound here, so only errors fail.
        let fails = expected.starts_with("error: ");
        assert_eq!(outcome.exit != 0, fails, "$ {command}\n{outcome:?}");
        // Abridged output was taken from another registry.
        if !expected.is_empty() && !expected.contains("...") {
            let printed = (outcome.stdout + &outcome.stderr).replace(&fixture.registry.host, "registry.example");
            assert_eq!(printed, expected, "$ {command}");
        }
        if is_misspelled {
            fixture.workspace.write("app.yaml", SPEC);
        }
    }
}

/// Returns the commands below `Example:` in the help of a command and its subcommands.
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

/// Restores the index that the examples in the help use.
const RESTORE: &str = indoc! {r"
    manifest-tool push --append --settle 1ms from-args --template HOST/app:v1-ARCHVARIANT --target HOST/app:v1 \
        --platforms linux/amd64,linux/arm64,linux/s390x,linux/arm/v6 &&
    manifest-tool copy HOST/app:v1 staging.example/app:v1
"};

#[test]
fn every_example_in_the_help_succeeds() {
    let fixture = ExampleFixture::new();
    push_image(&fixture.registry, "app", "pr-17", "ppc64le");
    push_image(&fixture.registry, "app", "v1-armv6", "arm");
    for architecture in ["amd64", "arm64"] {
        push_image(&fixture.registry, "trial", architecture, architecture);
        push_image(&fixture.registry, &format!("app-{architecture}"), "v1", architecture);
        push_image(&fixture.staging, "app", &format!("v1.{architecture}"), architecture);
    }
    push_arm_v7(&fixture.registry, "app-armv7", "v1");
    let entries = ["amd64", "arm64"].map(|architecture| {
        let mut entry = push_image(&fixture.registry, "app", &format!("v2-{architecture}"), architecture);
        push_referrer(&fixture.registry, "app", &entry, "application/spdx+json");
        entry["platform"] = json!({"os": "linux", "architecture": architecture});
        entry
    });
    push_index(&fixture.registry, "app", "v2", &entries);
    fixture.run("manifest-tool sign --key cosign.key --recursive registry.example/app:v2").success();
    fixture.workspace.write("manifest.json", "{}");
    fixture.workspace.write("token.txt", "secret-word\n");
    fixture.workspace.write("specs/app.yaml", &SPEC.replace("app:v1\n", "other:v1\n"));
    let layout = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/layouts/amd64");
    let copied = fixture.run(&format!("manifest-tool copy oci:{} oci-archive:app.tar", layout.display()));
    copied.success();

    let examples = examples(&manifest_tool::cli::command());
    assert!(examples.len() > 25, "{examples:?}");
    for example in examples {
        // The previous example may have changed the index.
        fixture.run(&fixture.workspace.fill(RESTORE)).success();
        let example =
            example.replace("--username ci", "--username user").replace("/etc/", "./").replace("/usr/local/", "./");
        if let Some((_, file)) = example.split_once(" >") {
            std::fs::create_dir_all(fixture.workspace.path(file).parent().unwrap()).unwrap();
        }
        let outcome = fixture.run(&example);
        assert_eq!(outcome.exit, 0, "{example}\n{outcome:?}");
    }
}
