//! `sync`: copies what a file or a source selects, and only what changed.

mod deletion;
mod files;
mod folders;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::images::{push_image, push_index};
use crate::support::tls_servers::self_signed;
use crate::support::{Outcome, Registry, ScriptedServer, Workspace};

/// Two registries, `FROM` and `TO`. The first has indexes `v1.0`, `v1.1` and `v2.0` in `team/app`, each of two images
/// without tags, and the images `3.11`, `3.12`, `3.12-alpine` and `latest` in `tool`.
struct SyncFixture {
    workspace: Workspace,
    from: Registry,
    to: Registry,
}

const APP_TAGS: [&str; 3] = ["v1.0", "v1.1", "v2.0"];
const TOOL_TAGS: [&str; 4] = ["3.11", "3.12", "3.12-alpine", "latest"];

impl SyncFixture {
    fn new() -> Self {
        let (from, to) = (Registry::start(), Registry::start());
        for tag in APP_TAGS {
            push_untagged_index(&from, "team/app", tag);
        }
        for tag in TOOL_TAGS {
            push_image(&from, "tool", tag, "amd64");
        }
        let workspace = Workspace::new().flags(&["--plain-http"]);
        let workspace = workspace.placeholder("FROM", &from.host).placeholder("TO", &to.host);
        Self { workspace, from, to }
    }

    fn sync(&self, args: &[&str]) -> Outcome {
        self.workspace.run(&[&["sync"], args].concat())
    }

    /// Syncs a file with this text.
    fn sync_file(&self, text: &str, args: &[&str]) -> Outcome {
        self.workspace.write("sync.yaml", text);
        self.sync(&[&["sync.yaml"], args].concat())
    }

    /// Asserts that a repository of the target has these tags, with the digests of the source and everything below.
    #[track_caller]
    fn assert_mirrored(&self, source: &str, target: &str, tags: &[&str]) {
        assert_eq!(tags_of(&self.to, target), tags.iter().map(ToString::to_string).collect(), "{target}");
        for tag in tags {
            let digest = |registry: &Registry, repository| registry.manifest(repository, tag).unwrap().digest;
            assert_eq!(digest(&self.from, source), digest(&self.to, target), "{tag}");
            self.workspace.run(&["verify", "--layers", &format!("TO/{target}:{tag}")]).success();
        }
    }
}

/// Pushes an index of two images, which have no tags of their own afterwards, and returns the digests of the images.
fn push_untagged_index(registry: &Registry, repository: &str, tag: &str) -> Vec<String> {
    let entries = ["amd64", "arm64"].map(|architecture| {
        let mut entry = push_image(registry, repository, &format!("{tag}-{architecture}"), architecture);
        entry["platform"] = json!({"os": "linux", "architecture": architecture});
        entry
    });
    push_index(registry, repository, tag, &entries);
    for architecture in ["amd64", "arm64"] {
        remove_tag(registry, repository, &format!("{tag}-{architecture}"));
    }
    entries.iter().map(|entry| entry["digest"].as_str().unwrap().to_owned()).collect()
}

/// Removes a tag from the registry's storage: docker-registry deletes only whole manifests.
fn remove_tag(registry: &Registry, repository: &str, tag: &str) {
    let tags = registry.folder.path().join("storage/docker/registry/v2/repositories").join(repository);
    std::fs::remove_dir_all(tags.join("_manifests/tags").join(tag)).unwrap();
}

