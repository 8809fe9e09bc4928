use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::WWW_AUTHENTICATE;
use tokio::sync::{MutexGuard, OnceCell, Semaphore};
use url::Url;

use super::answer::{Answer, MAX_TALK, Trouble};
use super::connections::{Connections, Tls, is_transient, reason_of};
use super::error::{Error, ErrorKind};
use super::exchange::{line, pointed_to};
use super::retry::{self, RetryPolicy};
use super::sign_in::SignIn;
use super::sign_in::challenge::{Challenge, parse_challenges};
use super::sign_in::credentials::{CredentialSources, Credentials};
use super::sign_in::realm::is_loopback;
use super::sign_in::scopes::Scopes;
use super::stop::{Stop, StopReason};

/// Takes one line of debugging talk.
pub type Trace = Box<dyn Fn(&str) + Send + Sync>;

/// Requests under way at once to one registry, unless told otherwise. Registries slow a client down that opens more.
pub const DEFAULT_CONCURRENCY: usize = 16;

/// How long a server may say nothing, unless told otherwise.
pub const DEFAULT_SILENCE: Duration = Duration::from_secs(30);

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
    /// What is sent again, and when.
    pub retry: RetryPolicy,
    /// How long a server may say nothing; [`DEFAULT_SILENCE`] where it is zero.
    pub silence: Duration,
    /// Raised to end before all is done.
    pub stop: Stop,
    /// Gets what users should know: waits, and registries' own warnings.
    pub warn: Option<Trace>,
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
    retry: RetryPolicy,
    stop: Stop,
    warn: Option<Trace>,
    warned: Mutex<HashSet<String>>,
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
    slots: Semaphore,
    /// Whether a first answer has shown if sign-in is wanted.
    answered: AtomicBool,
    /// Locked by the request that finds out.
    finding_out: tokio::sync::Mutex<()>,
    /// Requests that wait for it.
    waiting: AtomicUsize,
    pause: Pause,
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

/// A wait before a request is sent again.
pub(super) struct Wait {
    pub(super) time: Duration,
    /// The whole host waits, and not this request alone.
    pub(super) for_all: bool,
}

/// Until when a host is left alone.
#[derive(Default)]
struct Pause(Mutex<Option<Instant>>);

impl Pause {
    fn begin(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut pause = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *pause = Some(pause.map_or(until, |other| other.max(until)));
    }

