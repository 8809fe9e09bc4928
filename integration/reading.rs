//! Reading what is there: `query`, `digest`, `tags`.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::images::{push_attested, push_image, push_image_with, push_index};
use crate::support::registry::sha256;
use crate::support::scripted::Scripted;
use crate::support::{Outcome, Registry, manifest_tool, manifest_tool_with_stdin};

fn run(args: &[&str]) -> Outcome {
    manifest_tool(Path::new("/"), &[&["--plain-http"], args].concat())
}

#[test]
fn query_as_mquery_has_it() {
    let registry = Registry::start();
    let host = &registry.host;
    let attested = push_attested(&registry, "app", "v1", "amd64");
    let whole = format!("{host}/app:v1");
    let outcome = run(&["query", &whole]);
    let expected = format!(
        "Image: {whole} (digest: {})\n * Manifest List: Yes (Image type: application/vnd.oci.image.index.v1+json)\n \
         * Supported platforms:\n   - linux/amd64\n\n",
        attested.index
    );
    assert_eq!((outcome.exit, &*outcome.stdout, &*outcome.stderr), (0, &*expected, ""));

    let config = json!({"os": "windows", "architecture": "amd64", "os.version": "10.0.20348.9"}).to_string();
    let image = push_image_with(&registry, "app", "win", config.as_bytes(), b"layer");
    let one = format!("{host}/app:win");
    let digest = image["digest"].as_str().unwrap();
    let single = format!(
        "Image: {one} (digest: {digest})\n * Manifest List: No (Image type: application/vnd.oci.image.manifest.v1+json)\n \
         * Supports: windows/amd64:10.0.20348.9\n\n"
    );
    let both = run(&["query", &one, &whole]);
    assert_eq!(both.stdout, single.clone() + &expected);

    // An entry that does not say what it is for: its config does.
    push_index(&registry, "app", "silent", &[image]);
    let silent = run(&["query", &format!("{host}/app:silent")]);
    assert!(silent.stdout.contains("   - windows/amd64:10.0.20348.9\n"), "{silent:?}");

    for (platform, images, exit) in [
        ("linux/amd64", &[&whole][..], 0),
        ("windows/amd64", &[&one], 0),
        ("linux/arm64", &[&whole], 3),
        ("linux/amd64", &[&whole, &one], 3),
    ] {
        let images: Vec<&str> = images.iter().map(|image| image.as_str()).collect();
        let outcome = run(&[&["query", "--platform", platform][..], &images].concat());
        assert_eq!((outcome.exit, outcome.stdout.is_empty()), (exit, false), "{platform} {images:?} {outcome:?}");
        assert_eq!(outcome.stderr.contains(&format!("not for {platform}: ")), exit == 3, "{outcome:?}");
    }
    let told: Value = serde_json::from_str(&run(&["query", &whole, "--output", "json"]).stdout).unwrap();
    let platforms = json!([{"architecture": "amd64", "os": "linux"}]);
    assert_eq!((&told["images"][0]["platforms"], &told["images"][0]["index"]), (&platforms, &json!(true)));
}

#[test]
fn one_of_several_that_is_missing() {
    let registry = Registry::start();
    push_image(&registry, "app", "v1", "amd64");
    let [good, bad] = ["app:v1", "app:none"].map(|name| format!("{}/{name}", registry.host));
    for command in ["query", "digest"] {
        let outcome = run(&[command, &bad, &good]);
        assert_eq!(outcome.exit, 1, "{outcome:?}");
        assert!(outcome.stderr.contains("app:none not found (HTTP 404"), "{outcome:?}");
        assert!(outcome.stderr.contains("1 of 2 references cannot be looked at"), "{outcome:?}");
        assert!(outcome.stdout.contains("sha256:"), "{outcome:?}");
        let told: Value = serde_json::from_str(&run(&[command, &bad, &good, "--output", "json"]).stdout).unwrap();
        assert!(told["images"][0]["error"]["message"].is_string() && told["images"][1]["digest"].is_string(), "{told}");
        let outcome = run(&[command, "r.example/app"]);
        assert!(outcome.exit == 1 && outcome.stderr.contains("has no tag or digest"), "{outcome:?}");
        assert_eq!(run(&[command]).exit, 2);
    }
}

