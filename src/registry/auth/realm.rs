use url::Url;

use crate::registry::transport::addresses::{checked_address, is_loopback};
use crate::registry::transport::redact::redacted_text;

/// Checks the URL of the token service that a registry names, before credentials are sent to it.
///
/// The rules: no weaker scheme than the registry's, no user info, no link-local or metadata address, and loopback only
/// for a loopback registry. Without TLS an attacker may have sent the challenge, so the token service must be on the
/// registry's own host.
///
/// # Errors
/// Returns the rule that the URL breaks.
pub(crate) fn checked_realm(realm: &str, api: &Url) -> Result<Url, String> {
    let refused = |why: &str| Err(format!("its token service \"{}\" cannot be trusted: {why}", redacted_text(realm)));
    let Ok(url) = realm.parse::<Url>() else { return refused("it is not a URL") };
    match url.scheme() {
        "https" => {}
        "http" if api.scheme() == "http" => {}
        _ => return refused("it does not use https"),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refused("it has user info");
    }
    if let Err(why) = checked_address(&url, api) {
        return refused(why);
    }
    let same_machine = url.host() == api.host() || (is_loopback(&url) && is_loopback(api));
    if api.scheme() == "http" && !same_machine {
        return refused("it is on another host, and without TLS the challenge may be forged");
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_realm_is_shown_without_its_secrets() {
        let api = "https://r.io".parse().unwrap();
        let message = checked_realm("https://svc:hidden@h.io/token?key=hidden", &api).unwrap_err();
        assert!(!message.contains("hidden") && message.contains("h.io/token"), "{message}");
    }

    #[test]
    fn a_realm_must_follow_the_rules_for_scheme_user_info_and_host() {
        for (realm, api, accepted) in [
            ("https://auth.r.io/token", "https://r.io", true),
            ("https://auth.other.io/token?x=1", "https://r.io", true),
            ("http://auth.r.io/token", "https://r.io", false),
            ("http://r.io:8080/token", "http://r.io", true),
            ("https://r.io/token", "http://r.io", true),
            ("http://auth.r.io/token", "http://r.io", false),
            ("https://auth.other.io/token", "http://r.io", false),
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
            assert_eq!(checked_realm(realm, &api.parse().unwrap()).is_ok(), accepted, "{realm} of {api}");
        }
    }
}
