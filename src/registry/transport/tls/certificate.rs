//! Reads the fields of an X.509 certificate (RFC 5280, section 4.1) that this program checks itself.

use std::time::Duration;

use rustls::pki_types::UnixTime;
use x509_parser::asn1_rs::Any;
use x509_parser::prelude::{ASN1Time, FromDer as _, SubjectPublicKeyInfo, X509Certificate, X509Version};

/// The fields of a certificate that are checked.
pub(super) struct Fields {
    /// Whether it has version 3. Other versions have no extensions, and so cannot name hosts.
    pub(super) has_extensions: bool,
    pub(super) not_before: UnixTime,
    pub(super) not_after: UnixTime,
    pub(super) key: Key,
    /// Whether issuer and subject have the same name.
    pub(super) is_self_signed: bool,
    /// Whether `basicConstraints` has `CA:TRUE`.
    pub(super) is_ca: bool,
    /// Whether `extendedKeyUsage` is absent or names servers.
    pub(super) is_for_servers: bool,
}

/// A `SubjectPublicKeyInfo` (RFC 5280, section 4.1.2.7).
pub(super) struct Key {
    /// The whole structure.
    pub(super) der: Vec<u8>,
    /// The contents of its `AlgorithmIdentifier`.
    pub(super) algorithm: Vec<u8>,
    /// The public key itself.
    pub(super) bits: Vec<u8>,
}

impl Key {
    fn read(info: &SubjectPublicKeyInfo<'_>) -> Option<Self> {
        let (_, parts) = Any::from_der(info.raw).ok()?;
        let (_, algorithm) = Any::from_der(parts.data).ok()?;
        let bits = info.subject_public_key.data.to_vec();
        Some(Self { der: info.raw.to_vec(), algorithm: algorithm.data.to_vec(), bits })
    }
}

impl Fields {
    /// Reads a certificate in DER; `None` if it is not one.
    pub(super) fn read(certificate: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        let usage = certificate.extended_key_usage().ok()?;
        Some(Self {
            has_extensions: certificate.version() == X509Version::V3,
            not_before: time(certificate.validity().not_before),
            not_after: time(certificate.validity().not_after),
            key: Key::read(certificate.public_key())?,
            is_self_signed: certificate.subject().as_raw() == certificate.issuer().as_raw(),
            is_ca: certificate.is_ca(),
            is_for_servers: usage.is_none_or(|usage| usage.value.server_auth),
        })
    }
}

/// Converts a time; times before 1970 become 1970.
fn time(time: ASN1Time) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd};

    use super::*;

    fn self_signed(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let mut params = CertificateParams::new(["r.test".to_owned()]).unwrap();
        change(&mut params);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn the_fields_of_a_certificate_are_read() {
        let server = self_signed(|_| {});
        let fields = Fields::read(&server).unwrap();
        assert!(fields.has_extensions && fields.is_self_signed && !fields.is_ca && fields.is_for_servers);
        assert!(fields.key.der.len() > fields.key.bits.len() && fields.key.bits.len() == 65, "a P-256 point");
        let ca = self_signed(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
        assert!(Fields::read(&ca).unwrap().is_ca);
        for (purposes, is_for_servers) in [
            (vec![ExtendedKeyUsagePurpose::ServerAuth], true),
            (vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth], true),
            (vec![ExtendedKeyUsagePurpose::ClientAuth], false),
            (vec![ExtendedKeyUsagePurpose::Any], false),
        ] {
            let certificate = self_signed(|params| params.extended_key_usages = purposes);
            assert_eq!(Fields::read(&certificate).unwrap().is_for_servers, is_for_servers);
        }
    }

    #[test]
    fn dates_from_1970_to_4096_are_read() {
        for ((year, month, day), seconds) in [
            ((1970, 1, 1), 0),
            ((1999, 12, 31), 946_598_400),
            ((2000, 2, 29), 951_782_400),
            ((2024, 3, 1), 1_709_251_200),
            ((2049, 12, 31), 2_524_521_600),
            // GeneralizedTime begins here.
            ((2050, 1, 1), 2_524_608_000),
            ((4096, 1, 1), 67_090_118_400),
        ] {
            let certificate = self_signed(|params| {
                params.not_before = date_time_ymd(year, month, day);
                params.not_after = date_time_ymd(year, month, day);
            });
            let fields = Fields::read(&certificate).unwrap();
            assert_eq!(fields.not_before.as_secs(), seconds, "{year}-{month}-{day}");
            assert_eq!(fields.not_after.as_secs(), seconds, "{year}-{month}-{day}");
        }
    }

    #[test]
    fn damaged_certificates_are_refused_without_a_panic() {
        let certificate = self_signed(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
        for length in 0..certificate.len() {
            assert!(Fields::read(&certificate[..length]).is_none(), "{length}");
        }
        for at in 0..certificate.len() {
            for byte in [0x00, 0x7f, 0x80, 0x84, 0xff] {
                let mut damaged = certificate.clone();
                damaged[at] = byte;
                let _ = Fields::read(&damaged);
            }
        }
    }
}
