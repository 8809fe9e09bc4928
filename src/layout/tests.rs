use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::image::{Descriptor, LayoutReference, Location};
use crate::memory::Budget;

fn at(path: &Path, archive: bool) -> LayoutReference {
    let kind = if archive { "oci-archive" } else { "oci" };
    match format!("{kind}:{}", path.display()).parse() {
        Ok(Location::Layout(at)) => at,
        other => panic!("{other:?}"),
    }
}

fn descriptor(text: &str) -> Descriptor {
    Descriptor { size: text.len() as u64, ..Descriptor::new("application/x", Digest::sha256(text.as_bytes())) }
}

/// A token that asks a flag.
fn token() -> (CancelCheck, Arc<AtomicBool>) {
    let stopped = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&stopped);
    (CancelCheck::new(move || asked.load(Ordering::SeqCst)), stopped)
}

fn writer_of(path: &Path, texts: &[&str]) -> (Writer, Arc<AtomicBool>) {
    let (cancel, stopped) = token();
    let writer = Writer::create(&at(path, true), cancel).unwrap();
    for text in texts {
        let mut blob = writer.begin_blob(&descriptor(text)).unwrap();
        blob.write(text.as_bytes()).unwrap();
        blob.finish().unwrap();
    }
    for name in ["v1", "v2"] {
        writer.list(Some(name), &[descriptor(texts[0])]).unwrap();
    }
    (writer, stopped)
}

fn write_archive(path: &Path, texts: &[&str]) {
    let (writer, _) = writer_of(path, texts);
    let archive = writer.begin_archive().unwrap().unwrap();
    archive.packing().unwrap()().unwrap();
    archive.place().unwrap();
}

#[test]
fn an_archive_is_read_to_its_end_through_one_handle() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tar");
    write_archive(&path, &["one", "another"]);
    let layout = Layout::open(&at(&path, true), &Budget::default()).unwrap();
    write_archive(&path, &["the successor has other content", "at other offsets", "of other lengths"]);
    let (mut one, _) = layout.open_blob(&descriptor("one")).unwrap();
    let (mut other, _) = layout.open_blob(&descriptor("another")).unwrap();
    // Two readers at once, in turns.
    let mut piece = [0; 2];
    one.read_exact(&mut piece).unwrap();
    assert_eq!(&piece, b"on");
    other.read_exact(&mut piece).unwrap();
    assert_eq!(&piece, b"an");
    let mut rest = String::new();
    one.read_to_string(&mut rest).unwrap();
    other.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "eother");
    assert_eq!(layout.fetch_blob(&descriptor("another"), 100).unwrap(), "another");
    assert!(Layout::open(&at(&path, true), &Budget::default()).unwrap().has(&descriptor("at other offsets").digest));
}

#[test]
fn a_stop_while_an_archive_is_packed_leaves_no_file_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tar");
    write_archive(&path, &["old"]);
    let before = std::fs::read(&path).unwrap();
    for stops_before_packing in [true, false] {
        let (writer, stopped) = writer_of(&path, &["new"]);
        let archive = writer.begin_archive().unwrap().unwrap();
        stopped.store(stops_before_packing, Ordering::SeqCst);
        let packed = archive.packing().unwrap()();
        assert_eq!(packed.err().map(|error| error.kind), stops_before_packing.then_some(ErrorKind::Stopped));
        stopped.store(true, Ordering::SeqCst);
        assert_eq!(archive.place().unwrap_err().kind, ErrorKind::Stopped);
        drop(writer);
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["a.tar"]);
        assert!(before == std::fs::read(&path).unwrap());
    }
    let (cancel, stopped) = token();
    stopped.store(true, Ordering::SeqCst);
    let named = LayoutReference { name: Some("v1".into()), ..at(&path, true) };
    let error = delete(&named, &cancel, &Budget::default()).err().unwrap();
    assert_eq!(error.kind, ErrorKind::Stopped);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[cfg(unix)]
#[test]
fn a_stop_ends_the_wait_for_a_lock() {
    let folder = tempfile::tempdir().unwrap();
    let held = std::fs::File::open(folder.path()).unwrap();
    held.lock().unwrap();
    let (cancel, stopped) = token();
    stopped.store(true, Ordering::SeqCst);
    let error = Writer::create(&at(folder.path(), false), cancel).err().unwrap();
    assert_eq!(error.kind, ErrorKind::Stopped);
}
