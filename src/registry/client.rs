use std::collections::HashMap;
use std::error::Error as _;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Method, Response};
use tokio::sync::OnceCell;
use url::Url;

use super::challenge::parse_challenges;
use super::credentials::CredentialSources;
use super::error::{Error, ErrorKind};
use super::redact::{Secret, redacted};
use super::token::{Scopes, SignIn, is_loopback};
use crate::image::Digest;

/// Takes one line of debugging talk.
pub type Trace = Box<dyn Fn(&str) + Send + Sync>;

/// How to reach registries.
#[derive(Default)]
pub struct Options {
    /// Speak HTTP without TLS.
    pub plain_http: bool,
    /// Take any certificate.
    pub insecure: bool,
    /// Where credentials come from.
    pub credentials: CredentialSources,
    /// Gets a line for each request; nothing secret is in it.
    pub trace: Option<Trace>,
}

/// A registry client: one for the process, so that connections, tokens and what is known of hosts are shared.
pub struct Client {
    options: Options,
    registries: OnceLock<Result<reqwest::Client, String>>,
    tokens: OnceLock<Result<reqwest::Client, String>>,
    hosts: Mutex<HashMap<String, Arc<Host>>>,
}

struct Host {
    registry: String,
    api: OnceCell<Url>,
    sign_in: tokio::sync::Mutex<SignIn>,
}

/// One request to a registry's API. Everything in it can be sent again.
pub(super) struct Request {
    pub(super) method: Method,
    /// Path and query behind the host, or a whole URL that the registry named as `Location`.
    pub(super) target: String,
    pub(super) accept: Option<&'static str>,
    pub(super) content: Option<(String, Bytes)>,
    pub(super) scopes: Scopes,
    /// What errors are about.
    pub(super) subject: String,
}

/// Manifests larger than this are not read (4 MiB is what registries take).
pub(super) const MAX_MANIFEST: usize = 8 << 20;
/// Configs larger than this are not read.
pub(super) const MAX_CONFIG: usize = 8 << 20;
/// Tokens and error bodies larger than this are not read.
const MAX_TALK: usize = 1 << 20;

impl Client {
    /// A client; nothing is opened or read before the first request.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self { options, registries: OnceLock::new(), tokens: OnceLock::new(), hosts: Mutex::default() }
    }

    pub(super) fn credentials(&self) -> &CredentialSources {
        &self.options.credentials
    }

    pub(super) fn trace(&self, line: impl FnOnce() -> String) {
        if let Some(trace) = &self.options.trace {
            trace(&line());
        }
    }

    /// Sends a request, signing in when the registry asks for it. Answers of any status come back, but for a 401
    /// that signing in did not mend.
    pub(super) async fn send(&self, registry: &str, request: &Request) -> Result<Response, Error> {
        let host = self.host(registry);
        let api = host.api.get_or_try_init(|| self.find_api(registry)).await?;
        let url = api
            .join(&request.target)
            .map_err(|_| request.protocol(format!("the registry named \"{}\", which is no URL", request.target)))?;
        if api.scheme() == "https" && url.scheme() != "https" {
            return Err(request.protocol("the registry points from https to http".into()));
        }
        // Credentials are for the registry's own origin alone.
        let own = url.origin() == api.origin();
        let mut retried = false;
        loop {
            let authorization = if own { host.authorization(self, api, &request.scopes).await? } else { None };
            let response = self.send_once(request, &url, authorization.as_ref()).await?;
            if response.status() != 401 || !own {
                return Ok(response);
            }
            let values = response.headers().get_all(WWW_AUTHENTICATE);
            let challenge = parse_challenges(values.iter().filter_map(|value| value.to_str().ok()));
            let again = host.sign_in.lock().await.challenged(challenge, authorization.as_ref(), &request.scopes);
            if retried || !again {
                return Ok(response);
            }
            retried = true;
        }
    }

    /// As [`Self::send`], and an answer of 400 and above is an error.
    pub(super) async fn send_ok(&self, registry: &str, request: &Request) -> Result<Response, Error> {
        let response = self.send(registry, request).await?;
        if response.status().is_client_error() || response.status().is_server_error() {
            return Err(read_error(response, &request.subject).await);
        }
        Ok(response)
    }

    async fn send_once(&self, request: &Request, url: &Url, authorization: Option<&Secret>) -> Result<Response, Error> {
        let client = registries(&self.registries, &self.options).map_err(|reason| request.transport(reason))?;
        let mut headers = HeaderMap::new();
        if let Some(accept) = request.accept {
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
        }
        if let Some(authorization) = authorization {
            let mut value = HeaderValue::from_str(authorization.reveal())
                .map_err(|_| request.protocol("the credentials have characters that cannot be sent".into()))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let mut builder = client.request(request.method.clone(), url.clone());
        if let Some((media_type, body)) = &request.content {
            let value = HeaderValue::from_str(media_type)
                .map_err(|_| request.protocol("the media type has characters that cannot be sent".into()))?;
            headers.insert(CONTENT_TYPE, value);
            builder = builder.body(body.clone());
        } else if request.method == Method::POST {
            // Some registries and proxies answer 411 to a POST that does not say that it is empty.
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        let started = Instant::now();
        let result = builder.headers(headers).send().await;
        self.trace(|| {
            let outcome = match &result {
                Ok(response) => format!("{} {:?}", response.status().as_u16(), response.version()),
                Err(error) => reason_of(error),
            };
            format!("{} {} -> {outcome} ({} ms)", request.method, redacted(url), started.elapsed().as_millis())
        });
        result.map_err(|error| request.transport(reason_of(&error)))
    }

    /// A GET at a token service: no redirects, and never with the certificate check off. Gives status and body.
    pub(super) async fn get_token(&self, url: &Url, authorization: Option<&Secret>) -> Result<(u16, Bytes), Error> {
        let subject = format!("token service {}", redacted(url));
        let transport = |reason| Error::new(subject.as_str(), ErrorKind::Transport(reason));
        let client = self.tokens.get_or_init(|| {
            builder().redirect(reqwest::redirect::Policy::none()).build().map_err(|error| reason_of(&error))
        });
        let mut request = client.as_ref().map_err(|reason| transport(reason.clone()))?.get(url.clone());
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization.reveal());
        }
        let started = Instant::now();
        let response = request.send().await.map_err(|error| transport(reason_of(&error)))?;
        let status = response.status().as_u16();
        self.trace(|| format!("GET {} -> {status} ({} ms)", redacted(url), started.elapsed().as_millis()));
        Ok((status, read_body(response, MAX_TALK, &subject).await?))
    }

    fn host(&self, registry: &str) -> Arc<Host> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let host = hosts.entry(registry.to_owned()).or_insert_with(|| {
            Arc::new(Host {
                registry: registry.to_owned(),
                api: OnceCell::new(),
                sign_in: tokio::sync::Mutex::default(),
            })
        });
        Arc::clone(host)
    }

    /// The URL of a registry's API. A loopback registry is tried with HTTPS, and spoken to without TLS if its port
    /// does not speak it; nothing secret is sent while finding out.
    async fn find_api(&self, registry: &str) -> Result<Url, Error> {
        let host = if registry == "docker.io" { "registry-1.docker.io" } else { registry };
        let parse = |scheme: &str| {
            format!("{scheme}://{host}/")
                .parse::<Url>()
                .map_err(|error| Error::new(registry, ErrorKind::Protocol(format!("not a registry host: {error}"))))
        };
        let https = parse("https")?;
        if self.options.plain_http {
            return parse("http");
        }
        if !is_loopback(&https) {
            return Ok(https);
        }
        let client = registries(&self.registries, &self.options)
            .map_err(|reason| Error::new(registry, ErrorKind::Transport(reason)))?;
        let probe = client.get(https.join("v2/").unwrap_or_else(|_| https.clone())).send().await;
        match probe {
            Err(error) if error.is_connect() && reason_of(&error).contains("InvalidContentType") => parse("http"),
            _ => Ok(https),
        }
    }
}

