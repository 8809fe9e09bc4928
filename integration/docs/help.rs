//! The examples in the help of commands succeed.

use std::path::Path;

use indoc::indoc;
use serde_json::json;

use super::fixture::{PageFixture, SPEC, push_arm_v7};
use crate::support::images::{push_image, push_index, push_referrer};

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
    let fixture = PageFixture::new();
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
