//! Putting a blob into a repository: mounted from another one, or sent into an upload session.

use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt as _, join};
use futures_util::stream::StreamExt as _;
use reqwest::Method;
use url::Url;

use super::blobs::blob_name;
use super::stream::{BlobStream, OpenBlob, StreamEnd};
use crate::image::{Descriptor, Digest, Reference};
use crate::registry::auth::scopes::Scopes;
use crate::registry::client::Client;
use crate::registry::client::request::Request;
use crate::registry::error::{Error, ErrorKind};
use crate::registry::transport::redirects::{MAX_REDIRECTS, is_followed, location};
use crate::registry::transport::request::Content;
use crate::registry::transport::response::Response;

/// How long an upload whose connection broke off waits for an early answer when it is sent again.
const EARLY_ANSWER: Duration = Duration::from_millis(300);

impl Client {
    /// Mounts a blob of another repository of the same registry (distribution-spec, "Mounting a blob from another
    /// repository"). A registry may refuse that with any status, even with a 5xx that lasts, and still take the blob
    /// itself: the result then holds the upload session that it opened instead, if it opened one. A registry that failed
    /// once to the end is not asked for further mounts.
    ///
    /// # Errors
    /// Refused credentials, or too many requests to the end, which sending the blob would only add to.
    pub(crate) async fn mount_blob(
        &self,
        from: &Reference,
        to: &Reference,
        blob: &Descriptor,
    ) -> Result<Mounting, Error> {
        if self.fails_at_mounts(to.registry()) {
            return Ok(Mounting::Refused(None));
        }
        let both = Scopes::push(to.repository()).and(from.repository(), &["pull"]);
        let mount = format!("?mount={}&from={}", blob.digest, from.repository());
        let request = upload_request(to, &mount, both, blob_name(to, blob));
        let response = match self.send(to.registry(), &request).await {
            // No answer, or one that leads nowhere: the blob may still be taken.
            Err(error) if error.is_given_up() => return Err(error),
            Err(Error { kind: ErrorKind::Transport { reason, .. }, .. }) => {
                self.failed_at_mount(to.registry(), &reason);
                return Ok(Mounting::Refused(None));
            }
            Err(Error { kind: ErrorKind::Protocol(_), .. }) => return Ok(Mounting::Refused(None)),
            response => response?,
        };
        match response.status {
            201 => Ok(Mounting::Mounted),
            202 => {
                let api = self.api(&self.host(to.registry())).await?;
                // A session that may not be followed is neither used nor cancelled: another is opened.
                Ok(Mounting::Refused(location(&api, &response).ok().flatten().map(Session)))
            }
            429 => Err(response.error(request.subject())),
            500.. => {
                self.failed_at_mount(to.registry(), &format!("HTTP {}", response.status));
                Ok(Mounting::Refused(None))
            }
            _ => Ok(Mounting::Refused(None)),
        }
    }

    /// Pushes a small blob from memory, such as a config, and returns its descriptor with this media type.
    ///
    /// # Errors
    /// The registry's answer.
    pub async fn push_blob(&self, to: &Reference, media_type: &str, bytes: Bytes) -> Result<Descriptor, Error> {
        let digest = Digest::sha256(&bytes);
        let descriptor = Descriptor { size: bytes.len() as u64, ..Descriptor::new(media_type, digest) };
        let stream = || -> BlobStream { futures_util::stream::iter([Ok(bytes.clone())]).boxed() };
        let open = || -> BoxFuture<'_, _> { Box::pin(async { Ok(stream()) }) };
        self.send_blob(to, &descriptor, &open, None).await?;
        Ok(descriptor)
    }

