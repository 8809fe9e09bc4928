//! Deletes a tag, or a manifest with all its tags.

mod error;
mod job;
mod uses;

pub use error::{Error, TakesMore};
pub use job::{DeleteOptions, Deleted, delete};
pub use uses::Uses;

/// The maximum number of tags that are read concurrently.
const MAX_CONCURRENT: usize = 16;
