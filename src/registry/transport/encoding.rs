//! Decodes bodies that have a `Content-Encoding` although requests accept none (RFC 9110, sections 8.4 and 12.5.3).

use std::io::Read as _;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use reqwest::header::{CONTENT_ENCODING, HeaderMap};

use crate::memory::{Budget, OverLimit};
use crate::registry::error::{Error, ErrorKind};

/// The number of bytes that are decompressed at a time.
const CHUNK_SIZE: usize = 64 << 10;

/// Returns the codings of a body in the order in which they were applied, without `identity`.
pub(crate) fn encodings(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(CONTENT_ENCODING).iter();
    let texts: Vec<_> = values.map(|value| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase()).collect();
    let names = texts.iter().flat_map(|text| text.split(',')).map(str::trim);
    names.filter(|name| !name.is_empty() && *name != "identity").map(str::to_owned).collect()
}

/// Decompresses a body with these codings, up to `limit` bytes. Returns a body unchanged if its header names gzip but
/// its bytes are not gzip: a proxy may have decompressed it and kept the header.
///
/// # Errors
/// The coding is not gzip, the result exceeds `limit` bytes or the memory that the run may use, or the data is
/// truncated or corrupt.
pub(crate) fn decoded(
    body: Bytes,
    encodings: &[String],
    subject: &str,
    limit: u64,
    budget: &Budget,
) -> Result<Bytes, Error> {
    let is_gzip = |name: &String| matches!(name.as_str(), "gzip" | "x-gzip");
    match encodings {
        [] => Ok(body),
        [name] if is_gzip(name) && !body.starts_with(&[0x1f, 0x8b]) => Ok(body),
        [name] if is_gzip(name) => decompress(&body, subject, limit, budget),
        names => Err(unrequested_encoding(subject, names)),
    }
}

/// Returns the error for a body with a coding that the request did not accept.
pub(crate) fn unrequested_encoding(subject: &str, encodings: &[String]) -> Error {
    let names = encodings.join(", ");
    Error::protocol(subject, format!("the response is encoded with {names}, which was not requested"))
}

fn decompress(body: &[u8], subject: &str, limit: u64, budget: &Budget) -> Result<Bytes, Error> {
    let over_limit = |error: OverLimit| Error::new(subject, ErrorKind::from(error));
    let (mut decompressed, mut charge) = (Vec::new(), budget.open());
    let mut decoder = MultiGzDecoder::new(body);
    let mut chunk = vec![0; CHUNK_SIZE];
    loop {
        let read = decoder.read(&mut chunk).map_err(|error| {
            Error::protocol(subject, format!("cannot decompress the gzip-encoded response: {error}"))
        })?;
        if read == 0 {
            decompressed.shrink_to_fit();
            return charge.keep(decompressed).map_err(over_limit);
        }
        if (decompressed.len() + read) as u64 > limit {
            return Err(Error::new(subject, ErrorKind::TooLarge { limit }));
        }
        charge.grow(read).map_err(over_limit)?;
        decompressed.extend(chunk.iter().take(read));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(bytes).unwrap();
        out.finish().unwrap()
    }

    fn decode(body: &[u8], encoding: &'static str, limit: u64) -> Result<Bytes, String> {
        let headers: HeaderMap = encoding.split('|').map(|value| (CONTENT_ENCODING, value.parse().unwrap())).collect();
        let body = Bytes::copy_from_slice(body);
        decoded(body, &encodings(&headers), "x", limit, &Budget::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn gzip_is_decompressed_and_other_codings_are_refused() {
        let packed = gzip(b"{}");
        for encoding in ["gzip", "x-gzip", "GZIP", "identity, gzip", "gzip|identity"] {
            assert_eq!(decode(&packed, encoding, 9).unwrap(), "{}", "{encoding}");
            assert_eq!(decode(b"{}", encoding, 9).unwrap(), "{}", "{encoding} only in the header");
        }
        for encoding in ["", "identity", " , "] {
            assert_eq!(decode(&packed, encoding, 99).unwrap(), packed, "{encoding}");
        }
        for encoding in ["br", "zstd", "deflate", "gzip, gzip", "gzip|br"] {
            let error = decode(&packed, encoding, 99).unwrap_err();
            assert!(
                error.starts_with("x: the response is encoded with ") && error.ends_with("not requested"),
                "{error}"
            );
        }
    }

    #[test]
    fn decompression_stops_at_the_limit_and_refuses_truncated_data() {
        let bomb = gzip(&vec![b' '; 300_000]);
        assert!(bomb.len() < 5000);
        assert_eq!(decode(&bomb, "gzip", 300_000).unwrap().len(), 300_000);
        assert!(decode(&bomb, "gzip", 299_999).unwrap_err().contains("larger than the limit of 299999 bytes"));
        let truncated = decode(&bomb[..bomb.len() - 9], "gzip", 300_000).unwrap_err();
        assert!(truncated.contains("cannot decompress"), "{truncated}");
    }
}
