use std::fmt;

use super::error_response::ErrorResponse;
use super::hint::Hint;
use super::origin::CredentialOrigin;
use crate::image::UntrustedText;

/// A request that the registry, or its token service, does not allow with these credentials.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Denied {
    /// The registry's host.
    pub registry: String,
    /// What is wrong with the credentials.
    pub denial: Denial,
    /// The registry's answer.
    pub response: ErrorResponse,
    /// Why the caller's credentials were not used for this registry.
    pub unused: Option<String>,
}

/// What is wrong with credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Denial {
    /// There are none, and without them it is not allowed.
    NoCredentials,
    /// They are wrong.
    Refused {
        /// Who refused them.
        by: String,
        /// Where they came from.
        source: CredentialOrigin,
    },
    /// They are good, and the token service granted less than was asked for.
    NotGranted {
        /// For which repository.
        repository: UntrustedText,
        /// Actions granted.
        granted: Vec<String>,
        /// Actions not granted.
        lacking: Vec<String>,
        /// Where the credentials came from.
        source: CredentialOrigin,
    },
    /// They are good, and not for this.
    Forbidden {
        /// Where the credentials came from.
        source: CredentialOrigin,
    },
}

impl Denied {
    /// What the user can do about it.
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
            // It is not about what was asked.
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
                let granted =
                    if granted.is_empty() { String::new() } else { format!("granted {} but ", granted.join(" and ")) };
                let not = if granted.is_empty() { "did not grant" } else { "not" };
                write!(f, "token service {granted}{not} {} on {repository}", lacking.join(" and "))?;
                write!(f, " to the credentials from {source}")
            }
            Self::Forbidden { source } => {
                write!(f, "refused by the registry, signed in with the credentials from {source}")
            }
        }
    }
}
