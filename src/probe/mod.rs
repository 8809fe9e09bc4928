//! Tests which features of multi-platform images a registry supports.

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
