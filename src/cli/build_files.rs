//! Reads the files that `push from-images` takes: metadata of builds, folders of digests, and a list on standard input.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::specs::decoded;
use crate::image::{Location, UntrustedText};
use crate::spec::{DigestFile, ImageArgument, MetadataFile, Problem, image_list};

/// The maximum total size of all files of a run, in bytes.
const MAX_LENGTH: u64 = 16 << 20;
/// The maximum size of a metadata file, in bytes. The metadata of a build with its provenance has some 50 KB.
const MAX_METADATA: u64 = 4 << 20;
/// The maximum number of images in a list. An index of that many is far too large for any registry.
const MAX_LISTED: usize = 100_000;
/// The maximum size of a file of digests, in bytes.
const MAX_DIGESTS: u64 = 64 << 10;
/// The maximum number of files of digests.
const MAX_FILES: usize = 10_000;
/// The name of standard input in messages.
const STDIN: &str = "<stdin>";

/// The images and files of a command line.
#[derive(Default)]
pub(super) struct BuildFiles {
    pub(super) images: Vec<ImageArgument>,
    pub(super) metadata: Vec<MetadataText>,
    pub(super) digests: Vec<DigestFile>,
    /// Files that cannot be read.
    pub(super) problems: Vec<Problem>,
    /// Whether standard input has been read, or provides the password.
    is_stdin_used: bool,
    read: u64,
}

/// The text of a metadata file.
pub(super) struct MetadataText {
    name: String,
    pattern: Option<String>,
    text: Vec<u8>,
}

impl MetadataText {
    pub(super) fn as_metadata(&self) -> MetadataFile<'_> {
        MetadataFile { name: &self.name, pattern: self.pattern.as_deref(), text: &self.text }
    }
}

impl BuildFiles {
    /// Returns an empty value. `is_stdin_used` is whether standard input provides the password.
    pub(super) fn new(is_stdin_used: bool) -> Self {
        Self { is_stdin_used, ..Self::default() }
    }

    /// Whether an argument is a file and not an image. An image in a registry has a tag or a digest.
    pub(super) fn is_file(argument: &str) -> bool {
        !is_image(argument) && fs::metadata(argument).is_ok_and(|metadata| !metadata.is_dir())
    }

    /// Whether an argument is a folder and not an image.
    pub(super) fn is_folder(argument: &str) -> bool {
        !is_image(argument) && Path::new(argument).is_dir()
    }

    /// Reports a file or folder among the images.
    pub(super) fn misplaced(&mut self, path: &str, flag: &str) {
        let shown = UntrustedText::from(path);
        self.problem("", format!("\"{shown}\" is a file or folder, not an image; use {flag} {shown}"));
    }

    pub(super) fn add_image(&mut self, text: &str) {
        self.images.push(ImageArgument { text: text.to_owned(), at: None });
    }

    /// Reads a list of images from standard input.
    pub(super) fn read_list(&mut self) {
        let Some(bytes) = self.read_stdin(MAX_LENGTH) else { return };
        let text = String::from_utf8_lossy(&bytes);
        let line = |(number, line): (u64, &str)| ImageArgument { text: line.into(), at: Some((STDIN.into(), number)) };
        let images: Vec<ImageArgument> = image_list(&text).map(line).take(MAX_LISTED + 1).collect();
        match images.len() {
            0 => self.problem(STDIN, "it lists no images".into()),
            1..=MAX_LISTED => self.images.extend(images),
            _ => self.problem(STDIN, format!("it lists more than {MAX_LISTED} images")),
        }
    }

    /// Reads a metadata file: `FILE`, `FILE#PATTERN`, or `-` for standard input.
    pub(super) fn read_metadata(&mut self, argument: &str) {
        let (file, pattern) = match argument.rsplit_once('#') {
            Some((file, pattern)) if !Path::new(argument).exists() => (file, Some(pattern.to_owned())),
            _ => (argument, None),
        };
        let name = if file == "-" { STDIN } else { file }.to_owned();
        if file.is_empty() {
            self.problem("", "the name of a metadata file is empty, as from a variable that is not set".into());
            return;
        }
        let text =
            if file == "-" { self.read_stdin(MAX_METADATA) } else { self.read_file(Path::new(file), MAX_METADATA) };
        self.metadata.extend(text.map(|text| MetadataText { name, pattern, text }));
    }

