use crate::image::{is_control, starts_command};

/// Escapes characters in JSON that a terminal or the log of a CI system would interpret: DEL, C1 and bidirectional
/// controls, line separators and the second `#` of a logging command (`##vso[`) become `\uXXXX`. The JSON value stays
/// the same.
#[must_use]
pub(in crate::cli) fn escaped(json: &str) -> String {
    let (mut out, mut after_hash) = (String::with_capacity(json.len()), false);
    for (at, c) in json.char_indices() {
        let is_second = c == '#' && after_hash;
        if c == '#' {
            after_hash = !is_second && json.get(at..).is_some_and(starts_command);
        }
        // These characters occur only in strings. C0 controls outside of strings are JSON's own line breaks.
        if is_second || (is_control(c) && !c.is_ascii_control()) || c == '\u{7f}' {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn terminal_controls_and_logging_commands_are_escaped() {
        for (text, expected) in [
            ("a", r#""a""#),
            ("Käse 👩\u{200d}👩", "\"Käse 👩\u{200d}👩\""),
            ("\u{1b}[31m\n", r#""\u001b[31m\n""#),
            ("\u{9b}31m\u{7f}\u{85}", r#""\u009b31m\u007f\u0085""#),
            ("\u{2028}\u{2029}", r#""\u2028\u2029""#),
            ("\u{202e}\u{2066}\u{61c}\u{200f}", r#""\u202e\u2066\u061c\u200f""#),
            ("##vso[task.x]", r##""#\u0023vso[task.x]""##),
            ("###[x", r###""##\u0023[x""###),
            ("#\u{200d}#[x", "\"#\u{200d}\\u0023[x\""),
            ("## x ##", r###""## x ##""###),
        ] {
            let json = serde_json::to_string(text).unwrap();
            assert_eq!(escaped(&json), expected);
            assert_eq!(serde_json::from_str::<Value>(&escaped(&json)).unwrap(), json!(text));
        }
    }

    proptest::proptest! {
        #[test]
        fn escaping_keeps_the_value(text in "(.|\n|#|\\[|\u{9b}|\u{202e}){0,20}") {
            let value = json!({text.as_str(): [text]});
            let out = escaped(&format!("{value:#}"));
            proptest::prop_assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), value);
            proptest::prop_assert!(!out.chars().any(|c| c != '\n' && is_control(c)) && !out.contains("##["), "{}", out);
        }
    }
}
