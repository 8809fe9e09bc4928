//! Parses indexes. Writing an index and parsing it again must keep the entries, and must always give the same bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use manifest_tool::image::{Descriptor, Index, IndexKind, Manifest, index_bytes, media_type, parse_manifest};

fuzz_target!(|bytes: &[u8]| {
    let Ok((Manifest::Index(index), _)) =
        parse_manifest(bytes, media_type::OCI_INDEX).or_else(|_| parse_manifest(bytes, media_type::DOCKER_LIST))
    else {
        return;
    };
    assert_eq!(write(IndexKind::Oci, &index), index);

    let written = write(IndexKind::Docker, &index);
    assert!(written.annotations.is_empty() && written.artifact_type.is_none() && written.subject.is_none());
    let kept = index.manifests.into_iter().map(|entry| Descriptor {
        urls: Vec::new(),
        data: None,
        artifact_type: None,
        ..entry
    });
    assert!(written.manifests.into_iter().eq(kept));
});

fn write(kind: IndexKind, index: &Index) -> Index {
    let bytes = index_bytes(kind, index).expect("it can be written");
    let text = std::str::from_utf8(&bytes).expect("it is text");
    assert!(!text.contains(['<', '>', '&', '\u{2028}', '\u{2029}']));
    let (Manifest::Index(read), media_type) = parse_manifest(&bytes, "").expect("it can be read") else {
        panic!("an image")
    };
    assert_eq!(media_type, kind.media_type());
    assert_eq!(index_bytes(kind, &read).expect("it can be written"), bytes);
    read
}
