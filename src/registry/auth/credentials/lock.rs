//! Lets only one process at a time change a configuration.

use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A change takes milliseconds, so a process that holds the lock for this long has hung.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// The minimum delay between two attempts, in milliseconds. A random delay of at most the same length is added, so that
/// waiting processes do not retry in step.
const PAUSE: u64 = 10;

/// Held while a configuration is read, changed and written. It is an operating system lock on a file next to the
/// configuration, and is released when the process that holds it exits.
pub(super) struct Lock {
    _file: File,
    #[cfg_attr(not(unix), expect(dead_code, reason = "an open file cannot be removed everywhere"))]
    path: PathBuf,
}

impl Lock {
    /// Acquires the lock of a configuration, waiting at most 30 seconds. The configuration's folder must exist.
    ///
    /// # Errors
    /// Another process holds the lock for the whole time, or the lock file cannot be created.
    pub(super) async fn acquire(config: &Path) -> Result<Self, String> {
        let mut name = config.file_name().unwrap_or_default().to_owned();
        name.push(".lock");
        let path = config.with_file_name(name);
        let failed = |reason: String| format!("cannot change {}: {}: {reason}", config.display(), path.display());
        let started = Instant::now();
        loop {
            if let Some(file) = try_lock(&path, config).map_err(|error| failed(error.to_string()))? {
                return Ok(Self { _file: file, path });
            }
            if started.elapsed() > MAX_WAIT {
                return Err(failed(format!("another process has held this lock for {} s", MAX_WAIT.as_secs())));
            }
            tokio::time::sleep(Duration::from_millis(PAUSE + fastrand::u64(..PAUSE))).await;
        }
    }
}

#[cfg(unix)]
impl Drop for Lock {
    fn drop(&mut self) {
        // Remove it while it is still locked: a waiting process notices that the file is gone, and creates a new one.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Returns the locked file, or `None` if another process holds the lock.
fn try_lock(path: &Path, config: &Path) -> std::io::Result<Option<File>> {
    let Some(file) = open(path, config)? else { return Ok(None) };
    match file.try_lock() {
        Ok(()) => Ok(is_in_place(&file, path).then_some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        // The file system does not support locks. Continue without one instead of failing the login.
        Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => Ok(Some(file)),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Opens or creates the lock file. Returns `None` if another process removes an existing one before it is opened. Does
/// not follow links: in a folder of another user they may lead anywhere.
fn open(path: &Path, config: &Path) -> std::io::Result<Option<File>> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(file) => {
            // If a crash leaves the file behind, the configuration's owner must still be able to lock it.
            #[cfg(unix)]
            if let Ok(config) = std::fs::symlink_metadata(config) {
                let _ = super::replace::keep_owner(&file, &config);
            }
            #[cfg(not(unix))]
            let _ = config;
            return Ok(Some(file));
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Err(std::io::Error::other("it is not a regular file")),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    }
    match File::options().write(true).open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether an open file is still the one at its path: the process that held the lock before may have removed it.
#[cfg(unix)]
fn is_in_place(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let id = |metadata: &std::fs::Metadata| (metadata.dev(), metadata.ino());
    let (opened, current) = (file.metadata(), std::fs::symlink_metadata(path));
    matches!((opened, current), (Ok(opened), Ok(current)) if id(&opened) == id(&current))
}

#[cfg(not(unix))]
fn is_in_place(_: &File, _: &Path) -> bool {
    true
}
