//! TLS servers that no registry operator would run: their key does not match their certificate, or they offer only old
//! ciphers.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, ServerConnection, SupportedProtocolVersion};

/// Creates a certificate as in Docker's documentation, with `openssl req -x509 -nodes -newkey ...`, and writes it to
/// `NAME.crt` and its key to `NAME.key`. `more` has further arguments, such as `-addext`.
pub fn self_signed(folder: &Path, name: &str, key: &[&str], more: &[&str]) -> (PathBuf, PathBuf) {
    let (certificate, key_file) = (folder.join(format!("{name}.crt")), folder.join(format!("{name}.key")));
    let output = Command::new("openssl")
        .args(["req", "-x509", "-nodes", "-days", "3", "-subj", "/CN=127.0.0.1", "-newkey"])
        .args(key)
        .args(more)
        .args(["-keyout".as_ref(), key_file.as_os_str(), "-out".as_ref(), certificate.as_os_str()])
        .output()
        .expect("openssl is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (certificate, key_file)
}

/// `openssl s_server`, which responds to every request with an HTML page.
pub struct OpensslServer {
    process: Child,
    pub host: String,
}

impl OpensslServer {
    pub fn start(certificate: &Path, key: &Path, more: &[&str]) -> Self {
        let mut process = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-www"])
            .args(["-cert".as_ref(), certificate.as_os_str(), "-key".as_ref(), key.as_os_str()])
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl is installed");
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let host = lines.map_while(Result::ok).find_map(|line| Some(line.strip_prefix("ACCEPT ")?.to_owned())).unwrap();
        Self { process, host }
    }
}

impl Drop for OpensslServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A server that presents one certificate, signs with a key that need not match it, and has no images.
pub struct TlsServer {
    pub host: String,
    /// Number of requests received after a successful handshake.
    pub requests: Arc<AtomicUsize>,
}

impl TlsServer {
    pub fn start(certificate: &Path, key: &Path, version: &'static SupportedProtocolVersion) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let chain = CertificateDer::pem_file_iter(certificate).unwrap().collect::<Result<Vec<_>, _>>().unwrap();
        let signer = provider.key_provider.load_private_key(PrivateKeyDer::from_pem_file(key).unwrap()).unwrap();
        let config = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
        // `with_single_cert` rejects a key that does not match the certificate.
        let resolver = Arc::new(FixedCertificate(Arc::new(CertifiedKey::new(chain, signer))));
        let config = Arc::new(config.with_no_client_auth().with_cert_resolver(resolver));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self { host: listener.local_addr().unwrap().to_string(), requests: Arc::default() };
        let requests = Arc::clone(&server.requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = rustls::StreamOwned::new(connection, stream);
                let mut request = [0; 4096];
                // A failed handshake ends with an alert, and reads no request.
                if matches!(stream.read(&mut request), Ok(1..)) {
                    requests.fetch_add(1, Ordering::SeqCst);
                    let body = r#"{"errors":[{"code":"NAME_UNKNOWN"}]}"#;
                    let head = format!("Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                    let _ = write!(stream, "HTTP/1.1 404 Not Found\r\n{head}{body}");
                    stream.conn.send_close_notify();
                    let _ = stream.flush();
                }
            }
        });
        server
    }
}

#[derive(Debug)]
struct FixedCertificate(Arc<CertifiedKey>);

impl ResolvesServerCert for FixedCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}
