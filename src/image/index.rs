use std::fmt;

use serde::Serialize;

use super::{Annotations, Descriptor, Digest, Index, Platform, UntrustedText, media_type};

/// The two formats of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexKind {
    /// Docker manifest list, which cannot have annotations itself.
    Docker,
    /// OCI image index.
    Oci,
}

impl IndexKind {
    /// Returns the media type with which the index is pushed.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Docker => media_type::DOCKER_LIST,
            Self::Oci => media_type::OCI_INDEX,
        }
    }
}

impl fmt::Display for IndexKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Docker => "Docker manifest list",
            Self::Oci => "OCI image index",
        })
    }
}

/// An OCI image index, in the field order of Go's `v1.Index`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OciIndex<'a> {
    schema_version: u8,
    media_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_type: &'a Option<UntrustedText>,
    manifests: &'a [Descriptor],
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: &'a Option<Box<Descriptor>>,
    #[serde(skip_serializing_if = "Annotations::is_empty")]
    annotations: &'a Annotations,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DockerList<'a> {
    schema_version: u8,
    media_type: &'static str,
    manifests: Vec<DockerEntry<'a>>,
}

/// An entry of a Docker manifest list, in Go's field order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DockerEntry<'a> {
    media_type: &'a str,
    size: u64,
    digest: &'a Digest,
    #[serde(skip_serializing_if = "Annotations::is_empty")]
    annotations: &'a Annotations,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: &'a Option<Platform>,
}

/// Serializes an index to the same bytes as manifest-tool 2.2.1, so that a pipeline that changes tools keeps its
/// digests.
///
/// The output has a two-space indent, Go's field order, sorted annotation keys, Go's escapes, and no trailing newline.
/// A Docker manifest list gets only the entries, because it cannot have the other fields.
///
/// # Errors
/// The index cannot be serialized. No such [`Index`] is known.
pub fn index_bytes(kind: IndexKind, index: &Index) -> Result<Vec<u8>, IndexError> {
    let value = index_json(kind, index)?;
    to_go_json(&value, "  ").map_err(|error| IndexError(error.to_string().into()))
}

/// Returns the JSON value that [`index_bytes`] writes. The order of its fields matters.
///
/// # Errors
/// The index cannot be serialized.
pub(crate) fn index_json(kind: IndexKind, index: &Index) -> Result<serde_json::Value, IndexError> {
    let (schema_version, media_type) = (2, kind.media_type());
    let Index { artifact_type, manifests, subject, annotations } = index;
    let value = match kind {
        IndexKind::Oci => serde_json::to_value(OciIndex {
            schema_version,
            media_type,
            artifact_type,
            manifests,
            subject,
            annotations,
        }),
        IndexKind::Docker => {
            let manifests = manifests
                .iter()
                .map(|entry| DockerEntry {
                    media_type: &entry.media_type,
                    size: entry.size,
                    digest: &entry.digest,
                    annotations: &entry.annotations,
                    platform: &entry.platform,
                })
                .collect();
            serde_json::to_value(DockerList { schema_version, media_type, manifests })
        }
    };
    value.map_err(|error| IndexError(error.to_string().into()))
}

/// The error of an index that cannot be serialized.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot serialize the index: {0}")]
pub struct IndexError(UntrustedText);

/// Writes JSON like Go's `json.MarshalIndent`: escapes `<`, `>`, `&`, U+2028 and U+2029.
pub(crate) fn to_go_json(value: &impl Serialize, indent: &str) -> Result<Vec<u8>, serde_json::Error> {
    let mut out = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(indent.as_bytes());
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, formatter))?;
    Ok(escape_like_go(&out))
}

/// Writes JSON without spaces like Go's `json.Marshal`, with the same escapes as [`to_go_json`].
pub(crate) fn to_compact_go_json(value: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    Ok(escape_like_go(&serde_json::to_vec(value)?))
}

