//! Several targets: one index in several repositories and registries, whose tags move only together.

use serde_json::json;

use super::{ARCHITECTURES, Fixture, architectures, index};
use crate::support::faults::{Fault, FaultProxy};
use crate::support::images::{DOCKER, push_image_with};
use crate::support::{Registry, Sandbox, Workspace};

#[test]
fn one_index_is_pushed_to_several_repositories_and_registries() {
    let fixture = Fixture::new();
    let other = Registry::start();
    let mirror = format!("{}/mirror/app:v1", other.host);
    let args = ["--output", "json", "push", "from-images", "-t", "HOST/parts:v1", "-t", "HOST/app:v1", "-t", &mirror];
    let sources = ["--tags", "latest", "HOST/parts:amd64", "HOST/parts:arm64", "HOST/parts:s390x"];
    let document = fixture.sandbox.run(&[&args[..], &sources].concat()).success().json();
    let indexes = document["indexes"].as_array().unwrap();
    let references: Vec<&str> = indexes.iter().map(|index| index["reference"].as_str().unwrap()).collect();
    let expected = [fixture.sandbox.fill("HOST/parts:v1"), fixture.sandbox.fill("HOST/app:v1"), mirror.clone()];
    assert_eq!(references, expected);
    for (registry, repository) in [(fixture.registry(), "parts"), (fixture.registry(), "app"), (&other, "mirror/app")] {
        for tag in ["v1", "latest"] {
            let stored = registry.manifest(repository, tag).unwrap();
            assert_eq!(stored.digest, indexes[0]["digest"].as_str().unwrap(), "{repository}:{tag}");
        }
        assert_eq!(architectures(&index(registry, repository, "v1")), ARCHITECTURES);
    }
    fixture.sandbox.run(&["verify", "HOST/app:v1", &mirror]).success();
    let placed = |at: usize| indexes[at]["entries"][0]["manifest"].as_str().unwrap();
    assert_eq!([placed(0), placed(1), placed(2)], ["existing", "pushed", "pushed"]);
}

#[test]
fn a_line_per_target_is_printed() {
    let fixture = Fixture::new();
    let outcome = fixture.push(&["-t", "HOST/a:v1", "-t", "HOST/b:v1", "HOST/parts:amd64"]).success();
    let stored = fixture.registry().manifest("a", "v1").unwrap();
    let line = |name: &str| format!("Digest: {} {} HOST/{name}:v1\n", stored.digest, stored.bytes.len());
    assert_eq!(outcome.stdout, fixture.sandbox.fill(&(line("a") + &line("b"))));
    let files =
        fixture.push_with(&["--digest-file", "digest"], &["-t", "HOST/a:v1", "-t", "HOST/b:v1", "HOST/parts:amd64"]);
    files.success();
    assert_eq!(fixture.sandbox.read("digest"), stored.digest);
}

#[test]
fn tags_are_written_beside_every_target_and_references_where_they_are() {
    let fixture = Fixture::new();
    let tags = "latest,HOST/b:extra,HOST/c:v2,HOST/c:v3";
    fixture.push(&["-t", "HOST/a:v1", "-t", "HOST/b:v1", "--tags", tags, "HOST/parts:amd64"]).success();
    let tags = |repository: &str| {
        let listed = fixture.sandbox.run(&["tags", &format!("HOST/{repository}")]).success().stdout;
        let mut tags: Vec<String> = listed.lines().map(str::to_owned).collect();
        tags.sort();
        tags
    };
    assert_eq!(
        (tags("a"), tags("b"), tags("c")),
        (
            vec!["latest".into(), "v1".into()],
            vec!["extra".into(), "latest".into(), "v1".into()],
            vec!["v2".into(), "v3".into()]
        )
    );
}

#[test]
fn sources_are_read_once_for_all_targets() {
    let fixture = Fixture::new();
    let mark = fixture.registry().requests(0).len();
    let [amd64, arm64, _] = &fixture.digests;
    fixture.push(&["-t", "HOST/parts:v1", "-t", "HOST/parts:v2", "-t", "HOST/app:v1", amd64, arm64]).success();
    let requests = fixture.registry().requests(mark);
    let count = |method: &str, part: &str| {
        requests.iter().filter(|line| line.starts_with(method) && line.contains(part)).count()
    };
    assert_eq!((count("GET", "/manifests/"), count("GET", "/parts/blobs/")), (2, 2), "{requests:#?}");
    // Each target is looked at and written; the children are placed once in the other repository.
    assert_eq!((count("PUT", "/v2/parts/manifests/"), count("PUT", "/v2/app/manifests/")), (2, 3), "{requests:#?}");
    assert_eq!(count("POST", "/v2/app/blobs/uploads/?mount="), 4, "{requests:#?}");
}