#[test]
fn digests_of_references_and_files() {
    let registry = Registry::start();
    push_image(&registry, "app", "v1", "amd64");
    let held = registry.manifest("app", "v1").unwrap();
    let outcome = run(&["digest", &format!("{}/app:v1", registry.host)]);
    assert_eq!((outcome.exit, outcome.stdout), (0, format!("{}\n", held.digest)));
    let requests = registry.requests(0);
    assert_eq!(requests.last().unwrap(), "HEAD /v2/app/manifests/v1");
    // Where a HEAD does not tell, the manifest itself does.
    for status in [200, 403, 405] {
        let front =
            Scripted::before(&registry, move |asked| asked.line.starts_with("HEAD ").then(|| (status, vec![], vec![])));
        let outcome = run(&["digest", &format!("{}/app:v1", front.host)]);
        assert_eq!((outcome.exit, outcome.stdout), (0, format!("{}\n", held.digest)), "{status}");
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("manifest.json"), &held.bytes).unwrap();
    let of_file = manifest_tool(folder.path(), &["digest", "--file", "manifest.json"]);
    assert_eq!(of_file.stdout, format!("{}\n", held.digest));
    let of_stdin = manifest_tool_with_stdin(folder.path(), &["digest", "--file", "-"], "text");
    assert_eq!(of_stdin.stdout, format!("{}\n", sha256(b"text")));
    let none = manifest_tool(folder.path(), &["digest", "--file", "none.json"]);
    assert!(none.exit == 1 && none.stderr.contains("cannot read none.json"), "{none:?}");

    let args = ["--plain-http", "copy", &format!("{}/app:v1", registry.host), "oci:out:v1"];
    assert_eq!(manifest_tool(folder.path(), &args).exit, 0);
    let in_layout = manifest_tool(folder.path(), &["digest", "oci:out:v1"]);
    assert_eq!(in_layout.stdout, format!("{}\n", held.digest));
    let queried = manifest_tool(folder.path(), &["query", "oci:out:v1"]);
    assert!(queried.stdout.contains(" * Supports: linux/amd64\n"), "{queried:?}");
}

#[test]
fn tags_of_a_repository() {
    let registry = Registry::start();
    let host = &registry.host;
    push_image(&registry, "app", "v2", "arm64");
    push_attested(&registry, "app", "v1", "amd64");
    let repository = format!("{host}/app");
    let listed = run(&["tags", &repository]);
    let mut tags: Vec<&str> = listed.stdout.lines().collect();
    tags.sort_unstable();
    assert_eq!((listed.exit, tags), (0, vec!["v1", "v1-attestation", "v1-image", "v2"]));
    let shown = run(&["tags", "--platforms", &repository]);
    assert!(shown.exit == 0 && shown.stdout.contains("v1             linux/amd64\n"), "{shown:?}");
    assert!(shown.stdout.contains("v2             linux/arm64\n"), "{shown:?}");
    let told: Value =
        serde_json::from_str(&run(&["tags", "--platforms", &repository, "--output", "json"]).stdout).unwrap();
    let v2 = told["tags"].as_array().unwrap().iter().find(|tag| tag["tag"] == "v2").unwrap();
    assert_eq!(v2["platforms"], json!([{"architecture": "arm64", "os": "linux"}]));

    let none = run(&["tags", &format!("{host}/none")]);
    assert!(none.exit == 1 && none.stderr.contains("tags of "), "{none:?}");
    let usage = run(&["tags", &format!("{host}/app:v1")]);
    assert!(usage.exit == 2 && usage.stderr.contains("name the repository alone"), "{usage:?}");

    let folder = tempfile::tempdir().unwrap();
    for name in ["v1", "v2"] {
        let args = ["--plain-http", "copy", &format!("{host}/app:{name}"), &format!("oci:out:{name}")];
        assert_eq!(manifest_tool(folder.path(), &args).exit, 0);
    }
    let named = manifest_tool(folder.path(), &["tags", "--platforms", "oci:out"]);
    assert_eq!((named.exit, &*named.stdout), (0, "v1 linux/amd64\nv2 linux/arm64\n"));
}

