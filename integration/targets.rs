//! Targets that are not regular files: FIFOs, sockets, devices and symbolic links are never replaced.
#![cfg(unix)]

use std::os::unix::fs::{FileTypeExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::images::push_image;
use crate::support::layouts::{valid_layout, write_valid_layout};
use crate::support::{Outcome, Registry, ScriptedServer, Workspace};

/// A folder with a valid layout `src`, a FIFO, a socket, and symbolic links of every kind.
struct TargetFixture {
    workspace: Workspace,
    _socket: UnixListener,
}

impl TargetFixture {
    fn new() -> Self {
        let workspace = Workspace::new();
        write_valid_layout(&workspace.path("src"));
        std::fs::create_dir(workspace.path("folder")).unwrap();
        mkfifo(&workspace.path("fifo"));
        for (link, destination) in [
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
            symlink(destination, workspace.path(link)).unwrap();
        }
        let socket = UnixListener::bind(workspace.path("socket")).unwrap();
        Self { workspace, _socket: socket }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.workspace.path(name)
    }

    fn run(&self, args: &[&str]) -> Outcome {
        self.workspace.run(args)
    }

    /// Writes the image in `src` to a target with `copy`, and then with `push`.
    fn write_to(&self, to: &str) -> [Outcome; 2] {
        let push = ["push", "from-args", "--platforms", "linux/amd64", "--template", "oci:src", "--target", to];
        [self.run(&["copy", "oci:src", to]), self.run(&push)]
    }

    /// Returns every path below the folder with its file type.
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
        walk(self.workspace.folder(), &mut out);
        out.sort();
        out
    }
}

fn mkfifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn an_archive_replaces_only_a_regular_file() {
    let fixture = TargetFixture::new();
    // Only root can create a device. This one replaces /dev/null, which a failing test would destroy.
    let has_device = Command::new("mknod").arg(fixture.path("device")).args(["c", "1", "3"]).output().unwrap();
    let before = fixture.snapshot();
    let mut targets = vec![
        ("fifo", "it is a FIFO, not a regular file"),
        ("to-fifo", "it is a FIFO, not a regular file"),
        ("chain", "it is a FIFO, not a regular file"),
        ("socket", "it is a socket, not a regular file"),
        ("to-socket", "it is a socket, not a regular file"),
        ("loop", "cannot write it: "),
        ("into-nothing", "cannot write it: No such file or directory"),
        ("none/new", "cannot write it: No such file or directory"),
        ("folder", "it is a folder, not an archive"),
    ];
    if has_device.status.success() {
        targets.push(("device", "it is a device, not a regular file"));
    }
    for (name, part) in targets {
        for outcome in fixture.write_to(&format!("oci-archive:{name}:v1")) {
            outcome.fails(1, part).stderr_contains(&format!("oci-archive:{name}"));
        }
        assert_eq!(fixture.snapshot(), before, "{name}");
    }
}

#[test]
fn an_archive_is_written_through_a_dangling_link() {
    for (link, made) in [("dangling", "folder/made"), ("dangling-chain", "made-by-chain")] {
        let fixture = TargetFixture::new();
        let target = format!("oci-archive:{link}:v1");
        for outcome in fixture.write_to(&target) {
            outcome.success();
            assert!(std::fs::symlink_metadata(fixture.path(link)).unwrap().is_symlink(), "{link}");
            assert!(std::fs::symlink_metadata(fixture.path(made)).unwrap().is_file(), "{made}");
            fixture.run(&["inspect", &target]).success();
        }
    }
}

#[test]
fn result_files_are_written_through_dangling_links_and_replace_only_regular_files() {
    let fixture = TargetFixture::new();
    let copy = |flag: &str, path: &str| fixture.run(&["copy", "oci:src", "oci:out:v1", flag, path]);
    let before = fixture.snapshot();
    for flag in ["--digest-file", "--metadata-file"] {
        for path in ["socket", "to-socket", "loop", "into-nothing", "folder"] {
            copy(flag, path).fails(1, &format!("cannot write {path}: "));
            assert_eq!(fixture.snapshot(), before, "{flag} {path}: an error before the copy");
        }
    }
    for (flag, link, made) in
        [("--digest-file", "dangling", "folder/made"), ("--metadata-file", "dangling-chain", "made-by-chain")]
    {
        copy(flag, link).success();
        assert!(std::fs::symlink_metadata(fixture.path(link)).unwrap().is_symlink(), "{link}");
        assert!(std::fs::read_to_string(fixture.path(made)).unwrap().contains("sha256:"), "{made}");
    }
    // Both paths name the same file, which does not exist yet.
    std::fs::remove_file(fixture.path("folder/made")).unwrap();
    let args = ["copy", "oci:src", "oci:out:v1", "--digest-file", "dangling", "--metadata-file", "src/../folder/made"];
    fixture.run(&args).fails(2, "name the same file");
    for path in ["fifo", "chain"] {
        let fifo = fixture.path("fifo");
        let reader = std::thread::spawn(move || std::fs::read_to_string(fifo).unwrap());
        copy("--digest-file", path).success();
        assert!(reader.join().unwrap().starts_with("sha256:"));
        assert!(std::fs::symlink_metadata(fixture.path("fifo")).unwrap().file_type().is_fifo());
    }
}

/// Kinds of files that replace a regular file in these tests.
const PLANTED_KINDS: [&str; 4] = ["fifo", "socket", "link", "dangling"];

