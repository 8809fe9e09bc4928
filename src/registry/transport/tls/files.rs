//! Reads PEM files of certificates and keys.

use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The client's certificate chain and its key.
type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Reads the certificates to trust from a PEM file.
pub(super) fn read_ca_certs(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let shown = path.display();
    let certificates = certificates(&read(path)?).ok_or_else(|| format!("{shown} is not a PEM file"))?;
    if certificates.is_empty() {
        return Err(format!("{shown} contains no PEM certificate"));
    }
    let mut store = RootCertStore::empty();
    for certificate in &certificates {
        store.add(certificate.clone()).map_err(|_| format!("{shown} contains an invalid certificate"))?;
    }
    Ok(certificates)
}

/// The files of trusted certificates in Linux distributions: Debian and Alpine, Fedora, openSUSE, others.
const SYSTEM_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Returns the system's file of trusted certificates if `SSL_CERT_FILE` is set but empty, as an undefined variable in a
/// CI pipeline may be. Like Go and curl, treats it as unset; the platform's verifier would trust no certificate.
pub(super) fn system_bundle_if_empty_env() -> Option<&'static Path> {
    let value = |name: &str| std::env::var_os(name);
    let is_empty = value("SSL_CERT_FILE").is_some_and(|file| file.is_empty())
        && value("SSL_CERT_DIR").is_none_or(|folder| folder.is_empty());
    let mut bundles = SYSTEM_BUNDLES.iter().map(Path::new).filter(|_| is_empty);
    bundles.find(|path| path.is_file())
}

/// Reads a client certificate, and its key from the `.key` file next to it.
pub(super) fn read_identity(certificate: &Path) -> Result<Identity, String> {
    let key_file = certificate.with_extension("key");
    let chain = certificates(&read(certificate)?).filter(|chain| !chain.is_empty());
    match (chain, PrivateKeyDer::from_pem_slice(&read(&key_file)?)) {
        (Some(chain), Ok(key)) => Ok((chain, key)),
        _ => Err(format!("{} or its .key file is invalid", certificate.display())),
    }
}

/// Lists the files of a folder with this extension, sorted by name.
pub(super) fn files_with(folder: &Path, extension: &str) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|actual| actual == extension))
        .collect();
    paths.sort();
    Ok(paths)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().ok()
}
