//! Tokens, and what token services answer.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde::Deserialize;

use super::scopes::Scopes;
use crate::registry::transport::redact::Secret;

/// A token for some scopes at one registry.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    /// The `Authorization` value.
    pub(crate) header: Secret,
    /// The time from which on another one is fetched; absent for one that the user configured.
    renew: Option<Instant>,
    /// What it is good for, where that can be read.
    pub(crate) granted: Option<Scopes>,
}

impl Token {
    /// A token that does not run out, such as one from the configuration.
    pub(crate) fn new(token: &Secret) -> Self {
        let header = Secret::new(format!("Bearer {}", token.reveal()));
        Self { header, renew: None, granted: granted(token.reveal()) }
    }

    /// Reads a token service's answer to a request that was sent at `asked`; `None` if it holds no token.
    pub(crate) fn read(body: &[u8], asked: Instant) -> Option<Self> {
        let response: TokenBody = serde_json::from_slice(body).ok()?;
        let lifetime = response.expires_in.as_u64().filter(|seconds| *seconds > 0);
        let said = response.scope.as_str().filter(|scope| !scope.is_empty());
        let said = said.map(|scope| Scopes::default().with_challenge(scope));
        let token =
            [response.access_token, response.token].into_iter().flatten().find(|token| !token.reveal().is_empty());
        let mut token = Self::new(&token?);
        token.granted = token.granted.or(said);
        // Far beyond any run; more would not fit the clock.
        let lifetime = Duration::from_secs(lifetime.unwrap_or(DEFAULT_LIFETIME).min(365 * 24 * 3600));
        token.renew = Some(asked + lifetime - MARGIN.min(lifetime / 4));
        Some(token)
    }

    /// Whether it can still be used at a time.
    pub(crate) fn is_fresh(&self, now: Instant) -> bool {
        self.renew.is_none_or(|renew| now < renew)
    }
}

/// Services that name none mean this one (Docker's token authentication, "expires_in").
const DEFAULT_LIFETIME: u64 = 60;
/// A token is renewed this long before its end, or a quarter of its life before it if that is less.
const MARGIN: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
struct TokenBody {
    #[serde(default)]
    access_token: Option<Secret>,
    #[serde(default)]
    token: Option<Secret>,
    // Of any type: what is not understood here must not cost the token.
    #[serde(default)]
    expires_in: serde_json::Value,
    #[serde(default)]
    scope: serde_json::Value,
}

/// The `Authorization` value for user and password (RFC 7617).
pub(crate) fn basic(user: &str, password: &Secret) -> Secret {
    Secret::new(format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{}", password.reveal()))))
}

/// What a token grants, where it is a JWT in Docker's form (token authentication, "JWT"); others are opaque.
fn granted(token: &str) -> Option<Scopes> {
    #[derive(Deserialize)]
    struct Claims {
        access: Vec<Access>,
    }
    #[derive(Deserialize)]
    struct Access {
        r#type: String,
        name: String,
        actions: Vec<String>,
    }
    let mut parts = token.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    let payload = BASE64_URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    let claims: Claims = serde_json::from_slice(&payload).ok()?;
    let texts = claims.access.iter().map(|access| {
        let all = access.actions.iter().any(|action| action == "*");
        let actions = if all { "delete,pull,push".to_owned() } else { access.actions.join(",") };
        format!("{}:{}:{actions}", access.r#type, access.name)
    });
    Some(Scopes::default().with_challenge(&texts.collect::<Vec<_>>().join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Option<(String, u64, Option<Vec<String>>)> {
        let now = Instant::now();
        let token = Token::read(body.as_bytes(), now)?;
        let renewed_after = token.renew.unwrap().duration_since(now).as_secs();
        Some((token.header.reveal().to_owned(), renewed_after, token.granted.map(|granted| granted.texts().collect())))
    }

    #[test]
    fn answers_of_token_services() {
        let jwt = format!(
            "x.{}.z",
            BASE64_URL_SAFE_NO_PAD.encode(r#"{"access":[{"type":"repository","name":"a","actions":["pull"]}]}"#)
        );
        for (body, token, renewed_after) in [
            (r#"{"token":"t"}"#, "t", 50),
            (r#"{"token":"","access_token":"a","expires_in":300}"#, "a", 290),
            (r#"{"token":"t","access_token":"a"}"#, "a", 50),
            (r#"{"token":"t","access_token":"","expires_in":0}"#, "t", 50),
            (r#"{"token":"t","expires_in":20,"issued_at":"yesterday"}"#, "t", 15),
            (r#"{"token":"t","expires_in":"soon","scope":7}"#, "t", 50),
            (r#"{"token":"t","expires_in":18446744073709551615}"#, "t", 365 * 24 * 3600 - 10),
        ] {
            assert_eq!(read(body), Some((format!("Bearer {token}"), renewed_after, None)), "{body}");
        }
        for body in [r#"{"token":""}"#, "{}", "[]", "", "<html>", r#"{"token":7}"#] {
            assert_eq!(read(body), None, "{body}");
        }
        let granted = |body: String| read(&body).unwrap().2.unwrap();
        assert_eq!(granted(format!(r#"{{"token":"{jwt}"}}"#)), ["repository:a:pull"]);
        let all = BASE64_URL_SAFE_NO_PAD.encode(r#"{"access":[{"type":"repository","name":"a","actions":["*"]}]}"#);
        assert_eq!(granted(format!(r#"{{"token":"x.{all}.z"}}"#)), ["repository:a:delete,pull,push"]);
        assert_eq!(granted(r#"{"token":"t","scope":"repository:a:pull"}"#.into()), ["repository:a:pull"]);
    }

    #[test]
    fn a_token_is_renewed_before_its_end() {
        let now = Instant::now();
        let mut token = Token::new(&Secret::new("t"));
        assert!(token.is_fresh(now + Duration::from_secs(1 << 30)), "one from the configuration has no known end");
        token.renew = Some(now + Duration::from_secs(5));
        assert!(token.is_fresh(now + Duration::from_secs(4)) && !token.is_fresh(now + Duration::from_secs(5)));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(token: String, payload: Vec<u8>) {
            let _ = (granted(&token), granted(&format!("a.{}.b", BASE64_URL_SAFE_NO_PAD.encode(payload))));
        }
    }
}
