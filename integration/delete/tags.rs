//! `delete --tags`: the tags of a repository that match patterns are deleted, and the newest stay.

use serde_json::{Value, json};

use crate::support::images::{push_image, push_index, push_referrer};
use crate::support::{Outcome, Sandbox, ScriptedServer};

/// The note about manifests that no client can find.
pub const NOTE: &str = "note: registries do not list untagged manifests, so these are neither found nor deleted; \
                        the images of a deleted index stay until the registry's garbage collection\n";

/// The repository `app` of a registry that deletes only whole manifests.
pub struct TagsFixture {
    pub sandbox: Sandbox,
}

impl TagsFixture {
    /// Pushes an image with each of these tags.
    pub fn new(tags: &[&str]) -> Self {
        let fixture = Self { sandbox: Sandbox::new() };
        for tag in tags {
            fixture.push(tag);
        }
        fixture
    }

    /// Pushes an image for arm64 if its tag says so, or else for amd64, and returns its entry for an index.
    pub fn push(&self, tag: &str) -> Value {
        let architecture = if tag.ends_with("arm64") { "arm64" } else { "amd64" };
        push_image(&self.sandbox.registry, "app", tag, architecture)
    }

    /// Gives the manifest of a tag another tag.
    pub fn retag(&self, tag: &str, other: &str) {
        let manifest = self.sandbox.registry.manifest("app", tag).unwrap();
        self.sandbox.registry.push_manifest("app", other, &manifest.media_type, &manifest.bytes);
    }

    /// Returns the entry for an index of the manifest of a tag.
    pub fn entry(&self, tag: &str) -> Value {
        let manifest = self.sandbox.registry.manifest("app", tag).unwrap();
        json!({"mediaType": manifest.media_type, "digest": manifest.digest, "size": manifest.bytes.len()})
    }

    /// Pushes an index of the images with these tags, and returns its digest.
    pub fn push_index(&self, tag: &str, images: &[&str]) -> String {
        let entries: Vec<Value> = images.iter().map(|image| self.entry(image)).collect();
        push_index(&self.sandbox.registry, "app", tag, &entries)
    }

    pub fn delete(&self, args: &[&str]) -> Outcome {
        self.delete_at("HOST", args)
    }

    pub fn delete_at(&self, host: &str, args: &[&str]) -> Outcome {
        self.sandbox.run(&[&["delete", &format!("{host}/app")], args].concat())
    }

    pub fn digest(&self, name: &str) -> String {
        self.sandbox.registry.manifest("app", name).unwrap().digest
    }

    pub fn has(&self, name: &str) -> bool {
        self.sandbox.registry.manifest("app", name).is_some()
    }

    /// Returns all tags, sorted.
    pub fn tags(&self) -> Vec<String> {
        let listed = self.sandbox.run(&["tags", "HOST/app"]).success().stdout;
        let mut tags: Vec<String> = listed.lines().map(str::to_owned).collect();
        tags.sort_unstable();
        tags
    }

    /// Starts a server in front of the registry that deletes single tags.
    pub fn tag_deleting_server(&self) -> ScriptedServer {
        let folder = self.sandbox.registry.folder.path();
        let tags = folder.join("storage/docker/registry/v2/repositories/app/_manifests/tags");
        ScriptedServer::in_front_of(&self.sandbox.registry, move |request| {
            let tag = request.line.strip_prefix("DELETE /v2/app/manifests/").filter(|tag| !tag.contains(':'))?;
            std::fs::remove_dir_all(tags.join(tag)).unwrap();
            Some((202, vec![], vec![]))
        })
    }

    /// Returns the requests since `mark`, except for the ping.
    pub fn requests(&self, mark: usize) -> Vec<String> {
        let mut requests = self.sandbox.registry.requests(mark);
        requests.retain(|request| request != "GET /v2/");
        requests
    }
}

