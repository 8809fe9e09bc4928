//! Turns connection errors into messages, and decides whether a retry may help.

use std::error::Error as StdError;

use super::addresses::ForbiddenAddress;
use super::redact::host_of;
use super::retry;
use super::tls::describe;
use crate::image::one_line;
use crate::registry::error::{Hint, TransportFault};

/// Why a request was not sent or got no response.
pub(crate) struct Failure {
    /// The message, on one line.
    pub(crate) reason: String,
    pub(crate) fault: Option<TransportFault>,
    /// Whether a retry may help. It does not if the two sides are incompatible, as with a refused certificate, or if
    /// the resolver reports that the name does not exist.
    pub(crate) is_transient: bool,
    /// Whether the connection went through a proxy, which may have caused the failure.
    is_through_proxy: bool,
}

impl Failure {
    /// Creates a failure that a retry does not change.
    pub(crate) fn permanent(reason: String) -> Self {
        Self { reason, fault: None, is_transient: false, is_through_proxy: false }
    }

    /// Creates the failure for a server that sent no data within the idle timeout.
    pub(crate) fn idle_timeout(reason: String) -> Self {
        Self { fault: Some(TransportFault::IdleTimeout), is_transient: true, ..Self::permanent(reason) }
    }

    /// Creates the failure of a plain HTTP request to a server that speaks TLS.
    pub(crate) fn speaks_tls(host: &str) -> Self {
        let failure = Self::permanent(format!("{host} speaks TLS, not plain HTTP"));
        Self { fault: Some(TransportFault::SpeaksTls), ..failure }
    }

    /// Classifies an error from reqwest.
    pub(crate) fn from_reqwest(error: &reqwest::Error) -> Self {
        let host = error.url().map(host_of).unwrap_or_default();
        if let Some(tls) = causes(error).find_map(|cause| cause.downcast_ref::<rustls::Error>()) {
            let (reason, fault) = describe(tls, &host);
            return Self { fault, ..Self::permanent(one_line(&reason)) };
        }
        if causes(error).any(is_closed_in_handshake) {
            let failure = Self::permanent(format!("{host} closed the connection during the TLS handshake"));
            return Self { fault: Some(TransportFault::ClosedInHandshake), is_transient: true, ..failure };
        }
        Self::plain_http(error, &host).unwrap_or_else(|| {
            let (reason, fault) = innermost(error);
            let is_permanent = error.is_builder()
                || causes(error).any(|cause| cause.is::<ForbiddenAddress>())
                || matches!(fault, Some(TransportFault::HostNotFound | TransportFault::ProxyCredentials));
            Self { fault, is_transient: !is_permanent, ..Self::permanent(reason) }
        })
    }

    /// Classifies an error of a plain HTTP request, if the cause may be that the server requires TLS.
    fn plain_http(error: &reqwest::Error, host: &str) -> Option<Self> {
        if error.url().is_none_or(|url| url.scheme() != "http") {
            return None;
        }
        let fault = Some(TransportFault::TlsRequired);
        let hyper_error = causes(error).find_map(|cause| cause.downcast_ref::<hyper::Error>());
        if hyper_error.is_some_and(hyper::Error::is_parse) {
            return Some(Self { fault, ..Self::permanent(format!("{host} did not answer with HTTP")) });
        }
        // OpenSSL servers close the connection on a plain HTTP request. Other servers may do so temporarily.
        let is_closed = hyper_error.is_some_and(hyper::Error::is_incomplete_message) || causes(error).any(is_reset);
        is_closed.then(|| Self { fault, is_transient: true, ..Self::permanent(innermost(error).0) })
    }

    /// Returns the hint for the user. `may_skip` is whether the certificate checks can be skipped for the host.
    pub(crate) fn hint(&self, may_skip: bool) -> Option<Hint> {
        match self.fault {
            None
            | Some(TransportFault::HostNotFound | TransportFault::ProxyCredentials | TransportFault::ProxyRefused)
                if self.is_through_proxy =>
            {
                Some(Hint::CheckProxy)
            }
            fault => fault?.hint(may_skip),
        }
    }

    /// Adds that the server requested a client certificate, if the lack of one may have caused the failure.
    pub(crate) fn for_lack_of_identity(self, error: &reqwest::Error) -> Self {
        use TransportFault::{ClientCertificate, ClosedInHandshake, NoSharedParameters};
        let may_be_the_cause = match self.fault {
            // In TLS 1.2, OpenSSL sends the alert "handshake failure" if the client has no certificate.
            Some(NoSharedParameters | ClientCertificate | ClosedInHandshake) => true,
            Some(_) => false,
            None => !error.is_connect() && !error.is_timeout(),
        };
        if !may_be_the_cause {
            return self;
        }
        let host = error.url().map(host_of).unwrap_or_default();
        let requested = format!("{host} requested a client certificate, but none is configured for it");
        let reason = match self.fault {
            Some(_) => requested,
            // The request may have failed for a different reason.
            None => format!("{} ({requested})", self.reason),
        };
        Self { reason, fault: Some(ClientCertificate), ..self }
    }

