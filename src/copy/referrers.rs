//! What refers to a manifest: signatures, SBOMs, attestations.

use std::collections::HashSet;

use super::{Reason, tree};
use crate::event::Step;
use crate::image::{Descriptor, Digest, Location};
use crate::registry::{Error as RegistryError, IfMatch};
use crate::store::{ARTIFACT_MANIFEST, Child, Error, Placed, Steps, Store};

/// A signature of an SBOM of an image is as far as anyone goes.
const MAX_DEPTH: usize = 16;
/// Where cosign keeps what it does not keep as referrers.
const COSIGN: [&str; 3] = ["sig", "att", "sbom"];

/// Copies what refers to these manifests, and what refers to that.
pub(super) async fn copy(
    store: &Store,
    placed: &Placed,
    from: &Location,
    to: &Location,
    subjects: &[Digest],
    steps: Steps<'_>,
) -> Result<(), Error> {
    let mut seen: HashSet<Digest> = subjects.iter().cloned().collect();
    let mut subjects = subjects.to_vec();
    for _ in 0..MAX_DEPTH {
        let mut next = Vec::new();
        for subject in &subjects {
            let referrers = store.referrers(from, subject).await?;
            for referrer in &referrers {
                if seen.insert(referrer.digest.clone()) {
                    one(store, placed, from, to, referrer, steps).await?;
                    next.push(referrer.digest.clone());
                }
            }
            store.list_referrers(to, subject, &referrers).await?;
            for end in COSIGN {
                tagged(store, placed, from, to, &format!("{}.{end}", subject.referrers_tag()), steps).await?;
            }
        }
        if next.is_empty() {
            return Ok(());
        }
        subjects = next;
    }
    let reason = format!("referrers refer to one another more than {MAX_DEPTH} deep");
    Err(RegistryError::of_source(from.to_string(), reason).into())
}

/// Copies a referrer with all that it names, by digest.
async fn one(
    store: &Store,
    placed: &Placed,
    from: &Location,
    to: &Location,
    referrer: &Descriptor,
    steps: Steps<'_>,
) -> Result<(), Error> {
    if referrer.media_type == ARTIFACT_MANIFEST {
        let artifact = store.fetch_artifact(from, referrer).await?;
        return write(store, placed, to, vec![vec![artifact]], steps).await;
    }
    whole(store, placed, &from.with_digest(referrer.digest.clone()), to, steps).await
}

/// Copies a manifest with all below it, by digest.
async fn whole(store: &Store, placed: &Placed, from: &Location, to: &Location, steps: Steps<'_>) -> Result<(), Error> {
    let root = store.fetch_manifest(from).await?;
    let tree = tree::tree(store, from, &root).await.map_err(|reason| match reason {
        Reason::Store(error) => error,
        Reason::Unusable(reason) => RegistryError::of_source(from.to_string(), reason).into(),
    })?;
    write(store, placed, to, tree, steps).await
}

/// Writes manifests, level by level, after the blobs of all of them.
async fn write(
    store: &Store,
    placed: &Placed,
    to: &Location,
    tree: Vec<Vec<Child>>,
    steps: Steps<'_>,
) -> Result<(), Error> {
    let failed = placed.place_blobs(store, to, &tree.concat(), steps).await;
    if let Some(error) = failed.into_iter().next() {
        return Err(error);
    }
    for level in &tree {
        if let Some(error) = placed.push_children(store, to, level, steps).await.into_iter().next() {
            return Err(error);
        }
    }
    Ok(())
}

async fn tagged(
    store: &Store,
    placed: &Placed,
    from: &Location,
    to: &Location,
    tag: &str,
    steps: Steps<'_>,
) -> Result<(), Error> {
    let from = from.with_tag(tag);
    let root = match store.fetch_manifest(&from).await {
        Ok(root) => root,
        Err(error) if error.is_missing() => return Ok(()),
        Err(error) => return Err(error),
    };
    let target = to.with_tag(tag);
    match store.current_digest(&target).await? {
        Some(digest) if digest == root.descriptor.digest => return Ok(()),
        // Signatures of the target's own, which are not to be lost.
        Some(_) => {
            steps(Step::TagKept(target));
            return Ok(());
        }
        None => {}
    }
    whole(store, placed, &from, to, steps).await?;
    store.push_manifest(&target, &root.descriptor, &root.bytes, Some(&IfMatch::Nothing)).await
}
