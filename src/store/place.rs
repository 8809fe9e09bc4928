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
    /// Nothing is written.
    is_dry: bool,
}

/// Something that came to be in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
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
    /// For a run that writes nothing: steps are those that would be taken, as far as that can be known. A registry may
    /// not mount what it is asked to mount.
    #[must_use]
    pub fn foreseen() -> Self {
        Self { is_dry: true, ..Self::default() }
    }

    /// Whether a child's manifest is there. Where that cannot be found out it is written.
    async fn is_there(&self, store: &Store<'_>, target: &Location, child: &Child) -> Result<bool, Error> {
        if self.is_dry {
            return store.has_manifest(target, &child.descriptor).await;
        }
        let there = store.current_digest(&target.with_digest(child.descriptor.digest.clone())).await;
        Ok(matches!(there, Ok(Some(digest)) if digest == child.descriptor.digest))
    }

    /// Puts the blobs of children into the target's repository. A child whose manifest is there already is left out, and
    /// its blobs are not looked for: `verify` does that. No manifest is written, so that nothing becomes visible: this may run while configs are still checked.
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
                if self.is_there(store, target, child).await? {
                    return Ok(true);
                }
                let blobs = child.blobs.iter().map(async |blob| {
                    let place = async {
                        let placing = match self.is_dry {
                            true => store.foresee_blob(&child.from, target, blob).await?,
                            false => store.place_blob(&child.from, target, blob).await?,
                        };
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
                if !self.is_dry {
                    store.push_manifest(&at, &child.descriptor, &child.bytes, None).await?;
                }
                steps(Step::Manifest(child.descriptor.digest.clone()));
                Ok(())
            };
            self.pushed.get(&key, push).await
        }))
        .await
    }
}

/// Runs all to their end and gives the errors. How many requests are under way at once is the client's business.
async fn failures(work: impl Iterator<Item = impl Future<Output = Result<(), Error>>>) -> Vec<Error> {
    join_all(work).await.into_iter().filter_map(Result::err).collect()
}
