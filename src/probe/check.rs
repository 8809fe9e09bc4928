use crate::event::Verdict;
use crate::image::UntrustedText;
use crate::registry::RawResponse;

/// The verdict of a check, with its reason.
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

    /// Classifies a response that refuses a request: 4xx is unsupported, anything else is a failure.
    pub(super) fn refused(response: &RawResponse) -> Self {
        match response.status {
            // A timeout or a rate limit does not mean that the registry lacks the feature.
            408 | 429 => Self::fail(response.summary.clone()),
            400..=499 => Self::unsupported(response.summary.clone()),
            _ => Self::fail(response.summary.clone()),
        }
    }
}
