use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;

use flate2::write::GzEncoder;

use crate::image::media_type::Compression;

/// The default level of gzip, which is also that of the `gzip` program.
const GZIP_LEVEL: u32 = 6;
/// The default level of zstd, which is also that of the `zstd` program.
const ZSTD_LEVEL: u32 = 3;
/// The highest level of zstd. Higher ones have windows over 8 MiB, which not every decoder accepts (RFC 8878, section
/// 3.1.1.1.2).
const MAX_ZSTD_LEVEL: u32 = 19;

/// How layers are compressed: the format, and how hard to try.
///
/// ```
/// use manifest_tool::copy::LayerEncoding;
///
/// let encoding: LayerEncoding = "zstd:9".parse()?;
/// assert_eq!(encoding.to_string(), "zstd:9");
/// assert!("zstd:20".parse::<LayerEncoding>().is_err());
/// # Ok::<(), manifest_tool::copy::EncodingError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LayerEncoding {
    compression: Compression,
    level: u32,
}

/// The error for text that names no encoding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be gzip or zstd, with an optional level: gzip:1 to gzip:9, zstd:1 to zstd:{MAX_ZSTD_LEVEL}")]
pub struct EncodingError;

impl LayerEncoding {
    /// No compression.
    pub const TAR: Self = Self { compression: Compression::Tar, level: 0 };

    /// Returns the format.
    #[must_use]
    pub fn compression(self) -> Compression {
        self.compression
    }

    /// Returns an upper bound of the memory that compressing a layer takes, in MiB.
    pub(crate) fn mebibytes(self) -> u32 {
        match (self.compression, self.level) {
            (Compression::Tar | Compression::Gzip, _) => 1,
            (Compression::Zstd, 0..=6) => 8,
            (Compression::Zstd, 7..=15) => 40,
            (Compression::Zstd, _) => 96,
        }
    }

    /// Returns a writer that compresses what is written to it. Its last bytes are written by [`Encoder::finish`].
    ///
    /// Equal content gives equal bytes: they contain neither a time nor a file name.
    pub(super) fn encoder<W: Write>(self, out: W) -> io::Result<Encoder<W>> {
        Ok(match self.compression {
            Compression::Tar => Encoder::Tar(out),
            Compression::Gzip => Encoder::Gzip(GzEncoder::new(out, flate2::Compression::new(self.level))),
            Compression::Zstd => {
                let mut encoder =
                    zstd::stream::write::Encoder::new(out, i32::try_from(self.level).unwrap_or_default())?;
                encoder.include_checksum(true)?;
                Encoder::Zstd(encoder)
            }
        })
    }
}

impl FromStr for LayerEncoding {
    type Err = EncodingError;

    fn from_str(text: &str) -> Result<Self, EncodingError> {
        let (name, level) = match text.split_once(':') {
            Some((name, level)) => (name, Some(level.parse().map_err(|_| EncodingError)?)),
            None => (text, None),
        };
        let (compression, default, highest) = match name {
            "gzip" => (Compression::Gzip, GZIP_LEVEL, 9),
            "zstd" => (Compression::Zstd, ZSTD_LEVEL, MAX_ZSTD_LEVEL),
            _ => return Err(EncodingError),
        };
        let level = level.unwrap_or(default);
        if (1..=highest).contains(&level) { Ok(Self { compression, level }) } else { Err(EncodingError) }
    }
}

impl fmt::Display for LayerEncoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.compression {
            Compression::Tar => f.write_str("tar"),
            compression => write!(f, "{compression}:{}", self.level),
        }
    }
}

/// Compresses what is written to it.
pub(super) enum Encoder<W: Write> {
    Tar(W),
    Gzip(GzEncoder<W>),
    Zstd(zstd::stream::write::Encoder<'static, W>),
}

impl<W: Write> Encoder<W> {
    /// Writes the last bytes, and returns the writer below.
    pub(super) fn finish(self) -> io::Result<W> {
        match self {
            Self::Tar(out) => Ok(out),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tar(out) => out.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
            Self::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tar(out) => out.flush(),
            Self::Gzip(encoder) => encoder.flush(),
            Self::Zstd(encoder) => encoder.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Digest;

    #[test]
    fn encodings_are_parsed_with_their_levels() {
        for (text, shown) in
            [("gzip", "gzip:6"), ("gzip:1", "gzip:1"), ("gzip:9", "gzip:9"), ("zstd", "zstd:3"), ("zstd:19", "zstd:19")]
        {
            assert_eq!(text.parse::<LayerEncoding>().unwrap().to_string(), shown);
        }
        for text in [
            "", "gzip:", "gzip:0", "gzip:10", "gzip:-1", "gzip:6:1", "zstd:0", "zstd:20", "zstd:x", "Gzip", "tar",
            "lz4",
        ] {
            assert_eq!(text.parse::<LayerEncoding>(), Err(EncodingError), "{text}");
        }
    }

    #[test]
    fn encoded_bytes_depend_only_on_the_content_and_are_decoded_again() {
        let content: Vec<u8> = (0..300_000u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
        let like = Digest::sha256(b"");
        for text in ["gzip:1", "gzip", "gzip:9", "zstd:1", "zstd", "zstd:19", "tar"] {
            let encoding = if text == "tar" { LayerEncoding::TAR } else { text.parse().unwrap() };
            let encode = |step: usize| {
                let mut encoder = encoding.encoder(Vec::new()).unwrap();
                content.chunks(step).for_each(|chunk| encoder.write_all(chunk).unwrap());
                encoder.finish().unwrap()
            };
            let encoded = encode(8_192);
            assert_eq!(encode(8_192), encoded, "{text}");
            let read = super::super::read(&encoded[..], &like, Some(&like), super::super::USUAL_WINDOW).unwrap();
            assert_eq!((read.compression, read.unpacked), (encoding.compression(), Some(Ok(Digest::sha256(&content)))));
        }
    }
}
