//! Estimates and limits the memory of specs.

/// Memory limit for the specs of a run, in bytes. A short text can expand through aliases, templates and variables.
pub(crate) const MAX_MEMORY: usize = 64 << 20;
/// Overhead of a value in addition to its text, in bytes.
pub(super) const PER_VALUE: usize = 64;
/// Size of a source with its reference and platform, in bytes.
pub(super) const PER_SOURCE: usize = 512;
/// Estimated memory of a selected platform, in bytes. A push copies it for each use of the source.
pub(super) const PER_PLATFORM: usize = 3 * size_of::<crate::image::Platform>();
