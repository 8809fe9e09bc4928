use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};

use super::error::{Error, Incomplete};
use super::report::{SignOutcome, SignReport, SignedManifest};
use super::subjects::{self, Subject};
use crate::event::Event;
use crate::image::{Location, Reference};
use crate::registry::RetryGroup;
use crate::signature::{KeyError, SigningKey, bundle, simple_signing};
use crate::store::{Error as StoreError, Run, SignatureKind, SignedImage, Store, StoredSignature};

/// The maximum number of manifests that are signed concurrently.
const MAX_CONCURRENT: usize = 8;

/// What to sign, and the key.
#[derive(Debug, Clone)]
pub struct SignRequest {
    /// The image or index. It is resolved to a digest once, and that digest is signed.
    pub reference: Location,
    /// The private key.
    pub key: Arc<SigningKey>,
}

/// The form of a signature.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignatureForm {
    /// A Sigstore bundle that refers to the image, as cosign 3 writes it.
    #[default]
    Bundle,
    /// A payload in the tag `sha256-HEX.sig`, as cosign 1 and 2 write it. Podman, CRI-O and skopeo read only this form.
    Tag,
}

/// Options for [`sign`].
#[derive(Debug, Clone, Default)]
pub struct SignOptions {
    /// Also sign each image of an index, except attestations, before the index. Defaults to false.
    pub recursive: bool,
    /// The form of the signatures. Defaults to [`SignatureForm::Bundle`].
    pub form: SignatureForm,
    /// The repository that signatures in a tag name; its tag and digest are ignored. Defaults to `None`: the repository
    /// of the reference. Signatures in a layout then name none.
    pub signed_as: Option<Reference>,
    /// Return what would be signed, without writing. Refuses a tag that cannot be extended. Defaults to false.
    pub dry_run: bool,
}

/// Signs an image or index. A manifest that has a valid signature by the key in the same form is left unchanged. Images
/// are signed before their index, which is signed only if all of them are.
///
/// ```
/// use std::sync::Arc;
///
/// use manifest_tool::registry::{Client, ClientConfig};
/// use manifest_tool::sign::{SignOptions, SignRequest, sign};
/// use manifest_tool::signature::SigningKey;
/// use manifest_tool::store::Store;
/// # use manifest_tool::copy::{CopyOptions, CopyRequest, copy};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let layout = format!("oci:{}:v1", folder.path().display());
/// let store = Store::new(Client::new(ClientConfig::default()));
/// let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # let (from, to) = ("oci:examples/layouts/amd64".parse()?, layout.parse()?);
/// # runtime.block_on(copy(&store, &CopyRequest { from, to, tags: Vec::new() }, &CopyOptions::default()))?;
/// let key = SigningKey::parse(&std::fs::read("integration/data/signatures/p256.key")?, None)?;
/// let request = SignRequest { reference: layout.parse()?, key: Arc::new(key) };
/// let report = runtime.block_on(sign(&store, &request, &SignOptions::default()))?;
/// assert!(report.has_written());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The reference cannot be read, or not all manifests could be signed ([`Error::Incomplete`]).
pub async fn sign(store: &Store, request: &SignRequest, options: &SignOptions) -> Result<SignReport, Error> {
    let at = &request.reference;
    let run = Run::new(store, options.dry_run);
    let _intent = if options.dry_run { None } else { store.will_push(at) };
    run.check_target(at)?;
    let root = store.fetch_root(at).await?;
    let levels = subjects::read(store, at, root, options.recursive).await?;
    let job = SignJob { run: &run, request, options };
    let report = RetryGroup::run(job.sign_levels(levels)).await?;
    run.commit().await?;
    Ok(report)
}

/// Signs the manifests of a reference.
struct SignJob<'a> {
    run: &'a Run,
    request: &'a SignRequest,
    options: &'a SignOptions,
}

