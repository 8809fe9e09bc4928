use std::collections::HashSet;

use bytes::Bytes;
use serde::Deserialize;

use super::null::null_is_empty;
use super::schema1::is_schema_1;
use super::{Annotations, Descriptor, Platform, UntrustedText, media_type};

/// A parsed manifest: one image, or an index of several.
#[derive(Debug, Clone)]
pub enum Manifest {
    /// An image, or an artifact in the form of an image manifest.
    Image(Box<ImageManifest>),
    /// A Docker manifest list or an OCI image index.
    Index(Index),
}

/// A fetched and verified manifest, as exact bytes and parsed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Fetched {
    /// The exact bytes. Never reserialize the manifest, which would change its digest.
    pub bytes: Bytes,
    /// Media type, digest and size of the bytes.
    pub descriptor: Descriptor,
    /// The parsed manifest.
    pub manifest: Manifest,
}

impl Fetched {
    /// Compares media type and size with the index entry of the manifest. The error describes the difference.
    pub(crate) fn check(&self, entry: &Descriptor) -> Result<(), String> {
        let Descriptor { media_type, size, .. } = &self.descriptor;
        if (media_type, size) == (&entry.media_type, &entry.size) {
            return Ok(());
        }
        let (listed_type, listed_size) = (&entry.media_type, entry.size);
        Err(format!("the index lists it as {listed_type} with {listed_size} bytes, but it is {media_type} with {size}"))
    }
}

/// An image manifest: its config and its layers.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageManifest {
    /// Artifact type, if it is an artifact.
    #[serde(default)]
    pub artifact_type: Option<UntrustedText>,
    /// Descriptor of the config.
    pub config: Descriptor,
    /// Descriptors of the layers, lowest first.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub layers: Vec<Descriptor>,
    /// Annotations of the image.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub annotations: Annotations,
    /// The manifest that this one refers to, for example the image that a signature signs.
    #[serde(default)]
    pub subject: Option<Box<Descriptor>>,
}

impl ImageManifest {
    /// Returns the config and the layers, without duplicates and foreign layers.
    #[must_use]
    pub fn blobs(&self) -> Vec<Descriptor> {
        let mut seen = HashSet::new();
        let all = std::iter::once(&self.config).chain(&self.layers);
        all.filter(|blob| !Self::is_foreign(blob) && seen.insert(&blob.digest)).cloned().collect()
    }

    /// Returns whether a layer is foreign: it is stored elsewhere and lists its URLs.
    #[must_use]
    pub fn is_foreign(layer: &Descriptor) -> bool {
        media_type::is_foreign(&layer.media_type) && !layer.urls.is_empty()
    }
}

impl Manifest {
    /// Returns the manifest that this one refers to, for example the image that a signature signs.
    #[must_use]
    pub fn subject(&self) -> Option<&Descriptor> {
        match self {
            Self::Image(image) => image.subject.as_deref(),
            Self::Index(index) => index.subject.as_deref(),
        }
    }
}

/// A Docker manifest list or an OCI image index.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Artifact type, if it is an artifact.
    #[serde(default)]
    pub artifact_type: Option<UntrustedText>,
    /// The entries, in order.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub manifests: Vec<Descriptor>,
    /// Annotations of the index itself.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub annotations: Annotations,
    /// The manifest that this one refers to.
    #[serde(default)]
    pub subject: Option<Box<Descriptor>>,
}

/// The platform fields of an image config.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(expecting = "a JSON object")]
pub struct ImageConfig {
    /// os, architecture, variant, os.version and os.features.
    #[serde(flatten)]
    pub platform: Platform,
}

/// The labels of an image config (OCI image-spec, "Image Configuration").
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(expecting = "a JSON object")]
pub(crate) struct ConfigLabels {
    #[serde(default, deserialize_with = "null_is_empty")]
    config: ContainerConfig,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct ContainerConfig {
    #[serde(default, rename = "Labels", deserialize_with = "null_is_empty")]
    labels: Annotations,
}

impl ConfigLabels {
    pub(crate) fn into_labels(self) -> Annotations {
        self.config.labels
    }
}

/// The error for bytes that are not a supported manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// Invalid or truncated JSON, or a field of the wrong type.
    #[error("not a valid manifest: {0}")]
    Json(UntrustedText),
    /// Docker's schema 1, which has no config and cannot be part of an index. Only `inspect` reads it.
    #[error(
        "a manifest of Docker's old schema 1; build and push the image again, or convert it: skopeo copy --format v2s2"
    )]
    Schema1,
    /// The media type is neither an image nor an index.
    #[error("media type \"{0}\" is neither an image manifest nor an index")]
    MediaType(UntrustedText),
    /// The registry's Content-Type and the body disagree (CVE-2021-41190).
    #[error("its Content-Type is \"{content_type}\", but its mediaType is \"{media_type}\"")]
    Disagree {
        /// Content-Type of the response.
        content_type: UntrustedText,
        /// `mediaType` in the body.
        media_type: UntrustedText,
    },
    /// Clients could read it as an image or as an index (CVE-2021-41190).
    #[error("ambiguous: it has \"manifests\", or the media type of an index, together with \"layers\" or \"config\"")]
    Ambiguous,
    /// Too many entries or layers.
    #[error("{0} entries, more than the limit of {MAX_ENTRIES}")]
    TooManyEntries(usize),
}

