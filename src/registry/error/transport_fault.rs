use super::hint::Hint;

/// What went wrong with a connection, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransportFault {
    /// The server sent nothing within the idle timeout.
    Silent,
    /// The resolver says that the host's name does not exist.
    UnknownName,
    /// The proxy requires credentials, or refused those that it got.
    ProxyCredentials,
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
}

impl TransportFault {
    /// What the user can do about it. `may_skip` is whether the check of certificates can be skipped for the host.
    pub(crate) fn hint(self, may_skip: bool) -> Option<Hint> {
        Some(match self {
            Self::NotTrusted => Hint::TrustCertificate { may_skip },
            Self::Date => Hint::RenewCertificate { may_skip },
            Self::Name => Hint::NameHostInCertificate { may_skip },
            Self::IsCa => Hint::UseServerCertificate { may_skip },
            Self::Purpose => Hint::AllowServerUse { may_skip },
            Self::Certificate => Hint::ReplaceCertificate { may_skip },
            Self::KeyNotProven => Hint::CheckServerKey,
            Self::NothingInCommon => Hint::TlsRequirements,
            Self::ClientCertificate => Hint::AddClientCertificate,
            Self::NotTls => Hint::UsePlainHttp,
            Self::SpeaksTls => Hint::UseTls { is_certain: false },
            Self::Silent | Self::UnknownName | Self::ProxyCredentials | Self::ClosedInHandshake => return None,
        })
    }
}
