//! The client, the state it keeps per registry, and the loop that authorizes and sends a request.

mod config;
mod handshake;
mod host;
mod mirror_state;
mod mirrors;
mod registries_conf;
mod registry_client;
pub(crate) mod request;
mod send;

pub use config::ClientConfig;
pub use registries_conf::RegistriesConf;
pub use registry_client::Client;
pub(crate) use registry_client::PushIntent;
