//! Damaged archives and layouts: an error names the file, no file is written outside the target, and memory is bounded.

use std::io::{Seek as _, SeekFrom, Write as _};

use crate::support::Workspace;
use crate::support::layouts::{valid_layout, write_valid_layout};

type Builder = tar::Builder<Vec<u8>>;

/// Appends an entry with any name and type, without the checks that the `tar` crate applies to its own writes.
fn append_raw(tar: &mut Builder, name: &str, kind: tar::EntryType, size: u64, content: &[u8]) {
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

/// Returns an archive of a valid layout, with further entries from `change`.
fn archive(change: impl FnOnce(&mut Builder)) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in valid_layout() {
        append_raw(&mut tar, &name, tar::EntryType::Regular, bytes.len() as u64, &bytes);
    }
    change(&mut tar);
    tar.into_inner().unwrap()
}

fn workspace_with_archive(bytes: &[u8]) -> Workspace {
    let workspace = Workspace::new();
    std::fs::write(workspace.path("a.tar"), bytes).unwrap();
    workspace
}

/// Returns the errors of [`read_errors`] for an archive `a.tar` with these bytes.
fn archive_errors(bytes: &[u8]) -> String {
    read_errors(&workspace_with_archive(bytes), "oci-archive:a.tar")
}

/// Runs `inspect` and `copy` on a damaged source. Both must fail, without listing an image in the target or writing
/// outside it. Returns what they wrote to stderr.
fn read_errors(workspace: &Workspace, source: &str) -> String {
    let inspected = workspace.run(&["inspect", source]);
    let copied = workspace.run(&["copy", source, "oci:out:v1"]);
    assert_eq!((inspected.exit, copied.exit), (1, 1), "{inspected:?} {copied:?}");
    let index = std::fs::read_to_string(workspace.path("out/index.json")).unwrap_or_default();
    assert!(index.is_empty() || index.contains(r#""manifests":[]"#), "the target lists an image: {copied:?}");
    assert!(!workspace.folder().parent().unwrap().join("escaped").exists());
    format!("{}{}", inspected.stderr, copied.stderr)
}

#[test]
fn a_valid_archive_is_read() {
    let inspected = workspace_with_archive(&archive(|_| {})).run(&["inspect", "oci-archive:a.tar"]).success();
    assert!(inspected.stdout.contains("Arch: amd64"), "{inspected:?}");
}

#[test]
fn entries_that_do_not_belong_in_a_layout_are_rejected() {
    use tar::EntryType as Type;
    let twice = valid_layout()[3].clone();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("is not a plain relative path", archive(|tar| append_raw(tar, "../escaped", Type::Regular, 1, b"x"))),
        ("is not a plain relative path", archive(|tar| append_raw(tar, "blobs/../../escaped", Type::Regular, 1, b"x"))),
        ("is not a plain relative path", archive(|tar| append_raw(tar, "/tmp/escaped", Type::Regular, 1, b"x"))),
        (
            "neither a regular file nor a folder",
            archive(|tar| append_raw(tar, "blobs/sha256/link", Type::Symlink, 0, b"")),
        ),
        ("neither a regular file nor a folder", archive(|tar| append_raw(tar, "index.json", Type::Link, 0, b""))),
        ("neither a regular file nor a folder", archive(|tar| append_raw(tar, "device", Type::Block, 0, b""))),
        ("neither a regular file nor a folder", archive(|tar| append_raw(tar, "pipe", Type::Fifo, 0, b""))),
        ("twice", archive(|tar| append_raw(tar, &twice.0, Type::Regular, twice.1.len() as u64, &twice.1))),
        ("twice", archive(|tar| append_raw(tar, "./index.json", Type::Regular, 2, b"{}"))),
        ("truncated", archive(|tar| append_raw(tar, "blobs/sha256/huge", Type::Regular, 10 << 30, b"x"))),
        (
            "not a tar archive, or an unsupported one",
            archive(|tar| append_raw(tar, "sparse", Type::GNUSparse, 10 << 30, b"")),
        ),
        ("not a tar archive", b"some text instead of an archive".repeat(40)),
    ];
    for (reason, bytes) in cases {
        let stderr = archive_errors(&bytes);
        assert!(stderr.contains(reason) && stderr.contains("oci-archive:a.tar"), "{reason}: {stderr}");
    }
}

#[test]
fn a_truncated_archive_is_an_error_at_every_length() {
    let complete = archive(|_| {});
    // Only blocks of zeros follow the last content.
    let end = complete.len() - 1024;
    for length in [0, 1, 511, 512, 600, 1024, 1600, end / 2, end - 600, end - 512] {
        archive_errors(&complete[..length]);
    }
}

/// The header declares a name of 10 GB, and the sparse file is as large: neither may be read into memory.
#[test]
fn a_header_larger_than_memory_is_rejected() {
    let workspace = Workspace::new();
    let mut file = std::fs::File::create(workspace.path("a.tar")).unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::GNULongName);
    header.set_size(10 << 30);
    header.set_cksum();
    file.write_all(header.as_bytes()).unwrap();
    file.seek(SeekFrom::Start((10 << 30) + 1024)).unwrap();
    file.write_all(&[0]).unwrap();
    drop(file);
    let stderr = read_errors(&workspace, "oci-archive:a.tar");
    assert!(stderr.contains("its headers exceed 16 MiB"), "{stderr}");
}

