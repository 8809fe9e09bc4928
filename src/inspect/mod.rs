//! Reads one reference: an image with its config, or an index with all its children, also as a tree with everything that
//! refers to them.

mod details;
mod job;
mod tree;
mod tree_node;

pub(crate) use details::config_details;
pub use job::{Child, Content, Image, InspectOptions, Inspection, config, fetch, inspect};
pub use tree::{TreeOptions, tree};
pub use tree_node::{NodeKind, TreeNode};
