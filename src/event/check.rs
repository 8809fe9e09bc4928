use crate::image::UntrustedText;

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