#[test]
fn content_that_does_not_match_its_name_is_rejected() {
    let errors_with = |replaced: usize, bytes: &[u8]| {
        let mut tar = tar::Builder::new(Vec::new());
        for (number, (name, valid)) in valid_layout().into_iter().enumerate() {
            let bytes = if number == replaced { bytes.to_vec() } else { valid };
            append_raw(&mut tar, &name, tar::EntryType::Regular, bytes.len() as u64, &bytes);
        }
        archive_errors(&tar.into_inner().unwrap())
    };
    let manifest = valid_layout()[3].1.clone();
    let mut other = manifest.clone();
    *other.last_mut().unwrap() = b' ';
    assert!(errors_with(3, &other).contains("has different content"), "a manifest");
    assert!(errors_with(2, b"{}").contains("has different content"), "a config");
    for (replaced, bytes, reason) in [
        (0, &b"{}"[..], "its oci-layout is not valid"),
        (0, br#"{"imageLayoutVersion":"2.0.0"}"#, "version \"2.0.0\" is not supported; only version 1 is"),
        (1, b"7", "its index.json is not valid"),
        (1, br#"{"manifests":[{"digest":"sha256:../../x"}]}"#, "its index.json is not valid"),
        (1, br#"{"manifests":[]}"#, "it is empty"),
    ] {
        let stderr = errors_with(replaced, bytes);
        assert!(stderr.contains(reason), "{reason}: {stderr}");
    }
}

#[cfg(unix)]
#[test]
fn links_in_a_folder_are_not_followed() {
    for linked in ["index.json", "blobs", "blobs/sha256", &valid_layout()[3].0] {
        let workspace = Workspace::new();
        let (layout, elsewhere) = (workspace.path("layout"), workspace.path("elsewhere"));
        write_valid_layout(&layout);
        workspace.run(&["inspect", "oci:layout"]).success();
        std::fs::rename(layout.join(linked), &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, layout.join(linked)).unwrap();
        let stderr = read_errors(&workspace, "oci:layout");
        assert!(stderr.contains("not a regular file, or its path contains a link"), "{linked}: {stderr}");
    }
}

#[test]
fn a_path_that_is_not_a_layout_is_named_with_the_reason() {
    let workspace = workspace_with_archive(&archive(|_| {}));
    workspace.write("file", "x");
    std::fs::create_dir(workspace.path("empty")).unwrap();
    for (source, reason) in [
        ("oci:gone", "the folder does not exist"),
        ("oci-archive:gone.tar", "No such file"),
        ("oci:file", "it is a file, not a folder; use oci-archive: or docker-archive: for an archive"),
        ("oci-archive:empty", "it is a folder, not an archive; use oci: or dir: for a folder"),
        ("oci:empty", "it is not an image layout: it has no oci-layout"),
    ] {
        let stderr = read_errors(&workspace, source);
        assert!(stderr.contains(reason), "{source}: {stderr}");
    }
    workspace.write("empty/mine", "x");
    workspace.run(&["copy", "oci-archive:a.tar", "oci:empty:v1"]).fails(1, "neither empty nor an image layout");
}

/// Other processes keep replacing the archive; each read sees either the old version or the new one.
#[test]
fn an_archive_replaced_during_reads_is_always_complete() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let workspace = Workspace::new();
    std::fs::write(workspace.path("one.tar"), archive(|_| {})).unwrap();
    // The second archive has the same image at other offsets and in another order.
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in valid_layout().into_iter().rev() {
        append_raw(&mut tar, "blobs/", tar::EntryType::Directory, 0, b"");
        append_raw(&mut tar, &name, tar::EntryType::Regular, bytes.len() as u64, &bytes);
    }
    std::fs::write(workspace.path("two.tar"), tar.into_inner().unwrap()).unwrap();
    std::fs::copy(workspace.path("one.tar"), workspace.path("live.tar")).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for name in ["one.tar", "two.tar"].into_iter().cycle().take_while(|_| !done.load(Ordering::Relaxed)) {
                std::fs::hard_link(workspace.path(name), workspace.path("next.tar")).unwrap();
                std::fs::rename(workspace.path("next.tar"), workspace.path("live.tar")).unwrap();
                let _ = std::fs::remove_file(workspace.path("next.tar"));
            }
        });
        let outcomes: Vec<_> = (0..5)
            .flat_map(|n| {
                let (source, target) = ("oci-archive:live.tar", format!("oci:out{n}:v1"));
                [&["inspect", source][..], &["verify", "--layers", source], &["copy", source, &target]]
                    .map(|args| workspace.run(args))
            })
            .collect();
        done.store(true, Ordering::Relaxed);
        for outcome in outcomes {
            outcome.success();
        }
    });
}

/// `git archive` and some tar programs start with a comment that applies to all entries.
#[test]
fn a_pax_global_header_is_skipped() {
    let mut tar = tar::Builder::new(Vec::new());
    let comment = b"30 comment=made by some tool\n\n";
    append_raw(&mut tar, "pax_global_header", tar::EntryType::XGlobalHeader, comment.len() as u64, comment);
    for (name, bytes) in valid_layout() {
        append_raw(&mut tar, &name, tar::EntryType::Regular, bytes.len() as u64, &bytes);
    }
    workspace_with_archive(&tar.into_inner().unwrap()).run(&["inspect", "oci-archive:a.tar"]).success();
}

#[test]
fn a_compressed_archive_is_rejected_with_the_command_that_unpacks_it() {
    for (start, name, program) in
        [(&b"\x28\xb5\x2f\xfd\0"[..], "zstd", "unzstd"), (b"\xfd7zXZ\0\0", "xz", "unxz"), (b"BZh9", "bzip2", "bunzip2")]
    {
        let stderr = archive_errors(&[start, &[7; 600]].concat());
        let expected = format!("it is compressed with {name}; decompress it first with {program}");
        assert_eq!(stderr.matches(&expected).count(), 2, "{stderr}");
    }
}