    async fn over(&self) {
        loop {
            let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match until.and_then(|until| until.checked_duration_since(Instant::now())) {
                Some(left) if !left.is_zero() => tokio::time::sleep(left).await,
                _ => return,
            }
        }
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
    /// Bytes of the answer's body that are read at most.
    pub(super) limit: usize,
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
            connections: Connections::new(
                options.tls,
                if options.silence.is_zero() { DEFAULT_SILENCE } else { options.silence },
            ),
            retry: options.retry,
            stop: options.stop,
            warn: options.warn,
            warned: Mutex::default(),
            credentials: Arc::new(Credentials::new(&options.credentials)),
            trace: options.trace,
            hosts: Mutex::default(),
            traffic: TrafficCount::default(),
        }
    }

    /// Ends this client's work before all is done.
    #[must_use]
    pub fn stop(&self) -> &Stop {
        &self.stop
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

    fn warn(&self, line: String) {
        if let Some(warn) = &self.warn {
            warn(&line);
        }
    }

    /// A registry may say the same with every answer.
    pub(super) fn warn_once(&self, line: String) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.len() < 100 && warned.insert(line.clone()) {
            self.warn(line);
        }
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
        let api = host.api.get_or_try_init(|| self.find_api(registry)).await.map_err(|trouble| trouble.error)?;
        let challenge = self.ping(&host, api).await.map_err(|trouble| trouble.error)?;
        if challenge.is_some() {
            host.sign_in.challenged(challenge, None, &Scopes::default()).await;
        }
        self.send_ok(registry, &ping_request(api)).await?;
        Ok(host.sign_in.is_challenged())
    }

    /// Sends a request, signing in when the registry asks for it, and again where that may help. Answers of any
    /// status come back.
    pub(super) async fn send(&self, registry: &str, request: &Request) -> Result<Answer, Error> {
        let host = self.host(registry);
        let mut failed = 0;
        loop {
            self.stop.or(host.pause.over()).await.map_err(|reason| request.stopped(reason))?;
            let sending = self.send_signed(registry, &host, request, failed);
            // What is being written is brought to its end: its outcome must be known.
            let outcome = if request.is_read() { self.stop.or(sending).await } else { Ok(sending.await) };
            let outcome = outcome.map_err(|reason| request.stopped(reason))?;
            failed += 1;
            match self.wait_before_another(&request.subject, &outcome, failed) {
                Some(wait) if wait.for_all => host.pause.begin(wait.time),
                Some(wait) => {
                    let slept = self.stop.or(tokio::time::sleep(wait.time)).await;
                    slept.map_err(|reason| request.stopped(reason))?;
                }
                None => return outcome.map_err(|trouble| trouble.error),
            }
        }
    }

    /// Whether a request is to be sent again, and when. It is said, as the wait may be long.
    pub(super) fn wait_before_another(
        &self,
        subject: &str,
        outcome: &Result<Answer, Trouble>,
        failed: u32,
    ) -> Option<Wait> {
        let (asked, for_all, why) = match outcome {
            Ok(answer) if retry::is_transient(answer.status) => {
                let asked = retry::asked_wait(answer.header("retry-after"), &answer.body, SystemTime::now());
                (asked, retry::is_for_all(answer.status), answer.error(subject).to_string())
            }
            Err(trouble) if trouble.transient => (None, false, trouble.error.to_string()),
            _ => return None,
        };
        let time = self.retry.wait(failed, asked, fastrand::f64())?;
        let (seconds, of) = (time.as_secs_f64(), self.retry.retries);
        self.warn(format!("{why}; trying again in {seconds:.1} s ({failed} of {of})"));
        Some(Wait { time, for_all })
    }

    /// Sends a request once, and once more for each step of signing in. `before` is how often it was sent already.
    async fn send_signed(
        &self,
        registry: &str,
        host: &Host,
        request: &Request,
        before: u32,
    ) -> Result<Answer, Trouble> {
        let api = host.api.get_or_try_init(|| self.find_api(registry)).await?;
        let url = pointed_to(api, api, &request.target).map_err(|reason| request.protocol(reason))?;
        // Files of certificates that cannot be read are not the registry's doing.
        self.connections.client(api, true).map_err(|reason| request.protocol(reason))?;
        if url.origin() != api.origin() {
            // Credentials are for the registry's own origin alone.
            let _permit = host.slots.acquire().await;
            return self.exchange(request, api, &url, None, before + 1).await;
        }
        let mut first = self.first(registry, host, &request.scopes).await;
        let (mut bare_refused, mut signed_refused) = (false, false);
        let mut refusal: Option<Answer> = None;
        for attempt in before + 1.. {
            let authorization = match (host.sign_in.authorization(self, api, &request.scopes).await, refusal.take()) {
                (Ok(authorization), _) => authorization,
                // The registry's own words say more than that there is nothing to sign in with.
                (Err(error), Some(answer)) if answer.status == 403 || error.is_want_of_credentials() => {
                    return Ok(answer);
                }
                (Err(error), _) => return Err(error.into()),
            };
            if bare_refused {
                first = None; // those who wait have what they wait for
            }
            let header = authorization.as_ref().map(|authorization| &authorization.header);
            let answer = {
                let _permit = host.slots.acquire().await;
                self.exchange(request, api, &url, header, attempt).await?
            };
            if answer.elsewhere.is_some() {
                return Ok(answer);
            }
            if header.is_some() && answer.status != 401 {
                host.sign_in.accepted();
            }
            let seen = if header.is_some() { &mut signed_refused } else { &mut bare_refused };
            // Some registries that anyone may read answer 403 to who may not write without signing in.
            let refused = answer.status == 401 || (answer.status == 403 && header.is_none());
            if !refused || std::mem::replace(seen, true) {
                return Ok(answer);
            }
            let mut challenge = challenge_of(&answer);
            if challenge.is_none() && header.is_none() {
                challenge = self.ping(host, api).await.ok().flatten();
            }
            if host.sign_in.challenged(challenge, header, &request.scopes).await {
                if first.is_some() && answer.version == reqwest::Version::HTTP_11 {
                    // Each of those who wait will want a connection.
                    let waiting = host.waiting.load(Ordering::Relaxed);
                    self.connections.open_ahead(api, waiting.min(self.concurrency - 1));
                }
                refusal = Some(answer);
            } else if authorization.as_ref().is_some_and(|authorization| authorization.proving.is_some()) {
                // Before those who wait for it try the same.
                return Err(self.refused(registry, request, &answer).await.into());
            } else {
                return Ok(answer);
            }
        }
        drop(first);
        Err(request.protocol("the registry does not settle on how to sign in".into()).into())
    }

    async fn refused(&self, registry: &str, request: &Request, answer: &Answer) -> Error {
        let error = answer.error(&request.subject);
        match error.kind {
            ErrorKind::Answer { status: status @ (401 | 403), messages } if answer.elsewhere.is_none() => {
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
        if answer.status >= 400 {
            return Err(self.refused(registry, request, &answer).await);
        }
        Ok(answer)
    }

    /// Asks `GET /v2/`, once for a registry, for the challenge that another answer lacked.
    async fn ping(&self, host: &Host, api: &Url) -> Result<Option<Challenge>, Trouble> {
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
            slots: Semaphore::new(self.concurrency),
            answered: AtomicBool::new(false),
            finding_out: tokio::sync::Mutex::default(),
            waiting: AtomicUsize::new(0),
            pause: Pause::default(),
            ping: OnceCell::new(),
        };
        Arc::clone(hosts.entry(registry.to_owned()).or_insert_with(|| Arc::new(new())))
    }

    /// The URL of a registry's API. A loopback registry is tried with HTTPS, and spoken to without TLS if its port
    /// does not speak it; nothing secret is sent while finding out.
    async fn find_api(&self, registry: &str) -> Result<Url, Trouble> {
        let host = if registry == "docker.io" { "registry-1.docker.io" } else { registry };
        let parse = |scheme: &str| {
            format!("{scheme}://{host}/")
                .parse::<Url>()
                .map_err(|error| Error::new(registry, ErrorKind::Protocol(format!("not a registry host: {error}"))))
                .map_err(Trouble::from)
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
        let no_tls = ["InvalidContentType", "handshake eof"];
        match probe {
            Err(error) if no_tls.iter().any(|sign| reason_of(&error).contains(sign)) => parse("http"),
            // There may be none at all yet; what it speaks is not known.
            Err(error) if is_transient(&error) => {
                let error = Error::new(registry, ErrorKind::Transport(reason_of(&error)));
                Err(Trouble { error, transient: true })
            }
            _ => Ok(https),
        }
    }
}

impl Request {
    fn is_read(&self) -> bool {
        self.method == Method::GET || self.method == Method::HEAD
    }

    fn stopped(&self, reason: StopReason) -> Error {
        Error::new(self.subject.as_str(), ErrorKind::Stopped(reason))
    }

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
        limit: MAX_TALK,
        subject: format!("{api}v2/"),
    }
}

fn challenge_of(answer: &Answer) -> Option<Challenge> {
    let values = answer.headers.get_all(WWW_AUTHENTICATE);
    let values: Vec<_> = values.iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    parse_challenges(values.iter().map(AsRef::as_ref))
}