/// Maximum size of a manifest that registries accept, in bytes (distribution-spec, "Pushing Manifests").
pub const MAX_PUSHED_MANIFEST: u64 = 4 << 20;
/// Maximum size of a manifest to read, in bytes. Registries accept 4 MiB.
pub const MAX_MANIFEST: u64 = 8 << 20;
/// Maximum size of a config to read, in bytes.
pub const MAX_CONFIG: u64 = 8 << 20;

/// Maximum nesting of indexes. In practice, indexes are nested at most three levels deep.
pub const MAX_NESTING: usize = 4;
/// Maximum number of manifests below a root manifest.
pub const MAX_MANIFESTS: usize = 10_000;

/// Maximum number of entries of an index or layers of an image.
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

/// Parses a manifest and returns it with its media type.
///
/// The media type is the body's `mediaType`, which must agree with `content_type` if that is a manifest type. Without
/// either, it is derived from the fields.
///
/// # Errors
/// The bytes are not a supported manifest, or the types disagree (CVE-2021-41190).
pub fn parse_manifest(bytes: &[u8], content_type: &str) -> Result<(Manifest, String), ManifestError> {
    let json = |error: serde_json::Error| ManifestError::Json(error.to_string().into());
    let content_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if bytes.trim_ascii_start().starts_with(b"<") {
        return Err(ManifestError::Json("it is HTML or XML, such as a sign-in page".into()));
    }
    let shape: Shape = serde_json::from_slice(bytes).map_err(json)?;
    if shape.schema_version == 1 || is_schema_1(&content_type) {
        return Err(ManifestError::Schema1);
    }
    if shape.manifests.is_some() && (shape.layers.is_some() || shape.config.is_some()) {
        return Err(ManifestError::Ambiguous);
    }
    let known = |media_type: &str| media_type::is_index(media_type) || media_type::is_image(media_type);
    let media_type = match (known(&content_type), shape.media_type.as_str()) {
        (true, "") => content_type,
        (true, declared) if declared != content_type => {
            return Err(ManifestError::Disagree { content_type: content_type.into(), media_type: declared.into() });
        }
        (false, "") if shape.manifests.is_some() => media_type::OCI_INDEX.to_owned(),
        (false, "") if shape.config.is_some() => media_type::OCI_MANIFEST.to_owned(),
        (false, "") => return Err(ManifestError::MediaType(content_type.into())),
        (_, declared) => declared.to_owned(),
    };
    let manifest = if media_type::is_index(&media_type) {
        if shape.layers.is_some() || shape.config.is_some() {
            return Err(ManifestError::Ambiguous);
        }
        let index: Index = serde_json::from_slice(bytes).map_err(json)?;
        check_entry_count(index.manifests.len())?;
        Manifest::Index(index)
    } else if media_type::is_image(&media_type) {
        let image: Box<ImageManifest> = serde_json::from_slice(bytes).map_err(json)?;
        check_entry_count(image.layers.len())?;
        Manifest::Image(image)
    } else {
        return Err(ManifestError::MediaType(media_type.into()));
    };
    Ok((manifest, media_type))
}

fn check_entry_count(entries: usize) -> Result<(), ManifestError> {
    if entries > MAX_ENTRIES { Err(ManifestError::TooManyEntries(entries)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Digest;

    fn parse(body: &str, content_type: &str) -> String {
        match parse_manifest(body.as_bytes(), content_type) {
            Ok((Manifest::Image(_), media_type)) => format!("image {media_type}"),
            Ok((Manifest::Index(_), media_type)) => format!("index {media_type}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_kind_follows_from_media_types_and_fields() {
        let config = format!(r#"{{"mediaType":"c","digest":"{}","size":1}}"#, Digest::sha256(b"x"));
        let image = format!(r#"{{"schemaVersion":2,"config":{config},"layers":null}}"#);
        let oci = format!("image {}", media_type::OCI_MANIFEST);
        assert_eq!(parse(&image, media_type::OCI_MANIFEST), oci);
        assert_eq!(parse(&image, "application/vnd.oci.image.manifest.v1+json; charset=utf-8"), oci);
        assert_eq!(parse(&image, "text/plain"), oci, "derived from the fields");
        assert_eq!(parse(r#"{"manifests":[]}"#, ""), format!("index {}", media_type::OCI_INDEX));
        let typed = format!(r#"{{"mediaType":"{}","config":{config}}}"#, media_type::DOCKER_MANIFEST);
        assert_eq!(parse(&typed, ""), format!("image {}", media_type::DOCKER_MANIFEST));
        assert!(parse(&typed, media_type::OCI_MANIFEST).contains("its Content-Type is"));
        assert!(
            parse(&format!(r#"{{"manifests":[],"config":{config}}}"#), media_type::OCI_INDEX).contains("ambiguous")
        );
        assert!(parse(&image, media_type::OCI_INDEX).contains("ambiguous"), "by its fields it is an image");
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
            assert!(parse(body, "").contains(message), "{body}: {}", parse(body, ""));
        }
        let deep = "[".repeat(100_000);
        assert!(parse(&format!(r#"{{"config":{deep}"#), "").contains("not a valid manifest"));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>, content_type: String) {
            let _ = parse_manifest(&bytes, &content_type);
        }

        #[test]
        fn a_parsed_manifest_is_either_an_image_or_an_index(
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
