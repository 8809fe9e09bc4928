//! Reads and writes `dir:`, one image in a folder without subfolders, as skopeo does (containers-transports(5)).
//!
//! `manifest.json` is the manifest of the image or index, `HEX.manifest.json` that of each image of an index, `HEX` a
//! blob, and `signature-N` or `HEX.signature-N` a signature. Nothing names the image.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::content::{Content, Unreadable, open_regular};
use super::staging;
use crate::image::{Descriptor, Digest, Index, MAX_MANIFEST, Manifest, media_type, parse_manifest};
use crate::links;

/// The manifest of the image or index.
pub(super) const MANIFEST: &str = "manifest.json";
/// The end of the name of every other manifest.
const MANIFEST_SUFFIX: &str = ".manifest.json";
/// The file that marks the folder.
pub(super) const VERSION_FILE: &str = "version";
/// What skopeo writes into it.
pub(super) const VERSION: &[u8] = b"Directory Transport Version: 1.1\n";
const VERSION_START: &str = "Directory Transport Version: 1.";

/// An image or index in a folder.
pub(super) struct DirImage {
    root: PathBuf,
    /// The digest of `manifest.json`.
    digest: Digest,
}

impl DirImage {
    /// Opens a folder. Returns the image as the only entry of an `index.json`.
    pub(super) fn open(root: &Path) -> Result<(Self, Index), String> {
        let bytes = match read_manifest(root, MANIFEST) {
            Ok(bytes) => bytes,
            Err(Unreadable::Missing) => return Err(format!("it is not a folder of dir: it has no {MANIFEST}")),
            Err(reason) => return Err(format!("its {MANIFEST} cannot be read: {reason}")),
        };
        if !has_known_version(root) {
            return Err(format!("its file \"{VERSION_FILE}\" does not start with \"{VERSION_START}\""));
        }
        let digest = Digest::sha256(&bytes);
        let (_, media_type) =
            parse_manifest(&bytes, "").map_err(|error| format!("its {MANIFEST} is not valid: {error}"))?;
        let size = bytes.len() as u64;
        let entry = Descriptor { size, ..Descriptor::new(&media_type, digest.clone()) };
        let index = Index { manifests: vec![entry], ..Index::default() };
        Ok((Self { root: root.to_owned(), digest }, index))
    }

    /// Returns the digest of the image or index of the folder.
    pub(super) fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Opens a blob or a manifest, and returns its length.
    pub(super) fn open_blob(&self, digest: &Digest) -> Result<(Content, u64), Unreadable> {
        let opened = match *digest == self.digest {
            true => open_regular(&self.root, MANIFEST),
            false => match open_regular(&self.root, hex(digest)) {
                Err(Unreadable::Missing) => open_regular(&self.root, &manifest_name(digest)),
                opened => opened,
            },
        };
        opened.map(|(file, length)| (Content::file(file, length), length))
    }
}

/// Whether a folder says that it has the form of `dir:`. A folder without the file is read, as skopeo does.
fn has_known_version(root: &Path) -> bool {
    let Ok((file, _)) = open_regular(root, VERSION_FILE) else { return true };
    let mut start = String::new();
    file.take(VERSION_START.len() as u64).read_to_string(&mut start).is_ok() && start == VERSION_START
}

/// Returns the name of a blob's file, or of a manifest's that is not the root.
pub(super) fn file_name(descriptor: &Descriptor) -> String {
    let Descriptor { media_type, digest, .. } = descriptor;
    match media_type::is_image(media_type) || media_type::is_index(media_type) {
        true => manifest_name(digest),
        false => hex(digest).to_owned(),
    }
}

fn manifest_name(digest: &Digest) -> String {
    format!("{}{MANIFEST_SUFFIX}", hex(digest))
}

fn hex(digest: &Digest) -> &str {
    digest.as_str().split_once(':').map_or(digest.as_str(), |(_, hex)| hex)
}

fn read_manifest(root: &Path, name: &str) -> Result<Vec<u8>, Unreadable> {
    let (file, length) = open_regular(root, name)?;
    if length > MAX_MANIFEST {
        return Err(Unreadable::Other(format!("{name} exceeds the limit of {MAX_MANIFEST} bytes")));
    }
    let mut bytes = Vec::new();
    File::take(file, MAX_MANIFEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whether a folder may be written: it holds nothing, or an image in this form.
pub(super) fn is_writable(root: &Path) -> std::io::Result<bool> {
    let mut is_empty = true;
    for entry in std::fs::read_dir(root)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        is_empty &= name.starts_with(super::STAGING_PREFIX);
    }
    Ok(is_empty || (links::is_regular(&root.join(VERSION_FILE))? && has_known_version(root)))
}

/// Makes a manifest, which was written like that of a child, the image of the folder. Then removes the files of the
/// image that was there before.
///
/// # Errors
///
/// A file of the image is not in the folder, because another process changed it.
pub(super) fn publish(root: &Path, descriptor: &Descriptor) -> std::io::Result<()> {
    links::is_regular(&root.join(MANIFEST))?;
    let written = file_name(descriptor);
    let mut needed = needed(root, &written);
    if keep_root(root, &needed)? {
        needed = self::needed(root, &written);
    }
    if let Some(absent) = needed.iter().find(|name| !root.join(name).is_file()) {
        return Err(std::io::Error::other(format!(
            "{absent} is gone: another process changed the folder; run this again"
        )));
    }
    std::fs::rename(root.join(&written), root.join(MANIFEST))?;
    remove_others(root, &needed)
}

/// Writes the manifest of the folder's image also like that of a child, if the new image contains it.
fn keep_root(root: &Path, needed: &HashSet<String>) -> std::io::Result<bool> {
    let Ok(bytes) = read_manifest(root, MANIFEST) else { return Ok(false) };
    let name = manifest_name(&Digest::sha256(&bytes));
    if !needed.contains(&name) || links::is_regular(&root.join(&name))? {
        return Ok(false);
    }
    let mut copy = staging::file_in(root)?;
    std::io::Write::write_all(&mut copy, &bytes)?;
    copy.persist(root.join(name)).map_err(|error| error.error)?;
    Ok(true)
}

/// The names of signatures in a folder.
pub(super) fn signature_names(root: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(root)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if signed(&name).is_some() {
            names.push(name);
        }
        if names.len() > MAX_SIGNATURES {
            return Err(std::io::Error::other(format!("it has more than {MAX_SIGNATURES} signatures")));
        }
    }
    Ok(names)
}

