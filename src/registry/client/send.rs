//! A request from its beginning to its end: sign-in, and what is tried again.

use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};
use url::Url;

use super::host::Host;
use super::registry_client::Client;
use crate::image::one_line;
use crate::registry::auth::challenge::{Challenge, parse_challenges};
use crate::registry::auth::scopes::Scopes;
use crate::registry::error::{Error, ErrorKind, StopReason};
use crate::registry::transport::answer::{Answer, Expected, MAX_TALK};
use crate::registry::transport::idle::BodyStream;
use crate::registry::transport::redirects::pointed_to;

/// One request to a registry's API. Everything in it can be sent again.
pub(crate) struct Request {
    pub(crate) method: Method,
    /// Path and query behind the host, or a whole URL that the registry named as `Location`.
    pub(crate) target: String,
    pub(crate) accept: Option<&'static str>,
    pub(crate) content: Option<Content>,
    pub(crate) scopes: Scopes,
    /// Bytes of the answer's body that are read at most.
    pub(crate) limit: u64,
    /// What the answer's body must be.
    pub(crate) expected: Expected,
    /// The body of a success is left for later.
    pub(crate) streamed: bool,
    /// What its content refers to was written a moment ago: a registry may not know it everywhere yet.
    pub(crate) refers_to_new: bool,
    /// It follows another request at once, and waits for no slot. Who held one while waiting for a token could wait for
    /// who waits for a slot with that token.
    pub(crate) at_once: bool,
    /// It carries no credentials, as it follows a redirect to another origin.
    pub(crate) unsigned: bool,
    /// What errors are about.
    pub(crate) subject: String,
}

/// What a request carries.
pub(crate) enum Content {
    /// Of this media type.
    Bytes(String, Bytes),
    /// A blob of so many bytes, which can be sent once.
    Stream(u64, Mutex<Option<BodyStream>>),
}

impl Client {
    /// Sends a request, signing in when the registry asks for it, and again where that may help. Answers of any
    /// status come back.
    pub(crate) async fn send(&self, registry: &str, request: &Request) -> Result<Answer, Error> {
        let host = self.host(registry);
        let _prepared = host.prepared.acquire().await;
        // On the heap, and only now: thousands may wait for their turn.
        Box::pin(async {
            let mut tries = self.tries(registry, request).await?;
            loop {
                if let Some(outcome) = tries.outcome_of(self.send_signed(registry, request, tries.failed())).await {
                    return outcome;
                }
            }
        })
        .await
    }

    /// As [`Self::send`], and an answer of 400 and above is an error; one for want of rights says whose.
    pub(crate) async fn send_ok(&self, registry: &str, request: &Request) -> Result<Answer, Error> {
        let answer = self.send(registry, request).await?;
        if answer.status >= 400 {
            return Err(self.refused(registry, request, &answer).await);
        }
        Ok(answer)
    }

    /// Sends a request once, and once more for each step of signing in. `before` is how often it was sent already.
    pub(crate) async fn send_signed(&self, registry: &str, request: &Request, before: u32) -> Result<Answer, Error> {
        self.send_signed_until(registry, request, before, None).await
    }

    /// As [`Self::send_signed`], but not later than this: an error, [`ErrorKind::Late`], where a token or a host that is
    /// to be left alone took longer.
    pub(crate) async fn send_signed_until(
        &self,
        registry: &str,
        request: &Request,
        before: u32,
        until: Option<Instant>,
    ) -> Result<Answer, Error> {
        let host = &self.host(registry);
        let api = &self.api(registry, host).await?;
        let refused = |reason: String| request.protocol(self.secrets().scrub_foreign(&reason).into_owned());
        let url = pointed_to(api, api, &request.target).map_err(refused)?;
        // Files of certificates that cannot be read are not the registry's doing.
        self.connections().client(api, api).map_err(|reason| request.protocol(reason))?;
        if request.unsigned || url.origin() != api.origin() {
            // Credentials are for the registry's own origin alone.
            let _slot = self.slot(host, request).await?;
            return self.exchange(request, api, &url, None, before + 1).await;
        }
        let mut first = self.first(registry, host, &request.scopes).await;
        let (mut bare_refused, mut signed_refused) = (false, false);
        let mut refusal: Option<Answer> = None;
        for attempt in before + 1.. {
            if bare_refused {
                // Those who wait know what they waited for, and share a token, or that there is none.
                first = None;
            }
            let authorization = match (host.sign_in.authorization(self, api, &request.scopes).await, refusal.take()) {
                (Ok(authorization), _) => authorization,
                // The registry's own words say more than that there is nothing to sign in with.
                (Err(error), Some(answer)) if answer.status == 403 || error.is_want_of_credentials() => {
                    return Ok(answer);
                }
                (Err(error), _) => return Err(error),
            };
            if attempt > before + 1 && !request.can_be_repeated() {
                // The next try has the token from its beginning.
                let kind = ErrorKind::Protocol("the registry asked for sign-in during the upload".into());
                return Err(Error::transient(request.subject.as_str(), kind));
            }
            let header = authorization.as_ref().map(|authorization| &authorization.header);
            let answer = {
                let _slot = self.slot(host, request).await?;
                if until.is_some_and(|until| until < Instant::now()) {
                    return Err(Error::new(request.subject.as_str(), ErrorKind::Late));
                }
                self.exchange(request, api, &url, header, attempt).await?
            };
            if answer.elsewhere.is_some() {
                return Ok(answer);
            }
            if header.is_some() && answer.status != 401 {
                host.sign_in.accepted();
            }
            let seen = if header.is_some() { &mut signed_refused } else { &mut bare_refused };
            let mut challenge = challenge_of(&answer.headers);
            // Some registries that anyone may read answer 403 to a write without credentials, and some to a token that is
            // good for too little (RFC 6750, section 3.1).
            let is_insufficient = matches!(challenge, Some(Challenge::Bearer { is_insufficient: true, .. }));
            let refused = answer.status == 401 || (answer.status == 403 && (header.is_none() || is_insufficient));
            if !refused || std::mem::replace(seen, true) {
                return Ok(answer);
            }
            if challenge.is_none() && header.is_none() {
                challenge = self.ping(host, api).await.ok().flatten();
            }
            if host.sign_in.challenged(challenge, header, &request.scopes).await {
                if first.is_some() && answer.version == reqwest::Version::HTTP_11 {
                    // Each of those who wait will want a connection.
                    let waiting = host.waiting.load(Ordering::Relaxed);
                    self.connections().open_ahead(api, waiting.min(self.concurrency() - 1));
                }
                refusal = Some(answer);
            } else if authorization.as_ref().is_some_and(|authorization| authorization.proving.is_some()) {
                // Before those who wait for it try the same.
                return Err(self.refused(registry, request, &answer).await);
            } else {
                return Ok(answer);
            }
        }
        drop(first);
        Err(request.protocol("the registry does not settle on how to sign in".into()))
    }

