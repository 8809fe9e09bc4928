use crate::registry::error::CredentialOrigin;
use crate::registry::transport::redact::Secret;

/// What a registry's token service, or the registry itself, takes as proof.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Login {
    /// User and password.
    Password {
        /// User name.
        user: String,
        /// Password or access token.
        password: Secret,
    },
    /// An identity token, which only a token service takes (Docker's `identitytoken`).
    IdentityToken(Secret),
    /// A token that the registry itself takes as it is (Docker's `registrytoken`).
    RegistryToken(Secret),
}

/// A login, and where it comes from.
#[derive(Debug, Clone)]
pub(crate) struct SourcedLogin {
    pub(crate) login: Login,
    pub(crate) origin: CredentialOrigin,
}

/// The result of a search for a login. `None`: no source has one.
pub(crate) type LoginLookup = Result<Option<SourcedLogin>, String>;
