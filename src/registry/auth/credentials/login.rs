use crate::registry::error::CredentialOrigin;
use crate::registry::transport::redact::Secret;

/// Credentials that a registry or its token service accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Login {
    /// A user name and password.
    Password {
        /// The user name.
        user: String,
        /// The password or access token.
        password: Secret,
    },
    /// An identity token, which only a token service accepts (Docker's `identitytoken`).
    IdentityToken(Secret),
    /// A token that is sent to the registry unchanged (Docker's `registrytoken`).
    RegistryToken(Secret),
}

/// A login and its origin.
#[derive(Debug, Clone)]
pub(crate) struct SourcedLogin {
    pub(crate) login: Login,
    pub(crate) origin: CredentialOrigin,
}

/// The result of a search for a login; `None` if no source has one.
pub(crate) type LoginLookup = Result<Option<SourcedLogin>, String>;
