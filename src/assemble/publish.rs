use std::fmt;

use futures_util::stream::{self, StreamExt as _};

use super::event::{Event, Reporter};
use super::plan::{Child, Plan};
use super::resolve::CONCURRENCY;
use crate::image::{Descriptor, Reference};
use crate::registry::{Client, Error};

/// What a push did.
#[derive(Debug, Clone)]
pub struct Report {
    /// The index: type, digest and size.
    pub descriptor: Descriptor,
    /// The target and the extra tags, all of which now point at it.
    pub tags: Vec<Reference>,
}

/// What was written before it failed, and why it failed.
#[derive(Debug)]
pub struct PublishError {
    /// The index's target.
    pub target: Reference,
    /// Why; never empty.
    pub errors: Vec<Error>,
    /// Tags that point at the new index.
    pub moved: Vec<Reference>,
    /// Tags that were not written.
    pub unmoved: Vec<Reference>,
}

/// Carries the plan out: blobs, child manifests, the index under the target's tag, then the extra tags one after
/// another (some registries fail when two tags of one manifest are written at once).
pub(super) async fn publish(client: &Client, plan: &Plan, reporter: Reporter<'_>) -> Result<Report, PublishError> {
    let mut unmoved: Vec<Reference> =
        std::iter::once(plan.target.clone()).chain(plan.tags.iter().map(|tag| plan.target.with_tag(tag))).collect();
    let mut moved = Vec::new();
    let failed = |errors: Vec<Error>, moved: Vec<Reference>, unmoved: Vec<Reference>| PublishError {
        target: plan.target.clone(),
        errors,
        moved,
        unmoved,
    };

    let errors = place_children(client, plan, reporter).await;
    if !errors.is_empty() {
        return Err(failed(errors, moved, unmoved));
    }
    while let Some(reference) = unmoved.first() {
        if let Err(error) = client.push_manifest(reference, &plan.descriptor, &plan.bytes).await {
            return Err(failed(vec![error], moved, unmoved));
        }
        reporter(Event::TagPushed { reference: reference.clone() });
        moved.push(unmoved.remove(0));
    }
    Ok(Report { descriptor: plan.descriptor.clone(), tags: moved })
}

/// All blobs of all children side by side, then all manifests: a manifest may share a blob with another child.
async fn place_children(client: &Client, plan: &Plan, reporter: Reporter<'_>) -> Vec<Error> {
    let blobs = plan.children.iter().flat_map(|child| child.blobs.iter().map(move |blob| (child, blob)));
    let errors = failures(blobs.map(|(child, blob)| async move {
        let mounted = client.place_blob(&child.from, &plan.target, blob).await?;
        reporter(Event::BlobPlaced { digest: blob.digest.clone(), mounted });
        Ok(())
    }))
    .await;
    if !errors.is_empty() {
        return errors;
    }
    failures(plan.children.iter().map(|child: &Child| async move {
        let reference = plan.target.with_digest(child.descriptor.digest.clone());
        client.push_manifest(&reference, &child.descriptor, &child.bytes).await?;
        reporter(Event::ChildPushed { digest: child.descriptor.digest.clone() });
        Ok(())
    }))
    .await
}

/// Runs all to their end, several at once, and gives the errors.
async fn failures(work: impl Iterator<Item = impl Future<Output = Result<(), Error>>>) -> Vec<Error> {
    stream::iter(work).buffer_unordered(CONCURRENCY).filter_map(|outcome| async move { outcome.err() }).collect().await
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names =
            |references: &[Reference]| references.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        write!(f, "cannot push {}: ", self.target)?;
        let mut reasons: Vec<String> = self.errors.iter().map(ToString::to_string).collect();
        reasons.sort_unstable();
        reasons.dedup();
        f.write_str(&reasons.join("\n  "))?;
        if self.moved.is_empty() {
            f.write_str("\n  no tag was written")
        } else {
            write!(f, "\n  written: {}; not written: {}", names(&self.moved), names(&self.unmoved))
        }
    }
}

impl std::error::Error for PublishError {}
