//! The client, what it knows of each registry, and the loop that signs and sends a request.

pub(crate) mod host;
pub(crate) mod registry_client;
pub(crate) mod send;

pub use registry_client::{Client, ClientConfig, Traffic};
