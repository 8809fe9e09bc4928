use std::collections::HashSet;

use bytes::Bytes;
use serde::Deserialize;

use super::null::null_is_empty;
use super::{Annotations, Descriptor, Platform, UntrustedText, media_type};

/// A manifest as read: one image, or an index of several.
#[derive(Debug, Clone)]
pub enum Manifest {
    /// One image (or an artifact in the form of one).
    Image(Box<ImageManifest>),
    /// A Docker manifest list or an OCI image index.
    Index(Index),
}

/// A manifest as it is stored: the exact bytes, verified, and what they say.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Fetched {
    /// The bytes, never to be written anew.
    pub bytes: Bytes,
    /// Media type, digest and size of the bytes.
    pub descriptor: Descriptor,
    /// The bytes, read.
    pub manifest: Manifest,
}

impl Fetched {
    /// Compares type and size with what refers to the manifest. The error says what differs.
    pub(crate) fn check(&self, by: &Descriptor) -> Result<(), String> {
        let Descriptor { media_type, size, .. } = &self.descriptor;
        if (media_type, size) == (&by.media_type, &by.size) {
            return Ok(());
        }
        let (said, of) = (&by.media_type, by.size);
        Err(format!("the index calls it {said} of {of} bytes, it is {media_type} of {size}"))
    }
}

/// An image manifest: its config and its layers.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageManifest {
    /// What it is, where it is an artifact.
    #[serde(default)]
    pub artifact_type: Option<UntrustedText>,
    /// Where the image's config is.
    pub config: Descriptor,
    /// The layers, lowest first.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub layers: Vec<Descriptor>,
    /// Annotations of the image.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub annotations: Annotations,
    /// The manifest that this one refers to, as a signature does.
    #[serde(default)]
    pub subject: Option<Box<Descriptor>>,
}

impl ImageManifest {
    /// Config and layers, each once, but for those that stay where they are.
    #[must_use]
    pub fn blobs(&self) -> Vec<Descriptor> {
        let mut seen = HashSet::new();
        let all = std::iter::once(&self.config).chain(&self.layers);
        all.filter(|blob| !Self::is_foreign(blob) && seen.insert(&blob.digest)).cloned().collect()
    }

    /// Whether a layer is one that stays where it is, and says where that is.
    #[must_use]
    pub fn is_foreign(layer: &Descriptor) -> bool {
        media_type::is_foreign(&layer.media_type) && !layer.urls.is_empty()
    }
}

impl Manifest {
    /// The manifest that this one refers to, as a signature does.
    #[must_use]
    pub fn subject(&self) -> Option<&Descriptor> {
        match self {
            Self::Image(image) => image.subject.as_deref(),
            Self::Index(index) => index.subject.as_deref(),
        }
    }
}

/// A manifest list or index: its entries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// What it is, where it is an artifact.
    #[serde(default)]
    pub artifact_type: Option<UntrustedText>,
    /// The entries in their order.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub manifests: Vec<Descriptor>,
    /// Annotations of the index itself.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub annotations: Annotations,
    /// The manifest that this one refers to.
    #[serde(default)]
    pub subject: Option<Box<Descriptor>>,
}

/// The parts of an image config that tell what the image runs on.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(expecting = "a JSON object")]
pub struct ImageConfig {
    /// os, architecture, variant, os.version and os.features.
    #[serde(flatten)]
    pub platform: Platform,
}

/// Why bytes are not a manifest this tool handles.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// Not JSON, cut off, or a field of the wrong type.
    #[error("not a valid manifest: {0}")]
    Json(UntrustedText),
    /// Docker schema 1, which has no config and cannot be put into a list.
    #[error(
        "a schema 1 manifest, which cannot be part of a manifest list; build and push the image again with a current tool"
    )]
    Schema1,
    /// A type that is neither an image nor an index.
    #[error("media type \"{0}\" is neither an image manifest nor an index")]
    MediaType(UntrustedText),
    /// The registry's Content-Type and the body disagree (CVE-2021-41190).
    #[error("the registry calls it \"{content_type}\", the manifest itself \"{media_type}\"")]
    Disagree {
        /// The answer's Content-Type.
        content_type: UntrustedText,
        /// The body's mediaType.
        media_type: UntrustedText,
    },
    /// Both an image and an index, depending on who reads it (CVE-2021-41190).
    #[error("ambiguous: it has \"manifests\", or the media type of an index, together with \"layers\" or \"config\"")]
    Ambiguous,
    /// More entries than any index has.
    #[error("{0} entries, more than the {MAX_ENTRIES} that are read")]
    TooManyEntries(usize),
}

