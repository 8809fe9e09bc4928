//! A registry client: manifests, configs, mounts and blobs over the distribution protocol, signed in where wanted.
//!
//! OCI distribution-spec; Docker's token authentication.

mod ahead;
mod answer;
mod blobs;
mod client;
mod connections;
mod error;
mod exchange;
mod manifests;
mod redact;
mod retry;
mod sign_in;
mod stop;

pub use client::{Client, DEFAULT_CONCURRENCY, DEFAULT_SILENCE, Options, Trace, Traffic};
pub use connections::Tls;
pub use error::{Denial, Denied, Error, ErrorKind, RegistryMessage};
pub use manifests::Fetched;
pub use redact::Secret;
pub use retry::RetryPolicy;
pub use sign_in::credentials::{CredentialSources, Given, Login, Stored, erase, store};
pub use stop::{Stop, StopReason};
