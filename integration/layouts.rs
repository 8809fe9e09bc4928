//! Layouts and archives that are written: nothing that was there is lost, and what is there can be read.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::images::{OCI_INDEX, descriptor, push_image};
use crate::support::registry::sha256;
use crate::support::{Outcome, Registry, Scripted, command, manifest_tool};

struct Scene {
    folder: tempfile::TempDir,
    registry: Registry,
}

impl Scene {
    /// `app:one` and `app:two`, and both in the archive `both.tar` and the layout `both`.
    fn new() -> Self {
        let (folder, registry) = (tempfile::tempdir().unwrap(), Registry::start());
        push_image(&registry, "app", "one", "amd64");
        push_image(&registry, "app", "two", "arm64");
        let scene = Self { folder, registry };
        for to in ["oci-archive:both.tar", "oci:both"] {
            scene.done(&["copy", &scene.at("app"), to, "--tags", "one,two"]);
        }
        scene
    }

    fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.registry.host)
    }

    fn run(&self, args: &[&str]) -> Outcome {
        manifest_tool(self.folder.path(), &[&["--plain-http"], args].concat())
    }

    #[track_caller]
    fn done(&self, args: &[&str]) -> String {
        let outcome = self.run(args);
        assert_eq!(outcome.exit, 0, "{args:?}: {outcome:?}");
        outcome.stdout
    }

    #[track_caller]
    fn fails(&self, args: &[&str], part: &str) {
        let outcome = self.run(args);
        assert!(outcome.exit == 1 && outcome.stderr.contains(part), "{args:?}: {outcome:?}");
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn blob(&self, layout: &str, digest: &str) -> std::path::PathBuf {
        self.path(layout).join("blobs").join(digest.replacen(':', "/", 1))
    }
}

