//! Finds the signatures of a manifest where cosign, Notation and skopeo store them.

use std::collections::HashSet;

use bytes::Bytes;
use futures_util::future::join;
use futures_util::stream::{self, StreamExt as _};

use super::{ARTIFACT_MANIFEST, Error, Store};
use crate::image::{
    Annotations, Descriptor, Digest, ImageManifest, Location, Manifest, Transport, UntrustedText, media_type,
};
use crate::signature::{bundle, simple_signing};

/// The maximum number of signatures of a manifest that are read.
pub(crate) const MAX_SIGNATURES: usize = 100;
/// The maximum number of manifests with signatures of one image that are read concurrently.
const MAX_CONCURRENT: usize = 8;
/// The artifact type of cosign's signatures.
const COSIGN_TYPE: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";
/// The annotation of a manifest with a Sigstore bundle: the type of the statement that the bundle signs.
pub(crate) const BUNDLE_PREDICATE: &str = "dev.sigstore.bundle.predicateType";
/// The artifact type of Notation's signatures.
const NOTATION_TYPE: &str = "application/vnd.cncf.notary.signature";

/// The format of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SignatureKind {
    /// A signed payload in the form of cosign 1 and 2, in a manifest or beside an image in `dir:`.
    Cosign,
    /// A Sigstore bundle, as cosign 3 writes it.
    Bundle,
    /// A signature by Notation (Notary Project).
    Notation,
    /// A payload signed with OpenPGP, beside an image in `dir:`.
    OpenPgp,
}

impl SignatureKind {
    /// Returns the name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cosign => "cosign signature",
            Self::Bundle => "Sigstore bundle",
            Self::Notation => "Notation signature",
            Self::OpenPgp => "OpenPGP signature",
        }
    }

    /// Returns the kind of the signatures in a manifest with this artifact type.
    #[must_use]
    pub fn from_artifact_type(artifact_type: &str) -> Option<Self> {
        match artifact_type {
            COSIGN_TYPE => Some(Self::Cosign),
            NOTATION_TYPE => Some(Self::Notation),
            other => bundle::is_bundle(other).then_some(Self::Bundle),
        }
    }
}

/// A signature of a manifest, and where it is stored. Its content has not been read.
#[derive(Debug, Clone)]
pub(crate) struct StoredSignature {
    pub(crate) kind: SignatureKind,
    pub(crate) holder: SignatureHolder,
    pub(crate) content: SignatureContent,
}

impl StoredSignature {
    /// Returns the size of its content in bytes, as its descriptor says; 0 if it is in a file, or has none.
    pub(crate) fn size(&self) -> u64 {
        match &self.content {
            SignatureContent::Blob(blob) => blob.size,
            _ => 0,
        }
    }
}

/// What holds a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignatureHolder {
    /// A manifest with this digest.
    Manifest(Digest),
    /// A file of this name beside the image, in `dir:`.
    File(String),
}

/// The content of a signature.
#[derive(Debug, Clone)]
pub(crate) enum SignatureContent {
    /// A payload of cosign, with its signature in an annotation of the descriptor, or a bundle.
    Blob(Box<Descriptor>),
    /// The file that holds the signature.
    File,
    /// A statement of this type, which is more than a signature: an attestation.
    Statement(UntrustedText),
    /// The content cannot be used. Holds the reason.
    Defective(String),
}

/// The signatures of a manifest.
#[derive(Debug, Default)]
pub(crate) struct FoundSignatures {
    /// At most [`MAX_SIGNATURES`].
    pub(crate) signatures: Vec<StoredSignature>,
    /// Errors of the registry or network, and that there are more signatures than are read.
    pub(crate) unread: Vec<Error>,
}

impl FoundSignatures {
    fn of(outcome: Result<Vec<StoredSignature>, Error>) -> Self {
        match outcome {
            Ok(signatures) => Self { signatures, unread: Vec::new() },
            Err(error) => Self { signatures: Vec::new(), unread: vec![error] },
        }
    }

    fn extend(&mut self, other: Self) {
        self.signatures.extend(other.signatures);
        self.unread.extend(other.unread);
    }

    /// Keeps the first signatures, and says so if that leaves some out.
    fn limit(mut self, at: &Location, subject: &Digest) -> Self {
        if self.signatures.len() > MAX_SIGNATURES {
            self.signatures.truncate(MAX_SIGNATURES);
            self.unread.push(too_many(at, subject));
        }
        self
    }
}

fn too_many(at: &Location, subject: &Digest) -> Error {
    let reason = format!("it has more than {MAX_SIGNATURES} signatures; the others are not read");
    Error::unsuitable(at.with_digest(subject.clone()), reason)
}