    /// Sends a blob (distribution-spec, "Pushing a blob monolithically"): into the session that is open, and at each
    /// further try from its beginning into a new session, as the state of the last one is unknown; see [`Upload::put`] for
    /// the one exception. `open` opens the blob for each try; it compares the bytes with the descriptor.
    pub(crate) async fn send_blob(
        &self,
        to: &Reference,
        blob: &Descriptor,
        open: OpenBlob<'_>,
        session: Option<Session>,
    ) -> Result<(), Error> {
        let registry = to.registry();
        let post = upload_request(to, "", Scopes::push(to.repository()), blob_name(to, blob));
        let upload = Upload { client: self, to, blob, open, post: &post };
        let mut session = session.map(|Session(url)| url);
        let mut attempts = self.attempts(registry, &post).await?;
        let response = loop {
            let sending = upload.send_once(session.take(), attempts.failed());
            if let Some(outcome) = attempts.outcome_of(sending).await {
                break outcome?;
            }
        };
        if is_done(&response) { Ok(()) } else { Err(self.refused(registry, &post, &response).await) }
    }
}

/// One blob on its way into a repository.
struct Upload<'a, 'o> {
    client: &'a Client,
    to: &'a Reference,
    blob: &'a Descriptor,
    open: OpenBlob<'o>,
    /// Opens a session.
    post: &'a Request,
}

impl Upload<'_, '_> {
    /// Sends the whole blob once, into this session or a new one. Answers of any status come back.
    async fn send_once(&self, session: Option<Url>, failed: u32) -> Result<Response, Error> {
        // Side by side: each is a round trip.
        let (session, opened) = join(self.session(session, failed), (self.open)()).await;
        let (session, stream) = match (session?, opened) {
            (Err(refused), _) => return Ok(refused),
            (Ok(session), Ok(stream)) => (session, stream),
            (Ok(session), Err(error)) => {
                self.cancel(&session).await;
                return Err(error);
            }
        };
        let ended = StreamEnd::default();
        match self.put(&session, stream, &ended, failed).await {
            Ok(response) => {
                // A session that a refusal leaves open would stay until the registry ends it.
                if matches!(response.status, 400..=403 | 405..=407 | 409..=415 | 417..=428) {
                    self.cancel(&session).await;
                }
                self.check_session(response)
            }
            Err(error) => match ended.error() {
                Some(error) => {
                    self.cancel(&session).await;
                    Err(error)
                }
                None => Err(error),
            },
        }
    }

    /// Sends the blob into a session. A registry, or a proxy before it, may refuse an upload before it has read the body,
    /// and close the connection; a client that is writing then may see the closed connection before the answer. Where the
    /// connection breaks off before the end of the body, the request is sent once more, and its body only after a wait:
    /// an early answer is then seen.
    async fn put(&self, session: &Url, stream: BlobStream, ended: &StreamEnd, failed: u32) -> Result<Response, Error> {
        let url = closing_url(session.clone(), &self.blob.digest);
        let response = self.put_to(url.clone(), stream, ended, failed).await;
        match &response {
            Err(error) if error.is_lost_answer() && !error.is_idle_timeout() && ended.is_cut_off(self.blob.size) => {}
            _ => return response,
        }
        let Ok(stream) = (self.open)().await else { return response };
        let delayed = async {
            tokio::time::sleep(EARLY_ANSWER).await;
            stream
        };
        self.put_to(url, delayed.flatten_stream().boxed(), ended, failed + 1).await
    }

    /// Sends the blob to a URL. Where that redirects, the source is opened again and sent to the new URL (RFC 9110,
    /// sections 15.4.8 and 15.4.9). Credentials are left out from the first other origin on, also on the way back.
    async fn put_to(
        &self,
        mut url: Url,
        mut stream: BlobStream,
        ended: &StreamEnd,
        failed: u32,
    ) -> Result<Response, Error> {
        let (subject, registry) = (self.post.subject(), self.to.registry());
        let api = self.client.api(&self.client.host(registry)).await?;
        let mut at_home = true;
        for _ in 0..=MAX_REDIRECTS {
            at_home &= url.origin() == api.origin();
            let content = Content::Stream(self.blob.size, Mutex::new(Some(ended.watch(stream))));
            let request = Request::new(Method::PUT, url.into(), self.post.scopes.clone(), subject.to_owned());
            let request = Request { unsigned: !at_home, ..request.with_content(content) };
            let response = self.client.send_signed(registry, &request, failed).await?;
            if !is_followed(&request.wire.method, response.status) {
                return Ok(response);
            }
            let Some(next) = location(&api, &response).map_err(|reason| request.protocol(reason))? else {
                return Ok(response);
            };
            (url, stream) = (next, (self.open)().await?);
        }
        Err(self.post.protocol(format!("more than {MAX_REDIRECTS} redirects")))
    }

