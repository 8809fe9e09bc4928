//! Archives and layouts that are not sound: an error that names them, nothing written outside, bounded memory.

use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;

use serde_json::json;

use crate::support::images::{OCI, OCI_INDEX, descriptor};
use crate::support::manifest_tool;
use crate::support::registry::sha256;

const VERSION: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

fn blob(bytes: &[u8]) -> String {
    format!("blobs/{}", sha256(bytes).replacen(':', "/", 1))
}

/// The files of a sound layout with one image, by name.
pub fn sound() -> Vec<(String, Vec<u8>)> {
    let config = br#"{"os":"linux","architecture":"amd64"}"#;
    let manifest = json!({
        "schemaVersion": 2, "mediaType": OCI, "layers": [],
        "config": descriptor("application/vnd.oci.image.config.v1+json", &sha256(config), config),
    })
    .to_string();
    let entry = descriptor(OCI, &sha256(manifest.as_bytes()), manifest.as_bytes());
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}).to_string();
    vec![
        ("oci-layout".into(), VERSION.to_vec()),
        ("index.json".into(), index.into_bytes()),
        (blob(config), config.to_vec()),
        (blob(manifest.as_bytes()), manifest.into_bytes()),
    ]
}

type Builder = tar::Builder<Vec<u8>>;

/// An entry with any name and type, as the crate's own checks would not let it be written.
fn raw(tar: &mut Builder, name: &str, kind: tar::EntryType, size: u64, content: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(size);
    if kind.is_symlink() || kind.is_hard_link() {
        header.set_link_name("/etc/passwd").unwrap();
    }
    header.set_cksum();
    tar.append(&header, content).unwrap();
}

fn archive(change: impl FnOnce(&mut Builder)) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in sound() {
        raw(&mut tar, &name, tar::EntryType::Regular, bytes.len() as u64, &bytes);
    }
    change(&mut tar);
    tar.into_inner().unwrap()
}

/// What `inspect` and `push` into a layout say of an archive.
fn said(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.tar"), bytes).unwrap();
    said_in(folder.path(), "oci-archive:a.tar")
}

fn said_in(folder: &Path, at: &str) -> String {
    let shown = manifest_tool(folder, &["inspect", at]);
    let target = folder.join("out");
    let to = format!("oci:{}:v1", target.display());
    let copied = manifest_tool(folder, &["copy", at, &to]);
    assert_eq!((shown.exit, copied.exit), (1, 1), "{shown:?} {copied:?}");
    let index = std::fs::read_to_string(target.join("index.json")).unwrap_or_default();
    assert!(index.is_empty() || index.contains(r#""manifests":[]"#), "nothing is listed: {copied:?}");
    assert!(!folder.parent().unwrap().join("escaped").exists());
    format!("{}{}", shown.stderr, copied.stderr)
}

#[test]
fn a_sound_one_is_read() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.tar"), archive(|_| {})).unwrap();
    let shown = manifest_tool(folder.path(), &["inspect", "oci-archive:a.tar"]);
    assert!(shown.exit == 0 && shown.stdout.contains("Arch: amd64"), "{shown:?}");
}

#[test]
fn names_and_types_that_no_layout_has() {
    use tar::EntryType as Type;
    let twice = sound()[3].clone();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("leads out of it", archive(|tar| raw(tar, "../escaped", Type::Regular, 1, b"x"))),
        ("leads out of it", archive(|tar| raw(tar, "blobs/../../escaped", Type::Regular, 1, b"x"))),
        ("leads out of it", archive(|tar| raw(tar, "/tmp/escaped", Type::Regular, 1, b"x"))),
        ("neither a plain file nor a folder", archive(|tar| raw(tar, "blobs/sha256/link", Type::Symlink, 0, b""))),
        ("neither a plain file nor a folder", archive(|tar| raw(tar, "index.json", Type::Link, 0, b""))),
        ("neither a plain file nor a folder", archive(|tar| raw(tar, "device", Type::Block, 0, b""))),
        ("neither a plain file nor a folder", archive(|tar| raw(tar, "pipe", Type::Fifo, 0, b""))),
        ("twice", archive(|tar| raw(tar, &twice.0, Type::Regular, twice.1.len() as u64, &twice.1))),
        ("twice", archive(|tar| raw(tar, "./index.json", Type::Regular, 2, b"{}"))),
        ("cut off", archive(|tar| raw(tar, "blobs/sha256/huge", Type::Regular, 10 << 30, b"x"))),
        ("not a tar archive that can be read", archive(|tar| raw(tar, "sparse", Type::GNUSparse, 10 << 30, b""))),
        ("not a tar archive", b"anything else that is no archive".repeat(40)),
    ];
    for (part, bytes) in cases {
        let said = said(&bytes);
        assert!(said.contains(part) && said.contains("oci-archive:a.tar"), "{part}: {said}");
    }
}

