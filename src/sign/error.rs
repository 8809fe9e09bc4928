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
    /// Some manifests were not signed.
    #[error("{0}")]
    Incomplete(Box<Incomplete>),
}

/// The outcome for a reference of which some manifests were not signed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Incomplete {
    /// The reference.
    pub reference: Location,
    /// The manifests that have a signature by the key.
    pub signed: Vec<SignedManifest>,
    /// The manifests that could not be signed, with the reason.
    pub failed: Vec<(Descriptor, store::Error)>,
    /// The manifests that were not signed because others failed, such as the index of an image that failed.
    pub skipped: Vec<Descriptor>,
}

impl fmt::Display for Incomplete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reference, signed, failed, skipped } = self;
        if let ([(_, error)], [], []) = (failed.as_slice(), signed.as_slice(), skipped.as_slice()) {
            return write!(f, "{reference}: not signed: {error}");
        }
        let total = signed.len() + failed.len() + skipped.len();
        write!(f, "{reference}: {} of {total} manifests not signed", failed.len() + skipped.len())?;
        for (manifest, error) in failed {
            write!(f, "\n  failed: {}: {error}", name(manifest))?;
        }
        for manifest in skipped {
            write!(f, "\n  not started: {}", name(manifest))?;
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
