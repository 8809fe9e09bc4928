//! Finds the values that were probably meant by invalid values of keys.

/// Returns the end of a message: the value that was probably meant, if any.
pub(super) fn did_you_mean(meant: Option<&str>) -> String {
    meant.map(|meant| format!("; did you mean \"{meant}\"?")).unwrap_or_default()
}

/// Returns the end of the message about text that is neither `true` nor `false`.
pub(super) fn nearest_flag(text: &str) -> String {
    did_you_mean(match text.to_lowercase().as_str() {
        "1" | "on" | "true" | "y" | "yes" => Some("true"),
        "0" | "false" | "n" | "no" | "off" => Some("false"),
        _ => None,
    })
}

/// Returns the message about text that differs from all of these words.
pub(super) fn expected_word(text: &str, words: &[&'static str]) -> String {
    let is_meant = |word: &&&str| text.len() < 20 && strsim::osa_distance(&text.to_lowercase(), word) <= 1;
    format!("expected {}{}", words.join(", "), did_you_mean(words.iter().find(is_meant).copied()))
}
