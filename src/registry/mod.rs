//! A registry client: manifests, configs, mounts and blobs over the distribution protocol, signed in where wanted.
//!
//! OCI distribution-spec; Docker's token authentication.

mod addresses;
mod ahead;
mod answer;
mod ask;
mod blobs;
mod cleartext;
mod client;
mod connections;
mod encoding;
mod error;
mod exchange;
mod failure;
#[cfg(fuzzing)]
pub mod fuzzing;
mod group;
mod host;
mod hosts;
mod link;
mod lists;
mod manifests;
mod proxies;
mod push;
mod redact;
mod redirects;
mod retry;
mod secrets;
mod send;
mod sign_in;
mod silence;
mod stop;
mod stream;
mod tls;
mod tries;
mod uploads;

pub(crate) use ask::{Question, Told, Verb};
pub(crate) use blobs::{FoundBlob, blob_name};
pub use client::{Client, ClientConfig, Traffic};
pub use error::{Denial, Denied, Error, ErrorKind, RateLimit, Refusal, RegistryMessage};
pub(crate) use group::RetryGroup;
pub use hosts::Hosts;
pub use lists::TagList;
pub use redact::Secret;
pub use retry::RetryPolicy;
#[cfg(feature = "cli")]
pub(crate) use secrets::Secrets;
pub use sign_in::credentials::{CredentialSources, Given, Login};
#[cfg(feature = "cli")]
pub(crate) use sign_in::credentials::{HOME, Stored, erase, store};
pub use stop::{Stop, StopReason};
pub(crate) use stream::BlobStream;
pub use tls::Tls;
pub(crate) use uploads::{Mounting, Session};
