use std::fmt;

use crate::image::media_type::Compression;
use crate::image::{Digest, Platform, UntrustedText};
use crate::store::Error;

/// Something that is wrong with a reference.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Finding {
    /// What the image is for, where that is known.
    pub platform: Option<Platform>,
    /// It is no image, but the attestation of one.
    pub is_attestation: bool,
    /// The image or index that it is about; nothing where the reference itself cannot be read.
    pub manifest: Option<Digest>,
    /// The part of it.
    pub part: ImagePart,
    /// The digest of that part.
    pub digest: Option<Digest>,
    /// What is wrong.
    pub problem: Problem,
}

/// A part of an image or index.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ImagePart {
    /// The manifest, or what an index says of it.
    Manifest,
    /// The config.
    Config(Digest),
    /// A layer, by its number from 1.
    Layer(usize, Digest),
    /// A blob that an index lists in place of a manifest.
    Blob(Digest),
}

/// What can be wrong with a part.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// It is not there.
    Missing,
    /// Its bytes are not those that its digest names, or make no sense; says what they are.
    Content(UntrustedText),
    /// It has another length than its descriptor says.
    Size {
        /// Bytes, by the descriptor.
        said: u64,
        /// Bytes that there are.
        found: u64,
    },
    /// It has more bytes than its descriptor says, and was not read on.
    Longer {
        /// Bytes, by the descriptor.
        said: u64,
    },
    /// It is of another type than its descriptor says.
    MediaType {
        /// The descriptor's.
        said: UntrustedText,
        /// What it is.
        found: UntrustedText,
    },
    /// A layer is packed in another way than its media type says.
    Compression {
        /// By its media type.
        said: Compression,
        /// By its bytes.
        found: Compression,
    },
    /// Its config says that it is for another platform.
    Platform {
        /// What the index says.
        entry: Box<Platform>,
        /// What the config says.
        config: Box<Platform>,
    },
    /// Another image of the index is for the same platform.
    Ambiguous {
        /// That image.
        other: Digest,
    },
    /// An attestation of nothing that is in the index.
    Dangling {
        /// What it says that it is of.
        of: Option<UntrustedText>,
    },
    /// A layer that its config has under another digest.
    DiffId {
        /// The config's.
        said: UntrustedText,
        /// What it is when it is unpacked.
        found: Digest,
    },
    /// The config has not as many layers as the manifest.
    Layers {
        /// The config's.
        config: usize,
        /// The manifest's.
        manifest: usize,
    },
}

impl Problem {
    /// What an error says of the content itself; nothing of the way to it.
    pub(super) fn of(error: &Error) -> Option<Self> {
        if error.is_missing_content() {
            return Some(Self::Missing);
        }
        if let Some((said, found)) = error.sizes() {
            return Some(Self::Size { said, found });
        }
        error.is_wrong_content().then(|| Self::Content(error.reason().into()))
    }

    /// A word for programs.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Content(_) => "content",
            Self::Size { .. } | Self::Longer { .. } => "size",
            Self::MediaType { .. } | Self::Compression { .. } => "mediaType",
            Self::Platform { .. } => "platform",
            Self::Ambiguous { .. } => "ambiguous",
            Self::Dangling { .. } => "dangling",
            Self::DiffId { .. } | Self::Layers { .. } => "diffId",
        }
    }
}

impl Finding {
    /// That the reference itself cannot be read.
    pub(super) fn of_reference(problem: Problem) -> Self {
        Self { platform: None, is_attestation: false, manifest: None, part: ImagePart::Manifest, digest: None, problem }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("it is not there"),
            Self::Content(reason) => reason.fmt(f),
            Self::Size { said, found } => write!(f, "it has {found} bytes, its descriptor says {said}"),
            Self::Longer { said } => write!(f, "it has more than the {said} bytes that its descriptor says"),
            Self::MediaType { said, found } => write!(f, "it is {found}, its descriptor says {said}"),
            Self::Compression { said, found } => write!(f, "it is {found}, its media type says {said}"),
            Self::Platform { entry, config } => write!(f, "the index says {entry}, its config {config}"),
            Self::Ambiguous { other } => write!(f, "{other} is for the same platform"),
            Self::Dangling { of: Some(of) } => write!(f, "an attestation of {of}, which is no image of the index"),
            Self::Dangling { of: None } => f.write_str("an attestation that does not say what it is of"),
            Self::DiffId { said, found } => write!(f, "unpacked it is {found}, the config says {said}"),
            Self::Layers { config, manifest } => {
                write!(f, "the config has {config} layers (diff_ids), the manifest {manifest}")
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