/// Registries take no longer manifest than this (distribution-spec, "Pushing Manifests"); bytes.
pub const MAX_PUSHED_MANIFEST: u64 = 4 << 20;
/// Manifests longer than this are not read (4 MiB is what registries take); bytes.
pub const MAX_MANIFEST: u64 = 8 << 20;
/// Configs longer than this are not read; bytes.
pub const MAX_CONFIG: u64 = 8 << 20;

/// An index in an index in an index is as deep as anyone goes.
pub const MAX_NESTING: usize = 4;
/// Manifests below one that are read at most.
pub const MAX_MANIFESTS: usize = 10_000;

/// Entries of an index, or layers of an image, that are read at most.
const MAX_ENTRIES: usize = 10_000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    #[serde(default)]
    schema_version: u64,
    #[serde(default, deserialize_with = "null_is_empty")]
    media_type: String,
    config: Option<serde::de::IgnoredAny>,
    layers: Option<serde::de::IgnoredAny>,
    manifests: Option<serde::de::IgnoredAny>,
}

/// Reads a manifest, and tells its media type: the body's own, which must agree with `content_type` where that
/// names a manifest type at all; where neither does, the form tells.
///
/// # Errors
/// The bytes are not a manifest that is understood, or the types disagree (CVE-2021-41190).
pub fn parse_manifest(bytes: &[u8], content_type: &str) -> Result<(Manifest, String), ManifestError> {
    let json = |error: serde_json::Error| ManifestError::Json(error.to_string().into());
    let content_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if bytes.trim_ascii_start().starts_with(b"<") {
        return Err(ManifestError::Json("it is HTML or XML, such as a page for signing in".into()));
    }
    let shape: Shape = serde_json::from_slice(bytes).map_err(json)?;
    if shape.schema_version == 1 || content_type.starts_with("application/vnd.docker.distribution.manifest.v1+") {
        return Err(ManifestError::Schema1);
    }
    if shape.manifests.is_some() && (shape.layers.is_some() || shape.config.is_some()) {
        return Err(ManifestError::Ambiguous);
    }
    let known = |media_type: &str| media_type::is_index(media_type) || media_type::is_image(media_type);
    let media_type = match (known(&content_type), shape.media_type.as_str()) {
        (true, "") => content_type,
        (true, own) if own != content_type => {
            return Err(ManifestError::Disagree { content_type: content_type.into(), media_type: own.into() });
        }
        (false, "") if shape.manifests.is_some() => media_type::OCI_INDEX.to_owned(),
        (false, "") if shape.config.is_some() => media_type::OCI_MANIFEST.to_owned(),
        (false, "") => return Err(ManifestError::MediaType(content_type.into())),
        (_, own) => own.to_owned(),
    };
    let manifest = if media_type::is_index(&media_type) {
        if shape.layers.is_some() || shape.config.is_some() {
            return Err(ManifestError::Ambiguous);
        }
        let index: Index = serde_json::from_slice(bytes).map_err(json)?;
        bounded(index.manifests.len())?;
        Manifest::Index(index)
    } else if media_type::is_image(&media_type) {
        let image: Box<ImageManifest> = serde_json::from_slice(bytes).map_err(json)?;
        bounded(image.layers.len())?;
        Manifest::Image(image)
    } else {
        return Err(ManifestError::MediaType(media_type.into()));
    };
    Ok((manifest, media_type))
}