#[test]
fn no_tag_is_written_anywhere_until_the_images_are_at_every_target() {
    let fixture = Fixture::new();
    let other = Registry::start();
    let broken = FaultProxy::in_front_of(&other, Clone::clone, |request| {
        request.line.starts_with("PUT /v2/app/manifests/sha256:").then_some(Fault::CannedResponse(403, Vec::new(), ""))
    });
    let target = format!("{}/app:v1", broken.host);
    let args = ["push", "from-images", "-t", "HOST/a:v1", "-t", &target, "HOST/parts:amd64", "HOST/parts:arm64"];
    let outcome = fixture.sandbox.run(&args).fails(1, &format!("cannot push {target}"));
    outcome.stderr_contains("no tag was written at any target").stdout_is("");
    assert!(fixture.registry().manifest("a", "v1").is_none() && other.manifest("app", "v1").is_none());
    let document = fixture.sandbox.run(&[&["--output", "json"], &args[..]].concat()).exits(1).json();
    let states: Vec<&str> = [0, 1].map(|at| document["indexes"][at]["tags"][0]["state"].as_str().unwrap()).into();
    assert_eq!(states, ["failed", "failed"]);
}

#[test]
fn a_failure_at_the_tag_of_one_target_leaves_the_others_exact() {
    let fixture = Fixture::new();
    let other = Registry::start();
    let broken = FaultProxy::in_front_of(&other, Clone::clone, |request| {
        request.line.starts_with("PUT /v2/app/manifests/latest").then_some(Fault::CannedResponse(403, Vec::new(), ""))
    });
    let target = format!("{}/app:v1", broken.host);
    let args = [
        "push",
        "from-images",
        "-t",
        "HOST/a:v1",
        "-t",
        &target,
        "-t",
        "HOST/b:v1",
        "--tags",
        "latest",
        "HOST/parts:amd64",
    ];
    let outcome = fixture.sandbox.run(&args).fails(1, &format!("cannot push {target}"));
    let pushed = fixture.registry().manifest("a", "v1").unwrap();
    let lines = format!("Digest: {0} {1} HOST/a:v1\nDigest: {0} {1} HOST/b:v1\n", pushed.digest, pushed.bytes.len());
    let outcome = outcome.stdout_is(&fixture.sandbox.fill(&lines));
    outcome
        .stderr_contains(&format!("written: {target}; not written: {}/app:latest", broken.host))
        .stderr_contains(&fixture.sandbox.fill("pushed: HOST/a:v1, HOST/b:v1"));
    let document = fixture.sandbox.run(&[&["--output", "json"], &args[..]].concat()).exits(1).json();
    let indexes = document["indexes"].as_array().unwrap();
    assert_eq!(indexes.len(), 3);
    assert!(indexes[0]["error"].is_null() && indexes[2]["error"].is_null());
    assert_eq!(indexes[1]["tags"][1]["state"], "failed");
    assert!(indexes[1]["error"]["message"].as_str().unwrap().starts_with("cannot push"));
}

#[test]
fn if_match_none_applies_to_every_target_and_a_digest_is_refused() {
    let fixture = Fixture::new();
    let targets = ["-t", "HOST/a:v1", "-t", "HOST/b:v1", "HOST/parts:amd64"];
    fixture.push(&["-t", "HOST/b:v1", "HOST/parts:arm64"]).success();
    fixture.push_with(&["--if-match", "none"], &targets).exits(3).stderr_contains("no tag was written at any target");
    let predicted = fixture.push_with(&["--dry-run", "--if-match", "none"], &targets).exits(3);
    predicted.stderr_contains("no tag was written at any target").stdout_is("");
    assert!(fixture.registry().manifest("a", "v1").is_none());
    let digest = fixture.registry().manifest("b", "v1").unwrap().digest;
    fixture.push_with(&["--if-match", &digest], &targets).fails(2, "needs a single target");
    fixture.push_with(&["--if-match", "none"], &["-t", "HOST/a:v1", "-t", "HOST/c:v1", "HOST/parts:amd64"]).success();
}