/// Cut off anywhere it is an error, and never a crash.
#[test]
fn cut_off_anywhere() {
    let whole = archive(|_| {});
    // Behind the last content come only blocks of zeros.
    let end = whole.len() - 1024;
    for length in [0, 1, 511, 512, 600, 1024, 1600, end / 2, end - 600, end - 512] {
        said(&whole[..length]);
    }
}

/// A name that claims to be 10 GB long, in a file that claims the same: neither is read into memory.
#[test]
fn a_header_that_is_larger_than_memory() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = std::fs::File::create(folder.path().join("a.tar")).unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::GNULongName);
    header.set_size(10 << 30);
    header.set_cksum();
    file.write_all(header.as_bytes()).unwrap();
    file.seek(SeekFrom::Start((10 << 30) + 1024)).unwrap();
    file.write_all(&[0]).unwrap();
    drop(file);
    let said = said_in(folder.path(), "oci-archive:a.tar");
    assert!(said.contains("its headers are longer than is read"), "{said}");
}

#[test]
fn content_that_is_not_what_its_name_says() {
    let change = |part: usize, bytes: &[u8]| {
        let mut tar = tar::Builder::new(Vec::new());
        for (number, (name, own)) in sound().into_iter().enumerate() {
            let bytes = if number == part { bytes.to_vec() } else { own };
            raw(&mut tar, &name, tar::EntryType::Regular, bytes.len() as u64, &bytes);
        }
        said(&tar.into_inner().unwrap())
    };
    let manifest = sound()[3].1.clone();
    let mut other = manifest.clone();
    *other.last_mut().unwrap() = b' ';
    assert!(change(3, &other).contains("holds other bytes"), "a manifest");
    assert!(change(2, b"{}").contains("holds other bytes"), "a config");
    for (part, bytes, words) in [
        (0, &b"{}"[..], "its oci-layout is not valid"),
        (0, br#"{"imageLayoutVersion":"2.0.0"}"#, "version \"2.0.0\", only 1 is read"),
        (1, b"7", "its index.json is not valid"),
        (1, br#"{"manifests":[{"digest":"sha256:../../x"}]}"#, "its index.json is not valid"),
        (1, br#"{"manifests":[]}"#, "it is empty"),
    ] {
        let said = change(part, bytes);
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[cfg(unix)]
#[test]
fn links_in_a_folder_are_not_followed() {
    for linked in ["index.json", "blobs", "blobs/sha256", &sound()[3].0] {
        let folder = tempfile::tempdir().unwrap();
        let (layout, elsewhere) = (folder.path().join("layout"), folder.path().join("elsewhere"));
        for (name, bytes) in sound() {
            std::fs::create_dir_all(layout.join(&name).parent().unwrap()).unwrap();
            std::fs::write(layout.join(&name), bytes).unwrap();
        }
        let shown = manifest_tool(folder.path(), &["inspect", "oci:layout"]);
        assert_eq!(shown.exit, 0, "{shown:?}");
        std::fs::rename(layout.join(linked), &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, layout.join(linked)).unwrap();
        let said = said_in(folder.path(), "oci:layout");
        assert!(said.contains("not a plain file in plain folders"), "{linked}: {said}");
    }
}

#[test]
fn what_is_no_layout() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "x").unwrap();
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    for (at, part) in [
        ("oci:gone", "there is no such folder"),
        ("oci-archive:gone.tar", "No such file"),
        ("oci:file", "it is a file, not a folder: oci-archive: names that"),
        ("oci-archive:empty", "it is a folder, not an archive: oci: names that"),
        ("oci:empty", "it is no image layout: it has no oci-layout"),
    ] {
        let said = said_in(folder.path(), at);
        assert!(said.contains(part), "{at}: {said}");
    }
    std::fs::write(folder.path().join("empty/mine"), "x").unwrap();
    std::fs::write(folder.path().join("a.tar"), archive(|_| {})).unwrap();
    let outcome = manifest_tool(folder.path(), &["copy", "oci-archive:a.tar", "oci:empty:v1"]);
    assert!(outcome.exit == 1 && outcome.stderr.contains("neither empty nor an image layout"), "{outcome:?}");
}

/// Readers of an archive that other processes keep replacing get one version or the other.
#[test]
fn an_archive_that_is_replaced_while_it_is_read() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("one.tar"), archive(|_| {})).unwrap();
    // The same image at other offsets, in another order.
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in sound().into_iter().rev() {
        raw(&mut tar, "blobs/", tar::EntryType::Directory, 0, b"");
        raw(&mut tar, &name, tar::EntryType::Regular, bytes.len() as u64, &bytes);
    }
    std::fs::write(at("two.tar"), tar.into_inner().unwrap()).unwrap();
    std::fs::copy(at("one.tar"), at("live.tar")).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for name in ["one.tar", "two.tar"].into_iter().cycle().take_while(|_| !done.load(Ordering::Relaxed)) {
                std::fs::hard_link(at(name), at("next.tar")).unwrap();
                std::fs::rename(at("next.tar"), at("live.tar")).unwrap();
                let _ = std::fs::remove_file(at("next.tar"));
            }
        });
        let run = |args: &[&str]| manifest_tool(folder.path(), args);
        let outcomes: Vec<_> = (0..5)
            .flat_map(|n| {
                let to = format!("oci:out{n}:v1");
                let from = "oci-archive:live.tar";
                [run(&["inspect", from]), run(&["verify", "--layers", from]), run(&["copy", from, &to])]
            })
            .collect();
        done.store(true, Ordering::Relaxed);
        for outcome in outcomes {
            assert_eq!(outcome.exit, 0, "{outcome:?}");
        }
    });
}

