use std::fmt;

use super::report::SignedManifest;
use crate::image::{Descriptor, Location};
use crate::store;

/// Why a reference was not signed completely.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The reference or an image of it cannot be read. Nothing was signed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Some manifests were not signed, or their signatures were not read back.
    #[error("{0}")]
    Incomplete(Box<Incomplete>),
}

/// The outcome for a reference of which some manifests were not signed, or their signatures were not read back.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Incomplete {
    /// The reference.
    pub reference: Location,
    /// The manifests that have a signature by the key.
    pub signed: Vec<SignedManifest>,
    /// The manifests whose signature was written but not read back, with the reason. Another signer may have overwritten
    /// it.
    pub unconfirmed: Vec<(SignedManifest, store::Error)>,
    /// The manifests that could not be signed, with the reason.
    pub failed: Vec<(Descriptor, store::Error)>,
    /// The manifests that were not signed because others failed or are unconfirmed, such as the index of an image that
    /// failed.
    pub skipped: Vec<Descriptor>,
}

impl fmt::Display for Incomplete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reference, signed, unconfirmed, failed, skipped } = self;
        let (written, missing) = (signed.len() + unconfirmed.len(), failed.len() + skipped.len());
        match (failed.as_slice(), unconfirmed.as_slice()) {
            ([(_, error)], []) if written + missing == 1 => return write!(f, "{reference}: not signed: {error}"),
            ([], [(_, error)]) if written + missing == 1 => {
                return write!(f, "{reference}: signed, but the signature was not read back: {error}");
            }
            _ if missing == 0 => {
                let count = unconfirmed.len();
                write!(f, "{reference}: all {written} manifests signed, but {count} signatures not read back")?;
            }
            _ => write!(f, "{reference}: {missing} of {} manifests not signed", written + missing)?,
        }
        for (manifest, error) in failed {
            write!(f, "\n  failed: {}: {error}", name(manifest))?;
        }
        for manifest in skipped {
            write!(f, "\n  not started: {}", name(manifest))?;
        }
        for (SignedManifest { descriptor, .. }, error) in unconfirmed {
            write!(f, "\n  signed, but not read back: {}: {error}", name(descriptor))?;
        }
        for SignedManifest { descriptor, .. } in signed {
            write!(f, "\n  signed: {}", name(descriptor))?;
        }
        Ok(())
    }
}

/// Names a manifest by its platform and digest.
fn name(manifest: &Descriptor) -> String {
    match manifest.platform.as_ref().filter(|platform| !platform.is_empty()) {
        Some(platform) => format!("{platform} {}", manifest.digest),
        None => manifest.digest.to_string(),
    }
}
