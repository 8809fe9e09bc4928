//! One process at a time changes `index.json`, or deletes from an archive.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use super::cancel_check::CancelCheck;

/// Another process has the lock for as long as it takes to write index.json.
const MAX_LOCK_ATTEMPTS: u32 = 600;
const LOCK_WAIT: Duration = Duration::from_millis(50);

/// Locks a folder or an archive, until the handle is closed or the process ends.
///
/// # Errors
///
/// Another process keeps the lock for half a minute, or the run is stopped before it is released.
#[cfg(not(windows))]
pub(super) fn lock(path: &Path, cancel: &CancelCheck) -> std::io::Result<File> {
    use std::fs::TryLockError;
    let file = File::open(path)?;
    for _ in 0..MAX_LOCK_ATTEMPTS {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => cancel.check()?,
            Err(TryLockError::Error(error)) => return Err(error),
        }
        std::thread::sleep(LOCK_WAIT);
    }
    Err(std::io::Error::other("another process has locked the layout for half a minute"))
}

/// Locks a folder or an archive, by a file that no other process can open until the handle is closed. Windows opens no
/// folders, and a locked file cannot be read or replaced.
///
/// # Errors
///
/// Another process keeps the lock for half a minute, or the run is stopped before it is released.
#[cfg(windows)]
pub(super) fn lock(path: &Path, cancel: &CancelCheck) -> std::io::Result<File> {
    use std::os::windows::fs::OpenOptionsExt as _;
    const DELETE_ON_CLOSE: u32 = 0x0400_0000;
    // Another has it open; or has just closed it, and it is about to go.
    const SHARING_VIOLATION: Option<i32> = Some(32);
    const ACCESS_DENIED: Option<i32> = Some(5);
    const SHORT_WAIT: u32 = 20;
    // Beside it: a folder with a file in it is not empty any more. The name is nobody else's, as the file is deleted.
    let path = std::fs::canonicalize(path)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = path.with_file_name(format!(".{name}.manifest-tool-lock"));
    let mut options = File::options();
    options.write(true).create(true).share_mode(0).custom_flags(DELETE_ON_CLOSE);
    let mut tries = 0;
    loop {
        let error = match options.open(&name) {
            Ok(file) => return Ok(file),
            Err(error) => error,
        };
        let code = error.raw_os_error();
        if !(code == SHARING_VIOLATION && tries < MAX_LOCK_ATTEMPTS || code == ACCESS_DENIED && tries < SHORT_WAIT) {
            return Err(std::io::Error::new(error.kind(), format!("{}: {error}", name.display())));
        }
        cancel.check()?;
        std::thread::sleep(LOCK_WAIT);
        tries += 1;
    }
}
