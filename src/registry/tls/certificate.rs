//! Reads the fields of an X.509 certificate (RFC 5280, section 4.1) that this program checks itself.

use std::time::Duration;

use rustls::pki_types::UnixTime;

/// The fields that are read from a certificate.
pub(super) struct Fields<'a> {
    /// 1 or 3; only version 3 has extensions, and so names of hosts.
    pub(super) version: u8,
    pub(super) not_before: UnixTime,
    pub(super) not_after: UnixTime,
    pub(super) key: Key<'a>,
    /// Whether its issuer has the same name as its subject.
    pub(super) is_self_signed: bool,
    /// Whether `basicConstraints` has `CA:TRUE`.
    pub(super) is_ca: bool,
    /// Whether `extendedKeyUsage` is absent or names servers.
    pub(super) is_for_servers: bool,
}

/// A `SubjectPublicKeyInfo` (RFC 5280, section 4.1.2.7).
pub(super) struct Key<'a> {
    /// The whole structure.
    pub(super) der: &'a [u8],
    /// The contents of its `AlgorithmIdentifier`.
    pub(super) algorithm: &'a [u8],
    /// The public key itself.
    pub(super) bits: &'a [u8],
}

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const BOOLEAN: u8 = 0x01;
/// The context-specific tags of `version`, the two unique identifiers and `extensions`.
const VERSION: u8 = 0xa0;
const UNIQUE_IDS: [u8; 2] = [0x81, 0x82];
const EXTENSIONS: u8 = 0xa3;

/// `id-ce-basicConstraints`, `id-ce-extKeyUsage` and `id-kp-serverAuth` (RFC 5280, section 4.2.1).
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
const SERVER_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];

impl<'a> Fields<'a> {
    /// Reads a certificate in DER; `None` if it is not one.
    pub(super) fn read(certificate: &'a [u8]) -> Option<Self> {
        let mut body = Der(Der(Der(certificate).take(SEQUENCE)?).take(SEQUENCE)?);
        let version = match body.optional(VERSION) {
            Some(version) => Der(version).take(INTEGER)?.last()?.checked_add(1)?,
            None => 1,
        };
        body.take(INTEGER)?; // serial number
        body.take(SEQUENCE)?; // signature algorithm
        let issuer = body.take(SEQUENCE)?;
        let mut validity = Der(body.take(SEQUENCE)?);
        let (not_before, not_after) = (time(&mut validity)?, time(&mut validity)?);
        let is_self_signed = body.take(SEQUENCE)? == issuer;
        let key = Key::read(&mut body)?;
        for tag in UNIQUE_IDS {
            body.optional(tag);
        }
        let mut fields =
            Self { version, not_before, not_after, key, is_self_signed, is_ca: false, is_for_servers: true };
        if let Some(extensions) = body.optional(EXTENSIONS) {
            fields.read_extensions(Der(Der(extensions).take(SEQUENCE)?))?;
        }
        Some(fields)
    }

    fn read_extensions(&mut self, mut extensions: Der<'a>) -> Option<()> {
        while !extensions.0.is_empty() {
            let mut extension = Der(extensions.take(SEQUENCE)?);
            let id = extension.take(OBJECT_IDENTIFIER)?;
            extension.optional(BOOLEAN); // critical
            let mut value = Der(extension.take(OCTET_STRING)?);
            if id == BASIC_CONSTRAINTS {
                let mut constraints = Der(value.take(SEQUENCE)?);
                self.is_ca = constraints.optional(BOOLEAN).is_some_and(|value| value != [0]);
            } else if id == EXTENDED_KEY_USAGE {
                let mut purposes = Der(value.take(SEQUENCE)?);
                self.is_for_servers = false;
                while !purposes.0.is_empty() {
                    self.is_for_servers |= purposes.take(OBJECT_IDENTIFIER)? == SERVER_AUTH;
                }
            }
        }
        Some(())
    }
}

