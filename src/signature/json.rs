use serde::de::DeserializeOwned;

use super::Rejection;

/// Parses untrusted JSON. `part` names it in messages, such as `the bundle`. Unknown keys are ignored, and a key that
/// occurs twice is an error.
pub(super) fn parse<T: DeserializeOwned>(part: &'static str, text: &[u8]) -> Result<T, Rejection> {
    serde_json::from_slice(text).map_err(|error| {
        let reason = error.to_string();
        if error.is_eof() {
            Rejection::Truncated { part, reason }
        } else {
            Rejection::Malformed { part, reason: reason.into() }
        }
    })
}