/// Returns the tags of a repository; none if it does not exist.
fn tags_of(registry: &Registry, repository: &str) -> BTreeSet<String> {
    let tags = registry.folder.path().join("storage/docker/registry/v2/repositories").join(repository);
    let entries = std::fs::read_dir(tags.join("_manifests/tags")).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

/// Counts requests by their method and kind, such as `HEAD manifests`.
fn counts(requests: &[String]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for request in requests {
        let (method, path) = request.split_once(' ').unwrap();
        let kind = ["manifests", "blobs", "tags"].into_iter().find(|kind| path.contains(&format!("/{kind}/")));
        *counts.entry(format!("{method} {}", kind.unwrap_or("other"))).or_default() += 1;
    }
    counts
}

/// Returns the targets in the lines `Digest: DIGEST TARGET`.
fn synced(outcome: &Outcome) -> BTreeSet<String> {
    outcome.stdout.lines().map(|line| line.rsplit_once(' ').unwrap().1.to_owned()).collect()
}

const FILE: &str = indoc::indoc! {r#"
    FROM:
      images:
        team/app: [v1.0, "v1.1"]
      images-by-tag-regex:
        team/app: ^v[0-9]
        tool: ^3\.11$
      images-by-semver:
        tool: ">= 3.12"
      exclude:
        team/app: [^v2]
"#};

#[test]
fn a_file_selects_tags_and_an_unchanged_tag_takes_one_request_at_each_registry() {
    let fixture = SyncFixture::new();
    let outcome = fixture.sync_file(FILE, &["TO/mirror"]).success();
    assert!(outcome.stderr.ends_with("4 tags: 4 done, 0 unchanged, 0 failed, 0 skipped\n"), "{outcome:?}");
    let expected = ["app:v1.0", "app:v1.1", "tool:3.11", "tool:3.12"];
    let expected: BTreeSet<String> =
        expected.iter().map(|image| fixture.workspace.fill(&format!("TO/mirror/{image}"))).collect();
    assert_eq!(synced(&outcome), expected);
    fixture.assert_mirrored("team/app", "mirror/app", &["v1.0", "v1.1"]);
    fixture.assert_mirrored("tool", "mirror/tool", &["3.11", "3.12"]);

    let marks = (fixture.from.requests(0).len(), fixture.to.requests(0).len());
    let outcome = fixture.sync_file(FILE, &["TO/mirror", "--all", "--keep-going"]).success();
    assert!(outcome.stderr.ends_with("4 tags: 0 done, 4 unchanged, 0 failed, 0 skipped\n"), "{outcome:?}");
    assert_eq!(synced(&outcome), expected);
    let (read, written) = (fixture.from.requests(marks.0), fixture.to.requests(marks.1));
    let expected = BTreeMap::from([("HEAD manifests".to_owned(), 4), ("GET tags".to_owned(), 2)]);
    assert_eq!(counts(&read), expected, "{read:?}");
    assert_eq!(counts(&written), BTreeMap::from([("HEAD manifests".to_owned(), 4)]), "{written:?}");

    // Only the tag that moved is copied.
    push_image(&fixture.from, "tool", "3.11", "arm64");
    let outcome = fixture.sync_file(FILE, &["TO/mirror"]).success();
    assert!(outcome.stderr.ends_with("4 tags: 1 done, 3 unchanged, 0 failed, 0 skipped\n"), "{outcome:?}");
    fixture.assert_mirrored("tool", "mirror/tool", &["3.11", "3.12"]);
}

#[test]
fn skopeo_sync_writes_the_same_references_and_digests() {
    let fixture = SyncFixture::new();
    let skopeo_target = Registry::start();
    let digest = fixture.from.manifest("tool", "latest").unwrap().digest;
    let text = indoc::formatdoc! {r#"
        FROM:
          tls-verify: false
          images:
            team/app: [v1.1, "v2.0"]
            tool: ["3.12", {digest}]
          images-by-tag-regex:
            tool: 3\.1[12]
            team/app: "^v1.0$"
    "#};
    for prefix in ["", "/mirror"] {
        fixture.sync_file(&text, &[&format!("TO{prefix}")]).success();
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["--insecure-policy", "sync", "--src", "yaml", "--dest", "docker", "--all", "--preserve-digests"]);
        skopeo.args(["--dest-tls-verify=false", "sync.yaml", &format!("{}{prefix}", skopeo_target.host)]);
        let output = skopeo.current_dir(fixture.workspace.folder()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let prefix = prefix.trim_start_matches('/');
        for repository in ["app", "tool"] {
            let repository = format!("{prefix}/{repository}").trim_start_matches('/').to_owned();
            let tags = tags_of(&fixture.to, &repository);
            assert_eq!(tags, tags_of(&skopeo_target, &repository), "{repository}");
            assert_eq!(tags.len(), 3);
            for tag in &tags {
                let digest = |registry: &Registry| registry.manifest(&repository, tag).unwrap().digest;
                assert_eq!(digest(&fixture.to), digest(&skopeo_target), "{repository}:{tag}");
            }
            let has_digest = repository.ends_with("tool");
            for registry in [&fixture.to, &skopeo_target] {
                assert_eq!(registry.manifest(&repository, &digest).is_some(), has_digest, "{repository}");
            }
        }
    }
}

#[test]
fn a_repository_is_copied_with_all_its_tags_and_an_image_with_its_own() {
    let fixture = SyncFixture::new();
    fixture.sync(&["FROM/tool", "TO/all"]).success();
    fixture.assert_mirrored("tool", "all/tool", &TOOL_TAGS);
    let outcome = fixture.sync(&["docker://FROM/team/app:v1.0", "docker://TO/one/", "--output", "json"]).success();
    fixture.assert_mirrored("team/app", "one/app", &["v1.0"]);
    let document = outcome.json();
    let copy = &document["copies"][0];
    assert_eq!((&document["command"], &copy["changed"]), (&json!("sync"), &json!(true)), "{document}");
    assert_eq!(copy["reference"], fixture.workspace.fill("TO/one/app:v1.0"));
    let document = fixture.sync(&["FROM/team/app:v1.0", "TO/one", "--output", "json"]).success().json();
    let reference = fixture.workspace.fill("TO/one/app:v1.0");
    let digest = fixture.from.manifest("team/app", "v1.0").unwrap().digest;
    let expected = json!([{
        "source": fixture.workspace.fill("FROM/team/app:v1.0"), "reference": reference, "digest": digest, "changed": false,
        "tags": [{"reference": reference, "tag": "v1.0", "state": "unchanged", "was": digest}],
    }]);
    assert_eq!(document["copies"], expected);
    // A digest that the target has takes one request.
    let marks = (fixture.from.requests(0).len(), fixture.to.requests(0).len());
    fixture.sync(&[&format!("FROM/team/app@{digest}"), "TO/one"]).success();
    assert_eq!((fixture.from.requests(marks.0).len(), fixture.to.requests(marks.1).len()), (0, 1));
}

#[test]
fn sources_with_one_target_are_refused_before_anything_is_written_unless_scoped() {
    let fixture = SyncFixture::new();
    push_image(&fixture.from, "other/app", "v1.0", "amd64");
    let text = "FROM:\n  images: {team/app: [], other/app: []}\n";
    let before = fixture.to.snapshot();
    for dry_run in [&[][..], &["--dry-run"]] {
        let outcome = fixture.sync_file(text, &[&["TO/mirror"], dry_run].concat());
        let message = "error: TO/mirror/app:v1.0 would be written twice: from FROM/team/app:v1.0 and from \
                       FROM/other/app:v1.0\nhint: use --scoped to keep the registry and the path of each source\n";
        assert_eq!((outcome.exit, outcome.stderr), (1, fixture.workspace.fill(message)));
    }
    assert_eq!(fixture.to.snapshot(), before);
    fixture.sync_file(text, &["TO/mirror", "--scoped"]).success();
    let host = fixture.from.host.replace(':', "_");
    fixture.assert_mirrored("team/app", &format!("mirror/{host}/team/app"), &APP_TAGS);
    fixture.assert_mirrored("other/app", &format!("mirror/{host}/other/app"), &["v1.0"]);
    fixture.sync(&["FROM/tool:latest", "FROM"]).fails(1, "/tool:latest would be copied to itself");
}

#[test]
fn a_failed_tag_does_not_stop_the_others_unless_fail_fast() {
    let fixture = SyncFixture::new();
    let server = ScriptedServer::in_front_of(&fixture.from, |request| {
        let is_broken = request.line.contains("/manifests/3.12") && !request.line.contains("alpine");
        is_broken.then(|| (403, vec![], br#"{"errors":[{"code":"DENIED"}]}"#.to_vec()))
    });
    let source = format!("{}/tool", server.host);
    let outcome = fixture.sync(&[&source, "TO/mirror"]).fails(1, "tool:3.12");
    assert!(outcome.stderr.ends_with("error: 4 tags: 3 done, 0 unchanged, 1 failed, 0 skipped\n"), "{outcome:?}");
    assert_eq!(tags_of(&fixture.to, "mirror/tool").len(), 3);
    let document = fixture.sync(&[&source, "TO/mirror", "--output", "json"]).exits(1).json();
    let failed: Vec<&Value> =
        document["copies"].as_array().unwrap().iter().filter(|copy| copy.get("error").is_some()).collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0]["source"], format!("{source}:3.12"));
    // At most 16 tags are in progress when the first one fails.
    let names: Vec<String> = (0..40).map(|n| format!("n{n}")).collect();
    names.iter().for_each(|name| drop(push_image(&fixture.from, "tool", name, name)));
    let text = format!("{}:\n  images: {{tool: [\"3.12\", {}]}}\n", server.host, names.join(", "));
    let outcome = fixture.sync_file(&text, &["TO/fast", "--fail-fast"]).exits(1);
    let skipped = outcome.stderr.trim_end().rsplit_once(" failed, ").unwrap().1;
    let skipped: usize = skipped.split(' ').next().unwrap().parse().unwrap();
    assert!(skipped >= 1, "{outcome:?}");
    let done = tags_of(&fixture.to, "fast/tool").len();
    assert_eq!(done + skipped + 1, 41, "{outcome:?}");
    fixture.sync(&["FROM/tool", "TO", "--fail-fast", "--keep-going"]).exits(2);
}

#[test]
fn a_repository_that_cannot_be_listed_fails_and_the_others_are_copied() {
    let fixture = SyncFixture::new();
    let text = "FROM:\n  images: {missing: [], tool: [latest]}\n  images-by-tag-regex: {team/app: ^v9}\n";
    let outcome = fixture.sync_file(text, &["TO/mirror"]);
    let outcome = outcome.fails(1, &format!("cannot copy {}/missing: ", fixture.from.host));
    assert!(outcome.stderr.contains("warning: "), "{outcome:?}");
    assert!(outcome.stderr.contains("/team/app: no tag matches \"^v9\"\n"), "{outcome:?}");
    assert!(outcome.stderr.ends_with("error: 2 tags: 1 done, 0 unchanged, 1 failed, 0 skipped\n"), "{outcome:?}");
    fixture.assert_mirrored("tool", "mirror/tool", &["latest"]);
    let text = "FROM:\n  images-by-semver: {team/app: '>= 9'}\n";
    fixture
        .sync_file(text, &["TO/mirror"])
        .fails(1, "error: no tag to copy: the sources have none that is selected\n")
        .stderr_contains("/team/app: no tag is a version \">= 9\"\n");
}

#[test]
fn a_dry_run_shows_what_changed_and_writes_nothing() {
    let fixture = SyncFixture::new();
    fixture.sync(&["FROM/team/app:v1.0", "TO"]).success();
    let before = fixture.to.snapshot();
    let outcome = fixture.sync(&["FROM/team/app", "TO", "--dry-run"]).success();
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert_eq!(lines.first(), Some(&"plan: nothing is written"));
    assert_eq!(lines.last(), Some(&"plan: 2 tags to create, 1 unchanged"), "{outcome:?}");
    assert!(outcome.stderr.ends_with("3 tags: 2 would change, 1 unchanged, 0 failed, 0 skipped\n"), "{outcome:?}");
    assert_eq!(fixture.to.snapshot(), before);
    let unchanged = fixture.sync(&["FROM/team/app:v1.0", "TO", "--dry-run"]).success();
    assert_eq!(unchanged.stdout, "plan: nothing is written\nplan: 1 tag unchanged\n");
    let document = fixture.sync(&["FROM/team/app", "TO", "--dry-run", "--output", "json"]).success().json();
    assert_eq!((&document["dryRun"], document["copies"].as_array().unwrap().len()), (&json!(true), 3));
}

#[test]
fn the_parts_of_a_sync_are_disjoint_and_complete() {
    let fixture = SyncFixture::new();
    let text = "FROM:\n  images: {team/app: [], tool: []}\n";
    let parts = ["1/3", "2/3", "3/3"].map(|shard| {
        let outcome = fixture.sync_file(text, &["TO/mirror", "--shard", shard]).success();
        let part = synced(&outcome);
        assert!(outcome.stderr.contains(&format!(": {} of 7 tags\n", part.len())), "{outcome:?}");
        part
    });
    let all: BTreeSet<String> = parts.iter().flatten().cloned().collect();
    assert_eq!((all.len(), parts.iter().map(BTreeSet::len).sum::<usize>()), (7, 7), "{parts:?}");
    fixture.assert_mirrored("team/app", "mirror/app", &APP_TAGS);
    fixture.assert_mirrored("tool", "mirror/tool", &TOOL_TAGS);
    fixture.sync(&["FROM/tool", "TO", "--shard", "1/2", "--delete"]).exits(2);
}

#[test]
fn a_resumed_sync_reads_only_the_sources_of_finished_tags() {
    let fixture = SyncFixture::new();
    let text = "FROM:\n  images: {tool: [\"3.11\", \"3.12\", no]}\n";
    let args = ["TO/mirror", "--report", "done.jsonl", "--resume", "done.jsonl"];
    fixture.sync_file(text, &args).fails(1, "/tool:no");
    assert_eq!(fixture.workspace.read("done.jsonl").lines().count(), 2);
    push_image(&fixture.from, "tool", "no", "amd64");
    push_image(&fixture.from, "tool", "3.12", "arm64");
    let mark = fixture.to.requests(0).len();
    let outcome = fixture.sync_file(text, &args).success();
    assert!(outcome.stderr.ends_with("3 tags: 2 done, 1 unchanged, 0 failed, 0 skipped\n"), "{outcome:?}");
    let requests = fixture.to.requests(mark);
    assert!(requests.iter().all(|request| !request.contains("/manifests/3.11")), "{requests:?}");
    fixture.assert_mirrored("tool", "mirror/tool", &["3.11", "3.12", "no"]);
    let lines: Vec<Value> =
        fixture.workspace.read("done.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4, "{lines:?}");
    // The size of a tag that was not read is unknown.
    fixture.sync_file(text, &["TO/mirror", "--report", "new.jsonl"]).success();
    let line: Value = serde_json::from_str(fixture.workspace.read("new.jsonl").lines().next().unwrap()).unwrap();
    assert_eq!((&line["changed"], line.get("size")), (&json!(false), None), "{line}");
    let marks = (fixture.from.requests(0).len(), fixture.to.requests(0).len());
    fixture.sync_file(text, &["TO/mirror", "--resume", "new.jsonl"]).success();
    assert_eq!((fixture.from.requests(marks.0).len(), fixture.to.requests(marks.1).len()), (3, 0));
    fixture.sync_file(text, &["TO", "--dry-run", "--report", "new.jsonl"]).exits(2);
}

#[test]
fn tls_verify_false_in_the_file_skips_the_certificate_check_of_that_registry() {
    let workspace = Workspace::new().flags(&["--retries", "0"]);
    let folder = workspace.folder().to_owned();
    let key = ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
    let (certificate, key) = self_signed(&folder, "server", &key, &["-addext", "subjectAltName=IP:127.0.0.1"]);
    let tls = format!("  tls:\n    certificate: {}\n    key: {}\n", certificate.display(), key.display());
    let registry = Registry::start_with(&tls, None);
    for (verify, error) in [("false", "app:v1 not found"), ("true", "cannot verify the certificate of ")] {
        let text = format!("{}:\n  tls-verify: {verify}\n  images: {{app: [v1]}}\n", registry.host);
        workspace.write("sync.yaml", &text);
        workspace.run(&["sync", "sync.yaml", "oci:mirror"]).fails(1, error);
    }
}
