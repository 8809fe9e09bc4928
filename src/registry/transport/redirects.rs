//! Where answers point to, by a redirect or as `Location`, and which of that may be followed.

use reqwest::Method;
use reqwest::header::LOCATION;
use url::Url;

use super::addresses::checked_address;
use super::redact::{redacted, redacted_text};
use super::response::Response;

/// Redirects that are followed at most. A registry needs one, to where its blobs are.
pub(crate) const MAX_REDIRECTS: usize = 5;

/// Whether a status is a redirect that is followed. A write is repeated elsewhere only if the status requires the same
/// method and body there (RFC 9110, sections 15.4.8 and 15.4.9).
pub(crate) fn is_followed(method: &Method, status: u16) -> bool {
    match status {
        307 | 308 => true,
        301..=303 => *method == Method::GET || *method == Method::HEAD,
        _ => false,
    }
}

/// The URL that a registry points to, by redirect or `Location`, if it may: never from https to another scheme, nor
/// from elsewhere to this machine or its metadata service. User info in it is dropped.
pub(crate) fn resolve_location(api: &Url, base: &Url, location: &str) -> Result<Url, String> {
    let shown = || base.join(location).map_or_else(|_| redacted_text(location), |url| redacted(&url));
    let refused = |why: &str| Err(format!("the registry points to \"{}\", which is not followed: {why}", shown()));
    let Ok(mut url) = base.join(location) else { return refused("it is not a URL") };
    if !matches!(url.scheme(), "http" | "https") {
        return refused("it is not http or https");
    }
    if url.scheme() != "https" && (api.scheme() == "https" || base.scheme() == "https") {
        return refused("it goes from https to http");
    }
    if let Err(why) = checked_address(&url, api) {
        return refused(why);
    }
    let _ = url.set_username("");
    let _ = url.set_password(None);
    Ok(url)
}

/// The URL that an answer names in `Location`, such as that of an upload session: relative to the URL that answered (RFC
/// 9110, section 10.2.2), and without a fragment. `None` if it names none.
///
/// # Errors
/// It may not be followed; see [`resolve_location`].
pub(crate) fn location(api: &Url, answer: &Response) -> Result<Option<Url>, String> {
    let Some(location) = answer.headers.get(LOCATION) else { return Ok(None) };
    let mut url = resolve_location(api, &answer.url, &String::from_utf8_lossy(location.as_bytes()))?;
    url.set_fragment(None);
    Ok(Some(url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_that_are_followed() {
        for (method, status, followed) in [
            (Method::GET, 301, true),
            (Method::HEAD, 303, true),
            (Method::PUT, 301, false),
            (Method::POST, 302, false),
            (Method::PUT, 307, true),
            (Method::POST, 308, true),
            (Method::GET, 200, false),
            (Method::GET, 304, false),
        ] {
            assert_eq!(is_followed(&method, status), followed, "{method} {status}");
        }
    }

    #[test]
    fn once_https_has_answered_nothing_goes_back_to_http() {
        let (api, base) = ("http://r.io".parse().unwrap(), "https://cdn.io/x".parse().unwrap());
        assert!(resolve_location(&api, &base, "http://cdn.io/y").unwrap_err().contains("from https to http"));
        let said = resolve_location(&api, &base, "http://u:hidden@cdn.io/y?hidden").unwrap_err();
        assert!(!said.contains("hidden"), "{said}");
    }

    #[test]
    fn where_a_registry_may_point() {
        for (api, location, expected) in [
            ("https://r.io", "/v2/x", Some("https://r.io/v2/x")),
            ("https://r.io", "../x?y=1", Some("https://r.io/v2/x?y=1")),
            ("https://r.io", "https://cdn.io/x", Some("https://cdn.io/x")),
            ("https://r.io", "https://u:p@cdn.io/x", Some("https://cdn.io/x")),
            ("https://r.io", "//cdn.io/x", Some("https://cdn.io/x")),
            ("https://r.io", "http://r.io/x", None),
            ("http://r.io", "http://cdn.io/x", Some("http://cdn.io/x")),
            ("https://r.io", "https://127.0.0.1/x", None),
            ("http://r.io", "http://169.254.169.254/latest", None),
            ("http://127.0.0.1:5000", "http://localhost:80/x", Some("http://localhost/x")),
            ("https://r.io", "file:///etc/passwd", None),
            ("https://r.io", "https://", None),
        ] {
            let api: Url = api.parse().unwrap();
            let pointed = resolve_location(&api, &api.join("v2/a/b").unwrap(), location).ok();
            assert_eq!(pointed.as_ref().map(Url::as_str), expected, "{location} of {api}");
        }
    }
}
