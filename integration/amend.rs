//! Changing a published index: `push --append` and `remove`.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::support::images::{DOCKER, OCI_INDEX, push_attested, push_image, push_image_with, push_index};
use crate::support::registry::sha256;
use crate::support::scripted::Scripted;
use crate::support::{Outcome, Registry, manifest_tool, push_from_args};

/// `push --append` of images `parts:ARCH` to `whole:v1`.
fn append(host: &str, platforms: &str, more: &[&str]) -> Outcome {
    push_from_args(host, platforms, "parts:ARCH", "whole:v1", &[&["--append", "--settle", "20ms"], more].concat())
}

fn remove(host: &str, more: &[&str]) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let index = format!("{host}/whole:v1");
    manifest_tool(folder.path(), &[&["--plain-http", "remove", &index, "--settle", "20ms"], more].concat())
}

fn index(registry: &Registry, tag: &str) -> Value {
    serde_json::from_slice(&registry.manifest("whole", tag).unwrap().bytes).unwrap()
}

/// Platform and digest of each entry; of an attestation what it attests.
fn entries(registry: &Registry, tag: &str) -> Vec<(String, String)> {
    let entry = |entry: &Value| {
        let name = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let of = name(&entry["annotations"]["vnd.docker.reference.digest"]);
        let platform = if of.is_empty() { name(&entry["platform"]["architecture"]) } else { of };
        (platform, name(&entry["digest"]))
    };
    index(registry, tag)["manifests"].as_array().unwrap().iter().map(entry).collect()
}

fn done(outcome: &Outcome) {
    assert_eq!(outcome.exit, 0, "{outcome:?}");
}

fn failed(outcome: &Outcome, part: &str) {
    assert!(outcome.exit == 1 && outcome.stderr.contains(part) && outcome.stdout.is_empty(), "{outcome:?}\n{part}");
}

/// Another client reads it, with all that is in it.
fn read_by_skopeo(registry: &Registry, tag: &str) {
    let to = tempfile::tempdir().unwrap();
    let (from, to) = (format!("docker://{}/whole:{tag}", registry.host), format!("dir:{}", to.path().display()));
    let args = ["--insecure-policy", "copy", "--all", "--preserve-digests", "--src-tls-verify=false", &from, &to];
    let copied = Command::new("skopeo").args(args).output().unwrap();
    assert!(copied.status.success(), "{copied:?}");
    let manifest = std::fs::read(format!("{}/manifest.json", to.trim_start_matches("dir:"))).unwrap();
    assert_eq!(sha256(&manifest), registry.manifest("whole", tag).unwrap().digest);
}

#[test]
fn what_is_appended_takes_its_place_and_the_rest_stays() {
    let registry = Registry::start();
    let [amd64, arm64] = ["amd64", "arm64"].map(|arch| push_attested(&registry, "whole", &format!("old-{arch}"), arch));
    let parts = [&amd64, &arm64].map(|attested| &attested.index);
    let spec = format!(
        "image: {host}/whole:v1\ntype: oci\nannotations: {{kept: a, changed: b}}\nmanifests:\n\
         - image: {host}/whole@{}\n- image: {host}/whole@{}\n",
        parts[0],
        parts[1],
        host = registry.host
    );
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("spec.yaml"), spec).unwrap();
    done(&manifest_tool(folder.path(), &["--plain-http", "push", "from-spec", "spec.yaml"]));
    let name = |attested: &crate::support::images::Attested, arch: &str| {
        let (image, attestation) = (attested.image.clone(), attested.attestation.clone());
        [(arch.to_owned(), image.clone()), (image, attestation)]
    };
    let [image, attestation] = name(&amd64, "amd64");
    let [other_image, other_attestation] = name(&arm64, "arm64");
    let before = [image, other_image.clone(), attestation, other_attestation.clone()];
    assert_eq!(entries(&registry, "v1"), before);
    read_by_skopeo(&registry, "v1");

    // A new image for amd64 comes with an attestation of its own; s390x is new.
    push_image(&registry, "parts", "s390x", "s390x");
    let new = push_attested(&registry, "whole", "new", "amd64");
    let spec = format!(
        "image: {host}/whole:v1\nappend: true\nannotations: {{changed: c}}\nmanifests:\n\
         - image: {host}/parts:s390x\n- image: {host}/whole:new\n",
        host = registry.host
    );
    std::fs::write(folder.path().join("more.yaml"), spec).unwrap();
    done(&manifest_tool(folder.path(), &["--plain-http", "push", "from-spec", "more.yaml"]));
    let [image, attestation] = name(&new, "amd64");
    let s390x = ("s390x".to_owned(), registry.manifest("parts", "s390x").unwrap().digest);
    assert_eq!(
        entries(&registry, "v1"),
        [image, other_image.clone(), s390x.clone(), other_attestation, attestation.clone()]
    );
    // The form and what is said of the index stay, but for what is said anew.
    let held = index(&registry, "v1");
    assert_eq!((&held["mediaType"], &held["annotations"]), (&json!(OCI_INDEX), &json!({"kept": "a", "changed": "c"})));
    read_by_skopeo(&registry, "v1");

    // An empty variant is none, as pipelines make it of OS/ARCH/VARIANT.
    done(&remove(&registry.host, &["--platform", "linux/amd64/", "--digest", &arm64.attestation]));
    assert_eq!(entries(&registry, "v1"), [other_image.clone(), s390x.clone()]);
    assert_eq!(index(&registry, "v1")["annotations"], held["annotations"]);
    read_by_skopeo(&registry, "v1");
    done(&remove(&registry.host, &["--digest", &arm64.image]));
    assert_eq!(entries(&registry, "v1"), [s390x]);
    failed(&remove(&registry.host, &["--platform", "linux/s390x"]), "no image would be left in it; delete the tag");
}

