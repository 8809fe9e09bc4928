//! How TLS connections are made: which server certificates are accepted, and the client's own certificate.

mod certificate;
mod config;
mod files;
mod identity;
mod verifier;
mod words;

pub use config::Tls;
pub(crate) use config::TlsMode;
pub(crate) use identity::NoIdentity;
pub(crate) use words::words;
