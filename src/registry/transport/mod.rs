//! One request on the wire: connections, TLS, proxies, redirects, bodies, retries.

pub(crate) mod addresses;
pub(crate) mod answer;
pub(crate) mod cleartext;
pub(crate) mod connections;
pub(crate) mod encoding;
pub(crate) mod exchange;
pub(crate) mod failure;
pub(crate) mod hosts;
pub(crate) mod idle;
mod preconnect;
mod proxies;
pub(crate) mod redact;
pub(crate) mod redirects;
pub(crate) mod retry;
pub(crate) mod retry_group;
pub(crate) mod secrets;
pub(crate) mod stop;
pub(crate) mod tls;
pub(crate) mod tries;

pub use hosts::Hosts;
pub use redact::Secret;
pub use retry::RetryPolicy;
pub(crate) use retry_group::RetryGroup;
pub(crate) use secrets::Secrets;
pub use stop::Stop;
pub use tls::Tls;