impl Host {
    async fn authorization(&self, client: &Client, api: &Url, scopes: &Scopes) -> Result<Option<Secret>, Error> {
        // Held while a token is fetched, so that the others who want the same one wait for it.
        self.sign_in.lock().await.header(client, &self.registry, api, scopes).await
    }
}

impl Request {
    pub(super) fn protocol(&self, reason: String) -> Error {
        Error::new(self.subject.as_str(), ErrorKind::Protocol(reason))
    }

    fn transport(&self, reason: String) -> Error {
        Error::new(self.subject.as_str(), ErrorKind::Transport(reason))
    }
}

fn registries<'a>(
    cell: &'a OnceLock<Result<reqwest::Client, String>>,
    options: &Options,
) -> Result<&'a reqwest::Client, String> {
    let client = cell.get_or_init(|| {
        let downgrade = reqwest::redirect::Policy::custom(|attempt| {
            let from_https = attempt.previous().last().is_some_and(|url| url.scheme() == "https");
            if attempt.previous().len() > 5 {
                attempt.error("more than 5 redirects")
            } else if from_https && attempt.url().scheme() != "https" {
                attempt.error("a redirect from https to http")
            } else {
                attempt.follow()
            }
        });
        let builder = builder().redirect(downgrade).tls_danger_accept_invalid_certs(options.insecure);
        builder.build().map_err(|error| reason_of(&error))
    });
    client.as_ref().map_err(Clone::clone)
}

fn builder() -> reqwest::ClientBuilder {
    // Fails only when one is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .user_agent(concat!("manifest-tool/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(30))
        .read_timeout(Duration::from_secs(60))
        .referer(false)
}

/// The innermost reason: the outer layers of an HTTP error only say that sending failed, and repeat the URL.
fn reason_of(error: &reqwest::Error) -> String {
    let mut reason = if error.is_timeout() { "timed out".to_owned() } else { error.to_string() };
    let mut source = error.source();
    while let Some(inner) = source {
        reason = inner.to_string();
        source = inner.source();
    }
    super::redact::clean(&reason)
}

/// Reads a whole body, up to `limit` bytes counted as they arrive, whatever Content-Length says.
pub(super) async fn read_body(mut response: Response, limit: usize, subject: &str) -> Result<Bytes, Error> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > limit => {
                return Err(Error::new(subject, ErrorKind::TooLarge { limit }));
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body.into()),
            Err(error) => return Err(Error::new(subject, ErrorKind::Transport(reason_of(&error)))),
        }
    }
}

/// What an answer of 400 and above says.
pub(super) async fn read_error(response: Response, subject: &str) -> Error {
    let status = response.status().as_u16();
    let body = read_body(response, MAX_TALK, subject).await.unwrap_or_default();
    Error::answer(subject, status, &body)
}

/// The digest that the registry names in `Docker-Content-Digest`, if it is one.
pub(super) fn header_digest(response: &Response) -> Option<Digest> {
    let value = response.headers().get("docker-content-digest")?.to_str().ok()?;
    Digest::parse(value.trim()).ok()
}
