//! Puts TLS errors into words: rustls shows them by the names of its own types.

use std::time::{Duration, UNIX_EPOCH};

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

use super::verifier::Flaw;
use crate::registry::error::TransportFault;

/// Says why TLS with a host failed.
pub(crate) fn words(error: &Error, host: &str) -> (String, Option<TransportFault>) {
    match error {
        Error::InvalidCertificate(reason) => of_certificate(reason, host),
        Error::NoCertificatesPresented => (format!("{host} sent no certificate"), Some(TransportFault::Certificate)),
        Error::AlertReceived(alert) => of_alert(*alert, host),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            (format!("{host} did not answer with TLS"), Some(TransportFault::NotTls))
        }
        Error::PeerIncompatible(why) => (incompatible(why, host), Some(TransportFault::NothingInCommon)),
        Error::NoApplicationProtocol => (format!("{host} speaks neither HTTP/1.1 nor HTTP/2"), None),
        Error::PeerMisbehaved(_)
        | Error::InvalidMessage(_)
        | Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. }
        | Error::PeerSentOversizedRecord
        | Error::DecryptError => (format!("TLS with {host} failed: {host} broke the rules of TLS"), None),
        _ => (format!("TLS with {host} failed"), None),
    }
}

fn of_certificate(reason: &CertificateError, host: &str) -> (String, Option<TransportFault>) {
    let (why, fault) = match reason {
        CertificateError::Other(other) => match other.0.downcast_ref::<Flaw>() {
            Some(Flaw::KeyNotProven) => {
                return (format!("TLS with {host} failed: {}", Flaw::KeyNotProven), Some(TransportFault::KeyNotProven));
            }
            Some(flaw) => (flaw.to_string(), of_flaw(*flaw)),
            // webpki has only names of its own types for these.
            None => ("it has a form or an extension that is not supported".into(), TransportFault::Certificate),
        },
        CertificateError::UnknownIssuer => ("no trusted CA certificate issued it".into(), TransportFault::NotTrusted),
        CertificateError::ExpiredContext { not_after, .. } => {
            (format!("it expired on {}", date(*not_after)), TransportFault::Date)
        }
        CertificateError::Expired => ("it has expired".into(), TransportFault::Date),
        CertificateError::NotValidYetContext { not_before, .. } => {
            (format!("it is not valid before {}", date(*not_before)), TransportFault::Date)
        }
        CertificateError::NotValidYet => ("it is not valid yet".into(), TransportFault::Date),
        CertificateError::NotValidForNameContext { presented, .. } => (names(presented), TransportFault::Name),
        CertificateError::NotValidForName => ("it is for other hosts".into(), TransportFault::Name),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            (Flaw::NotForServers.to_string(), TransportFault::Purpose)
        }
        CertificateError::BadSignature => (
            "its signature does not match the trusted CA certificate with its issuer's name".into(),
            TransportFault::NotTrusted,
        ),
        CertificateError::Revoked => ("it was revoked".into(), TransportFault::Certificate),
        CertificateError::BadEncoding => (Flaw::Unreadable.to_string(), TransportFault::Certificate),
        CertificateError::UnhandledCriticalExtension => {
            ("it has a critical extension that is not known".into(), TransportFault::Certificate)
        }
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            ("it is signed with an algorithm that is not supported".into(), TransportFault::NothingInCommon)
        }
        _ => ("it was refused".into(), TransportFault::Certificate),
    };
    (format!("cannot verify the certificate of {host}: {why}"), Some(fault))
}

fn of_flaw(flaw: Flaw) -> TransportFault {
    match flaw {
        Flaw::SelfSigned | Flaw::NoAuthorities => TransportFault::NotTrusted,
        Flaw::IsCa => TransportFault::IsCa,
        Flaw::NotForServers => TransportFault::Purpose,
        Flaw::VersionOne => TransportFault::Name,
        Flaw::KeyNotProven => TransportFault::KeyNotProven,
        Flaw::Unreadable => TransportFault::Certificate,
    }
}

/// The names of a certificate, from webpki's way to show them: `DnsName("r.io")`, `IpAddress(192.0.2.1)`.
fn names(presented: &[String]) -> String {
    let name = |shown: &String| {
        let inner = shown.strip_prefix("DnsName(").or_else(|| shown.strip_prefix("IpAddress("))?;
        Some(inner.trim_end_matches(')').trim_matches('"').to_owned())
    };
    let mut names: Vec<String> = presented.iter().filter_map(name).collect();
    if names.is_empty() {
        return "it has no subjectAltName with a host, and a common name (CN) does not count".into();
    }
    let left = names.len().saturating_sub(MAX_NAMES);
    names.truncate(MAX_NAMES);
    let more = if left > 0 { format!(" and {left} more") } else { String::new() };
    format!("it is for other hosts: {}{more}", names.join(", "))
}

