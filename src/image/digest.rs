use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256, Sha512};

use super::UntrustedText;

/// A content digest, `sha256:HEX` or `sha512:HEX` (OCI image-spec, "Descriptors: Digests").
///
/// Always well-formed, so it is safe in a URL or path. Cheap to clone.
///
/// ```
/// use manifest_tool::image::Digest;
/// let digest = Digest::sha256(b"");
/// assert_eq!(digest.as_str(), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
/// assert!(digest.matches(b""));
/// assert!(Digest::parse("sha256:../../etc").is_err());
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(Arc<str>);

/// The error for text that is not a supported digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigestError {
    text: UntrustedText,
    /// The number of digits after the algorithm, if it is wrong.
    count: Option<usize>,
    meant: Option<String>,
}

impl DigestError {
    fn new(text: &str) -> Self {
        let digits = text.split_once(':').filter(|(algorithm, _)| ["sha256", "sha512"].contains(algorithm));
        let count = digits.map(|(_, hex)| hex.len()).filter(|count| ![64, 128].contains(count));
        Self { text: text.chars().take(160).collect::<String>().into(), count, meant: nearest(text) }
    }

    /// Returns the digest that was probably meant.
    #[must_use]
    pub fn suggestion(&self) -> Option<&str> {
        self.meant.as_deref()
    }

    /// Returns the message without the suggestion.
    pub(crate) fn message(&self) -> String {
        let text = &self.text;
        let message = format!(
            "invalid digest \"{text}\": expected sha256: with 64 or sha512: with 128 lowercase hexadecimal digits"
        );
        self.count.map_or(message.clone(), |count| format!("{message}, but it has {count}"))
    }
}

impl fmt::Display for DigestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())?;
        self.meant.iter().try_for_each(|meant| write!(f, "; did you mean \"{meant}\"?"))
    }
}

impl std::error::Error for DigestError {}

/// Returns the digest that was probably meant: with the algorithm that has this number of digits, and in lowercase.
fn nearest(text: &str) -> Option<String> {
    if text.len() > 200 {
        return None;
    }
    let text = text.trim_matches(|c: char| c.is_whitespace() || "\"'`@".contains(c)).to_ascii_lowercase();
    let split = |algorithm: &'static str| Some((algorithm, text.strip_prefix(algorithm)?));
    let (stated, rest) = split("sha256").or_else(|| split("sha512")).unwrap_or(("", &text));
    let digits = rest.trim_start_matches([':', '-', '=', '_', ' ', '/', '@']);
    let algorithm = match digits.len() {
        64 => "sha256",
        128 => "sha512",
        _ => return None,
    };
    let is_valid = digits.bytes().all(|b| b.is_ascii_hexdigit()) && [algorithm, ""].contains(&stated);
    is_valid.then(|| format!("{algorithm}:{digits}"))
}

impl Digest {
    /// Parses a digest.
    ///
    /// # Errors
    /// The text is not `sha256:` with 64 or `sha512:` with 128 lowercase hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, DigestError> {
        let digits = match text.split_once(':') {
            Some(("sha256", hex)) if hex.len() == 64 => hex,
            Some(("sha512", hex)) if hex.len() == 128 => hex,
            _ => return Err(DigestError::new(text)),
        };
        if digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            Ok(Self(text.into()))
        } else {
            Err(DigestError::new(text))
        }
    }

    /// Computes the sha256 digest of `bytes`.
    #[must_use]
    pub fn sha256(bytes: &[u8]) -> Self {
        Self(format!("sha256:{}", hex(&Sha256::digest(bytes))).into())
    }

    /// Returns whether `bytes` hash to this digest, with this digest's algorithm.
    #[must_use]
    pub fn matches(&self, bytes: &[u8]) -> bool {
        if self.0.starts_with("sha512:") {
            *self.0 == format!("sha512:{}", hex(&Sha512::digest(bytes)))
        } else {
            *self == Self::sha256(bytes)
        }
    }

    /// Returns the algorithm, `sha256` or `sha512`.
    #[must_use]
    pub fn algorithm(&self) -> &str {
        self.0.split_once(':').map_or("", |(algorithm, _)| algorithm)
    }

    /// Returns the algorithm and the first 12 digits, for lines that people read.
    #[must_use]
    pub(crate) fn short(&self) -> &str {
        let length = self.algorithm().len() + 1 + 12;
        self.0.get(..length).unwrap_or(&self.0)
    }

    /// Returns the tag of the referrers list of this manifest (distribution-spec, "Referrers Tag Schema").
    #[must_use]
    pub fn referrers_tag(&self) -> String {
        let (algorithm, encoded) = self.0.split_once(':').unwrap_or_default();
        let cut = |part: &str, length| part.chars().take(length).collect::<String>();
        format!("{}-{}", cut(algorithm, 32), cut(encoded, 64))
    }

    /// Returns the whole digest, including the algorithm.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Verifies streamed content against a digest and a size.
pub(crate) struct Verifier {
    digest: Digest,
    size: u64,
    received: u64,
    hasher: Hasher,
}

/// Computes the digest of content that arrives in chunks.
pub(crate) struct Hasher(Algorithm);

