use futures_util::future::join_all;

use super::event::{Event, Reporter};
use super::once::Once;
use super::plan::Child;
use crate::image::{Digest, Reference};
use crate::registry::{Client, Error};

/// What is known to be in target repositories, for all indexes of a run.
#[derive(Default)]
pub(super) struct Placed {
    /// By repository and digest: whether a child manifest was there, or only its blobs are there now.
    children: Once<(Reference, Digest), bool>,
    blobs: Once<(Reference, Digest), ()>,
    pushed: Once<(Reference, Digest), ()>,
}

impl Placed {
    /// Puts the blobs of children into the target's repository, but of those that are there already. No manifest is
    /// written, so that nothing becomes visible: this may run while configs are still checked.
    pub(super) async fn place_blobs(
        &self,
        client: &Client,
        target: &Reference,
        children: &[Child],
        reporter: Reporter<'_>,
    ) -> Vec<Error> {
        let repository = target.without_name();
        failures(children.iter().map(async |child| {
            let key = (repository.clone(), child.descriptor.digest.clone());
            let place = async {
                let there = client.current_digest(&target.with_digest(child.descriptor.digest.clone())).await;
                if matches!(there, Ok(Some(digest)) if digest == child.descriptor.digest) {
                    return Ok(true);
                }
                let blobs = child.blobs.iter().map(async |blob| {
                    let place = async {
                        let mounted = client.place_blob(&child.from, target, blob).await?;
                        reporter(Event::BlobPlaced { digest: blob.digest.clone(), mounted });
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
    pub(super) async fn push_children(
        &self,
        client: &Client,
        target: &Reference,
        children: &[Child],
        reporter: Reporter<'_>,
    ) -> Vec<Error> {
        let repository = target.without_name();
        failures(children.iter().map(async |child| {
            let key = (repository.clone(), child.descriptor.digest.clone());
            if self.children.get(&key, async { Ok::<_, Error>(false) }).await? {
                return Ok(());
            }
            let push = async {
                let reference = target.with_digest(child.descriptor.digest.clone());
                client.push_manifest(&reference, &child.descriptor, &child.bytes, None).await?;
                reporter(Event::ChildPushed { digest: child.descriptor.digest.clone() });
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
