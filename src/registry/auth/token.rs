//! Tokens, and the responses of token services.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde::Deserialize;

use super::scopes::Scopes;
use crate::registry::transport::redact::Secret;

/// A token for certain scopes of one registry.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    /// The value of the `Authorization` header.
    pub(crate) header: Secret,
    /// When to fetch a new token; absent for a token that the user configured.
    renew_at: Option<Instant>,
    /// The granted scopes, if they are known.
    pub(crate) granted: Option<Scopes>,
}

impl Token {
    /// Creates a token that does not expire, such as one from the configuration.
    pub(crate) fn new(token: &Secret) -> Self {
        let header = Secret::new(format!("Bearer {}", token.reveal()));
        Self { header, renew_at: None, granted: granted(token.reveal()) }
    }

    /// Reads a token service's response to a request that was sent at `requested_at`; `None` if it contains no token.
    pub(crate) fn read(body: &[u8], requested_at: Instant) -> Option<Self> {
        let response: TokenBody = serde_json::from_slice(body).ok()?;
        let lifetime = response.expires_in.as_u64().filter(|seconds| *seconds > 0);
        let scope = response.scope.as_str().filter(|scope| !scope.is_empty());
        let scope = scope.map(|scope| Scopes::default().with_challenge(scope));
        let token =
            [response.access_token, response.token].into_iter().flatten().find(|token| !token.reveal().is_empty());
        let mut token = Self::new(&token?);
        token.granted = token.granted.or(scope);
        // A year is longer than any run; a larger value could overflow the clock.
        let lifetime = Duration::from_secs(lifetime.unwrap_or(DEFAULT_LIFETIME).min(365 * 24 * 3600));
        token.renew_at = Some(requested_at + lifetime - RENEWAL_MARGIN.min(lifetime / 4));
        Some(token)
    }

    /// Whether the token can still be used at this time.
    pub(crate) fn is_fresh(&self, now: Instant) -> bool {
        self.renew_at.is_none_or(|renew_at| now < renew_at)
    }
}

/// The lifetime, in seconds, of a token without `expires_in` (Docker's token authentication, "expires_in").
const DEFAULT_LIFETIME: u64 = 60;
/// How long before its expiry a token is renewed: this, or a quarter of its lifetime if that is shorter.
const RENEWAL_MARGIN: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
struct TokenBody {
    #[serde(default)]
    access_token: Option<Secret>,
    #[serde(default)]
    token: Option<Secret>,
    // Any JSON type: a malformed optional field must not invalidate the token.
    #[serde(default)]
    expires_in: serde_json::Value,
    #[serde(default)]
    scope: serde_json::Value,
}

/// Returns the `Authorization` header for a user name and password (RFC 7617).
pub(crate) fn basic(user: &str, password: &Secret) -> Secret {
    Secret::new(format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{}", password.reveal()))))
}

/// Reads the scopes that a token grants if it is a JWT in Docker's format (token authentication, "JWT"). Other tokens
/// are opaque.
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
        let renewed_after = token.renew_at.unwrap().duration_since(now).as_secs();
        Some((token.header.reveal().to_owned(), renewed_after, token.granted.map(|granted| granted.texts().collect())))
    }

    #[test]
    fn token_responses_are_read_with_lifetime_and_scopes() {
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
    fn a_token_is_renewed_before_it_expires() {
        let now = Instant::now();
        let mut token = Token::new(&Secret::new("t"));
        assert!(token.is_fresh(now + Duration::from_secs(1 << 30)), "a configured token does not expire");
        token.renew_at = Some(now + Duration::from_secs(5));
        assert!(token.is_fresh(now + Duration::from_secs(4)) && !token.is_fresh(now + Duration::from_secs(5)));
    }

    proptest::proptest! {
        #[test]
        fn reading_the_scopes_of_any_token_never_panics(token: String, payload: Vec<u8>) {
            let _ = (granted(&token), granted(&format!("a.{}.b", BASE64_URL_SAFE_NO_PAD.encode(payload))));
        }
    }
}
