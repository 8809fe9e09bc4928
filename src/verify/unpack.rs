//! Hashing a layer as it is stored and as it is unpacked, in one pass. Blocking.

use std::io::{self, BufRead, BufReader, Cursor, Read, Write};

use bytes::{Buf as _, Bytes};
use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};
use tokio::sync::mpsc;

use crate::image::media_type::Compression;
use crate::image::{Digest, Hasher};

/// Bytes of zstd's window, which is kept in memory: the size that every decoder should support (RFC 8878, section
/// 3.1.1.1.2), and the largest that compressors use by default.
pub(super) const USUAL_WINDOW: u64 = 8 << 20;
/// The largest window that the zstd program accepts without `--long`.
pub(super) const WIDEST_WINDOW: u64 = 128 << 20;
/// Bytes that are unpacked at once.
const CHUNK_SIZE: usize = 128 << 10;

/// What a blob's bytes are.
#[derive(Debug, Clone)]
pub(super) struct Contents {
    /// As it is stored, in bytes.
    pub(super) size: u64,
    /// As it is stored.
    pub(super) digest: Digest,
    /// How it is packed, by its first bytes.
    pub(super) compression: Compression,
    /// Its digest when it is unpacked, or why it cannot be; nothing where that was not asked for.
    pub(super) unpacked: Option<Result<Digest, String>>,
    /// It was not unpacked, as that takes a wider window than was allowed.
    pub(super) wants_wider_window: bool,
}

/// Reads a blob to its end, and unpacks it where there is a digest to compare that with, with a window of zstd of
/// `max_window` bytes at most. Errors: of the reader.
pub(super) fn read(
    mut blob: impl BufRead,
    digest: &Digest,
    unpacked: Option<&Digest>,
    max_window: u64,
) -> io::Result<Contents> {
    let mut first = Vec::new();
    blob.by_ref().take(4).read_to_end(&mut first)?;
    let compression = match first.as_slice() {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        // A frame, or one that is to be skipped (RFC 8878, sections 3.1.1 and 3.1.2).
        [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Compression::Zstd,
        _ => Compression::Tar,
    };
    let mut blob = Hashed { inner: Read::chain(Cursor::new(first), blob), hasher: Hasher::like(digest), size: 0 };
    let mut wants_wider_window = false;
    let unpacked = unpacked.map(|like| {
        let mut out = Sink(Hasher::like(like));
        let outcome = match compression {
            Compression::Tar => io::copy(&mut blob, &mut out).map(drop),
            Compression::Gzip => copy(MultiGzDecoder::new(&mut blob), &mut out),
            Compression::Zstd => unpack_zstd(&mut blob, &mut out, max_window, &mut wants_wider_window),
        };
        outcome.map(|()| out.0.finish()).map_err(|error| {
            let is_at_end = blob.fill_buf().is_ok_and(<[u8]>::is_empty);
            match error.kind() {
                io::ErrorKind::UnexpectedEof => "it is cut off".to_owned(),
                // The decoder has no kinds of its own.
                io::ErrorKind::Other if is_at_end => "it is cut off".to_owned(),
                _ => error.to_string(),
            }
        })
    });
    // What is behind an error belongs to the blob as well.
    io::copy(&mut blob, &mut io::sink())?;
    Ok(Contents { size: blob.size, digest: blob.hasher.finish(), compression, unpacked, wants_wider_window })
}

fn copy(from: impl Read, to: &mut Sink) -> io::Result<()> {
    io::copy(&mut BufReader::with_capacity(CHUNK_SIZE, from), to).map(drop)
}

/// Frame by frame: the decoder knows one alone, and there may be many, as in zstd:chunked.
fn unpack_zstd(mut from: impl BufRead, to: &mut Sink, max_window: u64, wants_wider: &mut bool) -> io::Result<()> {
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
            Err(error) => {
                *wants_wider = matches!(&error, FrameDecoderError::WindowSizeTooBig { requested, .. } if *requested <= WIDEST_WINDOW);
                return Err(io::Error::other(error));
            }
        }
    }
    Ok(())
}

/// Hashes what is read through it.
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
        // It is filled, and gives what it gave.
        if let Some(taken) = self.inner.fill_buf().ok().and_then(|buffer| buffer.get(..amount)) {
            self.hasher.update(taken);
            self.size += taken.len() as u64;
        }
        self.inner.consume(amount);
    }
}

/// Hashes what is written to it.
struct Sink(Hasher);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Pieces from another task, which comes to its end when that lets go.
pub(super) struct Chunks {
    receiver: mpsc::Receiver<Bytes>,
    piece: Bytes,
}

