//! Chooses the proxy for a request from the environment like Go's net/http, and from `ALL_PROXY` like curl.

mod no_proxy;

use url::Url;

use self::no_proxy::NoProxy;
use super::addresses::is_loopback;
use crate::image::one_line;

/// The route of requests to a host.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum Route {
    /// Without a proxy.
    Direct,
    /// According to the system settings of macOS or Windows; without a proxy on Linux.
    System,
    /// Through the proxy at this URL, which may contain a password.
    Through(Url),
}

/// The proxies named in the environment.
pub(crate) struct Proxies {
    for_http: Option<Setting>,
    for_https: Option<Setting>,
    except: NoProxy,
}

/// An environment variable and its value.
#[derive(Clone)]
struct Setting {
    name: String,
    value: String,
}

/// The supported schemes of proxy URLs.
const SCHEMES: [&str; 6] = ["http", "https", "socks5", "socks5h", "socks4", "socks4a"];
/// The default port of a SOCKS proxy (RFC 1928, section 3).
const SOCKS_PORT: u16 = 1080;

impl Proxies {
    pub(crate) fn from_env() -> Self {
        Self::read(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: &[&str]| {
            let names = names.iter().flat_map(|name| [(*name).to_owned(), name.to_lowercase()]);
            names
                .filter_map(|name| Some(Setting { value: variable(&name)?.trim().to_owned(), name }))
                .find(|setting| !setting.value.is_empty())
        };
        // In a CGI program, HTTP_PROXY is a header that the client sent ("httpoxy").
        let is_cgi = variable("REQUEST_METHOD").is_some();
        Self {
            for_http: if is_cgi { None } else { first(&["HTTP_PROXY", "ALL_PROXY"]) },
            for_https: if is_cgi { None } else { first(&["HTTPS_PROXY", "ALL_PROXY"]) },
            except: NoProxy::parse(&first(&["NO_PROXY"]).map(|setting| setting.value).unwrap_or_default()),
        }
    }

    /// Chooses the route to a URL. Loopback is reached without a proxy, as in Go programs.
    ///
    /// # Errors
    /// `HTTP_PROXY` or `HTTPS_PROXY` does not name a proxy. An invalid `ALL_PROXY` is ignored.
    pub(crate) fn route(&self, url: &Url) -> Result<Route, String> {
        if is_loopback(url) || self.except.contains(url) {
            return Ok(Route::Direct);
        }
        match if url.scheme() == "https" { &self.for_https } else { &self.for_http } {
            Some(setting) => match setting.proxy() {
                // Go programs do not read ALL_PROXY, so an invalid one must stay harmless.
                Err(_) if setting.name.eq_ignore_ascii_case("ALL_PROXY") => Ok(Route::System),
                proxy => proxy.map(Route::Through),
            },
            None => Ok(Route::System),
        }
    }
}

impl Setting {
    fn proxy(&self) -> Result<Url, String> {
        let Self { name, value } = self;
        let parsed = if value.contains("://") { value.parse() } else { format!("http://{value}").parse() };
        let unusable = |why: &str| {
            let (scheme, rest) = value.split_once("://").unwrap_or(("http", value));
            // The text before the last `@` may contain a password.
            let shown = one_line(&format!("{scheme}://{}", rest.rsplit('@').next().unwrap_or_default()));
            format!("{name} does not name a proxy: \"{shown}\" {why}")
        };
        // GNOME writes `socks://`.
        let parsed: Result<Url, _> = parsed;
        let parsed = match parsed {
            Ok(url) if url.scheme() == "socks" => url.as_str().replacen("socks://", "socks5h://", 1).parse(),
            other => other,
        };
        let mut url: Url = parsed.map_err(|_| unusable("is not a URL"))?;
        if !SCHEMES.contains(&url.scheme()) {
            return Err(unusable("has a scheme other than http, https, socks4, socks4a, socks5 and socks5h"));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(unusable("has no host"));
        }
        if url.scheme().starts_with("socks") && url.port().is_none() {
            let _ = url.set_port(Some(SOCKS_PORT));
        }
        // The proxy resolves names, as in Go: often only the proxy can resolve the names of an internal network.
        if url.scheme() == "socks5" {
            let _ = url.set_scheme("socks5h");
        }
        Ok(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(variables: &[(&str, &str)], url: &str) -> String {
        let find = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string());
        match Proxies::read(find).route(&url.parse().unwrap()) {
            Ok(Route::Direct) => "direct".into(),
            Ok(Route::System) => "system".into(),
            Ok(Route::Through(proxy)) => proxy.to_string(),
            Err(reason) => reason,
        }
    }

    #[test]
    fn the_proxy_for_a_url_comes_from_the_variable_for_its_scheme() {
        let (http, https) = ("http://r.test/v2/", "https://r.test/v2/");
        for (variables, url, expected) in [
            (&[][..], https, "system"),
            (&[("HTTPS_PROXY", "http://p:1")], https, "http://p:1/"),
            (&[("ALL_PROXY", "socks://127.0.0.1:1080/")], https, "socks5h://127.0.0.1:1080/"),
            (&[("ALL_PROXY", "socks://u:w@p")], http, "socks5h://u:w@p:1080"),
            (&[("ALL_PROXY", "ftp://p:1")], https, "system"),
            (&[("all_proxy", "http://")], http, "system"),
            (&[("https_proxy", "http://p:1")], https, "http://p:1/"),
            (&[("HTTPS_PROXY", "http://p:1"), ("https_proxy", "http://q:1")], https, "http://p:1/"),
            (&[("HTTPS_PROXY", ""), ("https_proxy", "http://q:1")], https, "http://q:1/"),
            (&[("HTTPS_PROXY", " ")], https, "system"),
            (&[("HTTPS_PROXY", "http://p:1")], http, "system"),
            (&[("HTTP_PROXY", "http://p:1")], http, "http://p:1/"),
            (&[("http_proxy", "http://p:1")], https, "system"),
            (&[("ALL_PROXY", "http://p:1")], http, "http://p:1/"),
            (&[("all_proxy", "http://p:1")], https, "http://p:1/"),
            (&[("ALL_PROXY", "http://p:1"), ("HTTPS_PROXY", "http://q:1")], https, "http://q:1/"),
            (&[("HTTP_PROXY", "http://p:1"), ("REQUEST_METHOD", "GET")], http, "system"),
            (&[("HTTP_PROXY", "http://p:1")], "http://localhost:5000/", "direct"),
            (&[("HTTP_PROXY", "http://p:1")], "http://127.0.0.1:5000/", "direct"),
            (&[("HTTPS_PROXY", "http://p:1"), ("NO_PROXY", "r.test")], https, "direct"),
            (&[("HTTPS_PROXY", "http://p:1"), ("no_proxy", "r.test")], https, "direct"),
        ] {
            assert_eq!(route(variables, url), expected, "{variables:?} {url}");
        }
    }

    #[test]
    fn proxy_urls_are_normalized_and_errors_hide_the_password() {
        for (value, expected) in [
            ("http://proxy.test:3128", "http://proxy.test:3128/"),
            ("proxy.test:3128", "http://proxy.test:3128/"),
            ("u:p@proxy.test", "http://u:p@proxy.test/"),
            ("https://proxy.test", "https://proxy.test/"),
            ("socks5://proxy.test", "socks5h://proxy.test:1080"),
            ("socks5h://u:p@proxy.test:9050", "socks5h://u:p@proxy.test:9050"),
            ("socks4a://proxy.test", "socks4a://proxy.test:1080"),
            ("HTTP://proxy.test", "http://proxy.test/"),
            (
                "ftp://u:secret@proxy.test",
                "HTTPS_PROXY does not name a proxy: \"ftp://proxy.test\" has a scheme other than http, https, socks4, socks4a, socks5 and socks5h",
            ),
            ("http://", "HTTPS_PROXY does not name a proxy: \"http://\" is not a URL"),
            ("socks5://", "HTTPS_PROXY does not name a proxy: \"socks5://\" has no host"),
            ("http://u:se?cr@et@h:x", "HTTPS_PROXY does not name a proxy: \"http://h:x\" is not a URL"),
            ("u:secret@proxy.test:port", "HTTPS_PROXY does not name a proxy: \"http://proxy.test:port\" is not a URL"),
        ] {
            assert_eq!(route(&[("HTTPS_PROXY", value)], "https://r.test/"), expected, "{value}");
        }
    }
}
