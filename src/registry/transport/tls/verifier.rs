//! Verifies a server's certificate, and that the server has its key.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
    verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use rustls_platform_verifier::Verifier;

use super::certificate::Fields;

/// A problem with a certificate for which rustls has no error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Flaw {
    #[error("it is self-signed and not trusted")]
    SelfSigned,
    #[error("it is a CA certificate used as a server certificate")]
    IsCa,
    #[error("it is not a server certificate: its extendedKeyUsage lacks serverAuth")]
    NotForServers,
    #[error("it has X.509 version 1, which cannot name hosts")]
    VersionOne,
    #[error("this machine has no CA certificates")]
    NoCaCertificates,
    #[error("the server did not prove that it has the certificate's key, or the key is RSA with fewer than 2048 bits")]
    KeyNotProven,
    #[error("it cannot be read")]
    Unreadable,
}

impl From<Flaw> for Error {
    fn from(flaw: Flaw) -> Self {
        CertificateError::Other(OtherError(Arc::new(flaw))).into()
    }
}

/// Checks certificates as the platform does, but also accepts a server certificate that is itself trusted if its dates,
/// purpose and names are valid. Self-signed certificates from `openssl req -x509` are CA certificates (`CA:TRUE`),
/// which webpki refuses as server certificates; Go and OpenSSL accept them if the certificate itself is trusted.
#[derive(Debug)]
pub(super) struct TrustedCertificates {
    /// Absent if neither the system nor the user has a CA certificate.
    platform: Option<Verifier>,
    /// Certificates from the user's files.
    extra: Vec<CertificateDer<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl TrustedCertificates {
    /// Trusts the platform's CA certificates and these.
    pub(super) fn new(extra: Vec<CertificateDer<'static>>, provider: &Arc<CryptoProvider>) -> Self {
        let platform = Verifier::new_with_extra_roots(extra.iter().cloned(), Arc::clone(provider)).ok();
        Self { platform, extra, algorithms: provider.signature_verification_algorithms }
    }

    /// Trusts no certificate, for connections without TLS.
    pub(super) fn none(provider: &Arc<CryptoProvider>) -> Self {
        Self { platform: None, extra: Vec::new(), algorithms: provider.signature_verification_algorithms }
    }

    fn is_trusted(&self, certificate: &CertificateDer<'_>) -> bool {
        // The system files are read only for a certificate that would otherwise be refused.
        self.extra.contains(certificate) || system_certificates().contains(certificate)
    }
}

/// Reads the certificates that the system trusts from their files: those of `SSL_CERT_FILE` and `SSL_CERT_DIR`, or
/// those of the distribution.
#[cfg(all(unix, not(target_vendor = "apple")))]
fn system_certificates() -> Vec<CertificateDer<'static>> {
    rustls_native_certs::load_native_certs().certs
}

/// Returns no certificates: on other systems, the platform's verifier has access to them.
#[cfg(not(all(unix, not(target_vendor = "apple"))))]
fn system_certificates() -> Vec<CertificateDer<'static>> {
    Vec::new()
}

impl ServerCertVerifier for TrustedCertificates {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(platform) = &self.platform else { return Err(Flaw::NoCaCertificates.into()) };
        match platform.verify_server_cert(certificate, intermediates, name, ocsp_response, now) {
            Err(_) if self.is_trusted(certificate) => {
                check_trusted(certificate, name, now)?;
                Ok(ServerCertVerified::assertion())
            }
            outcome => outcome.map_err(|error| explain(error, certificate)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms).map_err(key_not_proven)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms).map_err(key_not_proven)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Accepts any certificate from one host. The server must still prove that it has the certificate's key.
#[derive(Debug)]
pub(super) struct AnyCertificate {
    host: String,
    /// Checks the certificates of other hosts; absent if the pool has no other host.
    others: Option<TrustedCertificates>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl AnyCertificate {
    pub(super) fn new(host: &str, others: Option<TrustedCertificates>, provider: &CryptoProvider) -> Self {
        Self { host: host.to_owned(), others, algorithms: provider.signature_verification_algorithms }
    }
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.others {
            Some(others) if !name.to_str().eq_ignore_ascii_case(&self.host) => {
                others.verify_server_cert(certificate, intermediates, name, ocsp_response, now)
            }
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    /// Reads the key from the certificate itself: webpki refuses certificates of version 1 or with an unknown critical
    /// extension, and both are acceptable here.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = Fields::read(certificate).ok_or(Flaw::Unreadable)?.key;
        let candidates = self.algorithms.mapping.iter().find(|(scheme, _)| *scheme == signed.scheme);
        let candidates = candidates.map_or(&[][..], |(_, algorithms)| algorithms);
        let is_proven = candidates.iter().any(|algorithm| {
            algorithm.public_key_alg_id().as_ref() == key.algorithm
                && algorithm.verify_signature(&key.bits, message, signed.signature()).is_ok()
        });
        if is_proven { Ok(HandshakeSignatureValid::assertion()) } else { Err(Flaw::KeyNotProven.into()) }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(Fields::read(certificate).ok_or(Flaw::Unreadable)?.key.der);
        verify_tls13_signature_with_raw_key(message, &key, signed, &self.algorithms).map_err(key_not_proven)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Checks the dates, purpose and names of a server certificate that is itself trusted.
fn check_trusted(certificate: &CertificateDer<'_>, name: &ServerName<'_>, now: UnixTime) -> Result<(), Error> {
    let fields = Fields::read(certificate).ok_or(Flaw::Unreadable)?;
    if now < fields.not_before {
        return Err(CertificateError::NotValidYetContext { time: now, not_before: fields.not_before }.into());
    }
    if now > fields.not_after {
        return Err(CertificateError::ExpiredContext { time: now, not_after: fields.not_after }.into());
    }
    if !fields.has_extensions {
        return Err(Flaw::VersionOne.into());
    }
    if !fields.is_for_servers {
        return Err(Flaw::NotForServers.into());
    }
    // Refuses a critical extension that is unknown to webpki.
    verify_server_name(&ParsedCertificate::try_from(certificate)?, name)
}

/// Replaces the platform's error with a [`Flaw`] if the error's type does not show what is wrong with the certificate.
fn explain(error: Error, certificate: &[u8]) -> Error {
    let Error::InvalidCertificate(reason) = &error else { return error };
    let Some(fields) = Fields::read(certificate) else { return Flaw::Unreadable.into() };
    match reason {
        CertificateError::UnknownIssuer if fields.is_self_signed => Flaw::SelfSigned.into(),
        CertificateError::Other(_) if !fields.has_extensions => Flaw::VersionOne.into(),
        // Only a CA certificate that is not self-signed can be trusted through its issuer.
        CertificateError::Other(_) if fields.is_ca && fields.is_self_signed => Flaw::SelfSigned.into(),
        CertificateError::Other(_) if fields.is_ca => Flaw::IsCa.into(),
        CertificateError::Other(_) if !fields.is_for_servers => Flaw::NotForServers.into(),
        _ => error,
    }
}

/// Distinguishes a bad handshake signature from a bad certificate signature: rustls has one error for both.
fn key_not_proven(error: Error) -> Error {
    match error {
        Error::InvalidCertificate(CertificateError::BadSignature) => Flaw::KeyNotProven.into(),
        error => error,
    }
}
