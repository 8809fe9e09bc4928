//! The mirrors of a run, shared by all its requests.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use super::registries_conf::{Place, RegistriesConf};

/// The configured mirrors, and what a run has learned about them.
#[derive(Default)]
pub(super) struct Mirrors {
    conf: RegistriesConf,
    /// Repositories of mirrors that are not tried again: they refused the credentials. With an empty repository, the
    /// whole mirror, because it did not respond or sent wrong content.
    failed: Mutex<HashSet<Place>>,
    /// Repositories of mirrors in which a tag was resolved.
    resolved: Mutex<HashSet<Place>>,
}

impl Mirrors {
    pub(super) fn new(conf: RegistriesConf) -> Self {
        Self { conf, ..Self::default() }
    }

    pub(super) fn conf(&self) -> &RegistriesConf {
        &self.conf
    }

    /// Whether requests may be sent to other places than their repository.
    pub(super) fn are_configured(&self) -> bool {
        !self.conf.is_empty()
    }

    pub(super) fn has_failed(&self, place: &Place) -> bool {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.contains(place) || failed.contains(&Place { repository: String::new(), ..place.clone() })
    }

    /// Records that a mirror failed. Returns whether that is new.
    pub(super) fn fail(&self, place: Place) -> bool {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).insert(place)
    }

    /// Records that a tag was resolved in a repository of a mirror.
    pub(super) fn resolve(&self, place: Place) {
        self.resolved.lock().unwrap_or_else(PoisonError::into_inner).insert(place);
    }

    pub(super) fn has_resolved(&self, place: &Place) -> bool {
        self.resolved.lock().unwrap_or_else(PoisonError::into_inner).contains(place)
    }
}
