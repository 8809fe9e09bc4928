//! The memory that specs take.

/// Bytes of memory that the specs of a run may take. Aliases, templates and variables make much of a short text.
pub(crate) const MAX_MEMORY: usize = 64 << 20;
/// Bytes that a value takes besides its text.
pub(super) const PER_VALUE: usize = 64;
/// Bytes that a source takes: its reference in parts, and its platform.
pub(super) const PER_SOURCE: usize = 512;
