//! Files with signatures that skopeo stores beside an image in `dir:`.

use std::io::Read as _;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::Deserialize;

use super::content::{Content, Unreadable, open_regular, read};
use super::dir;
use crate::image::{Annotations, Digest};
use crate::memory::Budget;

/// The maximum size of a file with a signature, in bytes: a payload of 64 KiB in base64, and its annotations.
const MAX_FILE: u64 = 256 << 10;
/// The first bytes of a file with a signature of cosign. Files with an OpenPGP signature start with a packet.
const SIGSTORE_START: &[u8] = b"\0sigstore-json\n";

/// A signature of cosign in a file.
#[derive(Debug, Deserialize)]
#[serde(expecting = "a JSON object")]
struct SigstoreJson {
    payload: String,
    #[serde(default)]
    annotations: Annotations,
}

/// The content of a file with a signature of cosign.
#[derive(Debug)]
pub(crate) struct SigstoreFile {
    pub(crate) payload: Vec<u8>,
    pub(crate) annotations: Annotations,
}

impl SigstoreFile {
    /// Parses the content of a file.
    ///
    /// # Errors
    /// It has another form.
    pub(crate) fn parse(content: &[u8]) -> Result<Self, String> {
        let json = content.strip_prefix(SIGSTORE_START).ok_or("it does not hold a signature of cosign")?;
        let file: SigstoreJson = serde_json::from_slice(json).map_err(|error| format!("it is malformed: {error}"))?;
        let payload = BASE64_STANDARD.decode(&file.payload).map_err(|_| "its payload is not valid base64")?;
        Ok(Self { payload, annotations: file.annotations })
    }
}

/// A file with a signature, and whether it is one of cosign, or why it cannot be read.
pub(crate) type ListedSignatureFile = (String, Result<bool, String>);

/// Lists at most `limit` files with signatures of a manifest, by number.
pub(super) fn list(root: &Path, image: Option<&Digest>, limit: usize) -> Result<Vec<ListedSignatureFile>, Unreadable> {
    let mut names = dir::signature_names_of(root, image)?;
    names.truncate(limit);
    let is_sigstore = |name: &str| {
        let (file, _) = open_regular(root, name)?;
        let mut start = Vec::new();
        file.take(SIGSTORE_START.len() as u64).read_to_end(&mut start)?;
        Ok(start == SIGSTORE_START)
    };
    // One file that cannot be read does not hide the others.
    let listed = names.into_iter().map(|name| {
        let is_sigstore = is_sigstore(&name).map_err(|error: Unreadable| error.to_string());
        (name, is_sigstore)
    });
    Ok(listed.collect())
}

/// Reads a file with a signature.
pub(super) fn fetch(root: &Path, name: &str, budget: &Budget) -> Result<Bytes, Unreadable> {
    let (file, length) = open_regular(root, name)?;
    read((Content::file(file, length), length), name, MAX_FILE, budget)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_cosign_has_a_payload_and_annotations() {
        let file =
            SigstoreFile::parse(b"\0sigstore-json\n{\"payload\":\"e30=\",\"annotations\":{\"a\":\"b\"}}").unwrap();
        assert_eq!((&*file.payload, file.annotations.len()), (&b"{}"[..], 1));
        for (content, reason) in [
            (&b""[..], "does not hold"),
            (b"\x90\x0d", "does not hold"),
            (b"\0simple-signing\n{}", "does not hold"),
            (b"\0sigstore-json\n{}", "missing field"),
            (b"\0sigstore-json\n[]", "it is malformed"),
            (b"\0sigstore-json\n{\"payload\":\"?\"}", "not valid base64"),
        ] {
            let error = SigstoreFile::parse(content).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
