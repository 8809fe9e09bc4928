//! `tags --sort`, `--filter` and `--limit`.

use serde_json::{Value, json};

use crate::support::images::{days_ago, push_image, push_image_with, push_index};
use crate::support::registry::sha256;
use crate::support::{Sandbox, ScriptedServer, Workspace};

/// A server whose only repository `app` lists these tags in this order, five per page, and whose manifests are missing.
fn serve_tags(tags: &'static [&'static str]) -> (ScriptedServer, Workspace) {
    let server = ScriptedServer::start(move |request, _| {
        if !request.line.starts_with("GET /v2/app/tags/list") {
            return (404, vec![], br#"{"errors": [{"code": "MANIFEST_UNKNOWN"}]}"#.to_vec());
        }
        let page = request.line.split("last=").nth(1).map_or(0, |last| last.parse::<usize>().unwrap());
        let listed: Vec<&str> = tags.iter().skip(page * 5).take(5).copied().collect();
        let link = format!("</v2/app/tags/list?last={}>; rel=\"next\"", page + 1);
        let headers = if tags.len() > (page + 1) * 5 { vec![("Link", link)] } else { vec![] };
        (200, headers, json!({"name": "app", "tags": listed}).to_string().into_bytes())
    });
    let workspace = Workspace::new().flags(&["--plain-http"]).placeholder("HOST", &server.host);
    (server, workspace)
}

const TAGS: &[&str] = &[
    "latest",
    "1.10",
    "1.2",
    "v1.2.3",
    "1.2.3-rc.1",
    "sha-abc123",
    "1",
    "2024-01-01",
    "v1.2.3-rc1",
    "1.2.3-rc.10",
    "99999999999999999999999999999999999999",
    "100000000000000000000000000000000000000",
    "Edge",
    "1.2.3-rc.2",
];

const BY_VERSION: &str = "1\n1.2\n1.2.3-rc.1\n1.2.3-rc.2\n1.2.3-rc.10\nv1.2.3-rc1\nv1.2.3\n1.10\n2024-01-01\n\
    99999999999999999999999999999999999999\n100000000000000000000000000000000000000\nEdge\nlatest\nsha-abc123\n";

#[test]
fn tags_are_sorted_by_version_with_the_newest_last() {
    let (server, workspace) = serve_tags(TAGS);
    let tags = |args: &[&str]| workspace.run(&[&["tags", "HOST/app"], args].concat()).success();
    assert_eq!(tags(&["--sort", "version"]).stdout, BY_VERSION);
    let registry_order = TAGS.join("\n") + "\n";
    assert_eq!(tags(&[]).stdout, registry_order);
    assert_eq!(tags(&["--sort", "registry"]).stdout, registry_order);
    assert!(server.requests().iter().all(|request| request.line.contains("/tags/list") || request.line == "GET /v2/"));
    let document = tags(&["--sort", "version", "--output", "json"]).json();
    let listed: Vec<&str> =
        document["tags"].as_array().unwrap().iter().map(|tag| tag["tag"].as_str().unwrap()).collect();
    assert_eq!(listed.join("\n") + "\n", BY_VERSION);
    assert_eq!(document["tags"][0], json!({"tag": "1"}));
}

#[test]
fn limit_applies_after_sorting_and_filtering() {
    let (server, workspace) = serve_tags(TAGS);
    let requests = || server.requests().iter().filter(|request| request.line.contains("/tags/list")).count();
    for (args, stdout, pages) in [
        (&["--limit", "2"][..], "latest\n1.10\n", 1),
        (&["--limit", "2", "--sort", "registry", "--filter", "v*"], "v1.2.3\nv1.2.3-rc1\n", 3),
        (&["--limit", "1", "--filter", "*-rc*"], "1.2.3-rc.1\n", 3),
        (
            &["--limit", "2", "--sort", "version"],
            &BY_VERSION[BY_VERSION.find("9999").unwrap()..].replace("Edge\nlatest\nsha-abc123\n", ""),
            3,
        ),
        (&["--limit", "2", "--sort", "version", "--filter", "1.*,v1.*"], "v1.2.3\n1.10\n", 3),
        (&["--limit", "2", "--sort", "version", "--filter", "latest", "--filter", "?.2"], "1.2\nlatest\n", 3),
        (&["--limit", "0", "--sort", "version"], "", 3),
    ] {
        let before = requests();
        workspace.run(&[&["tags", "HOST/app"], args].concat()).success().stdout_is(stdout);
        assert_eq!(requests() - before, pages, "{args:?}");
    }
}

#[test]
fn a_pattern_without_matches_is_noted() {
    let (_server, workspace) = serve_tags(&["v1", "v2"]);
    let none = workspace.run(&["tags", "--filter", "x*,v1,\u{1b}[31m", "HOST/app"]).success();
    assert_eq!((&*none.stdout, &*none.stderr), ("v1\n", "note: no tag matches x*\nnote: no tag matches [31m\n"));
    let quiet = workspace.run(&["tags", "--quiet", "--filter", "x*", "HOST/app"]).success();
    assert_eq!((&*quiet.stdout, &*quiet.stderr), ("", ""));
    let document = workspace.run(&["tags", "--filter", "x*", "--output", "json", "HOST/app"]).success().json();
    assert_eq!(document["tags"], json!([]));
    let unknown = workspace.run(&["tags", "--sort", "size", "HOST/app"]);
    assert_eq!(unknown.exit, 2);
    assert!(unknown.stderr.contains("version, time, registry"), "{unknown:?}");
}

/// Pushes an image with this creation date in its config.
fn push_dated(sandbox: &Sandbox, tag: &str, created: &Value) -> Value {
    let layer = format!("layer of {tag}");
    let rootfs = json!({"type": "layers", "diff_ids": [sha256(layer.as_bytes())]});
    let config = json!({"os": "linux", "architecture": "amd64", "created": created, "rootfs": rootfs}).to_string();
    push_image_with(&sandbox.registry, "app", tag, config.as_bytes(), layer.as_bytes())
}

#[test]
fn tags_are_sorted_by_time_with_unknown_dates_first() {
    let sandbox = Sandbox::new();
    let dates = [("a", days_ago(1)), ("b", days_ago(30)), ("epoch", "1970-01-01T00:00:00Z".into())];
    for (tag, created) in &dates {
        push_dated(&sandbox, tag, &json!(created));
    }
    push_dated(&sandbox, "zero", &json!("0001-01-01T00:00:00Z"));
    push_dated(&sandbox, "invalid", &json!("yesterday"));
    push_dated(&sandbox, "number", &json!(7));
    push_image(&sandbox.registry, "app", "undated", "amd64");
    // The first image of the index counts, although the second is newer.
    let mut entries =
        [push_dated(&sandbox, "old", &json!(days_ago(9))), push_dated(&sandbox, "new", &json!(days_ago(0)))];
    for (entry, architecture) in entries.iter_mut().zip(["amd64", "arm64"]) {
        entry["platform"] = json!({"os": "linux", "architecture": architecture});
    }
    push_index(&sandbox.registry, "app", "index", &entries);
    let tags = |args: &[&str]| sandbox.run(&[&["tags", "--sort", "time", "HOST/app"], args].concat());
    let expected = "invalid\nnumber\nundated\nzero\nepoch\nb\nindex\nold\na\nnew\n";
    assert_eq!(tags(&[]).success().stdout, expected);
    assert_eq!(tags(&["--limit", "3"]).success().stdout, "old\na\nnew\n");
    let mark = sandbox.registry.requests(0).len();
    assert_eq!(tags(&["--filter", "a,index"]).success().stdout, "index\na\n");
    let mut requests = sandbox.registry.requests(mark);
    requests.retain(|request| request != "GET /v2/");
    assert_eq!(requests.len(), 6, "the list, 2 for an image and 3 for an index: {requests:?}");
    // Only --platforms reads the images that an index lists without a platform.
    let bare: Vec<Value> = ["old", "new"].iter().map(|tag| push_dated(&sandbox, tag, &json!(days_ago(9)))).collect();
    push_index(&sandbox.registry, "app", "bare", &bare);
    let mark = sandbox.registry.requests(0).len();
    tags(&["--filter", "bare"]).success();
    assert_eq!(sandbox.registry.requests(mark).iter().filter(|request| *request != "GET /v2/").count(), 4);
    let platforms = tags(&["--platforms", "--filter", "a,index"]).success();
    assert_eq!(platforms.stdout, "index linux/amd64, linux/arm64\na     linux/amd64\n");
    let document = tags(&["--output", "json", "--filter", "undated,epoch"]).success().json();
    assert_eq!(document["tags"], json!([{"tag": "undated"}, {"tag": "epoch", "created": "1970-01-01T00:00:00Z"}]));
    let document = tags(&["--output", "json", "--platforms", "--filter", "epoch"]).success().json();
    let epoch = &document["tags"][0];
    assert_eq!((&epoch["created"], &epoch["platforms"][0]["os"]), (&json!("1970-01-01T00:00:00Z"), &json!("linux")));

    for tag in ["b", "a"] {
        sandbox.run(&["copy", &format!("HOST/app:{tag}"), &format!("oci:out:{tag}")]).success();
    }
    assert_eq!(sandbox.run(&["tags", "--sort", "time", "oci:out"]).success().stdout, "b\na\n");
    assert_eq!(sandbox.run(&["tags", "--sort", "version", "oci:out"]).success().stdout, "a\nb\n");
}

#[test]
fn a_tag_that_cannot_be_read_is_listed_without_a_date_and_reported() {
    let sandbox = Sandbox::new();
    push_dated(&sandbox, "a", &json!(days_ago(1)));
    push_dated(&sandbox, "b", &json!(days_ago(2)));
    let proxy = ScriptedServer::in_front_of(&sandbox.registry, |request| {
        request
            .line
            .ends_with("/manifests/a")
            .then(|| (404, vec![], br#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#.to_vec()))
    });
    let app = format!("{}/app", proxy.host);
    let outcome = sandbox.run(&["tags", "--sort", "time", &app]).fails(1, "1 of 2 references cannot be read");
    assert_eq!(outcome.stdout, "a\nb\n");
    let document = sandbox.run(&["tags", "--sort", "time", "--output", "json", &app]).exits(1).json();
    assert!(
        document["tags"][0]["error"]["message"].is_string() && document["tags"][1]["created"].is_string(),
        "{document}"
    );
    let platforms = sandbox.run(&["tags", "--sort", "time", "--platforms", &app]).exits(1);
    assert_eq!(platforms.stdout, "b linux/amd64\n");
}
