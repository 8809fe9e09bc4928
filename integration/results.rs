//! Results for programs, and plans: what they say is what is so.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::images::{DOCKER, push_attested, push_image, push_image_with, push_index};
use crate::support::registry::sha256;
use crate::support::scripted::Scripted;
use crate::support::{Outcome, Registry, manifest_tool, push_from_args};

fn run(folder: &Path, args: &[&str]) -> Outcome {
    manifest_tool(folder, &[&["--plain-http"], args].concat())
}

/// The document on stdout, which is all that is there.
fn document(outcome: &Outcome) -> Value {
    let document: Value = serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome:?}"));
    assert_eq!(document["version"], 1);
    assert_eq!(document["error"]["exitCode"].as_i64().unwrap_or(0), i64::from(outcome.exit), "{outcome:?}");
    document
}

/// With names in place of what is another one each time.
fn neutral(text: &str, names: &[(&str, &str)]) -> String {
    names.iter().fold(text.to_owned(), |text, (what, name)| text.replace(what, name))
}

/// Images in two repositories and in another registry; `whole:v1` holds other ones.
struct Scene {
    registry: Registry,
    other: Registry,
    folder: tempfile::TempDir,
    digests: Vec<(String, &'static str)>,
}

impl Scene {
    fn new() -> Self {
        let (registry, other) = (Registry::start(), Registry::start());
        let digest = |image: Value| image["digest"].as_str().unwrap().to_owned();
        let amd64 = push_image(&registry, "whole", "amd64", "amd64");
        let arm64 = push_attested(&registry, "parts", "arm64", "arm64");
        let riscv64 = push_image(&other, "far", "riscv64", "riscv64");
        let entry = |mut image: Value, arch: &str| {
            image["platform"] = json!({"architecture": arch, "os": "linux"});
            image
        };
        let config = br#"{"os": "linux", "architecture": "arm64", "created": "2026-01-01T00:00:00Z"}"#;
        let old = push_image_with(&registry, "whole", "old", config, b"layer of old");
        let gone = push_image(&registry, "whole", "gone", "s390x");
        let entries = [entry(amd64.clone(), "amd64"), entry(old.clone(), "arm64"), entry(gone.clone(), "s390x")];
        let before = push_index(&registry, "whole", "v1", &entries);
        let digests = vec![
            (digest(amd64), "AMD64"),
            (arm64.image, "ARM64"),
            (arm64.attestation, "ATTESTATION"),
            (digest(riscv64), "RISCV64"),
            (digest(old), "OLD"),
            (digest(gone), "GONE"),
            (before, "BEFORE"),
        ];
        let scene = Self { registry, other, folder: tempfile::tempdir().unwrap(), digests };
        let spec = "image: HOST/whole:v1\ntags: [latest]\ntype: oci\nmanifests:\n- image: HOST/whole:amd64\n\
                    - image: HOST/parts:arm64\n- image: FAR/far:riscv64\n- image: HOST/parts:missing\n  \
                    platform: {os: linux, architecture: ppc64le}\n";
        let spec = spec.replace("HOST", &scene.registry.host).replace("FAR", &scene.other.host);
        std::fs::write(scene.folder.path().join("spec.yaml"), spec).unwrap();
        scene
    }

    fn push(&self, more: &[&str]) -> Outcome {
        run(self.folder.path(), &[&["push", "from-spec", "--ignore-missing", "spec.yaml"], more].concat())
    }

