//! Reads the keys of signatures from the files that flags name.

use std::fs::File;
use std::io::Read as _;
#[cfg(feature = "openpgp")]
use std::sync::Arc;

use super::failure::Failure;
use super::login_pair::is_attended;
use super::prompt::without_echo;
use crate::image::visible;
use crate::registry::Secret;
#[cfg(feature = "openpgp")]
use crate::signature::openpgp::Keyring;
use crate::signature::{KeyError, PublicKey, SigningKey};

/// The maximum size of a key file in bytes.
const MAX_KEY: u64 = 64 << 10;
/// The maximum size of an OpenPGP keyring in bytes.
#[cfg(feature = "openpgp")]
const MAX_KEYRING: u64 = 4 << 20;
/// The flag with the file of a key.
const KEY: &str = "--key";
/// The variable with the password of a private key, which cosign also uses.
pub(super) const COSIGN_PASSWORD: &str = "COSIGN_PASSWORD";

/// Reads public keys.
///
/// # Errors
/// A file cannot be read, or is not a public key.
pub(super) fn public_keys(files: &[String]) -> Result<Vec<PublicKey>, Failure> {
    let mut keys: Vec<PublicKey> = Vec::new();
    for file in files {
        let key = PublicKey::parse(&read(KEY, file, MAX_KEY)?).map_err(|error| invalid(KEY, file, &error))?;
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    Ok(keys)
}

/// Reads a private key. The password of an encrypted one comes from `COSIGN_PASSWORD`, or from the terminal.
///
/// # Errors
/// The file cannot be read or is not a private key, or its password is missing or wrong.
pub(super) fn signing_key(file: &str) -> Result<SigningKey, Failure> {
    let pem = read(KEY, file, MAX_KEY)?;
    let password = if SigningKey::is_encrypted(&pem) { Some(password_of(file)?) } else { None };
    SigningKey::parse(&pem, password.as_ref().map(|password| password.reveal().as_bytes()))
        .map_err(|error| invalid(KEY, file, &error))
}

/// Reads OpenPGP keyrings.
///
/// # Errors
/// A file cannot be read, or has no OpenPGP public key.
#[cfg(feature = "openpgp")]
pub(super) fn keyrings(files: &[String]) -> Result<Vec<Arc<Keyring>>, Failure> {
    let flag = "--openpgp-key";
    let keyring = |file: &String| {
        let parsed = Keyring::parse(&read(flag, file, MAX_KEYRING)?);
        parsed.map(Arc::new).map_err(|error| invalid(flag, file, &error))
    };
    files.iter().map(keyring).collect()
}

fn password_of(file: &str) -> Result<Secret, Failure> {
    match std::env::var(COSIGN_PASSWORD) {
        // An empty password is one that cosign accepts.
        Ok(password) => Ok(Secret::new(password)),
        Err(std::env::VarError::NotUnicode(_)) => Err(Failure::usage(format!("{COSIGN_PASSWORD} is not UTF-8 text"))),
        Err(std::env::VarError::NotPresent) if is_attended() => {
            without_echo(format!("password of the key {}: ", visible(file))).map(Secret::new)
        }
        Err(std::env::VarError::NotPresent) => {
            let failure = Failure::usage(format!("--key {}: it is encrypted, and no password is given", visible(file)));
            Err(failure.with_hint(format!("{COSIGN_PASSWORD} passes the password")))
        }
    }
}

/// Reads the file that a flag names, of at most `limit` bytes.
fn read(flag: &str, file: &str, limit: u64) -> Result<Vec<u8>, Failure> {
    let failed = |why: String| Failure::usage(format!("{flag} {}: {why}", visible(file)));
    let mut bytes = Vec::new();
    let opened = File::open(file).and_then(|opened| opened.take(limit + 1).read_to_end(&mut bytes));
    opened.map_err(|error| failed(format!("cannot be read: {error}")))?;
    if bytes.len() as u64 > limit {
        return Err(failed(format!("it is not a key: it has more than {} KiB", limit >> 10)));
    }
    Ok(bytes)
}

fn invalid(flag: &str, file: &str, error: &KeyError) -> Failure {
    let failure = Failure::usage(format!("{flag} {}: {error}", visible(file)));
    match error.hint() {
        Some(hint) => failure.with_hint(hint.replace("KEY", &visible(file))),
        None => failure,
    }
}
