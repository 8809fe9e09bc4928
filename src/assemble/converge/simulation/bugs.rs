/// Defects that the simulated environment adds on purpose, to show that the simulation finds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// After a write, a writer takes what it wrote for the current index, and does not read the tag back.
    NoReadBack,
    /// The tag is not read just before it is written.
    NoLook,
    /// Whatever replaced a change counts as a deliberate change of another writer.
    AnyContentCountsAsApplied,
    /// An index that needs no change is not read again after the settling time.
    NoSettleWithoutWrite,
    /// A change that was read back once is final, even if another writer changed the index since it was written.
    AnyReadBackIsFinal,
    /// A failed look reports that the tag was not written, although the answer to an earlier attempt was lost.
    LostAnswerIsForgotten,
    /// A write whose answer was lost counts as final like any other, although its first attempt may be carried out late.
    LateAttemptIsForgotten,
}
