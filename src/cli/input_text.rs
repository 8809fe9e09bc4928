//! Reads text from files and standard input.

use std::fs::File;
use std::io::{self, Read as _};

/// Why text cannot be read.
pub(super) enum InputError {
    /// The file cannot be opened or read.
    Unreadable(io::Error),
    /// It has more bytes than the limit.
    TooLong,
    /// It is neither UTF-8 nor UTF-16.
    NotText,
}

/// Reads a file, or standard input (`-`), of at most `limit` bytes. Returns the text and the number of bytes.
pub(super) fn read_text(file: &str, limit: u64) -> Result<(String, u64), InputError> {
    let mut bytes = Vec::new();
    let read = if file == "-" {
        io::stdin().lock().take(limit.saturating_add(1)).read_to_end(&mut bytes)
    } else {
        File::open(file).and_then(|opened| opened.take(limit.saturating_add(1)).read_to_end(&mut bytes))
    };
    let length = read.map_err(InputError::Unreadable)? as u64;
    if length > limit {
        return Err(InputError::TooLong);
    }
    Ok((decoded(bytes).ok_or(InputError::NotText)?, length))
}

/// Decodes text: UTF-8, or UTF-16 with a byte order mark (YAML 1.2, section 5.2). PowerShell writes either with a byte
/// order mark.
fn decoded(bytes: Vec<u8>) -> Option<String> {
    let unit: fn([u8; 2]) -> u16 = match bytes.as_slice() {
        [0xef, 0xbb, 0xbf, text @ ..] => return String::from_utf8(text.to_vec()).ok(),
        [0xff, 0xfe, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] => u16::from_be_bytes,
        _ => return String::from_utf8(bytes).ok(),
    };
    let (pairs, rest) = bytes.as_chunks::<2>();
    let text = char::decode_utf16(pairs.iter().skip(1).map(|pair| unit(*pair))).collect::<Result<String, _>>();
    text.ok().filter(|_| rest.is_empty())
}
