//! Reads one reference: an image with its config, or an index with all its children.

mod details;
mod job;

pub(crate) use details::config_details;
pub use job::{Child, Content, Image, InspectOptions, Inspection, config, fetch, inspect};
