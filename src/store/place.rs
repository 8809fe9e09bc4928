//! Writes the children of a target: blobs, then manifests.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::{FuturesUnordered, StreamExt as _};

use super::run::{ContentKey, OnStep};
use super::{Error, Run, SourceManifest};
use crate::event::{Phase, Step};
use crate::image::{Descriptor, Location};
use crate::registry::RetryGroup;

/// Number of failed blobs after which no more are started. Without a limit, a registry that refuses every blob could
/// receive a hundred thousand requests.
const MAX_ERRORS: usize = 100;

/// A child that was checked, or a blob that was placed.
enum PlacementStep<'c> {
    /// The target has the child's manifest.
    Existing,
    /// The target does not have the child's manifest.
    Missing(&'c SourceManifest),
    /// A blob of this size is at the target.
    Blob(u64),
}

impl Run {
    /// Whether the target has a child's manifest. If that cannot be determined, the manifest is written.
    async fn has_child(&self, target: &Location, child: &SourceManifest) -> Result<bool, Error> {
        if self.is_dry {
            return self.store.backend(target).has_manifest(&child.descriptor).await;
        }
        let current = self.store.current_digest(&target.with_digest(child.descriptor.digest.clone())).await;
        Ok(matches!(current, Ok(Some(digest)) if digest == child.descriptor.digest))
    }

    /// Copies the blobs of children to the target's repository. Skips children whose manifests exist there, without
    /// checking their blobs; `verify` checks those. Writes no manifest, so the blobs stay invisible and this can run
    /// while configs are still being checked.
    ///
    /// Processes at most `concurrency` children and blobs concurrently.
    pub(crate) async fn place_blobs(
        &self,
        target: &Location,
        children: &[SourceManifest],
        on_step: OnStep<'_>,
    ) -> Vec<Error> {
        let repository = Arc::new(target.without_name());
        let (mut unchecked, mut missing) = (children.iter(), VecDeque::<(&SourceManifest, &Descriptor)>::new());
        let (mut seen, mut errors) = (HashSet::new(), Vec::new());
        let mut running: FuturesUnordered<BoxFuture<'_, Result<PlacementStep<'_>, Error>>> = FuturesUnordered::new();
        loop {
            while running.len() < self.store.client().concurrency() && errors.len() < MAX_ERRORS {
                // Check all children first, because each missing child may add many blobs.
                if let Some(child) = unchecked.next() {
                    let key = (Arc::clone(&repository), child.descriptor.digest.clone());
                    running.push(self.missing_child(target, child, key).boxed());
                } else if let Some((child, blob)) = missing.pop_front() {
                    let key = (Arc::clone(&repository), blob.digest.clone());
                    running.push(self.place_blob(target, child, blob, key, on_step).boxed());
                } else {
                    break;
                }
            }
            match running.next().await {
                Some(Ok(PlacementStep::Missing(child))) => {
                    let blobs: Vec<&Descriptor> = child.blobs.iter().filter(|blob| seen.insert(&blob.digest)).collect();
                    let bytes = blobs.iter().fold(0, |sum: u64, blob| sum.saturating_add(blob.size));
                    self.report(target, || Phase::BlobsFound { count: blobs.len(), bytes });
                    missing.extend(blobs.into_iter().map(|blob| (child, blob)));
                }
                Some(Ok(PlacementStep::Existing)) => {}
                Some(Ok(PlacementStep::Blob(bytes))) => self.report(target, || Phase::BlobDone { bytes }),
                Some(Err(error)) => {
                    RetryGroup::fail_current();
                    errors.push(error);
                }
                None => return errors,
            }
        }
    }

    /// Checks whether the target has a child's manifest.
    async fn missing_child<'c>(
        &self,
        target: &Location,
        child: &'c SourceManifest,
        key: ContentKey,
    ) -> Result<PlacementStep<'c>, Error> {
        let has_child =
            self.children.get_with(&key, |_| true, Error::is_shareable, self.has_child(target, child)).await?;
        Ok(if has_child { PlacementStep::Existing } else { PlacementStep::Missing(child) })
    }

    async fn place_blob<'c>(
        &self,
        target: &Location,
        child: &'c SourceManifest,
        blob: &Descriptor,
        key: ContentKey,
        on_step: OnStep<'_>,
    ) -> Result<PlacementStep<'c>, Error> {
        let placing = async {
            let _permit = self.store.write_permit().await;
            let outcome = match self.is_dry {
                true => self.store.predict_blob(&child.location, target, blob).boxed().await?,
                false => self.store.place_blob(&child.location, target, blob).boxed().await?,
            };
            on_step(Step::Blob(blob.digest.clone(), blob.size, outcome));
            Ok(())
        };
        self.blobs.get_with(&key, |_| true, Error::is_shareable, placing).await.map(|()| PlacementStep::Blob(blob.size))
    }

    /// Writes the manifests of children that the target does not have, at most `concurrency` concurrently.
    pub(crate) async fn push_children(
        &self,
        target: &Location,
        children: &[SourceManifest],
        on_step: OnStep<'_>,
    ) -> Vec<Error> {
        let repository = Arc::new(target.without_name());
        let (mut remaining, mut errors) = (children.iter(), Vec::new());
        let (mut done, total) = (0, children.len());
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < self.store.client().concurrency()
                && let Some(child) = remaining.next()
            {
                let key = (Arc::clone(&repository), child.descriptor.digest.clone());
                running.push(self.push_child(target, child, key, on_step).boxed());
            }
            match running.next().await {
                Some(outcome) => {
                    done += 1;
                    self.report(target, || Phase::Manifests { done, total });
                    errors.extend(outcome.err().inspect(|_| RetryGroup::fail_current()));
                }
                None => return errors,
            }
        }
    }

    async fn push_child(
        &self,
        target: &Location,
        child: &SourceManifest,
        key: ContentKey,
        on_step: OnStep<'_>,
    ) -> Result<(), Error> {
        if self.children.get(&key, async { Ok::<_, Error>(false) }).await? {
            return Ok(());
        }
        let push = async {
            let at = target.with_digest(child.descriptor.digest.clone());
            if !self.is_dry {
                let _permit = self.store.write_permit().await;
                self.store.push_manifest(&at, &child.descriptor, &child.bytes, None).boxed().await?;
            }
            on_step(Step::Manifest(child.descriptor.digest.clone()));
            Ok(())
        };
        self.pushed.get_with(&key, |_| true, Error::is_shareable, push).await
    }
}
