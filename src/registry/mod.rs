//! A registry client: manifests, configs, mounts and blobs over the distribution protocol, signed in where wanted.
//!
//! OCI distribution-spec; Docker's token authentication.

mod answer;
mod blobs;
mod challenge;
mod client;
mod connections;
mod credentials;
mod error;
mod exchange;
mod manifests;
mod realm;
mod redact;
mod scopes;
mod sign_in;
mod token;

pub use client::{Client, Options, Trace};
pub use connections::Tls;
pub use credentials::{CredentialSources, Given, Login, Stored, erase, store};
pub use error::{Denial, Denied, Error, ErrorKind, RegistryMessage};
pub use manifests::Fetched;
pub use redact::Secret;