    /// The error that an answer is, in the words of credentials where it is about those.
    pub(crate) async fn refused(&self, registry: &str, request: &Request, answer: &Answer) -> Error {
        if !matches!(answer.status, 401 | 403) || answer.elsewhere.is_some() {
            return answer.error(&request.subject);
        }
        let host = self.host(registry);
        let is_insufficient =
            matches!(challenge_of(&answer.headers), Some(Challenge::Bearer { is_insufficient: true, .. }));
        let refusal = answer.refusal();
        host.sign_in.explain(self, &request.subject, &request.scopes, refusal, is_insufficient).await
    }

    /// Asks `GET /v2/`, once for a registry, for the challenge that another answer lacked.
    pub(crate) async fn ping(&self, host: &Host, api: &Url) -> Result<Option<Challenge>, Error> {
        let ask = async || {
            let request = Request::ping(api);
            let url = pointed_to(api, api, &request.target).map_err(|reason| request.protocol(reason))?;
            let answer = self.exchange(&request, api, &url, None, 1).await?;
            // Whatever the status: a registry that anyone may read may answer 200 and still name its token service.
            Ok(challenge_of(&answer.headers).filter(|_| answer.elsewhere.is_none()))
        };
        host.ping.get_or_try_init(ask).await.cloned()
    }
}

impl Request {
    pub(crate) fn new(method: Method, target: String, scopes: Scopes, subject: String) -> Self {
        let (limit, expected) = (MAX_TALK, Expected::default());
        Self {
            method,
            target,
            accept: None,
            content: None,
            scopes,
            limit,
            expected,
            streamed: false,
            refers_to_new: false,
            at_once: false,
            unsigned: false,
            subject,
        }
    }

    /// For `GET /v2/`, which every registry has (distribution-spec, "Determining Support").
    pub(crate) fn ping(api: &Url) -> Self {
        Self::new(Method::GET, "v2/".into(), Scopes::default(), format!("{api}v2/"))
    }

    /// Whether it can be sent again as it is: the stream of a blob cannot.
    pub(crate) fn can_be_repeated(&self) -> bool {
        !matches!(self.content, Some(Content::Stream(..)))
    }

    pub(crate) fn is_read(&self) -> bool {
        self.method == Method::GET || self.method == Method::HEAD
    }

    /// Method and path, for messages: upload sessions keep secrets in their queries.
    pub(crate) fn name(&self) -> String {
        let path = self.target.split('?').next().unwrap_or_default();
        let path = path.split_once("://").map_or(path, |(_, rest)| rest.find('/').map_or("", |at| rest.split_at(at).1));
        one_line(&format!("{} /{}", self.method, path.trim_start_matches('/')))
    }

    pub(crate) fn stopped(&self, reason: StopReason) -> Error {
        Error::new(self.subject.as_str(), ErrorKind::Stopped(reason))
    }

    /// The error of a request that was not sent because another part of the job had failed.
    pub(crate) fn not_needed(&self) -> Error {
        Error::new(self.subject.as_str(), ErrorKind::NotNeeded).given_up(0)
    }

    pub(crate) fn protocol(&self, reason: String) -> Error {
        Error::protocol(&self.subject, reason)
    }

    pub(crate) fn transport(&self, reason: String, transient: bool, unsent: bool) -> Error {
        let kind = ErrorKind::Transport { request: self.name(), reason: reason.into(), unsent };
        if transient { Error::transient(self.subject.as_str(), kind) } else { Error::new(self.subject.as_str(), kind) }
    }
}

/// What the headers of an answer say of signing in.
pub(crate) fn challenge_of(headers: &HeaderMap) -> Option<Challenge> {
    let values = headers.get_all(WWW_AUTHENTICATE);
    let values: Vec<_> = values.iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    parse_challenges(values.iter().map(AsRef::as_ref))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_requests() {
        for (target, name) in [
            ("v2/a/manifests/v1", "PUT /v2/a/manifests/v1"),
            ("/v2/a/blobs/uploads/1?_state=secret", "PUT /v2/a/blobs/uploads/1"),
            ("https://u:p@r.io/v2/a/blobs/uploads/1?_state=secret&x=http://y/z", "PUT /v2/a/blobs/uploads/1"),
            ("https://r.io", "PUT /"),
        ] {
            let request = Request::new(Method::PUT, target.into(), Scopes::default(), String::new());
            assert_eq!(request.name(), name);
        }
    }
}
