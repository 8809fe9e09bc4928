use std::fmt;

use super::error_response::ErrorResponse;
use super::hint::Hint;
use super::origin::CredentialOrigin;
use crate::image::UntrustedText;

/// A request that the registry or its token service denied.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Denied {
    /// The registry's host.
    pub registry: String,
    /// Why the request was denied.
    pub denial: Denial,
    /// The error response.
    pub response: ErrorResponse,
    /// Why the credentials given by the caller were not used for this registry.
    pub unused: Option<String>,
}

/// Why a request was denied.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Denial {
    /// The request requires credentials, and none are configured.
    NoCredentials,
    /// The credentials are wrong.
    Refused {
        /// The registry or token service that refused the credentials.
        by: String,
        /// The origin of the credentials.
        source: CredentialOrigin,
    },
    /// The credentials are valid, but the token service granted fewer actions than requested.
    NotGranted {
        /// The repository in the requested scope.
        repository: UntrustedText,
        /// The granted actions.
        granted: Vec<String>,
        /// The requested actions that were not granted.
        lacking: Vec<String>,
        /// The origin of the credentials.
        source: CredentialOrigin,
    },
    /// The credentials are valid, but do not permit this request.
    Forbidden {
        /// The origin of the credentials.
        source: CredentialOrigin,
    },
}

impl Denied {
    /// Suggests what the user can do.
    pub(super) fn hint(&self) -> Option<Hint> {
        let registry = self.registry.clone();
        Some(match &self.denial {
            Denial::NoCredentials => Hint::SignIn { registry, unused: self.unused.clone() },
            Denial::Refused { source, .. } if source.outranks_files => {
                Hint::OtherCredentials { source: source.clone() }
            }
            Denial::Refused { .. } => Hint::StoreCredentials { registry },
            Denial::NotGranted { .. } => Hint::NotAllowed,
            Denial::Forbidden { .. } => return self.response.hint(),
        })
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { registry, denial, response, .. } = self;
        denial.write(f, registry)?;
        match denial {
            Denial::Forbidden { .. } => write!(f, " {response}"),
            // The denial is about credentials, so the request is left out.
            _ => write!(f, " {}", ErrorResponse { request: String::new(), ..response.clone() }),
        }
    }
}

impl Denial {
    fn write(&self, f: &mut fmt::Formatter<'_>, registry: &str) -> fmt::Result {
        match self {
            Self::NoCredentials => write!(f, "no credentials for {registry}"),
            Self::Refused { by, source } => write!(f, "{by} refused the credentials from {source}"),
            Self::NotGranted { repository, granted, lacking, source } => {
                let verb = match granted.is_empty() {
                    true => "did not grant".to_owned(),
                    false => format!("granted {} but not", granted.join(" and ")),
                };
                write!(f, "token service {verb} {} on {repository}", lacking.join(" and "))?;
                write!(f, " to the credentials from {source}")
            }
            Self::Forbidden { source } => {
                write!(f, "refused by the registry, signed in with the credentials from {source}")
            }
        }
    }
}
