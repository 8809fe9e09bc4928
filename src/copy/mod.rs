//! Copies an image, or a whole index with all its children, byte for byte.

mod error;
mod job;
mod tags;
mod update;

pub use error::Error;
pub(crate) use job::copy_in;
pub use job::{CopyOptions, CopyRequest, copy};
pub use tags::select_tags;
pub(crate) use update::{UpdateReport, update_in};
