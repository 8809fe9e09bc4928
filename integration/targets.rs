//! Targets that are not regular files: FIFOs, sockets, devices and symbolic links are never replaced.
#![cfg(unix)]

use std::os::unix::fs::{FileTypeExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::archives::sound;
use crate::support::images::push_image;
use crate::support::{Outcome, Registry, Scripted, manifest_tool};

/// A folder with a sound layout `src`, and room for targets.
struct Scene {
    folder: tempfile::TempDir,
    _socket: UnixListener,
}

impl Scene {
    /// Besides `src`: a FIFO, a socket, a device where that is allowed, and links of every kind.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        write_sound(&at("src"));
        std::fs::create_dir(at("folder")).unwrap();
        mkfifo(&at("fifo"));
        for (link, to) in [
            ("to-fifo", "fifo"),
            ("chain", "folder/up"),
            ("folder/up", "../to-fifo"),
            ("loop", "loop"),
            ("into-nothing", "none/new"),
            ("to-socket", "socket"),
            ("dangling", "folder/made"),
            ("dangling-chain", "folder/down"),
            ("folder/down", "../made-by-chain"),
        ] {
            symlink(to, at(link)).unwrap();
        }
        let socket = UnixListener::bind(at("socket")).unwrap();
        Self { folder, _socket: socket }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, args: &[&str]) -> Outcome {
        manifest_tool(self.folder.path(), args)
    }

    /// `copy` and `push` of the image in `src` to a target.
    fn write_to(&self, to: &str) -> [Outcome; 2] {
        let push = ["push", "from-args", "--platforms", "linux/amd64", "--template", "oci:src", "--target", to];
        [self.run(&["copy", "oci:src", to]), self.run(&push)]
    }

    /// Every path below the folder with its type.
    fn snapshot(&self) -> Vec<String> {
        fn walk(folder: &Path, out: &mut Vec<String>) {
            for entry in std::fs::read_dir(folder).unwrap().flatten() {
                out.push(format!("{} {:?}", entry.path().display(), entry.file_type().unwrap()));
                if entry.file_type().unwrap().is_dir() {
                    walk(&entry.path(), out);
                }
            }
        }
        let mut out = Vec::new();
        walk(self.folder.path(), &mut out);
        out.sort();
        out
    }
}

fn mkfifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

fn write_sound(layout: &Path) {
    for (name, bytes) in sound() {
        std::fs::create_dir_all(layout.join(&name).parent().unwrap()).unwrap();
        std::fs::write(layout.join(&name), bytes).unwrap();
    }
}

#[test]
fn an_archive_replaces_nothing_but_a_regular_file() {
    let scene = Scene::new();
    // Only root may make one. Never the machine's own /dev/null, in case this test fails.
    let has_device = Command::new("mknod").arg(scene.at("device")).args(["c", "1", "3"]).output().unwrap();
    let before = scene.snapshot();
    let mut targets = vec![
        ("fifo", "it is a FIFO, not a regular file"),
        ("to-fifo", "it is a FIFO, not a regular file"),
        ("chain", "it is a FIFO, not a regular file"),
        ("socket", "it is a socket, not a regular file"),
        ("to-socket", "it is a socket, not a regular file"),
        ("loop", "it cannot be written: "),
        ("into-nothing", "it cannot be written: No such file or directory"),
        ("none/new", "it cannot be written: No such file or directory"),
        ("folder", "it is a folder, not an archive"),
    ];
    if has_device.status.success() {
        targets.push(("device", "it is a device, not a regular file"));
    }
    for (name, part) in targets {
        for outcome in scene.write_to(&format!("oci-archive:{name}:v1")) {
            let said = &outcome.stderr;
            assert!(outcome.exit == 1 && said.contains(&format!("oci-archive:{name}")), "{name}: {outcome:?}");
            assert!(said.contains(part), "{name}: {outcome:?}");
        }
        assert_eq!(scene.snapshot(), before, "{name}");
    }
}

#[test]
fn an_archive_is_written_through_a_dangling_link() {
    for (link, made) in [("dangling", "folder/made"), ("dangling-chain", "made-by-chain")] {
        let scene = Scene::new();
        let to = format!("oci-archive:{link}:v1");
        for outcome in scene.write_to(&to) {
            assert_eq!(outcome.exit, 0, "{link}: {outcome:?}");
            assert!(std::fs::symlink_metadata(scene.at(link)).unwrap().is_symlink(), "{link}");
            assert!(std::fs::symlink_metadata(scene.at(made)).unwrap().is_file(), "{made}");
            assert_eq!(scene.run(&["inspect", &to]).exit, 0);
        }
    }
}

