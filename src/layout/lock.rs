//! Locks a layout so that only one process at a time changes `index.json` or deletes from an archive.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use super::cancel_check::CancelCheck;

/// Attempts before giving up: 30 seconds, far longer than another process needs to write `index.json`.
const MAX_LOCK_ATTEMPTS: u32 = 600;
const LOCK_WAIT: Duration = Duration::from_millis(50);

/// Locks a folder or an archive until the returned handle is closed or the process ends.
///
/// # Errors
///
/// Another process holds the lock for 30 seconds, or the run is stopped while waiting.
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
    Err(std::io::Error::other("another process has held the lock of the layout for 30 seconds"))
}

/// Locks a folder or an archive until the returned handle is closed, with a lock file beside it that no other process
/// can open. Windows cannot open folders, and a locked archive could be neither read nor replaced.
///
/// # Errors
///
/// Another process holds the lock for 30 seconds, or the run is stopped while waiting.
#[cfg(windows)]
pub(super) fn lock(path: &Path, cancel: &CancelCheck) -> std::io::Result<File> {
    use std::os::windows::fs::OpenOptionsExt as _;
    const DELETE_ON_CLOSE: u32 = 0x0400_0000;
    // Another process has the lock file open, or has just closed it and Windows is still deleting it.
    const SHARING_VIOLATION: Option<i32> = Some(32);
    const ACCESS_DENIED: Option<i32> = Some(5);
    const MAX_DELETE_ATTEMPTS: u32 = 20;
    // The lock file is beside the folder, because a folder that contains it would not count as empty. The name must
    // not clash with a user's file, because the lock file is deleted on close.
    let path = std::fs::canonicalize(path)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = path.with_file_name(format!(".{name}.manifest-tool-lock"));
    let mut options = File::options();
    options.write(true).create(true).share_mode(0).custom_flags(DELETE_ON_CLOSE);
    let mut attempts = 0;
    loop {
        let error = match options.open(&name) {
            Ok(file) => return Ok(file),
            Err(error) => error,
        };
        let code = error.raw_os_error();
        if !(code == SHARING_VIOLATION && attempts < MAX_LOCK_ATTEMPTS
            || code == ACCESS_DENIED && attempts < MAX_DELETE_ATTEMPTS)
        {
            return Err(std::io::Error::new(error.kind(), format!("{}: {error}", name.display())));
        }
        cancel.check()?;
        std::thread::sleep(LOCK_WAIT);
        attempts += 1;
    }
}