#[test]
fn what_there_is_to_append_to() {
    let registry = Registry::start();
    for arch in ["amd64", "arm64"] {
        push_image(&registry, "parts", arch, arch);
    }
    // Nothing: a Docker manifest list, as without --append.
    done(&append(&registry.host, "linux/amd64", &[]));
    let made = registry.manifest("whole", "v1").unwrap();
    assert!(made.media_type.contains("manifest.list.v2"), "{}", made.media_type);
    // What holds it already, in whatever bytes another program wrote it: no write.
    let compact = serde_json::from_slice::<Value>(&made.bytes).unwrap().to_string();
    registry.push_manifest("whole", "v1", &made.media_type, compact.as_bytes());
    let mark = registry.requests(0).len();
    let outcome = append(&registry.host, "linux/amd64", &[]);
    done(&outcome);
    assert_eq!(outcome.stdout, format!("Digest: {} {}\n", sha256(compact.as_bytes()), compact.len()));
    let requests = registry.requests(mark);
    assert!(requests.iter().all(|line| line.starts_with("GET ") || line.starts_with("HEAD ")), "{requests:?}");
    // One image counts as an index of it.
    push_image(&registry, "whole", "v1", "arm64");
    done(&append(&registry.host, "linux/amd64", &[]));
    let names: Vec<String> = entries(&registry, "v1").into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        (names, &index(&registry, "v1")["mediaType"]),
        (vec!["arm64".into(), "amd64".into()], &json!(OCI_INDEX))
    );
    let outcome = push_from_args(&registry.host, "linux/amd64", "parts:ARCH", "whole:v1", &["--settle", "1s"]);
    assert!(outcome.exit == 2 && outcome.stderr.contains("--settle is for --append"), "{outcome:?}");
    // A form of its own.
    done(&append(&registry.host, "linux/amd64", &["--type", "docker"]));
    assert!(index(&registry, "v1")["mediaType"].as_str().unwrap().contains("manifest.list.v2"));
}

