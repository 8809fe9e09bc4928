//! Hashes a layer and its uncompressed content in one pass. Blocks, so callers run it on a blocking thread.

use std::io::{self, BufRead, BufReader, Cursor, Read, Write};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use crate::image::media_type::Compression;
use crate::image::{Digest, Hasher};

/// Default limit of the zstd window, which is kept in memory, in bytes: the size that every decoder should support
/// (RFC 8878, section 3.1.1.1.2) and the largest that compressors use by default.
pub(crate) const USUAL_WINDOW: u64 = 8 << 20;
/// The largest window that the `zstd` program accepts without `--long`, in bytes.
pub(crate) const WIDEST_WINDOW: u64 = 128 << 20;
/// Size of the decompression buffer, in bytes.
const CHUNK_SIZE: usize = 128 << 10;

/// The measured properties of a blob.
#[derive(Debug, Clone)]
pub(crate) struct Contents {
    /// Size of the blob as stored, in bytes.
    pub(crate) size: u64,
    /// Digest of the blob as stored.
    pub(crate) digest: Digest,
    /// Compression, detected from the first bytes.
    pub(crate) compression: Compression,
    /// Digest of the uncompressed content, or the reason why decompression failed. `None` if not requested.
    pub(crate) unpacked: Option<Result<Digest, String>>,
    /// Whether decompression failed because it needs a wider window than allowed.
    pub(crate) needs_wider_window: bool,
}

/// Reads a blob to its end. If `unpacked` is given, also decompresses it, with a zstd window of at most `max_window`
/// bytes, and hashes the result with that digest's algorithm. Returns errors of the reader only.
pub(crate) fn read(
    blob: impl BufRead,
    digest: &Digest,
    unpacked: Option<&Digest>,
    max_window: u64,
) -> io::Result<Contents> {
    read_to(blob, digest, unpacked, max_window, &mut io::sink())
}

/// Reads a blob as [`read`] does, and writes its uncompressed content to `out`. Returns errors of the reader and of `out`
/// only.
pub(super) fn read_to(
    mut blob: impl BufRead,
    digest: &Digest,
    unpacked: Option<&Digest>,
    max_window: u64,
    out: &mut dyn Write,
) -> io::Result<Contents> {
    let mut first = Vec::new();
    blob.by_ref().take(4).read_to_end(&mut first)?;
    let compression = match first.as_slice() {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        // A zstd frame or a skippable frame (RFC 8878, sections 3.1.1 and 3.1.2).
        [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Compression::Zstd,
        _ => Compression::Tar,
    };
    let mut blob = Hashed { inner: Read::chain(Cursor::new(first), blob), hasher: Hasher::like(digest), size: 0 };
    let (mut needs_wider_window, mut write_error) = (false, None);
    let unpacked = unpacked.map(|like| {
        let mut out = HashedWriter { inner: &mut *out, hasher: Hasher::like(like), error: &mut write_error };
        let outcome = match compression {
            Compression::Tar => io::copy(&mut blob, &mut out).map(drop),
            Compression::Gzip => copy(MultiGzDecoder::new(&mut blob), &mut out),
            Compression::Zstd => unpack_zstd(&mut blob, &mut out, max_window, &mut needs_wider_window),
        };
        outcome.map(|()| out.hasher.finish()).map_err(|error| {
            let is_at_end = blob.fill_buf().is_ok_and(<[u8]>::is_empty);
            match error.kind() {
                io::ErrorKind::UnexpectedEof => "it is truncated".to_owned(),
                // The zstd decoder reports a truncated frame as `Other`.
                io::ErrorKind::Other if is_at_end => "it is truncated".to_owned(),
                _ => error.to_string(),
            }
        })
    });
    if let Some(error) = write_error {
        return Err(error);
    }
    // Hash the rest of the blob too if decompression stopped early.
    io::copy(&mut blob, &mut io::sink())?;
    Ok(Contents { size: blob.size, digest: blob.hasher.finish(), compression, unpacked, needs_wider_window })
}

fn copy(from: impl Read, to: &mut impl Write) -> io::Result<()> {
    io::copy(&mut BufReader::with_capacity(CHUNK_SIZE, from), to).map(drop)
}

/// Decompresses zstd frame by frame: the decoder handles a single frame, but zstd:chunked layers have many.
fn unpack_zstd(mut from: impl BufRead, to: &mut impl Write, max_window: u64, needs_wider: &mut bool) -> io::Result<()> {
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(max_window);
    while !from.fill_buf()?.is_empty() {
        match StreamingDecoder::new_with_decoder(&mut from, &mut decoder) {
            Ok(frame) => copy(frame, to)?,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                if io::copy(&mut from.by_ref().take(length.into()), &mut io::sink())? < length.into() {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            Err(FrameDecoderError::WindowSizeTooBig { requested, .. }) if requested > WIDEST_WINDOW => {
                let (needed, limit) = (requested.div_ceil(1 << 20), WIDEST_WINDOW >> 20);
                return Err(io::Error::other(format!(
                    "it needs a window of {needed} MiB, more than the limit of {limit} MiB"
                )));
            }
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::BadMagicNumber(_))) => {
                return Err(io::Error::other("it is followed by bytes that are not zstd"));
            }
            Err(FrameDecoderError::FrameHeaderError(_) | FrameDecoderError::FailedToInitialize(_)) => {
                return Err(io::Error::other("the header of a zstd frame is not valid, or declares too wide a window"));
            }
            Err(error) => {
                *needs_wider = matches!(error, FrameDecoderError::WindowSizeTooBig { .. });
                return Err(io::Error::other(error));
            }
        }
    }
    Ok(())
}