impl Store {
    /// Finds the signatures of a manifest among its referrers, in cosign's tag and in files beside it. An unreadable
    /// signature does not prevent others from being found.
    pub(crate) async fn signatures(
        &self,
        at: &Location,
        subject: &Digest,
        referrers: &[Descriptor],
    ) -> FoundSignatures {
        let tagged = self.tag_signatures(at, subject);
        let (mut found, mut referring) = join(tagged, self.referrer_signatures(at, subject, referrers)).await;
        // cosign can also list the manifest in its tag as a referrer.
        referring.signatures.retain(|signature| !found.signatures.iter().any(|other| other.holder == signature.holder));
        found.extend(referring);
        found.extend(FoundSignatures::of(self.signature_files(at, subject).await));
        found.limit(at, subject)
    }

    /// Finds the signatures in the tag that cosign names after a manifest.
    pub(crate) async fn tag_signatures(&self, at: &Location, subject: &Digest) -> FoundSignatures {
        FoundSignatures::of(self.cosign_tag(at, subject).await).limit(at, subject)
    }

    /// Finds the signatures among the referrers of a manifest. Reads those listed without a type, too.
    pub(crate) async fn referrer_signatures(
        &self,
        at: &Location,
        subject: &Digest,
        referrers: &[Descriptor],
    ) -> FoundSignatures {
        let may_sign = |entry: &&Descriptor| {
            let kind = entry.artifact_type.as_ref().filter(|kind| !kind.is_empty());
            let is_signature = kind.map(|kind| SignatureKind::from_artifact_type(kind).is_some());
            match entry.media_type.as_str() {
                ARTIFACT_MANIFEST => is_signature == Some(true),
                media_type => media_type::is_image(media_type) && is_signature != Some(false),
            }
        };
        let mut seen = HashSet::new();
        let candidates = referrers.iter().filter(may_sign).filter(|entry| seen.insert(&entry.digest));
        let candidates: Vec<&Descriptor> = candidates.take(MAX_SIGNATURES + 1).collect();
        // Iterate over positions: futures that borrow entries would not be `Send`.
        let read = |position: usize| {
            let entry = candidates.get(position).copied();
            async move {
                match entry {
                    Some(entry) => FoundSignatures::of(self.signing_referrer(at, entry).await),
                    None => FoundSignatures::default(),
                }
            }
        };
        let count = candidates.len().min(MAX_SIGNATURES);
        let mut read = std::pin::pin!(stream::iter(0..count).map(read).buffered(MAX_CONCURRENT));
        let mut found = FoundSignatures::default();
        while let Some(signatures) = read.next().await {
            found.extend(signatures);
        }
        if candidates.len() > MAX_SIGNATURES {
            found.unread.push(too_many(at, subject));
        }
        found.limit(at, subject)
    }

    /// Reads the content of a signature: at most 64 KiB, or 4 MiB for a bundle.
    ///
    /// # Errors
    /// The content is missing, too large or does not match its descriptor, or it has none.
    pub(crate) async fn fetch_signature(&self, at: &Location, signature: &StoredSignature) -> Result<Bytes, Error> {
        let is_bundle = signature.kind == SignatureKind::Bundle;
        let limit = if is_bundle { bundle::MAX_BUNDLE } else { simple_signing::MAX_PAYLOAD } as u64;
        match (&signature.content, &signature.holder, at.layout()) {
            (SignatureContent::Blob(blob), ..) if blob.size > limit => {
                let reason = format!("it has {} bytes, more than the limit of {limit}", blob.size);
                Err(Error::unsuitable(format!("blob {}", blob.digest), reason))
            }
            (SignatureContent::Blob(blob), ..) => self.fetch_blob(at, blob, limit).await,
            (SignatureContent::File, SignatureHolder::File(name), Some(layout)) => {
                self.fetch_signature_file(layout, name).await
            }
            _ => Err(Error::unsuitable(at, "the signature has no content")),
        }
    }

