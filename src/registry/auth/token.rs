use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use reqwest::Method;
use serde::Deserialize;
use url::{Url, form_urlencoded};

use super::ask::TokenRequest;
use super::credentials::Login;
use super::scopes::Scopes;
use crate::event::Event;
use crate::image::UntrustedText;
use crate::registry::client::registry_client::Client;
use crate::registry::error::{Error, ErrorKind};
use crate::registry::transport::answer::Answer as TokenAnswer;
use crate::registry::transport::failure::is_unknown_name;
use crate::registry::transport::redact::Secret;

/// A token for some scopes at one registry.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    /// The `Authorization` value.
    pub(crate) header: Secret,
    /// When to fetch another; none for one that the user configured.
    renew: Option<Instant>,
    /// What it is good for, where that can be read.
    pub(crate) granted: Option<Scopes>,
}

impl Token {
    pub(crate) fn new(token: &Secret) -> Self {
        let header = Secret::new(format!("Bearer {}", token.reveal()));
        Self { header, renew: None, granted: granted(token.reveal()) }
    }

    pub(crate) fn is_fresh(&self, now: Instant) -> bool {
        self.renew.is_none_or(|renew| now < renew)
    }
}

/// A token service, as a challenge names it; the realm has been checked.
pub(crate) struct TokenService<'a> {
    pub(crate) registry: &'a str,
    pub(crate) api: &'a Url,
    pub(crate) realm: Url,
    pub(crate) service: Option<String>,
}

/// Why there is no token.
pub(crate) enum TokenError {
    /// The service answered with an error.
    Answer(Box<TokenAnswer>),
    /// Nothing that issues tokens answers at the realm.
    NoService(Error),
    /// Anything else.
    Other(Error),
}

impl TokenError {
    /// The reason, if the error is that a token service does not work or does not exist at the realm: it cannot be reached,
    /// or its answer judges neither credentials nor scope.
    pub(crate) fn of_no_service(&self) -> Option<String> {
        match self {
            Self::Answer(answer) if matches!(answer.status, 404 | 405 | 410 | 500..) => {
                Some(format!("its token service answered with HTTP {}", answer.status))
            }
            Self::NoService(error) => Some(error.to_string()),
            Self::Answer(_) | Self::Other(_) => None,
        }
    }
}

/// The name that token services log.
const CLIENT_ID: &str = "manifest-tool";
/// Services that name none mean this one (Docker's token authentication, "expires_in").
const DEFAULT_LIFETIME: u64 = 60;
/// A token is renewed so much before its end, but a quarter of its life at most.
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

impl TokenService<'_> {
    /// Fetches a token: with user and password, with an identity token, or with nothing.
    pub(crate) async fn fetch(
        &self,
        client: &Client,
        scopes: &Scopes,
        login: Option<&Login>,
    ) -> Result<Token, TokenError> {
        let asked = Instant::now();
        let answer = match login {
            None => self.get(client, scopes, None).await?,
            Some(Login::Password { user, password }) => self.get(client, scopes, Some((user, password))).await?,
            Some(Login::IdentityToken(token)) => match self.post(client, scopes, token).await? {
                // A service without OAuth2.
                answer if matches!(answer.status, 404 | 405) => {
                    self.get(client, scopes, Some(("<token>", token))).await?
                }
                answer => answer,
            },
            Some(Login::RegistryToken(token)) => return Ok(Token::new(token)),
        };
        if answer.status != 200 {
            return Err(TokenError::Answer(Box::new(answer)));
        }
        self.read(&answer.body, asked)
    }

    fn read(&self, body: &[u8], asked: Instant) -> Result<Token, TokenError> {
        let answer: Option<TokenBody> = serde_json::from_slice(body).ok();
        let lifetime = answer.as_ref().and_then(|answer| answer.expires_in.as_u64()).filter(|seconds| *seconds > 0);
        let said = answer.as_ref().and_then(|answer| answer.scope.as_str().map(str::to_owned));
        let token = answer.and_then(|answer| {
            [answer.access_token, answer.token].into_iter().flatten().find(|t| !t.reveal().is_empty())
        });
        let Some(token) = token else {
            return Err(TokenError::NoService(self.failed("the token service's answer holds no token")));
        };
        let said = said.filter(|scope| !scope.is_empty()).map(|scope| Scopes::default().with_challenge(&scope));
        let mut token = Token::new(&token);
        token.granted = token.granted.or(said);
        // Far beyond any run; more would not fit the clock.
        let lifetime = Duration::from_secs(lifetime.unwrap_or(DEFAULT_LIFETIME).min(365 * 24 * 3600));
        token.renew = Some(asked + lifetime - MARGIN.min(lifetime / 4));
        Ok(token)
    }

    /// Docker's token authentication: `GET realm` with Basic.
    async fn get(
        &self,
        client: &Client,
        scopes: &Scopes,
        login: Option<(&str, &Secret)>,
    ) -> Result<TokenAnswer, TokenError> {
        let mut url = self.realm.clone();
        {
            let mut query = url.query_pairs_mut();
            if let Some((user, _)) = login {
                query.append_pair("account", user);
            }
            query.append_pair("client_id", CLIENT_ID);
            if let Some(service) = &self.service {
                query.append_pair("service", service);
            }
            for scope in scopes.texts() {
                query.append_pair("scope", &scope);
            }
        }
        let header = login.map(|(user, password)| basic(user, password));
        self.send(client, Method::GET, &url, header.as_ref(), None, scopes).await
    }

    /// Docker's OAuth2 form: `POST realm` with the identity token as refresh token.
    async fn post(&self, client: &Client, scopes: &Scopes, token: &Secret) -> Result<TokenAnswer, TokenError> {
        client.secrets().add(token.reveal());
        let form = Some(self.form(scopes, token));
        self.send(client, Method::POST, &self.realm, None, form, scopes).await
    }

    fn form(&self, scopes: &Scopes, token: &Secret) -> Secret {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "refresh_token").append_pair("refresh_token", token.reveal());
        form.append_pair("client_id", CLIENT_ID);
        if let Some(service) = &self.service {
            form.append_pair("service", service);
        }
        let scope = scopes.texts().collect::<Vec<_>>().join(" ");
        if !scope.is_empty() {
            form.append_pair("scope", &scope);
        }
        Secret::new(form.finish())
    }

    async fn send(
        &self,
        client: &Client,
        method: Method,
        url: &Url,
        authorization: Option<&Secret>,
        form: Option<Secret>,
        scopes: &Scopes,
    ) -> Result<TokenAnswer, TokenError> {
        client.emit(|| Event::TokenRequest {
            registry: self.registry.to_owned(),
            scopes: scopes.texts().collect::<Vec<_>>().join(" "),
        });
        let asking = TokenRequest { api: self.api, method: &method, url, authorization, form: form.as_ref() };
        let sent = client.send_to_token_service(&asking).await;
        let answer = sent.map_err(|error| {
            let failed = self.failed(error.to_string()).caused_by(&error);
            if is_unreachable(&error) { TokenError::NoService(failed) } else { TokenError::Other(failed) }
        })?;
        if (300..400).contains(&answer.status) {
            let status = answer.status;
            let reason = format!("its token service answered with a redirect (HTTP {status}), which is not followed");
            return Err(TokenError::NoService(self.failed(reason)));
        }
        Ok(answer)
    }

    fn failed(&self, reason: impl Into<UntrustedText>) -> Error {
        Error::new(self.registry, ErrorKind::SignIn(reason.into()))
    }
}

