//! Reads PEM files of certificates and keys.

use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The client's certificate, with those of its issuers, and its key.
type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Reads the certificates to trust from a PEM file.
pub(super) fn read_authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let shown = path.display();
    let certificates = certificates(&read(path)?).ok_or_else(|| format!("{shown} is not a PEM file"))?;
    if certificates.is_empty() {
        return Err(format!("{shown} holds no PEM certificate"));
    }
    let mut store = RootCertStore::empty();
    for certificate in &certificates {
        store.add(certificate.clone()).map_err(|_| format!("{shown} holds a certificate that cannot be read"))?;
    }
    Ok(certificates)
}

/// Where distributions keep the certificates that the system trusts: Debian and Alpine, Fedora, openSUSE, others.
const SYSTEM_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The system's file of certificates, if `SSL_CERT_FILE` is set and empty. As a variable of a pipeline that has no value it
/// counts as not set, as with Go and curl; the platform's verifier would trust nothing.
pub(super) fn system_bundle_if_unnamed() -> Option<&'static Path> {
    let value = |name: &str| std::env::var_os(name);
    let is_unnamed = value("SSL_CERT_FILE").is_some_and(|file| file.is_empty())
        && value("SSL_CERT_DIR").is_none_or(|folder| folder.is_empty());
    let mut bundles = SYSTEM_BUNDLES.iter().map(Path::new).filter(|_| is_unnamed);
    bundles.find(|path| path.is_file())
}

/// Reads the client's own certificate, and its key from the `.key` file beside it.
pub(super) fn read_identity(certificate: &Path) -> Result<Identity, String> {
    let key_file = certificate.with_extension("key");
    let chain = certificates(&read(certificate)?).filter(|chain| !chain.is_empty());
    match (chain, PrivateKeyDer::from_pem_slice(&read(&key_file)?)) {
        (Some(chain), Ok(key)) => Ok((chain, key)),
        _ => Err(format!("{} and its .key are not a certificate and a key", certificate.display())),
    }
}

/// Lists the files of a folder that have this extension, sorted by name.
pub(super) fn files_with(folder: &Path, extension: &str) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
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