#[test]
fn result_files_are_written_through_dangling_links_and_never_replace_anything_else() {
    let scene = Scene::new();
    let copy = |flag: &str, path: &str| scene.run(&["copy", "oci:src", "oci:out:v1", flag, path]);
    let before = scene.snapshot();
    for flag in ["--digest-file", "--metadata-file"] {
        for path in ["socket", "to-socket", "loop", "into-nothing", "folder"] {
            let outcome = copy(flag, path);
            assert!(outcome.exit == 1 && outcome.stderr.contains(&format!("cannot write {path}: ")), "{outcome:?}");
            assert_eq!(scene.snapshot(), before, "{flag} {path}: refused before anything is written");
        }
    }
    for (flag, link, made) in
        [("--digest-file", "dangling", "folder/made"), ("--metadata-file", "dangling-chain", "made-by-chain")]
    {
        let outcome = copy(flag, link);
        assert_eq!(outcome.exit, 0, "{outcome:?}");
        assert!(std::fs::symlink_metadata(scene.at(link)).unwrap().is_symlink(), "{link}");
        assert!(std::fs::read_to_string(scene.at(made)).unwrap().contains("sha256:"), "{made}");
    }
    // Two spellings of one file that does not exist yet.
    std::fs::remove_file(scene.at("folder/made")).unwrap();
    let args = ["copy", "oci:src", "oci:out:v1", "--digest-file", "dangling", "--metadata-file", "src/../folder/made"];
    let outcome = scene.run(&args);
    assert!(outcome.exit == 2 && outcome.stderr.contains("are one file"), "{outcome:?}");
    for path in ["fifo", "chain"] {
        let fifo = scene.at("fifo");
        let reader = std::thread::spawn(move || std::fs::read_to_string(fifo).unwrap());
        assert_eq!(copy("--digest-file", path).exit, 0);
        assert!(reader.join().unwrap().starts_with("sha256:"));
        assert!(std::fs::symlink_metadata(scene.at("fifo")).unwrap().file_type().is_fifo());
    }
}

/// What is put in the place of a file of a layout.
const PLANTED: [&str; 4] = ["fifo", "socket", "link", "dangling"];

fn plant(what: &str, path: &Path, elsewhere: &Path) -> Option<UnixListener> {
    match what {
        "fifo" => mkfifo(path),
        // The path of a socket may be 108 bytes long.
        "socket" => {
            let socket = UnixListener::bind(elsewhere.join("s")).unwrap();
            std::fs::rename(elsewhere.join("s"), path).unwrap();
            return Some(socket);
        }
        "link" => {
            std::fs::write(elsewhere.join("file"), "mine").unwrap();
            symlink(elsewhere.join("file"), path).unwrap();
        }
        _ => symlink(elsewhere.join("gone"), path).unwrap(),
    }
    None
}

#[test]
fn files_of_a_layout_that_are_no_regular_files_are_left_alone() {
    let manifest = sound()[3].0.clone();
    let config = sound()[2].0.clone();
    for name in ["index.json", "oci-layout", &manifest, &config] {
        for what in PLANTED {
            let scene = Scene::new();
            write_sound(&scene.at("out"));
            let path = scene.at("out").join(name);
            std::fs::remove_file(&path).unwrap();
            let elsewhere = tempfile::tempdir().unwrap();
            let _socket = plant(what, &path, elsewhere.path());
            let kind = std::fs::symlink_metadata(&path).unwrap().file_type();
            for outcome in scene.write_to("oci:out:v1") {
                assert!(outcome.exit == 1 && outcome.stderr.contains("oci:out"), "{what} {name}: {outcome:?}");
                assert_eq!(std::fs::symlink_metadata(&path).unwrap().file_type(), kind, "{what} {name}");
            }
            assert!(!elsewhere.path().join("gone").exists(), "{what} {name}");
            let mine = std::fs::read_to_string(elsewhere.path().join("file"));
            assert!(mine.is_err() || mine.unwrap() == "mine", "{what} {name}");
        }
    }
}

