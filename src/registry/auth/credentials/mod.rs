//! Credentials from the caller, configuration files and credential helpers.

mod file;
mod helper;
mod lock;
mod replace;
mod sources;
mod store;

pub use sources::{CredentialSources, Given, Login};
pub(crate) use sources::{Credentials, Found, HOME, Looked};
pub(crate) use store::{Stored, erase, store};
