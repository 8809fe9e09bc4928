//! Reads the keys of signatures from the files that flags name.

use std::fs::File;
use std::io::Read as _;

use super::failure::Failure;
use crate::image::visible;
use crate::signature::{KeyError, PublicKey};

/// The maximum size of a key file in bytes.
const MAX_KEY: u64 = 64 << 10;
/// Reads public keys.
///
/// # Errors
/// A file cannot be read, or is not a public key.
pub(super) fn public_keys(files: &[String]) -> Result<Vec<PublicKey>, Failure> {
    let mut keys: Vec<PublicKey> = Vec::new();
    for file in files {
        let key = PublicKey::parse(&read(file)?).map_err(|error| invalid(file, &error))?;
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    Ok(keys)
}

fn read(file: &str) -> Result<Vec<u8>, Failure> {
    let failed = |why: String| Failure::usage(format!("--key {}: {why}", visible(file)));
    let mut bytes = Vec::new();
    let opened = File::open(file).and_then(|opened| opened.take(MAX_KEY + 1).read_to_end(&mut bytes));
    opened.map_err(|error| failed(format!("cannot be read: {error}")))?;
    if bytes.len() as u64 > MAX_KEY {
        return Err(failed(format!("it is not a key: it has more than {} KiB", MAX_KEY >> 10)));
    }
    Ok(bytes)
}

fn invalid(file: &str, error: &KeyError) -> Failure {
    let failure = Failure::usage(format!("--key {}: {error}", visible(file)));
    match error.hint() {
        Some(hint) => failure.with_hint(hint.replace("KEY", &visible(file))),
        None => failure,
    }
}