/// Pages are read as far as they are wanted, and a list that is null is empty.
#[test]
fn tags_in_pages() {
    let front = Scripted::start(|asked, _| {
        let page = asked.line.split("last=").nth(1).map_or(0, |last| last.parse::<u32>().unwrap());
        let tags: Vec<String> = (0..10).map(|n| format!("t{}", page * 10 + n)).collect();
        let link = format!("</v2/app/tags/list?last={}>; rel=\"next\"", page + 1);
        let headers = if page < 4 { vec![("Link", link)] } else { vec![] };
        match asked.line.as_str() {
            "GET /v2/empty/tags/list" => (200, vec![], br#"{"name": "empty", "tags": null}"#.to_vec()),
            line if line.starts_with("GET /v2/app/tags/list") => {
                (200, headers, json!({"name": "app", "tags": tags}).to_string().into_bytes())
            }
            _ => (404, vec![], vec![]),
        }
    });
    let all = run(&["tags", &format!("{}/app", front.host)]);
    assert_eq!((all.exit, all.stdout.lines().count(), all.stdout.lines().last()), (0, 50, Some("t49")));
    let asked = front.asked().len();
    let some = run(&["tags", "--limit", "15", &format!("{}/app", front.host)]);
    assert_eq!((some.stdout.lines().count(), some.stdout.lines().last()), (15, Some("t14")));
    assert_eq!(front.asked().len() - asked, 2, "no more pages than are wanted");
    let empty = run(&["tags", &format!("{}/empty", front.host)]);
    assert_eq!((empty.exit, &*empty.stdout, &*empty.stderr), (0, "", ""));
}

/// A reader that has seen enough ends the work; what a registry says is text and nothing more.
#[test]
fn readers_and_forgers() {
    let registry = Registry::start();
    let mut entry = push_image(&registry, "app", "image", "amd64");
    entry["platform"] = json!({"os": "linux", "architecture": "x\n   - linux/arm64\u{1b}[31m"});
    push_index(&registry, "app", "forged", &[entry]);
    let image = format!("{}/app:forged", registry.host);
    let queried = run(&["query", &image]);
    assert!(!queried.stdout.contains("\n   - linux/arm64") && !queried.stdout.contains('\u{1b}'), "{queried:?}");
    let listed = run(&["tags", "--platforms", &format!("{}/app", registry.host)]);
    assert!(listed.stdout.lines().count() == 2 && !listed.stdout.contains('\u{1b}'), "{listed:?}");

    let front = Scripted::start(|asked, _| {
        let tags: Vec<String> = (0..5000).map(|n| format!("t{n}")).collect();
        match asked.line.as_str() {
            "GET /v2/app/tags/list" => (200, vec![], json!({"tags": tags}).to_string().into_bytes()),
            _ => (404, vec![], br#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#.to_vec()),
        }
    });
    let index = br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
    let behind = front.host.clone();
    let whole = Scripted::start(move |asked, _| match asked.line.contains("/manifests/") {
        true => (200, vec![], index.to_vec()),
        false => crate::support::scripted::forward(asked, &behind, ""),
    });
    let tool = env!("CARGO_BIN_EXE_manifest-tool");
    let piped = format!("{tool} --plain-http tags --platforms {}/app | head -1", whole.host);
    let outcome = std::process::Command::new("bash").args(["-o", "pipefail", "-c", &piped]).output().unwrap();
    assert!(outcome.status.success(), "{outcome:?}");
    assert!(whole.asked().len() < 2000, "{} requests", whole.asked().len());
}