#[test]
fn layouts_are_changed_and_archives_are_not() {
    let (registry, folder) = (Registry::start(), tempfile::tempdir().unwrap());
    for arch in ["amd64", "arm64", "s390x"] {
        push_image(&registry, "parts", arch, arch);
    }
    let template = format!("{}/parts:ARCH", registry.host);
    let push = |platforms: &str, target: &str, more: &[&str]| {
        let from = ["from-args", "--platforms", platforms, "--template", &template, "--target", target];
        let args = [&["--plain-http", "push", "--type", "oci"], more, &from].concat();
        manifest_tool(folder.path(), &args)
    };
    done(&push("linux/amd64,linux/arm64", "oci:built:v1", &[]));
    done(&push("linux/s390x", "oci:built:v1", &["--append", "--settle", "10ms"]));
    let args = ["remove", "oci:built:v1", "--platform", "linux/arm64", "--settle", "10ms"];
    done(&manifest_tool(folder.path(), &args));
    let outcome = manifest_tool(folder.path(), &["inspect", "oci:built:v1", "--output", "json"]);
    let found: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let names: Vec<&Value> =
        found["entries"].as_array().unwrap().iter().map(|e| &e["platform"]["architecture"]).collect();
    assert_eq!(names, ["amd64", "s390x"]);
    let read = Command::new("skopeo").args(["inspect", "--raw", "oci:built:v1"]).current_dir(folder.path()).output();
    assert_eq!(found["digest"], sha256(&read.unwrap().stdout));

    failed(&push("linux/amd64", "oci-archive:a.tar:v1", &["--append"]), "nothing can be appended to an archive");
    let outcome = manifest_tool(folder.path(), &["remove", "oci-archive:a.tar:v1", "--platform", "linux/amd64"]);
    assert!(outcome.exit == 2 && outcome.stderr.contains("written anew"), "{outcome:?}");
}

#[test]
fn what_cannot_be_removed() {
    let registry = Registry::start();
    let variant = |tag: &str, variant: &str| {
        let config = json!({"os": "linux", "architecture": "arm", "variant": variant}).to_string();
        let mut entry = push_image_with(&registry, "whole", tag, config.as_bytes(), tag.as_bytes());
        entry["platform"] = json!({"os": "linux", "architecture": "arm", "variant": variant});
        entry
    };
    push_index(&registry, "whole", "v1", &[variant("five", "v5"), variant("six", "v6")]);
    let before = registry.snapshot();
    failed(
        &remove(&registry.host, &["--platform", "linux/arm"]),
        "it holds 2 images for linux/arm; --digest names one",
    );
    let outcome = remove(&registry.host, &["--platform", "linux/arm/v8,linux/s390x", "--digest", &sha256(b"")]);
    for part in ["no entry for linux/arm/v8", "no entry for linux/s390x", "no entry with digest sha256:e3b0"] {
        failed(&outcome, part);
    }
    let digest = registry.manifest("whole", "v1").unwrap().digest;
    let usage = |args: &[&str], part: &str| {
        let outcome = manifest_tool(std::path::Path::new("/"), &[&["--plain-http", "remove"], args].concat());
        assert!(outcome.exit == 2 && outcome.stderr.contains(part), "{outcome:?}\n{part}");
    };
    usage(&["r.example/a:1"], "--platform");
    usage(&["r.example/a", "--platform", "linux/arm"], "has no tag");
    usage(&[&format!("r.example/a@{digest}"), "--platform", "linux/arm"], "name a tag");
    usage(&["r.example/a:1", "--platform", "arm"], "invalid platform");
    usage(&["r.example/a:1", "--digest", "abc"], "invalid digest");
    usage(&["r.example/a:1", "--digest", &digest, "--exit-code"], "--dry-run");
    assert_eq!(registry.snapshot(), before);
    // The variant that is named exactly, of several.
    done(&remove(&registry.host, &["--platform", "linux/arm/v6"]));
    registry.push_manifest(
        "whole",
        "v1",
        crate::support::images::OCI,
        &registry.manifest("whole", "six").unwrap().bytes,
    );
    failed(&remove(&registry.host, &["--platform", "linux/arm"]), "it is one image, not an index");
}

/// What another writer wrote between the first look and the write is in the index as well.
#[test]
fn a_tag_that_moves_before_the_write() {
    let registry = Arc::new(Registry::start());
    for arch in ["amd64", "arm64", "s390x"] {
        push_image(&registry, "parts", arch, arch);
    }
    done(&append(&registry.host, "linux/amd64", &[]));
    let (other, moves) = (Arc::clone(&registry), AtomicUsize::new(0));
    let front = Scripted::before(&registry, move |asked| {
        if asked.line == "HEAD /v2/whole/manifests/v1" && moves.fetch_add(1, Ordering::SeqCst) == 0 {
            done(&append(&other.host, "linux/s390x", &[]));
        }
        None
    });
    let outcome = append(&front.host, "linux/arm64", &[]);
    done(&outcome);
    assert!(
        outcome.stderr.contains("/whole:v1 changed meanwhile; starting over from what it holds now"),
        "{outcome:?}"
    );
    let names: Vec<String> = entries(&registry, "v1").into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["amd64", "s390x", "arm64"]);
    let writes = front.asked().iter().filter(|asked| asked.puts("v1")).count();
    assert_eq!(writes, 1, "nothing was written over the other's");
}

