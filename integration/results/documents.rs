//! The JSON documents that `--output json` prints.

use serde_json::{Value, json};

use super::{ResultsFixture, result_document};
use crate::support::{Registry, ScriptedServer};

#[test]
fn a_push_document_lists_tags_entries_skipped_sources_and_blobs() {
    let fixture = ResultsFixture::new();
    let sandbox = &fixture.sandbox;
    let outcome = fixture.push(&["--output", "json", "--metadata-file", "meta.json", "--digest-file", "digest"]);
    let result = result_document(&outcome);
    assert_eq!(sandbox.read("meta.json"), outcome.stdout);
    let index = &result["indexes"][0];
    let written = sandbox.registry.manifest("whole", "v1").unwrap();
    assert_eq!(sandbox.read("digest"), written.digest);
    let entry = |name: &str, architecture: &str, size: &Value, source: &str, manifest: &str| {
        json!({
            "platform": {"architecture": architecture, "os": "linux"}, "digest": name, "size": size,
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "source": source, "manifest": manifest,
        })
    };
    let entries = &index["entries"];
    let (size, blobs) = (|at: usize| &entries[at]["size"], &index["blobs"]);
    let attestation = json!({
        "platform": {"architecture": "unknown", "os": "unknown"}, "digest": "ATTESTATION", "size": size(3),
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "attests": "ARM64",
        "annotations": {"vnd.docker.reference.digest": "ARM64", "vnd.docker.reference.type": "attestation-manifest"},
        "source": "HOST/parts:arm64", "manifest": "pushed",
    });
    let expected = json!({
        "version": 1,
        "command": "push",
        "dryRun": false,
        "indexes": [{
            "reference": "HOST/whole:v1",
            "digest": written.digest,
            "size": written.bytes.len(),
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "changed": true,
            "tags": [
                {"reference": "HOST/whole:v1", "tag": "v1", "state": "updated", "was": "BEFORE"},
                {"reference": "HOST/whole:latest", "tag": "latest", "state": "created"},
            ],
            "entries": [
                entry("AMD64", "amd64", size(0), "HOST/whole:amd64", "existing"),
                entry("ARM64", "arm64", size(1), "HOST/parts:arm64", "pushed"),
                entry("RISCV64", "riscv64", size(2), "FAR/far:riscv64", "pushed"),
                attestation,
            ],
            "skipped": [{
                "platform": "linux/ppc64le",
                "reference": "HOST/parts:missing",
                "reason": "HOST/parts:missing not found (HTTP 404; registry says: MANIFEST_UNKNOWN: manifest unknown)",
            }],
            "warnings": [],
            "blobs": {
                "existing": blobs["existing"],
                "mounted": {"count": 4, "bytes": blobs["mounted"]["bytes"]},
                "uploaded": {"count": 2, "bytes": blobs["uploaded"]["bytes"]},
            },
        }],
    });
    let normalized: Value = serde_json::from_str(&fixture.normalize(&outcome.stdout)).unwrap();
    assert_eq!(normalized, serde_json::from_str::<Value>(&fixture.normalize(&expected.to_string())).unwrap());
    // The image from the other registry is uploaded: its config and layer.
    assert_eq!(blobs["uploaded"]["bytes"], image_bytes(&fixture.far, "far", fixture.digest("RISCV64")));

    let again = result_document(&fixture.push(&["--output", "json"]));
    let states = |result: &Value| {
        result["indexes"][0]["tags"].as_array().unwrap().iter().map(|tag| tag["state"].clone()).collect::<Vec<_>>()
    };
    assert_eq!((states(&again), &again["indexes"][0]["changed"]), (vec![json!("unchanged"); 2], &json!(false)));
    assert_eq!(states(&result_document(&fixture.push(&["--output", "json", "--force"]))), ["written", "written"]);
}

/// Returns the total size of an image's config and layers.
fn image_bytes(registry: &Registry, repository: &str, digest: &str) -> u64 {
    let manifest: Value = serde_json::from_slice(&registry.manifest(repository, digest).unwrap().bytes).unwrap();
    let layers = manifest["layers"].as_array().unwrap().iter();
    layers.chain([&manifest["config"]]).map(|blob| blob["size"].as_u64().unwrap()).sum()
}