#[test]
fn a_dry_run_refuses_the_same_targets() {
    let scene = Scene::new();
    write_sound(&scene.at("out"));
    std::fs::remove_file(scene.at("out/index.json")).unwrap();
    symlink("gone", scene.at("out/index.json")).unwrap();
    let before = scene.snapshot();
    for to in ["oci-archive:fifo:v1", "oci-archive:loop:v1", "oci:out:v1", "oci:dangling:v1"] {
        let push =
            ["push", "--dry-run", "from-args", "--platforms", "linux/amd64", "--template", "oci:src", "--target", to];
        let outcome = scene.run(&push);
        assert!(outcome.exit == 1 && outcome.stderr.contains("it cannot be written"), "{to}: {outcome:?}");
        assert_eq!(scene.snapshot(), before);
    }
}

#[test]
fn a_fifo_in_blobs_does_not_hang_a_write() {
    for (name, exit) in
        [("blobs/other", 0), ("blobs/sha256/other", 0), ("blobs/sha512", 0), ("blobs/sha256", 1), ("blobs", 1)]
    {
        let scene = Scene::new();
        let path = scene.at("out").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(scene.at("out/oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        mkfifo(&path);
        for outcome in scene.write_to("oci:out:v1") {
            assert_eq!(outcome.exit, exit, "{name}: {outcome:?}");
        }
        assert!(std::fs::symlink_metadata(&path).unwrap().file_type().is_fifo());
    }
}

#[test]
fn no_folder_is_made_behind_a_link_in_a_layout() {
    for name in ["blobs", "blobs/sha256"] {
        for to in ["elsewhere", "gone"] {
            let scene = Scene::new();
            let path = scene.at("out").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::create_dir(scene.at("elsewhere")).unwrap();
            std::fs::write(scene.at("out/oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
            symlink(scene.at(to), &path).unwrap();
            for outcome in scene.write_to("oci:out:v1") {
                assert!(outcome.exit == 1 && outcome.stderr.contains("plain folder"), "{name}: {outcome:?}");
            }
            assert_eq!(std::fs::read_dir(scene.at("elsewhere")).unwrap().count(), 0, "{name}");
            assert!(!scene.at("gone").exists(), "{name}");
        }
    }
}

/// What is there changes while blobs are fetched: looked at again just before each rename.
#[test]
fn a_target_that_changes_during_the_run_is_left_alone() {
    let registry = Registry::start();
    push_image(&registry, "app", "v1", "amd64");
    let manifest: Value = serde_json::from_slice(&registry.manifest("app", "v1").unwrap().bytes).unwrap();
    let config = manifest["config"]["digest"].as_str().unwrap().replacen(':', "/", 1);
    let cases: [(&str, &str, Vec<&str>); 4] = [
        ("oci-archive:out.tar:v1", "out.tar", vec![]),
        ("oci:out:v1", "out/index.json", vec![]),
        ("oci:out:v1", &format!("out/blobs/{config}"), vec![]),
        ("oci:out:v1", "digest", vec!["--digest-file", "digest"]),
    ];
    for (to, planted, more) in cases {
        for what in PLANTED {
            let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let (path, other) = (folder.path().join(planted), elsewhere.path().to_owned());
            let (sockets, on) = (std::sync::Mutex::new(Vec::new()), format!("/blobs/{}", config.replacen('/', ":", 1)));
            let plant_at = path.clone();
            let front = Scripted::before(&registry, move |asked| {
                if asked.line.contains(&on) && std::fs::symlink_metadata(other.join("planted")).is_err() {
                    std::fs::create_dir_all(plant_at.parent().unwrap()).unwrap();
                    let _ = std::fs::remove_file(&plant_at);
                    sockets.lock().unwrap().extend(plant(what, &plant_at, &other));
                    std::fs::write(other.join("planted"), "").unwrap();
                }
                None
            });
            let from = format!("{}/app:v1", front.host);
            let args = [&["--plain-http", "copy", &from, to][..], &more].concat();
            let outcome = manifest_tool(folder.path(), &args);
            let kind = std::fs::symlink_metadata(&path).unwrap().file_type();
            // A link that leads to a file elsewhere by now is a change as well; nothing is written through it.
            assert!(outcome.exit == 1, "{what} {planted}: {outcome:?}");
            assert!(!kind.is_file() && !elsewhere.path().join("gone").exists(), "{what} {planted}: {outcome:?}");
            let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().flatten().collect();
            assert!(left.iter().all(|entry| !entry.file_name().to_string_lossy().starts_with('.')), "{left:?}");
        }
    }
}
