use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::{FuturesUnordered, StreamExt as _};

use super::{Error, Store};
use crate::event::Step;
use crate::image::{Descriptor, Digest, Location};
use crate::registry::RetryGroup;
use crate::single_flight::SingleFlight;

/// A manifest that is to be in another repository or layout, with what it refers to.
#[derive(Debug, Clone)]
pub struct Child {
    /// Where it is, by digest.
    pub from: Location,
    /// Its type, digest and size.
    pub descriptor: Descriptor,
    /// Its exact bytes.
    pub bytes: Bytes,
    /// Config and layers, except those that are not to be moved; each digest once.
    pub blobs: Arc<[Descriptor]>,
}

/// What is known to be in target repositories, for all of a run.
#[derive(Default)]
pub struct Placed {
    /// Whether a child manifest was there before.
    children: SingleFlight<Place, bool, Error>,
    blobs: SingleFlight<Place, (), Error>,
    pushed: SingleFlight<Place, (), Error>,
    /// Nothing is written.
    is_dry: bool,
}

/// Failed blobs after which no other is begun: a registry that takes none would be asked a hundred thousand times.
const MAX_ERRORS: usize = 100;

/// A repository, shared by the keys of all its content, and a digest.
type Place = (Arc<Location>, Digest);

/// What a job does with each step.
pub(crate) type Steps<'a> = &'a (dyn Fn(Step) + Sync);

impl Placed {
    /// For a run that writes nothing: steps are those that would be taken, as far as that can be known. A registry may
    /// not mount what it is asked to mount.
    #[must_use]
    pub(crate) fn foreseen() -> Self {
        Self { is_dry: true, ..Self::default() }
    }

    /// Whether a child's manifest is there. Where that cannot be found out it is written.
    async fn is_there(&self, store: &Store, target: &Location, child: &Child) -> Result<bool, Error> {
        if self.is_dry {
            return store.has_manifest(target, &child.descriptor).await;
        }
        let there = store.current_digest(&target.with_digest(child.descriptor.digest.clone())).await;
        Ok(matches!(there, Ok(Some(digest)) if digest == child.descriptor.digest))
    }

    /// Puts the blobs of children into the target's repository. A child whose manifest is there already is left out, and
    /// its blobs are not looked for: `verify` does that. No manifest is written, so that nothing becomes visible: this may
    /// run while configs are still checked.
    ///
    /// At most `concurrency` children and blobs are begun at once, however many there are.
    pub(crate) async fn place_blobs(
        &self,
        store: &Store,
        target: &Location,
        children: &[Child],
        steps: Steps<'_>,
    ) -> Vec<Error> {
        let repository = Arc::new(target.without_name());
        let (mut unseen, mut missing) = (children.iter(), VecDeque::new());
        let (mut seen, mut errors) = (HashSet::new(), Vec::new());
        let mut running: FuturesUnordered<BoxFuture<'_, Result<Option<&Child>, Error>>> = FuturesUnordered::new();
        loop {
            while running.len() < store.client().concurrency() && errors.len() < MAX_ERRORS {
                // All children first: each may turn out to have many blobs.
                if let Some(child) = unseen.next() {
                    let place = (Arc::clone(&repository), child.descriptor.digest.clone());
                    running.push(self.look_for(store, target, child, place).boxed());
                } else if let Some((child, blob)) = next_blob(&mut missing, &mut seen) {
                    let place = (Arc::clone(&repository), blob.digest.clone());
                    running.push(self.place_blob(store, target, child, blob, place, steps).boxed());
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
        store: &Store,
        target: &Location,
        child: &'c Child,
        place: Place,
    ) -> Result<Option<&'c Child>, Error> {
        let is_there = self.children.get_or_share(&place, self.is_there(store, target, child), Error::counts).await?;
        Ok((!is_there).then_some(child))
    }

    async fn place_blob<'c>(
        &self,
        store: &Store,
        target: &Location,
        child: &'c Child,
        blob: &Descriptor,
        place: Place,
        steps: Steps<'_>,
    ) -> Result<Option<&'c Child>, Error> {
        let placing = async {
            let _piece = store.piece_of_work().await;
            let placing = match self.is_dry {
                true => store.foresee_blob(&child.from, target, blob).boxed().await?,
                false => store.place_blob(&child.from, target, blob).boxed().await?,
            };
            steps(Step::Blob(blob.digest.clone(), blob.size, placing));
            Ok(())
        };
        self.blobs.get_or_share(&place, placing, Error::counts).await.map(|()| None)
    }

    /// Writes the manifests of children that were not there, at most `concurrency` at once.
    pub(crate) async fn push_children(
        &self,
        store: &Store,
        target: &Location,
        children: &[Child],
        steps: Steps<'_>,
    ) -> Vec<Error> {
        let repository = Arc::new(target.without_name());
        let (mut left, mut errors) = (children.iter(), Vec::new());
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < store.client().concurrency()
                && let Some(child) = left.next()
            {
                let place = (Arc::clone(&repository), child.descriptor.digest.clone());
                running.push(self.push_child(store, target, child, place, steps).boxed());
            }
            match running.next().await {
                Some(outcome) => errors.extend(outcome.err().inspect(|_| RetryGroup::fail_current())),
                None => return errors,
            }
        }
    }

    async fn push_child(
        &self,
        store: &Store,
        target: &Location,
        child: &Child,
        place: Place,
        steps: Steps<'_>,
    ) -> Result<(), Error> {
        if self.children.get(&place, async { Ok::<_, Error>(false) }).await? {
            return Ok(());
        }
        let push = async {
            let at = target.with_digest(child.descriptor.digest.clone());
            if !self.is_dry {
                let _piece = store.piece_of_work().await;
                store.push_manifest(&at, &child.descriptor, &child.bytes, None).boxed().await?;
            }
            steps(Step::Manifest(child.descriptor.digest.clone()));
            Ok(())
        };
        self.pushed.get_or_share(&place, push, Error::counts).await
    }
}

/// The next blob of the children that are missing; each digest once.
fn next_blob<'c>(
    missing: &mut VecDeque<(&'c Child, std::slice::Iter<'c, Descriptor>)>,
    seen: &mut HashSet<&'c Digest>,
) -> Option<(&'c Child, &'c Descriptor)> {
    loop {
        let (child, blobs) = missing.front_mut()?;
        match blobs.find(|blob| seen.insert(&blob.digest)) {
            Some(blob) => return Some((child, blob)),
            None => missing.pop_front(),
        };
    }
}
