//! Whether registries take several tags in one request.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// The registries of a run at which several tags may be written in one request. No header says whether a registry
/// supports it, and one that does not costs a request, so it is tried once per registry.
#[derive(Debug, Default)]
pub(crate) struct MultiTag {
    /// Whether to try registries that are not listed.
    tries_all: bool,
    registries: Mutex<HashMap<String, Support>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Support {
    Untried,
    /// The first request is on its way.
    Trying,
    Supported,
    Unsupported,
}

impl MultiTag {
    /// Returns the state in which every registry is tried.
    pub(crate) fn everywhere() -> Self {
        Self { tries_all: true, ..Self::default() }
    }

    /// Returns the state in which those registries are tried that occur at least `count` times.
    pub(crate) fn at_repeated<'r>(registries: impl Iterator<Item = &'r str>, count: usize) -> Self {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        registries.for_each(|registry| *counts.entry(registry).or_default() += 1);
        let repeated = counts.into_iter().filter(|(_, found)| *found >= count);
        let registries = repeated.map(|(registry, _)| (registry.to_owned(), Support::Untried)).collect();
        Self { tries_all: false, registries: Mutex::new(registries) }
    }

    /// Whether to write several tags in one request now. While the first request to a listed registry is on its way,
    /// further tags are written one after another, so that at most one request is wasted.
    pub(super) fn claim(&self, registry: &str) -> bool {
        let mut registries = self.registries.lock().unwrap_or_else(PoisonError::into_inner);
        match registries.get(registry) {
            Some(Support::Supported) => true,
            Some(Support::Unsupported) => false,
            Some(Support::Trying) => self.tries_all,
            None if !self.tries_all => false,
            Some(Support::Untried) | None => {
                registries.insert(registry.to_owned(), Support::Trying);
                true
            }
        }
    }

    /// Records whether a registry takes several tags in one request; `None` if that is not known.
    pub(super) fn record(&self, registry: &str, wrote_tags: Option<bool>) {
        let mut registries = self.registries.lock().unwrap_or_else(PoisonError::into_inner);
        let support = match (registries.get(registry), wrote_tags) {
            (Some(Support::Supported), _) | (_, Some(true)) => Support::Supported,
            (_, Some(false)) | (Some(Support::Unsupported), None) => Support::Unsupported,
            (_, None) => Support::Untried,
        };
        registries.insert(registry.to_owned(), support);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listed_registry_is_tried_once_and_used_if_it_wrote_the_tags() {
        for (wrote_tags, is_used) in [(Some(true), true), (Some(false), false), (None, true)] {
            let state = MultiTag::at_repeated(["r.io", "other.io", "r.io"].into_iter(), 2);
            assert!(!state.claim("other.io"));
            assert!(state.claim("r.io"));
            assert!(!state.claim("r.io"), "the first request is on its way");
            state.record("r.io", wrote_tags);
            assert_eq!(state.claim("r.io"), is_used, "{wrote_tags:?}");
        }
    }

    #[test]
    fn every_registry_is_tried_until_one_answer_is_known() {
        let state = MultiTag::everywhere();
        assert!(state.claim("r.io") && state.claim("r.io"));
        state.record("r.io", Some(false));
        assert!(!state.claim("r.io"));
        state.record("r.io", None);
        assert!(!state.claim("r.io"), "a failure later does not change what is known");
        assert!(state.claim("other.io"));
        state.record("other.io", Some(true));
        state.record("other.io", Some(false));
        assert!(state.claim("other.io"));
        assert!(!MultiTag::default().claim("r.io"));
    }
}
