//! Detects that a server requests a client certificate when none is configured.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;

/// Presents no client certificate, and remembers whether a server requested one. With TLS 1.3 such a server may close
/// the connection only after the handshake, and its alert may be lost.
#[derive(Debug, Clone, Default)]
pub(crate) struct NoIdentity(Arc<AtomicBool>);

impl NoIdentity {
    pub(crate) fn was_requested(&self) -> bool {
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