fn names(layout: &Path) -> Vec<String> {
    let index: Value = serde_json::from_slice(&std::fs::read(layout.join("index.json")).unwrap()).unwrap();
    let name =
        |entry: &Value| entry["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap_or("-").to_owned();
    let mut names: Vec<String> = index["manifests"].as_array().unwrap().iter().map(name).collect();
    names.sort();
    names
}

#[test]
fn an_archive_that_is_a_source_as_well_is_left_alone() {
    let scene = Scene::new();
    let before = std::fs::read(scene.path("both.tar")).unwrap();
    let part = "the archive is a source as well, and would be replaced";
    scene.fails(&["copy", "oci-archive:both.tar:one", "oci-archive:./both.tar:three"], part);
    let template = ["push", "from-args", "--platforms", "linux/amd64", "--template", "oci-archive:both.tar:one"];
    scene.fails(&[&template[..], &["--target", "oci-archive:both.tar:three"]].concat(), part);
    assert!(before == std::fs::read(scene.path("both.tar")).unwrap());
    // A folder keeps what it holds.
    scene.done(&["copy", "oci:both:one", "oci:both:three"]);
    assert_eq!(names(&scene.path("both")), ["one", "three", "two"]);
}

/// Two indexes of one run into one archive, by two spellings of its path.
#[test]
fn two_spellings_are_one_archive() {
    let scene = Scene::new();
    let spec = |target: &str| format!("image: {target}\nmanifests: [{{image: '{}'}}]\n", scene.at("app:one"));
    let specs = format!("{}---\n{}", spec("oci-archive:new.tar:a"), spec("oci-archive:./new.tar:b"));
    std::fs::write(scene.path("specs.yaml"), specs).unwrap();
    scene.done(&["push", "from-spec", "specs.yaml"]);
    for name in ["a", "b"] {
        scene.done(&["inspect", &format!("oci-archive:new.tar:{name}")]);
    }
}

#[cfg(unix)]
#[test]
fn a_dangling_link_and_where_it_leads_are_one_archive() {
    let scene = Scene::new();
    std::os::unix::fs::symlink("new.tar", scene.path("link.tar")).unwrap();
    let spec = |target: &str| format!("image: {target}\nmanifests: [{{image: '{}'}}]\n", scene.at("app:one"));
    let specs = format!("{}---\n{}", spec("oci-archive:link.tar:a"), spec("oci-archive:new.tar:b"));
    std::fs::write(scene.path("specs.yaml"), specs).unwrap();
    scene.done(&["push", "from-spec", "specs.yaml"]);
    for name in ["a", "b"] {
        scene.done(&["inspect", &format!("oci-archive:new.tar:{name}")]);
    }
}

/// One of several tags cannot be copied: what was in the archive stays.
#[test]
fn an_archive_is_replaced_when_all_is_done() {
    let scene = Scene::new();
    let before = std::fs::read(scene.path("both.tar")).unwrap();
    let front = Scripted::before(&scene.registry, |asked| {
        asked.line.ends_with("/manifests/two").then(|| (403, vec![], br#"{"errors":[{"code":"DENIED"}]}"#.to_vec()))
    });
    let from = format!("{}/app", front.host);
    scene.fails(&["copy", &from, "oci-archive:both.tar", "--tags", "*"], "oci-archive:both.tar is not written");
    assert!(before == std::fs::read(scene.path("both.tar")).unwrap());
    let left = std::fs::read_dir(scene.folder.path()).unwrap().flatten();
    let left: Vec<_> = left.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    assert!(left.iter().all(|name| !name.starts_with('.')), "{left:?}");
}

#[test]
fn many_tags_make_the_same_archive_every_time() {
    let scene = Scene::new();
    (0..8).for_each(|n| drop(push_image(&scene.registry, "app", &format!("n{n}"), "amd64")));
    let mut archives = Vec::new();
    for name in ["a.tar", "b.tar", "c.tar"] {
        scene.done(&["copy", &scene.at("app"), &format!("oci-archive:{name}"), "--tags", "*"]);
        archives.push(sha256(&std::fs::read(scene.path(name)).unwrap()));
    }
    archives.dedup();
    assert_eq!(archives.len(), 1);
}

#[test]
fn a_digest_as_target_is_compared_and_listed() {
    let scene = Scene::new();
    let digest = scene.registry.manifest("app", "one").unwrap().digest;
    let wrong = sha256(b"another");
    for place in ["oci:new".to_owned(), scene.at("other")] {
        let to = format!("{place}@{wrong}");
        scene.fails(&["copy", &scene.at("app:one"), &to], &format!("it is {digest}, not {wrong}"));
        scene.done(&["copy", &scene.at("app:one"), &format!("{place}@{digest}")]);
        scene.done(&["inspect", &format!("{place}@{digest}")]);
    }
    scene.done(&["inspect", "oci:new"]);
    // A name for what had none takes its place.
    scene.done(&["copy", &scene.at("app:one"), "oci:new:named"]);
    assert_eq!(names(&scene.path("new")), ["named"]);
}

/// Lost, or with other bytes of the same length, as a machine that lost power may leave them.
#[test]
fn what_a_layout_lost_is_written_again() {
    let scene = Scene::new();
    let found = scene.registry.manifest("app", "one").unwrap();
    let manifest: Value = serde_json::from_slice(&found.bytes).unwrap();
    let layer = scene.blob("both", manifest["layers"][0]["digest"].as_str().unwrap());
    let copy = ["copy", &scene.at("app:one"), "oci:both:one"];
    let root = scene.blob("both", &found.digest);
    std::fs::remove_file(&root).unwrap();
    scene.done(&copy);
    assert_eq!(std::fs::read(&root).unwrap(), found.bytes);
    let whole = std::fs::read(&layer).unwrap();
    std::fs::write(&layer, vec![0; whole.len()]).unwrap();
    scene.done(&["copy", &scene.at("app:one"), "oci:both:other"]);
    assert_eq!(std::fs::read(&layer).unwrap(), whole);
}

/// Jobs that each put their image into one new layout, at the same moment.
#[test]
fn writers_of_one_layout_do_not_lose_each_others_images() {
    let scene = Scene::new();
    let names_of = |round: usize| (0..4).map(move |n| format!("r{round}n{n}"));
    for round in 0..5 {
        let layout = format!("shared{round}");
        let children: Vec<_> = names_of(round)
            .map(|name| {
                let to = format!("oci:{layout}:{name}");
                let mut command = command(scene.folder.path(), &["--plain-http", "copy", &scene.at("app:one"), &to]);
                command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        for child in children {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        assert_eq!(names(&scene.path(&layout)), names_of(round).collect::<Vec<_>>());
    }
}

#[cfg(unix)]
#[test]
fn nothing_is_written_through_a_link() {
    let scene = Scene::new();
    std::fs::create_dir(scene.path("outside")).unwrap();
    std::fs::create_dir(scene.path("linked")).unwrap();
    std::fs::write(scene.path("linked/oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    std::os::unix::fs::symlink(scene.path("outside"), scene.path("linked/blobs")).unwrap();
    scene.fails(&["copy", &scene.at("app:one"), "oci:linked:v1"], "not a plain file in plain folders");
    let written = walk(&scene.path("outside"));
    assert!(written.is_empty(), "{written:?}");
}

fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

/// Signatures that the target has of its own are not replaced by those of the source.
#[test]
fn signatures_of_the_target_are_left_alone() {
    let scene = Scene::new();
    let digest = scene.registry.manifest("app", "one").unwrap().digest;
    let tag = format!("{}.sig", digest.replace(':', "-"));
    push_image(&scene.registry, "app", &tag, "s390x");
    push_image(&scene.registry, "own", &tag, "ppc64le");
    let own = scene.registry.manifest("own", &tag).unwrap().digest;
    let outcome = scene.run(&["copy", &scene.at("app:one"), &scene.at("own:one"), "--referrers"]);
    assert!(outcome.exit == 0 && outcome.stderr.contains("holds other signatures than the source's"), "{outcome:?}");
    assert_eq!(scene.registry.manifest("own", &tag).unwrap().digest, own);
}

/// A blob that takes long on its way into a layout, a lock that another process holds, a pipe that nobody writes to:
/// the deadline ends them all, and nothing is listed.
#[cfg(unix)]
#[test]
fn a_deadline_ends_what_is_about_files() {
    let scene = Scene::new();
    let front = Scripted::before(&scene.registry, |asked| {
        if asked.line.contains("/blobs/") {
            std::thread::sleep(Duration::from_secs(15));
        }
        None
    });
    let lock = std::fs::File::open(scene.path("both")).unwrap();
    lock.lock().unwrap();
    let fifo = std::process::Command::new("mkfifo").arg(scene.path("pipe")).status().unwrap();
    assert!(fifo.success());
    let slow = format!("{}/app:one", front.host);
    for (args, code) in [
        (["copy", &slow, "oci:slow:v1"], 124),
        (["copy", &scene.at("app:one"), "oci:both:again"], 124),
        (["copy", "oci-archive:pipe", "oci:never:v1"], 1),
    ] {
        let began = Instant::now();
        let outcome = scene.run(&[&["--deadline", "1s"], &args[..]].concat());
        assert_eq!(outcome.exit, code, "{args:?}: {outcome:?}");
        assert!(began.elapsed() < Duration::from_secs(11), "{args:?}: {outcome:?}");
    }
    assert!(!scene.path("slow").exists() || names(&scene.path("slow")).is_empty());
}

#[test]
fn platforms_and_their_variants() {
    let scene = Scene::new();
    let entry = |tag: &str, variant: &str| {
        let mut entry = push_image(&scene.registry, "app", tag, tag);
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
    let twice = [&entries[..], &entries[2..]].concat();
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": twice}).to_string();
    scene.registry.push_manifest("app", "v1", OCI_INDEX, index.as_bytes());
    for (platform, tag) in
        [("linux/amd64", "plain"), ("linux/amd64/v3", "newer"), ("linux/arm64", "arm"), ("linux/arm64/v8", "arm")]
    {
        let said = scene.done(&["copy", &scene.at("app:v1"), "oci:one:v1", "--platform", platform]);
        assert!(said.contains(&scene.registry.manifest("app", tag).unwrap().digest), "{platform}: {said}");
    }
}

/// Indexes that all hold the same indexes: each is read once, and not once for each way to it.
#[test]
fn a_manifest_with_many_ways_to_it_is_read_once() {
    let scene = Scene::new();
    let image = scene.registry.manifest("app", "one").unwrap();
    let mut below = vec![descriptor(&image.media_type, &image.digest, &image.bytes)];
    for level in 0..4 {
        below = (0..if level == 3 { 1 } else { 16 })
            .map(|n| {
                let index = json!({
                    "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": below,
                    "annotations": {"n": format!("{level} {n}")},
                })
                .to_string();
                scene.registry.push_manifest("app", &format!("l{level}n{n}"), OCI_INDEX, index.as_bytes());
                descriptor(OCI_INDEX, &sha256(index.as_bytes()), index.as_bytes())
            })
            .collect();
    }
    let mark = scene.registry.requests(0).len();
    scene.done(&["copy", &scene.at("app:l3n0"), "oci:deep:v1"]);
    let asked = scene.registry.requests(mark).into_iter().filter(|line| line.contains("/manifests/")).count();
    assert_eq!(asked, 1 + 3 * 16 + 1);
}
