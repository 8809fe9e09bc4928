use serde::Serialize;

use crate::image::{Digest, Platform, UntrustedText, one_line};
use crate::store::{SignatureHolder, SignatureKind};
use crate::verify::{ImageSignatures, ListedSignature};

/// The signatures of an image or index.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct ImageSignaturesJson {
    manifest: Digest,
    platform: Option<Platform>,
    signatures: Vec<SignatureJson>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct SignatureJson {
    kind: &'static str,
    /// The manifest that holds the signature.
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest: Option<Digest>,
    /// The file of `dir:` that holds the signature.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    /// Absent if the signature was not verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    valid: Option<bool>,
    /// The id of the key that made the signature.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// Why the signature is rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<UntrustedText>,
}

impl From<&ImageSignatures> for ImageSignaturesJson {
    fn from(image: &ImageSignatures) -> Self {
        Self {
            manifest: image.manifest.clone(),
            platform: image.platform.clone(),
            signatures: image.signatures.iter().map(SignatureJson::from).collect(),
        }
    }
}

impl From<&ListedSignature> for SignatureJson {
    fn from(signature: &ListedSignature) -> Self {
        let (manifest, file) = match &signature.holder {
            SignatureHolder::Manifest(digest) => (Some(digest.clone()), None),
            SignatureHolder::File(name) => (None, Some(name.clone())),
        };
        let verdict = signature.verdict.as_ref();
        Self {
            kind: kind_word(signature.kind),
            manifest,
            file,
            valid: verdict.map(Result::is_ok),
            key: verdict.and_then(|verdict| verdict.as_ref().ok().cloned()),
            reason: verdict.and_then(|verdict| verdict.as_ref().err().cloned()),
        }
    }
}

/// Returns the name of a kind in the JSON document.
fn kind_word(kind: SignatureKind) -> &'static str {
    match kind {
        SignatureKind::Cosign => "cosign",
        SignatureKind::Bundle => "sigstoreBundle",
        SignatureKind::Notation => "notation",
        SignatureKind::OpenPgp => "openpgp",
    }
}

/// Returns a line for each signature of an image or index.
pub(super) fn signature_lines(image: &ImageSignatures) -> Vec<String> {
    let platform = image.platform.as_ref().filter(|platform| !platform.is_empty());
    let platform = platform.map(|platform| format!("{platform} ")).unwrap_or_default();
    let start = format!("  signature of {platform}{}: ", image.manifest);
    let line = |signature: &ListedSignature| {
        let holder = match &signature.holder {
            SignatureHolder::Manifest(digest) => digest.to_string(),
            SignatureHolder::File(name) => one_line(name),
        };
        let verdict = match &signature.verdict {
            Some(Ok(key)) => format!(": valid, made by key {key}"),
            Some(Err(reason)) => format!(": rejected: {reason}"),
            None => String::new(),
        };
        format!("{start}{} {holder}{verdict}", signature.kind.name())
    };
    match image.signatures.as_slice() {
        [] => vec![format!("{start}none")],
        signatures => signatures.iter().map(line).collect(),
    }
}
