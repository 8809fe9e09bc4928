//! Checks whether an image or an index is sound: all of it is there, and is what it is said to be.

mod check;
mod finding;
mod job;
mod layers;
mod manifests;
mod unpack;
mod verifier;

pub use finding::{Finding, ImagePart, Problem};
pub use job::{Verification, VerifyOptions, verify};