    /// Reads the manifest in the tag that cosign names after a digest.
    async fn cosign_tag(&self, at: &Location, subject: &Digest) -> Result<Vec<StoredSignature>, Error> {
        if at.layout().is_some_and(|layout| !layout.transport.is_oci()) {
            return Ok(Vec::new());
        }
        match self.fetch_manifest(&at.with_tag(&signature_tag(subject))).await {
            Ok(fetched) => Ok(match &fetched.manifest {
                Manifest::Image(image) => signatures_of(SignatureKind::Cosign, &fetched.descriptor.digest, image),
                Manifest::Index(_) => Vec::new(),
            }),
            Err(error) if error.is_missing() || error.is_of_other_type() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    async fn signing_referrer(&self, at: &Location, entry: &Descriptor) -> Result<Vec<StoredSignature>, Error> {
        let listed = entry.artifact_type.as_deref().and_then(SignatureKind::from_artifact_type);
        if let (Some(kind), Some(predicate)) = (listed, other_predicate(&entry.annotations)) {
            return Ok(vec![stored(kind, &entry.digest, SignatureContent::Statement(predicate))]);
        }
        if entry.media_type == ARTIFACT_MANIFEST {
            let content =
                SignatureContent::Defective("it is in an artifact manifest, a format that is not read".into());
            return Ok(listed.map(|kind| stored(kind, &entry.digest, content)).into_iter().collect());
        }
        match self.fetch_child(at, entry).await.map(|fetched| fetched.manifest) {
            Ok(Manifest::Image(image)) => {
                let declared = image.artifact_type.as_ref().filter(|kind| !kind.is_empty());
                let kind = SignatureKind::from_artifact_type(declared.unwrap_or(&image.config.media_type));
                Ok(kind.or(listed).map(|kind| signatures_of(kind, &entry.digest, &image)).unwrap_or_default())
            }
            Ok(Manifest::Index(_)) => Ok(Vec::new()),
            Err(error) => match listed.filter(|_| error.is_defect()) {
                Some(kind) => Ok(vec![stored(kind, &entry.digest, defective(&error))]),
                // Content of an unknown type that cannot be read need not be a signature.
                None if error.is_defect() => Ok(Vec::new()),
                None => Err(error),
            },
        }
    }

    /// Lists the files with signatures that `dir:` holds beside a manifest, at most 101.
    ///
    /// # Errors
    /// The folder cannot be read, or has too many.
    pub(crate) async fn signature_files(&self, at: &Location, subject: &Digest) -> Result<Vec<StoredSignature>, Error> {
        let Some(layout) = at.layout().filter(|layout| layout.transport == Transport::Dir) else {
            return Ok(Vec::new());
        };
        let names = self.list_signature_files(layout, subject, MAX_SIGNATURES + 1).await?;
        let signature = |(name, is_sigstore): (String, Result<bool, String>)| StoredSignature {
            kind: if is_sigstore == Ok(true) { SignatureKind::Cosign } else { SignatureKind::OpenPgp },
            holder: SignatureHolder::File(name),
            content: is_sigstore.map_or_else(SignatureContent::Defective, |_| SignatureContent::File),
        };
        Ok(names.into_iter().map(signature).collect())
    }
}

/// Returns the tag in which cosign 1 and 2 store the signatures of a manifest.
pub(crate) fn signature_tag(subject: &Digest) -> String {
    format!("{}.sig", subject.referrers_tag())
}

fn stored(kind: SignatureKind, manifest: &Digest, content: SignatureContent) -> StoredSignature {
    StoredSignature { kind, holder: SignatureHolder::Manifest(manifest.clone()), content }
}

fn defective(error: &Error) -> SignatureContent {
    let reason = if error.is_missing_content() { "it is missing".to_owned() } else { error.reason() };
    SignatureContent::Defective(reason)
}

/// Returns the predicate type that annotations declare, or `None` if they declare a signature or nothing.
fn other_predicate(annotations: &Annotations) -> Option<UntrustedText> {
    annotations.get(BUNDLE_PREDICATE).filter(|kind| !kind.is_empty() && *kind != bundle::SIGN_PREDICATE).cloned()
}

/// Returns the signatures in a manifest: one for each payload of cosign, and else one.
fn signatures_of(kind: SignatureKind, digest: &Digest, manifest: &ImageManifest) -> Vec<StoredSignature> {
    let signature = |content| stored(kind, digest, content);
    let blob = |layer: &Descriptor| signature(SignatureContent::Blob(Box::new(layer.clone())));
    match kind {
        SignatureKind::Cosign => {
            let payloads = manifest.layers.iter().filter(|layer| layer.media_type == simple_signing::MEDIA_TYPE);
            payloads.take(MAX_SIGNATURES + 1).map(blob).collect()
        }
        SignatureKind::Bundle => {
            if let Some(predicate) = other_predicate(&manifest.annotations) {
                return vec![signature(SignatureContent::Statement(predicate))];
            }
            match manifest.layers.iter().find(|layer| bundle::is_bundle(&layer.media_type)) {
                Some(layer) => vec![blob(layer)],
                None => vec![signature(SignatureContent::Defective("its manifest has no bundle".into()))],
            }
        }
        SignatureKind::Notation | SignatureKind::OpenPgp => match manifest.layers.first() {
            Some(layer) => vec![blob(layer)],
            None => vec![signature(SignatureContent::Defective("its manifest has no signature".into()))],
        },
    }
}
