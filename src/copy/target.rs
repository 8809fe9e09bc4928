//! The target of a copy.

use super::request::CopyOptions;
use crate::image::{Digest, Location, Transport, check_tag};
use crate::store::Error as StoreError;

/// Refuses options that the target's transport cannot honour.
pub(super) fn check_target(to: &Location, options: &CopyOptions) -> Result<(), StoreError> {
    let Some(layout) = to.layout() else { return Ok(()) };
    let transport = layout.transport;
    if options.referrers && !transport.is_oci() {
        return Err(StoreError::unsuitable(to, format!("{transport}: cannot hold signatures and other referrers")));
    }
    if transport == Transport::DockerDaemon && (options.no_clobber || options.if_match.is_some()) {
        return Err(StoreError::unsuitable(
            to,
            "what Docker's engine has under a name is not compared before it is replaced",
        ));
    }
    if transport == Transport::DockerDaemon && layout.docker_reference().is_none() {
        return Err(StoreError::unsuitable(to, "an ID names an image that exists; give a name for the new one"));
    }
    if layout.docker_position().is_some() {
        return Err(StoreError::unsuitable(to, "a position names an image that exists; give a name for the new one"));
    }
    Ok(())
}

/// Returns the target of the copy: `to`, with the tag or digest of `from` if it has neither.
pub(super) fn target_of(from: &Location, to: &Location, digest: &Digest) -> Result<Location, StoreError> {
    match (to, to.digest(), from.tag()) {
        (_, Some(wanted), _) if wanted != digest => {
            Err(StoreError::unsuitable(from, format!("its digest is {digest}, not {wanted}")))
        }
        // A layout also lists manifests without a name.
        (Location::Layout(_), Some(_), _) => Ok(to.without_name()),
        (_, Some(_), _) => Ok(to.clone()),
        _ if to.tag().is_some() => Ok(to.clone()),
        (Location::Registry(_), None, Some(tag)) if check_tag(tag).is_ok() => Ok(to.with_tag(tag)),
        (Location::Registry(_), None, _) => Ok(to.with_digest(digest.clone())),
        (Location::Layout(layout), None, _) if layout.transport.has_no_names() => Ok(to.clone()),
        (Location::Layout(layout), None, _) if layout.transport.is_docker() => Ok(to.named_like(from)),
        (Location::Layout(_), None, Some(tag)) => Ok(to.with_tag(tag)),
        (Location::Layout(_), None, None) => Ok(to.clone()),
    }
}
