use crate::image::UntrustedText;
use crate::registry::Told;

/// One thing that was tried.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Check {
    /// What it is.
    pub name: &'static str,
    /// Whether manifest-tool needs it.
    pub need: Need,
    /// What came of it.
    pub verdict: Verdict,
    /// Why, with the registry's own words.
    pub reason: UntrustedText,
}

/// Whether manifest-tool needs something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Need {
    /// In any case.
    Yes,
    /// This, or another one of these.
    OneOf,
    /// It does without.
    No,
}

/// What came of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The registry does it.
    Pass,
    /// It says that it does, and does something else; or breaks.
    Fail,
    /// It does not do it.
    Unsupported,
}

impl Verdict {
    /// As it is shown.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::Unsupported => "UNSUPPORTED",
        }
    }
}

/// What came of a trial, and why.
pub(super) struct Found {
    pub(super) verdict: Verdict,
    pub(super) reason: UntrustedText,
}

impl Found {
    pub(super) fn pass(reason: impl Into<UntrustedText>) -> Self {
        Self { verdict: Verdict::Pass, reason: reason.into() }
    }

    pub(super) fn fail(reason: impl Into<UntrustedText>) -> Self {
        Self { verdict: Verdict::Fail, reason: reason.into() }
    }

    pub(super) fn unsupported(reason: impl Into<UntrustedText>) -> Self {
        Self { verdict: Verdict::Unsupported, reason: reason.into() }
    }

    pub(super) fn is_pass(&self) -> bool {
        self.verdict == Verdict::Pass
    }

    pub(super) fn is_unsupported(&self) -> bool {
        self.verdict == Verdict::Unsupported
    }

    /// An answer that refuses: the registry's word, or its failure.
    pub(super) fn refused(told: &Told) -> Self {
        match told.status {
            // Not now, or not at this pace: nothing is said of the thing itself.
            408 | 429 => Self::fail(told.words.clone()),
            400..=499 => Self::unsupported(told.words.clone()),
            _ => Self::fail(told.words.clone()),
        }
    }
}