/// Another writer had looked before, and writes afterwards: what was written is gone, and is written again.
#[test]
fn a_tag_that_is_written_over() {
    let registry = Arc::new(Registry::start());
    for arch in ["amd64", "arm64", "s390x"] {
        push_image(&registry, "parts", arch, arch);
    }
    done(&append(&registry.host, "linux/amd64,linux/s390x", &[]));
    let others = registry.manifest("whole", "v1").unwrap();
    done(&remove(&registry.host, &["--platform", "linux/s390x"]));
    for job in ["append", "remove"] {
        let (other, bytes, media_type) = (Arc::clone(&registry), others.bytes.clone(), others.media_type.clone());
        let (written, over) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let front = Scripted::before(&registry, move |asked| {
            written.fetch_add(usize::from(asked.puts("v1")), Ordering::SeqCst);
            let is_look = asked.line == "GET /v2/whole/manifests/v1" && written.load(Ordering::SeqCst) == 1;
            if is_look && over.fetch_add(1, Ordering::SeqCst) == 0 {
                other.push_manifest("whole", "v1", &media_type, &bytes);
            }
            None
        });
        let (outcome, expected) = match job {
            "append" => (append(&front.host, "linux/arm64", &["--tags", "latest"]), vec!["amd64", "s390x", "arm64"]),
            _ => (remove(&front.host, &["--platform", "linux/amd64"]), vec!["s390x"]),
        };
        done(&outcome);
        assert!(outcome.stderr.contains("starting over"), "{outcome:?}");
        assert_eq!(entries(&registry, "v1").iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), expected);
        assert_eq!(front.asked().iter().filter(|asked| asked.puts("v1")).count(), 2);
        if job == "append" {
            assert_eq!(entries(&registry, "latest"), entries(&registry, "v1"), "further tags are written last");
            assert_eq!(front.asked().iter().filter(|asked| asked.puts("latest")).count(), 1);
        }
    }
}

/// The target moves on while the further tags are written: they follow.
#[test]
fn further_tags_follow_the_target() {
    let registry = Arc::new(Registry::start());
    for arch in ["amd64", "arm64"] {
        push_image(&registry, "parts", arch, arch);
    }
    let (other, moves) = (Arc::clone(&registry), AtomicUsize::new(0));
    let front = Scripted::before(&registry, move |asked| {
        if asked.puts("latest") && moves.fetch_add(1, Ordering::SeqCst) == 0 {
            done(&append(&other.host, "linux/arm64", &["--tags", "latest"]));
        }
        None
    });
    let outcome = append(&front.host, "linux/amd64", &["--tags", "latest"]);
    done(&outcome);
    let [v1, latest] = ["v1", "latest"].map(|tag| registry.manifest("whole", tag).unwrap());
    assert_eq!(v1.digest, latest.digest);
    assert_eq!(entries(&registry, "latest").len(), 2);
    assert_eq!(outcome.stdout, format!("Digest: {} {}\n", v1.digest, v1.bytes.len()), "what the tags point at");
}

