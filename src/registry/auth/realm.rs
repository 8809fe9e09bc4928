use url::Url;

use crate::registry::transport::addresses::{checked_address, is_loopback};
use crate::registry::transport::redact::redacted_text;

/// Where credentials may go: the token service that a registry names, if it passes every rule here.
///
/// No weaker scheme than the registry's, no user info, no link-local or metadata address, loopback only for a
/// loopback registry. Without TLS it is not proven who names the token service, so it must be on the registry's own host.
///
/// # Errors
/// The rule that it breaks.
pub(crate) fn checked_realm(realm: &str, api: &Url) -> Result<Url, String> {
    let refused =
        |why: &str| Err(format!("its token service \"{}\" is not to be trusted: {why}", redacted_text(realm)));
    let Ok(url) = realm.parse::<Url>() else { return refused("not a URL") };
    match url.scheme() {
        "https" => {}
        "http" if api.scheme() == "http" => {}
        _ => return refused("it is not https"),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refused("it has user info");
    }
    if let Err(why) = checked_address(&url, api) {
        return refused(why);
    }
    let same_machine = url.host() == api.host() || (is_loopback(&url) && is_loopback(api));
    if api.scheme() == "http" && !same_machine {
        return refused("it is on another host, and without TLS nothing proves who named it");
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_realm_is_shown_without_what_it_keeps() {
        let api = "https://r.io".parse().unwrap();
        let said = checked_realm("https://svc:hidden@h.io/token?key=hidden", &api).unwrap_err();
        assert!(!said.contains("hidden") && said.contains("h.io/token"), "{said}");
    }

    #[test]
    fn realms() {
        for (realm, api, good) in [
            ("https://auth.r.io/token", "https://r.io", true),
            ("https://auth.redirect_host.io/token?x=1", "https://r.io", true),
            ("http://auth.r.io/token", "https://r.io", false),
            ("http://r.io:8080/token", "http://r.io", true),
            ("https://r.io/token", "http://r.io", true),
            ("http://auth.r.io/token", "http://r.io", false),
            ("https://auth.redirect_host.io/token", "http://r.io", false),
            ("https://u:p@auth.r.io/token", "https://r.io", false),
            ("https://:p@auth.r.io/token", "https://r.io", false),
            ("https://u@auth.r.io/token", "https://r.io", false),
            ("https://169.254.169.254/token", "https://r.io", false),
            ("https://[::ffff:169.254.169.254]/token", "https://r.io", false),
            ("https://2852039166/token", "https://r.io", false),
            ("https://100.100.100.200/token", "https://r.io", false),
            ("https://0.0.0.0/token", "https://r.io", false),
            ("https://[fe80::1]/token", "https://r.io", false),
            ("https://[fd00:ec2::254]/token", "https://r.io", false),
            ("https://metadata.google.internal./token", "https://r.io", false),
            ("https://metadata.goog/token", "https://r.io", false),
            ("https://168.63.129.16/token", "https://r.io", false),
            ("https://[64:ff9b::c000:201]/token", "https://r.io", false),
            ("https://[::127.0.0.1]/token", "https://r.io", false),
            ("https://127.0.0.1/token", "https://r.io", false),
            ("https://[::1]/token", "https://r.io", false),
            ("https://[::ffff:127.0.0.1]/token", "https://r.io", false),
            ("https://localhost./token", "https://r.io", false),
            ("https://x.localhost/token", "https://r.io", false),
            ("http://localhost:5001/token", "http://127.0.0.1:5000", true),
            ("http://169.254.169.254/token", "http://127.0.0.1:5000", false),
            ("file:///etc/passwd", "http://r.io", false),
            ("token", "http://r.io", false),
        ] {
            assert_eq!(checked_realm(realm, &api.parse().unwrap()).is_ok(), good, "{realm} of {api}");
        }
    }
}
