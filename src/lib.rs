#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]
//! Puts one multi-platform reference, a Docker manifest list or an OCI image index, in front of images that were
//! built per platform.

pub mod assemble;
pub mod cli;
pub mod copy;
pub mod delete;
pub mod image;
pub mod inspect;
pub mod layout;
mod once;
pub mod output;
pub mod probe;
pub mod query;
pub mod registry;
pub mod spec;
pub mod store;
pub mod verify;
