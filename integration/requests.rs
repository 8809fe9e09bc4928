//! How many requests the main job takes, from the registry's access log. Time is not asserted; `make bench` shows it.

use serde_json::json;

use crate::support::images::{OCI, descriptor, push_image};
use crate::support::{Outcome, Registry, manifest_tool, push_from_args};

const TEN: [&str; 10] =
    ["386", "amd64", "arm64", "loong64", "mips", "mips64le", "mipsle", "ppc64le", "riscv64", "s390x"];

fn platforms() -> String {
    TEN.map(|architecture| format!("linux/{architecture}")).join(",")
}

/// Requests whose line starts so.
fn count(requests: &[String], start: &str) -> usize {
    requests.iter().filter(|line| line.starts_with(start)).count()
}

#[track_caller]
fn good(outcome: &Outcome) {
    assert_eq!(outcome.exit, 0, "{outcome:?}");
}

#[test]
fn one_repository() {
    let registry = Registry::start();
    for architecture in TEN {
        push_image(&registry, "app", architecture, architecture);
    }
    let push = |more: &[&str]| {
        let mark = registry.requests(0).len();
        good(&push_from_args(&registry.host, &platforms(), "app:ARCH", "app:v1", more));
        registry.requests(mark)
    };
    // N = 10, T = 3: 2N + 2T.
    let first = push(&["--tags", "a,b"]);
    assert_eq!(first.len(), 26, "{first:?}");
    assert_eq!((count(&first, "GET /v2/app/manifests/"), count(&first, "GET /v2/app/blobs/")), (10, 10));
    assert_eq!((count(&first, "HEAD "), count(&first, "PUT ")), (3, 3), "a look and a write for each tag");
    let again = push(&["--tags", "a,b"]);
    assert_eq!((again.len(), count(&again, "PUT ")), (23, 0), "tags that have the digest are left alone");
    let one_more = push(&["--tags", "a,b,c"]);
    assert_eq!(
        one_more.iter().filter(|line| line.starts_with("PUT ")).collect::<Vec<_>>(),
        ["PUT /v2/app/manifests/c"]
    );
    let forced = push(&["--tags", "a,b", "--force"]);
    assert_eq!((count(&forced, "HEAD "), count(&forced, "PUT ")), (0, 3), "{forced:?}");
}

/// A change costs a read of the target before, a look at the write, and a read after.
#[test]
fn a_change_of_an_index() {
    let registry = Registry::start();
    for architecture in TEN {
        push_image(&registry, "app", architecture, architecture);
    }
    let push = |platforms: &str, more: &[&str]| {
        let mark = registry.requests(0).len();
        good(&push_from_args(&registry.host, platforms, "app:ARCH", "app:v1", more));
        registry.requests(mark)
    };
    push(&platforms().replace(",linux/s390x", ""), &[]);
    let append = ["--append", "--settle", "1ms"];
    let planned = push("linux/s390x", &["--append", "--dry-run"]);
    assert_eq!((planned.len(), count(&planned, "GET ")), (3, 3), "source, config, target: {planned:?}");
    let added = push("linux/s390x", &append);
    assert_eq!((count(&added, "GET "), count(&added, "HEAD "), count(&added, "PUT ")), (4, 1, 1), "{added:?}");
    let again = push("linux/s390x", &append);
    assert_eq!((again.len(), count(&again, "GET ")), (4, 4), "what is there may be written over: {again:?}");
    // Two more for each further tag, and one more look at the target.
    let tagged = push("linux/s390x", &[&append[..], &["--tags", "a,b"]].concat());
    assert_eq!((count(&tagged, "HEAD "), count(&tagged, "PUT ")), (3, 2), "{tagged:?}");
    let planned = push(&platforms(), &["--dry-run", "--tags", "a,b"]);
    assert_eq!((count(&planned, "GET "), planned.len()), (21, 23), "{planned:?}");
}

/// Ten images of three layers, in ten repositories.
fn ten_repositories(registry: &Registry) {
    for architecture in TEN {
        let repository = format!("parts/{architecture}");
        let config = json!({"os": "linux", "architecture": architecture}).to_string();
        let config_digest = registry.push_blob(&repository, config.as_bytes());
        let layers: Vec<_> = (0..3)
            .map(|n| {
                let layer = format!("layer {n} of {architecture}");
                let digest = registry.push_blob(&repository, layer.as_bytes());
                descriptor("application/vnd.oci.image.layer.v1.tar", &digest, layer.as_bytes())
            })
            .collect();
        let config = descriptor("application/vnd.oci.image.config.v1+json", &config_digest, config.as_bytes());
        let manifest = json!({"schemaVersion": 2, "mediaType": OCI, "config": config, "layers": layers}).to_string();
        registry.push_manifest(&repository, "v1", OCI, manifest.as_bytes());
    }
}

