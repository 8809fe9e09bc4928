use std::collections::HashSet;
use std::fmt;

use bytes::Bytes;
use futures_util::future::join_all;

use super::{Error, Placing, Store};
use crate::image::{Descriptor, Digest, Location};
use crate::once::Once;

/// A manifest that is to be in another repository or layout, with what it refers to.
#[derive(Debug, Clone)]
pub struct Child {
    /// Where it is, by digest.
    pub from: Location,
    /// Its type, digest and size.
    pub descriptor: Descriptor,
    /// Its exact bytes.
    pub bytes: Bytes,
    /// Config and layers, but for those that are not to be moved; each digest once.
    pub blobs: Vec<Descriptor>,
}

/// What is known to be in target repositories, for all of a run.
#[derive(Default)]
pub struct Placed {
    /// By repository and digest: whether a child manifest was there, or only its blobs are there now.
    children: Once<(Location, Digest), bool, Error>,
    blobs: Once<(Location, Digest), (), Error>,
    pushed: Once<(Location, Digest), (), Error>,
}

/// Something that came to be in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A blob of so many bytes.
    Blob(Digest, u64, Placing),
    /// A manifest, by digest.
    Manifest(Digest),
    /// A tag, which points at what is published now.
    Tag(Location),
    /// A tag that pointed at it before; it is not written.
    TagUnchanged(Location),
    /// A tag of signatures that holds others at the target; it is left as it is.
    Left(Location),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blob(digest, _, Placing::There) => write!(f, "blob {digest} is there"),
            Self::Blob(digest, _, Placing::Mounted) => write!(f, "mounted blob {digest}"),
            Self::Blob(digest, _, Placing::Sent) => write!(f, "sent blob {digest}"),
            Self::Manifest(digest) => write!(f, "pushed manifest {digest}"),
            Self::Tag(tag) => write!(f, "pushed {tag}"),
            Self::TagUnchanged(tag) => write!(f, "{tag} is up to date"),
            Self::Left(tag) => write!(f, "{tag} holds other signatures than the source's, and is left as it is"),
        }
    }
}

/// Where steps go.
pub type Steps<'a> = &'a (dyn Fn(Step) + Sync);

impl Placed {
    /// Puts the blobs of children into the target's repository, but of those that are there already. No manifest is
    /// written, so that nothing becomes visible: this may run while configs are still checked.
    pub async fn place_blobs(
        &self,
        store: &Store<'_>,
        target: &Location,
        children: &[Child],
        steps: Steps<'_>,
    ) -> Vec<Error> {
        let repository = target.without_name();
        failures(children.iter().map(async |child| {
            let key = (repository.clone(), child.descriptor.digest.clone());
            let place = async {
                let there = store.current_digest(&target.with_digest(child.descriptor.digest.clone())).await;
                if matches!(there, Ok(Some(digest)) if digest == child.descriptor.digest) {
                    return Ok(true);
                }
                let blobs = child.blobs.iter().map(async |blob| {
                    let place = async {
                        let placing = store.place_blob(&child.from, target, blob).await?;
                        steps(Step::Blob(blob.digest.clone(), blob.size, placing));
                        Ok(())
                    };
                    self.blobs.get(&(repository.clone(), blob.digest.clone()), place).await
                });
                match failures(blobs).await.into_iter().next() {
                    Some(error) => Err(error),
                    None => Ok(false),
                }
            };
            self.children.get(&key, place).await.map(|_| ())
        }))
        .await
    }

    /// Writes the manifests of children that were not there.
    pub async fn push_children(
        &self,
        store: &Store<'_>,
        target: &Location,
        children: &[Child],
        steps: Steps<'_>,
    ) -> Vec<Error> {
        let repository = target.without_name();
        failures(children.iter().map(async |child| {
            let key = (repository.clone(), child.descriptor.digest.clone());
            if self.children.get(&key, async { Ok::<_, Error>(false) }).await? {
                return Ok(());
            }
            let push = async {
                let at = target.with_digest(child.descriptor.digest.clone());
                store.push_manifest(&at, &child.descriptor, &child.bytes, None).await?;
                steps(Step::Manifest(child.descriptor.digest.clone()));
                Ok(())
            };
            self.pushed.get(&key, push).await
        }))
        .await
    }
}

impl Store<'_> {
    /// What [`Placed::place_blobs`] and [`Placed::push_children`] would do, as far as it can be known: a registry may
    /// not mount what it is asked to mount. Nothing is written.
    pub async fn survey(&self, target: &Location, children: &[Child]) -> Result<Vec<Step>, Vec<Error>> {
        let surveys = join_all(children.iter().map(async |child| {
            if self.has_manifest(target, &child.descriptor).await? {
                return Ok(Vec::new());
            }
            let blobs = join_all(child.blobs.iter().map(async |blob| {
                let placing = self.foresee_blob(&child.from, target, blob).await?;
                Ok(Step::Blob(blob.digest.clone(), blob.size, placing))
            }));
            let mut steps = blobs.await.into_iter().collect::<Result<Vec<_>, Error>>()?;
            steps.push(Step::Manifest(child.descriptor.digest.clone()));
            Ok(steps)
        }));
        let (mut steps, mut errors, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
        for survey in surveys.await {
            match survey {
                Ok(found) => steps.extend(found),
                Err(error) => errors.push(error),
            }
        }
        steps.retain(|step| !matches!(step, Step::Blob(digest, ..) if !seen.insert(digest.clone())));
        if errors.is_empty() { Ok(steps) } else { Err(errors) }
    }
}

/// Runs all to their end and gives the errors. How many requests are under way at once is the client's business.
async fn failures(work: impl Iterator<Item = impl Future<Output = Result<(), Error>>>) -> Vec<Error> {
    join_all(work).await.into_iter().filter_map(Result::err).collect()
}
