use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use reqwest::header::WWW_AUTHENTICATE;
use reqwest::{Method, Response};
use tokio::sync::{MutexGuard, OnceCell, OwnedSemaphorePermit, Semaphore};
use url::Url;

use super::answer::{Answer, read_error};
use super::connections::{Connections, Tls, reason_of};
use super::error::{Error, ErrorKind};
use super::exchange::{line, pointed_to};
use super::sign_in::SignIn;
use super::sign_in::challenge::{Challenge, parse_challenges};
use super::sign_in::credentials::{CredentialSources, Credentials};
use super::sign_in::realm::is_loopback;
use super::sign_in::scopes::Scopes;

/// Takes one line of debugging talk.
pub type Trace = Box<dyn Fn(&str) + Send + Sync>;

/// Requests under way at once to one registry, unless told otherwise. Registries slow a client down that opens more.
pub const DEFAULT_CONCURRENCY: usize = 16;

/// How to reach registries.
#[derive(Default)]
pub struct Options {
    /// Speak HTTP without TLS.
    pub plain_http: bool,
    /// What certificates are believed.
    pub tls: Tls,
    /// Where credentials come from.
    pub credentials: CredentialSources,
    /// Requests under way at once to one registry; [`DEFAULT_CONCURRENCY`] where it is 0.
    pub concurrency: usize,
    /// Gets a line for each request, for each host's credentials and for each token asked for; nothing secret is in
    /// them.
    pub trace: Option<Trace>,
}

/// A registry client: one for the process, so that connections, tokens and what is known of hosts are shared.
///
/// Proxies are taken from `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`; a loopback registry is reached without one.
pub struct Client {
    plain_http: bool,
    concurrency: usize,
    connections: Connections,
    credentials: Arc<Credentials>,
    trace: Option<Trace>,
    hosts: Mutex<HashMap<String, Arc<Host>>>,
    traffic: TrafficCount,
}

/// What was sent so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    /// Requests, those to token services and those sent again included.
    pub requests: usize,
    /// Requests that were sent again.
    pub retries: usize,
}

#[derive(Default)]
struct TrafficCount {
    requests: AtomicUsize,
    retries: AtomicUsize,
}

struct Host {
    api: OnceCell<Url>,
    sign_in: SignIn,
    /// Bounds the requests under way.
    slots: Arc<Semaphore>,
    /// Whether a first answer has shown if sign-in is wanted.
    answered: AtomicBool,
    /// Locked by the request that finds out.
    finding_out: tokio::sync::Mutex<()>,
    /// Requests that wait for it.
    waiting: AtomicUsize,
    /// What `GET /v2/` says of signing in.
    ping: OnceCell<Option<Challenge>>,
}

/// Held by the first request of a host until its answer, and what it says of signing in, are taken in; or until it is
/// clear that there is no answer, so that the others do not fail one after another.
struct First<'a> {
    host: &'a Host,
    _guard: MutexGuard<'a, ()>,
}

impl Drop for First<'_> {
    fn drop(&mut self) {
        self.host.answered.store(true, Ordering::Release);
    }
}

impl Host {
    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.slots).acquire_owned().await.ok()
    }
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

