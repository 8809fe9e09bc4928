use crate::event::Verdict;
use crate::image::UntrustedText;
use crate::registry::RawResponse;

/// What came of a trial, and why.
pub(super) struct CheckOutcome {
    pub(super) verdict: Verdict,
    pub(super) reason: UntrustedText,
}

impl CheckOutcome {
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
    pub(super) fn refused(response: &RawResponse) -> Self {
        match response.status {
            // Not now, or not at this pace: nothing is said of the thing itself.
            408 | 429 => Self::fail(response.words.clone()),
            400..=499 => Self::unsupported(response.words.clone()),
            _ => Self::fail(response.words.clone()),
        }
    }
}
