use std::fmt;

/// A password or token: readable on purpose only, and `****` wherever it is printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one header or form field that needs it.
    pub(super) fn reveal(&self) -> &str {
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

/// A URL for logs and messages: no user info, and no query, where upload sessions and signed redirects keep secrets.
pub(super) fn redacted(url: &url::Url) -> String {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    if url.query().is_some() {
        url.set_query(Some("****"));
    }
    url.set_fragment(None);
    url.to_string()
}

/// A server's words, fit for a terminal and a log line: no control characters, at most 500 characters.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(500).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_is_printed() {
        assert_eq!(format!("{:?}", Some(Secret::new("hunter2"))), "Some(****)");
        let url = "https://u:p@r.io/v2/a/blobs/uploads/1?_state=s#f".parse().unwrap();
        assert_eq!(redacted(&url), "https://r.io/v2/a/blobs/uploads/1?****");
        assert_eq!(clean("a\x1b[31m\nb "), "a [31m b");
    }
}
