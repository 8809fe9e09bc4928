use std::process::ExitCode;

use crate::registry::StopReason;

/// The ways the program ends. Each has an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ExitStatus {
    /// The command succeeded.
    Done,
    /// The command failed, partly or completely.
    Failed,
    /// The command line is invalid, regardless of the registry's content.
    Usage,
    /// The target did not match `--if-match`.
    NotMatched,
    /// `query --platform` and `digest --platform`: a reference has no image for the platform.
    NotOffered,
    /// `--dry-run --exit-code`: something would change.
    WouldChange,
    /// `verify`: an image or index is unsound.
    Unsound,
    /// `--deadline` has passed.
    Deadline,
    /// A signal of this number ended the run.
    Signal(i32),
}

impl ExitStatus {
    /// SIGINT, as Ctrl-C sends it.
    pub(super) const INTERRUPTED: Self = Self::Signal(2);

    /// Returns the exit code. Follows `timeout(1)`, which exits with 124, and shells, which report signal n as 128 + n.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotMatched | Self::NotOffered => 3,
            Self::WouldChange => 4,
            Self::Unsound => 5,
            Self::Deadline => 124,
            Self::Signal(number) => u8::try_from(128 + number).unwrap_or(1),
        }
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}

impl From<StopReason> for ExitStatus {
    fn from(reason: StopReason) -> Self {
        match reason {
            StopReason::Signal(number) => Self::Signal(number),
            StopReason::Deadline => Self::Deadline,
        }
    }
}