    /// Whether a proxy refused to connect to the server.
    pub(crate) fn is_proxy_refusal(&self) -> bool {
        self.fault == Some(TransportFault::ProxyRefused)
    }

    /// Adds the status with which the proxy refused to connect.
    pub(crate) fn refused_with(self, status: u16) -> Self {
        let reason = format!("{}: HTTP {status}", self.reason);
        Self { reason, is_transient: retry::is_transient(status), ..self }
    }

    /// Adds that the connection went through a proxy, which may have caused the failure.
    pub(crate) fn through(self, proxy: &str) -> Self {
        Self { reason: format!("{} (through the proxy {proxy})", self.reason), is_through_proxy: true, ..self }
    }
}

/// Iterates over an error and its causes, outermost first.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    let first: &(dyn StdError + 'static) = error;
    std::iter::successors(Some(first), |&cause| {
        // `source()` of an `io::Error` skips the error that it wraps.
        let inner = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        inner.map_or_else(|| cause.source(), |inner| Some(inner))
    })
}

/// Whether the server reset the connection, as some do after data that they cannot parse.
fn is_reset(cause: &(dyn StdError + 'static)) -> bool {
    let kind = cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    kind == Some(std::io::ErrorKind::ConnectionReset)
}

/// Whether the server closed the connection during the handshake. tokio-rustls 0.26 has no type for this error, so this
/// matches its text.
fn is_closed_in_handshake(cause: &(dyn StdError + 'static)) -> bool {
    cause.downcast_ref::<std::io::Error>().is_some_and(|error| {
        error.kind() == std::io::ErrorKind::UnexpectedEof && error.to_string() == "tls handshake eof"
    })
}

/// Returns the innermost cause: the outer layers of an HTTP error only report that sending failed, and repeat the URL.
/// Matches the texts of other crates for errors that have no public type.
fn innermost(error: &reqwest::Error) -> (String, Option<TransportFault>) {
    if error.is_timeout() && error.source().is_none() {
        return ("timed out".to_owned(), None);
    }
    let Some(cause) = causes(error).last() else { return (String::new(), None) };
    let text = cause.to_string();
    // For a missing close_notify, rustls 0.23 has a long text with a link.
    if text.contains("close_notify") {
        return ("the connection was closed before the end of the response".to_owned(), None);
    }
    let text = text.split(" (os error").next().unwrap_or_default();
    if let Some((_, name)) = TLS_PREFIXES.iter().find_map(|prefix| text.split_once(prefix)) {
        return (format!("TLS failed: {}", split_words(name)), None);
    }
    if let Some((_, meaning, fault)) = PROXY_ERRORS.iter().find(|(error, ..)| *error == text) {
        return (one_line(meaning), *fault);
    }
    let is_unknown_name = UNKNOWN_NAME_TEXTS.iter().any(|unknown| text.contains(unknown));
    (one_line(text), is_unknown_name.then_some(TransportFault::HostNotFound))
}

/// The texts of glibc, musl and macOS for EAI_NONAME of getaddrinfo (unknown host name), for which std has no code.
const UNKNOWN_NAME_TEXTS: [&str; 3] =
    ["Name or service not known", "Name does not resolve", "nodename nor servname provided"];

/// The texts before an error name in the errors of rustls 0.23. HTTP/2 connections pass errors on only as text.
const TLS_PREFIXES: [&str; 4] =
    ["received fatal alert: ", "peer misbehaved: ", "peer is incompatible: ", "received corrupt message of type "];

/// Splits a name such as `BadCertificate` into lower-case words.
fn split_words(name: &str) -> String {
    let mut words = String::new();
    for character in name.chars().take(80) {
        if character.is_uppercase() && words.ends_with(char::is_lowercase) {
            words.push(' ');
        }
        words.push(character);
    }
    one_line(&words.to_lowercase())
}

/// The error texts of hyper-util 0.1's proxy connectors, whose types are not public, and their meanings.
const PROXY_ERRORS: [(&str, &str, Option<TransportFault>); 7] = [
    (
        "tunnel error: proxy authorization required",
        "the proxy requires credentials (HTTP 407)",
        Some(TransportFault::ProxyCredentials),
    ),
    ("tunnel error: unsuccessful", "the proxy refused to connect", Some(TransportFault::ProxyRefused)),
    ("tunnel error: unexpected end of file", "the proxy closed the connection", None),
    ("SOCKS error: failed to create underlying connection", "cannot connect to the proxy", None),
    ("SOCKS error: io error during SOCKS handshake", "the proxy closed the connection", None),
    (
        "SOCKS error: server does not support user/pass authentication",
        "the proxy requires credentials, or does not accept a user and password",
        Some(TransportFault::ProxyCredentials),
    ),
    (
        "SOCKS error: credentials not accepted",
        "the proxy refused the credentials",
        Some(TransportFault::ProxyCredentials),
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_name_is_split_into_lower_case_words() {
        for (name, words) in [
            ("BadCertificate", "bad certificate"),
            ("UnknownCA", "unknown ca"),
            ("Unknown(0x01)", "unknown(0x01)"),
            ("", ""),
        ] {
            assert_eq!(split_words(name), words);
        }
    }
}