/// A certificate may name hundreds of hosts.
const MAX_NAMES: usize = 8;

fn of_alert(alert: AlertDescription, host: &str) -> (String, Option<TransportFault>) {
    let (why, fault) = match alert {
        AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity => (
            "it shares no cipher suite or signature algorithm with this program",
            Some(TransportFault::NothingInCommon),
        ),
        AlertDescription::ProtocolVersion => {
            ("it shares no version of TLS with this program", Some(TransportFault::NothingInCommon))
        }
        AlertDescription::CertificateRequired => {
            ("it wants a client certificate", Some(TransportFault::ClientCertificate))
        }
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::UnknownCA
        | AlertDescription::AccessDenied => {
            ("it does not accept the client's certificate, or wants one", Some(TransportFault::ClientCertificate))
        }
        AlertDescription::UnrecognisedName => ("it does not know a host of this name", None),
        AlertDescription::InternalError => ("it had an internal error", None),
        _ => return (format!("{host} ended TLS with alert {}", u8::from(alert)), None),
    };
    (format!("{host} ended TLS: {why} (alert {})", u8::from(alert)), fault)
}

fn incompatible(why: &PeerIncompatible, host: &str) -> String {
    let what = match why {
        PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
        | PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled => "version of TLS",
        PeerIncompatible::NoCipherSuitesInCommon => "cipher suite",
        PeerIncompatible::NoKxGroupsInCommon => "key exchange",
        PeerIncompatible::NoSignatureSchemesInCommon
        | PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon => "signature algorithm",
        _ => "form of TLS",
    };
    format!("{host} shares no {what} with this program")
}

fn date(time: UnixTime) -> String {
    // httpdate has no words for a year of five digits.
    let seconds = time.as_secs().min(253_402_300_799);
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::OtherError;
    use rustls::pki_types::ServerName;

    use super::*;

    #[test]
    fn faults_of_certificates() {
        let time = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let names = |presented: &[&str]| CertificateError::NotValidForNameContext {
            expected: ServerName::try_from("r.io").unwrap(),
            presented: presented.iter().map(ToString::to_string).collect(),
        };
        let flaw = |flaw: Flaw| CertificateError::Other(OtherError(Arc::new(flaw)));
        let many: Vec<String> = (0..10).map(|n| format!("DnsName(\"{n}.io\")")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        for (error, why, fault) in [
            (CertificateError::UnknownIssuer, "no trusted CA certificate issued it", TransportFault::NotTrusted),
            (flaw(Flaw::SelfSigned), "it is self-signed and not trusted", TransportFault::NotTrusted),
            (flaw(Flaw::NoAuthorities), "this machine has no CA certificates", TransportFault::NotTrusted),
            (flaw(Flaw::IsCa), "it is a CA certificate used as a server certificate", TransportFault::IsCa),
            (
                CertificateError::ExpiredContext { time: time(9), not_after: time(0) },
                "it expired on Thu, 01 Jan 1970 00:00:00 GMT",
                TransportFault::Date,
            ),
            (
                CertificateError::NotValidYetContext { time: time(9), not_before: time(u64::MAX) },
                "it is not valid before Fri, 31 Dec 9999 23:59:59 GMT",
                TransportFault::Date,
            ),
            (
                names(&["DnsName(\"s.io\")", "IpAddress(192.0.2.1)", "Unsupported(0x82)"]),
                "it is for other hosts: s.io, 192.0.2.1",
                TransportFault::Name,
            ),
            (
                names(&many),
                "it is for other hosts: 0.io, 1.io, 2.io, 3.io, 4.io, 5.io, 6.io, 7.io and 2 more",
                TransportFault::Name,
            ),
            (
                names(&[]),
                "it has no subjectAltName with a host, and a common name (CN) does not count",
                TransportFault::Name,
            ),
            (
                CertificateError::InvalidPurpose,
                "it is not for servers: its extendedKeyUsage has no serverAuth",
                TransportFault::Purpose,
            ),
        ] {
            let (reason, found) = words(&Error::InvalidCertificate(error), "r.io");
            assert_eq!(reason, format!("cannot verify the certificate of r.io: {why}"));
            assert_eq!(found, Some(fault), "{why}");
        }
    }

    #[test]
    fn every_alert_is_in_words() {
        for number in 0..=u8::MAX {
            let (reason, _) = words(&Error::AlertReceived(AlertDescription::from(number)), "r.io");
            assert!(reason.starts_with("r.io ended TLS"), "{reason}");
            assert!(reason.contains(&format!("alert {number}")), "{reason}");
        }
    }
}
