//! Copies an image, or a whole index with all its children, byte for byte.

mod error;
mod job;
mod referrers;
mod tags;
mod tree;

pub use error::{CopyProblem, Error};
pub(crate) use job::copy_in;
pub use job::{CopyOptions, CopyRequest, copy};
pub(crate) use referrers::copy as copy_referrers;
pub use tags::select_tags;
