use base64::Engine as _;
use zeroize::Zeroizing;

use super::base64_text::LENIENT;
use super::{KeyError, KeyForm};
use crate::image::UntrustedText;

/// Maximum size of the file of a key, in bytes. An RSA key of 8192 bits has about 6 KiB.
const MAX_KEY: usize = 64 << 10;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// Returns the label of the only block that can be a key.
pub(super) fn label(text: &[u8]) -> Result<&str, KeyError> {
    only_block(text).map(|(label, _)| label)
}

/// Decodes the only block that can be a key. The content is erased from memory when it is dropped.
pub(super) fn decode(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let (_, lines) = only_block(text)?;
    // RFC 1421 puts headers above the content. Keys that openssl encrypted in the old form have them.
    if lines.iter().any(|line| line.contains(':')) {
        return Err(KeyError::OtherForm(KeyForm::EncryptedByOpenssl));
    }
    let text: Zeroizing<String> = Zeroizing::new(lines.concat());
    let der = LENIENT.decode(text.as_bytes());
    let der = der.map_err(|_| KeyError::Malformed("its content is not valid base64".into()))?;
    Ok(Zeroizing::new(der))
}

/// Returns label and lines of the only block. Text outside of blocks is ignored, as are the curve's parameters, which
/// `openssl ecparam -genkey` writes before the key.
fn only_block(text: &[u8]) -> Result<(&str, Vec<&str>), KeyError> {
    if text.len() > MAX_KEY {
        return Err(KeyError::TooLong { limit: MAX_KEY });
    }
    let text = std::str::from_utf8(text).map_err(|_| KeyError::NotPem)?;
    let mut blocks = blocks(text)?;
    blocks.retain(|(label, _)| *label != "EC PARAMETERS");
    match (blocks.len(), blocks.pop()) {
        (1, Some(block)) => Ok(block),
        (_, None) => Err(KeyError::NotPem),
        (count, _) => Err(KeyError::SeveralBlocks(count)),
    }
}

fn blocks(text: &str) -> Result<Vec<(&str, Vec<&str>)>, KeyError> {
    let malformed = |reason: &str| Err(KeyError::Malformed(UntrustedText::from(reason)));
    let (mut blocks, mut open) = (Vec::new(), None::<(&str, Vec<&str>)>);
    for line in text.lines().map(str::trim) {
        let marker = |start| line.strip_prefix(start).and_then(|rest| rest.strip_suffix(DASHES));
        match (marker(BEGIN), marker(END), &mut open) {
            (Some(label), _, None) => open = Some((label, Vec::new())),
            (Some(_), _, Some(_)) => return malformed("a PEM block begins inside of another"),
            (_, Some(end), Some((label, _))) if end == *label => blocks.extend(open.take()),
            (_, Some(_), _) => return malformed("a PEM block ends that did not begin"),
            (None, None, Some((_, lines))) => lines.push(line),
            (None, None, None) => {}
        }
    }
    if open.is_some() {
        return malformed("its PEM block has no END line");
    }
    Ok(blocks)
}
