use super::origin::CredentialOrigin;

/// What the user can do about an error. The names of flags are the caller's to add.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hint {
    /// Trust the server's certificate, or the CA certificate that issued it.
    TrustCertificate {
        /// Whether the check can be skipped for the host.
        may_skip: bool,
    },
    /// Renew the server's certificate, or set this machine's clock.
    RenewCertificate {
        /// Whether the check can be skipped for the host.
        may_skip: bool,
    },
    /// Use a name that the server's certificate has, or give the server one that names its host.
    NameHostInCertificate {
        /// Whether the check can be skipped for the host.
        may_skip: bool,
    },
    /// Give the server a certificate that is not a CA certificate, or trust this one.
    UseServerCertificate {
        /// Whether the check can be skipped for the host.
        may_skip: bool,
    },
    /// Give the server a certificate whose purpose includes servers.
    AllowServerUse {
        /// Whether the check can be skipped for the host.
        may_skip: bool,
    },
    /// Give the server another certificate.
    ReplaceCertificate {
        /// Whether the check can be skipped for the host.
        may_skip: bool,
    },
    /// Check that the server's certificate and key belong together.
    CheckServerKey,
    /// The versions, cipher suites and keys of TLS that a server needs.
    TlsRequirements,
    /// Configure a client certificate for the host.
    AddClientCertificate,
    /// Reach the registry without TLS.
    UsePlainHttp,
    /// Reach the registry with TLS.
    UseTls {
        /// Whether the server said that it speaks TLS.
        is_certain: bool,
    },
    /// Check the variables that name the proxy, or bypass it.
    CheckProxy,
    /// Give the proxy credentials.
    ProxyCredentials,
    /// Sign in to a registry.
    SignIn {
        /// The registry's host.
        registry: String,
        /// Why the caller's credentials were not used for it.
        unused: Option<String>,
    },
    /// Store other credentials for a registry.
    StoreCredentials {
        /// The registry's host.
        registry: String,
    },
    /// Give other credentials in a place that counts before those that are stored, or none there.
    OtherCredentials {
        /// That place.
        source: CredentialOrigin,
    },
    /// Use credentials with more rights.
    NotAllowed,
    /// Check the repository's name, that it exists, and what the user may do.
    CheckRepository,
    /// The registry refuses anonymous requests and names no way to sign in.
    NoWayToSignIn,
    /// Spell the repository as this registry wants it.
    SpellRepository,
    /// Create the repository before a push.
    CreateRepository,
    /// Push to another tag, or let the registry move this one.
    UseOtherTag,
    /// Let a proxy before the registry take larger bodies.
    RaiseBodyLimit,
    /// Push a smaller index.
    ShrinkIndex,
    /// Push the OCI media types.
    TryOciType,
    /// Wait longer for the registry, or ask it for less at once.
    WaitLonger,
}