#[test]
fn append_changes_the_index_of_each_target() {
    let fixture = Fixture::new();
    fixture.push(&["-t", "HOST/a:v1", "HOST/parts:amd64"]).success();
    fixture.push(&["-t", "HOST/b:v1", "HOST/parts:s390x"]).success();
    let append = ["--append", "--settle", "1ms"];
    fixture.push_with(&append, &["-t", "HOST/a:v1", "-t", "HOST/b:v1", "HOST/parts:arm64"]).success();
    let entries = |repository: &str| architectures(&index(fixture.registry(), repository, "v1")).join(" ");
    assert_eq!((entries("a").as_str(), entries("b").as_str()), ("amd64 arm64", "s390x arm64"));
    let with_file = ["--append", "--digest-file", "digest"];
    fixture
        .push_with(&with_file, &["-t", "HOST/a:v1", "-t", "HOST/b:v1", "HOST/parts:arm64"])
        .fails(2, "single target");
}

#[test]
fn warnings_of_an_append_are_in_the_document() {
    let fixture = Fixture::new();
    fixture.push(&["-t", "HOST/a:v1", "HOST/parts:amd64"]).success();
    let args = ["--output", "json", "push", "--append", "--settle", "1ms", "from-images", "-t", "HOST/a:v1"];
    let sources = ["HOST/parts:arm64", "HOST/parts:arm64"];
    let document = fixture.sandbox.run(&[&args[..], &sources].concat()).success().json();
    assert!(document["indexes"][0]["warnings"][0].as_str().unwrap().contains("is given twice"), "{document}");
}

#[test]
fn a_precondition_that_fails_at_one_target_after_another_was_written_is_exit_code_1() {
    let fixture = Fixture::new();
    fixture.push(&["-t", "HOST/b:v1", "HOST/parts:arm64"]).success();
    // With --force, tags are only looked at when they are written.
    let flags = ["--force", "--if-match", "none"];
    let outcome = fixture.push_with(&flags, &["-t", "HOST/a:v1", "-t", "HOST/b:v1", "HOST/parts:amd64"]);
    outcome.exits(1).stderr_contains(&fixture.sandbox.fill("pushed: HOST/a:v1"));
}

#[test]
fn a_spec_has_targets() {
    let fixture = Fixture::new();
    let spec =
        "targets: [HOST/b:v1, HOST/c]\ntags: [latest, HOST/d:v1]\ntype: auto\nmanifests: [{image: HOST/parts:amd64}]\n";
    fixture.sandbox.write("spec.yaml", &format!("image: HOST/a:v1\n{spec}"));
    fixture.sandbox.write("only.yaml", &spec.replace("HOST/c", "HOST/e:v1"));
    fixture.sandbox.run(&["push", "from-spec", "spec.yaml"]).success();
    for reference in ["a:v1", "a:latest", "b:v1", "b:latest", "c:latest", "d:v1"] {
        let (repository, tag) = reference.split_once(':').unwrap();
        assert_eq!(architectures(&index(fixture.registry(), repository, tag)), ["amd64"], "{reference}");
    }
    assert!(fixture.registry().manifest("d", "latest").is_none());
    fixture.sandbox.run(&["push", "from-spec", "only.yaml"]).success();
    assert_eq!(architectures(&index(fixture.registry(), "e", "latest")), ["amd64"]);
    let lint = fixture.sandbox.run(&["lint", "spec.yaml"]).success();
    assert_eq!(
        lint.stdout,
        fixture.sandbox.fill("spec.yaml: HOST/a:v1, HOST/b:v1, HOST/c:latest, HOST/d:v1: 1 image\n")
    );
    let args = ["push", "--type", "oci", "from-args", "--platforms", "linux/amd64", "--template", "HOST/parts:ARCH"];
    let tags = ["--target", "HOST/f:v1", "--tags", "latest,HOST/g:v1"];
    fixture.sandbox.run(&[&args[..], &tags].concat()).success();
    assert_eq!(architectures(&index(fixture.registry(), "g", "v1")), ["amd64"]);
    let twice = fixture.sandbox.run(&["push", "from-spec", "spec.yaml", "only.yaml"]);
    twice.fails(1, "is also written by spec.yaml");
}

