//! Copies the referrers of manifests: signatures, SBOMs, attestations.

use std::collections::HashSet;

use super::{ARTIFACT_MANIFEST, Error, IfMatch, OnStep, Run, SourceManifest};
use crate::event::Step;
use crate::image::{Descriptor, Digest, Location};

/// The maximum depth of referrers of referrers. Real chains, such as a signature of an SBOM of an image, are much
/// shorter.
const MAX_DEPTH: usize = 16;
/// The suffixes of the tags in which cosign stores signatures, attestations and SBOMs that are not referrers.
pub(crate) const COSIGN_SUFFIXES: [&str; 3] = ["sig", "att", "sbom"];

impl Run {
    /// Copies the referrers of these manifests, recursively.
    pub(crate) async fn copy_referrers(
        &self,
        from: &Location,
        to: &Location,
        subjects: &[Digest],
        on_step: OnStep<'_>,
    ) -> Result<(), Error> {
        if let Some(layout) = to.layout().filter(|layout| !layout.transport.is_oci()) {
            let reason = format!("{}: cannot hold signatures and other referrers", layout.transport);
            return Err(Error::unsuitable(to, reason));
        }
        let mut seen: HashSet<Digest> = subjects.iter().cloned().collect();
        let mut subjects = subjects.to_vec();
        for _ in 0..MAX_DEPTH {
            let mut next = Vec::new();
            for subject in &subjects {
                let referrers = self.store.referrers(from, subject).await?;
                for referrer in &referrers {
                    if seen.insert(referrer.digest.clone()) {
                        copy_referrer(self, from, to, referrer, on_step).await?;
                        next.push(referrer.digest.clone());
                    }
                }
                self.list_referrers(to, subject, &referrers).await?;
                for suffix in COSIGN_SUFFIXES {
                    copy_tag(self, from, to, &format!("{}.{suffix}", subject.referrers_tag()), on_step).await?;
                }
            }
            if next.is_empty() {
                return Ok(());
            }
            subjects = next;
        }
        let reason = format!("its referrers are nested more than {MAX_DEPTH} levels deep");
        Err(Error::unsuitable(from, reason))
    }
}

/// Copies a referrer and its content, by digest.
async fn copy_referrer(
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
    copy_tree(run, &from.with_digest(referrer.digest.clone()), to, on_step).await
}

/// Copies a manifest and all its descendants, by digest.
async fn copy_tree(run: &Run, from: &Location, to: &Location, on_step: OnStep<'_>) -> Result<(), Error> {
    let root = run.store().fetch_manifest(from).await?;
    let tree = run.store.fetch_tree(from, &root).await?;
    write(run, to, tree, on_step).await
}

/// Writes the blobs of all manifests, then the manifests level by level.
async fn write(run: &Run, to: &Location, tree: Vec<Vec<SourceManifest>>, on_step: OnStep<'_>) -> Result<(), Error> {
    let errors = run.place_blobs(to, &tree.concat(), on_step).await;
    if let Some(error) = errors.into_iter().next() {
        return Err(error);
    }
    for level in &tree {
        if let Some(error) = run.push_children(to, level, on_step).await.into_iter().next() {
            return Err(error);
        }
    }
    Ok(())
}

/// Copies a signature tag if the source has it. Never overwrites a tag of the target.
async fn copy_tag(run: &Run, from: &Location, to: &Location, tag: &str, on_step: OnStep<'_>) -> Result<(), Error> {
    let from = from.with_tag(tag);
    let root = match run.store().fetch_manifest(&from).await {
        Ok(root) => root,
        Err(error) if error.is_missing() => return Ok(()),
        Err(error) => return Err(error),
    };
    let target = to.with_tag(tag);
    match run.store().current_digest(&target).await? {
        Some(digest) if digest == root.descriptor.digest => return Ok(()),
        // The target has its own signatures; keep them.
        Some(_) => {
            on_step(Step::TagKept(target));
            return Ok(());
        }
        None => {}
    }
    copy_tree(run, &from, to, on_step).await?;
    run.push_manifest(&target, &root.descriptor, &root.bytes, Some(&IfMatch::Missing)).await
}
