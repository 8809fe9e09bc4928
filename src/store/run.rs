//! The writes of a run: blobs, manifests and tags; only predicted in a dry run.

use std::sync::Arc;

use bytes::Bytes;

use super::recompressed_layers::RecompressedLayers;
use super::{Error, IfMatch, MultiTag, Store};
use crate::event::{Event, Phase, Step};
use crate::image::{Descriptor, Digest, Location};
use crate::single_flight::SingleFlight;

/// Executes the writes of a run of jobs. Remembers the content of target repositories, so that jobs do not repeat each
/// other's requests. A dry run only predicts the writes, as far as possible without writing.
pub(crate) struct Run {
    pub(super) store: Store,
    pub(super) is_dry: bool,
    pub(super) multi_tag: MultiTag,
    /// Whether a child manifest existed before the run.
    pub(super) children: SingleFlight<ContentKey, bool, Error>,
    pub(super) blobs: SingleFlight<ContentKey, (), Error>,
    pub(super) pushed: SingleFlight<ContentKey, (), Error>,
    pub(super) recompressed: RecompressedLayers,
}

/// A repository and a digest. All keys of a repository share its location.
pub(super) type ContentKey = (Arc<Location>, Digest);

/// Called with each completed part of a target, or each predicted part in a dry run.
pub(crate) type OnStep<'a> = &'a (dyn Fn(Step) + Sync);

impl Run {
    /// Returns a run that writes with `store`, or only predicts writes if `is_dry`.
    #[must_use]
    pub(crate) fn new(store: &Store, is_dry: bool) -> Self {
        let store = store.clone();
        Self {
            store,
            is_dry,
            multi_tag: MultiTag::default(),
            children: SingleFlight::default(),
            blobs: SingleFlight::default(),
            pushed: SingleFlight::default(),
            recompressed: RecompressedLayers::default(),
        }
    }

    /// Writes several tags in one request where `multi_tag` allows it. Defaults to nowhere.
    #[must_use]
    pub(crate) fn with_multi_tag(self, multi_tag: MultiTag) -> Self {
        Self { multi_tag, ..self }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn is_dry(&self) -> bool {
        self.is_dry
    }

    /// Reports a phase of writing a target.
    pub(crate) fn report(&self, target: &Location, phase: impl FnOnce() -> Phase) {
        let events = self.store.client().events();
        if events.is_listening() {
            events.emit(&Event::Phase { target: target.clone(), phase: phase() });
        }
    }

    /// Ends the run: moves the written archives to their target files. Without this call, the existing files stay.
    pub(crate) async fn commit(&self) -> Result<(), Error> {
        if self.is_dry { Ok(()) } else { self.store.commit().await }
    }

    /// Checks that a location is writable, as far as possible without writing.
    pub(crate) fn check_target(&self, at: &Location) -> Result<(), Error> {
        self.store.check_target(at)
    }

    /// Writes a manifest under a tag, outside of a publication.
    pub(crate) async fn push_manifest(
        &self,
        at: &Location,
        descriptor: &Descriptor,
        bytes: &Bytes,
        if_match: Option<&IfMatch>,
    ) -> Result<(), Error> {
        if self.is_dry { Ok(()) } else { self.store.push_manifest(at, descriptor, bytes, if_match).await }
    }

    /// Adds referrers to the list of a subject; see [`Store::list_referrers`].
    pub(crate) async fn list_referrers(
        &self,
        to: &Location,
        subject: &Digest,
        referrers: &[Descriptor],
    ) -> Result<bool, Error> {
        if self.is_dry { Ok(false) } else { self.store.list_referrers(to, subject, referrers).await }
    }

    /// Deletes a tag, or a manifest with all its tags; see [`Store::delete`].
    pub(crate) async fn delete(&self, at: &Location) -> Result<(), Error> {
        if self.is_dry { Ok(()) } else { self.store.delete(at).await }
    }
}
