//! Writes the children of a target: blobs, then manifests.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::{FuturesUnordered, StreamExt as _};

use super::run::{ContentKey, OnStep};
use super::{Error, Run, SourceManifest};
use crate::event::Step;
use crate::image::{Descriptor, Digest, Location};
use crate::registry::RetryGroup;

/// Number of failed blobs after which no more are started. Without a limit, a registry that refuses every blob could
/// receive a hundred thousand requests.
const MAX_ERRORS: usize = 100;

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
        let (mut unchecked, mut missing) = (children.iter(), VecDeque::new());
        let (mut seen, mut errors) = (HashSet::new(), Vec::new());
        let mut running: FuturesUnordered<BoxFuture<'_, Result<Option<&SourceManifest>, Error>>> =
            FuturesUnordered::new();
        loop {
            while running.len() < self.store.client().concurrency() && errors.len() < MAX_ERRORS {
                // Check all children first, because each missing child may add many blobs.
                if let Some(child) = unchecked.next() {
                    let key = (Arc::clone(&repository), child.descriptor.digest.clone());
                    running.push(self.missing_child(target, child, key).boxed());
                } else if let Some((child, blob)) = next_blob(&mut missing, &mut seen) {
                    let key = (Arc::clone(&repository), blob.digest.clone());
                    running.push(self.place_blob(target, child, blob, key, on_step).boxed());
                } else {
                    break;
                }
            }
            match running.next().await {
                Some(Ok(Some(child))) => missing.push_back((child, child.blobs.iter())),
                Some(Ok(None)) => {}
                Some(Err(error)) => {
                    RetryGroup::fail_current();
                    errors.push(error);
                }
                None => return errors,
            }
        }
    }

    /// Returns the child if the target does not have its manifest.
    async fn missing_child<'c>(
        &self,
        target: &Location,
        child: &'c SourceManifest,
        key: ContentKey,
    ) -> Result<Option<&'c SourceManifest>, Error> {
        let has_child =
            self.children.get_with(&key, |_| true, Error::is_shareable, self.has_child(target, child)).await?;
        Ok((!has_child).then_some(child))
    }

    async fn place_blob<'c>(
        &self,
        target: &Location,
        child: &'c SourceManifest,
        blob: &Descriptor,
        key: ContentKey,
        on_step: OnStep<'_>,
    ) -> Result<Option<&'c SourceManifest>, Error> {
        let placing = async {
            let _permit = self.store.write_permit().await;
            let outcome = match self.is_dry {
                true => self.store.predict_blob(&child.location, target, blob).boxed().await?,
                false => self.store.place_blob(&child.location, target, blob).boxed().await?,
            };
            on_step(Step::Blob(blob.digest.clone(), blob.size, outcome));
            Ok(())
        };
        self.blobs.get_with(&key, |_| true, Error::is_shareable, placing).await.map(|()| None)
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
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < self.store.client().concurrency()
                && let Some(child) = remaining.next()
            {
                let key = (Arc::clone(&repository), child.descriptor.digest.clone());
                running.push(self.push_child(target, child, key, on_step).boxed());
            }
            match running.next().await {
                Some(outcome) => errors.extend(outcome.err().inspect(|_| RetryGroup::fail_current())),
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

/// Returns the next blob of the missing children, each digest only once.
fn next_blob<'c>(
    missing: &mut VecDeque<(&'c SourceManifest, std::slice::Iter<'c, Descriptor>)>,
    seen: &mut HashSet<&'c Digest>,
) -> Option<(&'c SourceManifest, &'c Descriptor)> {
    loop {
        let (child, blobs) = missing.front_mut()?;
        match blobs.find(|blob| seen.insert(&blob.digest)) {
            Some(blob) => return Some((child, blob)),
            None => missing.pop_front(),
        };
    }
}
