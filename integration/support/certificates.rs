//! A private certificate authority and the certificates it issues, as PEM files.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

pub struct CertificateAuthority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    pub certificate: PathBuf,
}

impl CertificateAuthority {
    pub fn new(folder: &Path) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "authority");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let certificate = folder.join("authority.crt");
        std::fs::write(&certificate, issuer.pem()).unwrap();
        Self { issuer, certificate }
    }

    /// Issues a certificate for this machine, valid for servers and clients, as `NAME.cert` with the key `NAME.key`.
    pub fn issue(&self, folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        params.extended_key_usages =
            vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth, rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let (certificate_file, key_file) = (folder.join(format!("{name}.cert")), folder.join(format!("{name}.key")));
        std::fs::write(&certificate_file, certificate.pem()).unwrap();
        std::fs::write(&key_file, key.serialize_pem()).unwrap();
        (certificate_file, key_file)
    }

    /// Issues a CA certificate for this machine as `NAME.cert`, with the key `NAME.key`.
    pub fn issue_ca(&self, folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let (certificate_file, key_file) = (folder.join(format!("{name}.cert")), folder.join(format!("{name}.key")));
        std::fs::write(&certificate_file, certificate.pem()).unwrap();
        std::fs::write(&key_file, key.serialize_pem()).unwrap();
        (certificate_file, key_file)
    }

    /// Returns YAML that enables TLS in a registry, to append to the `http` section of its configuration.
    pub fn registry_config(&self, folder: &Path) -> String {
        let (certificate, key) = self.issue(folder, "server");
        format!("  tls:\n    certificate: {}\n    key: {}\n", certificate.display(), key.display())
    }
}
