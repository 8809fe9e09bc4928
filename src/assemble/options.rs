use std::time::Duration;

use super::Selector;
use crate::image::Location;
use crate::store::IfMatch;

/// A write that other writers have begun is over by then in almost every case.
const DEFAULT_SETTLE: Duration = Duration::from_secs(1);

/// How to push.
#[derive(Debug, Clone)]
pub struct PushOptions {
    /// Leave out sources of which the registry says that they do not exist, unless all are missing. Defaults to false.
    pub ignore_missing: bool,
    /// Write tags that point at the index already. Defaults to false.
    pub force: bool,
    /// Write the target only if its tag points at this, or at the new index already. Defaults to no condition.
    pub if_match: Option<IfMatch>,
    /// Return only when every tag that was written reads back with the index's digest. Defaults to false.
    pub wait: bool,
    /// Treat a [`Warning`](crate::event::Warning) as an error. Defaults to false.
    pub strict: bool,
    /// Write nothing; the report says what would be done. Defaults to false.
    pub dry_run: bool,
    /// When the target's index is changed and not replaced: how long other writers may take to end what they have begun.
    /// The tag is read back after that. Defaults to 1 s.
    pub settle: Duration,
}

impl Default for PushOptions {
    fn default() -> Self {
        Self {
            ignore_missing: false,
            force: false,
            if_match: None,
            wait: false,
            strict: false,
            dry_run: false,
            settle: DEFAULT_SETTLE,
        }
    }
}

/// Which entries to remove, and from where.
#[derive(Debug, Clone)]
pub struct RemoveRequest {
    /// The tag of the index.
    pub target: Location,
    /// The entries.
    pub selectors: Vec<Selector>,
}

/// How to remove entries.
#[derive(Debug, Clone)]
pub struct RemoveOptions {
    /// Write only if the tag points at this. Defaults to no condition.
    pub if_match: Option<IfMatch>,
    /// Write nothing; the report says what would be done. Defaults to false.
    pub dry_run: bool,
    /// How long other writers may take to end what they have begun. The tag is read back after that. Defaults to 1 s.
    pub settle: Duration,
}

impl Default for RemoveOptions {
    fn default() -> Self {
        Self { if_match: None, dry_run: false, settle: DEFAULT_SETTLE }
    }
}