/// Creates a file of this kind. Links point into the folder `elsewhere`.
fn plant(kind: &str, path: &Path, elsewhere: &Path) -> Option<UnixListener> {
    match kind {
        "fifo" => mkfifo(path),
        // A socket path is limited to 108 bytes, so it is bound elsewhere and moved.
        "socket" => {
            let socket = UnixListener::bind(elsewhere.join("s")).unwrap();
            std::fs::rename(elsewhere.join("s"), path).unwrap();
            return Some(socket);
        }
        "link" => {
            std::fs::write(elsewhere.join("file"), "unchanged").unwrap();
            symlink(elsewhere.join("file"), path).unwrap();
        }
        _ => symlink(elsewhere.join("gone"), path).unwrap(),
    }
    None
}

#[test]
fn special_files_in_a_layout_are_not_replaced() {
    let manifest = valid_layout()[3].0.clone();
    let config = valid_layout()[2].0.clone();
    for name in ["index.json", "oci-layout", &manifest, &config] {
        for planted_kind in PLANTED_KINDS {
            let fixture = TargetFixture::new();
            write_valid_layout(&fixture.path("out"));
            let path = fixture.path("out").join(name);
            std::fs::remove_file(&path).unwrap();
            let elsewhere = tempfile::tempdir().unwrap();
            let _socket = plant(planted_kind, &path, elsewhere.path());
            let file_type = std::fs::symlink_metadata(&path).unwrap().file_type();
            for outcome in fixture.write_to("oci:out:v1") {
                outcome.fails(1, "oci:out");
                assert_eq!(std::fs::symlink_metadata(&path).unwrap().file_type(), file_type, "{planted_kind} {name}");
            }
            assert!(!elsewhere.path().join("gone").exists(), "{planted_kind} {name}");
            let linked = std::fs::read_to_string(elsewhere.path().join("file"));
            assert!(linked.is_err() || linked.unwrap() == "unchanged", "{planted_kind} {name}");
        }
    }
}

#[test]
fn a_dry_run_refuses_a_target_that_cannot_be_written() {
    let fixture = TargetFixture::new();
    write_valid_layout(&fixture.path("out"));
    std::fs::remove_file(fixture.path("out/index.json")).unwrap();
    symlink("gone", fixture.path("out/index.json")).unwrap();
    let before = fixture.snapshot();
    for target in ["oci-archive:fifo:v1", "oci-archive:loop:v1", "oci:out:v1", "oci:dangling:v1"] {
        let from_args = ["from-args", "--platforms", "linux/amd64", "--template", "oci:src", "--target", target];
        fixture.run(&[&["push", "--dry-run"], &from_args[..]].concat()).fails(1, "cannot write it");
        assert_eq!(fixture.snapshot(), before);
    }
}

#[test]
fn a_fifo_in_blobs_does_not_hang_a_write() {
    for (name, exit) in
        [("blobs/other", 0), ("blobs/sha256/other", 0), ("blobs/sha512", 0), ("blobs/sha256", 1), ("blobs", 1)]
    {
        let fixture = TargetFixture::new();
        let path = fixture.path("out").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        fixture.workspace.write("out/oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
        mkfifo(&path);
        for outcome in fixture.write_to("oci:out:v1") {
            outcome.exits(exit);
        }
        assert!(std::fs::symlink_metadata(&path).unwrap().file_type().is_fifo());
    }
}

#[test]
fn a_write_creates_no_folder_behind_a_link_in_a_layout() {
    for name in ["blobs", "blobs/sha256"] {
        for destination in ["elsewhere", "gone"] {
            let fixture = TargetFixture::new();
            let path = fixture.path("out").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::create_dir(fixture.path("elsewhere")).unwrap();
            fixture.workspace.write("out/oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
            symlink(fixture.path(destination), &path).unwrap();
            for outcome in fixture.write_to("oci:out:v1") {
                outcome.fails(1, "or its path contains a link");
            }
            assert_eq!(std::fs::read_dir(fixture.path("elsewhere")).unwrap().count(), 0, "{name}");
            assert!(!fixture.path("gone").exists(), "{name}");
        }
    }
}

/// The target is checked again just before each rename.
#[test]
fn a_target_that_changes_during_the_run_is_not_replaced() {
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
    for (target, replaced, args) in cases {
        for planted_kind in PLANTED_KINDS {
            let workspace = Workspace::new().flags(&["--plain-http"]);
            let elsewhere = tempfile::tempdir().unwrap();
            let (path, other_folder) = (workspace.path(replaced), elsewhere.path().to_owned());
            let sockets = std::sync::Mutex::new(Vec::new());
            let config_blob = format!("/blobs/{}", config.replacen('/', ":", 1));
            let plant_at = path.clone();
            let server = ScriptedServer::in_front_of(&registry, move |request| {
                if request.line.contains(&config_blob)
                    && std::fs::symlink_metadata(other_folder.join("planted")).is_err()
                {
                    std::fs::create_dir_all(plant_at.parent().unwrap()).unwrap();
                    let _ = std::fs::remove_file(&plant_at);
                    sockets.lock().unwrap().extend(plant(planted_kind, &plant_at, &other_folder));
                    std::fs::write(other_folder.join("planted"), "").unwrap();
                }
                None
            });
            let from = format!("{}/app:v1", server.host);
            let outcome = workspace.run(&[&["copy", &from, target][..], &args].concat()).exits(1);
            let file_type = std::fs::symlink_metadata(&path).unwrap().file_type();
            // A new link to a file elsewhere is a change too, and is not written through.
            assert!(
                !file_type.is_file() && !elsewhere.path().join("gone").exists(),
                "{planted_kind} {replaced}: {outcome:?}"
            );
            let mut entries = std::fs::read_dir(workspace.folder()).unwrap().flatten();
            let is_temporary = |entry: &std::fs::DirEntry| entry.file_name().to_string_lossy().starts_with('.');
            assert!(!entries.any(|entry| is_temporary(&entry)), "a temporary file is left");
        }
    }
}
