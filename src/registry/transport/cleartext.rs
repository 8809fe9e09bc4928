//! Warns before credentials are sent without TLS.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use url::Url;

use super::addresses::is_loopback;
use super::redact::host_of;

/// The hosts that the user has been warned about.
#[derive(Default)]
pub(crate) struct CleartextWarnings(Mutex<HashSet<String>>);

impl CleartextWarnings {
    /// Returns the host of a URL if data sent to it can be read in transit and the user has not been warned about it.
    pub(crate) fn first_exposure(&self, url: &Url) -> Option<String> {
        if !is_exposed(url) {
            return None;
        }
        let host = host_of(url);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(host.clone()).then_some(host)
    }
}

/// Whether data sent to a URL can be read in transit: without TLS, unless it stays on this machine.
fn is_exposed(url: &Url) -> bool {
    url.scheme() != "https" && !is_loopback(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_exposed_without_tls_unless_it_stays_on_this_machine() {
        for (url, exposed) in [
            ("https://r.io/", false),
            ("http://r.io/", true),
            ("http://10.0.0.1:5000/", true),
            ("http://[fd00::1]:5000/", true),
            ("http://0.0.0.0:5000/", true),
            ("http://localhost.r.io/", true),
            ("http://127.0.0.1.r.io/", true),
            ("http://127.1.2.3:5000/", false),
            ("http://[::1]:5000/", false),
            ("http://[::ffff:127.0.0.1]/", false),
            ("http://localhost:5000/", false),
        ] {
            assert_eq!(is_exposed(&url.parse().unwrap()), exposed, "{url}");
        }
    }
}
