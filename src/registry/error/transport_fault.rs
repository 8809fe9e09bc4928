use super::hint::Hint;

/// The known causes of a failed connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransportFault {
    /// The server sent nothing within the idle timeout.
    IdleTimeout,
    /// The host name does not exist, according to the resolver.
    HostNotFound,
    /// The proxy requires credentials, or refused the configured ones.
    ProxyCredentials,
    /// The proxy refused to connect to the server.
    ProxyRefused,
    /// No trusted CA issued the server's certificate.
    NotTrusted,
    /// The server's certificate is not valid at this time.
    Date,
    /// The server's certificate does not cover the host.
    Name,
    /// The server's certificate is a CA certificate.
    IsCa,
    /// The server's certificate may not be used for server authentication.
    Purpose,
    /// The server did not prove that it has the private key of its certificate.
    KeyNotProven,
    /// The server's certificate is invalid for another reason.
    Certificate,
    /// Client and server share no TLS version, cipher suite or signature algorithm.
    NoSharedParameters,
    /// The server requires a client certificate.
    ClientCertificate,
    /// The server's reply to the TLS handshake is not TLS.
    NotTls,
    /// The server closed the connection during the TLS handshake.
    ClosedInHandshake,
    /// The server's reply to plain HTTP is not HTTP, or it closed the connection.
    TlsRequired,
    /// The server does not answer plain HTTP, but it speaks TLS.
    SpeaksTls,
}

impl TransportFault {
    /// Whether only a server that speaks TLS causes this fault in the handshake.
    pub(crate) fn is_of_tls_server(self) -> bool {
        matches!(
            self,
            Self::NotTrusted
                | Self::Date
                | Self::Name
                | Self::IsCa
                | Self::Purpose
                | Self::KeyNotProven
                | Self::Certificate
                | Self::NoSharedParameters
                | Self::ClientCertificate
        )
    }

    /// Suggests what the user can do. `may_skip` is whether certificate verification can be skipped for the host.
    pub(crate) fn hint(self, may_skip: bool) -> Option<Hint> {
        Some(match self {
            Self::NotTrusted => Hint::TrustCertificate { may_skip },
            Self::Date => Hint::RenewCertificate { may_skip },
            Self::Name => Hint::NameHostInCertificate { may_skip },
            Self::IsCa => Hint::UseServerCertificate { may_skip },
            Self::Purpose => Hint::AllowServerUse { may_skip },
            Self::Certificate => Hint::ReplaceCertificate { may_skip },
            Self::KeyNotProven => Hint::CheckServerKey,
            Self::NoSharedParameters => Hint::TlsRequirements,
            Self::ClientCertificate => Hint::AddClientCertificate,
            Self::NotTls => Hint::UsePlainHttp,
            Self::TlsRequired => Hint::UseTls { is_certain: false },
            Self::SpeaksTls => Hint::UseTls { is_certain: true },
            Self::IdleTimeout
            | Self::HostNotFound
            | Self::ProxyCredentials
            | Self::ProxyRefused
            | Self::ClosedInHandshake => return None,
        })
    }
}