/// Returns the tags of the lines for deleted tags.
pub fn deleted_tags(outcome: &Outcome) -> Vec<&str> {
    let lines = outcome.stdout.lines().map(|line| line.strip_prefix("Deleted: ").unwrap());
    lines.map(|line| line.split_once(" (").unwrap().0.rsplit_once(':').unwrap().1).collect()
}

#[test]
fn the_newest_versions_stay_and_the_other_matching_tags_are_deleted() {
    let fixture = TagsFixture::new(&["v1.10", "v1.2", "v1.9", "v1.10-rc.1", "edge"]);
    fixture.retag("v1.10", "latest");
    let [oldest, old] = ["v1.2", "v1.9"].map(|tag| fixture.digest(tag));
    let outcome = fixture.delete(&["--tags", "v*", "--keep", "2"]);
    let stdout = indoc::formatdoc! {"
        Deleted: HOST/app:v1.2 ({oldest}, with its manifest)
        Deleted: HOST/app:v1.9 ({old}, with its manifest)
    "};
    let stderr = "kept v1.10-rc.1, v1.10: the newest 2\n4 tags: 2 deleted, 2 kept, 0 failed, 0 skipped\n";
    let expected = (0, fixture.sandbox.fill(&stdout), format!("{stderr}{NOTE}"));
    assert_eq!((outcome.exit, outcome.stdout, outcome.stderr), expected);
    assert_eq!(fixture.tags(), ["edge", "latest", "v1.10", "v1.10-rc.1"]);
    assert!(!fixture.has(&old));
    // Nothing is left to delete.
    let outcome = fixture.delete(&["--tags", "v*", "--keep", "2"]).success().stdout_is("");
    assert!(outcome.stderr.contains("\n2 tags: 0 deleted, 2 kept, 0 failed, 0 skipped\n"), "{outcome:?}");
    let quiet = fixture.delete(&["--quiet", "--tags", "edge,v1.10-*"]).success();
    assert_eq!((deleted_tags(&quiet), &*quiet.stderr), (vec!["v1.10-rc.1", "edge"], ""));
}

#[test]
fn a_registry_that_deletes_tags_keeps_every_manifest() {
    let fixture = TagsFixture::new(&["v1-amd64", "v1-arm64", "old"]);
    fixture.push_index("v1", &["v1-amd64", "v1-arm64"]);
    fixture.retag("old", "older");
    let digests = ["v1-amd64", "v1-arm64", "old"].map(|tag| fixture.digest(tag));
    let server = fixture.tag_deleting_server();
    let outcome = fixture.delete_at(&server.host, &["--tags", "v1-*,old"]).success();
    assert_eq!(deleted_tags(&outcome), ["v1-amd64", "v1-arm64", "old"]);
    assert!(!outcome.stdout.contains("manifest"), "{outcome:?}");
    assert!(outcome.stderr.starts_with("3 tags: 3 deleted, 0 kept, 0 failed, 0 skipped\n"), "{outcome:?}");
    assert_eq!(fixture.tags(), ["older", "v1"]);
    assert!(digests.iter().all(|digest| fixture.has(digest)));
    fixture.sandbox.run(&["verify", "HOST/app:v1"]).success();
}

#[test]
fn a_dry_run_shows_what_goes_and_what_stays_and_deletes_nothing() {
    let fixture = TagsFixture::new(&["v1", "v2", "v3"]);
    fixture.retag("v1", "stable");
    fixture.push_index("index", &["v1", "v2"]);
    let subject = fixture.entry("v3");
    push_referrer(&fixture.sandbox.registry, "app", &subject, "application/spdx+json");
    let [v1, v2] = ["v1", "v2"].map(|tag| fixture.digest(tag));
    let before = fixture.sandbox.registry.snapshot();
    let outcome = fixture.delete(&["--tags", "v*,sha*", "--keep", "1", "--dry-run"]);
    let stdout = indoc::formatdoc! {"
        plan: nothing is written
        HOST/app
          - deleted    HOST/app:v1 {v1}
            note       a registry that deletes only manifests keeps it: stable points at the same manifest and the index index lists its manifest
          - deleted    HOST/app:v2 {v2}
            note       a registry that deletes only manifests keeps it: the index index lists its manifest
            kept       HOST/app:v3 (the newest)
            kept       1 tag: referrers or signatures of other manifests, which need a pattern that starts with sha256- or sha512-
        plan: 2 tags to delete, 2 kept
    "};
    let expected = (0, fixture.sandbox.fill(&stdout), NOTE.to_owned());
    assert_eq!((outcome.exit, outcome.stdout, outcome.stderr), expected);
    let json = ["--tags", "v*", "--keep", "1", "--dry-run", "--output", "json"];
    let document = fixture.delete(&json).success().json();
    let v3 = fixture.digest("v3");
    let expected = json!({
        "version": 1, "command": "delete", "dryRun": true, "repository": fixture.sandbox.fill("HOST/app"),
        "deleted": [
            {"tag": "v1", "digest": v1, "deleted": "tag", "tags": ["stable"], "heldBy": ["index"]},
            {"tag": "v2", "digest": v2, "deleted": "tag", "tags": [], "heldBy": ["index"]},
        ],
        "kept": [{"tag": "v3", "digest": v3, "reason": "newest", "message": "the newest"}],
        "failed": [], "orphaned": [],
    });
    assert_eq!(document, expected);
    assert_eq!(fixture.sandbox.registry.snapshot(), before);
}

#[test]
fn every_tag_is_read_once_and_every_nested_index_once() {
    let tags: Vec<String> = (1..=8).map(|n| format!("v{n}")).collect();
    let fixture = TagsFixture::new(&tags.iter().map(String::as_str).collect::<Vec<_>>());
    fixture.push_index("inner", &["v7", "v8"]);
    let inner = fixture.entry("inner");
    // Another index that only other indexes list.
    let untagged = push_index(&fixture.sandbox.registry, "app", "moved", &[fixture.entry("v8")]);
    let nested = fixture.entry("moved");
    fixture.push("moved");
    for (tag, entries) in [("one", vec![inner.clone(), nested.clone()]), ("two", vec![nested])] {
        push_index(&fixture.sandbox.registry, "app", tag, &entries);
    }
    let mark = fixture.sandbox.registry.requests(0).len();
    let planned = fixture.delete(&["--tags", "v*", "--dry-run"]).success();
    let requests = fixture.requests(mark);
    // v1 to v8, inner, moved, one and two; the list; and the nested index without a tag.
    assert_eq!(requests.len(), 12 + 1 + 1, "{requests:#?}");
    assert_eq!(requests.iter().filter(|request| request.contains("/tags/list")).count(), 1);
    assert_eq!(requests.iter().filter(|request| request.ends_with(&untagged)).count(), 1, "{requests:#?}");
    planned.stdout_contains("the indexes inner, one, two list its manifest");

    let mark = fixture.sandbox.registry.requests(0).len();
    let outcome = fixture.delete(&["--tags", "v*"]).success();
    assert_eq!(deleted_tags(&outcome), ["v1", "v2", "v3", "v4", "v5", "v6"]);
    let requests = fixture.requests(mark + 14);
    let count = |start: &str| requests.iter().filter(|request| request.starts_with(start)).count();
    // A look at each tag whose manifest may go, one attempt to delete only a tag, and the manifests.
    assert_eq!((count("HEAD "), count("DELETE /v2/app/manifests/v"), count("DELETE ")), (6, 1, 1 + 6), "{requests:#?}");
    assert!(fixture.has("v7") && fixture.has("v8"));

    let fixture = TagsFixture::new(&["v1", "v2", "v3", "latest"]);
    let server = fixture.tag_deleting_server();
    fixture.delete_at(&server.host, &["--tags", "v*"]).success();
    let requests: Vec<String> = server.requests().into_iter().map(|request| request.line).collect();
    let count = |start: &str| requests.iter().filter(|request| request.starts_with(start)).count();
    let counts = (count("GET /v2/app/"), count("HEAD "), count("DELETE "));
    assert_eq!(counts, (1 + 4, 3, 3), "{requests:#?}");
}

#[test]
fn tags_of_signatures_and_referrers_stay_unless_a_pattern_names_them() {
    let fixture = TagsFixture::new(&["v1", "v2"]);
    let registry = &fixture.sandbox.registry;
    push_referrer(registry, "app", &fixture.entry("v1"), "application/spdx+json");
    let referrers = fixture.digest("v1").replace(':', "-");
    let signature = format!("{referrers}.sig");
    fixture.push(&signature);
    let outcome = fixture.delete(&["--tags", "*", "--keep", "1"]).success();
    assert_eq!(deleted_tags(&outcome), ["v1"]);
    let lines = [
        "kept v2: the newest".to_owned(),
        format!(
            "kept {referrers}, {signature}: referrers or signatures of other manifests, which need a pattern that \
             starts with sha256- or sha512-"
        ),
        "4 tags: 1 deleted, 3 kept, 0 failed, 0 skipped".into(),
        format!("note: 2 tags belong to images that no remaining tag uses, and stay: {referrers}, {signature}"),
    ];
    let mut stderr: Vec<&str> = outcome.stderr.lines().collect();
    stderr.pop();
    // The registry lists tags in any order.
    let sorted = |line: &str| {
        let mut words: Vec<String> = line.split([' ', ',', ':']).map(str::to_owned).collect();
        words.sort_unstable();
        words
    };
    assert_eq!(stderr.iter().map(|line| sorted(line)).collect::<Vec<_>>(), lines.map(|line| sorted(&line)));
    let deleted = fixture.delete(&["--tags", "sha256-*.sig"]).success();
    assert_eq!(deleted_tags(&deleted), [&*signature]);
    assert_eq!(fixture.tags(), [referrers, "v2".into()]);
}

#[test]
fn patterns_without_a_match_delete_nothing() {
    let fixture = TagsFixture::new(&["v1.0", "v1.1", "edge"]);
    let before = fixture.sandbox.registry.snapshot();
    for (patterns, message) in [
        (
            "v*,x*",
            "error: no tag of HOST/app matches \"x*\": it has 3 tags\nhint: manifest-tool tags HOST/app lists them\n",
        ),
        ("V1.1", "error: no tag of HOST/app matches \"V1.1\": it has 3 tags\nhint: similar tags: v1.1\n"),
        ("egde,", "error: no tag of HOST/app matches \"egde\", \"\": it has 3 tags\nhint: similar tags: edge\n"),
    ] {
        let outcome = fixture.delete(&["--tags", patterns]);
        assert_eq!((outcome.exit, &*outcome.stdout, outcome.stderr), (1, "", fixture.sandbox.fill(message)));
    }
    fixture.delete(&["--tags", "x*", "--dry-run"]).exits(1).stdout_is("");
    let document = fixture.delete(&["--tags", "x*", "--output", "json"]).exits(1).json();
    assert_eq!(document["error"]["hints"], json!([fixture.sandbox.fill("manifest-tool tags HOST/app lists them")]));
    fixture.sandbox.run(&["delete", "--tags", "*", "HOST/none"]).exits(1);
    assert_eq!(fixture.sandbox.registry.snapshot(), before);
}

#[test]
fn tags_and_references_cannot_be_mixed() {
    let fixture = TagsFixture::new(&["v1"]);
    let mark = fixture.sandbox.registry.requests(0).len();
    for (args, part) in [
        (
            &["--tags", "v*", "HOST/app:v1"][..],
            "\"HOST/app:v1\" has a tag or digest; with --tags, give only the repository; did you mean \"HOST/app\"?",
        ),
        (&["--tags", "v*", "oci:out:v1"], "did you mean \"oci:out\"?"),
        (&["--tags", "v*", "HOST/app", "HOST/other"], "--tags takes one repository, but 2 arguments were given"),
        (&["--tags", "v*"], "<IMAGE>"),
        (&["--keep", "3", "HOST/app:v1"], "--tags <PATTERN>"),
        (&["--older-than", "3d", "HOST/app:v1"], "--tags <PATTERN>"),
        // Without --keep, --sort has no effect, and every tag would be deleted.
        (&["--tags", "v*", "--sort", "time", "HOST/app"], "--keep <N>"),
        (&["--tags", "v*", "--keep", "1", "--sort", "registry", "HOST/app"], "registry"),
        (&["--tags", "v*", "--keep", "-1", "HOST/app"], "-1"),
        (&["--tags", "v*", "--older-than", "6m", "HOST/app"], "m could mean minutes or months"),
        (&["HOST/app"], "has no tag"),
    ] {
        let part = fixture.sandbox.fill(part);
        fixture.sandbox.run(&[&["delete"], args].concat()).fails(2, &part).stdout_is("");
    }
    assert_eq!(fixture.sandbox.registry.requests(mark), [""; 0]);
}

#[test]
fn names_are_deleted_from_layouts_and_archives() {
    let fixture = TagsFixture::new(&["v1", "v2", "v3", "edge"]);
    let sandbox = &fixture.sandbox;
    for tag in ["v1", "v2", "v3", "edge"] {
        sandbox.run(&["copy", &format!("HOST/app:{tag}"), &format!("oci:out:{tag}")]).success();
    }
    sandbox.run(&["copy", "HOST/app:v1", "oci-archive:out.tar:v1"]).success();
    let plan = sandbox.run(&["delete", "--tags", "v*", "--keep", "1", "--dry-run", "oci:out"]).success();
    assert_eq!(plan.stderr, "");
    plan.stdout_contains("  - deleted    oci:out:v1 sha256:").stdout_contains("plan: 2 tags to delete, 1 kept\n");
    let outcome = sandbox.run(&["delete", "--tags", "v*", "--keep", "1", "oci:out"]).success();
    let [v1, v2] = ["v1", "v2"].map(|tag| fixture.digest(tag));
    assert_eq!(outcome.stdout, format!("Deleted: oci:out:v1 ({v1})\nDeleted: oci:out:v2 ({v2})\n"));
    let mut tags: Vec<String> = sandbox.run(&["tags", "oci:out"]).stdout.lines().map(str::to_owned).collect();
    tags.sort_unstable();
    assert_eq!(tags, ["edge", "v3"]);
    sandbox.run(&["delete", "--tags", "v1", "oci-archive:out.tar"]).success().stdout_contains("Deleted: ");
    sandbox.run(&["tags", "oci-archive:out.tar"]).success().stdout_is("");
    sandbox.run(&["delete", "--tags", "v1", "oci-archive:out.tar"]).fails(1, "it has no tags");
}

#[test]
fn the_document_lists_deleted_kept_and_failed_tags() {
    let fixture = TagsFixture::new(&["v1", "v2", "v3"]);
    fixture.retag("v2", "stable");
    let failing = format!("DELETE /v2/app/manifests/{}", fixture.digest("v3"));
    let server = ScriptedServer::in_front_of(&fixture.sandbox.registry, move |request| {
        (request.line == failing).then(|| (403, vec![], br#"{"errors":[{"code":"DENIED","message":"no"}]}"#.to_vec()))
    });
    let [v1, v2] = ["v1", "v2"].map(|tag| fixture.digest(tag));
    let document = fixture.delete_at(&server.host, &["--tags", "v*", "--output", "json"]).exits(1).json();
    assert_eq!(document["deleted"], json!([{"tag": "v1", "digest": v1, "deleted": "manifest"}]));
    let message = "the registry deletes only whole manifests, and stable points at the same manifest";
    let kept =
        json!({"tag": "v2", "digest": v2, "reason": "used", "message": message, "tags": ["stable"], "heldBy": []});
    assert_eq!(document["kept"], json!([kept]));
    assert_eq!(document["failed"][0]["reference"], format!("{}/app:v3", server.host));
    assert_eq!((&document["error"]["exitCode"], &document["dryRun"]), (&json!(1), &json!(false)));
    assert_eq!(fixture.tags(), ["stable", "v2", "v3"]);
}
