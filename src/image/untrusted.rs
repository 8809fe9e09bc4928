use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

/// Text from a registry, spec, layout or archive, or a message that quotes such text.
///
/// [`Deref`] and serialization give the exact text. [`Display`](fmt::Display) is for messages: it writes one line of at
/// most 500 visible characters that a terminal or CI log cannot interpret as commands. Control characters (C0, DEL,
/// C1), line separators, bidirectional controls and invisible characters become a space. CI commands such as `##vso[`
/// become `# #vso[`. Text that looks like a workflow command (`::error`) or like a message of this program (`hint:
/// ...`) is quoted, because it may be printed at the start of a line.
///
/// ```
/// use manifest_tool::image::UntrustedText;
/// let text = UntrustedText::from("\n::error ::x\u{9b}31m");
/// assert_eq!(text.as_str(), "\n::error ::x\u{9b}31m");
/// assert_eq!(text.to_string(), "\"::error ::x 31m\"");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UntrustedText(String);

/// Maximum length of text in messages, in characters.
const MAX_SHOWN: usize = 500;
/// Marks the end of shortened text.
const CUT: &str = "...";
/// Prefixes of the lines that this program writes to stderr.
const LABELS: [&str; 4] = ["error:", "warning:", "hint:", "debug:"];

impl UntrustedText {
    /// Returns the exact text, which must not reach a terminal or log.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UntrustedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = one_line(&self.0);
        if looks_like_message(&line) { f.pad(&format!("\"{line}\"")) } else { f.pad(&line) }
    }
}

/// Returns text as one trimmed line of at most 500 visible characters. Longer text ends in `...`.
#[must_use]
pub(crate) fn one_line(text: &str) -> String {
    let is_blank = |c: char| is_hidden(c) || c.is_whitespace();
    let text = text.trim_matches(is_blank);
    let line = visible_up_to(text, MAX_SHOWN + 1);
    if line.chars().count() <= MAX_SHOWN {
        return line;
    }
    line.chars().take(MAX_SHOWN - CUT.len()).collect::<String>() + CUT
}

/// Returns text as one line of visible characters, of any length.
#[must_use]
pub(crate) fn visible(text: &str) -> String {
    visible_up_to(text, usize::MAX)
}

/// Returns the first `limit` characters of the visible line, or one more.
fn visible_up_to(text: &str, limit: usize) -> String {
    let (mut line, mut count) = (String::new(), 0);
    for (at, c) in text.char_indices() {
        if count >= limit {
            break;
        }
        if !is_hidden(c) {
            line.push(c);
            count += 1;
        }
        let is_command = c == '#' && text.get(at..).is_some_and(starts_command);
        if is_command || (is_hidden(c) && !line.ends_with(' ')) {
            line.push(' ');
            count += 1;
        }
    }
    line
}

/// Returns whether a line looks like a workflow command of the GitHub runner (`::error ...`) or a message of this
/// program.
fn looks_like_message(line: &str) -> bool {
    let starts_with = |label: &&str| line.get(..label.len()).is_some_and(|start| start.eq_ignore_ascii_case(label));
    line.starts_with(':') || LABELS.iter().any(starts_with)
}

/// Returns whether text starts with a command that CI agents accept anywhere in a line: `##vso[` and `##[` (Azure and
/// the GitHub runner) or `##teamcity[`. Azure ignores invisible characters in it.
#[must_use]
pub(crate) fn starts_command(text: &str) -> bool {
    let mut rest = text.chars().filter(|c| !is_invisible(*c));
    (rest.next(), rest.next()) == (Some('#'), Some('#')) && rest.find(|c| !c.is_ascii_alphabetic()) == Some('[')
}

fn is_hidden(c: char) -> bool {
    is_control(c) || is_invisible(c)
}

/// Returns whether a character affects the terminal or the surrounding text: C0, DEL and C1 controls, line and
/// paragraph separators, and bidirectional controls (Unicode, "Bidirectional Algorithm").
#[must_use]
pub(crate) fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Returns whether a character is invisible: Unicode's `Default_Ignorable_Code_Point` and interlinear annotation
/// characters.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}')
        || matches!(c, '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}')
        || matches!(c, '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}')
        || matches!(c, '\u{e0000}'..='\u{e0fff}')
}

