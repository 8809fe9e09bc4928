//! Resolves redirects and `Location` headers, and decides which URLs may be followed.

use reqwest::Method;
use reqwest::header::LOCATION;
use url::Url;

use super::addresses::checked_address;
use super::redact::{redacted, redacted_text};
use super::response::Response;

/// The maximum number of redirects to follow. A registry needs one, to its blob storage.
pub(crate) const MAX_REDIRECTS: usize = 5;

/// Whether a redirect with this status is followed. A write is repeated at another URL only if the status requires the
/// same method and body there (RFC 9110, sections 15.4.8 and 15.4.9).
pub(crate) fn is_followed(method: &Method, status: u16) -> bool {
    match status {
        307 | 308 => true,
        301..=303 => *method == Method::GET || *method == Method::HEAD,
        _ => false,
    }
}

/// Resolves a URL that a registry points to, by redirect or `Location`, and drops its user info. The URL may not lead
/// from https to another scheme, nor from another host to this machine or its metadata service.
///
/// # Errors
/// The URL may not be followed.
pub(crate) fn resolve_location(api: &Url, base: &Url, location: &str) -> Result<Url, String> {
    let shown = || base.join(location).map_or_else(|_| redacted_text(location), |url| redacted(&url));
    let refused = |why: &str| Err(format!("refusing to follow the registry to \"{}\": {why}", shown()));
    let Ok(mut url) = base.join(location) else { return refused("it is not a URL") };
    if !matches!(url.scheme(), "http" | "https") {
        return refused("it does not use http or https");
    }
    if url.scheme() != "https" && (api.scheme() == "https" || base.scheme() == "https") {
        return refused("it downgrades from https to http");
    }
    if let Err(why) = checked_address(&url, api) {
        return refused(why);
    }
    let _ = url.set_username("");
    let _ = url.set_password(None);
    Ok(url)
}

/// Returns the URL in a response's `Location`, such as that of an upload session, without its fragment. A relative URL
/// is resolved against the URL that responded (RFC 9110, section 10.2.2). Returns `None` if the header is absent.
///
/// # Errors
/// The URL may not be followed; see [`resolve_location`].
pub(crate) fn location(api: &Url, response: &Response) -> Result<Option<Url>, String> {
    let Some(location) = response.headers.get(LOCATION) else { return Ok(None) };
    let mut url = resolve_location(api, &response.url, &String::from_utf8_lossy(location.as_bytes()))?;
    url.set_fragment(None);
    Ok(Some(url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_follows_only_redirects_that_keep_method_and_body() {
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
    fn a_location_never_downgrades_from_https_to_http() {
        let (api, base) = ("http://r.io".parse().unwrap(), "https://cdn.io/x".parse().unwrap());
        assert!(resolve_location(&api, &base, "http://cdn.io/y").unwrap_err().contains("from https to http"));
        let error = resolve_location(&api, &base, "http://u:hidden@cdn.io/y?hidden").unwrap_err();
        assert!(!error.contains("hidden"), "{error}");
    }

    #[test]
    fn a_location_resolves_only_to_allowed_schemes_and_hosts() {
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
            let resolved = resolve_location(&api, &api.join("v2/a/b").unwrap(), location).ok();
            assert_eq!(resolved.as_ref().map(Url::as_str), expected, "{location} of {api}");
        }
    }
}
