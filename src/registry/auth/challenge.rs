use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// A registry's challenge in `WWW-Authenticate`: how to sign in to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Challenge {
    /// User name and password with each request.
    Basic,
    /// A token from the token service at `realm` (Docker's token authentication).
    Bearer {
        /// The URL of the token service, not checked yet.
        realm: String,
        /// The name of the service that the token is for; may be absent.
        service: Option<String>,
        /// The scopes that the refused request needs according to the registry; may be empty.
        scope: String,
        /// The token that was sent lacks a scope (RFC 6750, section 3.1, `insufficient_scope`).
        is_insufficient: bool,
        /// The registry offers Basic as well.
        or_basic: bool,
    },
}

impl Challenge {
    /// Reads the challenge in the headers of a response.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let values = headers.get_all(WWW_AUTHENTICATE);
        let values: Vec<_> = values.iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        parse_challenges(values.iter().map(AsRef::as_ref))
    }

    /// Whether the registry reports that the token that was sent lacks a scope.
    pub(crate) fn is_insufficient(&self) -> bool {
        matches!(self, Self::Bearer { is_insufficient: true, .. })
    }
}

/// Parses all values of `WWW-Authenticate` (RFC 9110, section 11.6.1): several challenges in a value, names in any
/// case, quoted values with commas and escapes, unquoted URLs. Prefers Bearer, and skips unknown schemes.
pub(crate) fn parse_challenges<'a>(values: impl IntoIterator<Item = &'a str>) -> Option<Challenge> {
    let challenges: Vec<_> = values.into_iter().flat_map(split_challenges).collect();
    let or_basic = challenges.iter().any(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"));
    let bearers = challenges.iter().filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let bearer = bearers.into_iter().find_map(|(_, parameters)| {
        let get = |name: &str| {
            let parameter = parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            parameter.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
        };
        let is_insufficient = get("error").is_some_and(|error| error == "insufficient_scope");
        let (realm, service, scope) = (get("realm")?, get("service"), get("scope").unwrap_or_default());
        Some(Challenge::Bearer { realm, service, scope, is_insufficient, or_basic })
    });
    bearer.or(or_basic.then_some(Challenge::Basic))
}

/// The maximum length of a header value, in bytes. Longer values are ignored; registries send a few hundred bytes.
const MAX_VALUE_LENGTH: usize = 16 * 1024;

type Parameters = Vec<(String, String)>;

fn split_challenges(value: &str) -> Vec<(String, Parameters)> {
    let mut challenges: Vec<(String, Parameters)> = Vec::new();
    if value.len() > MAX_VALUE_LENGTH {
        return challenges;
    }
    let mut rest = value;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let end = rest.find([' ', '\t', ',', '=']).unwrap_or(rest.len());
        let (word, tail) = rest.split_at(end);
        if word.is_empty() && tail.is_empty() {
            return challenges;
        }
        let after = tail.trim_start_matches([' ', '\t']);
        if let Some(from) = after.strip_prefix('=') {
            let (text, next) = parameter_value(from.trim_start_matches([' ', '\t']));
            if let Some((_, parameters)) = challenges.last_mut() {
                parameters.push((word.to_owned(), text));
            }
            rest = next;
        } else {
            challenges.push((word.to_owned(), Vec::new()));
            rest = after;
        }
    }
}

fn parameter_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        return (value.to_owned(), rest);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return (value, quoted.get(at + 1..).unwrap_or_default()),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>) -> Option<Challenge> {
        scoped(realm, service, "")
    }

    fn scoped(realm: &str, service: Option<&str>, scope: &str) -> Option<Challenge> {
        let (service, scope) = (service.map(str::to_owned), scope.into());
        let (is_insufficient, or_basic) = (false, false);
        Some(Challenge::Bearer { realm: realm.into(), service, scope, is_insufficient, or_basic })
    }

    fn with(challenge: Option<Challenge>, insufficient: bool, basic: bool) -> Option<Challenge> {
        match challenge? {
            Challenge::Bearer { realm, service, scope, .. } => {
                Some(Challenge::Bearer { realm, service, scope, is_insufficient: insufficient, or_basic: basic })
            }
            Challenge::Basic => None,
        }
    }

    #[test]
    fn challenges_are_parsed_in_every_form() {
        for (values, expected) in [
            (
                &[
                    r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a:pull,push""#,
                ][..],
                scoped("https://auth.docker.io/token", Some("registry.docker.io"), "repository:a:pull,push"),
            ),
            (
                &[r#"bearer REALM=https://r.io/token?x=1,Service="a, \"b\"""#],
                bearer("https://r.io/token?x=1", Some("a, \"b\"")),
            ),
            (&[r#"Bearer realm = "https://r.io/t" , scope="""#], bearer("https://r.io/t", None)),
            (
                &[
                    r#"Bearer realm="https://r.io/t",error="insufficient_scope",scope="repository:a:pull repository:b:pull""#,
                ],
                with(scoped("https://r.io/t", None, "repository:a:pull repository:b:pull"), true, false),
            ),
            (&["Basic"], Some(Challenge::Basic)),
            (&[r#"Basic realm="Registry Realm""#], Some(Challenge::Basic)),
            (
                &[r#"Basic realm="x", Bearer realm="https://r.io/t",service="s""#],
                with(bearer("https://r.io/t", Some("s")), false, true),
            ),
            (
                &[r#"Bearer realm="https://r.io/t""#, r#"Basic realm="x""#],
                with(bearer("https://r.io/t", None), false, true),
            ),
            (&[r#"Bearer realm="https://r.io/t",error="invalid_token""#], bearer("https://r.io/t", None)),
            (&["Negotiate", "Basic"], Some(Challenge::Basic)),
            (&["Negotiate abc=="], None),
            (&["Bearer"], None),
            (&[r#"Bearer realm="unclosed"#], bearer("unclosed", None)),
            (&["", ",,,", "="], None),
        ] {
            assert_eq!(parse_challenges(values.iter().copied()), expected, "{values:?}");
        }
        let long = format!("Bearer {}", "a=b,".repeat(10_000));
        assert_eq!(parse_challenges([long.as_str()]), None);
    }

    proptest::proptest! {
        #[test]
        fn a_challenge_contains_only_text_from_the_header(
            value: String,
            like in r#"(Bearer|Basic|,|=| |"|\\|realm|scope|a|é){0,40}"#,
        ) {
            match parse_challenges([value.as_str(), like.as_str()]) {
                Some(Challenge::Bearer { realm, service, scope, .. }) => {
                    assert!(!realm.is_empty() && service.as_ref().is_none_or(|service| !service.is_empty()));
                    let length = realm.len() + service.unwrap_or_default().len() + scope.len();
                    assert!(length <= value.len().max(like.len()));
                }
                Some(Challenge::Basic) => assert!(format!("{value}{like}").to_lowercase().contains("basic")),
                None => {}
            }
        }

        #[test]
        fn quoted_values_round_trip(realm in ".+", service in ".+", scope: String, before in "(Basic|Basic realm=x, |Foo)?,") {
            let quoted = |text: &str| text.replace('\\', r"\\").replace('"', "\\\"");
            let (quoted_realm, quoted_service, quoted_scope) = (quoted(&realm), quoted(&service), quoted(&scope));
            let value =
                format!(r#"{before}bearer Realm="{quoted_realm}" ,service = "{quoted_service}",scope="{quoted_scope}""#);
            let expected = with(scoped(&realm, Some(&service), &scope), false, before.starts_with("Basic"));
            proptest::prop_assert_eq!(parse_challenges([value.as_str()]), expected);
        }
    }
}
