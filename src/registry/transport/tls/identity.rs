//! Where the client has no certificate of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;

/// Has no certificate for a server that asks for one, and remembers that it asked. With TLS 1.3 such a server may close
/// the connection only after the handshake, and its alert may be lost.
#[derive(Debug, Clone, Default)]
pub(crate) struct NoIdentity(Arc<AtomicBool>);

impl NoIdentity {
    pub(crate) fn was_asked_for(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl ResolvesClientCert for NoIdentity {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.store(true, Ordering::Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}