    /// Reads a folder of digests, and the folders in it.
    pub(super) fn read_digests(&mut self, folder: &str) {
        if folder.is_empty() {
            self.problem("", "the name of a folder of digests is empty, as from a variable that is not set".into());
            return;
        }
        let known = (self.digests.len(), self.problems.len());
        match entries(Path::new(folder)) {
            Ok(entries) => entries.into_iter().for_each(|entry| self.read_entry(&entry, true)),
            Err(error) => self.unreadable(folder, &error),
        }
        if known == (self.digests.len(), self.problems.len()) {
            let message = "it has no digests: expected files that are named by a digest or contain one".to_owned();
            self.problem(folder, message);
        }
    }

    fn read_entry(&mut self, path: &Path, is_top: bool) {
        let shown = path.to_string_lossy();
        if self.digests.len() >= MAX_FILES {
            if self.digests.len() == MAX_FILES && self.problems.is_empty() {
                self.problem(&shown, format!("the folders have more than {MAX_FILES} files"));
            }
            return;
        }
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() && is_top => match entries(path) {
                Ok(entries) => entries.into_iter().for_each(|entry| self.read_entry(&entry, false)),
                Err(error) => self.unreadable(&shown, &error),
            },
            Ok(metadata) if metadata.is_dir() => {
                self.problem(&shown, "a folder of digests may have one level of subfolders".into());
            }
            Ok(metadata) if !metadata.is_file() => self.problem(&shown, "it is not a file".into()),
            Ok(_) => {
                let Some(text) = self.read_file(path, MAX_DIGESTS) else { return };
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let text = String::from_utf8_lossy(&text).into_owned();
                self.digests.push(DigestFile { path: shown.into_owned(), name, text });
            }
            Err(error) => self.unreadable(&shown, &error),
        }
    }

    /// Reads a file of at most `limit` bytes. Reports a failure and returns `None`.
    fn read_file(&mut self, path: &Path, limit: u64) -> Option<Vec<u8>> {
        let shown = path.to_string_lossy();
        match fs::File::open(path) {
            Ok(file) => self.read_all(&shown, file, limit),
            Err(error) => {
                self.unreadable(&shown, &error);
                None
            }
        }
    }

    fn read_stdin(&mut self, limit: u64) -> Option<Vec<u8>> {
        if self.is_stdin_used {
            self.problem("", "standard input can be used only once, for images, metadata or the password".into());
            return None;
        }
        self.is_stdin_used = true;
        self.read_all(STDIN, io::stdin().lock(), limit)
    }

    fn read_all(&mut self, name: &str, reader: impl Read, limit: u64) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        match reader.take(limit + 1).read_to_end(&mut bytes) {
            Ok(length) if length as u64 > limit => {
                self.problem(name, format!("it is longer than {limit} bytes"));
                None
            }
            Ok(length) if length as u64 > MAX_LENGTH - self.read => {
                self.problem(name, format!("together with the files before it, it is longer than {MAX_LENGTH} bytes"));
                None
            }
            Ok(length) => {
                self.read += length as u64;
                let text = utf8(bytes);
                if text.is_none() {
                    self.problem(name, "it is neither UTF-8 nor UTF-16 text".into());
                }
                text
            }
            Err(error) => {
                self.unreadable(name, &error);
                None
            }
        }
    }

    fn unreadable(&mut self, file: &str, error: &io::Error) {
        self.problem(file, format!("it cannot be read: {error}"));
    }

    fn problem(&mut self, file: &str, message: String) {
        self.problems.push(Problem { file: UntrustedText::from(file), ..Problem::of_arguments(message) });
    }
}

/// Returns text as UTF-8 without a byte order mark. PowerShell writes UTF-8 with one, or UTF-16. `None` if it is neither.
fn utf8(bytes: Vec<u8>) -> Option<Vec<u8>> {
    match bytes.as_slice() {
        [0xef, 0xbb, 0xbf, text @ ..] => Some(text.to_vec()),
        _ => decoded(bytes).map(String::into_bytes),
    }
}

/// Whether an argument is a reference with a tag or digest, or a layout.
fn is_image(argument: &str) -> bool {
    let named = |location: Location| location.reference().is_none_or(|reference| reference.manifest_name().is_some());
    argument.parse().is_ok_and(named)
}

/// Returns the entries of a folder, sorted by name, without hidden files.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            entries.push(entry.path());
        }
    }
    entries.sort();
    Ok(entries)
}
