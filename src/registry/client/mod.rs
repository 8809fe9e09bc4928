//! The client, the state it keeps per registry, and the loop that authorizes and sends a request.

mod config;
mod handshake;
mod host;
mod registry_client;
pub(crate) mod request;
mod send;

pub use config::ClientConfig;
pub use registry_client::Client;
pub(crate) use registry_client::PushIntent;
