//! Resolves the paths of files that a run replaces, and checks the types of existing files.
//!
//! A rename replaces any file with the new name, even a FIFO or `/dev/null`. So every path is resolved before its file
//! is written, and resolved again just before the rename.

use std::fmt;
use std::fs::{self, FileType};
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};

/// The maximum number of symbolic links to follow for one path; the same as on Linux.
const MAX_LINKS: usize = 40;

/// The file that a path leads to, after symbolic links are followed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A regular file, or a file that does not exist yet. The path is absolute and is not a symbolic link, so renaming
    /// to it keeps the links that lead to it.
    File(PathBuf),
    /// A file that a rename must not replace.
    Other(Kind),
}

/// The type of a file that is not regular.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A directory.
    Folder,
    /// A symbolic link.
    Link,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A block or character device.
    Device,
    /// Any other type.
    Unknown,
}

impl Kind {
    fn of(kind: FileType) -> Self {
        if kind.is_dir() {
            return Self::Folder;
        }
        if kind.is_symlink() {
            return Self::Link;
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::FileTypeExt as _;
            if kind.is_fifo() {
                return Self::Fifo;
            }
            if kind.is_socket() {
                return Self::Socket;
            }
            if kind.is_block_device() || kind.is_char_device() {
                return Self::Device;
            }
        }
        Self::Unknown
    }

    /// Returns the error for a path that must be a regular file but has this type. `subject` is the subject of the
    /// sentence, such as "it".
    pub(crate) fn error(self, subject: &str) -> Error {
        Error::other(format!("{subject} is {self}, not a regular file"))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Folder => "a folder",
            Self::Link => "a symbolic link",
            Self::Fifo => "a FIFO",
            Self::Socket => "a socket",
            Self::Device => "a device",
            Self::Unknown => "of an unknown type",
        })
    }
}

/// Resolves a path before it is written. A dangling symbolic link resolves to the missing file that it names.
///
/// # Errors
///
/// The path cannot be followed: its folder does not exist, links form a loop, or access is denied.
pub(crate) fn resolve(path: &Path) -> Result<Target, Error> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() => Ok(Target::File(fs::canonicalize(path)?)),
        Ok(found) => Ok(Target::Other(Kind::of(found.file_type()))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Target::File(missing_file(path)?)),
        Err(error) => Err(error),
    }
}

/// Returns the path to rename to: a regular file, or a file that does not exist yet.
///
/// # Errors
///
/// The errors of [`resolve`], or the path leads to a file that is not regular.
pub(crate) fn resolve_file(path: &Path) -> Result<PathBuf, Error> {
    match resolve(path)? {
        Target::File(target) => Ok(target),
        Target::Other(kind) => Err(kind.error("it")),
    }
}

/// Checks just before a rename that a path still leads to the file that [`resolve_file`] found.
///
/// # Errors
///
/// The errors of [`resolve_file`], or the path leads to another file now.
pub(crate) fn recheck(path: &Path, target: &Path) -> Result<(), Error> {
    if resolve_file(path)? == target {
        return Ok(());
    }
    Err(Error::other("its symbolic links changed during the run"))
}

/// Whether a path is a regular file (true) or does not exist (false). Does not follow symbolic links.
///
/// # Errors
///
/// The path exists and is not a regular file, or access is denied.
pub(crate) fn is_regular(path: &Path) -> Result<bool, Error> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() => Ok(true),
        Ok(found) => Err(Kind::of(found.file_type()).error(&path.file_name().unwrap_or_default().to_string_lossy())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns the folder that contains a path; `.` for a bare name.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Resolves a path to a missing file. Follows dangling links here, because the system resolves only existing files.
fn missing_file(path: &Path) -> Result<PathBuf, Error> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        if let Ok(next) = fs::read_link(&path) {
            path = folder_of(&path).join(next);
            continue;
        }
        let is_folder = path.as_os_str().to_string_lossy().ends_with(std::path::is_separator);
        let name = path.file_name().filter(|_| !is_folder);
        let name = name.ok_or_else(|| Error::new(ErrorKind::InvalidInput, "the path does not end in a file name"))?;
        return Ok(fs::canonicalize(folder_of(&path))?.join(name));
    }
    Err(Error::other("too many levels of symbolic links"))
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn resolve_follows_links_and_rejects_files_that_are_not_regular() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        let at = |name: &str| root.join(name);
        fs::write(at("file"), "x").unwrap();
        fs::create_dir(at("folder")).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(at("fifo")).status().unwrap().success());
        let _socket = UnixListener::bind(at("socket")).unwrap();
        for (link, to) in [
            ("to-file", "file"),
            ("chain", "folder/up"),
            ("folder/up", "../to-file"),
            ("dangling", "folder/new"),
            ("dangling-chain", "folder/down"),
            ("folder/down", "../dangling"),
            ("to-fifo", "fifo"),
            ("to-fifo-chain", "to-fifo"),
            ("loop", "loop"),
            ("long-loop", "loop-back"),
            ("loop-back", "long-loop"),
            ("into-missing", "none/new"),
            ("to-no-file", "new/"),
        ] {
            symlink(to, at(link)).unwrap();
        }
        symlink("folder", at("linked")).unwrap();
        for (path, target) in [
            ("file", "file"),
            ("new", "new"),
            ("to-file", "file"),
            ("chain", "file"),
            ("dangling", "folder/new"),
            ("dangling-chain", "folder/new"),
            ("linked/new", "folder/new"),
            ("linked/../new", "new"),
        ] {
            assert_eq!(resolve(&at(path)).unwrap(), Target::File(at(target)), "{path}");
            assert_eq!(resolve_file(&at(path)).unwrap(), at(target), "{path}");
            recheck(&at(path), &at(target)).unwrap();
        }
        for (path, kind) in [
            ("folder", Kind::Folder),
            ("linked", Kind::Folder),
            ("fifo", Kind::Fifo),
            ("to-fifo-chain", Kind::Fifo),
            ("socket", Kind::Socket),
            ("/dev/null", Kind::Device),
        ] {
            assert_eq!(resolve(&at(path)).unwrap(), Target::Other(kind), "{path}");
            let error = resolve_file(&at(path)).unwrap_err().to_string();
            assert_eq!(error, format!("it is {kind}, not a regular file"), "{path}");
        }
        for path in ["loop", "long-loop", "into-missing", "none/new", "to-no-file", "file/new"] {
            resolve(&at(path)).unwrap_err();
        }
        assert!(recheck(&at("to-file"), &at("other")).unwrap_err().to_string().contains("changed during the run"));
        assert!(is_regular(&at("file")).unwrap() && !is_regular(&at("new")).unwrap());
        let error = is_regular(&at("to-file")).unwrap_err().to_string();
        assert_eq!(error, "to-file is a symbolic link, not a regular file");
        assert!(is_regular(&at("dangling")).is_err() && is_regular(&at("fifo")).is_err());
    }
}
