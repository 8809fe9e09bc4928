//! Checks that images have referrers of the required types, such as signatures.

use super::Problem;
use super::check::missing_types;
use super::context::CheckContext;
use super::node::Node;
use crate::image::{Descriptor, Digest, Manifest, UntrustedText, media_type};
use crate::store::Error;

/// Checks that an image has a referrer of each required artifact type. Other manifests need none.
///
/// # Errors
/// The referrers cannot be listed, or the type of one cannot be read.
pub(super) async fn check(
    context: &CheckContext<'_>,
    node: &Node,
    required: &[UntrustedText],
) -> Result<Option<Problem>, Error> {
    if required.is_empty() || !node.needs_referrers() {
        return Ok(None);
    }
    let find = missing_referrers(context, &node.entry.digest, required);
    context.known.referrers.get(&node.entry.digest, find).await
}

async fn missing_referrers(
    context: &CheckContext<'_>,
    image: &Digest,
    required: &[UntrustedText],
) -> Result<Option<Problem>, Error> {
    let referrers = context.store.referrers(context.at, image).await?;
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
