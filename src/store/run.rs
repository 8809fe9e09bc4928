//! Writes of a run: blobs, manifests and tags, or in a dry run what they would be.

use std::sync::Arc;

use bytes::Bytes;

use super::{Error, IfMatch, Store};
use crate::event::Step;
use crate::image::{Descriptor, Digest, Location};
use crate::single_flight::SingleFlight;

/// The executor of a run of jobs. It knows what is in target repositories, so that no job asks or sends what an earlier one
/// did. In a dry run it writes nothing, and reports what it would do as far as that can be known.
pub(crate) struct Run {
    pub(super) store: Store,
    pub(super) is_dry: bool,
    /// Whether a child manifest was there before.
    pub(super) children: SingleFlight<ContentKey, bool, Error>,
    pub(super) blobs: SingleFlight<ContentKey, (), Error>,
    pub(super) pushed: SingleFlight<ContentKey, (), Error>,
}

/// A repository, shared by the keys of all its content, and a digest.
pub(super) type ContentKey = (Arc<Location>, Digest);

/// Called with each part of a target that is in place, or would be.
pub(crate) type OnStep<'a> = &'a (dyn Fn(Step) + Sync);

impl Run {
    /// A run that writes with `store`, or that writes nothing.
    #[must_use]
    pub(crate) fn new(store: &Store, is_dry: bool) -> Self {
        let store = store.clone();
        Self {
            store,
            is_dry,
            children: SingleFlight::default(),
            blobs: SingleFlight::default(),
            pushed: SingleFlight::default(),
        }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn is_dry(&self) -> bool {
        self.is_dry
    }

    /// Ends the run: moves the archives that were written to their target files. Without this the existing archives
    /// stay.
    pub(crate) async fn commit(&self) -> Result<(), Error> {
        if self.is_dry { Ok(()) } else { self.store.commit().await }
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

    /// Makes referrers known; see [`Store::list_referrers`].
    pub(crate) async fn list_referrers(
        &self,
        to: &Location,
        subject: &Digest,
        referrers: &[Descriptor],
    ) -> Result<(), Error> {
        if self.is_dry { Ok(()) } else { self.store.list_referrers(to, subject, referrers).await }
    }

    /// Deletes a tag, or a manifest with every tag of it; see [`Store::delete`].
    pub(crate) async fn delete(&self, at: &Location) -> Result<(), Error> {
        if self.is_dry { Ok(()) } else { self.store.delete(at).await }
    }
}