impl Chunks {
    pub(super) fn new(receiver: mpsc::Receiver<Bytes>) -> Self {
        Self { receiver, piece: Bytes::new() }
    }
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

impl BufRead for Chunks {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.piece.is_empty() {
            match self.receiver.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => break,
            }
        }
        Ok(&self.piece)
    }

    fn consume(&mut self, amount: usize) {
        self.piece.advance(amount.min(self.piece.len()));
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;
    use crate::image::media_type;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut out = GzEncoder::new(Vec::new(), Compression::fast());
        out.write_all(bytes).unwrap();
        out.finish().unwrap()
    }

    /// A frame of one block that is not compressed (RFC 8878, sections 3.1.1.1 and 3.1.1.2).
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
    fn a_window_that_is_wider_than_allowed_is_told_from_what_is_broken() {
        // A frame whose window is named in its header (RFC 8878, section 3.1.1.1.2): 1 KiB shifted by the exponent.
        let frame = |exponent: u8| [0x28, 0xb5, 0x2f, 0xfd, 0, exponent << 3, 0b0001_1001, 0, 0, b'a', b'b', b'c'];
        let like = Digest::sha256(b"");
        for (exponent, max_window, is_unpacked, wants_wider) in [
            (13, USUAL_WINDOW, true, false),
            (14, USUAL_WINDOW, false, true),
            (17, USUAL_WINDOW, false, true),
            (17, WIDEST_WINDOW, true, false),
            (18, USUAL_WINDOW, false, false),
            (18, WIDEST_WINDOW, false, false),
        ] {
            let found = read(&frame(exponent)[..], &like, Some(&like), max_window).unwrap();
            let unpacked = found.unpacked.as_ref().is_some_and(Result::is_ok);
            assert_eq!((unpacked, found.wants_wider_window), (is_unpacked, wants_wider), "{exponent}: {found:?}");
        }
    }

    #[test]
    fn what_layers_are() {
        let (one, two) = (b"one ".repeat(50_000), b"two".to_vec());
        let (both, small) = ([&one[..], &two[..]].concat(), &one[..200]);
        for (name, bytes, compression, unpacked) in [
            ("tar", one.clone(), media_type::Compression::Tar, Some(&one[..])),
            ("empty", vec![], media_type::Compression::Tar, Some(&[])),
            ("a byte", vec![0x1f], media_type::Compression::Tar, Some(&[0x1f])),
            ("gzip", gzip(&one), media_type::Compression::Gzip, Some(&one)),
            ("two members", [gzip(&one), gzip(&two)].concat(), media_type::Compression::Gzip, Some(&both)),
            ("gzip cut off", gzip(&one)[..gzip(&one).len() - 9].to_vec(), media_type::Compression::Gzip, None),
            ("gzip and more", [gzip(&one), b"more".to_vec()].concat(), media_type::Compression::Gzip, None),
            ("zstd", zstd(small), media_type::Compression::Zstd, Some(small)),
            ("two frames", [zstd(&two), zstd(&two)].concat(), media_type::Compression::Zstd, Some(b"twotwo")),
            (
                "frames to skip",
                [skippable(3, b"abc"), zstd(&two), skippable(0, b"")].concat(),
                media_type::Compression::Zstd,
                Some(&two),
            ),
            (
                "a frame to skip, cut off",
                [zstd(&two), skippable(9, b"abc")].concat(),
                media_type::Compression::Zstd,
                None,
            ),
            ("zstd cut off", zstd(&two)[..10].to_vec(), media_type::Compression::Zstd, None),
            ("zstd and more", [zstd(&two), b"more".to_vec()].concat(), media_type::Compression::Zstd, None),
        ] {
            // In pieces, as they come from a network.
            for piece in [1, 7, 100_000] {
                let (sender, receiver) = mpsc::channel(bytes.len() + 1);
                bytes.chunks(piece).for_each(|piece| sender.try_send(Bytes::copy_from_slice(piece)).unwrap());
                drop(sender);
                let like = Digest::sha256(b"");
                let contents = read(Chunks::new(receiver), &like, Some(&like), USUAL_WINDOW).unwrap();
                assert_eq!((contents.size, contents.digest), (bytes.len() as u64, Digest::sha256(&bytes)), "{name}");
                assert_eq!(contents.compression, compression, "{name}");
                let found = contents.unpacked.unwrap();
                assert_eq!(found.as_ref().ok(), unpacked.map(Digest::sha256).as_ref(), "{name}: {found:?}");
            }
        }
        let like = Digest::sha256(b"");
        let contents = read(&gzip(&one)[..], &like, None, USUAL_WINDOW).unwrap();
        assert!(contents.unpacked.is_none() && contents.digest == Digest::sha256(&gzip(&one)));
        let cut = read(&zstd(&two)[..10], &like, Some(&like), USUAL_WINDOW).unwrap();
        assert_eq!(cut.unpacked, Some(Err("it is cut off".into())));
        let sha512 = Digest::parse(&format!("sha512:{}", "0".repeat(128))).unwrap();
        let mixed = read(&gzip(&one)[..], &like, Some(&sha512), USUAL_WINDOW).unwrap();
        assert_eq!(mixed.digest.algorithm(), "sha256");
        assert_eq!(mixed.unpacked.unwrap().unwrap().algorithm(), "sha512");
    }
}