impl Deref for UntrustedText {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for UntrustedText {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Comparing, ordering and hashing use the exact text, so maps can be searched by `&str`.
impl Borrow<str> for UntrustedText {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<&str> for UntrustedText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for UntrustedText {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<UntrustedText> for String {
    fn from(text: UntrustedText) -> Self {
        text.0
    }
}

impl PartialEq<str> for UntrustedText {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for UntrustedText {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl PartialEq<UntrustedText> for str {
    fn eq(&self, other: &UntrustedText) -> bool {
        self == other.0
    }
}

impl PartialEq<String> for UntrustedText {
    fn eq(&self, other: &String) -> bool {
        self.0 == *other
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn display_writes_one_visible_line() {
        for (text, shown) in [
            ("", ""),
            ("linux", "linux"),
            ("two  blanks", "two  blanks"),
            ("Käse 漢字 # x", "Käse 漢字 # x"),
            ("\n\t a\r\n", "a"),
            ("a\x1b[31m\nb ", "a [31m b"),
            ("a\u{9b}31m\u{7f}b\u{0}", "a 31m b"),
            ("a\u{2028}b\u{2029}c\u{85}d", "a b c d"),
            ("a\u{202e}b\u{2066}c\u{61c}d\u{200f}e", "a b c d e"),
            ("a\u{200b}b\u{ad}c\u{feff}d\u{fe0f}e\u{e0041}f\u{3164}g", "a b c d e f g"),
            ("::error ::x", "\"::error ::x\""),
            ("\n\u{a0}\u{3000}::error ::x", "\"::error ::x\""),
            (":\u{200b}:error ::x", "\": :error ::x\""),
            ("\n hint: run rm", "\"hint: run rm\""),
            ("Error: x", "\"Error: x\""),
            ("\u{1b}warning: x", "\"warning: x\""),
            ("a ::error ::x hint: y", "a ::error ::x hint: y"),
            ("x ##vso[task.x]", "x # #vso[task.x]"),
            ("###[error]x", "## #[error]x"),
            ("##teamcity[x", "# #teamcity[x"),
            ("#\u{200b}#vso[x", "# #vso[x"),
            ("## heading", "## heading"),
        ] {
            assert_eq!(UntrustedText::from(text).to_string(), shown, "{text:?}");
        }
    }

    #[test]
    fn long_text_is_shortened() {
        let shown = |text: &str| UntrustedText::from(text).to_string();
        let whole = "é".repeat(500);
        assert_eq!(shown(&whole), whole);
        assert_eq!(shown(&format!("\n{whole}\n")), whole);
        assert_eq!(shown(&format!("{whole}x")), format!("{}...", "é".repeat(497)));
        assert_eq!(shown(&format!("{whole}\nx")), format!("{}...", "é".repeat(497)));
        assert_eq!(shown(&format!("{}x", "\n".repeat(1_000_000))), "x");
        assert_eq!(visible(&"x".repeat(1000)), "x".repeat(1000));
    }

    #[test]
    fn display_respects_the_width() {
        assert_eq!(format!("{:<4}|", UntrustedText::from("a\n")), "a   |");
    }

    #[test]
    fn serialization_and_lookup_use_the_exact_text() {
        let map: BTreeMap<UntrustedText, UntrustedText> =
            [("b\n".into(), "\u{9b}".into()), ("a".into(), "".into())].into();
        let json = serde_json::to_string(&map).unwrap();
        assert_eq!(json, "{\"a\":\"\",\"b\\n\":\"\u{9b}\"}");
        assert_eq!(serde_json::from_str::<BTreeMap<UntrustedText, UntrustedText>>(&json).unwrap(), map);
        assert_eq!(map.get("b\n").map(UntrustedText::as_str), Some("\u{9b}"));
    }

    proptest::proptest! {
        #[test]
        fn display_is_idempotent(text in "(.|\n|\u{9b}|\u{202e}|#|:|hint: ){0,40}") {
            let shown = UntrustedText::from(text).to_string();
            proptest::prop_assert!(!shown.chars().any(is_hidden) && !shown.contains("##["), "{:?}", shown);
            proptest::prop_assert!(!shown.trim_start().starts_with("::"), "{:?}", shown);
            proptest::prop_assert_eq!(UntrustedText::from(shown.as_str()).to_string(), shown);
        }

        #[test]
        fn ordering_equals_that_of_strings(one: String, other: String) {
            let (first, second) = (UntrustedText::from(one.as_str()), UntrustedText::from(other.as_str()));
            proptest::prop_assert_eq!(first.cmp(&second), one.cmp(&other));
        }
    }
}
