//! Resolves the links to a configuration file, and replaces the file without changing its owner.

use std::fs::{File, Metadata};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

/// A longer chain of links counts as a cycle.
const MAX_LINKS: usize = 40;

/// Returns the regular file that a configuration's path leads to through any links. The file may not exist yet.
///
/// # Errors
/// The path leads to something else, such as a pipe or a device, or a link leads into a folder that does not exist.
pub(super) fn regular_file(config: &Path) -> Result<PathBuf, String> {
    let (path, shown) = (follow_links(config.to_owned()), config.display());
    match std::fs::symlink_metadata(&path) {
        Ok(metadata) if metadata.is_file() => Ok(path),
        Ok(_) => Err(format!("cannot change {shown}: it is not a regular file")),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if path == config || folder(&path).is_dir() {
                Ok(path)
            } else {
                let target = path.display();
                Err(format!("cannot change {shown}: it links to {target}, whose folder does not exist"))
            }
        }
        Err(error) => Err(format!("cannot read {shown}: {error}")),
    }
}

/// Returns the end of a chain of links, even if no file exists at that path.
fn follow_links(mut path: PathBuf) -> PathBuf {
    for _ in 0..MAX_LINKS {
        match std::fs::read_link(&path) {
            Ok(next) => path = path.parent().map(|folder| folder.join(&next)).unwrap_or(next),
            Err(_) => break,
        }
    }
    path
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Creates the folder of a configuration if it does not exist, with access for its owner only.
pub(super) fn make_folder(path: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder(path))
}

/// Replaces a configuration atomically. Keeps its owner and mode; only the owner can access a new file.
///
/// # Errors
/// The file cannot be written, or root cannot give it to its owner.
pub(super) fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    // tempfile creates it with mode 0600.
    let mut file = tempfile::Builder::new().prefix(".config.json.").tempfile_in(folder(path))?;
    file.write_all(text.as_bytes())?;
    match std::fs::symlink_metadata(path) {
        Ok(old) => keep_owner_and_mode(file.as_file(), &old)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

#[cfg(unix)]
fn keep_owner_and_mode(file: &File, old: &Metadata) -> std::io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    keep_owner(file, old)?;
    // If the file belongs to another group, that group does not get the old group's permissions.
    let bits = if file.metadata()?.gid() == old.gid() { 0o777 } else { 0o707 };
    file.set_permissions(std::fs::Permissions::from_mode(old.mode() & bits))
}

#[cfg(not(unix))]
fn keep_owner_and_mode(_: &File, _: &Metadata) -> std::io::Result<()> {
    Ok(())
}

/// Gives a file the owner and group of another file. Only root can change the owner of a file, so a refusal is an error
/// only for root.
#[cfg(unix)]
pub(super) fn keep_owner(file: &File, old: &Metadata) -> std::io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, fchown};
    let new = file.metadata()?;
    if (new.uid(), new.gid()) == (old.uid(), old.gid()) {
        return Ok(());
    }
    let changed = fchown(file, Some(old.uid()), Some(old.gid())).or_else(|_| fchown(file, None, Some(old.gid())));
    // A new file that belongs to root was created by root.
    if new.uid() == 0 && file.metadata()?.uid() != old.uid() {
        changed.and(Err(ErrorKind::PermissionDenied.into()))
    } else {
        Ok(())
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};

    use super::*;

    #[test]
    fn only_regular_files_and_links_to_them_are_accepted() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        std::fs::write(at("plain"), "").unwrap();
        std::fs::create_dir(at("folder")).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(at("fifo")).status().unwrap().success());
        for (link, to) in [
            ("to-plain", "plain"),
            ("twice", "to-plain"),
            ("to-new", "new"),
            ("to-fifo", "fifo"),
            ("to-null", "/dev/null"),
            ("nowhere", "no/such/folder/config.json"),
            ("cycle", "cycle"),
        ] {
            symlink(to, at(link)).unwrap();
        }
        for (name, expected) in [
            ("plain", Ok("plain")),
            ("to-plain", Ok("plain")),
            ("twice", Ok("plain")),
            ("to-new", Ok("new")),
            ("absent", Ok("absent")),
            ("absent/folder/file", Ok("absent/folder/file")),
            ("folder", Err("it is not a regular file")),
            ("fifo", Err("it is not a regular file")),
            ("to-fifo", Err("it is not a regular file")),
            ("to-null", Err("it is not a regular file")),
            ("cycle", Err("it is not a regular file")),
            ("nowhere", Err("whose folder does not exist")),
        ] {
            match (regular_file(&at(name)), expected) {
                (Ok(path), Ok(expected)) => assert_eq!(path, at(expected), "{name}"),
                (Err(error), Err(part)) => assert!(error.contains(part), "{name}: {error}"),
                (other, _) => panic!("{name}: {other:?}"),
            }
        }
    }

    #[test]
    fn replace_keeps_owner_and_mode_and_a_new_file_is_private() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("config.json");
        let metadata = || std::fs::metadata(&file).unwrap();
        replace(&file, "1").unwrap();
        assert_eq!(metadata().mode() & 0o7777, 0o600);
        for mode in [0o600, 0o640, 0o644] {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            // Only root can change the owner.
            let has_other_owner = chown(&file, Some(1234), Some(4321)).is_ok();
            let before = metadata();
            replace(&file, "2").unwrap();
            let after = metadata();
            assert_ne!(before.ino(), after.ino(), "the file was replaced");
            assert_eq!((after.uid(), after.gid(), after.mode()), (before.uid(), before.gid(), before.mode()));
            assert!(!has_other_owner || after.uid() == 1234);
        }
    }
}
