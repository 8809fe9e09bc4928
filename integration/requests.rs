//! Numbers of requests, counted in the registry's access log. `make bench` measures times.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::images::{OCI, descriptor, push_image, push_index};
use crate::support::{Registry, Sandbox, ScriptedServer, push_from_args};

const TEN: [&str; 10] =
    ["386", "amd64", "arm64", "loong64", "mips", "mips64le", "mipsle", "ppc64le", "riscv64", "s390x"];

fn platforms() -> String {
    TEN.map(|architecture| format!("linux/{architecture}")).join(",")
}

/// Counts the requests whose line starts with `prefix`.
fn count(requests: &[String], prefix: &str) -> usize {
    requests.iter().filter(|line| line.starts_with(prefix)).count()
}

/// Pushes an image for each of ten platforms to the repository `app`.
fn push_ten_images(registry: &Registry) {
    for architecture in TEN {
        push_image(registry, "app", architecture, architecture);
    }
}

/// Returns the requests of a `push from-args`.
fn push_requests(registry: &Registry, platforms: &str, template: &str, more: &[&str]) -> Vec<String> {
    let mark = registry.requests(0).len();
    push_from_args(&registry.host, platforms, template, "app:v1", more).success();
    registry.requests(mark)
}

/// Over plain HTTP, each concurrent request needs a connection.
#[test]
fn connections_for_the_images_open_while_the_index_is_fetched() {
    let sandbox = Sandbox::new();
    let entries = TEN.map(|architecture| push_image(&sandbox.registry, "app", architecture, architecture));
    push_index(&sandbox.registry, "app", "v1", &entries);
    for command in ["inspect", "verify"] {
        let proxy: Arc<OnceLock<ScriptedServer>> = Arc::default();
        let (server, seen) = (Arc::clone(&proxy), Arc::new(AtomicUsize::new(0)));
        let recorded = Arc::clone(&seen);
        let proxy = proxy.get_or_init(|| {
            ScriptedServer::in_front_of(&sandbox.registry, move |request| {
                // The answer waits until all connections are open, or for so long that the test fails.
                let deadline = Instant::now() + Duration::from_secs(30);
                let count = || server.get().map_or(0, |server| server.connections.load(Ordering::SeqCst));
                while request.line.contains("/manifests/v1 ") && count() < 11 && Instant::now() < deadline {
                    std::thread::sleep(Duration::from_millis(10));
                }
                recorded.fetch_max(count(), Ordering::SeqCst);
                None
            })
        });
        sandbox.run(&[command, &format!("{}/app:v1", proxy.host)]).success();
        assert!(seen.load(Ordering::SeqCst) >= 11, "{command}: one for the index and each image");
        assert_eq!(count(&proxy.requests().iter().map(|request| request.line.clone()).collect::<Vec<_>>(), "GET"), {
            // verify also reads the configs.
            if command == "inspect" { 11 } else { 21 }
        });
    }
}

#[test]
fn a_push_within_one_repository_takes_2_requests_per_platform_and_tag() {
    let registry = Registry::start();
    push_ten_images(&registry);
    let push = |more: &[&str]| push_requests(&registry, &platforms(), "app:ARCH", more);
    // N = 10, T = 3: 2N + 2T.
    let first = push(&["--tags", "a,b"]);
    assert_eq!(first.len(), 26, "{first:?}");
    assert_eq!((count(&first, "GET /v2/app/manifests/"), count(&first, "GET /v2/app/blobs/")), (10, 10));
    assert_eq!((count(&first, "HEAD "), count(&first, "PUT ")), (3, 3), "one read and one write per tag");
    let repeated = push(&["--tags", "a,b"]);
    assert_eq!(
        (repeated.len(), count(&repeated, "PUT ")),
        (23, 0),
        "tags that already point at the digest are not written"
    );
    let one_more = push(&["--tags", "a,b,c"]);
    assert_eq!(
        one_more.iter().filter(|line| line.starts_with("PUT ")).collect::<Vec<_>>(),
        ["PUT /v2/app/manifests/c"]
    );
    let forced = push(&["--tags", "a,b", "--force"]);
    assert_eq!((count(&forced, "HEAD "), count(&forced, "PUT ")), (0, 3), "{forced:?}");
}

