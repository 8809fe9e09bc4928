//! The configuration's file: where links lead, and replacing it without changing whose it is.

use std::fs::{File, Metadata};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

/// More links in a row than this are a circle.
const MAX_LINKS: usize = 40;

/// The regular file that a configuration's path leads to, through any links, or that can be made there.
///
/// # Errors
/// Something else is there, such as a pipe or a device, or a link leads into a folder that does not exist.
pub(super) fn regular_file(named: &Path) -> Result<PathBuf, String> {
    let (path, shown) = (followed(named.to_owned()), named.display());
    match std::fs::symlink_metadata(&path) {
        Ok(metadata) if metadata.is_file() => Ok(path),
        Ok(_) => Err(format!("cannot change {shown}: it is not a regular file")),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if path == named || folder(&path).is_dir() {
                Ok(path)
            } else {
                let leads = format!("it links to {}, whose folder does not exist", path.display());
                Err(format!("cannot change {shown}: {leads}"))
            }
        }
        Err(error) => Err(format!("cannot read {shown}: {error}")),
    }
}

/// The end of a chain of links, whether a file is there or not.
fn followed(mut path: PathBuf) -> PathBuf {
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

/// Replaces a configuration in one step. Its owner and mode stay; a new one is for its owner only.
///
/// # Errors
/// It cannot be written, or root may not leave it to its owner.
pub(super) fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    // Mode 0600, as tempfile makes them.
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
    // The bits of a group are not for another group.
    let bits = if file.metadata()?.gid() == old.gid() { 0o777 } else { 0o707 };
    file.set_permissions(std::fs::Permissions::from_mode(old.mode() & bits))
}

#[cfg(not(unix))]
fn keep_owner_and_mode(_: &File, _: &Metadata) -> std::io::Result<()> {
    Ok(())
}

/// Gives a file to the owner and group of another. Only root can give a file away, so that it is an error only for root
/// where that is refused.
#[cfg(unix)]
pub(super) fn keep_owner(file: &File, of: &Metadata) -> std::io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, fchown};
    let own = file.metadata()?;
    if (own.uid(), own.gid()) == (of.uid(), of.gid()) {
        return Ok(());
    }
    let given = fchown(file, Some(of.uid()), Some(of.gid())).or_else(|_| fchown(file, None, Some(of.gid())));
    // A file that root makes is root's.
    if own.uid() == 0 && file.metadata()?.uid() != of.uid() {
        given.and(Err(ErrorKind::PermissionDenied.into()))
    } else {
        Ok(())
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};

    use super::*;

    #[test]
    fn what_is_no_regular_file_is_refused() {
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
            ("circle", "circle"),
        ] {
            symlink(to, at(link)).unwrap();
        }
        for (name, found) in [
            ("plain", Ok("plain")),
            ("to-plain", Ok("plain")),
            ("twice", Ok("plain")),
            ("to-new", Ok("new")),
            ("not-there-yet", Ok("not-there-yet")),
            ("no/folder/yet", Ok("no/folder/yet")),
            ("folder", Err("it is not a regular file")),
            ("fifo", Err("it is not a regular file")),
            ("to-fifo", Err("it is not a regular file")),
            ("to-null", Err("it is not a regular file")),
            ("circle", Err("it is not a regular file")),
            ("nowhere", Err("whose folder does not exist")),
        ] {
            match (regular_file(&at(name)), found) {
                (Ok(path), Ok(expected)) => assert_eq!(path, at(expected), "{name}"),
                (Err(error), Err(part)) => assert!(error.contains(part), "{name}: {error}"),
                (other, _) => panic!("{name}: {other:?}"),
            }
        }
    }

    #[test]
    fn owner_and_mode_stay_and_a_new_file_is_private() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("config.json");
        let metadata = || std::fs::metadata(&file).unwrap();
        replace(&file, "1").unwrap();
        assert_eq!(metadata().mode() & 0o7777, 0o600);
        for mode in [0o600, 0o640, 0o644] {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            // Only root can give it away.
            let is_given = chown(&file, Some(1234), Some(4321)).is_ok();
            let before = metadata();
            replace(&file, "2").unwrap();
            let after = metadata();
            assert_ne!(before.ino(), after.ino(), "it is another file");
            assert_eq!((after.uid(), after.gid(), after.mode()), (before.uid(), before.gid(), before.mode()));
            assert!(!is_given || after.uid() == 1234);
        }
    }
}
