//! Finds the values that were probably meant by invalid values of keys.

use super::problem::Mistake;

/// Returns the value that was probably meant by text that is neither `true` nor `false`.
pub(super) fn nearest_flag(text: &str) -> Option<&'static str> {
    match text.to_lowercase().as_str() {
        "1" | "on" | "true" | "y" | "yes" => Some("true"),
        "0" | "false" | "n" | "no" | "off" => Some("false"),
        _ => None,
    }
}

/// Returns the mistake of text that differs from all of these words.
pub(super) fn expected_word(text: &str, words: &[&'static str]) -> Mistake {
    let is_meant = |word: &&&str| text.len() < 20 && strsim::osa_distance(&text.to_lowercase(), word) <= 1;
    Mistake::from(format!("expected {}", words.join(", "))).or_meant(words.iter().find(is_meant).copied())
}
