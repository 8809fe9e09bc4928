use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use super::context::{CheckContext, DECODERS, SIGNATURES};
use super::finding::{Finding, Problem};
use super::known_content::KnownContent;
use super::options::VerifyOptions;
use super::reference::check_reference;
use super::verification::Verification;
use crate::image::{Fetched, Location};
use crate::store::{Error, Store};

/// Verifies several references, and checks content that they share once: the tags of a repository share most of their
/// manifests and layers. References may be verified concurrently.
///
/// A defect of shared content is a finding of each reference that has it. References to the same manifest are verified
/// once. Content that could not be checked is requested again for the next reference. The memory for what was checked is
/// limited; beyond about 50,000 blobs, shared content may be checked again.
///
/// ```
/// use manifest_tool::registry::{Client, ClientConfig};
/// use manifest_tool::store::Store;
/// use manifest_tool::verify::{Verifier, VerifyOptions};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Store::new(Client::new(ClientConfig::default()));
/// let verifier = Verifier::new(&store, &VerifyOptions { layers: true, ..VerifyOptions::default() });
/// let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// for name in ["oci:examples/layouts/amd64", "oci:examples/layouts/arm64"] {
///     let verification = runtime.block_on(verifier.verify(&name.parse()?))?;
///     assert!(verification.is_sound());
/// }
/// # Ok(())
/// # }
/// ```
pub struct Verifier {
    store: Store,
    options: VerifyOptions,
    /// What was checked in each repository or layout.
    known: Mutex<HashMap<Location, Arc<KnownContent>>>,
    /// Memory for decoders, one permit per MiB.
    decoders: Semaphore,
    /// Memory for the content of signatures, one permit per KiB.
    signatures: Semaphore,
}

impl Verifier {
    /// Creates a verifier that has checked nothing yet.
    #[must_use]
    pub fn new(store: &Store, options: &VerifyOptions) -> Self {
        Self {
            store: store.clone(),
            options: options.clone(),
            known: Mutex::default(),
            decoders: Semaphore::new(DECODERS as usize),
            signatures: Semaphore::new(SIGNATURES as usize),
        }
    }

    /// Verifies a reference as [`verify`](super::verify()) does.
    ///
    /// # Errors
    /// The reference does not exist, cannot be read or is neither an image nor an index, or the run was stopped.
    pub async fn verify(&self, reference: &Location) -> Result<Verification, Error> {
        let root = match self.store.fetch_root(reference).await {
            Ok(root) => root,
            Err(error) => {
                let is_absent = error.is_missing() && !error.is_lost();
                let is_unread = is_absent || error.is_of_other_type();
                let Some(problem) = Problem::from_error(&error).filter(|_| !is_unread) else { return Err(error) };
                return Ok(Verification { findings: vec![Finding::for_reference(problem)], ..Verification::default() });
            }
        };
        let known = self.known(reference);
        let verification = self.verify_root(reference, &known, root).await;
        known.limit(self.store.client());
        verification
    }

    async fn verify_root(
        &self,
        reference: &Location,
        known: &KnownContent,
        root: Fetched,
    ) -> Result<Verification, Error> {
        let Self { store, options, decoders, signatures, .. } = self;
        let digest = root.descriptor.digest.clone();
        let root = Arc::new(root);
        // The manifest of a tag may also be in an index.
        let root = known.manifests.get(&digest, async { Ok(Arc::clone(&root)) }).await.unwrap_or(root);
        let context = CheckContext { store, at: reference, known, decoders, signatures };
        let verification = known.verification(&digest, check_reference(&context, root, options)).await?;
        Ok(Arc::unwrap_or_clone(verification))
    }

    fn known(&self, reference: &Location) -> Arc<KnownContent> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(reference.without_name()).or_default())
    }
}

/// Verifies a reference. Reads all manifests and configs, and checks that every blob exists.
///
/// ```
/// use manifest_tool::registry::{Client, ClientConfig};
/// use manifest_tool::store::Store;
/// use manifest_tool::verify::{VerifyOptions, verify};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Store::new(Client::new(ClientConfig::default()));
/// let reference = "oci:examples/layouts/amd64".parse()?;
/// let options = VerifyOptions { layers: true, ..VerifyOptions::default() };
/// let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// let verification = runtime.block_on(verify(&store, &reference, &options))?;
/// assert!(verification.is_sound() && verification.images == 1);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The reference does not exist, cannot be read or is neither an image nor an index, or the run was stopped. Defects of
/// the image or index are findings, not errors.
pub async fn verify(store: &Store, reference: &Location, options: &VerifyOptions) -> Result<Verification, Error> {
    Verifier::new(store, options).verify(reference).await
}
