//! Describes TLS errors in plain text: rustls shows only the names of its types.

use std::time::{Duration, UNIX_EPOCH};

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

use super::verifier::Flaw;
use crate::registry::error::TransportFault;

/// Describes why TLS with a host failed.
pub(crate) fn describe(error: &Error, host: &str) -> (String, Option<TransportFault>) {
    match error {
        Error::InvalidCertificate(reason) => describe_certificate_error(reason, host),
        Error::NoCertificatesPresented => (format!("{host} sent no certificate"), Some(TransportFault::Certificate)),
        Error::AlertReceived(alert) => describe_alert(*alert, host),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            (format!("{host} did not answer with TLS"), Some(TransportFault::NotTls))
        }
        Error::PeerIncompatible(why) => (describe_incompatibility(why, host), Some(TransportFault::NoSharedParameters)),
        Error::NoApplicationProtocol => (format!("{host} speaks neither HTTP/1.1 nor HTTP/2"), None),
        Error::PeerMisbehaved(_)
        | Error::InvalidMessage(_)
        | Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. }
        | Error::PeerSentOversizedRecord
        | Error::DecryptError => (format!("TLS with {host} failed: the server violated the TLS protocol"), None),
        _ => (format!("TLS with {host} failed"), None),
    }
}

fn describe_certificate_error(reason: &CertificateError, host: &str) -> (String, Option<TransportFault>) {
    let (why, fault) = match reason {
        CertificateError::Other(other) => match other.0.downcast_ref::<Flaw>() {
            Some(Flaw::KeyNotProven) => {
                return (format!("TLS with {host} failed: {}", Flaw::KeyNotProven), Some(TransportFault::KeyNotProven));
            }
            Some(flaw) => (flaw.to_string(), fault_of(*flaw)),
            // For these, webpki reports only the names of its types.
            None => ("it has an unsupported format or extension".into(), TransportFault::Certificate),
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
        CertificateError::NotValidForNameContext { presented, .. } => (describe_names(presented), TransportFault::Name),
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
            ("it has an unknown critical extension".into(), TransportFault::Certificate)
        }
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            ("it is signed with an unsupported algorithm".into(), TransportFault::NoSharedParameters)
        }
        _ => ("it was rejected".into(), TransportFault::Certificate),
    };
    (format!("cannot verify the certificate of {host}: {why}"), Some(fault))
}

fn fault_of(flaw: Flaw) -> TransportFault {
    match flaw {
        Flaw::SelfSigned | Flaw::NoCaCertificates => TransportFault::NotTrusted,
        Flaw::IsCa => TransportFault::IsCa,
        Flaw::NotForServers => TransportFault::Purpose,
        Flaw::VersionOne => TransportFault::Name,
        Flaw::KeyNotProven => TransportFault::KeyNotProven,
        Flaw::Unreadable => TransportFault::Certificate,
    }
}

/// Lists the names of a certificate, which webpki formats as `DnsName("r.io")` or `IpAddress(192.0.2.1)`.
fn describe_names(presented: &[String]) -> String {
    let name = |shown: &String| {
        let inner = shown.strip_prefix("DnsName(").or_else(|| shown.strip_prefix("IpAddress("))?;
        Some(inner.trim_end_matches(')').trim_matches('"').to_owned())
    };
    let mut names: Vec<String> = presented.iter().filter_map(name).collect();
    if names.is_empty() {
        return "it has no host in its subjectAltName, and a common name (CN) does not count".into();
    }
    let omitted = names.len().saturating_sub(MAX_NAMES);
    names.truncate(MAX_NAMES);
    let more = if omitted > 0 { format!(" and {omitted} more") } else { String::new() };
    format!("it is for other hosts: {}{more}", names.join(", "))
}

/// The maximum number of names that an error lists: a certificate may have hundreds.
const MAX_NAMES: usize = 8;

fn describe_alert(alert: AlertDescription, host: &str) -> (String, Option<TransportFault>) {
    let (why, fault) = match alert {
        AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity => {
            ("no shared cipher suite or signature algorithm", Some(TransportFault::NoSharedParameters))
        }
        AlertDescription::ProtocolVersion => ("no shared version of TLS", Some(TransportFault::NoSharedParameters)),
        AlertDescription::CertificateRequired => {
            ("it requires a client certificate", Some(TransportFault::ClientCertificate))
        }
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::UnknownCA
        | AlertDescription::AccessDenied => {
            ("it refused the client certificate, or requires one", Some(TransportFault::ClientCertificate))
        }
        AlertDescription::UnrecognisedName => ("it does not serve this host name", None),
        AlertDescription::InternalError => ("it reported an internal error", None),
        _ => return (format!("{host} aborted the TLS connection (alert {})", u8::from(alert)), None),
    };
    (format!("{host} aborted the TLS connection: {why} (alert {})", u8::from(alert)), fault)
}

fn describe_incompatibility(why: &PeerIncompatible, host: &str) -> String {
    let what = match why {
        PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
        | PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled => "version of TLS",
        PeerIncompatible::NoCipherSuitesInCommon => "cipher suite",
        PeerIncompatible::NoKxGroupsInCommon => "key exchange",
        PeerIncompatible::NoSignatureSchemesInCommon
        | PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon => "signature algorithm",
        _ => "TLS feature",
    };
    format!("{host} and this program share no {what}")
}

fn date(time: UnixTime) -> String {
    // httpdate cannot format a year of five digits.
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
    fn each_certificate_error_has_a_description_and_a_fault() {
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
            (flaw(Flaw::NoCaCertificates), "this machine has no CA certificates", TransportFault::NotTrusted),
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
                "it has no host in its subjectAltName, and a common name (CN) does not count",
                TransportFault::Name,
            ),
            (
                CertificateError::InvalidPurpose,
                "it is not a server certificate: its extendedKeyUsage lacks serverAuth",
                TransportFault::Purpose,
            ),
        ] {
            let (reason, actual) = describe(&Error::InvalidCertificate(error), "r.io");
            assert_eq!(reason, format!("cannot verify the certificate of r.io: {why}"));
            assert_eq!(actual, Some(fault), "{why}");
        }
    }

    #[test]
    fn every_alert_has_a_description_with_its_number() {
        for number in 0..=u8::MAX {
            let (reason, _) = describe(&Error::AlertReceived(AlertDescription::from(number)), "r.io");
            assert!(reason.starts_with("r.io aborted the TLS connection"), "{reason}");
            assert!(reason.contains(&format!("alert {number}")), "{reason}");
        }
    }
}
