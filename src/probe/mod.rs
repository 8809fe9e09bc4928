//! Finds out by trying what a registry does with images for several platforms.

mod behaviour;
mod check;
mod index_types;
mod job;
mod report;
mod repository;
mod samples;
mod tags;

pub use job::probe;
pub use report::{ProbeOptions, ProbeReport};
