//! The content of a repository that was read or found before, because images and tags share it.

use std::hash::Hash;
use std::sync::Arc;

use super::Problem;
use super::referrer_checks::ReferrerChecks;
use super::verification::Verification;
use crate::image::{ConfigLayers, Descriptor, Digest, Fetched};
use crate::layer::Contents;
use crate::registry::{BlobInfo, Client};
use crate::single_flight::SingleFlight;
use crate::store::Error;

/// The maximum number of results to remember. Each takes up to 1 KB; manifests are charged to the memory budget.
const MAX_RESULTS: usize = 50_000;
/// The maximum number of findings of a verification to remember.
const MAX_FINDINGS: usize = 20;
/// The maximum number of listed signatures of a verification to remember.
const MAX_SIGNATURES: usize = 100;

/// What was checked in a repository or layout. Each part is requested once, unless it could not be checked.
#[derive(Default)]
pub(super) struct KnownContent {
    pub(super) manifests: Known<Digest, Arc<Fetched>>,
    pub(super) blobs: Known<BlobKey, BlobInfo>,
    /// Manifests that are neither images nor indexes.
    pub(super) other_manifests: Known<BlobKey, BlobInfo>,
    pub(super) configs: Known<BlobKey, Result<Arc<ConfigLayers>, Problem>>,
    /// The contents of blobs, by the algorithm of the uncompressed digest.
    pub(super) contents: Known<(Digest, u64, Option<String>), Contents>,
    /// What the referrers and signatures of an image lack, by its digest, and whether each of them was looked for.
    pub(super) referrers: SingleFlight<(Digest, bool, bool), Arc<ReferrerChecks>, Error>,
    /// The results for whole references; `None` if a result is not worth remembering.
    verifications: SingleFlight<Digest, Option<Arc<Verification>>, Error>,
}

/// The digest and the size in the descriptor of a blob.
pub(super) type BlobKey = (Digest, u64);

pub(super) fn key(blob: &Descriptor) -> BlobKey {
    (blob.digest.clone(), blob.size)
}

/// Remembers values, and errors that are defects of the content.
pub(super) struct Known<K, V>(SingleFlight<K, Result<V, Error>, Error>);

impl<K, V> Default for Known<K, V> {
    fn default() -> Self {
        Self(SingleFlight::default())
    }
}

impl<K: Eq + Hash + Clone, V: Clone> Known<K, V> {
    /// Returns the known value or defect of a key, or runs `work` to find it. An error of the registry or network is
    /// returned to concurrent callers, and not remembered.
    pub(super) async fn get(&self, key: &K, work: impl Future<Output = Result<V, Error>>) -> Result<V, Error> {
        let work = async {
            match work.await {
                Err(error) if Problem::from_error(&error).is_none() => Err(error),
                outcome => Ok(outcome),
            }
        };
        self.0.get(key, work).await?
    }
}

impl KnownContent {
    /// Returns the result for a reference to the manifest `root`, or runs `work` to get it. Remembers it only if
    /// everything was checked and it has few findings.
    pub(super) async fn verification(
        &self,
        root: &Digest,
        work: impl Future<Output = Result<Verification, Error>>,
    ) -> Result<Arc<Verification>, Error> {
        let mut own = None;
        let run = async {
            let verification = Arc::new(work.await?);
            own = Some(Arc::clone(&verification));
            let is_small = verification.unchecked.is_empty()
                && verification.findings.len() <= MAX_FINDINGS
                && verification.signatures.iter().map(|image| 1 + image.signatures.len()).sum::<usize>()
                    <= MAX_SIGNATURES;
            Ok(Some(verification).filter(|_| is_small))
        };
        let known = self.verifications.get_with(root, Option::is_some, |_| true, run).await?;
        own.or(known).ok_or_else(|| Error::unsuitable(root, "it was not verified"))
    }

    /// Forgets manifests if memory is low, and results if there are many. Content that later references share is then
    /// checked again.
    pub(super) fn limit(&self, client: &Client) {
        let Self { manifests, blobs, other_manifests, configs, contents, referrers, verifications } = self;
        if client.is_low_on_memory() {
            manifests.0.clear();
            referrers.clear();
        }
        let results = [blobs.0.len(), other_manifests.0.len(), configs.0.len(), contents.0.len(), referrers.len()];
        if results.iter().sum::<usize>() + verifications.len() > MAX_RESULTS {
            blobs.0.clear();
            other_manifests.0.clear();
            configs.0.clear();
            contents.0.clear();
            referrers.clear();
            verifications.clear();
        }
    }
}