fn escape_like_go(json: &[u8]) -> Vec<u8> {
    // These characters occur only inside strings in valid JSON, so they can be replaced everywhere.
    let mut escaped = Vec::with_capacity(json.len());
    let mut rest = json;
    while let Some((&first, tail)) = rest.split_first() {
        let (text, skipped): (&[u8], usize) = match (first, tail) {
            (b'<', _) => (b"\\u003c", 0),
            (b'>', _) => (b"\\u003e", 0),
            (b'&', _) => (b"\\u0026", 0),
            (0xe2, [0x80, 0xa8, ..]) => (b"\\u2028", 2),
            (0xe2, [0x80, 0xa9, ..]) => (b"\\u2029", 2),
            _ => (std::slice::from_ref(&first), 0),
        };
        escaped.extend_from_slice(text);
        rest = tail.get(skipped..).unwrap_or_default();
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Manifest, parse_manifest};

    #[test]
    fn strings_are_escaped_as_in_go() {
        let bytes = to_go_json(&"a<b>&\u{2028}\u{2029}\u{2027}é𝄞\"\\\n\u{1}", "  ").unwrap();
        let expected = "\"a\\u003cb\\u003e\\u0026\\u2028\\u2029\u{2027}é𝄞\\\"\\\\\\n\\u0001\"";
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }

    #[test]
    fn a_docker_entry_has_size_before_digest_and_no_oci_fields() {
        let entry = Descriptor {
            media_type: "m".into(),
            digest: Digest::sha256(b""),
            size: 3,
            urls: vec!["u".into()],
            annotations: Annotations::new(),
            data: None,
            platform: Some(Platform { os: "o".into(), architecture: "a".into(), ..Platform::default() }),
            artifact_type: Some("t".into()),
        };
        let index = Index { manifests: vec![entry], ..Index::default() };
        let text = String::from_utf8(index_bytes(IndexKind::Docker, &index).unwrap()).unwrap();
        let digest = Digest::sha256(b"");
        assert_eq!(
            text,
            format!(
                "{{\n  \"schemaVersion\": 2,\n  \"mediaType\": \"{}\",\n  \"manifests\": [\n    {{\n      \
                 \"mediaType\": \"m\",\n      \"size\": 3,\n      \"digest\": \"{digest}\",\n      \"platform\": {{\n        \
                 \"architecture\": \"a\",\n        \"os\": \"o\"\n      }}\n    }}\n  ]\n}}",
                media_type::DOCKER_LIST
            )
        );
    }

    proptest::proptest! {
        #[test]
        fn a_written_index_is_parsed_unchanged(
            entries in proptest::collection::vec(
                (".*", 0u64.., ".*", proptest::option::of((".*", ".*")), "[<>&\u{2028}\u{2029}\"\\\\é]{0,9}"),
                0..4,
            ),
            annotations in proptest::collection::btree_map(".*", ".*|[<>&\u{2028}\u{2029}]{0,9}", 0..4),
        ) {
            let entries: Vec<Descriptor> = entries
                .into_iter()
                .map(|(media_type, size, text, platform, note)| Descriptor {
                    size,
                    annotations: [(note.as_str().into(), text.as_str().into())].into(),
                    platform: platform.map(|(os, architecture)| Platform {
                        os: os.into(),
                        architecture: architecture.into(),
                        os_features: vec![note.into()],
                        ..Platform::default()
                    }),
                    ..Descriptor::new(&media_type, Digest::sha256(text.as_bytes()))
                })
                .collect();
            let bare = Index { manifests: entries, ..Index::default() };
            let artifact_type = bare.manifests.first().map(|entry| entry.media_type.clone());
            let subject = bare.manifests.last().cloned().map(Box::new);
            let annotations = annotations.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
            let whole = Index { annotations, artifact_type, subject, ..bare.clone() };
            for (kind, index) in [(IndexKind::Oci, whole), (IndexKind::Docker, bare)] {
                let bytes = index_bytes(kind, &index).unwrap();
                let Ok((Manifest::Index(read), media_type)) = parse_manifest(&bytes, "") else {
                    panic!("{}", String::from_utf8_lossy(&bytes))
                };
                assert_eq!((media_type.as_str(), &read), (kind.media_type(), &index));
                assert_eq!(index_bytes(kind, &read).unwrap(), bytes);
                assert!(!String::from_utf8(bytes).unwrap().contains(['<', '>', '&', '\u{2028}', '\u{2029}']));
            }
        }
    }
}