/// Whether no connection led to an answer. A refused certificate does not count: it may be a sign of an attack.
fn is_unreachable(error: &Error) -> bool {
    match &error.kind {
        ErrorKind::Transport { reason, .. } => error.is_transient() || is_unknown_name(reason.as_str()),
        _ => false,
    }
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

    fn read(body: &str) -> Result<(String, u64, Option<Vec<String>>), String> {
        let api = "https://r.io".parse().unwrap();
        let realm = "https://r.io/token".parse().unwrap();
        let service = TokenService { registry: "r.io", api: &api, realm, service: None };
        let now = Instant::now();
        match service.read(body.as_bytes(), now) {
            Ok(token) => Ok((
                token.header.reveal().to_owned(),
                token.renew.unwrap().duration_since(now).as_secs(),
                token.granted.map(|granted| granted.texts().collect()),
            )),
            Err(TokenError::Other(error) | TokenError::NoService(error)) => Err(error.to_string()),
            Err(TokenError::Answer(answer)) => Err(answer.status.to_string()),
        }
    }

    #[test]
    fn answers() {
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
            assert_eq!(read(body), Ok((format!("Bearer {token}"), renewed_after, None)), "{body}");
        }
        for body in [r#"{"token":""}"#, "{}", "[]", "", "<html>", r#"{"token":7}"#] {
            assert_eq!(
                read(body).unwrap_err(),
                "r.io: sign-in failed: the token service's answer holds no token",
                "{body}"
            );
        }
        let granted = |body: String| read(&body).unwrap().2.unwrap();
        assert_eq!(granted(format!(r#"{{"token":"{jwt}"}}"#)), ["repository:a:pull"]);
        let all = BASE64_URL_SAFE_NO_PAD.encode(r#"{"access":[{"type":"repository","name":"a","actions":["*"]}]}"#);
        assert_eq!(granted(format!(r#"{{"token":"x.{all}.z"}}"#)), ["repository:a:delete,pull,push"]);
        assert_eq!(granted(r#"{"token":"t","scope":"repository:a:pull"}"#.into()), ["repository:a:pull"]);
    }

    #[test]
    fn services_that_cannot_be_reached() {
        let transport =
            |reason: &str| ErrorKind::Transport { request: String::new(), reason: reason.into(), unsent: false };
        for (error, expected) in [
            (Error::transient("x", transport("Connection refused")), true),
            (Error::new("x", transport("failed to lookup address information: Name or service not known")), true),
            (Error::new("x", transport("invalid peer certificate: UnknownIssuer")), false),
            (Error::new("x", ErrorKind::TooLarge { limit: 1 }), false),
        ] {
            assert_eq!(is_unreachable(&error), expected, "{error}");
        }
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
