use super::error::Error;
use super::job::copy_known;
use super::request::{CopyOptions, CopyRequest};
use crate::event::Event;
use crate::image::Digest;
use crate::registry::RetryGroup;
use crate::store::{PublishReport, Run};

/// What [`update_in`] did.
#[derive(Debug)]
pub(crate) struct UpdateReport {
    /// The digest of the source.
    pub(crate) digest: Digest,
    /// The report of the copy. `None` if the target already has the digest.
    pub(crate) copied: Option<PublishReport>,
    /// Whether an earlier run finished the target with the same digest, so that the target was not read.
    pub(crate) was_finished: bool,
}

impl UpdateReport {
    /// Whether the target was written.
    pub(crate) fn has_changed(&self) -> bool {
        self.copied.as_ref().is_some_and(PublishReport::has_written_tags)
    }

    fn unchanged(digest: Digest, was_finished: bool) -> Self {
        Self { digest, copied: None, was_finished }
    }
}

/// Copies an image as part of a run of several copies, like [`copy_in`](super::copy_in), unless the target already has
/// the digest of the source: then it sends one request to each, and assumes that the target has everything below the
/// manifest. The target of the request must have a tag, name or digest. `finished` is the digest with which an earlier
/// run has finished the target, if any: then the target is not read if the source still has that digest.
pub(crate) async fn update_in(
    run: &Run,
    request: &CopyRequest,
    options: &CopyOptions,
    finished: Option<&Digest>,
) -> Result<UpdateReport, Error> {
    let _intent = run.store().will_push(&request.to);
    RetryGroup::run(update(run, request, options, finished)).await
}

async fn update(
    run: &Run,
    request: &CopyRequest,
    options: &CopyOptions,
    finished: Option<&Digest>,
) -> Result<UpdateReport, Error> {
    let (store, CopyRequest { from, to, .. }) = (run.store(), request);
    let digest = async || match from.digest() {
        Some(digest) => Ok(digest.clone()),
        None => store.digest(from).await.map_err(|reason| Error::source(from, reason)),
    };
    let mut known = None;
    if let Some(finished) = finished {
        let digest = digest().await?;
        if digest == *finished {
            return Ok(UpdateReport::unchanged(digest, true));
        }
        known = Some(digest);
    }
    // The target is read first: if it has no such tag, the digest of the source is not needed.
    let current = store.current_digest(to).await;
    if let Ok(Some(current)) = &current {
        let digest = match known {
            Some(digest) => digest,
            None => digest().await?,
        };
        if digest == *current {
            return Ok(UpdateReport::unchanged(digest, false));
        }
    }
    let on_step = |step| store.client().events().emit(&Event::Step { target: to.clone(), step });
    let copied = copy_known(run, request, options, Some(current), &on_step).await?;
    Ok(UpdateReport { digest: copied.descriptor.digest.clone(), copied: Some(copied), was_finished: false })
}