impl Client {
    /// A client; nothing is opened or read before the first request.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            plain_http: options.plain_http,
            concurrency: if options.concurrency == 0 { DEFAULT_CONCURRENCY } else { options.concurrency },
            connections: Connections::new(options.tls),
            credentials: Arc::new(Credentials::new(&options.credentials)),
            trace: options.trace,
            hosts: Mutex::default(),
            traffic: TrafficCount::default(),
        }
    }

    /// What was sent so far.
    pub fn traffic(&self) -> Traffic {
        let TrafficCount { requests, retries } = &self.traffic;
        Traffic { requests: requests.load(Ordering::Relaxed), retries: retries.load(Ordering::Relaxed) }
    }

    pub(super) fn count(&self, attempt: u32) {
        self.traffic.requests.fetch_add(1, Ordering::Relaxed);
        self.traffic.retries.fetch_add(usize::from(attempt > 1), Ordering::Relaxed);
    }

    pub(super) fn credentials(&self) -> Arc<Credentials> {
        Arc::clone(&self.credentials)
    }

    pub(super) fn connections(&self) -> &Connections {
        &self.connections
    }

    pub(super) fn trace(&self, line: impl FnOnce() -> String) {
        if let Some(trace) = &self.trace {
            trace(&line());
        }
    }

    /// Whether a registry takes this run's credentials: asks it, and its token service where it names one.
    ///
    /// `false` says that it wants none, so that they could not be checked. Errors: they are refused, or there is no
    /// registry.
    pub async fn check_login(&self, registry: &str) -> Result<bool, Error> {
        let host = self.host(registry);
        let api = host.api.get_or_try_init(|| self.find_api(registry)).await?;
        let challenge = self.ping(&host, api).await?;
        if challenge.is_some() {
            host.sign_in.challenged(challenge, None, &Scopes::default()).await;
        }
        self.send_ok(registry, &ping_request(api)).await?;
        Ok(host.sign_in.is_challenged())
    }

    /// Sends a request, signing in when the registry asks for it. Answers of any status come back.
    pub(super) async fn send(&self, registry: &str, request: &Request) -> Result<Answer, Error> {
        let host = self.host(registry);
        let api = host.api.get_or_try_init(|| self.find_api(registry)).await?;
        let url = pointed_to(api, api, &request.target).map_err(|reason| request.protocol(reason))?;
        // Files of certificates that cannot be read are not the registry's doing.
        self.connections.client(api, true).map_err(|reason| request.protocol(reason))?;
        if url.origin() != api.origin() {
            // Credentials are for the registry's own origin alone.
            let permit = host.permit().await;
            return self.exchange(request, api, &url, None, 1).await.map(|answer| answer.under(permit));
        }
        let mut first = self.first(registry, &host, &request.scopes).await;
        let (mut bare_refused, mut signed_refused) = (false, false);
        let mut refusal: Option<Answer> = None;
        for attempt in 1.. {
            let authorization = match (host.sign_in.authorization(self, api, &request.scopes).await, refusal.take()) {
                (Ok(authorization), _) => authorization,
                // The registry's own words say more than that there is nothing to sign in with.
                (Err(error), Some(answer)) if answer.status() == 403 || error.is_want_of_credentials() => {
                    return Ok(answer);
                }
                (Err(error), _) => return Err(error),
            };
            if attempt > 1 {
                first = None; // those who wait have what they wait for
            }
            let permit = host.permit().await;
            let header = authorization.as_ref().map(|authorization| &authorization.header);
            let mut answer = self.exchange(request, api, &url, header, attempt).await?.under(permit);
            let status = answer.status().as_u16();
            if answer.elsewhere.is_some() {
                return Ok(answer);
            }
            if header.is_some() && status != 401 {
                host.sign_in.accepted();
            }
            let seen = if header.is_some() { &mut signed_refused } else { &mut bare_refused };
            // Some registries that anyone may read answer 403 to who may not write without signing in.
            let refused = status == 401 || (status == 403 && header.is_none());
            if !refused || std::mem::replace(seen, true) {
                return Ok(answer);
            }
            let mut challenge = challenge_of(&answer);
            if challenge.is_none() && header.is_none() {
                challenge = self.ping(&host, api).await.ok().flatten();
            }
            if host.sign_in.challenged(challenge, header, &request.scopes).await {
                if first.is_some() && answer.version() == reqwest::Version::HTTP_11 {
                    // Each of those who wait will want a connection.
                    let waiting = host.waiting.load(Ordering::Relaxed);
                    self.connections.open_ahead(api, waiting.min(self.concurrency - 1));
                }
                answer.release();
                refusal = Some(answer);
            } else if authorization.as_ref().is_some_and(|authorization| authorization.proving.is_some()) {
                // Before those who wait for it try the same.
                return Err(self.refused(registry, request, answer).await);
            } else {
                return Ok(answer);
            }
        }
        drop(first);
        Err(request.protocol("the registry does not settle on how to sign in".into()))
    }

    async fn refused(&self, registry: &str, request: &Request, answer: Answer) -> Error {
        let at_home = answer.elsewhere.is_none();
        let error = read_error(answer, &request.subject).await;
        match error.kind {
            ErrorKind::Answer { status: status @ (401 | 403), messages } if at_home => {
                let sign_in = &self.host(registry).sign_in;
                sign_in.explain(self, &request.subject, &request.scopes, status, messages).await
            }
            _ => error,
        }
    }

    /// Where there are credentials for a registry, it is likely to want them, and each request sent before it says so
    /// would be sent twice: the first goes alone, and the others wait here for its answer.
    async fn first<'a>(&self, registry: &str, host: &'a Host, scopes: &Scopes) -> Option<First<'a>> {
        let known = || host.answered.load(Ordering::Acquire);
        if known() || !self.credentials.may_have(registry, scopes.repository()) {
            return None;
        }
        host.waiting.fetch_add(1, Ordering::Relaxed);
        let guard = host.finding_out.lock().await;
        host.waiting.fetch_sub(1, Ordering::Relaxed);
        if known() { None } else { Some(First { host, _guard: guard }) }
    }

    /// As [`Self::send`], and an answer of 400 and above is an error; one for want of rights says whose.
    pub(super) async fn send_ok(&self, registry: &str, request: &Request) -> Result<Answer, Error> {
        let answer = self.send(registry, request).await?;
        if answer.status().is_client_error() || answer.status().is_server_error() {
            return Err(self.refused(registry, request, answer).await);
        }
        Ok(answer)
    }

    /// Asks `GET /v2/`, once for a registry, for the challenge that another answer lacked.
    async fn ping(&self, host: &Host, api: &Url) -> Result<Option<Challenge>, Error> {
        let ask = async || {
            let request = ping_request(api);
            let url = pointed_to(api, api, &request.target).map_err(|reason| request.protocol(reason))?;
            let answer = self.exchange(&request, api, &url, None, 1).await?;
            // Whatever the status: a registry that anyone may read may answer 200 and still name its token service.
            Ok(challenge_of(&answer).filter(|_| answer.elsewhere.is_none()))
        };
        host.ping.get_or_try_init(ask).await.cloned()
    }

    fn host(&self, registry: &str) -> Arc<Host> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Host {
            api: OnceCell::new(),
            sign_in: SignIn::new(registry),
            slots: Arc::new(Semaphore::new(self.concurrency)),
            answered: AtomicBool::new(false),
            finding_out: tokio::sync::Mutex::default(),
            waiting: AtomicUsize::new(0),
            ping: OnceCell::new(),
        };
        Arc::clone(hosts.entry(registry.to_owned()).or_insert_with(|| Arc::new(new())))
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
        if self.plain_http {
            return parse("http");
        }
        if !is_loopback(&https) {
            return Ok(https);
        }
        let client = self
            .connections
            .client(&https, true)
            .map_err(|reason| Error::new(registry, ErrorKind::Protocol(reason)))?;
        let ping = https.join("v2/").unwrap_or_else(|_| https.clone());
        let started = Instant::now();
        let probe = client.get(ping.clone()).send().await;
        self.trace(|| line(&Method::GET, &ping, None, &probe, started, 1));
        // What a server without TLS does with a TLS greeting: it answers in plain text, or hangs up.
        let no_tls = ["InvalidContentType", "handshake eof", "Connection reset"];
        match probe {
            Err(error) if error.is_connect() && no_tls.iter().any(|sign| reason_of(&error).contains(sign)) => {
                parse("http")
            }
            _ => Ok(https),
        }
    }
}

impl Request {
    pub(super) fn protocol(&self, reason: String) -> Error {
        Error::new(self.subject.as_str(), ErrorKind::Protocol(reason))
    }

    pub(super) fn transport(&self, reason: String) -> Error {
        Error::new(self.subject.as_str(), ErrorKind::Transport(reason))
    }
}

fn ping_request(api: &Url) -> Request {
    Request {
        method: Method::GET,
        target: "v2/".into(),
        accept: None,
        content: None,
        scopes: Scopes::default(),
        subject: format!("{api}v2/"),
    }
}

fn challenge_of(response: &Response) -> Option<Challenge> {
    let values = response.headers().get_all(WWW_AUTHENTICATE);
    let values: Vec<_> = values.iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    parse_challenges(values.iter().map(AsRef::as_ref))
}
