//! Reads the credentials in an entry of a configuration file.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use serde_json::{Map, Value};

use super::login::{Login, LoginLookup, SourcedLogin};
use crate::registry::error::CredentialOrigin;
use crate::registry::transport::redact::Secret;

/// Reads an entry of `auths` in Docker's order: a token before `auth`, `auth` before `username` and `password`. Empty
/// fields, which Docker writes beside a `credsStore`, count as absent.
pub(super) fn read_auth(key: &str, entry: &Map<String, Value>, origin: CredentialOrigin) -> LoginLookup {
    let field = |name: &str| entry.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let login = if let Some(token) = field("registrytoken") {
        Login::RegistryToken(Secret::new(token))
    } else if let Some(token) = field("identitytoken") {
        Login::IdentityToken(Secret::new(token))
    } else if let Some(auth) = field("auth") {
        // The error must not quote the value: it is a secret.
        decode(auth).ok_or_else(|| format!("the entry for {key} in {origin} cannot be read"))?
    } else if let (Some(user), Some(password)) = (field("username"), field("password")) {
        Login::Password { user: user.to_owned(), password: Secret::new(password) }
    } else {
        return Ok(None);
    };
    Ok(Some(SourcedLogin { login, origin }))
}

/// Decodes `USER:PASSWORD` from base64, with or without padding. Like Docker, ignores line breaks, which `base64`
/// inserts after 76 characters, and drops trailing zero bytes.
fn decode(auth: &str) -> Option<Login> {
    let auth: String = auth.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    let bytes = BASE64_STANDARD_NO_PAD.decode(auth.trim_end_matches('=')).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (user, password) = text.split_once(':')?;
    Some(Login::Password { user: user.to_owned(), password: Secret::new(password.trim_end_matches('\0')) })
}