/// A change reads the target before it plans, checks it with HEAD before the write, and reads it again after the settle
/// time.
#[test]
fn appending_to_an_index_reads_it_before_planning_and_after_the_write() {
    let registry = Registry::start();
    push_ten_images(&registry);
    let push = |platforms: &str, more: &[&str]| push_requests(&registry, platforms, "app:ARCH", more);
    push(&platforms().replace(",linux/s390x", ""), &[]);
    let append = ["--append", "--settle", "1ms"];
    let planned = push("linux/s390x", &["--append", "--dry-run"]);
    assert_eq!((planned.len(), count(&planned, "GET ")), (3, 3), "source, config, target: {planned:?}");
    let added = push("linux/s390x", &append);
    assert_eq!((count(&added, "GET "), count(&added, "HEAD "), count(&added, "PUT ")), (4, 1, 1), "{added:?}");
    let repeated = push("linux/s390x", &append);
    assert_eq!(
        (repeated.len(), count(&repeated, "GET ")),
        (4, 4),
        "another writer may have overwritten the index: {repeated:?}"
    );
    // One HEAD and one PUT for each additional tag, and one HEAD of the target.
    let tagged = push("linux/s390x", &[&append[..], &["--tags", "a,b"]].concat());
    assert_eq!((count(&tagged, "HEAD "), count(&tagged, "PUT ")), (3, 2), "{tagged:?}");
    let planned = push(&platforms(), &["--dry-run", "--tags", "a,b"]);
    assert_eq!((count(&planned, "GET "), planned.len()), (21, 23), "{planned:?}");
}

/// Pushes ten images with three layers each, to ten repositories.
fn push_ten_repositories(registry: &Registry) {
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
fn a_push_from_other_repositories_mounts_each_blob_once() {
    let registry = Registry::start();
    push_ten_repositories(&registry);
    let push = || push_requests(&registry, &platforms(), "parts/ARCH:v1", &[]);
    let first = push();
    assert_eq!(count(&first, "POST /v2/app/blobs/uploads/?mount="), 40, "one config and three layers per image");
    assert_eq!(count(&first, "HEAD /v2/app/manifests/"), 11, "one HEAD per child and tag, and no HEAD of blobs");
    assert_eq!(count(&first, "HEAD "), 11);
    assert_eq!((count(&first, "PUT "), first.len()), (11, 82), "{first:?}");
    let repeated = push();
    assert_eq!((count(&repeated, "POST "), count(&repeated, "PUT "), repeated.len()), (0, 0, 31), "{repeated:?}");
}

#[test]
fn inspect_reads_the_index_and_each_child_once() {
    let sandbox = Sandbox::new();
    push_ten_images(&sandbox.registry);
    push_requests(&sandbox.registry, &platforms(), "app:ARCH", &[]);
    let mark = sandbox.registry.requests(0).len();
    sandbox.run(&["inspect", "HOST/app:v1"]).success();
    assert_eq!(sandbox.registry.requests(mark).len(), 11, "the index and its children");
}

#[test]
fn a_thousand_indexes_read_each_of_ten_sources_once() {
    let sandbox = Sandbox::new();
    push_ten_images(&sandbox.registry);
    let sources: String = TEN
        .map(|name| format!("- {{image: \"HOST/app:{name}\", platform: {{os: linux, architecture: \"{name}\"}}}}\n"))
        .concat();
    let documents: String = (0..1000).map(|n| format!("---\nimage: HOST/app:n{n}\nmanifests:\n{sources}")).collect();
    sandbox.write("many.yaml", &documents);
    let push = || {
        let mark = sandbox.registry.requests(0).len();
        let outcome = sandbox.run(&["push", "--type", "oci", "from-spec", "many.yaml"]).success();
        (outcome, sandbox.registry.requests(mark))
    };
    let (outcome, requests) = push();
    assert_eq!((count(&requests, "HEAD "), count(&requests, "PUT "), requests.len()), (1000, 1000, 2020));
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert_eq!(lines.len(), 1000);
    let index = sandbox.registry.manifest("app", "n0").unwrap();
    let prefix = format!("Digest: {} {} {}/app:n", index.digest, index.bytes.len(), sandbox.registry.host);
    for (n, line) in lines.iter().enumerate() {
        assert_eq!(*line, format!("{prefix}{n}"), "in the order of the spec");
    }
    assert_eq!(outcome.stderr, "1000 indexes: 1000 done, 0 unchanged, 0 failed, 0 skipped\n");
    let (outcome, requests) = push();
    assert_eq!(requests.len(), 1020);
    assert_eq!(outcome.stderr, "1000 indexes: 0 done, 1000 unchanged, 0 failed, 0 skipped\n");
}

#[test]
fn read_commands_request_each_manifest_config_and_layer_at_most_once() {
    let sandbox = Sandbox::new();
    push_ten_images(&sandbox.registry);
    push_requests(&sandbox.registry, &platforms(), "app:ARCH", &[]);
    for (args, requests) in [
        (&["query"][..], 1),
        (&["digest"], 1),
        (&["inspect", "--manifest"], 1),
        (&["inspect", "--config", "--platform", "linux/s390x"], 3),
        (&["inspect"], 11),
        // Includes the referrers API and its fallback, the referrers tag.
        (&["inspect", "--output", "json"], 23),
        (&["verify"], 31),
        (&["verify", "--layers"], 31),
    ] {
        let mark = sandbox.registry.requests(0).len();
        sandbox.run(&[args, &["HOST/app:v1"]].concat()).success();
        assert_eq!(sandbox.registry.requests(mark).len(), requests, "{args:?}");
    }
}