#[test]
fn a_failed_push_reports_the_failed_tag_and_keeps_the_result_files() {
    let fixture = ResultsFixture::new();
    let sandbox = &fixture.sandbox;
    let server = ScriptedServer::in_front_of(&sandbox.registry, |request| {
        let denied = || (403, vec![], br#"{"errors":[{"code":"DENIED","message":"no"}]}"#.to_vec());
        request.writes_manifest("latest").then(denied)
    });
    sandbox.write("spec.yaml", &sandbox.read("spec.yaml").replace(&sandbox.registry.host, &server.host));
    for file in ["meta.json", "digest"] {
        sandbox.write(file, "from an earlier run");
    }
    let args = ["--output", "json", "--metadata-file", "meta.json", "--digest-file", "digest"];
    let outcome = fixture.push(&args).fails(1, "error: cannot push");
    let result = result_document(&outcome);
    let index = &result["indexes"][0];
    let states: Vec<_> = index["tags"].as_array().unwrap().iter().map(|tag| (&tag["tag"], &tag["state"])).collect();
    assert_eq!(states, [(&json!("v1"), &json!("updated")), (&json!("latest"), &json!("failed"))]);
    let digest = sandbox.registry.manifest("whole", "v1").unwrap().digest;
    assert_eq!((&index["changed"], &index["digest"]), (&json!(true), &json!(digest)));
    assert_eq!(index["error"]["message"], result["error"]["message"]);
    assert!(index["error"]["message"].as_str().unwrap().contains("DENIED: no"), "{index}");
    for file in ["meta.json", "digest"] {
        assert_eq!(sandbox.read(file), "from an earlier run");
    }
    assert_eq!(std::fs::read_dir(sandbox.folder()).unwrap().count(), 3, "no temporary file is left");
}

#[test]
fn a_spec_with_several_indexes_gives_one_document() {
    let fixture = ResultsFixture::new();
    let sandbox = &fixture.sandbox;
    let spec = |tag: &str, source: &str| {
        indoc::formatdoc! {"
            ---
            image: HOST/whole:{tag}
            manifests: [{{image: \"HOST/{source}\"}}]
        "}
    };
    let specs = [spec("a", "whole:amd64"), spec("b", "whole:none"), spec("c", "parts:arm64")].concat();
    sandbox.write("many.yaml", &specs);
    let push = |args: &[&str]| sandbox.run(&[&["push", "from-spec", "many.yaml"], args].concat());
    let outcome = push(&["--output", "json", "--metadata-file", "m"]).exits(1);
    let result = result_document(&outcome);
    let indexes = result["indexes"].as_array().unwrap();
    let references: Vec<String> =
        indexes.iter().map(|index| fixture.normalize(index["reference"].as_str().unwrap())).collect();
    assert_eq!(references, ["HOST/whole:a", "HOST/whole:b", "HOST/whole:c"]);
    let failed: Vec<bool> = indexes.iter().map(|index| index["error"].is_object()).collect();
    assert_eq!(failed, [false, true, false]);
    assert_eq!(result["error"]["message"], "3 indexes: 2 done, 0 unchanged, 1 failed, 0 skipped");
    assert!(!sandbox.path("m").exists(), "one index failed");
    push(&["--digest-file", "d"]).fails(2, "--digest-file needs a single index");

    sandbox.write("many.yaml", &[spec("a", "whole:amd64"), spec("d", "parts:arm64")].concat());
    let planned = push(&["--dry-run", "--exit-code"]).exits(4);
    assert_eq!(planned.stdout.matches("  digest     sha256:").count(), 2, "{planned:?}");
    assert!(push(&["--metadata-file", "m"]).stdout.starts_with("Digest: sha256:"));
    let metadata: Value = serde_json::from_str(&sandbox.read("m")).unwrap();
    assert_eq!(metadata["indexes"].as_array().unwrap().len(), 2);
    push(&["--dry-run", "--exit-code"]).success();
}

#[test]
fn every_command_prints_a_document() {
    let fixture = ResultsFixture::new();
    let sandbox = &fixture.sandbox;
    let host = &sandbox.registry.host;
    let [whole, image, copy] = ["whole:v1", "whole:amd64", "copied:v1"].map(|name| format!("{host}/{name}"));
    let json = |args: &[&str]| {
        let outcome = sandbox.run(&[args, &["--output", "json"]].concat());
        let document = result_document(&outcome);
        assert_eq!(document["command"], args[0], "{outcome:?}");
        (outcome.exit, document)
    };
    let (exit, shown) = json(&["inspect", &whole]);
    let raw = sandbox.registry.manifest("whole", "v1").unwrap();
    assert_eq!((exit, &shown["digest"], &shown["size"]), (0, &raw.digest.into(), &raw.bytes.len().into()));
    assert_eq!(shown["entries"][2]["platform"], json!({"architecture": "s390x", "os": "linux"}));
    assert_eq!(shown["entries"][0]["layers"].as_array().unwrap().len(), 1);
    let (_, shown) = json(&["inspect", &image]);
    assert_eq!((&shown["platform"]["architecture"], &shown["layers"][0]["size"]), (&json!("amd64"), &json!(14)));

    let (_, planned) = json(&["copy", &whole, &copy, "--tags", "latest", "--dry-run"]);
    let (_, mut copied) = json(&["copy", &whole, &copy, "--tags", "latest"]);
    copied["dryRun"] = json!(true);
    assert_eq!(planned, copied);
    let part = &copied["copies"][0];
    assert_eq!((&part["source"], &part["reference"], &part["changed"]), (&json!(whole), &json!(copy), &json!(true)));
    assert_eq!(part["tags"].as_array().unwrap().len(), 2);

    let (_, failed) = json(&["copy", &format!("{whole}-none"), &copy]);
    let keys: Vec<&String> = failed["copies"][0].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["source", "reference", "changed", "tags", "error"], "no keys of an index");

    let (_, removed) = json(&["remove", &whole, "--platform", "linux/s390x", "--settle", "10ms"]);
    assert_eq!(removed["indexes"][0]["removed"][0]["platform"]["architecture"], "s390x");
    let changes: Vec<_> =
        removed["indexes"][0]["entries"].as_array().unwrap().iter().map(|entry| &entry["change"]).collect();
    assert_eq!(changes, ["unchanged", "unchanged"]);

    for (args, exit) in [
        (&["inspect", "r.example/a"][..], 1),
        (&["inspect", "R"], 2),
        (&["copy", "r.example/a", "r.example/b"], 2),
        (&["copy", &copy, "r.example:1/b:2", "--retries", "0"], 1),
        (&["remove", "r.example/a", "--platform", "linux/arm"], 2),
        (&["push", "from-spec", "none.yaml"], 1),
        (&["login", "not a host"], 2),
        (&["logout", "not a host"], 2),
        (&["lint", "none.yaml"], 1),
    ] {
        let (code, document) = json(args);
        assert_eq!(code, exit, "{document}");
        assert!(document["error"]["message"].is_string(), "{document}");
    }
    let login = sandbox.run(&["login", host, "--username", "u", "--password", "p", "--output", "json"]);
    let login = result_document(&login);
    assert_eq!((&login["registry"], &login["username"], &login["checked"]), (&json!(host), &json!("u"), &json!(false)));
    let (_, logout) = json(&["logout", host]);
    assert_eq!(logout["removed"], json!([login["stored"]]));
    sandbox.run(&["inspect", "--raw", &whole, "--output", "json"]).fails(2, "conflicts with --output json");
}

/// An archive is renamed to its final path after every index is written. Until then no tag counts as written.
#[test]
fn an_archive_with_a_failed_index_is_not_written_and_its_tags_fail() {
    let sandbox = ResultsFixture::new().sandbox;
    let spec = |tag: &str, source: &str| {
        indoc::formatdoc! {"
            ---
            image: oci-archive:x.tar:{tag}
            type: oci
            manifests: [{{image: \"HOST/{source}\"}}]
        "}
    };
    sandbox.write("spec.yaml", &[spec("one", "whole:amd64"), spec("two", "whole:none")].concat());
    let outcome = sandbox.run(&["push", "from-spec", "spec.yaml", "--output", "json"]);
    let result = result_document(&outcome);
    let one = &result["indexes"][0];
    assert_eq!((&one["changed"], &one["tags"][0]["state"]), (&json!(false), &json!("failed")), "{outcome:?}");
    assert!(one["error"]["message"].as_str().unwrap().contains("not written"), "{one}");
    assert!(!sandbox.path("x.tar").exists());
}
