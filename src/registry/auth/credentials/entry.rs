//! An entry of a configuration.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use serde_json::{Map, Value};

use super::login::{Login, LoginLookup, SourcedLogin};
use crate::registry::error::CredentialOrigin;
use crate::registry::transport::redact::Secret;

/// One entry of `auths`, as Docker reads it: a token before `auth`, `auth` before `username` and `password`; empty
/// fields, which Docker writes beside a `credsStore`, count as absent.
pub(super) fn read_auth(key: &str, entry: &Map<String, Value>, origin: CredentialOrigin) -> LoginLookup {
    let field = |name: &str| entry.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let login = if let Some(token) = field("registrytoken") {
        Login::RegistryToken(Secret::new(token))
    } else if let Some(token) = field("identitytoken") {
        Login::IdentityToken(Secret::new(token))
    } else if let Some(auth) = field("auth") {
        // Do not say what is wrong with it: it is a secret.
        decode(auth).ok_or_else(|| format!("the entry for {key} in {origin} cannot be read"))?
    } else if let (Some(user), Some(password)) = (field("username"), field("password")) {
        Login::Password { user: user.to_owned(), password: Secret::new(password) }
    } else {
        return Ok(None);
    };
    Ok(Some(SourcedLogin { login, origin }))
}

/// `USER:PASSWORD` in base64, with or without padding. As Docker reads it: line breaks, which `base64` puts after 76
/// characters, are ignored, and zero bytes at the end dropped.
fn decode(auth: &str) -> Option<Login> {
    let auth: String = auth.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    let bytes = BASE64_STANDARD_NO_PAD.decode(auth.trim_end_matches('=')).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (user, password) = text.split_once(':')?;
    Some(Login::Password { user: user.to_owned(), password: Secret::new(password.trim_end_matches('\0')) })
}
