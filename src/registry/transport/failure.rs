//! Turns the errors of connections into messages, and decides whether another try may help.

use std::error::Error as StdError;

use super::addresses::ForbiddenAddress;
use super::redact::host_of;
use super::tls::words;
use crate::image::one_line;
use crate::registry::error::{Hint, TransportFault};

/// Why a request was not sent, or not answered.
pub(crate) struct Failure {
    /// The message, on one line.
    pub(crate) reason: String,
    pub(crate) fault: Option<TransportFault>,
    /// Another try may help: not where the two sides do not understand each other, as with a refused certificate, nor
    /// where the resolver says that the name does not exist.
    pub(crate) is_transient: bool,
    /// The connection failed on its way through a proxy, which may be what the reason is about.
    is_through_proxy: bool,
}

impl Failure {
    /// A failure that another try does not change.
    pub(crate) fn lasting(reason: String) -> Self {
        Self { reason, fault: None, is_transient: false, is_through_proxy: false }
    }

    /// The failure of a server that sent nothing within the idle timeout.
    pub(crate) fn silent(reason: String) -> Self {
        Self { fault: Some(TransportFault::Silent), is_transient: true, ..Self::lasting(reason) }
    }

    /// Reads an error of reqwest.
    pub(crate) fn of(error: &reqwest::Error) -> Self {
        let host = error.url().map(host_of).unwrap_or_default();
        if let Some(tls) = causes(error).find_map(|cause| cause.downcast_ref::<rustls::Error>()) {
            let (reason, fault) = words(tls, &host);
            return Self { fault, ..Self::lasting(one_line(&reason)) };
        }
        if causes(error).any(is_end_of_handshake) {
            let failure = Self::lasting(format!("{host} closed the connection in the TLS handshake"));
            return Self { fault: Some(TransportFault::ClosedInHandshake), is_transient: true, ..failure };
        }
        Self::without_tls(error, &host).unwrap_or_else(|| {
            let (reason, fault) = innermost(error);
            let is_lasting = error.is_builder()
                || causes(error).any(|cause| cause.is::<ForbiddenAddress>())
                || matches!(fault, Some(TransportFault::UnknownName | TransportFault::ProxyCredentials));
            Self { fault, is_transient: !is_lasting, ..Self::lasting(reason) }
        })
    }

    /// Reads an error of a request without TLS, if it may be one of a server that speaks TLS.
    fn without_tls(error: &reqwest::Error, host: &str) -> Option<Self> {
        if error.url().is_none_or(|url| url.scheme() != "http") {
            return None;
        }
        let fault = Some(TransportFault::SpeaksTls);
        let of_hyper = causes(error).find_map(|cause| cause.downcast_ref::<hyper::Error>());
        if of_hyper.is_some_and(hyper::Error::is_parse) {
            return Some(Self { fault, ..Self::lasting(format!("{host} did not answer with HTTP")) });
        }
        // What OpenSSL's servers do with a request without TLS; others do it as well, for a moment.
        let is_closed = of_hyper.is_some_and(hyper::Error::is_incomplete_message) || causes(error).any(is_reset);
        is_closed.then(|| Self { fault, is_transient: true, ..Self::lasting(innermost(error).0) })
    }

    /// What the user can do about it. `may_skip` is whether the check of certificates can be skipped for the host.
    pub(crate) fn hint(&self, may_skip: bool) -> Option<Hint> {
        match self.fault {
            None | Some(TransportFault::UnknownName | TransportFault::ProxyCredentials) if self.is_through_proxy => {
                Some(Hint::CheckProxy)
            }
            fault => fault?.hint(may_skip),
        }
    }

    /// Adds that the server asked for a client certificate, if the failure may be the server's answer to having none.
    pub(crate) fn without_identity(self, error: &reqwest::Error) -> Self {
        use TransportFault::{ClientCertificate, ClosedInHandshake, NothingInCommon};
        let may_be_its_answer = match self.fault {
            // In TLS 1.2, "handshake failure" is OpenSSL's alert for it.
            Some(NothingInCommon | ClientCertificate | ClosedInHandshake) => true,
            Some(_) => false,
            None => !error.is_connect() && !error.is_timeout(),
        };
        if !may_be_its_answer {
            return self;
        }
        let host = error.url().map(host_of).unwrap_or_default();
        let asked = format!("{host} asked for a client certificate, and none is configured for it");
        let reason = match self.fault {
            Some(_) => asked,
            // The request may have failed for another reason.
            None => format!("{} ({asked})", self.reason),
        };
        Self { reason, fault: Some(ClientCertificate), ..self }
    }

