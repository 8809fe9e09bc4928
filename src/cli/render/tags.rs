use serde::Serialize;

use super::error::ErrorJson;
use super::escape::escaped;
use super::query::QueryJson;
use crate::image::{Location, Timestamp, UntrustedText};

/// A tag of a repository.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub(in crate::cli) enum TagsEntryJson {
    /// A tag that was only listed.
    Listed {
        tag: UntrustedText,
        #[serde(skip_serializing_if = "Option::is_none")]
        created: Option<Timestamp>,
    },
    /// A tag whose platforms were read.
    Queried {
        tag: UntrustedText,
        /// The creation date, with `--sort time` and if known.
        #[serde(skip_serializing_if = "Option::is_none")]
        created: Option<Timestamp>,
        #[serde(flatten)]
        query: Box<QueryJson<Location>>,
    },
    /// A tag whose platforms could not be read.
    Failed { tag: UntrustedText, reference: Location, error: ErrorJson },
}

/// Formats a tag, or a name in a layout, for a line of text. Quotes a name as a JSON string if the image-spec does not
/// allow its characters in `org.opencontainers.image.ref.name`, or if it starts with a separator: printed as is, it
/// could start a workflow command or a new line.
#[must_use]
pub(in crate::cli) fn tag_text(name: &str) -> String {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let is_part = |b: u8| is_word(b) || b"-.:@+/".contains(&b);
    match name.as_bytes() {
        [first, rest @ ..] if is_word(*first) && rest.iter().all(|b| is_part(*b)) => name.to_owned(),
        _ => escaped(&serde_json::Value::from(name).to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_the_image_spec_does_not_allow_are_quoted() {
        for (name, shown) in [
            ("v1.2", "v1.2"),
            ("_a__b-", "_a__b-"),
            ("docker.io/library/alpine:3.20+x@y", "docker.io/library/alpine:3.20+x@y"),
            ("", r#""""#),
            ("::error ::x", r#""::error ::x""#),
            ("a\n::error ::x", r#""a\n::error ::x""#),
            ("hint: run rm", r#""hint: run rm""#),
            ("##vso[task.x]", r##""#\u0023vso[task.x]""##),
            ("\u{9b}31m\u{202e}", r#""\u009b31m\u202e""#),
            ("é\"", r#""é\"""#),
        ] {
            assert_eq!(tag_text(name), shown);
        }
    }
}