enum Algorithm {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    /// Creates a hasher with the algorithm of a digest.
    #[must_use]
    pub(crate) fn like(digest: &Digest) -> Self {
        Self(match digest.0.starts_with("sha512:") {
            true => Algorithm::Sha512(Sha512::new()),
            false => Algorithm::Sha256(Sha256::new()),
        })
    }

    /// Adds bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            Algorithm::Sha256(hasher) => hasher.update(bytes),
            Algorithm::Sha512(hasher) => hasher.update(bytes),
        }
    }

    /// Returns the digest of all bytes.
    #[must_use]
    pub(crate) fn finish(self) -> Digest {
        let text = match self.0 {
            Algorithm::Sha256(hasher) => format!("sha256:{}", hex(&hasher.finalize())),
            Algorithm::Sha512(hasher) => format!("sha512:{}", hex(&hasher.finalize())),
        };
        Digest(text.into())
    }
}

impl Verifier {
    /// Creates a verifier for content with this digest and size in bytes.
    #[must_use]
    pub(crate) fn new(digest: &Digest, size: u64) -> Self {
        Self { digest: digest.clone(), size, received: 0, hasher: Hasher::like(digest) }
    }

    /// Adds bytes. Fails with a description if the content is longer than its size.
    pub(crate) fn update(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.received += bytes.len() as u64;
        if self.received > self.size {
            return Err(format!("more than the {} bytes that its descriptor declares", self.size));
        }
        self.hasher.update(bytes);
        Ok(())
    }

    /// Ends the content. Fails with a description if the size or digest differs.
    pub(crate) fn finish(self) -> Result<(), String> {
        if self.received != self.size {
            return Err(format!("{} bytes, but its descriptor declares {}", self.received, self.size));
        }
        let actual = self.hasher.finish();
        if actual == self.digest { Ok(()) } else { Err(format!("its bytes have digest {actual}")) }
    }
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;
    fn try_from(text: String) -> Result<Self, DigestError> {
        Self::parse(&text)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_digest_gets_a_suggestion() {
        let hex = "0a".repeat(32);
        let valid = format!("sha256:{hex}");
        for text in [
            hex.clone(),
            hex.to_uppercase(),
            format!("sha256-{hex}"),
            format!("sha256={hex}"),
            format!("SHA256:{hex}"),
            format!("sha256:{}", hex.to_uppercase()),
            format!("@sha256:{hex}"),
            format!(" \"sha256:{hex}\"\n"),
            format!("sha256{hex}"),
        ] {
            assert_eq!(Digest::parse(&text).unwrap_err().suggestion(), Some(valid.as_str()), "{text}");
        }
        assert_eq!(nearest(&hex.repeat(2)), Some(format!("sha512:{}", hex.repeat(2))));
        for text in ["", "sha256:abc", "v1", &format!("sha512:{hex}"), &format!("md5:{hex}"), &"g".repeat(64)] {
            assert_eq!(Digest::parse(text).unwrap_err().suggestion(), None, "{text}");
        }
        assert!(Digest::parse("sha256:abc").unwrap_err().to_string().ends_with("digits, but it has 3"));
    }

    #[test]
    fn content_is_verified_chunk_by_chunk() {
        let sha512 = Digest::parse(&format!("sha512:{}", hex(&Sha512::digest(b"hello")))).unwrap();
        for digest in [Digest::sha256(b"hello"), sha512] {
            let check = |size: u64, chunks: &[&str]| {
                let mut verifier = Verifier::new(&digest, size);
                chunks.iter().try_for_each(|chunk| verifier.update(chunk.as_bytes()))?;
                verifier.finish()
            };
            assert_eq!(check(5, &["he", "", "llo"]), Ok(()));
            assert!(check(5, &["hel"]).unwrap_err().starts_with("3 bytes"));
            assert!(check(5, &["hello", "!"]).unwrap_err().starts_with("more than"));
            assert!(check(5, &["jello"]).unwrap_err().starts_with("its bytes have digest sha"));
        }
    }

    #[test]
    fn the_referrers_tag_has_at_most_64_digits() {
        for (algorithm, digits) in [("sha256", 64), ("sha512", 128)] {
            let digest = Digest::parse(&format!("{algorithm}:{}", "a".repeat(digits))).unwrap();
            assert_eq!(digest.referrers_tag(), format!("{algorithm}-{}", "a".repeat(64)));
        }
    }

    #[test]
    fn only_well_formed_digests_are_parsed() {
        let sha512 = format!("sha512:{}", "a".repeat(128));
        assert!(Digest::parse(&sha512).is_ok());
        for text in ["", "sha256", "sha256:", "sha256:abc", "md5:d41d8cd98f00b204e9800998ecf8427e", "SHA256:"] {
            assert!(Digest::parse(text).is_err(), "{text}");
        }
        assert!(Digest::parse(&format!("sha256:{}", "A".repeat(64))).is_err(), "uppercase");
        assert!(Digest::parse(&format!("sha256:{}", "g".repeat(64))).is_err(), "not hexadecimal");
        assert!(!Digest::sha256(b"a").matches(b"b"));
        let empty512 = "sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce\
                        47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e";
        assert!(Digest::parse(empty512).is_ok_and(|d| d.matches(b"") && !d.matches(b"x")));
    }
}
