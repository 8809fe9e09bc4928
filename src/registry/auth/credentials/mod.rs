//! Credentials from the caller, configuration files and credential helpers.

mod entry;
mod file;
mod finder;
mod helper;
mod keys;
mod lock;
mod login;
mod paths;
mod replace;
mod sources;
mod store;

pub(crate) use finder::Credentials;
pub use login::Login;
pub(crate) use login::{LoginLookup, SourcedLogin};
pub(crate) use paths::HOME;
pub use sources::{CredentialSources, ExplicitCredentials, ScopedCredentials, ScopedSource};
pub(crate) use store::{Stored, erase, store};
