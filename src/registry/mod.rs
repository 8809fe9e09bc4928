//! A registry client: manifests, configs, mounts and blobs over the OCI distribution-spec, with Docker's token
//! authentication for registries that require sign-in.
//!
//! Each layer imports only from the layers below it, and no two files import each other, directly or indirectly:
//!
//! - `api`: the requests of the distribution-spec, as methods of [`Client`].
//! - `client`: [`Client`], the state kept per registry, and the loop that authorizes and sends a request.
//! - `auth`: challenges, tokens and credentials.
//! - `transport`: one request on the wire: connections, TLS, proxies, redirects, bodies, retries.
//! - `error`: [`Error`], and the error responses of registries.

mod api;
mod auth;
mod client;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
mod transport;

pub use api::TagList;
pub(crate) use api::{
    BlobInfo, BlobStream, Guard, MAX_TAGS, MountOutcome, RawRequest, RawResponse, TagState, TagsPushed, UploadSession,
    Verb, blob_name,
};
pub use auth::credentials::{CredentialSources, ExplicitCredentials, Login, ScopedCredentials, ScopedSource};
pub(crate) use auth::credentials::{HOME, Stored, erase, store};
pub(crate) use client::PushIntent;
pub use client::{Client, ClientConfig, RegistriesConf};
pub use error::{
    CredentialOrigin, Denial, Denied, Error, ErrorKind, ErrorResponse, Hint, RateLimit, RegistryMessage, StopReason,
    TransportFault,
};
pub use transport::{CancelToken, Hosts, RetryPolicy, Secret, Tls, Traffic};
pub(crate) use transport::{RetryGroup, Secrets};
