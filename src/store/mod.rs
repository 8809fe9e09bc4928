//! One interface to registries, OCI layouts and archives, for jobs to read from and write to.

mod artifact;
mod attach_signature;
mod backend;
mod blob_source;
mod blobs;
mod causes;
mod choose;
mod copy_referrers;
mod error;
mod layout_backend;
mod memory_blob;
mod multi_tag;
mod open_files;
mod place;
mod precondition;
mod publication;
mod publish;
mod publish_together;
mod referrers;
mod registry_backend;
mod retry;
mod run;
mod signature_check;
mod signatures;
mod source_manifest;
#[allow(clippy::module_inception, reason = "the module is named after its main type, which has this file to itself")]
mod store;
mod transfers;
mod tree;

pub(crate) use artifact::ARTIFACT_MANIFEST;
pub(crate) use blob_source::BlobStream;
pub(crate) use causes::{CauseGroup, Hit, by_cause, lines};
pub(crate) use copy_referrers::COSIGN_SUFFIXES;
pub use error::Error;
pub(crate) use multi_tag::MultiTag;
pub use precondition::IfMatch;
pub(crate) use publication::{Publication, TagTarget};
pub use publication::{PublishError, PublishReport, TagOutcome, TagReport};
pub(crate) use run::{OnStep, Run};
pub(crate) use signature_check::{Refusal, SignedImage};
pub(crate) use signatures::{FoundSignatures, StoredSignature};
pub use signatures::{SignatureHolder, SignatureKind};
pub(crate) use source_manifest::SourceManifest;
pub use store::Store;
