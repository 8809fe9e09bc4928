use std::path::PathBuf;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;

use super::files::{files_with, read_ca_certs, read_identity, system_bundle_if_empty_env};
use super::identity::NoIdentity;
use super::verifier::{AnyCertificate, TrustedCertificates};
use crate::registry::transport::hosts::Hosts;

/// Which certificates are trusted, and the files that they come from.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// Registries whose certificates are not checked, by the names that references use. The certificates of other hosts
    /// are checked. Defaults to no registry.
    pub insecure: Hosts,
    /// PEM files of certificates to trust besides the system's: CA certificates, or self-signed server certificates. On
    /// Linux, `SSL_CERT_FILE` and `SSL_CERT_DIR` replace the system's certificates.
    pub ca_certs: Vec<PathBuf>,
    /// Folders with a subfolder for each `HOST[:PORT]`, in Docker's layout: `*.crt` are certificates to trust for that
    /// host; `*.cert`, with a `*.key` of the same name, is the client certificate. Docker uses `/etc/docker/certs.d`.
    pub certs_folders: Vec<PathBuf>,
}

/// How the connections of one pool use TLS.
pub(crate) enum TlsMode<'a> {
    /// No connection of the pool uses TLS.
    Without,
    /// Any certificate of this host is accepted; the folders may contain a client certificate. With `checks_others`,
    /// the certificates of other hosts, such as a proxy, are checked.
    AnyCertificateOf { host: &'a str, checks_others: bool, folders: &'a [PathBuf] },
    /// Certificates are checked. The system's, those of [`Tls::ca_certs`] and those in the host's folders are trusted.
    Checked(&'a [PathBuf]),
}

impl Tls {
    /// Creates the configuration for one pool of connections; `no_identity` is used if the client has no certificate.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(crate) fn config(&self, mode: &TlsMode<'_>, no_identity: NoIdentity) -> Result<ClientConfig, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let (folders, verifier): (_, Arc<dyn ServerCertVerifier>) = match mode {
            TlsMode::Without => (&[][..], Arc::new(TrustedCertificates::none(&provider))),
            TlsMode::AnyCertificateOf { host, checks_others, folders } => {
                let others = if *checks_others { Some(self.trusted(&[], &provider)?) } else { None };
                (*folders, Arc::new(AnyCertificate::new(host, others, &provider)))
            }
            TlsMode::Checked(folders) => (*folders, Arc::new(self.trusted(folders, &provider)?)),
        };
        let mut identity = None;
        for folder in folders {
            for path in files_with(folder, "cert")? {
                identity = Some((read_identity(&path)?, path));
            }
        }
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| error.to_string())?.dangerous();
        let builder = builder.with_custom_certificate_verifier(verifier);
        let mut config = match identity {
            Some(((certificates, key), path)) => builder.with_client_auth_cert(certificates, key).map_err(|_| {
                format!("the key in {} does not match the certificate", path.with_extension("key").display())
            })?,
            None => builder.with_client_cert_resolver(Arc::new(no_identity)),
        };
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }

    /// Creates a verifier that trusts the certificates of the system, of [`Self::ca_certs`] and of a host's folders.
    fn trusted(&self, folders: &[PathBuf], provider: &Arc<CryptoProvider>) -> Result<TrustedCertificates, String> {
        let mut trusted = Vec::new();
        if let Some(path) = system_bundle_if_empty_env() {
            trusted.extend(read_ca_certs(path)?);
        }
        for path in &self.ca_certs {
            trusted.extend(read_ca_certs(path)?);
        }
        for folder in folders {
            for path in files_with(folder, "crt")? {
                trusted.extend(read_ca_certs(&path)?);
            }
        }
        Ok(TrustedCertificates::new(trusted, provider))
    }
}
