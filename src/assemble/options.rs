use std::time::Duration;

use super::Selector;
use crate::image::Location;
use crate::store::IfMatch;

/// The default settling time. Almost all writes of other writers complete within it.
const DEFAULT_SETTLE: Duration = Duration::from_secs(1);

/// Options for [`push`](super::push).
#[derive(Debug, Clone)]
pub struct PushOptions {
    /// Leave out sources that do not exist, unless all are missing. Defaults to false.
    pub ignore_missing: bool,
    /// Write tags even if they already point at the index. Defaults to false.
    pub force: bool,
    /// Write the target only if its tag meets this precondition or already points at the new index. Defaults to `None`.
    pub if_match: Option<IfMatch>,
    /// Return only after every written tag resolves to the index's digest. Defaults to false.
    pub wait: bool,
    /// Write several tags in one request (distribution-spec, "Pushing Manifests"), so that they move together. Tags that
    /// the registry does not confirm are written one after another. Defaults to false, because a registry without
    /// support costs a further request.
    pub multi_tag: bool,
    /// Treat a [`Warning`](crate::event::Warning) as an error. Defaults to false.
    pub strict: bool,
    /// Copy the referrers of images from other repositories as well: signatures, SBOMs, attestations. Defaults to false.
    pub referrers: bool,
    /// Report what would be written, without writing. Defaults to false.
    pub dry_run: bool,
    /// The settling time when the target's index is changed rather than replaced: how long to wait for other writers to
    /// complete their writes before the tag is read back. Defaults to 1 s.
    pub settle: Duration,
}

impl Default for PushOptions {
    fn default() -> Self {
        Self {
            ignore_missing: false,
            force: false,
            if_match: None,
            wait: false,
            multi_tag: false,
            strict: false,
            referrers: false,
            dry_run: false,
            settle: DEFAULT_SETTLE,
        }
    }
}

/// The entries to remove, and their index.
#[derive(Debug, Clone)]
pub struct RemoveRequest {
    /// The tag of the index.
    pub target: Location,
    /// Selects the entries to remove.
    pub selectors: Vec<Selector>,
}

/// Options for [`remove`](super::remove).
#[derive(Debug, Clone)]
pub struct RemoveOptions {
    /// Write only if the tag meets this precondition. Defaults to `None`.
    pub if_match: Option<IfMatch>,
    /// Report what would be written, without writing. Defaults to false.
    pub dry_run: bool,
    /// The settling time: how long to wait for other writers to complete their writes before the tag is read back.
    /// Defaults to 1 s.
    pub settle: Duration,
}

impl Default for RemoveOptions {
    fn default() -> Self {
        Self { if_match: None, dry_run: false, settle: DEFAULT_SETTLE }
    }
}
