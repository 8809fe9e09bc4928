//! Checks that images have referrers of the required types, such as signatures.

use super::Problem;
use super::check::missing_types;
use super::verifier::{Node, Verifier};
use crate::image::{Descriptor, Manifest, UntrustedText, media_type};
use crate::store::Error;

/// Checks that an image has a referrer of each required artifact type. Other manifests need none.
///
/// # Errors
/// The referrers cannot be listed, or the type of one cannot be read.
pub(super) async fn check(
    verifier: &Verifier<'_>,
    node: &Node,
    required: &[UntrustedText],
) -> Result<Option<Problem>, Error> {
    if required.is_empty() || !node.needs_referrers() {
        return Ok(None);
    }
    let referrers = verifier.store.referrers(verifier.at, &node.entry.digest).await?;
    let (declared, undeclared): (Vec<&Descriptor>, Vec<&Descriptor>) =
        referrers.iter().partition(|referrer| referrer.artifact_type.as_ref().is_some_and(|kind| !kind.is_empty()));
    let mut types: Vec<UntrustedText> =
        declared.into_iter().filter_map(|referrer| referrer.artifact_type.clone()).collect();
    for referrer in undeclared {
        if missing_types(required, &types).is_empty() {
            break;
        }
        types.extend(artifact_type(verifier, referrer).await?);
    }
    let types = missing_types(required, &types);
    Ok((!types.is_empty()).then_some(Problem::Referrer { types }))
}

/// Reads the artifact type of a referrer, for lists that omit it: its `artifactType`, or else the media type of its
/// config (distribution-spec, "Listing Referrers").
async fn artifact_type(verifier: &Verifier<'_>, referrer: &Descriptor) -> Result<Option<UntrustedText>, Error> {
    if !media_type::is_image(&referrer.media_type) && !media_type::is_index(&referrer.media_type) {
        return Ok(None);
    }
    Ok(match verifier.store.fetch_child(verifier.at, referrer).await?.manifest {
        Manifest::Image(image) => image.artifact_type.filter(|kind| !kind.is_empty()).or(Some(image.config.media_type)),
        Manifest::Index(index) => index.artifact_type,
    })
}