impl<'a> Key<'a> {
    fn read(body: &mut Der<'a>) -> Option<Self> {
        let before = body.0;
        let mut key = Der(body.take(SEQUENCE)?);
        let der = before.get(..before.len() - body.0.len())?;
        let algorithm = key.take(SEQUENCE)?;
        // The first octet counts the unused bits of the last one; a key has none.
        let (unused, bits) = key.take(BIT_STRING)?.split_first()?;
        (*unused == 0).then_some(Self { der, algorithm, bits })
    }
}

/// Values in DER, one after another (X.690, section 8.1).
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// Takes the contents of the next value, which must have this tag.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (found, rest) = self.0.split_first()?;
        let (length, rest) = length(rest)?;
        let (contents, rest) = rest.split_at_checked(length)?;
        if *found != tag {
            return None;
        }
        self.0 = rest;
        Some(contents)
    }

    /// Takes the contents of the next value, if it has this tag.
    fn optional(&mut self, tag: u8) -> Option<&'a [u8]> {
        if self.0.first() == Some(&tag) { self.take(tag) } else { None }
    }
}

/// Reads a length, in its short or long form (X.690, section 8.1.3).
fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    if *first < 0x80 {
        return Some((usize::from(*first), rest));
    }
    let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
    if octets.is_empty() || octets.len() > 4 {
        return None;
    }
    Some((octets.iter().fold(0, |length, octet| length << 8 | usize::from(*octet)), rest))
}

/// Reads a `Time`: `YYMMDDHHMMSSZ` from 1950 to 2049, or `YYYYMMDDHHMMSSZ` (RFC 5280, section 4.1.2.5).
fn time(validity: &mut Der<'_>) -> Option<UnixTime> {
    let (year_digits, text) = match validity.optional(UTC_TIME) {
        Some(text) => (2, text),
        None => (4, validity.take(GENERALIZED_TIME)?),
    };
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    if text.len() != year_digits + 10 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = |from: usize, digits: usize| text.get(from..from + digits)?.parse::<i64>().ok();
    let year = match (year_digits, number(0, year_digits)?) {
        (2, year) if year < 50 => 2000 + year,
        (2, year) => 1900 + year,
        (_, year) => year,
    };
    let part = |at: usize| number(year_digits + 2 * at, 2);
    let days = days_since_1970(year, part(0)?, part(1)?);
    let seconds = days * 86_400 + part(2)? * 3600 + part(3)? * 60 + part(4)?;
    // A time before 1970 is as good as 1970.
    Some(UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(seconds).unwrap_or(0))))
}

/// Counts the days from 1970-01-01 to a date of the Gregorian calendar, with years that begin in March, so that a leap
/// day is the last day of a year.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // 719_468 days lie between 0000-03-01 and 1970-01-01.
    year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd};

    use super::*;

    fn made(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let mut params = CertificateParams::new(["r.test".to_owned()]).unwrap();
        change(&mut params);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn fields_of_a_certificate() {
        let plain = made(|_| {});
        let fields = Fields::read(&plain).unwrap();
        assert!(fields.version == 3 && fields.is_self_signed && !fields.is_ca && fields.is_for_servers);
        assert!(fields.key.der.len() > fields.key.bits.len() && fields.key.bits.len() == 65, "a P-256 point");
        let ca = made(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
        assert!(Fields::read(&ca).unwrap().is_ca);
        for (purposes, is_for_servers) in [
            (vec![ExtendedKeyUsagePurpose::ServerAuth], true),
            (vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth], true),
            (vec![ExtendedKeyUsagePurpose::ClientAuth], false),
            (vec![ExtendedKeyUsagePurpose::Any], false),
        ] {
            let certificate = made(|params| params.extended_key_usages = purposes);
            assert_eq!(Fields::read(&certificate).unwrap().is_for_servers, is_for_servers);
        }
    }

    #[test]
    fn dates_of_a_certificate() {
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
            let certificate = made(|params| {
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
        let certificate = made(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
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
