//! Complete output of each command, compared with a file in `integration/snapshots/`. `UPDATE_SNAPSHOTS=1` rewrites the
//! files. Review them before committing.

use std::path::Path;

use serde_json::json;

use crate::support::Sandbox;
use crate::support::images::{push_attested_index, push_image, push_image_with};

/// Runs commands, and collects every difference from the snapshots.
struct SnapshotRunner {
    sandbox: Sandbox,
    differences: Vec<String>,
}

impl SnapshotRunner {
    /// Compares exit code, stdout and stderr with a file.
    fn check(&mut self, name: &str, args: &[&str]) {
        let outcome = self.sandbox.run(args);
        let actual = indoc::formatdoc! {"
            $ manifest-tool {args}
            {stdout}--- stderr
            {stderr}--- exit {exit}
            ",
            args = args.join(" "),
            stdout = outcome.stdout,
            stderr = outcome.stderr,
            exit = outcome.exit,
        };
        let folder = self.sandbox.folder().display().to_string();
        let actual = actual.replace(&self.sandbox.registry.host, "HOST").replace(&folder, "WORK");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/snapshots").join(name);
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            std::fs::write(&path, &actual).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        if actual != expected {
            self.differences.push(format!("{name}:\n{actual}\ninstead of\n{expected}"));
        }
    }
}