/// A registry that forgets each write, and other failures: never success, and no word that is not so.
#[test]
fn a_change_that_does_not_stay_is_no_success() {
    let registry = Registry::start();
    for arch in ["amd64", "arm64"] {
        push_image(&registry, "parts", arch, arch);
    }
    done(&append(&registry.host, "linux/amd64", &[]));
    let before = registry.manifest("whole", "v1").unwrap().digest;
    let forgetful = Scripted::before(&registry, |asked| {
        let digest = sha256(&asked.body);
        asked.puts("v1").then(|| (201, vec![("Docker-Content-Digest", digest)], vec![]))
    });
    let outcome = append(&forgetful.host, "linux/arm64", &["--deadline", "2s", "--tags", "latest"]);
    assert_eq!(outcome.exit, 124, "{outcome:?}");
    assert!(outcome.stderr.contains("not known: ") && !outcome.stderr.contains("  written: "), "{outcome:?}");
    assert!(registry.manifest("whole", "latest").is_none());
    let outcome = append(&forgetful.host, "linux/arm64", &[]);
    failed(
        &outcome,
        "/whole:v1: written 50 times, and written over by others each time; run this again when they are done",
    );

    let condition = |digest: &str| append(&registry.host, "linux/arm64", &["--if-match", digest]);
    let outcome = condition(&sha256(b""));
    assert!(outcome.exit == 3 && outcome.stderr.contains("no tag was written"), "{outcome:?}");
    assert_eq!(registry.manifest("whole", "v1").unwrap().digest, before);
    done(&condition(&before));
    let outcome = remove(&registry.host, &["--if-match", &before, "--platform", "linux/arm64"]);
    assert_eq!(outcome.exit, 3, "{outcome:?}");

    // What the target holds cannot be read: nothing is taken for nothing.
    let blind = Scripted::before(&registry, |asked| {
        let is_look = asked.line == "GET /v2/whole/manifests/v1";
        is_look.then(|| (403, vec![], br#"{"errors":[{"code":"DENIED"}]}"#.to_vec()))
    });
    let outcome = append(&blind.host, "linux/arm64", &[]);
    failed(&outcome, "DENIED");
    assert!(!blind.asked().iter().any(|asked| asked.line.starts_with("PUT ")), "{:?}", blind.asked());
}

/// In a run of many indexes the look at a tag and its write are not parted by the run's own requests.
#[test]
fn nothing_of_a_run_comes_between_a_look_and_its_write() {
    let (registry, folder) = (Registry::start(), tempfile::tempdir().unwrap());
    push_image(&registry, "parts", "amd64", "amd64");
    let front = Scripted::before(&registry, |_| {
        std::thread::sleep(std::time::Duration::from_millis(15));
        None
    });
    let spec = |n: u32| {
        let host = &front.host;
        format!("---\nimage: {host}/whole:t{n}\nappend: true\nmanifests: [{{image: \"{host}/parts:amd64\"}}]\n")
    };
    std::fs::write(folder.path().join("many.yaml"), (0..12).map(spec).collect::<String>()).unwrap();
    let args = ["--plain-http", "--concurrency", "1", "push", "--settle", "50ms", "from-spec", "many.yaml"];
    let outcome = manifest_tool(folder.path(), &args);
    done(&outcome);
    let asked = front.asked();
    let writes: Vec<usize> =
        (0..asked.len()).filter(|at| asked[*at].line.starts_with("PUT /v2/whole/manifests/t")).collect();
    assert_eq!(writes.len(), 12, "{outcome:?}");
    for at in writes {
        // A tag that is not there is looked at with a GET as well. One request of others may be under way, and a write.
        let look = asked[at].line.replace("PUT ", "GET ");
        let before: Vec<&str> = asked[at - 3..at].iter().map(|asked| asked.line.as_str()).collect();
        assert!(before.contains(&look.as_str()), "{look}: {before:?}");
    }
}

/// What others write meanwhile, by what a front sees: `at` the so-manieth request of a kind.
fn meanwhile(
    registry: &Arc<Registry>,
    line: &'static str,
    at: usize,
    write: impl Fn(&Registry) + Send + Sync + 'static,
) -> Scripted {
    let (other, seen) = (Arc::clone(registry), AtomicUsize::new(0));
    Scripted::before(registry, move |asked| {
        if asked.line == line && seen.fetch_add(1, Ordering::SeqCst) + 1 == at {
            write(&other);
        }
        None
    })
}

const LOOK: &str = "GET /v2/whole/manifests/v1";

fn writes(front: &Scripted) -> usize {
    front.asked().iter().filter(|asked| asked.puts("v1")).count()
}

/// What is there already may be undone by a writer who looked before: that is waited for as well.
#[test]
fn what_is_there_is_read_back_too() {
    let registry = Arc::new(Registry::start());
    for arch in ["amd64", "arm64"] {
        push_image(&registry, "parts", arch, arch);
    }
    done(&append(&registry.host, "linux/amd64", &[]));
    let without = registry.manifest("whole", "v1").unwrap();
    done(&append(&registry.host, "linux/arm64", &[]));
    let front = meanwhile(&registry, LOOK, 2, move |registry| {
        registry.push_manifest("whole", "v1", &without.media_type, &without.bytes);
    });
    done(&append(&front.host, "linux/arm64", &[]));
    assert_eq!((entries(&registry, "v1").len(), writes(&front)), (2, 1));
}

/// Another image for the platform, or other words for the index, are a later writer's: nobody fights for them.
#[test]
fn what_others_put_in_its_place_is_theirs() {
    let registry = Arc::new(Registry::start());
    for arch in ["amd64", "arm64", "s390x"] {
        push_image(&registry, "parts", arch, arch);
    }
    push_image(&registry, "whole", "later", "arm64");
    done(&append(&registry.host, "linux/amd64", &["--type", "oci", "--annotations", "by=nobody"]));
    let front = meanwhile(&registry, LOOK, 2, |registry| {
        let (host, more) = (&registry.host, ["--append", "--settle", "1ms", "--annotations", "by=other"]);
        done(&push_from_args(host, "linux/arm64", "whole:later", "whole:v1", &more));
    });
    let outcome =
        append(&front.host, "linux/arm64", &["--annotations", "by=this", "--tags", "latest", "--output", "json"]);
    done(&outcome);
    assert_eq!((writes(&front), &index(&registry, "v1")["annotations"]["by"]), (1, &json!("other")));
    let held = registry.manifest("whole", "v1").unwrap().digest;
    let told: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(told["indexes"][0]["digest"], held, "what the tag points at, and not what was written over");
    assert_eq!(registry.manifest("whole", "latest").unwrap().digest, held);
    let sources: Vec<&Value> = told["indexes"][0]["entries"].as_array().unwrap().iter().map(|e| &e["source"]).collect();
    assert_eq!(sources, [&Value::Null, &Value::Null]);
}

/// Written, and written over: that is no success, and it is said that it was written.
#[test]
fn a_change_that_was_written_over_for_good() {
    let registry = Arc::new(Registry::start());
    for arch in ["amd64", "arm64"] {
        push_image(&registry, "parts", arch, arch);
    }
    done(&append(&registry.host, "linux/amd64", &[]));
    let old = registry.manifest("whole", "v1").unwrap();
    let undo = |at| {
        let (media_type, bytes) = (old.media_type.clone(), old.bytes.clone());
        meanwhile(&registry, LOOK, at, move |registry| registry.push_manifest("whole", "v1", &media_type, &bytes))
    };
    let front = undo(2);
    let outcome = append(&front.host, "linux/arm64", &["--if-match", &old.digest, "--output", "json"]);
    assert_eq!(outcome.exit, 1, "3 would say that nothing was moved: {outcome:?}");
    assert!(outcome.stderr.contains("written once, and written over by others"), "{outcome:?}");
    let told: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let tag = &told["indexes"][0]["tags"][0];
    assert_eq!(
        (&tag["state"], &tag["was"], &told["indexes"][0]["changed"]),
        (&json!("unknown"), &json!(old.digest), &json!(true))
    );

    let (puts, undone) = (AtomicUsize::new(0), undo(2));
    let front = Scripted::start(move |asked, host| {
        let refused = asked.puts("v1") && puts.fetch_add(1, Ordering::SeqCst) == 1;
        let denied = || (403, vec![], br#"{"errors":[{"code":"DENIED"}]}"#.to_vec());
        if refused { denied() } else { crate::support::scripted::forward(asked, &undone.host, host) }
    });
    let outcome = append(&front.host, "linux/arm64", &[]);
    assert!(outcome.exit == 1 && outcome.stderr.contains("not known: "), "{outcome:?}");
}

/// Warnings are errors with --strict, also for what is there only when the change is made.
#[test]
fn a_change_of_what_others_wrote_is_checked_as_well() {
    let registry = Arc::new(Registry::start());
    push_image(&registry, "parts", "amd64", "amd64");
    let config = json!({"os": "linux", "architecture": "s390x"}).to_string();
    let config = json!({"mediaType": "application/vnd.docker.container.image.v1+json", "size": config.len(),
        "digest": registry.push_blob("parts", config.as_bytes())});
    let docker = json!({"schemaVersion": 2, "mediaType": DOCKER, "config": config, "layers": []}).to_string();
    registry.push_manifest("parts", "s390x", DOCKER, docker.as_bytes());
    for more in [&["--strict"][..], &[]] {
        let tag = if more.is_empty() { "whole:loose" } else { "whole:v1" };
        let look = if more.is_empty() { "HEAD /v2/whole/manifests/loose" } else { "HEAD /v2/whole/manifests/v1" };
        let front = meanwhile(&registry, look, 1, move |registry| {
            done(&push_from_args(&registry.host, "linux/amd64", "parts:ARCH", tag, &["--type", "docker"]));
        });
        let more = [&["--append", "--settle", "1ms"], more].concat();
        let outcome = push_from_args(&front.host, "linux/s390x", "parts:ARCH", tag, &more);
        assert_eq!(outcome.exit, i32::from(more.contains(&"--strict")), "{outcome:?}");
        assert!(outcome.stderr.contains("1 of the images are Docker's and 1 are OCI's"), "{outcome:?}");
    }
}

/// One image of which nobody can say what it is for is not put into an index.
#[test]
fn an_image_without_a_platform_is_not_appended_to() {
    let registry = Registry::start();
    push_image(&registry, "parts", "arm64", "arm64");
    push_image_with(&registry, "whole", "v1", b"{}", b"layer");
    let before = registry.manifest("whole", "v1").unwrap().digest;
    failed(&append(&registry.host, "linux/arm64", &[]), "it holds one image, of which nobody can say what platform");
    assert_eq!(registry.manifest("whole", "v1").unwrap().digest, before);
    // A plain push replaces it, whatever it is.
    done(&push_from_args(&registry.host, "linux/arm64", "parts:ARCH", "whole:v1", &[]));
}

/// An index with a subject is a referrer after a change as well.
#[test]
fn a_changed_index_is_listed_with_its_subject() {
    let (registry, folder) = (Registry::start(), tempfile::tempdir().unwrap());
    let subject = push_image(&registry, "whole", "amd64", "amd64")["digest"].as_str().unwrap().to_owned();
    push_image(&registry, "whole", "arm64", "arm64");
    let host = &registry.host;
    let spec = format!(
        "image: {host}/whole:v1\ntype: oci\nsubject: {subject}\nplatforms: [linux/amd64, linux/arm64]\ntemplate: {host}/whole:ARCH\n"
    );
    std::fs::write(folder.path().join("spec.yaml"), spec).unwrap();
    done(&manifest_tool(folder.path(), &["--plain-http", "push", "from-spec", "spec.yaml"]));
    done(&remove(host, &["--platform", "linux/arm64"]));
    let list = registry.manifest("whole", &subject.replace(':', "-")).unwrap();
    let list: Value = serde_json::from_slice(&list.bytes).unwrap();
    let listed: Vec<&Value> = list["manifests"].as_array().unwrap().iter().map(|entry| &entry["digest"]).collect();
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[1], &json!(registry.manifest("whole", "v1").unwrap().digest));
}

/// A registry whose answers to a HEAD and a GET differ for ever: it is given up, and not silently.
#[test]
fn a_tag_that_is_never_what_it_was() {
    let registry = Registry::start();
    for arch in ["amd64", "arm64"] {
        push_image(&registry, "parts", arch, arch);
    }
    done(&append(&registry.host, "linux/amd64", &[]));
    let liar = Scripted::before(&registry, |asked| {
        let other = sha256(b"what a replica has");
        let is_head = asked.line == "HEAD /v2/whole/manifests/v1";
        is_head.then(|| (200, vec![("Docker-Content-Digest", other), ("Content-Length", "0".into())], vec![]))
    });
    let outcome = append(&liar.host, "linux/arm64", &["--quiet"]);
    failed(&outcome, "/whole:v1: changed by others each time that it was to be written; run this again");
    assert_eq!(entries(&registry, "v1").len(), 1);
}

/// What was removed is gone, whatever others put there since.
#[test]
fn what_others_put_there_after_a_removal() {
    let registry = Arc::new(Registry::start());
    for arch in ["amd64", "arm64"] {
        push_image(&registry, "parts", arch, arch);
    }
    push_image(&registry, "whole", "later", "arm64");
    push_image(&registry, "whole", "single", "s390x");
    for (later, held) in [("index", "arm64"), ("image", "s390x")] {
        done(&push_from_args(&registry.host, "linux/amd64,linux/arm64", "parts:ARCH", "whole:v1", &[]));
        let front = meanwhile(&registry, LOOK, 2, move |registry| match later {
            "index" => done(&push_from_args(&registry.host, "linux/arm64", "whole:later", "whole:v1", &[])),
            _ => {
                let single = registry.manifest("whole", "single").unwrap();
                registry.push_manifest("whole", "v1", &single.media_type, &single.bytes);
            }
        });
        let outcome = remove(&front.host, &["--platform", "linux/arm64", "--output", "json"]);
        done(&outcome);
        let now = registry.manifest("whole", "v1").unwrap();
        let told: Value = serde_json::from_str(&outcome.stdout).unwrap();
        assert_eq!((&told["indexes"][0]["digest"], writes(&front)), (&json!(now.digest), 1), "{later} {held}");
    }
}

/// What cannot be made again after it was written over is told of as written.
#[test]
fn a_change_that_cannot_be_made_again() {
    let registry = Arc::new(Registry::start());
    for arch in ["amd64", "arm64"] {
        push_image(&registry, "parts", arch, arch);
    }
    done(&push_from_args(&registry.host, "linux/amd64,linux/arm64", "parts:ARCH", "whole:v1", &[]));
    let front = meanwhile(&registry, LOOK, 2, |registry| {
        done(&push_from_args(&registry.host, "linux/arm64", "parts:ARCH", "whole:v1", &[]));
    });
    let outcome = remove(&front.host, &["--platform", "linux/arm64", "--output", "json"]);
    let told: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let index = &told["indexes"][0];
    assert_eq!((outcome.exit, &index["changed"], &index["tags"][0]["state"]), (1, &json!(true), &json!("unknown")));
    assert!(outcome.stderr.contains("no image would be left in it"), "{outcome:?}");
    assert!(outcome.stderr.contains("it was written, and then written over by others"), "{outcome:?}");
}

/// An entry that names a platform is an image, whatever its annotations say: it is not dropped, and it can be replaced
/// and removed by its platform.
#[test]
fn an_annotated_entry_that_names_a_platform_is_an_image() {
    let registry = Registry::start();
    let attested = push_attested(&registry, "whole", "source", "amd64");
    let source = index(&registry, "source");
    let mut all = source["manifests"].as_array().unwrap().clone();
    let mut annotated = push_image(&registry, "whole", "arm64", "arm64");
    annotated["platform"] = json!({"architecture": "arm64", "os": "linux"});
    annotated["annotations"] = all[1]["annotations"].clone();
    all.push(annotated.clone());
    push_index(&registry, "whole", "source", &all);
    let arm64 = annotated["digest"].as_str().unwrap().to_owned();
    let digests = || -> Vec<String> { entries(&registry, "v1").into_iter().map(|(_, digest)| digest).collect() };

    let push = |attestations: &str| {
        let (host, folder) = (&registry.host, tempfile::tempdir().unwrap());
        let spec = format!(
            "image: {host}/whole:v1\ntype: oci\nattestations: {attestations}\nmanifests:\n- image: {host}/whole:source\n"
        );
        std::fs::write(folder.path().join("spec.yaml"), spec).unwrap();
        done(&manifest_tool(folder.path(), &["--plain-http", "push", "from-spec", "spec.yaml"]));
    };
    push("keep");
    assert_eq!(digests(), [&attested.image, &arm64, &attested.attestation].map(String::as_str));
    push("drop");
    assert_eq!(digests(), [&attested.image, &arm64].map(String::as_str));

    push("keep");
    let config = json!({"os": "linux", "architecture": "arm64"}).to_string();
    let new = push_image_with(&registry, "parts", "arm64", config.as_bytes(), b"another layer");
    let new = new["digest"].as_str().unwrap();
    done(&append(&registry.host, "linux/arm64", &[]));
    assert_eq!(digests(), [&*attested.image, new, &*attested.attestation], "it is replaced");

    push("keep");
    done(&remove(&registry.host, &["--platform", "linux/arm64"]));
    assert_eq!(digests(), [&*attested.image, &*attested.attestation], "it is removed");
}
