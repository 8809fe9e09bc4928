//! Parses image configs as leniently as Go does.

use serde::de::DeserializeOwned;

/// Parses the fields of `T` from an image config.
///
/// Like Go, replaces invalid UTF-8 and `\u` escapes of lone surrogates with U+FFFD, and uses the last value of a
/// duplicate key. Most configs are written and read by Go, and a label with arbitrary bytes must not hide the platform.
///
/// # Errors
/// The config is not JSON, or a value has the wrong type.
pub(crate) fn parse_config<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(bytes).or_else(|error| {
        let value: serde_json::Value =
            serde_json::from_str(&well_formed(&String::from_utf8_lossy(bytes))).map_err(|_| error)?;
        serde_json::from_value(value)
    })
}

/// Replaces each escape of a lone surrogate (RFC 8259, section 8.2).
fn well_formed(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let (length, replacement) = match (unit(escape), escape.get(6..).and_then(unit)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (12, None),
            (Some(0xd800..=0xdfff), _) => (6, Some("\\ufffd")),
            (Some(_), _) => (6, None),
            // A backslash and the escaped character, which may be another backslash.
            (None, _) => (1 + escape.chars().nth(1).map_or(0, char::len_utf8), None),
        };
        let (escape, after) = escape.split_at_checked(length).unwrap_or((escape, ""));
        out.push_str(replacement.unwrap_or(escape));
        rest = after;
    }
    out + rest
}

/// Returns the UTF-16 code unit of a leading `\uXXXX` escape.
fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::ImageConfig;

    #[test]
    fn lone_surrogates_are_replaced() {
        for (text, expected) in [
            (r"a", r"a"),
            (r"\ud800", r"\ufffd"),
            (r"\udc00x", r"\ufffdx"),
            (r"\ud83d\ude00", r"\ud83d\ude00"),
            (r"\uD83D\uDE00", r"\uD83D\uDE00"),
            (r"\ud800\ud83d\ude00", r"\ufffd\ud83d\ude00"),
            (r"\ude00\ud83d", r"\ufffd\ufffd"),
            (r"\\ud800", r"\\ud800"),
            (r"\\\ud800", r"\\\ufffd"),
            (r"\n\u00e9\ud800\n", r"\n\u00e9\ufffd\n"),
            (r"\ud8", r"\ud8"),
            (r"\u+123", r"\u+123"),
            ("\\é\\", "\\é\\"),
        ] {
            assert_eq!(well_formed(text), expected, "{text}");
        }
    }

    #[test]
    fn a_config_with_invalid_text_still_has_a_platform() {
        let config = |bytes: &[u8]| parse_config::<ImageConfig>(bytes).map(|config| config.platform.to_string());
        let with = |label: &[u8]| {
            [br#"{"config":{"Labels":{"l":""#, label, br#""}},"os":"linux","architecture":"arm","variant":"v7"}"#]
                .concat()
        };
        for label in [&b"\xff\xfe"[..], br"\ud800", br"\udc00\ud800", b"\xc3", br"plain \ud83d\ude00"] {
            assert_eq!(config(&with(label)).unwrap(), "linux/arm/v7", "{label:?}");
        }
        let twice = br#"{"os":"windows","architecture":"arm","os":"linux","config":{"a":1,"a":2}}"#;
        assert_eq!(config(twice).unwrap(), "linux/arm");
        for invalid in [&b""[..], b"[]", b"{", br#"{"os":7}"#, br#"{"os":"linux","x":"\uZZZZ"}"#] {
            assert!(config(invalid).is_err(), "{invalid:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn replaced_text_is_always_valid_json(text in r#"(\\\\|\\n|\\ud8[0-9a-f]{2}|\\ude[0-9a-f]{2}|\\u00e9|[a-zé ])*"#) {
            let json = format!("\"{}\"", well_formed(&text));
            proptest::prop_assert!(serde_json::from_str::<String>(&json).is_ok(), "{}", json);
        }
    }
}
