//! The client, what it knows of each registry, and the loop that signs and sends a request.

mod config;
mod handshake;
mod host;
mod registry_client;
pub(crate) mod request;
mod send;

pub use config::ClientConfig;
pub use registry_client::Client;
pub(crate) use registry_client::PushIntent;