    /// An error after which another try may help, if the registry has lost the session or mixed up its content.
    fn check_session(&self, response: Response) -> Result<Response, Error> {
        let of_session = ["BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID", "DIGEST_INVALID", "SIZE_INVALID"];
        let is_lost = response.status == 404 && !response.error_response().says(&["DENIED", "UNAUTHORIZED"]);
        if is_lost || response.status == 416 || response.error_response().says(&of_session) {
            let Error { kind, .. } = response.error(self.post.subject());
            return Err(Error::transient(self.post.subject(), kind));
        }
        Ok(response)
    }

    /// The session that is open, or a new one; or the answer that refuses it.
    async fn session(&self, session: Option<Url>, failed: u32) -> Result<Result<Url, Response>, Error> {
        if let Some(session) = session {
            return Ok(Ok(session));
        }
        let registry = self.to.registry();
        let response = self.client.send_signed(registry, self.post, failed).await?;
        if !is_done(&response) {
            return Ok(Err(response));
        }
        let api = self.client.api(&self.client.host(registry)).await?;
        let session = location(&api, &response).map_err(|reason| self.post.protocol(reason))?;
        session.map(Ok).ok_or_else(|| self.post.protocol("the upload session has no Location".into()))
    }

    /// Cancels an upload session that is not used (distribution-spec, "Cancel a blob upload"). A failure is ignored: the
    /// registry ends unused sessions by itself as well.
    async fn cancel(&self, session: &Url) {
        let scopes = self.post.scopes.clone();
        let request = Request::new(Method::DELETE, session.to_string(), scopes, self.to.to_string());
        let cancelling = self.client.send_signed(self.to.registry(), &request, 0);
        let _ = self.client.cancel_token().run_until_cancelled_with_grace(cancelling).await;
    }
}

fn upload_request(repository: &Reference, query: &str, scopes: Scopes, subject: String) -> Request {
    let target = format!("v2/{}/blobs/uploads/{query}", repository.repository());
    Request::new(Method::POST, target, scopes, subject)
}

/// What came of an attempt to mount.
pub(crate) enum Mounting {
    /// The blob is there.
    Mounted,
    /// It has to be sent, into this session if there is one.
    Refused(Option<Session>),
}

/// An upload session that is open. Its URL may hold secrets.
pub(crate) struct Session(Url);

/// Whether an answer says that the request was carried out. A redirect to a page for signing in, which is not followed,
/// does not.
fn is_done(response: &Response) -> bool {
    matches!(response.status, 200..=299)
}

/// The URL of the PUT that sends a whole blob into a session and closes it. What the session's own query holds is kept as
/// it is.
fn closing_url(mut session: Url, digest: &Digest) -> Url {
    let query = session.query().filter(|query| !query.is_empty());
    let query = query.map_or_else(|| format!("digest={digest}"), |query| format!("{query}&digest={digest}"));
    session.set_query(Some(&query));
    session
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_follows_the_query_of_a_session() {
        let digest = Digest::sha256(b"x");
        for (session, start) in [
            ("https://r.io/u/1", "https://r.io/u/1?"),
            ("https://r.io/u/1?", "https://r.io/u/1?"),
            ("https://r.io/u/1?_state=a%2Fb==&x", "https://r.io/u/1?_state=a%2Fb==&x&"),
        ] {
            let url = closing_url(session.parse().unwrap(), &digest);
            assert_eq!(url.as_str(), format!("{start}digest={digest}"));
        }
    }
}