#[test]
fn other_repositories() {
    let registry = Registry::start();
    ten_repositories(&registry);
    let push = || {
        let mark = registry.requests(0).len();
        good(&push_from_args(&registry.host, &platforms(), "parts/ARCH:v1", "app:v1", &[]));
        registry.requests(mark)
    };
    let first = push();
    assert_eq!(count(&first, "POST /v2/app/blobs/uploads/?mount="), 40, "config and three layers of each");
    assert_eq!(
        count(&first, "HEAD /v2/app/manifests/"),
        11,
        "one look at each child and at the tag, and none at blobs"
    );
    assert_eq!(count(&first, "HEAD "), 11);
    assert_eq!((count(&first, "PUT "), first.len()), (11, 82), "{first:?}");
    let again = push();
    assert_eq!((count(&again, "POST "), count(&again, "PUT "), again.len()), (0, 0, 31), "{again:?}");
}

#[test]
fn inspect() {
    let registry = Registry::start();
    for architecture in TEN {
        push_image(&registry, "app", architecture, architecture);
    }
    good(&push_from_args(&registry.host, &platforms(), "app:ARCH", "app:v1", &[]));
    let mark = registry.requests(0).len();
    let folder = tempfile::tempdir().unwrap();
    good(&manifest_tool(folder.path(), &["--plain-http", "inspect", &format!("{}/app:v1", registry.host)]));
    assert_eq!(registry.requests(mark).len(), 11, "the index and its children");
}

#[test]
fn a_thousand_indexes_over_ten_sources() {
    let registry = Registry::start();
    for architecture in TEN {
        push_image(&registry, "app", architecture, architecture);
    }
    let (folder, host) = (tempfile::tempdir().unwrap(), &registry.host);
    let sources: String = TEN
        .map(|name| format!("- {{image: \"{host}/app:{name}\", platform: {{os: linux, architecture: \"{name}\"}}}}\n"))
        .concat();
    let documents: String = (0..1000).map(|n| format!("---\nimage: {host}/app:n{n}\nmanifests:\n{sources}")).collect();
    std::fs::write(folder.path().join("many.yaml"), documents).unwrap();
    let push = || {
        let mark = registry.requests(0).len();
        let outcome =
            manifest_tool(folder.path(), &["--plain-http", "push", "--type", "oci", "from-spec", "many.yaml"]);
        good(&outcome);
        (outcome, registry.requests(mark))
    };
    let (outcome, requests) = push();
    assert_eq!((count(&requests, "HEAD "), count(&requests, "PUT "), requests.len()), (1000, 1000, 2020));
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert_eq!(lines.len(), 1000);
    let index = registry.manifest("app", "n0").unwrap();
    let start = format!("Digest: {} {} {host}/app:n", index.digest, index.bytes.len());
    for (n, line) in lines.iter().enumerate() {
        assert_eq!(*line, format!("{start}{n}"), "in the order given");
    }
    assert_eq!(outcome.stderr, "1000 indexes: 1000 done, 0 unchanged, 0 failed, 0 skipped\n");
    let (outcome, requests) = push();
    assert_eq!(requests.len(), 1020);
    assert_eq!(outcome.stderr, "1000 indexes: 0 done, 1000 unchanged, 0 failed, 0 skipped\n");
}

/// What is read of an index of ten, each thing once: a manifest, its configs, and a look at each layer.
#[test]
fn reading_an_index() {
    let registry = Registry::start();
    for architecture in TEN {
        push_image(&registry, "app", architecture, architecture);
    }
    good(&push_from_args(&registry.host, &platforms(), "app:ARCH", "app:v1", &[]));
    let image = format!("{}/app:v1", registry.host);
    for (args, requests) in [
        (&["query"][..], 1),
        (&["digest"], 1),
        (&["inspect", "--manifest"], 1),
        (&["inspect", "--config", "--platform", "linux/s390x"], 3),
        (&["inspect"], 11),
        // With the list of referrers, and the tag that stands for it.
        (&["inspect", "--output", "json"], 23),
        (&["verify"], 31),
        (&["verify", "--layers"], 31),
    ] {
        let mark = registry.requests(0).len();
        let args = [&["--plain-http"], args, &[&image]].concat();
        good(&manifest_tool(std::path::Path::new("/"), &args));
        assert_eq!(registry.requests(mark).len(), requests, "{args:?}");
    }
}
