use std::process::ExitCode;

use crate::registry::StopReason;

/// Every way in which the program ends, each with its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ExitStatus {
    /// The command did what it was asked to do.
    Done,
    /// The command failed, in part or as a whole.
    Failed,
    /// The command line makes no sense, whatever the registry says.
    Usage,
    /// The target was not what `--if-match` says.
    NotMatched,
    /// `query --platform`: an image is not offered for the platform.
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

    /// The code that the program exits with. `timeout(1)` gives 124 as well, shells give 128 + n for a signal.
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
