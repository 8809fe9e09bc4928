use crate::image::Digest;
use crate::store::IfMatch;

/// Parses the value of `--if-match`: a digest, or `none` for a tag that must not exist.
pub(super) fn if_match(text: &str) -> Result<IfMatch, String> {
    match text {
        "none" => Ok(IfMatch::Missing),
        digest => Digest::parse(digest).map(IfMatch::Digest).map_err(|error| {
            let is_none = ["", "-", "absent", "empty", "missing", "nil", "no", "none", "nothing", "null"]
                .contains(&text.trim().to_ascii_lowercase().as_str());
            let meant = if is_none { Some("none") } else { error.suggestion() };
            let meant = meant.map(|meant| format!("; did you mean \"{meant}\"?")).unwrap_or_default();
            format!("{}; expected a digest or none{meant}", error.message())
        }),
    }
}
