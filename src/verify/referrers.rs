//! Checks that images have referrers of the required types and valid signatures.

use std::sync::Arc;

use super::Problem;
use super::check::missing_types;
use super::context::CheckContext;
use super::node::{Node, is_known};
use super::options::VerifyOptions;
use super::referrer_checks::ReferrerChecks;
use super::signatures;
use crate::image::{Descriptor, Manifest, UntrustedText, media_type};
use crate::memory::Charge;
use crate::store::Error;

/// An upper bound for the memory of a listed signature, in bytes.
const SIGNATURE_MEMORY: usize = 1024;

/// Checks that an image has a referrer of each required artifact type, and that an image or index is signed. Lists its
/// referrers once. Other manifests need neither.
///
/// # Errors
/// The referrers cannot be listed, and no signature outside of their list is valid.
pub(super) async fn check(
    context: &CheckContext<'_>,
    node: &Node,
    options: &VerifyOptions,
) -> Result<Arc<ReferrerChecks>, Error> {
    if options.has_keys() && !is_known(&node.entry) {
        return Ok(Arc::new(ReferrerChecks { problems: vec![unopened(node)], ..ReferrerChecks::default() }));
    }
    let types = if node.needs_referrers() { options.referrers.as_slice() } else { &[] };
    let is_signed = options.needs_signatures() && node.needs_signature();
    if types.is_empty() && !is_signed {
        return Ok(Arc::default());
    }
    let check = async { check_image(context, node, options, types, is_signed).await.map(Arc::new) };
    let is_complete = |checks: &Arc<ReferrerChecks>| checks.unchecked.is_empty();
    let key = (node.entry.digest.clone(), !types.is_empty(), is_signed);
    context.known.referrers.get_with(&key, is_complete, |_| true, check).await
}

/// Returns the problem of content of another type: a client may read it as an image, whatever its entry says.
fn unopened(node: &Node) -> Problem {
    let reason = format!("not looked for, because its type is {}", node.entry.media_type).into();
    Problem::Signature { reasons: vec![reason], more: 0, signed_as: None }
}

async fn check_image(
    context: &CheckContext<'_>,
    node: &Node,
    options: &VerifyOptions,
    types: &[UntrustedText],
    is_signed: bool,
) -> Result<ReferrerChecks, Error> {
    let digest = &node.entry.digest;
    let (referrers, unlisted) = match context.store.referrers(context.at, digest).await {
        Ok(referrers) => (referrers, None),
        // The image may have a signature in cosign's tag.
        Err(error) if types.is_empty() => (Vec::new(), Some(error)),
        Err(error) => return Err(error),
    };
    let mut checks = ReferrerChecks::default();
    match missing_referrers(context, &referrers, types).await {
        Ok(problem) => checks.problems.extend(problem),
        Err(error) => checks.unchecked.push(error),
    }
    if is_signed {
        let mut found = context.store.signatures(context.at, digest, &referrers).await;
        found.unread.extend(unlisted);
        let signatures = signatures::check(context, node, options, found).await;
        checks.problems.extend(signatures.problem);
        checks.unchecked.extend(signatures.unchecked);
        checks.charge = Some(charge(context, signatures.listed.len())?);
        checks.signatures = Some(signatures.listed);
    }
    Ok(checks)
}

/// Charges the memory of a list of signatures, because there may be a million of them.
fn charge(context: &CheckContext<'_>, signatures: usize) -> Result<Charge, Error> {
    let mut charge = context.store.client().budget().open();
    let grown = charge.grow(signatures * SIGNATURE_MEMORY);
    grown.map(|()| charge).map_err(|error| Error::unsuitable(context.at, format!("not listed: {error}")))
}

async fn missing_referrers(
    context: &CheckContext<'_>,
    referrers: &[Descriptor],
    required: &[UntrustedText],
) -> Result<Option<Problem>, Error> {
    let (declared, undeclared): (Vec<&Descriptor>, Vec<&Descriptor>) =
        referrers.iter().partition(|referrer| referrer.artifact_type.as_ref().is_some_and(|kind| !kind.is_empty()));
    let mut types: Vec<UntrustedText> =
        declared.into_iter().filter_map(|referrer| referrer.artifact_type.clone()).collect();
    for referrer in undeclared {
        if missing_types(required, &types).is_empty() {
            break;
        }
        types.extend(artifact_type(context, referrer).await?);
    }
    let types = missing_types(required, &types);
    Ok((!types.is_empty()).then_some(Problem::Referrer { types }))
}

/// Reads the artifact type of a referrer, for lists that omit it: its `artifactType`, or else the media type of its
/// config (distribution-spec, "Listing Referrers").
async fn artifact_type(context: &CheckContext<'_>, referrer: &Descriptor) -> Result<Option<UntrustedText>, Error> {
    if !media_type::is_image(&referrer.media_type) && !media_type::is_index(&referrer.media_type) {
        return Ok(None);
    }
    Ok(match context.store.fetch_child(context.at, referrer).await?.manifest {
        Manifest::Image(image) => image.artifact_type.filter(|kind| !kind.is_empty()).or(Some(image.config.media_type)),
        Manifest::Index(index) => index.artifact_type,
    })
}