/// The names of the signatures of an image of the index, or of the image of the folder, ordered by number.
pub(super) fn signature_names_of(root: &Path, image: Option<&Digest>) -> std::io::Result<Vec<String>> {
    let of = image.map_or("", hex);
    let mut names: Vec<String> = signature_names(root)?.into_iter().filter(|name| signed(name) == Some(of)).collect();
    names.sort_unstable_by(|one, other| (one.len(), one).cmp(&(other.len(), other)));
    Ok(names)
}

/// The maximum number of signatures, and their maximum size in total, in bytes.
const MAX_SIGNATURES: usize = 1000;
const MAX_SIGNATURE_BYTES: u64 = 4 << 20;

/// Copies the signatures of an image to the folder of the same image.
pub(super) fn copy_signatures(from: &Path, to: &Path) -> std::io::Result<()> {
    let mut remaining = MAX_SIGNATURE_BYTES;
    for name in signature_names(from)? {
        let (file, length) = open_regular(from, &name).map_err(|reason| std::io::Error::other(reason.to_string()))?;
        remaining = remaining.checked_sub(length).ok_or_else(|| {
            std::io::Error::other(format!("its signatures have more than {MAX_SIGNATURE_BYTES} bytes"))
        })?;
        links::is_regular(&to.join(&name))?;
        let mut copy = staging::file_in(to)?;
        std::io::copy(&mut file.take(length), &mut copy)?;
        copy.persist(to.join(&name)).map_err(|error| error.error)?;
    }
    Ok(())
}

/// Returns the names of the files that an image needs below its own manifest. Layers that are stored elsewhere, and
/// content of unknown types, are not needed.
fn needed(root: &Path, manifest: &str) -> HashSet<String> {
    let mut needed = HashSet::new();
    let mut next = vec![manifest.to_owned()];
    while let Some(name) = next.pop() {
        let Ok(bytes) = read_manifest(root, &name) else { continue };
        let found: Vec<String> = match parse_manifest(&bytes, "").map(|(manifest, _)| manifest) {
            Ok(Manifest::Index(index)) => index.manifests.iter().map(file_name).collect(),
            Ok(Manifest::Image(image)) => {
                let blobs = image.layers.iter().chain([&image.config]);
                blobs.filter(|blob| !media_type::is_foreign(&blob.media_type)).map(file_name).collect()
            }
            Err(_) => Vec::new(),
        };
        for name in found {
            if name.ends_with(MANIFEST_SUFFIX) && !needed.contains(&name) {
                next.push(name.clone());
            }
            needed.insert(name);
        }
    }
    needed
}

fn remove_others(root: &Path, needed: &HashSet<String>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(root)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        // The signatures of an image that stays part of the index stay too.
        let is_needed = match signed(&name) {
            Some(hex) => needed.contains(&format!("{hex}{MANIFEST_SUFFIX}")),
            None => needed.contains(&name),
        };
        if is_of_image(&name) && !is_needed {
            std::fs::remove_file(root.join(&name))?;
        }
    }
    Ok(())
}

/// Whether a file belongs to an image: a blob, a manifest or a signature.
fn is_of_image(name: &str) -> bool {
    is_hex(name) || name.strip_suffix(MANIFEST_SUFFIX).is_some_and(is_hex) || signed(name).is_some()
}

/// Returns the image of the index that a signature is for; an empty text for the image of the folder. `None` if the file
/// is not a signature.
fn signed(name: &str) -> Option<&str> {
    let (of, number) = name.split_once("signature-")?;
    let image = if of.is_empty() { Some(of) } else { of.strip_suffix('.').filter(|hex| is_hex(hex)) };
    image.filter(|_| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

fn is_hex(text: &str) -> bool {
    matches!(text.len(), 64 | 128) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_an_image_are_removed_with_it() {
        let hex = "a".repeat(64);
        for name in [hex.clone(), format!("{hex}.manifest.json"), "signature-1".into(), format!("{hex}.signature-12")] {
            assert!(is_of_image(&name), "{name}");
        }
        for name in ["manifest.json", "version", "notes.txt", "signature-a", "x.signature-1", "abc"] {
            assert!(!is_of_image(name), "{name}");
        }
    }
}