impl SignJob<'_> {
    /// Signs the manifests of each level, the last level first.
    async fn sign_levels(&self, mut levels: Vec<Vec<Subject>>) -> Result<SignReport, Error> {
        let (mut signed, mut unconfirmed, mut failed) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(level) = levels.pop() {
            let level = level.as_slice();
            // Iterate over positions: futures that borrow subjects would not be `Send`.
            let sign = |position: usize| {
                let subject = level.get(position);
                async move {
                    let subject = subject?;
                    Some((subject.descriptor.clone(), self.sign(subject).await))
                }
            };
            let mut outcomes = std::pin::pin!(stream::iter(0..level.len()).map(sign).buffered(MAX_CONCURRENT));
            while let Some(outcome) = outcomes.next().await {
                match outcome {
                    Some((descriptor, Ok((outcome, None)))) => signed.push(SignedManifest { descriptor, outcome }),
                    Some((descriptor, Ok((outcome, Some(error))))) => {
                        unconfirmed.push((SignedManifest { descriptor, outcome }, error));
                    }
                    Some((descriptor, Err(error))) => failed.push((descriptor, error)),
                    None => {}
                }
            }
            if !failed.is_empty() || !unconfirmed.is_empty() {
                let skipped = levels.into_iter().rev().flatten().map(|subject| subject.descriptor).collect();
                let reference = self.request.reference.clone();
                return Err(Error::Incomplete(Box::new(Incomplete {
                    reference,
                    signed,
                    unconfirmed,
                    failed,
                    skipped,
                })));
            }
        }
        Ok(SignReport { manifests: signed })
    }

    /// Signs a manifest. Also returns why the signature was not read back, if it was written but not read back.
    async fn sign(&self, subject: &Subject) -> Result<(SignOutcome, Option<StoreError>), StoreError> {
        let (run, at, digest) = (self.run, &self.request.reference, &subject.descriptor.digest);
        if self.is_signed(subject).await? {
            return Ok((SignOutcome::Existing, None));
        }
        let events = run.store().client().events();
        let report = |step| events.emit(&Event::Step { target: at.clone(), step });
        let failed = |error: KeyError| StoreError::unsuitable(at.with_digest(digest.clone()), error.to_string());
        let key = &self.request.key;
        let written = match self.options.form {
            SignatureForm::Bundle if run.is_dry() => return Ok((SignOutcome::Planned, None)),
            SignatureForm::Bundle => {
                let content = Bytes::from(bundle::sign(key, digest).map_err(failed)?);
                run.attach_bundle(at, &subject.descriptor, content, &report).await?
            }
            SignatureForm::Tag => {
                let repository = self.repository().map(simple_signing::docker_reference);
                let payload = simple_signing::payload(&repository.unwrap_or_default(), digest);
                let signature = simple_signing::sign(key, &payload).map_err(failed)?;
                run.append_signature(at, digest, payload.into(), &signature, &report).await?
            }
        };
        let outcome = if run.is_dry() { SignOutcome::Planned } else { SignOutcome::Written(written.manifest) };
        Ok((outcome, written.unconfirmed))
    }

    /// Returns the repository that signatures name.
    fn repository(&self) -> Option<&Reference> {
        self.options.signed_as.as_ref().or(self.request.reference.reference())
    }

    /// Whether a valid signature is like the one that would be written: a payload names exactly the same repository.
    async fn is_equivalent(&self, signature: &StoredSignature) -> Result<bool, StoreError> {
        if self.options.form == SignatureForm::Bundle {
            return Ok(true);
        }
        let payload = self.run.store().fetch_signature(&self.request.reference, signature).await?;
        Ok(simple_signing::names_repository(&payload, self.repository()))
    }

    /// Whether a manifest has a valid signature by the key in the chosen form.
    async fn is_signed(&self, subject: &Subject) -> Result<bool, StoreError> {
        let (store, at) = (self.run.store(), &self.request.reference);
        let digest = &subject.descriptor.digest;
        let keys = [self.request.key.public_key().clone()];
        let image = SignedImage {
            keys: &keys,
            digest,
            #[cfg(feature = "openpgp")]
            keyrings: &[],
            manifest: &subject.bytes,
            repository: self.repository(),
        };
        let found = match self.options.form {
            SignatureForm::Bundle => {
                let referrers = store.referrers(at, digest).await?;
                let mut found = store.referrer_signatures(at, digest, &referrers).await;
                found.signatures.retain(|signature| signature.kind == SignatureKind::Bundle);
                found
            }
            SignatureForm::Tag => store.tag_signatures(at, digest).await,
        };
        for signature in &found.signatures {
            if store.check_signature(at, signature, image).await?.is_ok() && self.is_equivalent(signature).await? {
                return Ok(true);
            }
        }
        // A signature that was not read may be by the key.
        found.unread.into_iter().next().map_or(Ok(false), Err)
    }
}
