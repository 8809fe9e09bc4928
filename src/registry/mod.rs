//! A registry client: manifests, configs, mounts and blobs over the distribution protocol, signed in where wanted.
//!
//! OCI distribution-spec; Docker's token authentication.

mod blobs;
mod challenge;
mod client;
mod credentials;
mod error;
mod manifests;
mod redact;
mod token;

pub use client::{Client, Options, Trace};
pub use credentials::{CredentialSources, Login};
pub use error::{Error, ErrorKind, RegistryMessage};
pub use manifests::Fetched;
pub use redact::Secret;