#[test]
fn from_args_uses_the_last_target_as_2_2_1_does() {
    let fixture = Fixture::new();
    let args = ["push", "--type", "oci", "from-args", "--platforms", "linux/amd64", "--template", "HOST/parts:ARCH"];
    let targets = ["--target", "HOST/a:v1", "--target", "HOST/b:v1"];
    fixture.sandbox.run(&[&args[..], &targets].concat()).success().stderr_contains("only the last one is used");
    assert!(fixture.registry().manifest("a", "v1").is_none() && fixture.registry().manifest("b", "v1").is_some());
}

#[test]
fn a_layout_and_an_archive_can_be_targets_beside_a_registry() {
    let fixture = Fixture::new();
    fixture
        .push(&["-t", "HOST/a:v1", "-t", "oci:out:v1", "-t", "oci-archive:out.tar:v1", "HOST/parts:amd64"])
        .success();
    let digest = fixture.registry().manifest("a", "v1").unwrap().digest;
    for target in ["oci:out:v1", "oci-archive:out.tar:v1"] {
        assert_eq!(fixture.sandbox.run(&["digest", target]).success().stdout, format!("{digest}\n"));
    }
}

#[test]
fn an_archive_is_not_written_if_another_target_fails() {
    let fixture = Fixture::new();
    let broken = FaultProxy::in_front_of(fixture.registry(), Clone::clone, |request| {
        request.line.starts_with("PUT /v2/app/manifests/v1").then_some(Fault::CannedResponse(403, Vec::new(), ""))
    });
    let target = format!("{}/app:v1", broken.host);
    let args = ["push", "from-images", "-t", &target, "-t", "oci:out:v1", "-t", "oci-archive:out.tar:v1"];
    let outcome = fixture.sandbox.run(&[&args[..], &["HOST/parts:amd64"]].concat()).exits(1);
    assert!(outcome.stdout.ends_with("oci:out:v1\n") && outcome.stdout.lines().count() == 1, "{outcome:?}");
    outcome.stderr_contains("pushed: oci:out:v1; not written: oci-archive:out.tar:v1");
    assert!(!fixture.sandbox.path("out.tar").exists());
    let json = [&["--output", "json"], &args[..], &["HOST/parts:amd64"]].concat();
    let document = fixture.sandbox.run(&json).exits(1).json();
    assert_eq!(document["indexes"][2]["tags"][0]["state"], "failed");
    assert!(document["indexes"][2]["error"]["message"].as_str().unwrap().contains("another target failed"));
}

#[test]
fn an_archive_that_is_a_source_is_refused_before_any_tag_is_written() {
    let fixture = Fixture::new();
    fixture.sandbox.run(&["copy", "HOST/parts:amd64", "oci-archive:b.tar:x"]).success();
    let args = ["-t", "oci-archive:b.tar:v1", "-t", "HOST/a:v1", "oci-archive:b.tar"];
    fixture.push(&args).fails(1, "is also a source").stderr_contains("no tag was written at any target");
    assert!(fixture.registry().manifest("a", "v1").is_none());
    fixture.push_with(&["--dry-run"], &args).fails(1, "is also a source").stderr_contains("no tag was written");
}

#[test]
fn referrers_of_images_in_other_repositories_are_copied_on_request() {
    let fixture = Fixture::new();
    let [amd64, ..] = &fixture.digests;
    let signature = push_signature(fixture.registry(), amd64);
    fixture.push(&["-t", "HOST/plain:v1", "HOST/parts:amd64"]).success();
    let targets = ["-t", "HOST/a:v1", "-t", "HOST/b:v1", "-t", "HOST/b:v2", "HOST/parts:amd64"];
    let mark = fixture.registry().requests(0).len();
    fixture.push_with(&["--referrers"], &targets).success();
    let signatures = fixture.registry().requests(mark);
    let signatures = signatures.iter().filter(|line| line.starts_with("GET /v2/parts/manifests/sha256-")).count();
    // Once per repository: the referrers tag and three tags of cosign, of the image and of its signature.
    assert_eq!(signatures, 2 * 2 * 4);
    let tag = amd64.replace(':', "-");
    for (repository, is_copied) in [("plain", false), ("a", true), ("b", true)] {
        assert_eq!(fixture.registry().manifest(repository, &signature).is_some(), is_copied, "{repository}");
        assert_eq!(fixture.registry().manifest(repository, &tag).is_some(), is_copied, "{repository}");
    }
}

