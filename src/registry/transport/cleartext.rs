//! The warning before credentials are sent without TLS.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use url::Url;

use super::addresses::is_loopback;
use super::redact::host_of;
use crate::event::Event;
use crate::registry::client::registry_client::Client;

/// Hosts that the user has been warned of.
#[derive(Default)]
pub(crate) struct Warned(Mutex<HashSet<String>>);

impl Client {
    /// Warns, once for a host, that credentials are about to be sent to it where others can read them.
    pub(crate) fn warn_of_cleartext(&self, url: &Url) {
        if !is_exposed(url) {
            return;
        }
        let host = host_of(url);
        if self.cleartext().0.lock().unwrap_or_else(PoisonError::into_inner).insert(host.clone()) {
            self.emit(|| Event::CleartextCredentials { host });
        }
    }
}

/// Whether what is sent to a URL can be read on its way: without TLS, unless it stays on this machine.
fn is_exposed(url: &Url) -> bool {
    url.scheme() != "https" && !is_loopback(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_on_this_machine_is_not_exposed() {
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
