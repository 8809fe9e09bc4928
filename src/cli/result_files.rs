//! Result files for pipelines: `--metadata-file` and `--digest-file`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use tempfile::NamedTempFile;

use super::console::Console;
use super::failure::Failure;
use super::render::{Body, Document};
use crate::links::{self, Kind, Target};

/// Result files of a command that writes. Each is replaced atomically, and only if the whole run succeeds.
#[derive(Debug, Args)]
pub(super) struct OutputFiles {
    /// Also write the JSON document to FILE on success
    #[arg(long, global = true, value_name = "FILE")]
    metadata_file: Option<PathBuf>,
    /// Write the digest to FILE on success
    #[arg(long, global = true, value_name = "FILE")]
    digest_file: Option<PathBuf>,
}

/// Result files opened before the run, so that an unwritable file fails the command before anything is pushed.
pub(super) struct PendingFiles {
    metadata: Option<PendingFile>,
    digest: Option<PendingFile>,
}

/// A result file opened for writing.
struct PendingFile {
    /// The path as the user gave it.
    path: PathBuf,
    destination: Destination,
}

/// How a result is written to its path.
enum Destination {
    /// Writes a temporary file next to the target and renames it. The target is the path with symbolic links resolved.
    Replace { target: PathBuf, file: NamedTempFile },
    /// Writes directly to a FIFO or a device, such as /dev/stdout.
    Direct,
}

impl OutputFiles {
    /// Returns the files of a command that has only `--metadata-file`.
    pub(super) fn of_metadata(metadata_file: Option<PathBuf>) -> Self {
        Self { metadata_file, digest_file: None }
    }

    pub(super) fn wants_digest(&self) -> bool {
        self.digest_file.is_some()
    }

    pub(super) fn wants_metadata(&self) -> bool {
        self.metadata_file.is_some()
    }

    /// Opens the files.
    pub(super) fn open(&self, dry_run: bool) -> Result<PendingFiles, Failure> {
        if dry_run && self.wants_digest() {
            return Err(Failure::usage("--digest-file cannot be used with --dry-run, which pushes no manifest"));
        }
        let open = |path: &Option<PathBuf>| path.as_deref().map(PendingFile::open).transpose();
        let files = PendingFiles { metadata: open(&self.metadata_file)?, digest: open(&self.digest_file)? };
        match &files {
            PendingFiles { metadata: Some(metadata), digest: Some(digest) } if metadata.target() == digest.target() => {
                Err(Failure::usage("--digest-file and --metadata-file name the same file; use two"))
            }
            _ => Ok(files),
        }
    }
}

impl PendingFiles {
    /// Writes the document, and the digest of the only index or image, to the files.
    pub(super) fn write(self, console: &Console, body: &Body, digest: Option<&str>) -> Result<(), Failure> {
        if let Some(file) = self.metadata {
            file.write(&console.json(&Document::from(body))?)?;
        }
        match (self.digest, digest) {
            (Some(file), Some(digest)) => file.write(digest),
            _ => Ok(()),
        }
    }
}

impl PendingFile {
    fn open(path: &Path) -> Result<Self, Failure> {
        let destination = Destination::open(path);
        let destination =
            destination.map_err(|error| Failure::new(format!("cannot write {}: {error}", path.display())))?;
        Ok(Self { path: path.to_owned(), destination })
    }

    fn target(&self) -> &Path {
        match &self.destination {
            Destination::Replace { target, .. } => target,
            Destination::Direct => &self.path,
        }
    }

    fn write(self, text: &str) -> Result<(), Failure> {
        let Self { path, destination } = self;
        let written = match destination {
            Destination::Direct => std::fs::write(&path, text),
            Destination::Replace { target, mut file } => file
                .write_all(text.as_bytes())
                .and_then(|()| file.as_file().sync_all())
                .and_then(|()| links::recheck(&path, &target))
                .and_then(|()| file.persist(&target).map(drop).map_err(|error| error.error)),
        };
        written.map_err(|error| {
            Failure::new(format!("the run succeeded, but {} cannot be written: {error}", path.display()))
        })
    }
}

impl Destination {
    fn open(path: &Path) -> std::io::Result<Self> {
        let target = match links::resolve(path)? {
            Target::File(target) => target,
            Target::Other(kind @ (Kind::Folder | Kind::Socket)) => return Err(kind.error("it")),
            Target::Other(_) => return Ok(Self::Direct),
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".manifest-tool-");
        // Use the permissions of an ordinary new file: the umask applies to them.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder.tempfile_in(links::folder_of(&target))?;
        Ok(Self::Replace { target, file })
    }
}