    /// Adds that the connection went through a proxy, which may have done what the message says.
    pub(crate) fn through(self, proxy: &str) -> Self {
        Self { reason: format!("{} (through the proxy {proxy})", self.reason), is_through_proxy: true, ..self }
    }
}

/// The error and what it was made of, from the outside in.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    let first: &(dyn StdError + 'static) = error;
    std::iter::successors(Some(first), |&cause| {
        // What an `io::Error` was made of is not its source: `source()` skips it.
        let inner = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        inner.map_or_else(|| cause.source(), |inner| Some(inner))
    })
}

/// Whether the server reset the connection, as some do with what they cannot read.
fn is_reset(cause: &(dyn StdError + 'static)) -> bool {
    let kind = cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    kind == Some(std::io::ErrorKind::ConnectionReset)
}

/// Whether the server closed the connection in the handshake: the words of tokio-rustls 0.26, which has no type for it.
fn is_end_of_handshake(cause: &(dyn StdError + 'static)) -> bool {
    cause.downcast_ref::<std::io::Error>().is_some_and(|error| {
        error.kind() == std::io::ErrorKind::UnexpectedEof && error.to_string() == "tls handshake eof"
    })
}

/// The innermost reason: the outer layers of an HTTP error only say that sending failed, and repeat the URL. This is the
/// only place that reads the words of other crates, for errors that have no public type.
fn innermost(error: &reqwest::Error) -> (String, Option<TransportFault>) {
    if error.is_timeout() && error.source().is_none() {
        return ("timed out".to_owned(), None);
    }
    let Some(cause) = causes(error).last() else { return (String::new(), None) };
    let text = cause.to_string();
    // rustls 0.23 explains at length, with a link, that the end of the stream was not announced.
    if text.contains("close_notify") {
        return ("the connection was closed before the end of the answer".to_owned(), None);
    }
    let text = text.split(" (os error").next().unwrap_or_default();
    if let Some((_, name)) = TLS_WORDS.iter().find_map(|words| text.split_once(words)) {
        return (format!("TLS failed: {}", in_words(name)), None);
    }
    if let Some((_, plain, fault)) = PROXY_WORDS.iter().find(|(words, ..)| *words == text) {
        return (one_line(plain), *fault);
    }
    let is_unknown_name = UNKNOWN_NAME_WORDS.iter().any(|words| text.contains(words));
    (one_line(text), is_unknown_name.then_some(TransportFault::UnknownName))
}

/// How glibc, musl and macOS word getaddrinfo's EAI_NONAME, that a host name does not exist; std has no code for it.
const UNKNOWN_NAME_WORDS: [&str; 3] =
    ["Name or service not known", "Name does not resolve", "nodename nor servname provided"];

/// What stands before a name in the errors of rustls 0.23. HTTP/2 connections pass an error on as text only.
const TLS_WORDS: [&str; 4] =
    ["received fatal alert: ", "peer misbehaved: ", "peer is incompatible: ", "received corrupt message of type "];

/// Splits a name such as `BadCertificate` into words.
fn in_words(name: &str) -> String {
    let mut words = String::new();
    for character in name.chars().take(80) {
        if character.is_uppercase() && words.ends_with(char::is_lowercase) {
            words.push(' ');
        }
        words.push(character);
    }
    one_line(&words.to_lowercase())
}

/// What the connectors to proxies of hyper-util 0.1 say, whose types are not public, and what that means.
const PROXY_WORDS: [(&str, &str, Option<TransportFault>); 7] = [
    (
        "tunnel error: proxy authorization required",
        "the proxy requires credentials (HTTP 407)",
        Some(TransportFault::ProxyCredentials),
    ),
    ("tunnel error: unsuccessful", "the proxy refused to connect", None),
    ("tunnel error: unexpected end of file", "the proxy closed the connection", None),
    ("SOCKS error: failed to create underlying connection", "no connection to the proxy", None),
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
    fn names_in_words() {
        for (name, words) in [
            ("BadCertificate", "bad certificate"),
            ("UnknownCA", "unknown ca"),
            ("Unknown(0x01)", "unknown(0x01)"),
            ("", ""),
        ] {
            assert_eq!(in_words(name), words);
        }
    }
}
