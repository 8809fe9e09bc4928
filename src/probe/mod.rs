//! Finds out by trying what a registry does with images for several platforms.

mod check;
mod forms;
mod job;
mod repository;
mod samples;
mod tags;
mod trial;
mod ways;

pub use job::probe;
pub use trial::{ProbeOptions, Report};
