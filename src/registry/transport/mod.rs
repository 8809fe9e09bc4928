//! Sends single requests: connections, TLS, proxies, redirects, bodies and retries.

pub(crate) mod addresses;
pub(crate) mod attempts;
pub(crate) mod cancel_token;
mod cleartext;
mod connections;
pub(crate) mod dispatch;
pub(crate) mod encoding;
pub(crate) mod exchange;
pub(crate) mod failure;
pub(crate) mod handle;
pub(crate) mod hosts;
pub(crate) mod idle;
pub(crate) mod pause;
mod preconnect;
mod proxies;
pub(crate) mod redact;
pub(crate) mod redirects;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod retry;
pub(crate) mod retry_group;
pub(crate) mod secrets;
pub(crate) mod tls;
mod traffic;
mod tunnel;

pub use cancel_token::CancelToken;
pub(crate) use handle::{Transport, TransportConfig};
pub use hosts::Hosts;
pub use redact::Secret;
pub use retry::RetryPolicy;
pub(crate) use retry_group::RetryGroup;
pub(crate) use secrets::Secrets;
pub use tls::Tls;
pub use traffic::Traffic;
