//! Verifies that an image or index is complete and that its content matches its descriptors.

mod check;
mod context;
mod finding;
mod known_content;
mod layers;
mod manifests;
mod node;
mod options;
mod reference;
mod referrer_checks;
mod referrers;
mod signatures;
mod verification;
mod verifier;

pub use finding::{Finding, ImagePart, Problem};
pub use options::VerifyOptions;
pub use referrer_checks::{ImageSignatures, ListedSignature};
pub use verification::Verification;
pub use verifier::{Verifier, verify};
