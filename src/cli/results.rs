//! Where results go: stdout, and the files that a pipeline asks for.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use super::exit_status::ExitStatus;
use super::failure::Failure;
use crate::links::{self, Kind, Target};
use crate::output;

/// What a command has to say in the end.
#[derive(Debug)]
pub(super) struct Results {
    /// For stdout.
    pub(super) text: String,
    pub(super) status: ExitStatus,
}

impl From<String> for Results {
    fn from(text: String) -> Self {
        Self { text, status: ExitStatus::Done }
    }
}

/// Files for the results of a command that writes, each replaced in one step, and only when all is done.
#[derive(Debug, Args)]
pub(super) struct Files {
    /// Write what --output json prints to a file as well, when all is done
    #[arg(long, global = true, value_name = "FILE")]
    metadata_file: Option<PathBuf>,
    /// Write the digest to a file, when all is done; for one index or image
    #[arg(long, global = true, value_name = "FILE")]
    digest_file: Option<PathBuf>,
}

/// The same, begun beside their places: who cannot write them hears of it before anything is done.
pub(super) struct Begun {
    metadata: Option<Place>,
    digest: Option<Place>,
}

/// A result file that is begun.
struct Place {
    /// The path as the user gave it.
    path: PathBuf,
    write: Write,
}

/// How a result gets to its path.
enum Write {
    /// A file beside the target replaces it in one step. The target is the path with its links resolved.
    Replace { target: PathBuf, file: NamedTempFile },
    /// A FIFO or a device, such as /dev/stdout, takes the bytes.
    Into,
}

impl Files {
    pub(super) fn wants_digest(&self) -> bool {
        self.digest_file.is_some()
    }

    pub(super) fn wants_metadata(&self) -> bool {
        self.metadata_file.is_some()
    }

    pub(super) fn begin(&self, dry_run: bool) -> Result<Begun, Failure> {
        if dry_run && self.wants_digest() {
            return Err(Failure::usage("--digest-file is not for --dry-run: nothing has that digest"));
        }
        let begin = |path: &Option<PathBuf>| path.as_deref().map(Place::begin).transpose();
        let begun = Begun { metadata: begin(&self.metadata_file)?, digest: begin(&self.digest_file)? };
        match &begun {
            Begun { metadata: Some(one), digest: Some(other) } if one.target() == other.target() => {
                Err(Failure::usage("--digest-file and --metadata-file are one file; give two"))
            }
            _ => Ok(begun),
        }
    }
}

impl Begun {
    /// Puts the files in their places. `digest` is that of the only index or image.
    pub(super) fn end(self, document: &Value, digest: Option<&str>) -> Result<(), Failure> {
        let ended = match self.metadata {
            Some(place) => place.end(&pretty(document)),
            None => Ok(()),
        };
        let ended = ended.and_then(|()| match (self.digest, digest) {
            (Some(place), Some(digest)) => place.end(digest),
            _ => Ok(()),
        });
        ended.map_err(|failure| failure.with_document(document.clone()))
    }
}

impl Place {
    fn begin(path: &Path) -> Result<Self, Failure> {
        let write = Write::begin(path);
        let write = write.map_err(|error| Failure::new(format!("cannot write {}: {error}", path.display())))?;
        Ok(Self { path: path.to_owned(), write })
    }

    fn target(&self) -> &Path {
        match &self.write {
            Write::Replace { target, .. } => target,
            Write::Into => &self.path,
        }
    }

    fn end(self, text: &str) -> Result<(), Failure> {
        let Self { path, write } = self;
        let written = match write {
            Write::Into => std::fs::write(&path, text),
            Write::Replace { target, mut file } => file
                .write_all(text.as_bytes())
                .and_then(|()| file.as_file().sync_all())
                .and_then(|()| links::recheck(&path, &target))
                .and_then(|()| file.persist(&target).map(drop).map_err(|error| error.error)),
        };
        written.map_err(|error| Failure::new(format!("all is done, but {} cannot be written: {error}", path.display())))
    }
}

impl Write {
    fn begin(path: &Path) -> std::io::Result<Self> {
        let target = match links::resolve(path)? {
            Target::File(target) => target,
            Target::Other(kind @ (Kind::Folder | Kind::Socket)) => return Err(kind.error("it")),
            Target::Other(_) => return Ok(Self::Into),
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".manifest-tool-");
        // As any other file, but for what the user's umask takes away.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder.tempfile_in(links::folder_of(&target))?;
        Ok(Self::Replace { target, file })
    }
}

/// Of a run that failed: archives that were told of as done are not in their places.
pub(super) fn take_back_archives(parts: &mut [Value]) {
    for part in parts {
        let is_archive = part["reference"].as_str().is_some_and(|reference| reference.starts_with("oci-archive:"));
        if !is_archive || part["error"].is_object() {
            continue;
        }
        part["changed"] = false.into();
        part["tags"].as_array_mut().into_iter().flatten().for_each(|tag| tag["state"] = "failed".into());
        part["error"] = json!({"message": "the archive is not written, as not all of the run is done", "hints": []});
    }
}

/// JSON as it is printed.
pub(super) fn pretty(document: &Value) -> String {
    output::escaped(&super::talk::scrubbed(&format!("{document:#}\n")))
}
