use std::fmt;

use crate::image::media_type::Compression;
use crate::image::{Digest, Platform, UntrustedText, platform_names};
use crate::store::Error;

/// A problem of a verified reference.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Finding {
    /// Platform of the image, if known.
    pub platform: Option<Platform>,
    /// Whether the manifest is an attestation, not an image.
    pub is_attestation: bool,
    /// Digest of the affected image or index, or `None` if the reference itself cannot be read.
    pub manifest: Option<Digest>,
    /// The affected part.
    pub part: ImagePart,
    /// Digest of the affected part.
    pub digest: Option<Digest>,
    /// What is wrong with it.
    pub problem: Problem,
}

/// A part of an image or index.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ImagePart {
    /// The manifest, or its entry in an index.
    Manifest,
    /// The config.
    Config(Digest),
    /// A layer, with its number counted from 1.
    Layer(usize, Digest),
    /// A blob that an index lists where a manifest is expected.
    Blob(Digest),
}

/// The kinds of problems of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// The content is missing.
    Missing,
    /// The content does not match its digest, or is malformed. Holds the reason.
    Content(UntrustedText),
    /// The size differs from the descriptor.
    Size {
        /// Size in the descriptor, in bytes.
        expected: u64,
        /// Size of the content, in bytes.
        actual: u64,
    },
    /// The content is longer than the descriptor declares. Reading stopped there, so its size is unknown.
    Longer {
        /// Size in the descriptor, in bytes.
        expected: u64,
    },
    /// The media type differs from the descriptor.
    MediaType {
        /// Media type in the descriptor.
        expected: UntrustedText,
        /// Media type of the content.
        actual: UntrustedText,
    },
    /// The compression of a layer differs from its media type.
    Compression {
        /// Compression in the media type.
        expected: Compression,
        /// Compression of the content.
        actual: Compression,
    },
    /// The platform of the entry differs from the config.
    Platform {
        /// Platform in the index.
        entry: Box<Platform>,
        /// Platform in the config.
        config: Box<Platform>,
    },
    /// The images are not for exactly the required platforms.
    Platforms {
        /// Required platforms without an image.
        missing: Vec<Platform>,
        /// Platforms of images that are not required.
        extra: Vec<Platform>,
    },
    /// The image has no referrer of these required artifact types.
    Referrer {
        /// The missing artifact types.
        types: Vec<UntrustedText>,
    },
    /// The image or index has no valid signature by any of the keys.
    Signature {
        /// Why signatures are rejected: the first three. Empty if none were found.
        reasons: Vec<UntrustedText>,
        /// The number of other rejected signatures.
        more: usize,
        /// The reference that a signature by one of the keys names, if it is in another repository.
        signed_as: Option<UntrustedText>,
    },
    /// Another image in the index has the same platform.
    Ambiguous {
        /// Digest of the other image.
        other: Digest,
    },
    /// An attestation refers to an image that is not in the index.
    Dangling {
        /// Digest of the image in the attestation's annotation, if any.
        image: Option<UntrustedText>,
    },
    /// The uncompressed digest of a layer differs from the config's `diff_ids`.
    DiffId {
        /// Digest in the config.
        expected: UntrustedText,
        /// Digest of the uncompressed layer.
        actual: Digest,
    },
    /// The numbers of layers in the config and in the manifest differ.
    Layers {
        /// Number of `diff_ids` in the config.
        config: usize,
        /// Number of layers in the manifest.
        manifest: usize,
    },
}

impl Problem {
    /// Returns the problem behind an error, or `None` for an error of the registry or network.
    pub(super) fn from_error(error: &Error) -> Option<Self> {
        if error.is_missing_content() {
            return Some(Self::Missing);
        }
        if let Some((expected, actual)) = error.sizes() {
            return Some(Self::Size { expected, actual });
        }
        error.is_wrong_content().then(|| Self::Content(error.reason().into()))
    }

    /// Returns the kind of problem as it appears in JSON output.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Content(_) => "content",
            Self::Size { .. } | Self::Longer { .. } => "size",
            Self::MediaType { .. } | Self::Compression { .. } => "mediaType",
            Self::Platform { .. } => "platform",
            Self::Platforms { .. } => "platforms",
            Self::Referrer { .. } => "referrer",
            Self::Signature { .. } => "signature",
            Self::Ambiguous { .. } => "ambiguous",
            Self::Dangling { .. } => "dangling",
            Self::DiffId { .. } | Self::Layers { .. } => "diffId",
        }
    }
}

impl Finding {
    /// Creates the finding that the reference itself cannot be read.
    pub(super) fn for_reference(problem: Problem) -> Self {
        Self { platform: None, is_attestation: false, manifest: None, part: ImagePart::Manifest, digest: None, problem }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("not found"),
            Self::Content(reason) => reason.fmt(f),
            Self::Size { expected, actual } => {
                write!(f, "it has {actual} bytes, but its descriptor declares {expected}")
            }
            Self::Longer { expected } => {
                write!(f, "it has more than the {expected} bytes that its descriptor declares")
            }
            Self::MediaType { expected, actual } => write!(f, "it is {actual}, but its descriptor declares {expected}"),
            Self::Compression { expected, actual } => {
                write!(f, "it is {actual}, but its media type declares {}", expected.declared())
            }
            Self::Platform { entry, config } => {
                write!(f, "the index declares {entry}, but its config declares {config}")
            }
            Self::Platforms { missing, extra } => {
                let part = |label: &str, platforms: &[Platform]| {
                    (!platforms.is_empty()).then(|| format!("{label}{}", platform_names(platforms)))
                };
                let parts = part("no image for ", missing).into_iter().chain(part("not required: ", extra));
                f.write_str(&Vec::from_iter(parts).join("; "))
            }
            Self::Referrer { types } => {
                let types: Vec<String> = types.iter().map(ToString::to_string).collect();
                write!(f, "no referrer of type {}", types.join(", "))
            }
            Self::Signature { reasons, .. } if reasons.is_empty() => f.write_str("no valid signature: none found"),
            Self::Signature { reasons, more, .. } => {
                let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
                write!(f, "no valid signature: {}", reasons.join("; "))?;
                if *more > 0 { write!(f, "; and {more} more") } else { Ok(()) }
            }
            Self::Ambiguous { other } => write!(f, "{other} is for the same platform"),
            Self::Dangling { image: Some(image) } => {
                write!(f, "an attestation of {image}, which is not an image in the index")
            }
            Self::Dangling { image: None } => f.write_str("an attestation that does not name its image"),
            Self::DiffId { expected, actual } => {
                write!(f, "its uncompressed digest is {actual}, but the config declares {expected}")
            }
            Self::Layers { config, manifest } => {
                write!(f, "the config has {config} layers (diff_ids), but the manifest has {manifest}")
            }
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.platform {
            _ if self.is_attestation => f.write_str("attestation ")?,
            Some(platform) if *platform != Platform::default() => write!(f, "{platform} ")?,
            _ => {}
        }
        match &self.part {
            ImagePart::Manifest => f.write_str("manifest")?,
            ImagePart::Config(_) => f.write_str("config")?,
            ImagePart::Layer(number, _) => write!(f, "layer {number}")?,
            ImagePart::Blob(_) => f.write_str("blob")?,
        }
        if let Some(digest) = &self.digest {
            write!(f, " {digest}")?;
        }
        write!(f, ": {}: {}", self.problem.word(), self.problem)
    }
}
