//! Faults of connections that the user can do something about.

/// Why a connection failed, as far as a hint depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// No trusted certificate issued the server's certificate.
    NotTrusted,
    /// The server's certificate is not valid at this time.
    Date,
    /// The server's certificate does not name its host.
    Name,
    /// The server's certificate is a CA certificate.
    IsCa,
    /// The server's certificate is for another purpose.
    Purpose,
    /// The server did not prove that it has its certificate's key.
    KeyNotProven,
    /// Another fault of the server's certificate.
    Certificate,
    /// The two sides share no version, cipher suite or signature algorithm.
    NothingInCommon,
    /// The server wants the client to show a certificate.
    ClientCertificate,
    /// The server answered the TLS greeting with something else.
    NotTls,
    /// The server closed the connection instead of answering the TLS greeting.
    ClosedInHandshake,
    /// The server answered plain HTTP with something else, or closed the connection.
    SpeaksTls,
    /// The proxy did not connect to the host.
    Proxy,
}

impl Fault {
    /// What the user can do about it. `may_skip` is whether `--insecure` has an effect for the host.
    pub(crate) fn hint(self, may_skip: bool) -> Option<String> {
        let (hint, is_of_certificate) = match self {
            Self::NotTrusted => {
                ("--ca-cert FILE trusts the CA certificate, or the self-signed certificate, in a PEM file", true)
            }
            Self::Date => ("renew the certificate, unless this machine's clock is wrong", true),
            Self::Name => {
                let hint = "use a name that the certificate has, or make one that names the host: openssl req -x509 ... \
                     -addext subjectAltName=DNS:HOST (or IP:ADDRESS)";
                (hint, true)
            }
            Self::IsCa => {
                let hint =
                    "give the server a certificate with CA:FALSE, or trust this very certificate with --ca-cert FILE";
                (hint, true)
            }
            Self::Purpose => ("the certificate needs extendedKeyUsage=serverAuth", true),
            Self::Certificate => ("give the server another certificate", true),
            Self::KeyNotProven => {
                ("check that the server's certificate and key belong together: another server may answer here", false)
            }
            Self::NothingInCommon => {
                let hint = "the server needs TLS 1.2 or 1.3, ECDHE with AES-GCM or ChaCha20-Poly1305, and a key of RSA \
                     (2048 bits or more), P-256, P-384 or Ed25519; CBC cipher suites and P-521 keys are not supported";
                (hint, false)
            }
            Self::ClientCertificate => {
                ("put the client's certificate and key into certs.d/HOST[:PORT] as client.cert and client.key", false)
            }
            Self::NotTls => ("the registry does not speak TLS on this port: use --plain-http", false),
            Self::SpeaksTls => ("if the port speaks TLS, leave --plain-http out", false),
            Self::Proxy => ("HTTPS_PROXY, HTTP_PROXY and ALL_PROXY name the proxy; NO_PROXY=HOST bypasses it", false),
            Self::ClosedInHandshake => return None,
        };
        let skips = if is_of_certificate && may_skip { "; --insecure skips the check" } else { "" };
        Some(format!("{hint}{skips}"))
    }
}
