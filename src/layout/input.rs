//! Opens archives for reading: files, standard input, and compressed ones.

use std::fs::File;
use std::io::{Error, Read, Seek as _, Write as _};
use std::path::Path;

use super::CHUNK_SIZE;
use super::cancel_check::CancelCheck;
use crate::image::LayoutReference;

/// Opens an archive: a file, or standard input.
///
/// # Errors
///
/// The file does not exist or is not a regular file. Opening a FIFO, for example, could block forever.
pub(super) fn open(at: &LayoutReference, cancel: &CancelCheck) -> std::io::Result<File> {
    let file = match at.is_stream() {
        true => standard_input(cancel)?,
        false => open_file(Path::new(&at.path))?,
    };
    decompressed(file, cancel)
}

/// Opens an archive file.
///
/// # Errors
///
/// The file does not exist or is not a regular file.
pub(super) fn open_file(path: &Path) -> std::io::Result<File> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(Error::other("not a regular file"));
    }
    File::open(path)
}

/// Returns standard input if it is a file, and else a temporary copy of it, because an archive is not read in order.
fn standard_input(cancel: &CancelCheck) -> std::io::Result<File> {
    let input = std::io::stdin();
    if std::io::IsTerminal::is_terminal(&input) {
        return Err(Error::other("standard input is a terminal; pipe an archive into it"));
    }
    #[cfg(unix)]
    {
        use std::os::fd::AsFd as _;
        let mut file = File::from(input.as_fd().try_clone_to_owned()?);
        // Positions in the archive count from its start.
        if file.metadata()?.is_file() && file.stream_position()? == 0 {
            return Ok(file);
        }
    }
    let mut copy = tempfile::tempfile()?;
    copy_all(&mut input.lock(), &mut copy, cancel)?;
    copy.rewind()?;
    Ok(copy)
}

/// Returns a decompressed temporary copy of an archive that is compressed with gzip or zstd. Neither can grow without
/// limit: gzip expands at most 1032 times, and the copy is on the disk, not in memory.
fn decompressed(mut file: File, cancel: &CancelCheck) -> std::io::Result<File> {
    let mut start = Vec::new();
    (&mut file).take(8).read_to_end(&mut start)?;
    file.rewind()?;
    let mut copy = match COMPRESSION_FORMATS.iter().find(|(magic, ..)| start.starts_with(magic)) {
        None => return Ok(file),
        Some((_, "gzip", _)) => {
            let mut copy = tempfile::tempfile()?;
            copy_all(&mut flate2::read::MultiGzDecoder::new(std::io::BufReader::new(file)), &mut copy, cancel)
                .map_err(|error| in_format("gzip", error))?;
            copy
        }
        Some((_, name, program)) => {
            return Err(Error::other(format!("it is compressed with {name}; decompress it first with {program}")));
        }
    };
    copy.rewind()?;
    Ok(copy)
}

/// Compression formats: first bytes, name, and the program that decompresses them.
const COMPRESSION_FORMATS: &[(&[u8], &str, &str)] = &[
    (b"\x1f\x8b", "gzip", "gunzip"),
    (b"\x28\xb5\x2f\xfd", "zstd", "unzstd"),
    (b"\xfd7zXZ\0", "xz", "unxz"),
    (b"BZh", "bzip2", "bunzip2"),
];

fn in_format(format: &str, error: Error) -> Error {
    if super::cancel_check::is_stopped(&error) {
        return error;
    }
    Error::other(format!("it is compressed with {format}, and cannot be decompressed: {error}"))
}

fn copy_all(from: &mut impl Read, to: &mut File, cancel: &CancelCheck) -> std::io::Result<()> {
    let mut chunk = vec![0; CHUNK_SIZE];
    loop {
        cancel.check()?;
        match from.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(read) => to.write_all(chunk.get(..read).unwrap_or_default())?,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
