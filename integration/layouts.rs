//! Writing layouts and archives: existing content is kept, and only complete content is listed.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::images::{OCI_INDEX, descriptor, push_image};
use crate::support::registry::sha256;
use crate::support::{Sandbox, ScriptedServer};

/// Starts a registry with images `app:one` and `app:two`, and copies them to the archive `both.tar` and to the layout
/// `both`.
fn sandbox_with_layouts() -> Sandbox {
    let sandbox = Sandbox::new();
    push_image(&sandbox.registry, "app", "one", "amd64");
    push_image(&sandbox.registry, "app", "two", "arm64");
    for target in ["oci-archive:both.tar", "oci:both"] {
        sandbox.run(&["copy", "HOST/app", target, "--tags", "one,two"]).success();
    }
    sandbox
}

fn blob_file(sandbox: &Sandbox, layout: &str, digest: &str) -> PathBuf {
    sandbox.path(layout).join("blobs").join(digest.replacen(':', "/", 1))
}

/// Pushes `app:one` to both targets in one run.
#[track_caller]
fn push_to_both(sandbox: &Sandbox, targets: [&str; 2]) {
    let spec = |target: &str| {
        indoc::formatdoc! {"
            ---
            image: {target}
            manifests: [{{image: 'HOST/app:one'}}]
        "}
    };
    sandbox.write("specs.yaml", &targets.map(spec).concat());
    sandbox.run(&["push", "from-spec", "specs.yaml"]).success();
}

/// Returns the reference names in `index.json`, sorted, with `-` for an entry without a name.
fn reference_names(layout: &Path) -> Vec<String> {
    let index: Value = serde_json::from_slice(&std::fs::read(layout.join("index.json")).unwrap()).unwrap();
    let name =
        |entry: &Value| entry["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap_or("-").to_owned();
    let mut names: Vec<String> = index["manifests"].as_array().unwrap().iter().map(name).collect();
    names.sort();
    names
}

#[test]
fn an_archive_that_is_source_and_target_is_not_replaced() {
    let sandbox = sandbox_with_layouts();
    let before = std::fs::read(sandbox.path("both.tar")).unwrap();
    let part = "the archive is also a source and would be replaced";
    sandbox.run(&["copy", "oci-archive:both.tar:one", "oci-archive:./both.tar:three"]).fails(1, part);
    let push = ["push", "from-args", "--platforms", "linux/amd64", "--template", "oci-archive:both.tar:one"];
    sandbox.run(&[&push[..], &["--target", "oci-archive:both.tar:three"]].concat()).fails(1, part);
    assert!(before == std::fs::read(sandbox.path("both.tar")).unwrap());
    // A layout in a folder is changed in place.
    sandbox.run(&["copy", "oci:both:one", "oci:both:three"]).success();
    assert_eq!(reference_names(&sandbox.path("both")), ["one", "three", "two"]);
}

#[test]
fn two_spellings_of_a_path_are_one_archive() {
    let sandbox = sandbox_with_layouts();
    push_to_both(&sandbox, ["oci-archive:new.tar:a", "oci-archive:./new.tar:b"]);
    for name in ["a", "b"] {
        sandbox.run(&["inspect", &format!("oci-archive:new.tar:{name}")]).success();
    }
}

#[cfg(unix)]
#[test]
fn a_dangling_link_and_its_destination_are_one_archive() {
    let sandbox = sandbox_with_layouts();
    std::os::unix::fs::symlink("new.tar", sandbox.path("link.tar")).unwrap();
    push_to_both(&sandbox, ["oci-archive:link.tar:a", "oci-archive:new.tar:b"]);
    for name in ["a", "b"] {
        sandbox.run(&["inspect", &format!("oci-archive:new.tar:{name}")]).success();
    }
}

#[test]
fn an_archive_is_not_replaced_if_one_of_several_tags_fails() {
    let sandbox = sandbox_with_layouts();
    let before = std::fs::read(sandbox.path("both.tar")).unwrap();
    let server = ScriptedServer::in_front_of(&sandbox.registry, |request| {
        request.line.ends_with("/manifests/two").then(|| (403, vec![], br#"{"errors":[{"code":"DENIED"}]}"#.to_vec()))
    });
    let from = format!("{}/app", server.host);
    sandbox
        .run(&["copy", &from, "oci-archive:both.tar", "--tags", "*"])
        .fails(1, "oci-archive:both.tar is not written");
    assert!(before == std::fs::read(sandbox.path("both.tar")).unwrap());
    let files = std::fs::read_dir(sandbox.folder()).unwrap().flatten();
    let names: Vec<_> = files.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    assert!(names.iter().all(|name| !name.starts_with('.')), "a temporary file is left: {names:?}");
}

#[test]
fn archives_of_the_same_tags_are_byte_for_byte_equal() {
    let sandbox = sandbox_with_layouts();
    (0..8).for_each(|n| drop(push_image(&sandbox.registry, "app", &format!("n{n}"), "amd64")));
    let mut archives = Vec::new();
    for name in ["a.tar", "b.tar", "c.tar"] {
        sandbox.run(&["copy", "HOST/app", &format!("oci-archive:{name}"), "--tags", "*"]).success();
        archives.push(sha256(&std::fs::read(sandbox.path(name)).unwrap()));
    }
    archives.dedup();
    assert_eq!(archives.len(), 1);
}

#[test]
fn a_target_with_a_digest_must_match_the_source() {
    let sandbox = sandbox_with_layouts();
    let digest = sandbox.registry.manifest("app", "one").unwrap().digest;
    let wrong = sha256(b"another");
    for target in ["oci:new", "HOST/other"] {
        let to = format!("{target}@{wrong}");
        sandbox.run(&["copy", "HOST/app:one", &to]).fails(1, &format!("its digest is {digest}, not {wrong}"));
        sandbox.run(&["copy", "HOST/app:one", &format!("{target}@{digest}")]).success();
        sandbox.run(&["inspect", &format!("{target}@{digest}")]).success();
    }
    sandbox.run(&["inspect", "oci:new"]).success();
    // The named entry replaces the unnamed one for the same manifest.
    sandbox.run(&["copy", "HOST/app:one", "oci:new:named"]).success();
    assert_eq!(reference_names(&sandbox.path("new")), ["named"]);
}

/// A power failure can leave a blob missing, or zeros instead of its content.
#[test]
fn missing_and_corrupted_blobs_of_a_layout_are_written_again() {
    let sandbox = sandbox_with_layouts();
    let image = sandbox.registry.manifest("app", "one").unwrap();
    let manifest: Value = serde_json::from_slice(&image.bytes).unwrap();
    let layer = blob_file(&sandbox, "both", manifest["layers"][0]["digest"].as_str().unwrap());
    let copy = ["copy", "HOST/app:one", "oci:both:one"];
    let root = blob_file(&sandbox, "both", &image.digest);
    std::fs::remove_file(&root).unwrap();
    sandbox.run(&copy).success();
    assert_eq!(std::fs::read(&root).unwrap(), image.bytes);
    let content = std::fs::read(&layer).unwrap();
    std::fs::write(&layer, vec![0; content.len()]).unwrap();
    sandbox.run(&["copy", "HOST/app:one", "oci:both:other"]).success();
    assert_eq!(std::fs::read(&layer).unwrap(), content);
}

#[test]
fn concurrent_copies_to_a_new_layout_keep_each_others_images() {
    let sandbox = sandbox_with_layouts();
    let tags_of = |round: usize| (0..4).map(move |n| format!("r{round}n{n}"));
    for round in 0..5 {
        let layout = format!("shared{round}");
        let children: Vec<_> = tags_of(round)
            .map(|tag| {
                let mut command = sandbox.command(&["copy", "HOST/app:one", &format!("oci:{layout}:{tag}")]);
                command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        for child in children {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        assert_eq!(reference_names(&sandbox.path(&layout)), tags_of(round).collect::<Vec<_>>());
    }
}

#[cfg(unix)]
#[test]
fn a_copy_does_not_write_through_a_link_in_a_layout() {
    let sandbox = sandbox_with_layouts();
    std::fs::create_dir(sandbox.path("outside")).unwrap();
    sandbox.write("linked/oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
    std::os::unix::fs::symlink(sandbox.path("outside"), sandbox.path("linked/blobs")).unwrap();
    sandbox.run(&["copy", "HOST/app:one", "oci:linked:v1"]).fails(1, "not a regular file, or its path contains a link");
    let written = files_below(&sandbox.path("outside"));
    assert!(written.is_empty(), "{written:?}");
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

#[test]
fn other_cosign_signatures_at_the_target_are_kept_with_a_warning() {
    let sandbox = sandbox_with_layouts();
    let digest = sandbox.registry.manifest("app", "one").unwrap().digest;
    let tag = format!("{}.sig", digest.replace(':', "-"));
    push_image(&sandbox.registry, "app", &tag, "s390x");
    push_image(&sandbox.registry, "target", &tag, "ppc64le");
    let signatures = sandbox.registry.manifest("target", &tag).unwrap().digest;
    sandbox
        .run(&["copy", "HOST/app:one", "HOST/target:one", "--referrers"])
        .success()
        .stderr_contains("points at other signatures than the source's");
    assert_eq!(sandbox.registry.manifest("target", &tag).unwrap().digest, signatures);
}

/// The copy waits for a slow blob, for a lock of another process, or for a pipe without a writer.
#[cfg(unix)]
#[test]
fn a_deadline_ends_a_copy_that_waits() {
    let sandbox = sandbox_with_layouts();
    let server = ScriptedServer::in_front_of(&sandbox.registry, |request| {
        if request.line.contains("/blobs/") {
            std::thread::sleep(Duration::from_secs(15));
        }
        None
    });
    let lock = std::fs::File::open(sandbox.path("both")).unwrap();
    lock.lock().unwrap();
    let fifo = std::process::Command::new("mkfifo").arg(sandbox.path("pipe")).status().unwrap();
    assert!(fifo.success());
    let slow_source = format!("{}/app:one", server.host);
    for (args, code) in [
        (["copy", &slow_source, "oci:slow:v1"], 124),
        (["copy", "HOST/app:one", "oci:both:again"], 124),
        (["copy", "oci-archive:pipe", "oci:never:v1"], 1),
    ] {
        let start = Instant::now();
        let outcome = sandbox.run(&[&["--deadline", "1s"], &args[..]].concat()).exits(code);
        assert!(start.elapsed() < Duration::from_secs(11), "{args:?}: {outcome:?}");
    }
    assert!(!sandbox.path("slow").exists() || reference_names(&sandbox.path("slow")).is_empty());
}

#[test]
fn platform_chooses_by_variant_and_an_image_listed_twice_is_one_image() {
    let sandbox = sandbox_with_layouts();
    let entry = |tag: &str, variant: &str| {
        let mut entry = push_image(&sandbox.registry, "app", tag, tag);
        entry["platform"] = json!({"os": "linux", "architecture": "amd64"});
        if tag == "arm" {
            entry["platform"]["architecture"] = "arm64".into();
        }
        if !variant.is_empty() {
            entry["platform"]["variant"] = variant.into();
        }
        entry
    };
    let entries = [entry("plain", ""), entry("newer", "v3"), entry("arm", "")];
    let arm_twice = [&entries[..], &entries[2..]].concat();
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": arm_twice}).to_string();
    sandbox.registry.push_manifest("app", "v1", OCI_INDEX, index.as_bytes());
    for (platform, tag) in
        [("linux/amd64", "plain"), ("linux/amd64/v3", "newer"), ("linux/arm64", "arm"), ("linux/arm64/v8", "arm")]
    {
        let digest = sandbox.registry.manifest("app", tag).unwrap().digest;
        sandbox.run(&["copy", "HOST/app:v1", "oci:one:v1", "--platform", platform]).success().stdout_contains(&digest);
    }
}

/// Each of 16 indexes lists the same 16 indexes, over several levels.
#[test]
fn a_manifest_that_many_indexes_list_is_read_once() {
    let sandbox = sandbox_with_layouts();
    let image = sandbox.registry.manifest("app", "one").unwrap();
    let mut children = vec![descriptor(&image.media_type, &image.digest, &image.bytes)];
    for level in 0..4 {
        children = (0..if level == 3 { 1 } else { 16 })
            .map(|n| {
                let index = json!({
                    "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children,
                    "annotations": {"n": format!("{level} {n}")},
                })
                .to_string();
                sandbox.registry.push_manifest("app", &format!("l{level}n{n}"), OCI_INDEX, index.as_bytes());
                descriptor(OCI_INDEX, &sha256(index.as_bytes()), index.as_bytes())
            })
            .collect();
    }
    let mark = sandbox.registry.requests(0).len();
    sandbox.run(&["copy", "HOST/app:l3n0", "oci:deep:v1"]).success();
    let requests = sandbox.registry.requests(mark).into_iter().filter(|line| line.contains("/manifests/")).count();
    assert_eq!(requests, 1 + 3 * 16 + 1);
}
