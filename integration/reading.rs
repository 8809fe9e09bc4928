//! The read commands `query`, `digest` and `tags`.

use indoc::formatdoc;
use serde_json::json;

use crate::support::images::{push_attested_index, push_image, push_image_with, push_index};
use crate::support::registry::sha256;
use crate::support::scripted_server::forward_request;
use crate::support::{Sandbox, ScriptedServer, Workspace};

#[test]
fn query_prints_the_platforms_like_mquery() {
    let sandbox = Sandbox::new();
    let attested = push_attested_index(&sandbox.registry, "app", "v1", "amd64");
    let outcome = sandbox.run(&["query", "HOST/app:v1"]);
    let index = sandbox.fill(&formatdoc! {"
        Image: HOST/app:v1 (digest: {})
         * Manifest List: Yes (Image type: application/vnd.oci.image.index.v1+json)
         * Supported platforms:
           - linux/amd64

    ", attested.index});
    assert_eq!((outcome.exit, &*outcome.stdout, &*outcome.stderr), (0, &*index, ""));

    let config = json!({"os": "windows", "architecture": "amd64", "os.version": "10.0.20348.9"}).to_string();
    let image = push_image_with(&sandbox.registry, "app", "win", config.as_bytes(), b"layer");
    let single = sandbox.fill(&formatdoc! {"
        Image: HOST/app:win (digest: {})
         * Manifest List: No (Image type: application/vnd.oci.image.manifest.v1+json)
         * Supports: windows/amd64:10.0.20348.9

    ", image["digest"].as_str().unwrap()});
    let both = sandbox.run(&["query", "HOST/app:win", "HOST/app:v1"]);
    assert_eq!(both.stdout, single + &index);

    // For an entry without a platform, the platform comes from the image's config.
    push_index(&sandbox.registry, "app", "silent", &[image]);
    let silent = sandbox.run(&["query", "HOST/app:silent"]);
    assert!(silent.stdout.contains("   - windows/amd64:10.0.20348.9\n"), "{silent:?}");

    for (platform, images, exit) in [
        ("linux/amd64", &["HOST/app:v1"][..], 0),
        ("windows/amd64", &["HOST/app:win"], 0),
        ("linux/arm64", &["HOST/app:v1"], 3),
        ("linux/amd64", &["HOST/app:v1", "HOST/app:win"], 3),
    ] {
        let outcome = sandbox.run(&[&["query", "--platform", platform][..], images].concat());
        assert_eq!((outcome.exit, outcome.stdout.is_empty()), (exit, false), "{platform} {images:?} {outcome:?}");
        assert_eq!(outcome.stderr.contains(&format!("not for {platform}: ")), exit == 3, "{outcome:?}");
    }
    let document = sandbox.run(&["query", "HOST/app:v1", "--output", "json"]).json();
    let platforms = json!([{"architecture": "amd64", "os": "linux"}]);
    assert_eq!((&document["images"][0]["platforms"], &document["images"][0]["index"]), (&platforms, &json!(true)));
}

#[test]
fn a_missing_reference_is_an_error_and_the_others_are_printed() {
    let sandbox = Sandbox::new();
    push_image(&sandbox.registry, "app", "v1", "amd64");
    for command in ["query", "digest"] {
        let outcome = sandbox.run(&[command, "HOST/app:none", "HOST/app:v1"]);
        let outcome = outcome.fails(1, "app:none not found (HTTP 404");
        assert!(outcome.stderr.contains("1 of 2 references cannot be read"), "{outcome:?}");
        assert!(outcome.stdout.contains("sha256:"), "{outcome:?}");
        let document = sandbox.run(&[command, "HOST/app:none", "HOST/app:v1", "--output", "json"]).json();
        let images = &document["images"];
        assert!(images[0]["error"]["message"].is_string() && images[1]["digest"].is_string(), "{document}");
        sandbox.run(&[command, "r.example/app"]).fails(2, "has no tag or digest");
        assert_eq!(sandbox.run(&[command]).exit, 2);
    }
}

#[test]
fn digest_prints_the_digests_of_references_files_and_layouts() {
    let sandbox = Sandbox::new();
    push_image(&sandbox.registry, "app", "v1", "amd64");
    let stored = sandbox.registry.manifest("app", "v1").unwrap();
    let outcome = sandbox.run(&["digest", "HOST/app:v1"]);
    assert_eq!((outcome.exit, outcome.stdout), (0, format!("{}\n", stored.digest)));
    let requests = sandbox.registry.requests(0);
    assert_eq!(requests.last().unwrap(), "HEAD /v2/app/manifests/v1");
    // If HEAD returns no digest, the manifest is read.
    for status in [200, 403, 405] {
        let proxy = ScriptedServer::in_front_of(&sandbox.registry, move |request| {
            request.line.starts_with("HEAD ").then(|| (status, vec![], vec![]))
        });
        let outcome = sandbox.run(&["digest", &format!("{}/app:v1", proxy.host)]);
        assert_eq!((outcome.exit, outcome.stdout), (0, format!("{}\n", stored.digest)), "{status}");
    }
    std::fs::write(sandbox.path("manifest.json"), &stored.bytes).unwrap();
    let file = sandbox.run(&["digest", "--file", "manifest.json"]);
    assert_eq!(file.stdout, format!("{}\n", stored.digest));
    let stdin = sandbox.run_with_stdin(&["digest", "--file", "-"], "text");
    assert_eq!(stdin.stdout, format!("{}\n", sha256(b"text")));
    sandbox.run(&["digest", "--file", "none.json"]).fails(1, "cannot read none.json");

    sandbox.run(&["copy", "HOST/app:v1", "oci:out:v1"]).success();
    let layout = sandbox.run(&["digest", "oci:out:v1"]);
    assert_eq!(layout.stdout, format!("{}\n", stored.digest));
    let queried = sandbox.run(&["query", "oci:out:v1"]);
    assert!(queried.stdout.contains(" * Supports: linux/amd64\n"), "{queried:?}");
}

#[test]
fn digest_prints_the_digest_of_the_image_for_a_platform() {
    let sandbox = Sandbox::new();
    let registry = &sandbox.registry;
    let attested = push_attested_index(registry, "app", "v1", "amd64");
    let arm64 = push_image(registry, "app", "single", "arm64");
    let entries = [arm64.clone(), push_image(registry, "app", "s390x", "s390x")];
    push_index(registry, "app", "bare", &entries);
    let digest = |args: &[&str]| sandbox.run(&[&["digest", "--platform"], args].concat());
    let mark = registry.requests(0).len();
    let amd64 = digest(&["linux/amd64", "HOST/app:v1"]).success().stdout_is(&format!("{}\n", attested.image));
    assert_eq!(amd64.stderr, "");
    assert_eq!(registry.requests(mark), ["GET /v2/app/manifests/v1"], "the image itself is not read");
    let arm64 = arm64["digest"].as_str().unwrap();
    for image in ["HOST/app:single", "HOST/app:bare"] {
        digest(&["linux/arm64/v8", image]).success().stdout_is(&format!("{arm64}\n"));
    }
    let outcome = digest(&["linux/arm64", "HOST/app:v1", "HOST/app:single", "HOST/app:s390x"]);
    let message = sandbox.fill("not for linux/arm64: HOST/app:v1, HOST/app:s390x\n");
    assert_eq!((outcome.exit, outcome.stdout, outcome.stderr), (3, format!("{arm64}\n"), message));
    digest(&["linux/x86_64", "HOST/app:v1"]).fails(2, "did you mean linux/amd64?").stdout_is("");
    let document = digest(&["linux/arm64", "HOST/app:v1", "HOST/app:single", "--output", "json"]).exits(3).json();
    let images = json!([
        {"reference": sandbox.fill("HOST/app:v1"), "offered": false},
        {"reference": sandbox.fill("HOST/app:single"), "digest": arm64, "offered": true},
    ]);
    assert_eq!(document["images"], images);
    // An error comes first: the platforms of a missing image are not known.
    digest(&["linux/arm64", "HOST/app:v1", "HOST/app:none"]).fails(1, "app:none not found");
    digest(&["arm64", "HOST/app:v1"]).fails(2, "invalid platform \"arm64\"");
    digest(&["linux/arm64", "--file", "x"]).fails(2, "cannot be used with");
    digest(&["linux/arm64"]).exits(2);
    sandbox.run(&["copy", "HOST/app:v1", "oci:out:v1"]).success();
    digest(&["linux/amd64", "oci:out:v1"]).success().stdout_is(&format!("{}\n", attested.image));
}

#[test]
fn digest_of_a_platform_with_several_images_is_an_error() {
    let sandbox = Sandbox::new();
    let mut entries = ["10.0.1", "10.0.2"].map(|version| {
        let platform = json!({"os": "windows", "architecture": "amd64", "os.version": version});
        let mut entry = push_image_with(&sandbox.registry, "app", version, platform.to_string().as_bytes(), b"layer");
        entry["platform"] = platform;
        entry
    });
    push_index(&sandbox.registry, "app", "v1", &entries);
    let digest = || sandbox.run(&["digest", "--platform", "windows/amd64", "HOST/app:v1"]);
    digest().fails(1, "app:v1: 2 images match windows/amd64; available: windows/amd64:10.0.1, windows/amd64:10.0.2");
    // One image that is listed twice is not ambiguous.
    entries[1] = entries[0].clone();
    push_index(&sandbox.registry, "app", "v1", &entries);
    digest().success().stdout_is(&format!("{}\n", entries[0]["digest"].as_str().unwrap()));
}

#[test]
fn tags_lists_the_tags_and_platforms_of_a_repository_or_layout() {
    let sandbox = Sandbox::new();
    push_image(&sandbox.registry, "app", "v2", "arm64");
    push_attested_index(&sandbox.registry, "app", "v1", "amd64");
    let listed = sandbox.run(&["tags", "HOST/app"]);
    let mut tags: Vec<&str> = listed.stdout.lines().collect();
    tags.sort_unstable();
    assert_eq!((listed.exit, tags), (0, vec!["v1", "v1-attestation", "v1-image", "v2"]));
    let with_platforms = sandbox.run(&["tags", "--platforms", "HOST/app"]).success();
    assert!(with_platforms.stdout.contains("v1             linux/amd64\n"), "{with_platforms:?}");
    assert!(with_platforms.stdout.contains("v2             linux/arm64\n"), "{with_platforms:?}");
    let document = sandbox.run(&["tags", "--platforms", "HOST/app", "--output", "json"]).json();
    let v2 = document["tags"].as_array().unwrap().iter().find(|tag| tag["tag"] == "v2").unwrap();
    assert_eq!(v2["platforms"], json!([{"architecture": "arm64", "os": "linux"}]));

    sandbox.run(&["tags", "HOST/none"]).fails(1, "tags of ");
    sandbox.run(&["tags", "HOST/app:v1"]).fails(2, "give only the repository");

    for tag in ["v1", "v2"] {
        sandbox.run(&["copy", &format!("HOST/app:{tag}"), &format!("oci:out:{tag}")]).success();
    }
    let layout = sandbox.run(&["tags", "--platforms", "oci:out"]);
    assert_eq!((layout.exit, &*layout.stdout), (0, "v1 linux/amd64\nv2 linux/arm64\n"));
}

#[test]
fn tags_reads_only_the_pages_it_needs_and_accepts_null() {
    let server = ScriptedServer::start(|request, _| {
        let page = request.line.split("last=").nth(1).map_or(0, |last| last.parse::<u32>().unwrap());
        let tags: Vec<String> = (0..10).map(|n| format!("t{}", page * 10 + n)).collect();
        let link = format!("</v2/app/tags/list?last={}>; rel=\"next\"", page + 1);
        let headers = if page < 4 { vec![("Link", link)] } else { vec![] };
        match request.line.as_str() {
            "GET /v2/empty/tags/list" => (200, vec![], br#"{"name": "empty", "tags": null}"#.to_vec()),
            line if line.starts_with("GET /v2/app/tags/list") => {
                (200, headers, json!({"name": "app", "tags": tags}).to_string().into_bytes())
            }
            _ => (404, vec![], vec![]),
        }
    });
    let workspace = Workspace::new().flags(&["--plain-http"]).placeholder("HOST", &server.host);
    let all = workspace.run(&["tags", "HOST/app"]);
    assert_eq!((all.exit, all.stdout.lines().count(), all.stdout.lines().last()), (0, 50, Some("t49")));
    let before = server.requests().len();
    let limited = workspace.run(&["tags", "--limit", "15", "HOST/app"]);
    assert_eq!((limited.stdout.lines().count(), limited.stdout.lines().last()), (15, Some("t14")));
    assert_eq!(server.requests().len() - before, 2, "15 tags are on two pages");
    let empty = workspace.run(&["tags", "HOST/empty"]);
    assert_eq!((empty.exit, &*empty.stdout, &*empty.stderr), (0, "", ""));
}

#[test]
fn control_characters_in_a_platform_cannot_forge_output() {
    let sandbox = Sandbox::new();
    let mut entry = push_image(&sandbox.registry, "app", "image", "amd64");
    entry["platform"] = json!({"os": "linux", "architecture": "x\n   - linux/arm64\u{1b}[31m"});
    push_index(&sandbox.registry, "app", "forged", &[entry]);
    let queried = sandbox.run(&["query", "HOST/app:forged"]);
    assert!(!queried.stdout.contains("\n   - linux/arm64") && !queried.stdout.contains('\u{1b}'), "{queried:?}");
    let listed = sandbox.run(&["tags", "--platforms", "HOST/app"]);
    assert!(listed.stdout.lines().count() == 2 && !listed.stdout.contains('\u{1b}'), "{listed:?}");
}

#[test]
fn tags_stops_when_its_reader_closes_the_pipe() {
    let lister = ScriptedServer::start(|request, _| {
        let tags: Vec<String> = (0..5000).map(|n| format!("t{n}")).collect();
        match request.line.as_str() {
            "GET /v2/app/tags/list" => (200, vec![], json!({"tags": tags}).to_string().into_bytes()),
            _ => (404, vec![], br#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#.to_vec()),
        }
    });
    let index = br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
    let upstream = lister.host.clone();
    let server = ScriptedServer::start(move |request, _| match request.line.contains("/manifests/") {
        true => (200, vec![], index.to_vec()),
        false => forward_request(request, &upstream, ""),
    });
    let program = env!("CARGO_BIN_EXE_manifest-tool");
    let pipeline = format!("{program} --plain-http tags --platforms {}/app | head -1", server.host);
    let output = std::process::Command::new("bash").args(["-o", "pipefail", "-c", &pipeline]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(server.requests().len() < 2000, "{} requests", server.requests().len());
}
