//! `delete --tags` with `--sort time` and `--older-than`.

use serde_json::{Value, json};

use super::tags::{TagsFixture, deleted_tags};
use crate::support::images::{days_ago, push_image_with, push_index};
use crate::support::registry::sha256;

/// Pushes an image with this created date, and returns its entry for an index.
fn push_dated(fixture: &TagsFixture, tag: &str, created: &Value) -> Value {
    let layer = format!("layer of {tag}");
    let rootfs = json!({"type": "layers", "diff_ids": [sha256(layer.as_bytes())]});
    let config = json!({"os": "linux", "architecture": "amd64", "created": created, "rootfs": rootfs}).to_string();
    push_image_with(&fixture.sandbox.registry, "app", tag, config.as_bytes(), layer.as_bytes())
}

#[test]
fn tags_that_are_not_versions_need_an_order_by_time() {
    let fixture = TagsFixture::new(&[]);
    for (tag, days) in [("0a1b2c3", 40), ("9f8e7d6", 10), ("latest", 1), ("deadbee", 20)] {
        push_dated(&fixture, tag, &json!(days_ago(days)));
    }
    let before = fixture.sandbox.registry.snapshot();
    let outcome = fixture.delete(&["--tags", "*", "--keep", "2"]);
    let message = indoc::indoc! {"
        error: HOST/app: the newest versions cannot be kept, because these tags are not versions: 0a1b2c3, 9f8e7d6, deadbee, latest
        hint: --sort time orders tags by the created dates of their images; or use a pattern that matches only versions
    "};
    assert_eq!((outcome.exit, &*outcome.stdout, outcome.stderr), (1, "", fixture.sandbox.fill(message)));
    assert_eq!(fixture.sandbox.registry.snapshot(), before);
    let mark = fixture.sandbox.registry.requests(0).len();
    let outcome = fixture.delete(&["--tags", "*", "--keep", "2", "--sort", "time", "--dry-run"]).success();
    // The list, and the manifest and config of each tag.
    assert_eq!(fixture.requests(mark).len(), 1 + 2 * 4);
    outcome.stdout_contains("plan: 2 tags to delete, 2 kept\n");
    let outcome = fixture.delete(&["--tags", "*", "--keep", "2", "--sort", "time"]).success();
    assert_eq!(deleted_tags(&outcome), ["0a1b2c3", "deadbee"]);
    outcome.stderr_contains("kept 9f8e7d6, latest: the newest 2\n");
    assert_eq!(fixture.tags(), ["9f8e7d6", "latest"]);
}

#[test]
fn younger_images_and_images_of_unknown_age_stay() {
    let fixture = TagsFixture::new(&["undated"]);
    for (tag, days) in [("old", 31), ("older", 60), ("young", 3)] {
        push_dated(&fixture, tag, &json!(days_ago(days)));
    }
    push_dated(&fixture, "epoch", &json!("1970-01-01T00:00:00Z"));
    push_dated(&fixture, "zip", &json!("1980-01-01T00:00:01Z"));
    push_dated(&fixture, "invalid", &json!("yesterday"));
    let damaged = push_dated(&fixture, "damaged", &json!(days_ago(90)));
    let manifest: Value =
        serde_json::from_slice(&fixture.sandbox.registry.manifest("app", "damaged").unwrap().bytes).unwrap();
    let config = manifest["config"]["digest"].as_str().unwrap().trim_start_matches("sha256:").to_owned();
    let layers = "storage/docker/registry/v2/repositories/app/_layers/sha256";
    std::fs::remove_dir_all(fixture.sandbox.registry.folder.path().join(layers).join(config)).unwrap();
    // The first image of an index has its date.
    let index = [damaged, push_dated(&fixture, "second", &json!(days_ago(70)))];
    push_index(&fixture.sandbox.registry, "app", "index", &[index[1].clone(), index[0].clone()]);

    let mark = fixture.sandbox.registry.requests(0).len();
    let planned = fixture.delete(&["--tags", "*", "--older-than", "30d", "--dry-run"]).success();
    // The list, 10 tags, the configs of 9 images, and the first image of the index with its config.
    let requests = fixture.requests(mark).len();
    assert_eq!(requests, 1 + 10 + 9 + 2, "{:#?}", fixture.requests(mark));
    for line in [
        "HOST/app:young (created 20",
        "HOST/app:undated (its created date is unknown)",
        "HOST/app:invalid (its created date is unknown)",
        "HOST/app:epoch (its created date 1970-01-01T00:00:00Z is a placeholder)",
        "HOST/app:zip (its created date 1980-01-01T00:00:01Z is a placeholder)",
        "HOST/app:damaged (its created date cannot be read: ",
    ] {
        let line = fixture.sandbox.fill(&format!("    kept       {line}"));
        assert!(planned.stdout.contains(&line), "{line}: {planned:?}");
    }
    let outcome = fixture.delete(&["--tags", "*", "--older-than", "30d"]).success();
    let mut deleted = deleted_tags(&outcome);
    deleted.sort_unstable();
    assert_eq!(deleted, ["index", "old", "older", "second"]);
    assert_eq!(fixture.tags(), ["damaged", "epoch", "invalid", "undated", "young", "zip"]);
}

#[test]
fn with_keep_and_older_than_a_tag_goes_only_if_both_allow_it() {
    let fixture = TagsFixture::new(&[]);
    for (tag, days) in [("v1", 90), ("v2", 1), ("v3", 80), ("v4", 70)] {
        push_dated(&fixture, tag, &json!(days_ago(days)));
    }
    let outcome = fixture.delete(&["--tags", "v*", "--keep", "1", "--older-than", "2w"]).success();
    assert_eq!(deleted_tags(&outcome), ["v1", "v3"]);
    outcome.stderr_contains("kept v2: not old enough\n").stderr_contains("kept v4: the newest\n");
    assert_eq!(fixture.tags(), ["v2", "v4"]);
    // The age is not read from configs that --keep does not need.
    let mark = fixture.sandbox.registry.requests(0).len();
    fixture.delete(&["--tags", "v*", "--keep", "1", "--dry-run"]).success();
    assert_eq!(fixture.requests(mark).len(), 3);
}
