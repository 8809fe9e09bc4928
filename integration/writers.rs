//! Ten pipelines add a platform each to one tag at the same moment. Registries have no write that depends on what is
//! there, so that the last of two would win; here all of them end up in the index.

use std::io::Write as _;
use std::process::Child;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::support::images::{push_image, push_image_with};
use crate::support::{Outcome, Registry, command, end, push_from_args, start};

const ROUNDS: usize = 100;
/// Rounds at once, each with a tag of its own: most of the time they wait.
const AT_ONCE: usize = 10;
const ARCHITECTURES: [&str; 10] =
    ["386", "amd64", "arm64", "loong64", "mips64", "mips64le", "ppc64", "ppc64le", "riscv64", "s390x"];

#[test]
fn ten_writers_a_hundred_times() {
    let registry = Registry::start();
    for architecture in ARCHITECTURES {
        push_image(&registry, "parts", architecture, architecture);
    }
    let (next, lost, failed, over) =
        (AtomicUsize::new(0), Mutex::new(Vec::new()), Mutex::new(Vec::new()), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let round = next.fetch_add(1, Ordering::SeqCst);
                    if round >= ROUNDS {
                        break;
                    }
                    let target = format!("whole:round{round}");
                    let outcomes = append_all(&registry, "parts", &target);
                    let held = architectures(&registry, &target);
                    for (architecture, outcome) in ARCHITECTURES.iter().zip(outcomes) {
                        over.fetch_add(outcome.stderr.matches("starting over").count(), Ordering::SeqCst);
                        let is_there = held.iter().any(|found| found == architecture);
                        if outcome.exit == 0 && !is_there {
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
    // Past the capture of the test harness: the count is to be seen.
    let told = writeln!(
        std::io::stdout(),
        "{writes} writers, {ROUNDS} tags: {} lost, {} failed, started over {} times",
        lost.len(),
        failed.len(),
        over.into_inner()
    );
    told.unwrap();
    assert!(lost.is_empty(), "reported success, and not in the index: {lost:#?}");
    assert!(failed.is_empty(), "{failed:#?}");
}

/// A nightly build of ten platforms: each pipeline replaces its own image in what the others write as well.
#[test]
fn ten_writers_that_replace() {
    let registry = Registry::start();
    for architecture in ARCHITECTURES {
        push_image(&registry, "parts", architecture, architecture);
        let config = format!(r#"{{"os": "linux", "architecture": "{architecture}"}}"#);
        push_image_with(&registry, "new", architecture, config.as_bytes(), b"layer of tonight");
    }
    let news: Vec<String> =
        ARCHITECTURES.iter().map(|architecture| registry.manifest("new", architecture).unwrap().digest).collect();
    std::thread::scope(|scope| {
        for round in 0..10 {
            let (registry, news) = (&registry, &news);
            scope.spawn(move || {
                let target = format!("whole:night{round}");
                let platforms = ARCHITECTURES.map(|architecture| format!("linux/{architecture}")).join(",");
                let begun = push_from_args(&registry.host, &platforms, "parts:ARCH", &target, &[]);
                assert_eq!(begun.exit, 0, "{begun:?}");
                for outcome in append_all(registry, "new", &target) {
                    assert_eq!(outcome.exit, 0, "{outcome:?}");
                }
                let (repository, tag) = target.split_once(':').unwrap();
                let held = registry.manifest(repository, tag).unwrap();
                let index: Value = serde_json::from_slice(&held.bytes).unwrap();
                let digests: Vec<&Value> =
                    index["manifests"].as_array().unwrap().iter().map(|entry| &entry["digest"]).collect();
                assert_eq!(digests, news.iter().collect::<Vec<_>>(), "{target}");
            });
        }
    });
}

fn append_all(registry: &Registry, parts: &str, target: &str) -> Vec<Outcome> {
    let folder = tempfile::tempdir().unwrap();
    let (template, target) = (format!("{}/{parts}:ARCH", registry.host), format!("{}/{target}", registry.host));
    let begin = |architecture: &&str| {
        let platform = format!("linux/{architecture}");
        // What a busy machine may take between a look and a write: more than the settling time that is the default.
        let source = ["--settle", "3s", "--platforms", &platform, "--template", &template, "--target", &target];
        let args = [&["--plain-http", "push", "--append", "from-args"][..], &source].concat();
        start(command(folder.path(), &args))
    };
    let children: Vec<Child> = ARCHITECTURES.iter().map(begin).collect();
    children.into_iter().map(end).collect()
}

fn architectures(registry: &Registry, target: &str) -> Vec<String> {
    let (repository, tag) = target.split_once(':').unwrap();
    let Some(found) = registry.manifest(repository, tag) else { return Vec::new() };
    let index: Value = serde_json::from_slice(&found.bytes).unwrap();
    let entries = index["manifests"].as_array().unwrap().iter();
    entries.map(|entry| entry["platform"]["architecture"].as_str().unwrap().to_owned()).collect()
}