/// `git archive` and some tar programs put a comment for all entries first.
#[test]
fn a_pax_global_header_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let mut tar = tar::Builder::new(Vec::new());
    let comment = b"30 comment=made by some tool\n\n";
    raw(&mut tar, "pax_global_header", tar::EntryType::XGlobalHeader, comment.len() as u64, comment);
    for (name, bytes) in sound() {
        raw(&mut tar, &name, tar::EntryType::Regular, bytes.len() as u64, &bytes);
    }
    std::fs::write(folder.path().join("a.tar"), tar.into_inner().unwrap()).unwrap();
    let outcome = manifest_tool(folder.path(), &["inspect", "oci-archive:a.tar"]);
    assert_eq!(outcome.exit, 0, "{outcome:?}");
}

#[test]
fn a_compressed_archive_is_named_with_what_unpacks_it() {
    for (start, name, program) in [
        (&b"\x1f\x8b\x08\0"[..], "gzip", "gunzip"),
        (b"\x28\xb5\x2f\xfd\0", "zstd", "unzstd"),
        (b"\xfd7zXZ\0\0", "xz", "unxz"),
        (b"BZh9", "bzip2", "bunzip2"),
    ] {
        let said = said(&[start, &[7; 600]].concat());
        let expected = format!("it is compressed with {name}; unpack it first, with {program}");
        assert_eq!(said.matches(&expected).count(), 2, "{said}");
    }
}
