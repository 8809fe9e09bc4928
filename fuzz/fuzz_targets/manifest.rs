//! Parses manifests: the first line is the Content-Type, the rest is the body. A body that is accepted must be either
//! an image or an index to every client, never both.

#![no_main]

use libfuzzer_sys::fuzz_target;
use manifest_tool::image::{ImageConfig, Manifest, media_type, parse_manifest};
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let (first, body) = bytes.split_at(end);
    let content_type = String::from_utf8_lossy(first);
    let _ = serde_json::from_slice::<ImageConfig>(body);
    let Ok((manifest, media_type)) = parse_manifest(body, &content_type) else { return };

    // The parser ignores unknown keys, whose values serde_json may reject, such as numbers out of range.
    let Ok(value) = serde_json::from_slice::<Value>(body) else { return };
    let has = |key: &str| value.get(key).is_some_and(|value| !value.is_null());
    let entries = match &manifest {
        Manifest::Image(image) => {
            assert!(media_type::is_image(&media_type) && has("config") && !has("manifests"));
            image.layers.len()
        }
        Manifest::Index(index) => {
            assert!(media_type::is_index(&media_type) && !has("config") && !has("layers"));
            index.manifests.len()
        }
    };
    assert!(entries <= 10_000);
    assert!(value.get("mediaType").is_none_or(|own| own.is_null() || own == "" || own == media_type.as_str()));
    let again = parse_manifest(body, &media_type).expect("parsing with the reported media type");
    assert_eq!(format!("{again:?}"), format!("{:?}", (manifest, media_type)));
});
