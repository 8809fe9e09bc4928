//! `--delete`: never a tag that a source has, and never a manifest that a remaining tag uses.

use serde_json::json;

use super::{APP_TAGS, SyncFixture, push_untagged_index, remove_tag, tags_of};
use crate::support::ScriptedServer;
use crate::support::images::{OCI, OCI_INDEX, push_image};

/// docker-registry deletes only whole manifests.
#[test]
fn delete_removes_tags_that_no_source_has_and_keeps_manifests_in_use() {
    let fixture = SyncFixture::new();
    let text = "FROM:\n  images-by-tag-regex: {team/app: ^v1}\n";
    let children = push_untagged_index(&fixture.from, "team/app", "v0.9");
    fixture.sync(&["FROM/team/app", "TO/m"]).success();
    remove_tag(&fixture.from, "team/app", "v0.9");
    let (from, to) = (&fixture.from, &fixture.to);
    // Tags that only the target has: with a manifest of its own, of a tag that stays, and in an index that stays.
    push_image(to, "m/app", "gone", "amd64");
    let v1 = to.manifest("m/app", "v1.0").unwrap();
    to.push_manifest("m/app", "same", OCI_INDEX, &v1.bytes);
    let entries: serde_json::Value = serde_json::from_slice(&v1.bytes).unwrap();
    let child = entries["manifests"][0]["digest"].as_str().unwrap();
    to.push_manifest("m/app", "child", OCI, &to.manifest("m/app", child).unwrap().bytes);
    let signature = |digest: &str| format!("{}.sig", digest.replace(':', "-"));
    let of_v1 = signature(&v1.digest);
    let of_gone = signature(&to.manifest("m/app", "gone").unwrap().digest);
    for tag in [&of_v1, &of_gone] {
        push_image(to, "m/app", tag, "amd64");
    }
    let before = to.snapshot();

    let planned = fixture.sync_file(text, &["TO/m", "--delete", "--dry-run"]).success();
    assert_eq!(to.snapshot(), before);
    for tag in ["v0.9", "gone", "same", "child"] {
        let line = fixture.workspace.fill(&format!("  - deleted    TO/m/app:{tag} sha256:"));
        assert!(planned.stdout.contains(&line), "{planned:?}");
    }
    assert!(planned.stdout.contains("a registry that deletes only manifests keeps it: v1.0 points at the same"));
    assert!(planned.stdout.ends_with("plan: 4 tags to delete, 2 unchanged\n"), "{planned:?}");
    assert!(!planned.stdout.contains(&of_v1) && !planned.stdout.contains("v2.0"), "{planned:?}");

    let outcome = fixture.sync_file(text, &["TO/m", "--delete", "--output", "json"]).success();
    let mut remaining: Vec<String> = APP_TAGS.map(str::to_owned).to_vec();
    remaining.extend(["same".to_owned(), "child".to_owned(), of_v1, of_gone.clone()]);
    assert_eq!(
        tags_of(to, "m/app"),
        remaining.into_iter().collect(),
        "v2.0 stays, because the source has it: {outcome:?}"
    );
    let document = outcome.json();
    let deletions = &document["deletions"][0];
    let tags = |key: &str| {
        let tags = deletions[key].as_array().unwrap().iter().map(|tag| tag["tag"].as_str().unwrap().to_owned());
        std::collections::BTreeSet::from_iter(tags)
    };
    assert_eq!(deletions["repository"], fixture.workspace.fill("TO/m/app"));
    assert_eq!(tags("deleted"), ["gone", "v0.9"].map(str::to_owned).into());
    assert_eq!(tags("kept"), ["child", "same"].map(str::to_owned).into());
    assert_eq!(tags("orphaned"), [of_gone].into(), "{document}");
    assert!(outcome.stderr.contains("/m/app: 4 tags: 2 deleted, 2 kept, 0 failed, 0 skipped\n"), "{outcome:?}");
    for tag in APP_TAGS {
        fixture.workspace.run(&["verify", "--layers", &format!("TO/m/app:{tag}")]).success();
    }
    // The images of a deleted index stay until the registry's garbage collection.
    assert!(to.manifest("m/app", &children[0]).is_some());

    let mark = (from.requests(0).len(), to.requests(0).len());
    fixture.sync(&["FROM/tool", "TO/m", "--delete"]).success();
    fixture.sync(&["FROM/tool", "TO/m", "--delete"]).success();
    let lists = |requests: Vec<String>| requests.iter().filter(|line| line.contains("/tags/list")).count();
    assert_eq!((lists(from.requests(mark.0)), lists(to.requests(mark.1))), (2, 2));
}

