use serde::Serialize;

use super::error::ErrorJson;
use crate::image::{Digest, Location, Platform};
use crate::sign::{SignOutcome, SignReport, SignedManifest};

/// The result of `sign` for a reference.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub(in crate::cli) enum SigningResult {
    Signed(SignedJson),
    Failed(NotSignedJson),
}

/// A reference that is signed.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct SignedJson {
    reference: String,
    manifests: Vec<SignedManifestJson>,
}

/// A reference that is not signed, or only in part.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct NotSignedJson {
    reference: String,
    /// The manifests that are signed.
    manifests: Vec<SignedManifestJson>,
    error: ErrorJson,
}

/// An image or index that is signed.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct SignedManifestJson {
    digest: Digest,
    platform: Option<Platform>,
    state: &'static str,
    /// The manifest that holds the new signature.
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<Digest>,
    /// `true` if the signature was written but not read back.
    #[serde(skip_serializing_if = "Option::is_none")]
    unconfirmed: Option<bool>,
}

impl SignedJson {
    /// Creates the JSON of a reference. `name` is the reference as the user wrote it.
    pub(in crate::cli) fn new(name: &str, manifests: &[SignedManifest]) -> Self {
        Self { reference: name.to_owned(), manifests: manifests.iter().map(SignedManifestJson::from).collect() }
    }
}

impl NotSignedJson {
    pub(in crate::cli) fn new(name: &str, manifests: Vec<SignedManifestJson>, error: ErrorJson) -> Self {
        Self { reference: name.to_owned(), manifests, error }
    }
}

impl SignedManifestJson {
    /// Creates the JSON of a manifest whose signature was written but not read back.
    pub(in crate::cli) fn unconfirmed(manifest: &SignedManifest) -> Self {
        Self { unconfirmed: Some(true), ..manifest.into() }
    }
}

impl From<&SignedManifest> for SignedManifestJson {
    fn from(manifest: &SignedManifest) -> Self {
        let (state, signature) = match &manifest.outcome {
            SignOutcome::Written(digest) => ("signed", Some(digest.clone())),
            SignOutcome::Planned => ("planned", None),
            SignOutcome::Existing => ("unchanged", None),
        };
        let (digest, platform) = (manifest.descriptor.digest.clone(), manifest.descriptor.platform.clone());
        Self { digest, platform, state, signature, unconfirmed: None }
    }
}

/// Returns the lines that `sign` prints on stdout, one for each signed digest.
pub(in crate::cli) fn sign_text(reference: &Location, manifests: &[SignedManifest]) -> String {
    let line = |manifest: &SignedManifest| {
        let what = match manifest.outcome {
            SignOutcome::Written(_) => "Signed",
            SignOutcome::Planned => "Would sign",
            SignOutcome::Existing => "Already signed",
        };
        let platform = manifest.descriptor.platform.as_ref().filter(|platform| !platform.is_empty());
        let platform = platform.map(|platform| format!(" {platform}")).unwrap_or_default();
        format!("{what}: {}{platform}\n", reference.with_digest(manifest.descriptor.digest.clone()))
    };
    manifests.iter().map(line).collect()
}

/// Describes a reference that was signed, in a line for a person.
pub(in crate::cli) fn signed_line(reference: &Location, report: &SignReport) -> String {
    match report.has_written() {
        true => format!("signed {reference}"),
        false => format!("unchanged: {reference}"),
    }
}