/// Hashes the bytes that are read through it.
struct Hashed<R> {
    inner: R,
    hasher: Hasher,
    size: u64,
}

impl<R: BufRead> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Hashed<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        // The buffer is filled, so this returns the same bytes again.
        if let Some(consumed) = self.inner.fill_buf().ok().and_then(|buffer| buffer.get(..amount)) {
            self.hasher.update(consumed);
            self.size += consumed.len() as u64;
        }
        self.inner.consume(amount);
    }
}

/// Hashes the bytes that are written through it, and keeps the error of a failed write: decompression reports it as its
/// own.
struct HashedWriter<'a> {
    inner: &'a mut dyn Write,
    hasher: Hasher,
    error: &'a mut Option<io::Error>,
}

impl Write for HashedWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hasher.update(bytes);
        match self.inner.write_all(bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(error) => {
                let kind = error.kind();
                *self.error = Some(error);
                Err(kind.into())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use bytes::Bytes;
    use tokio::sync::mpsc;

    use super::super::chunks::Chunks;
    use super::*;
    use crate::image::media_type;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut out = GzEncoder::new(Vec::new(), Compression::fast());
        out.write_all(bytes).unwrap();
        out.finish().unwrap()
    }

    /// Returns a frame with one uncompressed block (RFC 8878, sections 3.1.1.1 and 3.1.1.2).
    fn zstd(bytes: &[u8]) -> Vec<u8> {
        let length = u32::try_from(bytes.len()).unwrap();
        let header = [&[0x28, 0xb5, 0x2f, 0xfd, 0b1010_0000][..], &length.to_le_bytes()].concat();
        let block = (length << 3 | 1).to_le_bytes();
        [&header, &block[..3], bytes].concat()
    }

    fn skippable(length: u32, bytes: &[u8]) -> Vec<u8> {
        [&[0x5a, 0x2a, 0x4d, 0x18][..], &length.to_le_bytes(), bytes].concat()
    }

    #[test]
    fn a_too_wide_window_is_distinguished_from_a_corrupt_frame() {
        // The frame header declares the window (RFC 8878, section 3.1.1.1.2): 1 KiB shifted by the exponent.
        let frame = |exponent: u8| [0x28, 0xb5, 0x2f, 0xfd, 0, exponent << 3, 0b0001_1001, 0, 0, b'a', b'b', b'c'];
        let like = Digest::sha256(b"");
        for (exponent, max_window, is_unpacked, needs_wider) in [
            (13, USUAL_WINDOW, true, false),
            (14, USUAL_WINDOW, false, true),
            (17, USUAL_WINDOW, false, true),
            (17, WIDEST_WINDOW, true, false),
            (18, USUAL_WINDOW, false, false),
            (18, WIDEST_WINDOW, false, false),
        ] {
            let contents = read(&frame(exponent)[..], &like, Some(&like), max_window).unwrap();
            let unpacked = contents.unpacked.as_ref().is_some_and(Result::is_ok);
            assert_eq!((unpacked, contents.needs_wider_window), (is_unpacked, needs_wider), "{exponent}: {contents:?}");
        }
    }

    #[test]
    fn layers_are_hashed_as_stored_and_uncompressed() {
        let (one, two) = (b"one ".repeat(50_000), b"two".to_vec());
        let (both, small) = ([&one[..], &two[..]].concat(), &one[..200]);
        for (name, bytes, compression, unpacked) in [
            ("tar", one.clone(), media_type::Compression::Tar, Some(&one[..])),
            ("empty", vec![], media_type::Compression::Tar, Some(&[])),
            ("a byte", vec![0x1f], media_type::Compression::Tar, Some(&[0x1f])),
            ("gzip", gzip(&one), media_type::Compression::Gzip, Some(&one)),
            ("two gzip members", [gzip(&one), gzip(&two)].concat(), media_type::Compression::Gzip, Some(&both)),
            ("truncated gzip", gzip(&one)[..gzip(&one).len() - 9].to_vec(), media_type::Compression::Gzip, None),
            (
                "gzip with trailing garbage",
                [gzip(&one), b"more".to_vec()].concat(),
                media_type::Compression::Gzip,
                None,
            ),
            ("zstd", zstd(small), media_type::Compression::Zstd, Some(small)),
            ("two zstd frames", [zstd(&two), zstd(&two)].concat(), media_type::Compression::Zstd, Some(b"twotwo")),
            (
                "skippable frames",
                [skippable(3, b"abc"), zstd(&two), skippable(0, b"")].concat(),
                media_type::Compression::Zstd,
                Some(&two),
            ),
            (
                "a truncated skippable frame",
                [zstd(&two), skippable(9, b"abc")].concat(),
                media_type::Compression::Zstd,
                None,
            ),
            ("truncated zstd", zstd(&two)[..10].to_vec(), media_type::Compression::Zstd, None),
            (
                "zstd with trailing garbage",
                [zstd(&two), b"more".to_vec()].concat(),
                media_type::Compression::Zstd,
                None,
            ),
        ] {
            // Send chunks of several sizes, as a network would.
            for chunk in [1, 7, 100_000] {
                let (sender, receiver) = mpsc::channel(bytes.len() + 1);
                bytes.chunks(chunk).for_each(|chunk| sender.try_send(Bytes::copy_from_slice(chunk)).unwrap());
                drop(sender);
                let like = Digest::sha256(b"");
                let contents = read(Chunks::new(receiver), &like, Some(&like), USUAL_WINDOW).unwrap();
                assert_eq!((contents.size, contents.digest), (bytes.len() as u64, Digest::sha256(&bytes)), "{name}");
                assert_eq!(contents.compression, compression, "{name}");
                let result = contents.unpacked.unwrap();
                assert_eq!(result.as_ref().ok(), unpacked.map(Digest::sha256).as_ref(), "{name}: {result:?}");
            }
        }
        let like = Digest::sha256(b"");
        let contents = read(&gzip(&one)[..], &like, None, USUAL_WINDOW).unwrap();
        assert!(contents.unpacked.is_none() && contents.digest == Digest::sha256(&gzip(&one)));
        let cut = read(&zstd(&two)[..10], &like, Some(&like), USUAL_WINDOW).unwrap();
        assert_eq!(cut.unpacked, Some(Err("it is truncated".into())));
        let sha512 = Digest::parse(&format!("sha512:{}", "0".repeat(128))).unwrap();
        let mixed = read(&gzip(&one)[..], &like, Some(&sha512), USUAL_WINDOW).unwrap();
        assert_eq!(mixed.digest.algorithm(), "sha256");
        assert_eq!(mixed.unpacked.unwrap().unwrap().algorithm(), "sha512");
    }
}
