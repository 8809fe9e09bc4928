//! What commands print, whole: `integration/snapshots/` holds a file for each. With `UPDATE_SNAPSHOTS=1` they are written
//! anew, to be read before they are committed.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::support::images::{push_attested, push_image, push_image_with};
use crate::support::{Registry, manifest_tool, manifest_tool_with_stdin};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/snapshots")
}

struct Scene {
    registry: Registry,
    work: tempfile::TempDir,
    differences: Vec<String>,
}

impl Scene {
    fn run(&self, args: &[&str]) -> crate::support::Outcome {
        let args: Vec<String> = args.iter().map(|arg| arg.replace("HOST", &self.registry.host)).collect();
        let args: Vec<&str> = std::iter::once("--plain-http").chain(args.iter().map(String::as_str)).collect();
        manifest_tool(self.work.path(), &args)
    }

    /// Compares exit code, stdout and stderr with a file.
    fn check(&mut self, name: &str, args: &[&str]) {
        let outcome = self.run(args);
        let shown = format!(
            "$ manifest-tool {}\n{}--- stderr\n{}--- exit {}\n",
            args.join(" "),
            outcome.stdout,
            outcome.stderr,
            outcome.exit
        );
        let shown = shown.replace(&self.registry.host, "HOST").replace(&self.work.path().display().to_string(), "WORK");
        let path = folder().join(name);
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            std::fs::write(&path, &shown).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        if shown != expected {
            self.differences.push(format!("{name}:\n{shown}\nand not\n{expected}"));
        }
    }
}

#[test]
fn what_commands_print() {
    let (registry, work) = (Registry::start(), tempfile::tempdir().unwrap());
    push_image(&registry, "app", "amd64", "amd64");
    push_attested(&registry, "parts", "arm64", "arm64");
    let config = json!({"os": "linux", "architecture": "arm", "variant": "v7"}).to_string();
    push_image_with(&registry, "parts", "arm", config.as_bytes(), b"layer of arm");
    let spec = "image: HOST/app:v1\ntags: [latest]\ntype: auto\nannotations: {title: \"${TITLE}\"}\nmanifests:\n\
                - image: HOST/app:amd64\n  annotations: {tested: 'yes'}\n- image: HOST/parts:arm64\n\
                - image: HOST/parts:missing\n  platform: {os: linux, architecture: s390x}\n";
    let bad = "image: HOST/app:v1\ntag: [latest]\nmanifests: [{image: HOST/App:v1, platform: {os: linux}}]\n";
    for (name, text) in [("app.yaml", spec), ("bad.yaml", bad)] {
        std::fs::write(work.path().join(name), text.replace("HOST", &registry.host)).unwrap();
    }
    let mut scene = Scene { registry, work, differences: Vec::new() };
    let push = ["push", "from-spec", "--ignore-missing", "--set", "TITLE=an app", "app.yaml"];
    scene.check("push-dry-run.txt", &[&push[..], &["--dry-run", "--exit-code"]].concat());
    scene.check("push-dry-run.json", &[&push[..], &["--dry-run", "--output", "json"]].concat());
    scene.check("push.json", &[&push[..], &["--output", "json"]].concat());
    scene.check("push-again.json", &[&push[..], &["--output", "json"]].concat());
    scene.check("push.txt", &push);
    let add = ["push", "from-args", "--platforms", "linux/arm/v7", "--template", "HOST/parts:ARCH", "--target"];
    let add = [&add[..], &["HOST/app:v1", "--append", "--annotation-platform", "linux/arm/v7:tested=no"]].concat();
    scene.check("append-dry-run.txt", &[&add[..], &["--dry-run"]].concat());
    scene.check("append.json", &[&add[..], &["--settle", "1ms", "--output", "json"]].concat());
    let remove = ["remove", "HOST/app:v1", "--platform", "linux/arm64"];
    scene.check("remove-dry-run.txt", &[&remove[..], &["--dry-run"]].concat());
    scene.check("remove.json", &[&remove[..], &["--settle", "1ms", "--output", "json"]].concat());
    scene.check("remove-nothing.json", &[&remove[..], &["--output", "json"]].concat());
    scene.check("inspect-index.json", &["inspect", "HOST/app:latest", "--output", "json"]);
    scene.check("inspect-image.json", &["inspect", "HOST/parts:arm", "--output", "json"]);
    scene.check("inspect-layers.txt", &["inspect", "--layers", "--annotations", "HOST/app:latest"]);
    scene.check("inspect-platform.txt", &["inspect", "--platform", "linux/arm/v7", "--layers", "HOST/app:v1"]);
    scene.check("inspect-platform-missing.txt", &["inspect", "--platform", "linux/s390x", "HOST/app:v1"]);
    scene.check("inspect-manifest.txt", &["inspect", "--manifest", "HOST/parts:arm"]);
    scene.check("inspect-missing.json", &["inspect", "HOST/app:none", "--output", "json"]);
    let copy = ["copy", "HOST/app:v1", "HOST/copied:v1", "--tags", "latest"];
    scene.check("copy-dry-run.txt", &[&copy[..], &["--dry-run"]].concat());
    scene.check("copy.json", &[&copy[..], &["--output", "json"]].concat());
    scene.check("query.txt", &["query", "HOST/app:v1", "HOST/parts:arm"]);
    scene.check("query.json", &["query", "HOST/app:v1", "--output", "json"]);
    // One tag: a registry lists several in an order of its own.
    assert_eq!(scene.run(&["copy", "HOST/app:v1", "HOST/one:v1"]).exit, 0);
    scene.check("tags.json", &["tags", "HOST/one", "--platforms", "--output", "json"]);
    scene.check("digest.json", &["digest", "HOST/app:v1", "--output", "json"]);
    scene.check("verify.txt", &["verify", "HOST/one:v1"]);
    scene.check("verify.json", &["verify", "--layers", "HOST/one:v1", "HOST/app:amd64", "--output", "json"]);
    scene.check("delete.txt", &["delete", "HOST/app:v1"]);
    scene.check("delete.json", &["delete", "HOST/app:v1", "--output", "json"]);
    scene.check("delete-yes.json", &["delete", "--yes", "HOST/app:v1", "--output", "json"]);
    scene.check("lint.txt", &["lint", "--set", "TITLE=an app", "app.yaml"]);
    scene.check("lint.json", &["lint", "--set", "TITLE=an app", "app.yaml", "--output", "json"]);
    scene.check("lint-bad.txt", &["lint", "bad.yaml"]);
    scene.check("lint-bad.json", &["lint", "bad.yaml", "--output", "json"]);
    scene.check("schema.json", &["schema"]);
    let login = ["--plain-http", "login", &scene.registry.host, "-u", "me", "--password-stdin", "--output", "json"];
    let login = manifest_tool_with_stdin(scene.work.path(), &login, "secret-word");
    assert!(login.exit == 0 && !login.stdout.contains("secret-word"), "{login:?}");
    scene.check("logout.json", &["logout", "HOST", "--output", "json"]);
    assert!(scene.differences.is_empty(), "{}", scene.differences.join("\n\n"));
}
