//! A registry client: manifests, configs, mounts and blobs over the distribution protocol, signed in where wanted.
//!
//! OCI distribution-spec; Docker's token authentication.
//!
//! Layers, each of which imports only from those below it; no two files import each other, directly or through others:
//!
//! - `api`: the requests of the distribution-spec, as methods of [`Client`].
//! - `client`: [`Client`], what is known of each registry, and the loop that signs and sends a request.
//! - `auth`: challenges, tokens and credentials.
//! - `transport`: one request on the wire: connections, TLS, proxies, redirects, bodies, retries.
//! - `error`: [`Error`], and what a registry says of a request that it refuses.

mod api;
mod auth;
mod client;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
mod transport;

pub use api::TagList;
pub(crate) use api::{BlobStream, FoundBlob, Mounting, RawRequest, RawResponse, Session, Verb, blob_name};
pub use auth::credentials::{CredentialSources, ExplicitCredentials, Login};
pub(crate) use auth::credentials::{HOME, Stored, erase, store};
pub(crate) use client::PushIntent;
pub use client::{Client, ClientConfig};
pub use error::{
    CredentialOrigin, Denial, Denied, Error, ErrorKind, ErrorResponse, Hint, RateLimit, RegistryMessage, StopReason,
    TransportFault,
};
pub use transport::{CancelToken, Hosts, RetryPolicy, Secret, Tls, Traffic};
pub(crate) use transport::{RetryGroup, Secrets};
