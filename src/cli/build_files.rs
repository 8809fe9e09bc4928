//! Reads the files that `push from-images` takes: metadata of builds, folders of digests, and a list on standard input.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::input_text::{InputError, read_text};
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
    /// Bytes that may still be read.
    remaining: u64,
    /// The number of files and folders in folders of digests.
    entries: usize,
}

/// The text of a metadata file.
pub(super) struct MetadataText {
    name: String,
    pattern: Option<String>,
    text: String,
}

impl MetadataText {
    pub(super) fn as_metadata(&self) -> MetadataFile<'_> {
        MetadataFile { name: &self.name, pattern: self.pattern.as_deref(), text: self.text.as_bytes() }
    }
}

impl BuildFiles {
    /// Returns an empty value. `is_stdin_used` is whether standard input provides the password.
    pub(super) fn new(is_stdin_used: bool) -> Self {
        Self { is_stdin_used, remaining: MAX_LENGTH, ..Self::default() }
    }

    /// Whether an argument is a file and not an image. An image in a registry has a tag or a digest.
    pub(super) fn is_file(argument: &str) -> bool {
        !is_image(argument) && fs::metadata(argument).is_ok_and(|metadata| !metadata.is_dir())
    }

    /// Whether an argument is a folder and not an image.
    pub(super) fn is_folder(argument: &str) -> bool {
        !is_image(argument) && Path::new(argument).is_dir()
    }

    /// Reports a file or folder among the images, and the flag or command that takes it.
    pub(super) fn misplaced(&mut self, path: &str, flag: &str) {
        let shown = UntrustedText::from(path);
        let advice = match Path::new(path).extension().and_then(|extension| extension.to_str()) {
            Some("yaml" | "yml") => format!("push from-spec {shown}"),
            Some("tar") => format!("oci-archive:{shown} or docker-archive:{shown}"),
            _ => format!("{flag} {shown}"),
        };
        self.problem("", format!("\"{shown}\" is a file or folder, not an image; use {advice}"));
    }

    pub(super) fn add_image(&mut self, text: &str) {
        self.images.push(ImageArgument { text: text.to_owned(), at: None });
    }

    /// Reads a list of images from standard input.
    pub(super) fn read_list(&mut self) {
        let Some(text) = self.read("-", MAX_LENGTH) else { return };
        let line = |(number, line): (u64, &str)| ImageArgument { text: line.into(), at: Some((STDIN.into(), number)) };
        let images: Vec<ImageArgument> = image_list(&text).map(line).take(MAX_LISTED + 1).collect();
        match images.len() {
            0 => self.problem(STDIN, "it lists no images"),
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
        if file.is_empty() {
            self.problem("", "the name of a metadata file is empty, as from a variable that is not set");
            return;
        }
        let text = self.read(file, MAX_METADATA);
        self.metadata.extend(text.map(|text| MetadataText { name: name(file).to_owned(), pattern, text }));
    }

    /// Reads a folder of digests, and the folders in it.
    pub(super) fn read_digests(&mut self, folder: &str) {
        if folder.is_empty() {
            self.problem("", "the name of a folder of digests is empty, as from a variable that is not set");
            return;
        }
        let known = (self.digests.len(), self.problems.len());
        self.read_folder(Path::new(folder), true);
        if known == (self.digests.len(), self.problems.len()) {
            self.problem(folder, "it has no digests: expected files that are named by a digest or contain one");
        }
    }

    /// Reads the files of a folder, and with `has_folders` those of the folders in it.
    fn read_folder(&mut self, folder: &Path, has_folders: bool) {
        let shown = folder.to_string_lossy();
        match entries(folder) {
            Ok(entries) if entries.len() > MAX_FILES => {
                self.problem(&shown, format!("it has more than {MAX_FILES} files"))
            }
            Ok(entries) => entries.into_iter().for_each(|entry| self.read_entry(&entry, has_folders)),
            Err(error) => self.problem(&shown, format!("it cannot be read: {error}")),
        }
    }

    fn read_entry(&mut self, path: &Path, may_be_folder: bool) {
        self.entries += 1;
        let shown = path.to_string_lossy();
        if self.entries > MAX_FILES {
            if self.entries == MAX_FILES + 1 {
                self.problem(&shown, format!("the folders of digests have more than {MAX_FILES} files"));
            }
            return;
        }
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() && may_be_folder => self.read_folder(path, false),
            Ok(metadata) if metadata.is_dir() => {
                self.problem(&shown, "a folder of digests may have one level of subfolders");
            }
            Ok(metadata) if !metadata.is_file() => self.problem(&shown, "it is not a file"),
            Ok(_) => {
                let Some(text) = self.read(&shown, MAX_DIGESTS) else { return };
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                self.digests.push(DigestFile { path: shown.into_owned(), name, text });
            }
            Err(error) => self.problem(&shown, format!("it cannot be read: {error}")),
        }
    }

    /// Reads a file, or standard input (`-`), of at most `limit` bytes. Reports a failure and returns `None`.
    fn read(&mut self, file: &str, limit: u64) -> Option<String> {
        if file == "-" && std::mem::replace(&mut self.is_stdin_used, true) {
            self.problem("", "standard input can be used only once, for images, metadata or the password");
            return None;
        }
        let problem = match read_text(file, limit) {
            Ok((text, length)) if length <= self.remaining => {
                self.remaining -= length;
                return Some(text);
            }
            Ok(_) => format!("together with the files before it, it is longer than {MAX_LENGTH} bytes"),
            Err(InputError::TooLong) => format!("it is longer than {limit} bytes"),
            Err(InputError::NotText) => "it is neither UTF-8 nor UTF-16 text".to_owned(),
            Err(InputError::Unreadable(error)) => format!("it cannot be read: {error}"),
        };
        self.problem(name(file), problem);
        None
    }

    fn problem(&mut self, file: &str, message: impl Into<String>) {
        self.problems.push(Problem { file: UntrustedText::from(file), ..Problem::of_arguments(message.into()) });
    }
}

/// Returns the name of a file in messages.
fn name(file: &str) -> &str {
    if file == "-" { STDIN } else { file }
}

/// Whether an argument is a reference with a tag or digest, or a layout.
fn is_image(argument: &str) -> bool {
    let named = |location: Location| location.reference().is_none_or(|reference| reference.manifest_name().is_some());
    argument.parse().is_ok_and(named)
}

/// Returns the entries of a folder, sorted by name, without hidden files; at most one more than [`MAX_FILES`].
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            entries.push(entry.path());
        }
        if entries.len() > MAX_FILES {
            break;
        }
    }
    entries.sort();
    Ok(entries)
}
