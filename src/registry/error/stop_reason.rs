/// Why a run was stopped early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// The process received the signal with this number, such as 2 for Ctrl-C.
    Signal(i32),
    /// The deadline of the run passed.
    Deadline,
}
