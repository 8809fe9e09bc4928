//! What refers to a manifest: signatures, SBOMs, attestations.

use std::collections::HashSet;

use super::error::CopyProblem;
use super::tree;
use crate::event::Step;
use crate::image::{Descriptor, Digest, Location};
use crate::store::{ARTIFACT_MANIFEST, Error, IfMatch, OnStep, Run, SourceManifest};

/// A signature of an SBOM of an image is as far as anyone goes.
const MAX_DEPTH: usize = 16;
/// Where cosign keeps what it does not keep as referrers.
const COSIGN: [&str; 3] = ["sig", "att", "sbom"];

/// Copies what refers to these manifests, and what refers to that.
pub(super) async fn copy(
    run: &Run,
    from: &Location,
    to: &Location,
    subjects: &[Digest],
    on_step: OnStep<'_>,
) -> Result<(), Error> {
    let mut seen: HashSet<Digest> = subjects.iter().cloned().collect();
    let mut subjects = subjects.to_vec();
    for _ in 0..MAX_DEPTH {
        let mut next = Vec::new();
        for subject in &subjects {
            let referrers = run.store().referrers(from, subject).await?;
            for referrer in &referrers {
                if seen.insert(referrer.digest.clone()) {
                    one(run, from, to, referrer, on_step).await?;
                    next.push(referrer.digest.clone());
                }
            }
            run.list_referrers(to, subject, &referrers).await?;
            for end in COSIGN {
                tagged(run, from, to, &format!("{}.{end}", subject.referrers_tag()), on_step).await?;
            }
        }
        if next.is_empty() {
            return Ok(());
        }
        subjects = next;
    }
    let reason = format!("referrers refer to one another more than {MAX_DEPTH} deep");
    Err(Error::unsuitable(from, reason))
}

/// Copies a referrer with all that it names, by digest.
async fn one(
    run: &Run,
    from: &Location,
    to: &Location,
    referrer: &Descriptor,
    on_step: OnStep<'_>,
) -> Result<(), Error> {
    if referrer.media_type == ARTIFACT_MANIFEST {
        let artifact = run.store().fetch_artifact(from, referrer).await?;
        return write(run, to, vec![vec![artifact]], on_step).await;
    }
    whole(run, &from.with_digest(referrer.digest.clone()), to, on_step).await
}

/// Copies a manifest with all below it, by digest.
async fn whole(run: &Run, from: &Location, to: &Location, on_step: OnStep<'_>) -> Result<(), Error> {
    let root = run.store().fetch_manifest(from).await?;
    let tree = tree::tree(run.store(), from, &root).await.map_err(|reason| match reason {
        CopyProblem::Store(error) => error,
        CopyProblem::Unusable(reason) => Error::unsuitable(from, reason),
    })?;
    write(run, to, tree, on_step).await
}

/// Writes manifests, level by level, after the blobs of all of them.
async fn write(run: &Run, to: &Location, tree: Vec<Vec<SourceManifest>>, on_step: OnStep<'_>) -> Result<(), Error> {
    let failed = run.place_blobs(to, &tree.concat(), on_step).await;
    if let Some(error) = failed.into_iter().next() {
        return Err(error);
    }
    for level in &tree {
        if let Some(error) = run.push_children(to, level, on_step).await.into_iter().next() {
            return Err(error);
        }
    }
    Ok(())
}

async fn tagged(run: &Run, from: &Location, to: &Location, tag: &str, on_step: OnStep<'_>) -> Result<(), Error> {
    let from = from.with_tag(tag);
    let root = match run.store().fetch_manifest(&from).await {
        Ok(root) => root,
        Err(error) if error.is_missing() => return Ok(()),
        Err(error) => return Err(error),
    };
    let target = to.with_tag(tag);
    match run.store().current_digest(&target).await? {
        Some(digest) if digest == root.descriptor.digest => return Ok(()),
        // Signatures of the target's own, which are not to be lost.
        Some(_) => {
            on_step(Step::TagKept(target));
            return Ok(());
        }
        None => {}
    }
    whole(run, &from, to, on_step).await?;
    run.push_manifest(&target, &root.descriptor, &root.bytes, Some(&IfMatch::Nothing)).await
}
