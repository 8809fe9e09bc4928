//! TLS configuration: which server certificates are accepted, and the client certificate.

mod certificate;
mod config;
mod describe;
mod files;
mod identity;
mod verifier;

pub use config::Tls;
pub(crate) use config::TlsMode;
pub(crate) use describe::describe;
pub(crate) use identity::NoIdentity;
