use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::image::{Descriptor, LayoutReference, Location};
use crate::memory::Budget;

fn layout_reference(path: &Path, archive: bool) -> LayoutReference {
    let kind = if archive { "oci-archive" } else { "oci" };
    match format!("{kind}:{}", path.display()).parse() {
        Ok(Location::Layout(at)) => at,
        other => panic!("{other:?}"),
    }
}

fn descriptor(text: &str) -> Descriptor {
    Descriptor { size: text.len() as u64, ..Descriptor::new("application/x", Digest::sha256(text.as_bytes())) }
}

/// Returns a cancel check and the flag that stops it.
fn cancel_check() -> (CancelCheck, Arc<AtomicBool>) {
    let stopped = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stopped);
    (CancelCheck::new(move || flag.load(Ordering::SeqCst)), stopped)
}

fn archive_writer(path: &Path, texts: &[&str]) -> (Writer, Arc<AtomicBool>) {
    let (cancel, stopped) = cancel_check();
    let writer = Writer::create(&layout_reference(path, true), cancel).unwrap();
    for text in texts {
        let mut blob = writer.begin_blob(&descriptor(text)).unwrap();
        blob.write(text.as_bytes()).unwrap();
        blob.finish().unwrap();
    }
    for name in ["v1", "v2"] {
        let at = LayoutReference { name: Some(name.into()), ..writer.at().clone() };
        writer.list(&at, None, &[descriptor(texts[0])]).unwrap();
    }
    (writer, stopped)
}

fn write_archive(path: &Path, texts: &[&str]) {
    let (writer, _) = archive_writer(path, texts);
    let archive = writer.begin_archive().unwrap().unwrap();
    archive.packing().unwrap()().unwrap();
    archive.place().unwrap();
}

#[test]
fn an_open_archive_stays_readable_after_it_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tar");
    write_archive(&path, &["one", "another"]);
    let layout = Layout::open(&layout_reference(&path, true), &Budget::default(), &CancelCheck::never()).unwrap();
    write_archive(&path, &["the successor has other content", "at other offsets", "of other lengths"]);
    let (mut one, _) = layout.open_blob(&descriptor("one")).unwrap();
    let (mut other, _) = layout.open_blob(&descriptor("another")).unwrap();
    // Interleave two readers of the same archive.
    let mut chunk = [0; 2];
    one.read_exact(&mut chunk).unwrap();
    assert_eq!(&chunk, b"on");
    other.read_exact(&mut chunk).unwrap();
    assert_eq!(&chunk, b"an");
    let mut rest = String::new();
    one.read_to_string(&mut rest).unwrap();
    other.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "eother");
    assert_eq!(layout.fetch_blob(&descriptor("another"), 100).unwrap(), "another");
    assert!(
        Layout::open(&layout_reference(&path, true), &Budget::default(), &CancelCheck::never())
            .unwrap()
            .has(&descriptor("at other offsets").digest)
    );
}

#[test]
fn a_stop_while_packing_leaves_no_temporary_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tar");
    write_archive(&path, &["old"]);
    let before = std::fs::read(&path).unwrap();
    for stops_before_packing in [true, false] {
        let (writer, stopped) = archive_writer(&path, &["new"]);
        let archive = writer.begin_archive().unwrap().unwrap();
        stopped.store(stops_before_packing, Ordering::SeqCst);
        let result = archive.packing().unwrap()();
        assert_eq!(result.err().map(|error| error.kind), stops_before_packing.then_some(ErrorKind::Stopped));
        stopped.store(true, Ordering::SeqCst);
        assert_eq!(archive.place().unwrap_err().kind, ErrorKind::Stopped);
        drop(writer);
        let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(files, ["a.tar"]);
        assert!(before == std::fs::read(&path).unwrap());
    }
    let (cancel, stopped) = cancel_check();
    stopped.store(true, Ordering::SeqCst);
    let named = LayoutReference { name: Some("v1".into()), ..layout_reference(&path, true) };
    let error = delete(&named, &cancel, &Budget::default()).err().unwrap();
    assert_eq!(error.kind, ErrorKind::Stopped);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[cfg(unix)]
#[test]
fn a_stop_ends_the_wait_for_the_lock() {
    let folder = tempfile::tempdir().unwrap();
    let other_process = std::fs::File::open(folder.path()).unwrap();
    other_process.lock().unwrap();
    let (cancel, stopped) = cancel_check();
    stopped.store(true, Ordering::SeqCst);
    let error = Writer::create(&layout_reference(folder.path(), false), cancel).err().unwrap();
    assert_eq!(error.kind, ErrorKind::Stopped);
}
