//! Recompresses a layer, and checks it on the way. Blocks, so callers run it on a blocking thread.

use std::io::{self, BufRead, BufWriter, Write};

use super::encoding::LayerEncoding;
use super::unpack::{Contents, read_to};
use crate::image::{Digest, Hasher};

/// A layer that was read and written with another compression.
#[derive(Debug, Clone)]
pub(crate) struct Recompressed {
    /// What was read.
    pub(crate) contents: Contents,
    /// Digest of what was written.
    pub(crate) digest: Digest,
    /// Size of what was written, in bytes.
    pub(crate) size: u64,
}

/// Reads a layer to its end, and writes its uncompressed content to `out` with another compression. The caller compares
/// [`Recompressed::contents`] with the layer's `digest` and `diff_id`; what was written is worthless if they differ.
///
/// # Errors
/// Reading or writing failed.
pub(crate) fn recompress(
    layer: impl BufRead,
    digest: &Digest,
    diff_id: &Digest,
    max_window: u64,
    encoding: LayerEncoding,
    out: impl Write,
) -> io::Result<Recompressed> {
    let out = Hashed { inner: BufWriter::new(out), hasher: Hasher::like(digest), size: 0 };
    let mut encoder = encoding.encoder(out)?;
    let contents = read_to(layer, digest, Some(diff_id), max_window, &mut encoder)?;
    let mut out = encoder.finish()?;
    out.flush()?;
    Ok(Recompressed { contents, digest: out.hasher.finish(), size: out.size })
}

/// Hashes the bytes that are written through it.
struct Hashed<W> {
    inner: W,
    hasher: Hasher,
    size: u64,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(bytes.get(..written).unwrap_or_default());
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
