/// Why a run ends before it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// A signal of this number, such as 2 for Ctrl-C.
    Signal(i32),
    /// The time that was given is over.
    Deadline,
}