#[test]
fn the_output_of_every_command_matches_its_snapshot() {
    let sandbox = Sandbox::new();
    let registry = &sandbox.registry;
    push_image(registry, "app", "amd64", "amd64");
    push_attested_index(registry, "parts", "arm64", "arm64");
    let config = json!({"os": "linux", "architecture": "arm", "variant": "v7"}).to_string();
    push_image_with(registry, "parts", "arm", config.as_bytes(), b"layer of arm");
    let spec = indoc::indoc! {r#"
        image: HOST/app:v1
        tags: [latest]
        type: auto
        annotations: {title: "${TITLE}"}
        manifests:
        - image: HOST/app:amd64
          annotations: {tested: 'yes'}
        - image: HOST/parts:arm64
        - image: HOST/parts:missing
          platform: {os: linux, architecture: s390x}
    "#};
    sandbox.write("app.yaml", spec);
    let invalid_spec = indoc::indoc! {"
        image: HOST/app:v1
        tag: [latest]
        manifests: [{image: HOST/App:v1, platform: {os: linux}}]
    "};
    sandbox.write("bad.yaml", invalid_spec);
    let mut runner = SnapshotRunner { sandbox, differences: Vec::new() };
    let push = ["push", "from-spec", "--ignore-missing", "--set", "TITLE=an app", "app.yaml"];
    runner.check("push-dry-run.txt", &[&push[..], &["--dry-run", "--exit-code"]].concat());
    runner.check("push-dry-run.json", &[&push[..], &["--dry-run", "--output", "json"]].concat());
    runner.check("push.json", &[&push[..], &["--output", "json"]].concat());
    runner.check("push-again.json", &[&push[..], &["--output", "json"]].concat());
    runner.check("push.txt", &push);
    let append = ["push", "from-args", "--platforms", "linux/arm/v7", "--template", "HOST/parts:ARCH", "--target"];
    let append =
        [&append[..], &["HOST/app:v1", "--append", "--annotation-platform", "linux/arm/v7:tested=no"]].concat();
    runner.check("append-dry-run.txt", &[&append[..], &["--dry-run"]].concat());
    runner.check("append.json", &[&append[..], &["--settle", "1ms", "--output", "json"]].concat());
    let remove = ["remove", "HOST/app:v1", "--platform", "linux/arm64"];
    runner.check("remove-dry-run.txt", &[&remove[..], &["--dry-run"]].concat());
    runner.check("remove.json", &[&remove[..], &["--settle", "1ms", "--output", "json"]].concat());
    runner.check("remove-nothing.json", &[&remove[..], &["--output", "json"]].concat());
    runner.check("inspect-index.json", &["inspect", "HOST/app:latest", "--output", "json"]);
    runner.check("inspect-image.json", &["inspect", "HOST/parts:arm", "--output", "json"]);
    runner.check("inspect-layers.txt", &["inspect", "--layers", "--annotations", "HOST/app:latest"]);
    runner.check("inspect-platform.txt", &["inspect", "--platform", "linux/arm/v7", "--layers", "HOST/app:v1"]);
    runner.check("inspect-platform-missing.txt", &["inspect", "--platform", "linux/s390x", "HOST/app:v1"]);
    runner.check("inspect-manifest.txt", &["inspect", "--manifest", "HOST/parts:arm"]);
    runner.check("inspect-missing.json", &["inspect", "HOST/app:none", "--output", "json"]);
    let copy = ["copy", "HOST/app:v1", "HOST/copied:v1", "--tags", "latest"];
    runner.check("copy-dry-run.txt", &[&copy[..], &["--dry-run"]].concat());
    runner.check("copy.json", &[&copy[..], &["--output", "json"]].concat());
    let platforms = ["copy", "HOST/app:v1", "HOST/copied:some", "--platform", "linux/amd64,linux/arm/v7"];
    runner.check("copy-platforms-dry-run.txt", &[&platforms[..], &["--dry-run"]].concat());
    runner.check("copy-platforms.json", &[&platforms[..], &["--output", "json"]].concat());
    runner.check("query.txt", &["query", "HOST/app:v1", "HOST/parts:arm"]);
    runner.check("query.json", &["query", "HOST/app:v1", "--output", "json"]);
    // Registries list several tags in any order, so this repository has one.
    runner.sandbox.run(&["copy", "HOST/app:v1", "HOST/one:v1"]).success();
    runner.check("tags.json", &["tags", "HOST/one", "--platforms", "--output", "json"]);
    runner.sandbox.write("sync.yaml", "HOST:\n  images: {one: [v1]}\n");
    let sync = ["sync", "sync.yaml", "HOST/mirror"];
    runner.check("sync-dry-run.txt", &[&sync[..], &["--dry-run"]].concat());
    runner.check("sync.txt", &sync);
    runner.check("sync.json", &[&sync[..], &["--output", "json"]].concat());
    runner.check("digest.json", &["digest", "HOST/app:v1", "--output", "json"]);
    let platform = ["digest", "HOST/app:v1", "HOST/app:amd64", "--platform", "linux/amd64"];
    runner.check("digest-platform.txt", &platform);
    runner.check("digest-platform.json", &[&platform[..], &["--output", "json"]].concat());
    runner.check("verify.txt", &["verify", "HOST/one:v1"]);
    runner.check("verify.json", &["verify", "--layers", "HOST/one:v1", "HOST/app:amd64", "--output", "json"]);
    let required = ["--platforms", "linux/arm/v7,linux/s390x", "--referrer", "application/spdx+json"];
    runner.check("verify-required.txt", &[&["verify", "HOST/one:v1"], &required[..]].concat());
    runner.check("verify-required.json", &[&["verify", "HOST/one:v1", "--output", "json"], &required[..]].concat());
    runner.sandbox.run(&["copy", "HOST/app:v1", "HOST/app:other"]).success();
    runner.check("delete-dry-run.txt", &["delete", "--dry-run", "HOST/app:v1"]);
    runner.check("delete-dry-run.json", &["delete", "--dry-run", "HOST/app:v1", "--output", "json"]);
    runner.check("delete.txt", &["delete", "HOST/app:v1"]);
    runner.check("delete.json", &["delete", "HOST/app:v1", "--output", "json"]);
    runner.check("delete-yes.json", &["delete", "--yes", "HOST/app:v1", "--output", "json"]);
    // No other tag and no index use this manifest.
    runner.check("delete-only-tag.txt", &["delete", "HOST/one:v1"]);
    for tag in ["v1.9", "v1.10", "v1.2"] {
        push_image(&runner.sandbox.registry, "old", tag, "amd64");
    }
    runner.check("verify-tags.txt", &["verify", "--tags", "v*", "HOST/old"]);
    runner.check("delete-tags-dry-run.txt", &["delete", "--tags", "v*", "--keep", "1", "--dry-run", "HOST/old"]);
    runner.check("delete-tags.json", &["delete", "--tags", "v*", "--keep", "2", "HOST/old", "--output", "json"]);
    runner.check("delete-tags.txt", &["delete", "--tags", "v*", "--keep", "1", "HOST/old"]);
    runner.check("lint.txt", &["lint", "--set", "TITLE=an app", "app.yaml"]);
    runner.check("lint.json", &["lint", "--set", "TITLE=an app", "app.yaml", "--output", "json"]);
    runner.check("lint-bad.txt", &["lint", "bad.yaml"]);
    runner.check("lint-bad.json", &["lint", "bad.yaml", "--output", "json"]);
    runner.check("schema.json", &["schema"]);
    let login = ["login", "HOST", "-u", "me", "--password-stdin", "--output", "json"];
    let login = runner.sandbox.run_with_stdin(&login, "secret-word").success();
    assert!(!login.stdout.contains("secret-word"), "{login:?}");
    runner.check("logout.json", &["logout", "HOST", "--output", "json"]);
    assert!(runner.differences.is_empty(), "{}", runner.differences.join("\n\n"));
}
