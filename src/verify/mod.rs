//! Checks whether an image or an index is sound: all of it is there, and is what it is said to be.

mod check;
mod finding;
mod job;
mod layers;
mod manifests;
mod unpack;
mod work;

pub use finding::{Fault, Finding, Part};
pub use job::{Verification, VerifyOptions, verify};
