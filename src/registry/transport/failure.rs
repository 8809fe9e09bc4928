//! Puts the errors of connections into words, and tells after which of them another try may help.

use std::error::Error as StdError;

use super::addresses::ForbiddenAddress;
use super::redact::host_of;
use super::tls::words;
use crate::image::one_line;
use crate::registry::error::Fault;

/// Why a request was not sent, or not answered.
pub(crate) struct Failure {
    /// In words, on one line.
    pub(crate) reason: String,
    pub(crate) fault: Option<Fault>,
    /// Another try may help: not where the two sides do not understand each other, as with a refused certificate, nor
    /// where the resolver says that the name does not exist.
    pub(crate) is_transient: bool,
}

impl Failure {
    /// Reads an error of reqwest.
    pub(crate) fn of(error: &reqwest::Error) -> Self {
        let host = error.url().map(host_of).unwrap_or_default();
        let is_plain = error.url().is_some_and(|url| url.scheme() == "http");
        if let Some(tls) = causes(error).find_map(|cause| cause.downcast_ref::<rustls::Error>()) {
            let (reason, fault) = words(tls, &host);
            return Self { reason: one_line(&reason), fault, is_transient: false };
        }
        if causes(error).any(is_end_of_handshake) {
            let reason = format!("{host} closed the connection in the TLS handshake");
            return Self { reason, fault: Some(Fault::ClosedInHandshake), is_transient: true };
        }
        let of_hyper = causes(error).find_map(|cause| cause.downcast_ref::<hyper::Error>());
        if is_plain && of_hyper.is_some_and(hyper::Error::is_parse) {
            let reason = format!("{host} did not answer with HTTP");
            return Self { reason, fault: Some(Fault::SpeaksTls), is_transient: false };
        }
        // What OpenSSL's servers do with a request without TLS; others do it as well, for a moment.
        let is_closed = is_plain && of_hyper.is_some_and(hyper::Error::is_incomplete_message);
        let is_reset = is_plain && causes(error).any(is_reset);
        let reason = innermost(error);
        let is_lasting = error.is_builder()
            || causes(error).any(|cause| cause.is::<ForbiddenAddress>())
            || is_unknown_name(&reason)
            || LASTING_PROXY_WORDS.contains(&reason.as_str());
        Self { reason, fault: (is_closed || is_reset).then_some(Fault::SpeaksTls), is_transient: !is_lasting }
    }
}

/// Whether a reason is that a host name does not exist: getaddrinfo's EAI_NONAME, as glibc, musl and macOS word it; std
/// has no code for it.
pub(crate) fn is_unknown_name(reason: &str) -> bool {
    let words = ["Name or service not known", "Name does not resolve", "nodename nor servname provided"];
    words.iter().any(|words| reason.contains(words))
}

impl Failure {
    /// Adds that the server asked for a client certificate, if the failure may be the server's answer to having none.
    pub(crate) fn without_identity(self, error: &reqwest::Error) -> Self {
        let may_be_its_answer = match self.fault {
            // In TLS 1.2, "handshake failure" is OpenSSL's alert for it.
            Some(Fault::NothingInCommon | Fault::ClientCertificate | Fault::ClosedInHandshake) => true,
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
        Self { reason, fault: Some(Fault::ClientCertificate), ..self }
    }

    /// Adds that the connection went through a proxy, which may have done what the message says.
    pub(crate) fn through(self, proxy: &str) -> Self {
        let reason = format!("{} (through the proxy {proxy})", self.reason);
        Self { reason, fault: self.fault.or(Some(Fault::Proxy)), ..self }
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

/// Whether the server closed the connection in the handshake. tokio-rustls has no type for it.
fn is_end_of_handshake(cause: &(dyn StdError + 'static)) -> bool {
    cause.downcast_ref::<std::io::Error>().is_some_and(|error| {
        error.kind() == std::io::ErrorKind::UnexpectedEof && error.to_string() == "tls handshake eof"
    })
}

/// The innermost reason: the outer layers of an HTTP error only say that sending failed, and repeat the URL.
fn innermost(error: &reqwest::Error) -> String {
    if error.is_timeout() && error.source().is_none() {
        return "timed out".to_owned();
    }
    let Some(cause) = causes(error).last() else { return String::new() };
    let text = cause.to_string();
    // rustls explains at length, with a link, that the end of the stream was not announced.
    if text.contains("close_notify") {
        return "the connection was closed before the end of the answer".to_owned();
    }
    let text = text.split(" (os error").next().unwrap_or_default();
    if let Some((_, name)) = TLS_WORDS.iter().find_map(|words| text.split_once(words)) {
        return format!("TLS failed: {}", in_words(name));
    }
    let of_proxy = PROXY_WORDS.iter().find(|(words, _)| *words == text);
    one_line(of_proxy.map_or(text, |(_, plain)| plain))
}

/// What stands before a name in rustls's errors. HTTP/2 connections pass an error on as text only.
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

/// Those of [`PROXY_WORDS`] that another try does not change.
const LASTING_PROXY_WORDS: [&str; 3] = [
    "the proxy requires credentials (HTTP 407)",
    "the proxy requires credentials, or does not accept a user and password",
    "the proxy refused the credentials",
];

/// What hyper-util's connectors to proxies say, whose types are not public, and what that means.
const PROXY_WORDS: [(&str, &str); 7] = [
    ("tunnel error: proxy authorization required", "the proxy requires credentials (HTTP 407)"),
    ("tunnel error: unsuccessful", "the proxy refused to connect"),
    ("tunnel error: unexpected end of file", "the proxy closed the connection"),
    ("SOCKS error: failed to create underlying connection", "no connection to the proxy"),
    ("SOCKS error: io error during SOCKS handshake", "the proxy closed the connection"),
    (
        "SOCKS error: server does not support user/pass authentication",
        "the proxy requires credentials, or does not accept a user and password",
    ),
    ("SOCKS error: credentials not accepted", "the proxy refused the credentials"),
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