/// Pushes a signature of an image in `parts`, and lists it in the referrers tag. Returns its digest.
fn push_signature(registry: &Registry, image: &str) -> String {
    let blob = registry.push_blob("parts", b"{}");
    let empty = json!({"mediaType": "application/vnd.oci.empty.v1+json", "digest": blob, "size": 2});
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media_type, "artifactType": "application/vnd.example.signature",
        "config": empty, "layers": [empty],
        "subject": {"mediaType": media_type, "digest": image, "size": 1},
    })
    .to_string();
    registry.push_manifest("parts", "signature", media_type, manifest.as_bytes());
    let digest = registry.manifest("parts", "signature").unwrap().digest;
    let entry = json!({
        "mediaType": media_type, "digest": digest, "size": manifest.len(),
        "artifactType": "application/vnd.example.signature",
    });
    crate::support::images::push_index(registry, "parts", &image.replace(':', "-"), &[entry]);
    digest
}

#[test]
fn referrers_that_are_left_in_a_layout_are_mentioned() {
    let fixture = Fixture::new();
    push_signature(fixture.registry(), &fixture.digests[0]);
    fixture.sandbox.run(&["copy", "--referrers", "HOST/parts:amd64", "oci:build:amd64"]).success();
    let left = fixture.push(&["-t", "HOST/a:v1", "oci:build:amd64"]).success();
    left.stderr_contains("1 referrer of the images (signatures, SBOMs, attestations) is not copied; use --referrers");
    fixture
        .push_with(&["--strict"], &["-t", "HOST/c:v1", "oci:build:amd64"])
        .fails(1, "is not copied; use --referrers");
    assert!(fixture.registry().manifest("c", "v1").is_none());
    fixture.push_with(&["--referrers"], &["-t", "HOST/b:v1", "oci:build:amd64"]).success().stderr_lacks("referrer");
    let tag = fixture.digests[0].replace(':', "-");
    assert!(fixture.registry().manifest("a", &tag).is_none() && fixture.registry().manifest("b", &tag).is_some());
}

#[test]
fn each_registry_needs_its_own_credentials() {
    let (open, closed) = (Registry::start(), Registry::with_htpasswd());
    push_image_with(&open, "app", "amd64", br#"{"os":"linux","architecture":"amd64"}"#, b"layer");
    let workspace = Workspace::new().flags(&["--plain-http"]);
    let (image, here, there) =
        (format!("{}/app:amd64", open.host), format!("{}/app:v1", open.host), format!("{}/app:v1", closed.host));
    let outcome = workspace.run(&["push", "from-images", "-t", &here, "-t", &there, &image]);
    outcome.fails(1, &closed.host).stderr_contains("no tag was written at any target");
    assert!(open.manifest("app", "v1").is_none());
}

#[test]
fn a_docker_list_is_pushed_to_every_target() {
    let sandbox = Sandbox::new();
    let config = json!({"os": "linux", "architecture": "amd64"}).to_string();
    let config_type = "application/vnd.docker.container.image.v1+json";
    let digest = sandbox.registry.push_blob("parts", config.as_bytes());
    let config = json!({"mediaType": config_type, "digest": digest, "size": config.len()});
    let manifest = json!({"schemaVersion": 2, "mediaType": DOCKER, "config": config, "layers": []}).to_string();
    sandbox.registry.push_manifest("parts", "amd64", DOCKER, manifest.as_bytes());
    sandbox.run(&["push", "from-images", "-t", "HOST/a:v1", "-t", "HOST/b:v1", "HOST/parts:amd64"]).success();
    let [a, b] = ["a", "b"].map(|repository| sandbox.registry.manifest(repository, "v1").unwrap());
    assert_eq!(
        (&a.bytes, a.media_type.as_str()),
        (&b.bytes, "application/vnd.docker.distribution.manifest.list.v2+json")
    );
}
