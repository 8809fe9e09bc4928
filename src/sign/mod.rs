//! Signs images and indexes with a private key, so that cosign and `verify` find the signatures.

mod error;
mod job;
mod report;
mod subjects;

pub use error::{Error, Incomplete};
pub use job::{SignOptions, SignRequest, SignatureForm, sign};
pub use report::{SignOutcome, SignReport, SignedManifest};