#[test]
fn nothing_is_deleted_if_a_source_cannot_be_listed_or_a_tag_fails() {
    let fixture = SyncFixture::new();
    fixture.sync(&["FROM/tool", "TO"]).success();
    push_image(&fixture.to, "tool", "gone", "amd64");
    let server = ScriptedServer::in_front_of(&fixture.from, |request| {
        let denied = || Some((403, vec![], br#"{"errors":[{"code":"DENIED"}]}"#.to_vec()));
        if request.line.contains("/team/app/tags/list") { denied() } else { None }
    });
    for (text, error) in [
        (format!("{}:\n  images: {{tool: [latest], team/app: [v1.0]}}\n", server.host), "team/app"),
        (format!("{}:\n  images: {{tool: [latest, missing]}}\n", server.host), "tool:missing"),
    ] {
        fixture
            .sync_file(&text, &["TO", "--delete"])
            .fails(1, error)
            .stderr_contains("no tag is deleted, because not every tag could be listed and copied\n");
        assert!(fixture.to.manifest("tool", "gone").is_some());
    }
    // A repository from which no tag is selected is not written, so it keeps its tags.
    let text = format!("{}:\n  images: {{tool: []}}\n  exclude: {{tool: ['.']}}\n", server.host);
    fixture.sync_file(&text, &["TO", "--delete"]).fails(1, "no tag to copy");
    assert!(fixture.to.manifest("tool", "gone").is_some());
}

#[test]
fn several_sources_of_one_repository_keep_the_tags_of_each() {
    let fixture = SyncFixture::new();
    push_image(&fixture.from, "other/tool", "other", "amd64");
    push_image(&fixture.to, "tool", "gone", "amd64");
    let text = "FROM:\n  images: {tool: [latest], other/tool: []}\n";
    let outcome = fixture.sync_file(text, &["TO", "--delete"]).success();
    assert_eq!(tags_of(&fixture.to, "tool"), ["latest", "other"].map(str::to_owned).into(), "{outcome:?}");
    assert!(outcome.stdout.contains("Deleted: "), "{outcome:?}");
    let document = fixture.sync_file(text, &["TO", "--delete", "--output", "json"]).success().json();
    assert_eq!(document["deletions"], json!([]));
}

#[test]
fn a_source_with_an_empty_list_of_tags_deletes_nothing() {
    let fixture = SyncFixture::new();
    fixture.sync(&["FROM/tool", "TO"]).success();
    push_image(&fixture.to, "tool", "other", "amd64");
    let server = ScriptedServer::in_front_of(&fixture.from, |request| {
        let is_empty = request.line.contains("/other/tool/tags/list");
        is_empty.then(|| (200, vec![], br#"{"name":"other/tool","tags":null}"#.to_vec()))
    });
    let text = format!("{}:\n  images: {{tool: [], other/tool: []}}\n", server.host);
    let outcome = fixture.sync_file(&text, &["TO", "--delete"]).success();
    let note = format!("/tool: no tag is deleted, because {}/other/tool has no tags\n", server.host);
    assert!(outcome.stderr.contains(&note), "{outcome:?}");
    assert!(fixture.to.manifest("tool", "other").is_some());
}

#[test]
fn names_of_a_layout_are_deleted_too() {
    let fixture = SyncFixture::new();
    for target in ["oci:mirror", "TO"] {
        fixture
            .sync(&["FROM/tool", target, "--delete", "--dry-run"])
            .success()
            .stdout_contains("plan: 4 tags to create\n");
    }
    fixture.sync(&["FROM/tool", "oci:mirror"]).success();
    remove_tag(&fixture.from, "tool", "3.11");
    fixture.sync(&["FROM/tool", "oci:mirror", "--delete"]).success().stdout_contains("Deleted: oci:mirror/tool:3.11 (");
    let names = fixture.workspace.run(&["tags", "oci:mirror/tool"]).success().stdout;
    assert!(!names.contains("3.11\n") && names.lines().count() == 3, "{names}");
}
