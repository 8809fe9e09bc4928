//! Bodies that come with a `Content-Encoding`, although requests ask for none (RFC 9110, sections 8.4 and 12.5.3).

use std::io::Read as _;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use reqwest::header::{CONTENT_ENCODING, HeaderMap};

use crate::memory::{Budget, OverLimit};
use crate::registry::error::{Error, ErrorKind};

/// Bytes that are unpacked at once.
const CHUNK_SIZE: usize = 64 << 10;

/// The names of the codings of a body, in the order in which they were applied; `identity` is left out.
pub(crate) fn encodings(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(CONTENT_ENCODING).iter();
    let texts: Vec<_> = values.map(|value| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase()).collect();
    let names = texts.iter().flat_map(|text| text.split(',')).map(str::trim);
    names.filter(|name| !name.is_empty() && *name != "identity").map(str::to_owned).collect()
}

/// Unpacks a body that came with these codings, up to `limit` bytes. A body that is not gzip although its header says
/// so is returned as it is: a proxy may have unpacked it and kept the header.
///
/// # Errors
/// A coding other than gzip, more than `limit` bytes, more memory than the run may use, or data that is cut off or
/// broken.
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
        [name] if is_gzip(name) => unpacked(&body, subject, limit, budget),
        names => Err(not_asked_for(subject, names)),
    }
}

pub(crate) fn not_asked_for(subject: &str, encodings: &[String]) -> Error {
    let names = encodings.join(", ");
    Error::protocol(subject, format!("the answer is encoded with {names}, which was not asked for"))
}

fn unpacked(body: &[u8], subject: &str, limit: u64, budget: &Budget) -> Result<Bytes, Error> {
    let over_limit = |error: OverLimit| Error::new(subject, ErrorKind::from(error));
    let (mut unpacked, mut charge) = (Vec::new(), budget.open());
    let mut decoder = MultiGzDecoder::new(body);
    let mut piece = vec![0; CHUNK_SIZE];
    loop {
        let read = decoder.read(&mut piece).map_err(|error| {
            Error::protocol(subject, format!("the answer is encoded with gzip and cannot be unpacked: {error}"))
        })?;
        if read == 0 {
            unpacked.shrink_to_fit();
            return charge.keep(unpacked).map_err(over_limit);
        }
        if (unpacked.len() + read) as u64 > limit {
            return Err(Error::new(subject, ErrorKind::TooLarge { limit }));
        }
        charge.grow(read).map_err(over_limit)?;
        unpacked.extend(piece.iter().take(read));
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
    fn gzip_is_unpacked_and_other_codings_are_refused() {
        let packed = gzip(b"{}");
        for encoding in ["gzip", "x-gzip", "GZIP", "identity, gzip", "gzip|identity"] {
            assert_eq!(decode(&packed, encoding, 9).unwrap(), "{}", "{encoding}");
            assert_eq!(decode(b"{}", encoding, 9).unwrap(), "{}", "{encoding}, in its header only");
        }
        for encoding in ["", "identity", " , "] {
            assert_eq!(decode(&packed, encoding, 99).unwrap(), packed, "{encoding}");
        }
        for encoding in ["br", "zstd", "deflate", "gzip, gzip", "gzip|br"] {
            let said = decode(&packed, encoding, 99).unwrap_err();
            assert!(said.starts_with("x: the answer is encoded with ") && said.ends_with("not asked for"), "{said}");
        }
    }

    #[test]
    fn what_is_unpacked_is_bounded() {
        let bomb = gzip(&vec![b' '; 300_000]);
        assert!(bomb.len() < 5000);
        assert_eq!(decode(&bomb, "gzip", 300_000).unwrap().len(), 300_000);
        assert!(decode(&bomb, "gzip", 299_999).unwrap_err().contains("longer than the 299999 bytes"));
        let cut = decode(&bomb[..bomb.len() - 9], "gzip", 300_000).unwrap_err();
        assert!(cut.contains("cannot be unpacked"), "{cut}");
    }
}