fn bounded(entries: usize) -> Result<(), ManifestError> {
    if entries > MAX_ENTRIES { Err(ManifestError::TooManyEntries(entries)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Digest;

    fn read(body: &str, content_type: &str) -> String {
        match parse_manifest(body.as_bytes(), content_type) {
            Ok((Manifest::Image(_), media_type)) => format!("image {media_type}"),
            Ok((Manifest::Index(_), media_type)) => format!("index {media_type}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn table() {
        let config = format!(r#"{{"mediaType":"c","digest":"{}","size":1}}"#, Digest::sha256(b"x"));
        let image = format!(r#"{{"schemaVersion":2,"config":{config},"layers":null}}"#);
        let oci = format!("image {}", media_type::OCI_MANIFEST);
        assert_eq!(read(&image, media_type::OCI_MANIFEST), oci);
        assert_eq!(read(&image, "application/vnd.oci.image.manifest.v1+json; charset=utf-8"), oci);
        assert_eq!(read(&image, "text/plain"), oci, "the form tells");
        assert_eq!(read(r#"{"manifests":[]}"#, ""), format!("index {}", media_type::OCI_INDEX));
        let typed = format!(r#"{{"mediaType":"{}","config":{config}}}"#, media_type::DOCKER_MANIFEST);
        assert_eq!(read(&typed, ""), format!("image {}", media_type::DOCKER_MANIFEST));
        assert!(read(&typed, media_type::OCI_MANIFEST).contains("the registry calls it"));
        assert!(read(&format!(r#"{{"manifests":[],"config":{config}}}"#), media_type::OCI_INDEX).contains("ambiguous"));
        assert!(read(&image, media_type::OCI_INDEX).contains("ambiguous"), "who goes by the form sees an image");
        for (body, message) in [
            ("", "not a valid manifest"),
            ("<html>", "not a valid manifest"),
            ("[]", "not a valid manifest"),
            ("null", "not a valid manifest"),
            ("{}", "neither an image manifest nor an index"),
            (r#"{"schemaVersion":1,"fsLayers":[]}"#, "schema 1"),
            (r#"{"schemaVersion":"2"}"#, "not a valid manifest"),
            (r#"{"manifests":[{"digest":"sha256:x"}]}"#, "not a valid manifest"),
            (r#"{"manifests":[{"mediaType":"m","digest":"../x","size":1}]}"#, "invalid digest"),
            (r#"{"manifests":{"a":1}}"#, "not a valid manifest"),
            (r#"{"mediaType":"application/x"}"#, "application/x"),
        ] {
            assert!(read(body, "").contains(message), "{body}: {}", read(body, ""));
        }
        let deep = "[".repeat(100_000);
        assert!(read(&format!(r#"{{"config":{deep}"#), "").contains("not a valid manifest"));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>, content_type: String) {
            let _ = parse_manifest(&bytes, &content_type);
        }

        #[test]
        fn what_is_read_is_of_one_kind(
            fields in proptest::collection::vec(0usize..11, 0..7),
            content_type in proptest::sample::select(vec!["", "text/plain", media_type::OCI_INDEX, media_type::DOCKER_MANIFEST]),
        ) {
            let descriptor = format!(r#"{{"mediaType":"c","digest":"{}","size":1}}"#, Digest::sha256(b"x"));
            let choices = [
                r#""schemaVersion":2"#.to_owned(),
                r#""schemaVersion":1"#.to_owned(),
                format!(r#""mediaType":"{}""#, media_type::OCI_INDEX),
                format!(r#""mediaType":"{}""#, media_type::DOCKER_MANIFEST),
                r#""mediaType":null"#.to_owned(),
                format!(r#""config":{descriptor}"#),
                format!(r#""layers":[{descriptor},{descriptor}]"#),
                r#""layers":null"#.to_owned(),
                format!(r#""manifests":[{descriptor}]"#),
                r#""manifests":null"#.to_owned(),
                r#""annotations":{"a":"b"}"#.to_owned(),
            ];
            let body = fields.iter().map(|&field| choices[field].as_str()).collect::<Vec<_>>().join(",");
            let body = format!("{{{body}}}");
            let Ok((manifest, media_type)) = parse_manifest(body.as_bytes(), content_type) else { return Ok(()) };
            let index = matches!(manifest, Manifest::Index(_));
            assert_eq!((media_type::is_index(&media_type), media_type::is_image(&media_type)), (index, !index), "{body}");
            assert!(!body.contains(if index { "\"config\":{" } else { "\"manifests\":[" }), "{body}");
            if content_type.contains("vnd") {
                assert_eq!(media_type, content_type, "{body}");
            }
            let again = parse_manifest(body.as_bytes(), &media_type).unwrap();
            assert_eq!(format!("{again:?}"), format!("{:?}", (manifest, media_type)), "{body}");
        }
    }
}
