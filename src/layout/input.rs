//! Opens archives for reading: files, standard input, and compressed ones.

use std::fs::File;
use std::io::{Error, Read, Seek, Write as _};
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

/// Fails if an archive is compressed, so that it cannot be changed in place.
pub(super) fn check_not_compressed(mut file: &File) -> std::io::Result<()> {
    match format_of(&mut file)? {
        Some((_, name, program)) => {
            Err(Error::other(format!("it is compressed with {name}; decompress it first with {program}")))
        }
        None => Ok(()),
    }
}

/// Returns the compression format of a file.
fn format_of(file: &mut (impl Read + Seek)) -> std::io::Result<Option<&'static Format>> {
    let mut start = Vec::new();
    file.by_ref().take(8).read_to_end(&mut start)?;
    file.rewind()?;
    Ok(COMPRESSION_FORMATS.iter().find(|(magic, ..)| start.starts_with(magic)))
}

/// Returns a decompressed temporary copy of an archive that is compressed with gzip. The copy is on the disk, not in
/// memory, and gzip expands at most 1032 times.
fn decompressed(mut file: File, cancel: &CancelCheck) -> std::io::Result<File> {
    let mut copy = match format_of(&mut file)? {
        None => return Ok(file),
        Some((_, "gzip", _)) => {
            let mut copy = tempfile::tempfile()?;
            let mut content = flate2::read::MultiGzDecoder::new(std::io::BufReader::new(file));
            let mut header = Vec::new();
            (&mut content).take(512).read_to_end(&mut header).map_err(|error| in_format("gzip", error))?;
            check_is_tar(&header)?;
            copy.write_all(&header)?;
            copy_all(&mut content, &mut copy, cancel).map_err(|error| in_format("gzip", error))?;
            copy
        }
        Some((_, name, program)) => {
            return Err(Error::other(format!("it is compressed with {name}; decompress it first with {program}")));
        }
    };
    copy.rewind()?;
    Ok(copy)
}

/// Fails if the first block of a file is not the header of a tar archive, before the rest is decompressed.
fn check_is_tar(block: &[u8]) -> std::io::Result<()> {
    let sum: u32 =
        block.iter().enumerate().map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) }).sum();
    let mut header = tar::Header::new_old();
    match block.try_into().map(|block: [u8; 512]| *header.as_mut_bytes() = block) {
        Ok(()) if header.cksum().is_ok_and(|declared| declared == sum) => Ok(()),
        _ => Err(Error::other("what gzip compressed is not a tar archive")),
    }
}

/// A compression format: first bytes, name, and the program that decompresses it.
type Format = (&'static [u8], &'static str, &'static str);

const COMPRESSION_FORMATS: &[Format] = &[
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
