use crate::image::UntrustedText;

/// One check of a registry by `probe`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Check {
    /// The name of the check.
    pub name: &'static str,
    /// Whether manifest-tool needs it.
    pub need: Need,
    /// The result.
    pub verdict: Verdict,
    /// Why the check has this result, in the registry's words.
    pub reason: UntrustedText,
}

/// Whether manifest-tool needs a feature of a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Need {
    /// Required.
    Yes,
    /// At least one of the features with this value is required.
    OneOf,
    /// Optional.
    No,
}

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The registry supports the feature.
    Pass,
    /// The registry claims to support the feature but behaves differently, or fails.
    Fail,
    /// The registry does not support the feature.
    Unsupported,
}

impl Verdict {
    /// Returns the word that output shows for the result.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::Unsupported => "UNSUPPORTED",
        }
    }
}