    fn neutral(&self, text: &str) -> String {
        let mut names = vec![(&*self.registry.host, "HOST"), (&*self.other.host, "FAR")];
        names.extend(self.digests.iter().map(|(digest, name)| (&**digest, *name)));
        neutral(text, &names)
    }
}

#[test]
fn a_plan_says_what_a_push_does() {
    let scene = Scene::new();
    let before = (scene.registry.snapshot(), scene.other.snapshot());
    let outcome = scene.push(&["--dry-run", "--exit-code"]);
    assert_eq!(outcome.exit, 4, "{outcome:?}");
    let planned = scene.push(&["--dry-run", "--output", "json"]);
    assert_eq!(planned.exit, 0, "{planned:?}");
    assert_eq!((scene.registry.snapshot(), scene.other.snapshot()), before, "nothing is written");

    let mut planned = document(&planned);
    let index = planned["indexes"][0].clone();
    let new = index["digest"].as_str().unwrap();
    let expected = format!(
        "HOST/whole:v1
  type       application/vnd.oci.image.index.v1+json
  digest     {new} {}
  unchanged  linux/amd64                AMD64
  replaced   linux/arm64                OLD -> ARM64
  added      linux/riscv64              RISCV64
  added      attestation of linux/arm64 ATTESTATION
  removed    linux/s390x                GONE
  mounted    4 blobs, {} bytes
  sent       2 blobs, {} bytes
  pushed     3 manifests
  updated    HOST/whole:v1 (now BEFORE)
  created    HOST/whole:latest
",
        index["size"], index["blobs"]["mounted"]["bytes"], index["blobs"]["uploaded"]["bytes"]
    );
    assert_eq!(scene.neutral(&outcome.stdout), expected);

    // What the plan says is what is done, but for what a push does not look at.
    let mut done = document(&scene.push(&["--output", "json"]));
    assert_eq!((planned["dryRun"].take(), done["dryRun"].take()), (json!(true), json!(false)));
    let planned = planned["indexes"][0].as_object_mut().unwrap();
    assert!(planned.remove("removed").is_some());
    for entry in planned["entries"].as_array_mut().unwrap() {
        assert!(entry.as_object_mut().unwrap().remove("change").is_some());
        entry.as_object_mut().unwrap().remove("replaces");
    }
    assert_eq!(planned, done["indexes"][0].as_object().unwrap());
    assert_eq!(scene.registry.manifest("whole", "v1").unwrap().digest, new);

    let again = scene.push(&["--dry-run", "--exit-code"]);
    assert_eq!(again.exit, 0, "{again:?}");
    let lines: Vec<&str> = again.stdout.lines().skip(3).collect();
    assert!(lines.iter().all(|line| line.starts_with("  unchanged  ")), "{again:?}");
    // What a registry would refuse is refused.
    let outcome = scene.push(&["--dry-run", "--if-match", &scene.digests[0].0]);
    assert_eq!(outcome.exit, 0, "the tag points at the index already: {outcome:?}");
    let moved = run(
        scene.folder.path(),
        &["copy", &format!("{}/whole:old", scene.registry.host), &format!("{}/whole:v1", scene.registry.host)],
    );
    assert_eq!(moved.exit, 0, "{moved:?}");
    let outcome = scene.push(&["--dry-run", "--if-match", &scene.digests[0].0]);
    assert_eq!(outcome.exit, 3, "{outcome:?}");
}

#[test]
fn a_plan_makes_no_folder() {
    let scene = Scene::new();
    let template = format!("{}/whole:ARCH", scene.registry.host);
    for target in ["oci:new:v1", "oci-archive:new.tar:v1"] {
        let from = ["from-args", "--platforms", "linux/amd64", "--template", &template, "--target", target];
        let outcome = run(scene.folder.path(), &[&["push", "--dry-run"], &from[..]].concat());
        assert!(outcome.exit == 0 && outcome.stdout.contains("  sent       2 blobs, "), "{outcome:?}");
        assert_eq!(std::fs::read_dir(scene.folder.path()).unwrap().count(), 1, "spec.yaml alone");
    }
}

#[test]
fn the_document_of_a_push() {
    let scene = Scene::new();
    let outcome = scene.push(&["--output", "json", "--metadata-file", "meta.json", "--digest-file", "digest"]);
    let result = document(&outcome);
    assert_eq!(std::fs::read_to_string(scene.folder.path().join("meta.json")).unwrap(), outcome.stdout);
    let index = &result["indexes"][0];
    let written = scene.registry.manifest("whole", "v1").unwrap();
    assert_eq!(std::fs::read_to_string(scene.folder.path().join("digest")).unwrap(), written.digest);
    let entry = |name: &str, arch: &str, size: &Value, source: &str, manifest: &str| {
        json!({
            "platform": {"architecture": arch, "os": "linux"}, "digest": name, "size": size,
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
    let read: Value = serde_json::from_str(&scene.neutral(&outcome.stdout)).unwrap();
    assert_eq!(read, serde_json::from_str::<Value>(&scene.neutral(&expected.to_string())).unwrap());
    // Config and layer of the image: as many bytes as they have.
    let bytes: u64 = image_bytes(&scene.other, "far", &scene.digests[3].0);
    assert_eq!(blobs["uploaded"]["bytes"], bytes);

    let again = document(&scene.push(&["--output", "json"]));
    let states = |result: &Value| {
        result["indexes"][0]["tags"].as_array().unwrap().iter().map(|tag| tag["state"].clone()).collect::<Vec<_>>()
    };
    assert_eq!((states(&again), &again["indexes"][0]["changed"]), (vec![json!("unchanged"); 2], &json!(false)));
    assert_eq!(states(&document(&scene.push(&["--output", "json", "--force"]))), ["written", "written"]);
}

/// Config and layers of an image.
fn image_bytes(registry: &Registry, repository: &str, digest: &str) -> u64 {
    let manifest: Value = serde_json::from_slice(&registry.manifest(repository, digest).unwrap().bytes).unwrap();
    let layers = manifest["layers"].as_array().unwrap().iter();
    layers.chain([&manifest["config"]]).map(|blob| blob["size"].as_u64().unwrap()).sum()
}

#[test]
fn what_failed_is_in_the_document_and_no_file_is_written() {
    let scene = Scene::new();
    let front = Scripted::before(&scene.registry, |asked| {
        asked.puts("latest").then(|| (403, vec![], br#"{"errors":[{"code":"DENIED","message":"no"}]}"#.to_vec()))
    });
    let spec = std::fs::read_to_string(scene.folder.path().join("spec.yaml")).unwrap();
    std::fs::write(scene.folder.path().join("spec.yaml"), spec.replace(&scene.registry.host, &front.host)).unwrap();
    for file in ["meta.json", "digest"] {
        std::fs::write(scene.folder.path().join(file), "of an earlier run").unwrap();
    }
    let outcome = scene.push(&["--output", "json", "--metadata-file", "meta.json", "--digest-file", "digest"]);
    assert_eq!(outcome.exit, 1);
    assert!(outcome.stderr.contains("error: cannot push"), "{outcome:?}");
    let result = document(&outcome);
    let index = &result["indexes"][0];
    let states: Vec<_> = index["tags"].as_array().unwrap().iter().map(|tag| (&tag["tag"], &tag["state"])).collect();
    assert_eq!(states, [(&json!("v1"), &json!("updated")), (&json!("latest"), &json!("failed"))]);
    assert_eq!(
        (&index["changed"], &index["digest"]),
        (&json!(true), &json!(scene.registry.manifest("whole", "v1").unwrap().digest))
    );
    assert_eq!(index["error"]["message"], result["error"]["message"]);
    assert!(index["error"]["message"].as_str().unwrap().contains("DENIED: no"), "{index}");
    for file in ["meta.json", "digest"] {
        assert_eq!(std::fs::read_to_string(scene.folder.path().join(file)).unwrap(), "of an earlier run");
    }
    assert_eq!(std::fs::read_dir(scene.folder.path()).unwrap().count(), 3, "and nothing beside them");
}

#[test]
fn several_indexes_are_one_document() {
    let scene = Scene::new();
    let one = |target: &str, source: &str| {
        format!(
            "---\nimage: {host}/whole:{target}\nmanifests: [{{image: \"{host}/{source}\"}}]\n",
            host = scene.registry.host
        )
    };
    let spec = [one("a", "whole:amd64"), one("b", "whole:none"), one("c", "parts:arm64")].concat();
    std::fs::write(scene.folder.path().join("many.yaml"), spec).unwrap();
    let push = |more: &[&str]| run(scene.folder.path(), &[&["push", "from-spec", "many.yaml"], more].concat());
    let outcome = push(&["--output", "json", "--metadata-file", "m"]);
    let result = document(&outcome);
    let names: Vec<String> = result["indexes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|index| scene.neutral(index["reference"].as_str().unwrap()))
        .collect();
    assert_eq!(
        (outcome.exit, &names[..]),
        (1, &["HOST/whole:a", "HOST/whole:b", "HOST/whole:c"].map(str::to_owned)[..])
    );
    let failed: Vec<bool> =
        result["indexes"].as_array().unwrap().iter().map(|index| index["error"].is_object()).collect();
    assert_eq!(failed, [false, true, false]);
    assert_eq!(result["error"]["message"], "3 indexes: 2 done, 0 unchanged, 1 failed, 0 skipped");
    assert!(!scene.folder.path().join("m").exists(), "not all is done");
    let usage = push(&["--digest-file", "d"]);
    assert!(usage.exit == 2 && usage.stderr.contains("--digest-file is for one index"), "{usage:?}");

    let spec = [one("a", "whole:amd64"), one("d", "parts:arm64")].concat();
    std::fs::write(scene.folder.path().join("many.yaml"), spec).unwrap();
    let planned = push(&["--dry-run", "--exit-code"]);
    assert_eq!(planned.exit, 4, "{planned:?}");
    assert_eq!(planned.stdout.matches("  digest     sha256:").count(), 2, "{planned:?}");
    assert!(push(&["--metadata-file", "m"]).stdout.starts_with("Digest: sha256:"));
    let kept: Value = serde_json::from_slice(&std::fs::read(scene.folder.path().join("m")).unwrap()).unwrap();
    assert_eq!(kept["indexes"].as_array().unwrap().len(), 2);
    assert_eq!(push(&["--dry-run", "--exit-code"]).exit, 0);
}

#[test]
fn every_command_has_a_document() {
    let scene = Scene::new();
    let (host, folder) = (&scene.registry.host, scene.folder.path());
    let [whole, image, copy] = ["whole:v1", "whole:amd64", "copied:v1"].map(|name| format!("{host}/{name}"));
    let json = |args: &[&str]| {
        let outcome = run(folder, &[args, &["--output", "json"]].concat());
        let document = document(&outcome);
        assert_eq!(document["command"], args[0], "{outcome:?}");
        (outcome.exit, document)
    };
    let (exit, shown) = json(&["inspect", &whole]);
    let raw = scene.registry.manifest("whole", "v1").unwrap();
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
    assert_eq!(keys, ["source", "reference", "changed", "tags", "error"], "none of an index's");

    let (_, removed) = json(&["remove", &whole, "--platform", "linux/s390x", "--settle", "10ms"]);
    assert_eq!(removed["indexes"][0]["removed"][0]["platform"]["architecture"], "s390x");
    let changes: Vec<_> =
        removed["indexes"][0]["entries"].as_array().unwrap().iter().map(|entry| &entry["change"]).collect();
    assert_eq!(changes, ["unchanged", "unchanged"]);

    for (args, exit) in [
        (&["inspect", "r.example/a"][..], 1),
        (&["inspect", "R"], 1),
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
    let login = run(folder, &["login", host, "--username", "u", "--password", "p", "--output", "json"]);
    let login = document(&login);
    assert_eq!((&login["registry"], &login["username"], &login["checked"]), (&json!(host), &json!("u"), &json!(false)));
    let (_, logout) = json(&["logout", host]);
    assert_eq!(logout["removed"], json!([login["stored"]]));
    let raw = run(folder, &["inspect", "--raw", &whole, "--output", "json"]);
    assert!(raw.exit == 2 && raw.stderr.contains("another form of JSON"), "{raw:?}");
}

#[test]
fn warnings_are_errors_where_that_is_wanted() {
    let registry = Registry::start();
    push_image(&registry, "parts", "amd64", "amd64");
    let windows = |tag: &str, version: &str| {
        let config = json!({"os": "windows", "architecture": tag, "os.version": version}).to_string();
        push_image_with(&registry, "parts", tag, config.as_bytes(), tag.as_bytes());
    };
    windows("arm64", "");
    windows("386", "");
    let config = json!({"os": "linux", "architecture": "s390x"}).to_string();
    let config = json!({"mediaType": "application/vnd.docker.container.image.v1+json", "size": config.len(),
        "digest": registry.push_blob("parts", config.as_bytes())});
    let docker = json!({"schemaVersion": 2, "mediaType": DOCKER, "config": config, "layers": []}).to_string();
    registry.push_manifest("parts", "s390x", DOCKER, docker.as_bytes());
    let cases = [
        ("linux/386,linux/s390x", "/parts:386: its entry says linux/386, the image's config windows/386 (sha256:"),
        ("windows/386,windows/arm64", "2 entries for Windows have no os.version, by which it chooses: sha256:"),
        (
            "linux/amd64,linux/s390x",
            "1 of the images are Docker's and 1 are OCI's; some registries refuse such an index",
        ),
    ];
    for (platforms, part) in cases {
        let manifests =
            || registry.snapshot().into_iter().filter(|line| line.contains("/_manifests/")).collect::<Vec<_>>();
        let before = manifests();
        let push = |more: &[&str]| {
            let more = [&["--type", "oci"], more].concat();
            push_from_args(&registry.host, platforms, "parts:ARCH", "whole:v1", &more)
        };
        let strict = push(&["--strict"]);
        assert!(
            strict.exit == 1 && strict.stderr.contains("cannot assemble") && strict.stderr.contains(part),
            "{strict:?}"
        );
        assert_eq!(manifests(), before, "{platforms}");
        let outcome = push(&["--output", "json"]);
        assert!(
            outcome.exit == 0 && outcome.stderr.contains("warning: ") && outcome.stderr.contains(part),
            "{outcome:?}"
        );
        let warnings = document(&outcome)["indexes"][0]["warnings"].clone();
        assert!(
            warnings.as_array().unwrap().iter().any(|warning| warning.as_str().unwrap().contains(part)),
            "{warnings}"
        );
        let quiet = push(&["--quiet"]);
        assert_eq!((quiet.exit, &*quiet.stderr), (0, ""));
    }
    // What an index says of its images is compared with their configs when that is asked for.
    push_from_args(&registry.host, "linux/386", "parts:ARCH", "whole:wrong", &["--type", "oci"]);
    let push = |more: &[&str]| {
        let more = [&["--type", "oci"], more].concat();
        push_from_args(&registry.host, "linux/386", "whole:wrong", "whole:v2", &more)
    };
    let mark = registry.requests(0).len();
    assert_eq!(push(&["--dry-run"]).stderr, "");
    assert!(!registry.requests(mark).iter().any(|line| line.contains("/blobs/")), "no config is read");
    assert!(push(&["--strict"]).stderr.contains("the image's config windows/386"));
}

#[test]
fn more_than_registries_take() {
    let registry = Registry::start();
    push_image(&registry, "parts", "amd64", "amd64");
    let folder = tempfile::tempdir().unwrap();
    let spec = format!(
        "image: {host}/whole:v1\nmanifests: [{{image: \"{host}/parts:amd64\"}}]\ntype: oci\nannotations: {{long: {}}}\n",
        "x".repeat(4 << 20),
        host = registry.host
    );
    std::fs::write(folder.path().join("spec.yaml"), spec).unwrap();
    let outcome = run(folder.path(), &["push", "from-spec", "spec.yaml"]);
    assert!(outcome.exit == 1 && outcome.stderr.contains("more than the 4 MiB that registries take"), "{outcome:?}");
    assert!(registry.manifest("whole", "v1").is_none());
}

/// What refers to something is found from there.
#[test]
fn an_index_with_a_subject() {
    let registry = Registry::start();
    let subject = push_image(&registry, "whole", "subject", "amd64");
    let subject = subject["digest"].as_str().unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (form, name) in [("tag", "subject".to_owned()), ("digest", subject.to_owned())] {
        let host = &registry.host;
        let named = if form == "tag" { format!("{host}/whole:{name}") } else { name };
        let spec = format!(
            "image: {host}/whole:{form}\ntype: oci\nartifactType: application/vnd.example.bundle\nannotations: {{k: {form}}}\n\
             subject: {named}\nmanifests: [{{image: \"{host}/whole:subject\", annotations: {{e: f}}}}]\n"
        );
        std::fs::write(folder.path().join("spec.yaml"), spec).unwrap();
        let outcome = run(folder.path(), &["push", "from-spec", "spec.yaml"]);
        assert_eq!(outcome.exit, 0, "{outcome:?}");
        let index: Value = serde_json::from_slice(&registry.manifest("whole", form).unwrap().bytes).unwrap();
        assert_eq!(index["subject"]["digest"], subject);
        assert_eq!(
            (&index["artifactType"], &index["manifests"][0]["annotations"]["e"]),
            (&json!("application/vnd.example.bundle"), &json!("f"))
        );
        let list = registry.manifest("whole", &subject.replace(':', "-")).unwrap();
        let list: Value = serde_json::from_slice(&list.bytes).unwrap();
        let last = list["manifests"].as_array().unwrap().last().unwrap();
        assert_eq!(last["digest"], registry.manifest("whole", form).unwrap().digest);
        assert_eq!((&last["artifactType"], &last["annotations"]["k"]), (&index["artifactType"], &json!(form)));
    }
    let spec = std::fs::read_to_string(folder.path().join("spec.yaml")).unwrap();
    let spec = spec.replace(subject, &sha256(b"nothing"));
    std::fs::write(folder.path().join("spec.yaml"), spec).unwrap();
    let outcome = run(folder.path(), &["push", "from-spec", "spec.yaml"]);
    assert!(outcome.exit == 1 && outcome.stderr.contains("not found"), "{outcome:?}");
}

/// The README's lines for jq, with what it says they give.
#[test]
fn the_readme_s_lines_for_jq() {
    let scene = Scene::new();
    let outcome = scene.push(&["--output", "json"]);
    std::fs::write(scene.folder.path().join("result.json"), &outcome.stdout).unwrap();
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let lines: Vec<&str> = readme.lines().filter_map(|line| line.strip_prefix("$ jq ")).collect();
    let digest = scene.registry.manifest("whole", "v1").unwrap().digest;
    let expected = [
        (0, format!("HOST/whole:v1@{digest}\n")),
        (0, "linux/amd64 AMD64\nlinux/arm64 ARM64\nlinux/riscv64 RISCV64\n".into()),
        (0, "HOST/whole:v1\nHOST/whole:latest\n".into()),
        (1, "false\n".into()),
    ];
    assert_eq!(lines.len(), expected.len());
    for (line, (exit, text)) in lines.iter().zip(expected) {
        let ran =
            Command::new("sh").arg("-c").arg(format!("jq {line}")).current_dir(scene.folder.path()).output().unwrap();
        let stdout = scene.neutral(&String::from_utf8(ran.stdout).unwrap());
        assert_eq!((ran.status.code(), stdout), (Some(exit), text), "{line}");
    }
}

/// Flags that do not go together, wherever they stand.
#[test]
fn flags_before_and_after_the_command() {
    let scene = Scene::new();
    let push = |before: &[&str], after: &[&str]| {
        let spec = ["from-spec", "--ignore-missing", "spec.yaml"];
        run(scene.folder.path(), &[&["push"], before, &spec, after].concat())
    };
    let before = scene.registry.snapshot();
    for (one, other, part) in [
        (&["--digest-file", "f"][..], &["--dry-run"][..], "--digest-file is not for --dry-run"),
        (&["--force"], &["--append"], "--force and --append do not go together"),
        (&["--exit-code"], &[], "--exit-code is for --dry-run"),
        (&["--digest-file", "f"], &["--metadata-file", "f"], "are one file; give two"),
    ] {
        for outcome in [push(one, other), push(other, one)] {
            assert!(outcome.exit == 2 && outcome.stderr.contains(part), "{one:?} {other:?} {outcome:?}");
        }
    }
    assert_eq!(push(&["--exit-code"], &["--dry-run"]).exit, 4);
    assert_eq!(push(&["--dry-run"], &["--exit-code"]).exit, 4);
    assert_eq!(scene.registry.snapshot(), before);
}

/// Who cannot have the result hears of it before anything is written; and the file is as any other.
#[test]
fn files_for_results() {
    let scene = Scene::new();
    let before = scene.registry.snapshot();
    for bad in ["none/meta.json", "."] {
        let outcome = scene.push(&["--metadata-file", bad, "--output", "json"]);
        assert!(outcome.exit == 1 && outcome.stderr.contains(&format!("error: cannot write {bad}: ")), "{outcome:?}");
        assert!(!outcome.stderr.contains(".tmp"), "{outcome:?}");
    }
    assert_eq!(scene.registry.snapshot(), before);
    let folder = scene.folder.path();
    std::fs::write(folder.join("real"), "old").unwrap();
    std::os::unix::fs::symlink("real", folder.join("link")).unwrap();
    let program = env!("CARGO_BIN_EXE_manifest-tool");
    let line = format!(
        "umask 027; {program} --plain-http push --metadata-file /dev/stdout --digest-file link from-spec \
         --ignore-missing spec.yaml"
    );
    let ran = Command::new("sh").args(["-c", &line]).current_dir(folder).env("HOME", folder).output().unwrap();
    assert!(ran.status.success(), "{ran:?}");
    let digest = scene.registry.manifest("whole", "v1").unwrap().digest;
    assert_eq!(std::fs::read_to_string(folder.join("real")).unwrap(), digest);
    assert!(std::fs::symlink_metadata(folder.join("link")).unwrap().is_symlink());
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(folder.join("real")).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o640);
    let stdout = String::from_utf8(ran.stdout).unwrap();
    assert!(stdout.contains("\"version\": 1") && stdout.contains("Digest: sha256:"), "{stdout}");
}

/// Archives come into their places when all is done: till then nothing is told of them.
#[test]
fn an_archive_that_is_not_written() {
    let scene = Scene::new();
    let host = &scene.registry.host;
    let spec = |name: &str, source: &str| {
        format!("---\nimage: oci-archive:x.tar:{name}\ntype: oci\nmanifests: [{{image: \"{host}/{source}\"}}]\n")
    };
    let text = [spec("one", "whole:amd64"), spec("two", "whole:none")].concat();
    std::fs::write(scene.folder.path().join("spec.yaml"), text).unwrap();
    let outcome = run(scene.folder.path(), &["push", "from-spec", "spec.yaml", "--output", "json"]);
    let result = document(&outcome);
    let one = &result["indexes"][0];
    assert_eq!((&one["changed"], &one["tags"][0]["state"]), (&json!(false), &json!("failed")), "{outcome:?}");
    assert!(one["error"]["message"].as_str().unwrap().contains("not written"), "{one}");
    assert!(!scene.folder.path().join("x.tar").exists());
}

/// A plan of many indexes asks what a push of them would ask, and counts what comes for several once.
#[test]
fn a_plan_of_many() {
    let scene = Scene::new();
    let (host, folder) = (&scene.registry.host, scene.folder.path());
    let spec = |n: u32| format!("---\nimage: {host}/new:t{n}\nmanifests: [{{image: \"{host}/whole:amd64\"}}]\n");
    std::fs::write(folder.join("many.yaml"), (0..20).map(spec).collect::<String>()).unwrap();
    let mark = scene.registry.requests(0).len();
    let outcome = run(folder, &["push", "--dry-run", "from-spec", "many.yaml", "--output", "json"]);
    let result = document(&outcome);
    assert!(outcome.stderr.contains("20 indexes: 20 would change, 0 unchanged"), "{outcome:?}");
    let sum = |key: &str| {
        result["indexes"].as_array().unwrap().iter().map(|i| i["blobs"][key]["count"].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!((sum("mounted"), sum("uploaded"), sum("existing")), (2, 0, 0));
    // The image, its config, a look for it and its blobs; a look at each target.
    let requests = scene.registry.requests(mark);
    assert_eq!(requests.len(), 2 + 3 + 20, "{requests:?}");
}

/// A plan finds what would keep a layout from being written.
#[test]
fn a_plan_for_a_place_that_is_none() {
    let scene = Scene::new();
    let (template, folder) = (format!("{}/whole:ARCH", scene.registry.host), scene.folder.path());
    std::fs::create_dir(folder.join("full")).unwrap();
    std::fs::write(folder.join("full/file"), "").unwrap();
    for (target, part) in [
        ("oci:full:v1", "neither empty nor an image layout"),
        ("oci-archive:full:v1", "it is a folder"),
        ("oci-archive:none/x.tar:v1", "it cannot be written"),
    ] {
        let from = ["from-args", "--platforms", "linux/amd64", "--template", &template, "--target", target];
        for more in [&["--dry-run"][..], &[]] {
            let outcome = run(folder, &[&["push", "--type", "oci"], more, &from[..]].concat());
            assert!(outcome.exit == 1 && outcome.stderr.contains(part), "{target} {more:?} {outcome:?}");
        }
    }
}

/// What a tag holds need not be a manifest to be replaced.
#[test]
fn a_plan_over_something_else() {
    let scene = Scene::new();
    let front = Scripted::before(&scene.registry, |asked| {
        let is_look = asked.line == "GET /v2/whole/manifests/v1";
        is_look.then(|| (200, vec![("Content-Type", "text/plain".into())], b"{}".to_vec()))
    });
    let outcome = push_from_args(&front.host, "linux/amd64", "whole:ARCH", "whole:v1", &["--dry-run"]);
    assert!(outcome.exit == 0 && outcome.stdout.contains("  updated    "), "{outcome:?}");
    let wrong = sha256(b"");
    let index = format!("{}/whole:v1", scene.registry.host);
    let args = ["remove", &index, "--platform", "linux/arm64", "--dry-run", "--if-match", &wrong];
    assert_eq!(run(scene.folder.path(), &args).exit, 3);
}

/// Attestations that are not wanted are neither in the index nor brought along; another client reads the rest.
#[test]
fn an_index_without_attestations() {
    let scene = Scene::new();
    let host = &scene.registry.host;
    let spec = |attestations: &str| {
        let more = "platforms: [linux/arm64]\ntype: ${TYPE}\n";
        format!("image: {host}/bare:{attestations}\nattestations: {attestations}\ntemplate: {host}/parts:ARCH\n{more}")
    };
    for (attestations, entries) in [("drop", 1), ("keep", 2)] {
        std::fs::write(scene.folder.path().join("spec.yaml"), spec(attestations)).unwrap();
        let push = ["push", "from-spec", "spec.yaml", "--env"];
        assert_eq!(run(scene.folder.path(), &push).exit, 1, "TYPE is not set");
        let outcome = run(scene.folder.path(), &[&push[..], &["--set", "TYPE=oci"]].concat());
        assert_eq!(outcome.exit, 0, "{outcome:?}");
        let index = scene.registry.manifest("bare", attestations).unwrap();
        let read: Value = serde_json::from_slice(&index.bytes).unwrap();
        assert_eq!(read["manifests"].as_array().unwrap().len(), entries);
        let attestation = &scene.digests[2].0;
        assert_eq!(scene.registry.manifest("bare", attestation).is_some(), entries == 2);
        let source = format!("docker://{host}/bare:{attestations}");
        let raw = Command::new("skopeo").args(["inspect", "--raw", "--tls-verify=false", &source]).output().unwrap();
        assert_eq!(raw.stdout, index.bytes);
    }
}
