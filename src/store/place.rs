//! Places the children of a target: blobs, then manifests.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::{FuturesUnordered, StreamExt as _};

use super::run::{ContentKey, OnStep};
use super::{Error, Run, SourceManifest};
use crate::event::Step;
use crate::image::{Descriptor, Digest, Location};
use crate::registry::RetryGroup;

/// Failed blobs after which no other is begun: a registry that refuses them all would be asked a hundred thousand times.
const MAX_ERRORS: usize = 100;

impl Run {
    /// Whether a child's manifest is there. Where that cannot be found out it is written.
    async fn has_child(&self, target: &Location, child: &SourceManifest) -> Result<bool, Error> {
        if self.is_dry {
            return self.store.backend(target).has_manifest(&child.descriptor).await;
        }
        let there = self.store.current_digest(&target.with_digest(child.descriptor.digest.clone())).await;
        Ok(matches!(there, Ok(Some(digest)) if digest == child.descriptor.digest))
    }

    /// Puts the blobs of children into the target's repository. A child whose manifest is there already is left out, and
    /// its blobs are not looked for: `verify` does that. No manifest is written, so that nothing becomes visible: this may
    /// run while configs are still checked.
    ///
    /// At most `concurrency` children and blobs are begun at once, however many there are.
    pub(crate) async fn place_blobs(
        &self,
        target: &Location,
        children: &[SourceManifest],
        on_step: OnStep<'_>,
    ) -> Vec<Error> {
        let repository = Arc::new(target.without_name());
        let (mut unseen, mut missing) = (children.iter(), VecDeque::new());
        let (mut seen, mut errors) = (HashSet::new(), Vec::new());
        let mut running: FuturesUnordered<BoxFuture<'_, Result<Option<&SourceManifest>, Error>>> =
            FuturesUnordered::new();
        loop {
            while running.len() < self.store.client().concurrency() && errors.len() < MAX_ERRORS {
                // All children first: each may turn out to have many blobs.
                if let Some(child) = unseen.next() {
                    let key = (Arc::clone(&repository), child.descriptor.digest.clone());
                    running.push(self.look_for(target, child, key).boxed());
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

    /// Gives the child back where its manifest is not there yet.
    async fn look_for<'c>(
        &self,
        target: &Location,
        child: &'c SourceManifest,
        key: ContentKey,
    ) -> Result<Option<&'c SourceManifest>, Error> {
        let has_child = self.children.get_with(&key, |_| true, Error::counts, self.has_child(target, child)).await?;
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
            let placing = match self.is_dry {
                true => self.store.predict_blob(&child.location, target, blob).boxed().await?,
                false => self.store.place_blob(&child.location, target, blob).boxed().await?,
            };
            on_step(Step::Blob(blob.digest.clone(), blob.size, placing));
            Ok(())
        };
        self.blobs.get_with(&key, |_| true, Error::counts, placing).await.map(|()| None)
    }

    /// Writes the manifests of children that were not there, at most `concurrency` at once.
    pub(crate) async fn push_children(
        &self,
        target: &Location,
        children: &[SourceManifest],
        on_step: OnStep<'_>,
    ) -> Vec<Error> {
        let repository = Arc::new(target.without_name());
        let (mut left, mut errors) = (children.iter(), Vec::new());
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < self.store.client().concurrency()
                && let Some(child) = left.next()
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
        self.pushed.get_with(&key, |_| true, Error::counts, push).await
    }
}

/// The next blob of the children that are missing; each digest once.
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
