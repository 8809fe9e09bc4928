//! Ten pipelines concurrently add a platform each to one tag. Registries have no conditional writes, so without
//! coordination the last writer would win; `--append` keeps the platforms of all writers.

use std::io::Write as _;
use std::process::Child;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::support::images::{push_image, push_image_with};
use crate::support::{Outcome, Registry, Workspace, push_from_args, spawn, wait};

const ROUNDS: usize = 100;
/// Number of concurrent rounds, each with its own tag. They spend most of the time waiting.
const CONCURRENT_ROUNDS: usize = 10;
const ARCHITECTURES: [&str; 10] =
    ["386", "amd64", "arm64", "loong64", "mips64", "mips64le", "ppc64", "ppc64le", "riscv64", "s390x"];

#[test]
fn ten_concurrent_appends_lose_no_platform_in_a_hundred_rounds() {
    let registry = Registry::start();
    for architecture in ARCHITECTURES {
        push_image(&registry, "parts", architecture, architecture);
    }
    let (next, lost, failed, restarts) =
        (AtomicUsize::new(0), Mutex::new(Vec::new()), Mutex::new(Vec::new()), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..CONCURRENT_ROUNDS {
            scope.spawn(|| {
                loop {
                    let round = next.fetch_add(1, Ordering::SeqCst);
                    if round >= ROUNDS {
                        break;
                    }
                    let target = format!("whole:round{round}");
                    let outcomes = append_all(&registry, "parts", &target);
                    let stored = architectures(&registry, &target);
                    for (architecture, outcome) in ARCHITECTURES.iter().zip(outcomes) {
                        restarts.fetch_add(
                            outcome.stderr.matches("was changed by another writer").count(),
                            Ordering::SeqCst,
                        );
                        let is_stored = stored.iter().any(|name| name == architecture);
                        if outcome.exit == 0 && !is_stored {
                            lost.lock().unwrap().push(format!("{target}: {architecture}: {outcome:?}"));
                        } else if outcome.exit != 0 {
                            failed.lock().unwrap().push(format!("{target}: {architecture}: {outcome:?}"));
                        }
                    }
                }
            });
        }
    });
    let (lost, failed) = (lost.into_inner().unwrap(), failed.into_inner().unwrap());
    let writes = ROUNDS * ARCHITECTURES.len();
    // Writes to stdout directly, because the test harness captures the output of `println!`.
    let written = writeln!(
        std::io::stdout(),
        "{writes} writers, {ROUNDS} tags: {} lost, {} failed, started over {} times",
        lost.len(),
        failed.len(),
        restarts.into_inner()
    );
    written.unwrap();
    assert!(lost.is_empty(), "reported as written, but missing from the index: {lost:#?}");
    assert!(failed.is_empty(), "{failed:#?}");
}

/// A nightly build of ten platforms, in which each pipeline replaces its own image.
#[test]
fn ten_concurrent_replacements_are_all_in_the_index() {
    let registry = Registry::start();
    for architecture in ARCHITECTURES {
        push_image(&registry, "parts", architecture, architecture);
        let config = format!(r#"{{"os": "linux", "architecture": "{architecture}"}}"#);
        push_image_with(&registry, "new", architecture, config.as_bytes(), b"layer of tonight");
    }
    let new_digests: Vec<String> =
        ARCHITECTURES.iter().map(|architecture| registry.manifest("new", architecture).unwrap().digest).collect();
    std::thread::scope(|scope| {
        for round in 0..10 {
            let (registry, new_digests) = (&registry, &new_digests);
            scope.spawn(move || {
                let target = format!("whole:night{round}");
                let platforms = ARCHITECTURES.map(|architecture| format!("linux/{architecture}")).join(",");
                push_from_args(&registry.host, &platforms, "parts:ARCH", &target, &[]).success();
                for outcome in append_all(registry, "new", &target) {
                    outcome.success();
                }
                let (repository, tag) = target.split_once(':').unwrap();
                let stored = registry.manifest(repository, tag).unwrap();
                let index: Value = serde_json::from_slice(&stored.bytes).unwrap();
                let digests: Vec<&Value> =
                    index["manifests"].as_array().unwrap().iter().map(|entry| &entry["digest"]).collect();
                assert_eq!(digests, new_digests.iter().collect::<Vec<_>>(), "{target}");
            });
        }
    });
}

/// Runs an append for each architecture concurrently, and waits for all of them.
fn append_all(registry: &Registry, parts: &str, target: &str) -> Vec<Outcome> {
    let workspace = Workspace::new().flags(&["--plain-http"]);
    let (template, target) = (format!("{}/{parts}:ARCH", registry.host), format!("{}/{target}", registry.host));
    let spawn_append = |architecture: &&str| {
        let platform = format!("linux/{architecture}");
        // On a busy machine, the time between reading and writing the tag can exceed the default settle time.
        let source = ["--settle", "3s", "--platforms", &platform, "--template", &template, "--target", &target];
        spawn(workspace.command(&[&["push", "--append", "from-args"][..], &source].concat()))
    };
    let children: Vec<Child> = ARCHITECTURES.iter().map(spawn_append).collect();
    children.into_iter().map(wait).collect()
}

fn architectures(registry: &Registry, target: &str) -> Vec<String> {
    let (repository, tag) = target.split_once(':').unwrap();
    let Some(stored) = registry.manifest(repository, tag) else { return Vec::new() };
    let index: Value = serde_json::from_slice(&stored.bytes).unwrap();
    let entries = index["manifests"].as_array().unwrap().iter();
    entries.map(|entry| entry["platform"]["architecture"].as_str().unwrap().to_owned()).collect()
}
