use super::origin::CredentialOrigin;

/// What the user can do about an error. Hints name no flags, because those belong to the program that uses this
/// library.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hint {
    /// Trust the server's certificate, or the CA certificate that issued it.
    TrustCertificate {
        /// Whether certificate verification can be skipped for the host.
        may_skip: bool,
    },
    /// Renew the server's certificate, or correct this machine's clock.
    RenewCertificate {
        /// Whether certificate verification can be skipped for the host.
        may_skip: bool,
    },
    /// Use a host name that the server's certificate covers, or install a certificate that covers the host.
    NameHostInCertificate {
        /// Whether certificate verification can be skipped for the host.
        may_skip: bool,
    },
    /// Install a server certificate that is not a CA certificate, or trust this one.
    UseServerCertificate {
        /// Whether certificate verification can be skipped for the host.
        may_skip: bool,
    },
    /// Install a certificate that may be used for server authentication.
    AllowServerUse {
        /// Whether certificate verification can be skipped for the host.
        may_skip: bool,
    },
    /// Install another server certificate.
    ReplaceCertificate {
        /// Whether certificate verification can be skipped for the host.
        may_skip: bool,
    },
    /// Check that the server's certificate and key belong together.
    CheckServerKey,
    /// Configure the server with a TLS version, cipher suite and key type that this client supports.
    TlsRequirements,
    /// Configure a client certificate for the host.
    AddClientCertificate,
    /// Use plain HTTP for the registry.
    UsePlainHttp,
    /// Use TLS for the registry.
    UseTls {
        /// Whether the server's response proves that it speaks TLS.
        is_certain: bool,
    },
    /// Check the variables that name the proxy, or bypass the proxy.
    CheckProxy,
    /// Configure credentials for the proxy.
    ProxyCredentials,
    /// Sign in to a registry.
    SignIn {
        /// The registry's host.
        registry: String,
        /// Why the credentials given by the caller were not used for this registry.
        unused: Option<String>,
    },
    /// Store other credentials for a registry.
    StoreCredentials {
        /// The registry's host.
        registry: String,
    },
    /// Replace the credentials that take precedence over the stored ones, or remove them to use the stored ones.
    OtherCredentials {
        /// The origin of the credentials that take precedence.
        source: CredentialOrigin,
    },
    /// Use credentials with more permissions.
    NotAllowed,
    /// Check the repository's name, that it exists, and the user's permissions.
    CheckRepository,
    /// Check the registry's configuration: it refuses anonymous requests without a challenge.
    NoWayToSignIn,
    /// Use a repository name that this registry accepts.
    SpellRepository,
    /// Create the repository before the push.
    CreateRepository,
    /// Push to another tag, or configure the registry to let this one move.
    UseOtherTag,
    /// Raise the body size limit of the proxy in front of the registry.
    RaiseBodyLimit,
    /// Push a smaller index.
    ShrinkIndex,
    /// Push an OCI index instead of a Docker manifest list.
    TryOciType,
    /// Wait longer for the registry, or send fewer concurrent requests.
    WaitLonger,
}
