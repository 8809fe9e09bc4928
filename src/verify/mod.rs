//! Verifies that an image or index is complete and that its content matches its descriptors.

mod check;
mod finding;
mod job;
mod layers;
mod manifests;
mod referrers;
mod unpack;
mod verifier;

pub use finding::{Finding, ImagePart, Problem};
pub use job::{Verification, VerifyOptions, verify};
