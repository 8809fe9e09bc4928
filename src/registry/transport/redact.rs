use std::fmt;

use crate::image::one_line;

/// A password or token. `Debug` prints `****`.
#[derive(Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether the secret is empty.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the secret itself, for the header or form field that needs it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("****")
    }
}

/// The query parameters whose values may be shown. Upload sessions and signed redirects put secrets in others.
const SHOWN: &[&str] = &["digest", "mount", "from", "scope", "service", "client_id", "account", "n", "last"];

/// Formats a URL for logs and messages, without user info and without the values of unknown query parameters.
pub(crate) fn redacted(url: &url::Url) -> String {
    let mut shown = url.clone();
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.set_fragment(None);
    shown.set_query(None);
    let pairs = url.query_pairs().map(|(key, value)| match SHOWN.contains(&key.as_ref()) {
        true => format!("{key}={value}"),
        // A key without a value may be the secret itself.
        false if value.is_empty() => "****".to_owned(),
        false => format!("{key}=****"),
    });
    let query = pairs.collect::<Vec<_>>().join("&");
    one_line(&if query.is_empty() { shown.to_string() } else { format!("{shown}?{query}") })
}

/// Formats a URL's host for messages, with its port unless that is the scheme's default.
pub(crate) fn host_of(url: &url::Url) -> String {
    let host = url.host_str().unwrap_or_default();
    one_line(&url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

/// Redacts text that may not be a valid URL, for messages.
pub(crate) fn redacted_text(text: &str) -> String {
    match text.parse() {
        Ok(url) => redacted(&url),
        Err(_) => {
            let path = text.split(['?', '#']).next().unwrap_or_default();
            one_line(path.rsplit('@').next().unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_urls_are_printed_without_secret_parts() {
        assert_eq!(format!("{:?}", Some(Secret::new("hunter2"))), "Some(****)");
        for (url, shown) in [
            (
                "https://u:p@r.io/v2/a/blobs/uploads/1?_state=s&digest=sha256:1#f",
                "https://r.io/v2/a/blobs/uploads/1?_state=****&digest=sha256:1",
            ),
            (
                "https://r.io/token?scope=repository%3Aa%3Apull&scope=b",
                "https://r.io/token?scope=repository:a:pull&scope=b",
            ),
            ("https://cdn.io/b?X-Amz-Signature=s&%64igest=%1b[2J", "https://cdn.io/b?X-Amz-Signature=****&digest= [2J"),
            ("https://r.io/x?secret", "https://r.io/x?****"),
            ("https://r.io/v2/", "https://r.io/v2/"),
        ] {
            assert_eq!(redacted(&url.parse().unwrap()), shown);
        }
        assert_eq!(redacted_text("http://u:p@r.io:99999/x?secret"), "r.io:99999/x");
        assert_eq!(redacted_text("http://u:p@r.io/x?secret"), "http://r.io/x?****");
    }
}
