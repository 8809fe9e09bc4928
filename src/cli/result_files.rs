//! The files that a pipeline asks for: `--metadata-file` and `--digest-file`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use tempfile::NamedTempFile;

use super::console::Console;
use super::failure::Failure;
use super::render::{Body, Document};
use crate::links::{self, Kind, Target};

/// Files for the results of a command that writes, each replaced in one step, and only when all is done.
#[derive(Debug, Args)]
pub(super) struct OutputFiles {
    /// Write what --output json prints to a file as well, when all is done
    #[arg(long, global = true, value_name = "FILE")]
    metadata_file: Option<PathBuf>,
    /// Write the digest to a file, when all is done; for one index or image
    #[arg(long, global = true, value_name = "FILE")]
    digest_file: Option<PathBuf>,
}

/// Result files that are open for writing: a file that cannot be written fails the command before anything is done.
pub(super) struct PendingFiles {
    metadata: Option<PendingFile>,
    digest: Option<PendingFile>,
}

/// A result file that is open for writing.
struct PendingFile {
    /// The path as the user gave it.
    path: PathBuf,
    destination: Destination,
}

/// How a result gets to its path.
enum Destination {
    /// A file beside the target replaces it in one step. The target is the path with its links resolved.
    Replace { target: PathBuf, file: NamedTempFile },
    /// A FIFO or a device, such as /dev/stdout, takes the bytes.
    Into,
}

impl OutputFiles {
    pub(super) fn wants_digest(&self) -> bool {
        self.digest_file.is_some()
    }

    pub(super) fn wants_metadata(&self) -> bool {
        self.metadata_file.is_some()
    }

    /// Opens the files.
    pub(super) fn open(&self, dry_run: bool) -> Result<PendingFiles, Failure> {
        if dry_run && self.wants_digest() {
            return Err(Failure::usage("--digest-file is not for --dry-run: nothing has that digest"));
        }
        let open = |path: &Option<PathBuf>| path.as_deref().map(PendingFile::open).transpose();
        let files = PendingFiles { metadata: open(&self.metadata_file)?, digest: open(&self.digest_file)? };
        match &files {
            PendingFiles { metadata: Some(one), digest: Some(other) } if one.target() == other.target() => {
                Err(Failure::usage("--digest-file and --metadata-file are one file; give two"))
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
            Destination::Into => &self.path,
        }
    }

    fn write(self, text: &str) -> Result<(), Failure> {
        let Self { path, destination } = self;
        let written = match destination {
            Destination::Into => std::fs::write(&path, text),
            Destination::Replace { target, mut file } => file
                .write_all(text.as_bytes())
                .and_then(|()| file.as_file().sync_all())
                .and_then(|()| links::recheck(&path, &target))
                .and_then(|()| file.persist(&target).map(drop).map_err(|error| error.error)),
        };
        written.map_err(|error| Failure::new(format!("all is done, but {} cannot be written: {error}", path.display())))
    }
}

impl Destination {
    fn open(path: &Path) -> std::io::Result<Self> {
        let target = match links::resolve(path)? {
            Target::File(target) => target,
            Target::Other(kind @ (Kind::Folder | Kind::Socket)) => return Err(kind.error("it")),
            Target::Other(_) => return Ok(Self::Into),
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".manifest-tool-");
        // The permissions of any new file: the umask is applied to them.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder.tempfile_in(links::folder_of(&target))?;
        Ok(Self::Replace { target, file })
    }
}
