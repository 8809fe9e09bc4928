//! Mounts blobs from another repository, and uploads blobs.

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

/// How long the body is held back to wait for an early response, when an upload whose connection broke is sent again.
const EARLY_RESPONSE_WAIT: Duration = Duration::from_millis(300);

impl Client {
    /// Mounts a blob from another repository of the same registry (distribution-spec, "Mounting a blob from another
    /// repository"). A registry may refuse a mount with any status, even a permanent 5xx, and still accept an upload:
    /// the result then contains the upload session that it opened instead, if any. After a mount that failed despite
    /// retries, no further mounts are tried at that registry.
    ///
    /// # Errors
    ///
    /// Fails if the credentials are refused, or if the registry still responds with 429 after all retries, because an
    /// upload would only send more requests.
    pub(crate) async fn mount_blob(
        &self,
        from: &Reference,
        to: &Reference,
        blob: &Descriptor,
    ) -> Result<MountOutcome, Error> {
        if self.mounts_fail(to.registry()) {
            return Ok(MountOutcome::Refused(None));
        }
        let scopes = Scopes::push(to.repository()).and(from.repository(), &["pull"]);
        let mount = format!("?mount={}&from={}", blob.digest, from.repository());
        let request = upload_request(to, &mount, scopes, blob_name(to, blob));
        let response = match self.send(to.registry(), &request).await {
            // Without a usable response to the mount, an upload may still succeed.
            Err(error) if error.is_given_up() => return Err(error),
            Err(Error { kind: ErrorKind::Transport { reason, .. }, .. }) => {
                self.record_mount_failure(to.registry(), &reason);
                return Ok(MountOutcome::Refused(None));
            }
            Err(Error { kind: ErrorKind::Protocol(_), .. }) => return Ok(MountOutcome::Refused(None)),
            response => response?,
        };
        match response.status {
            201 => Ok(MountOutcome::Mounted),
            202 => {
                let api = self.api(&self.host(to.registry())).await?;
                // A session with a location that must not be followed is ignored, and the upload opens another.
                Ok(MountOutcome::Refused(location(&api, &response).ok().flatten().map(UploadSession)))
            }
            429 => Err(response.error(request.subject())),
            500.. => {
                self.record_mount_failure(to.registry(), &format!("HTTP {}", response.status));
                Ok(MountOutcome::Refused(None))
            }
            _ => Ok(MountOutcome::Refused(None)),
        }
    }

    /// Pushes a small blob from memory, such as a config, and returns its descriptor with this media type.
    ///
    /// # Errors
    ///
    /// Fails if the registry does not accept the blob.
    pub async fn push_blob(&self, to: &Reference, media_type: &str, bytes: Bytes) -> Result<Descriptor, Error> {
        let digest = Digest::sha256(&bytes);
        let descriptor = Descriptor { size: bytes.len() as u64, ..Descriptor::new(media_type, digest) };
        let stream = || -> BlobStream { futures_util::stream::iter([Ok(bytes.clone())]).boxed() };
        let open = || -> BoxFuture<'_, _> { Box::pin(async { Ok(stream()) }) };
        self.send_blob(to, &descriptor, &open, None).await?;
        Ok(descriptor)
    }

    /// Uploads a blob (distribution-spec, "Pushing a blob monolithically") into the open session, if any. Each retry
    /// starts over in a new session, because the state of the last one is unknown; see [`Upload::put`] for the one
    /// exception. `open` opens the blob for each attempt, and verifies the bytes against the descriptor.
    pub(crate) async fn send_blob(
        &self,
        to: &Reference,
        blob: &Descriptor,
        open: OpenBlob<'_>,
        session: Option<UploadSession>,
    ) -> Result<(), Error> {
        let registry = to.registry();
        let post = upload_request(to, "", Scopes::push(to.repository()), blob_name(to, blob));
        let upload = Upload { client: self, to, blob, open, post: &post };
        let mut session = session.map(|UploadSession(url)| url);
        let mut attempts = self.attempts(registry, &post).await?;
        let response = loop {
            let sending = upload.send_once(session.take(), attempts.failed());
            if let Some(outcome) = attempts.outcome_of(sending).await {
                break outcome?;
            }
        };
        if is_success(&response) { Ok(()) } else { Err(self.response_error(registry, &post, &response).await) }
    }
}

/// The upload of one blob into a repository.
struct Upload<'a, 'o> {
    client: &'a Client,
    to: &'a Reference,
    blob: &'a Descriptor,
    open: OpenBlob<'o>,
    /// The request that opens an upload session.
    post: &'a Request,
}

impl Upload<'_, '_> {
    /// Sends the whole blob once, into this session or a new one. Returns responses of any status.
    async fn send_once(&self, session: Option<Url>, failed: u32) -> Result<Response, Error> {
        // Run concurrently, because each takes a round trip.
        let (session, opened) = join(self.session(session, failed), (self.open)()).await;
        let (session, stream) = match (session?, opened) {
            (Err(refused), _) => return Ok(refused),
            (Ok(session), Ok(stream)) => (session, stream),
            (Ok(session), Err(error)) => {
                self.cancel(&session).await;
                return Err(error);
            }
        };
        let stream_end = StreamEnd::default();
        match self.put(&session, stream, &stream_end, failed).await {
            Ok(response) => {
                // Cancel the session that a refusal leaves open, or it would stay until the registry expires it.
                if matches!(response.status, 400..=403 | 405..=407 | 409..=415 | 417..=428) {
                    self.cancel(&session).await;
                }
                self.check_session(response)
            }
            Err(error) => match stream_end.take_error() {
                Some(error) => {
                    self.cancel(&session).await;
                    Err(error)
                }
                None => Err(error),
            },
        }
    }

    /// Sends the blob into a session. A registry or a proxy in front of it may refuse an upload and close the
    /// connection before it has read the body. A client that is still writing may then see the closed connection before
    /// the response. So if the connection breaks before the end of the body, the request is sent once more, with its
    /// body held back for a moment to receive an early response.
    async fn put(
        &self,
        session: &Url,
        stream: BlobStream,
        stream_end: &StreamEnd,
        failed: u32,
    ) -> Result<Response, Error> {
        let url = closing_url(session.clone(), &self.blob.digest);
        let response = self.put_to(url.clone(), stream, stream_end, failed).await;
        match &response {
            Err(error)
                if error.is_response_lost() && !error.is_idle_timeout() && stream_end.is_cut_off(self.blob.size) => {}
            _ => return response,
        }
        let Ok(stream) = (self.open)().await else { return response };
        let delayed = async {
            tokio::time::sleep(EARLY_RESPONSE_WAIT).await;
            stream
        };
        self.put_to(url, delayed.flatten_stream().boxed(), stream_end, failed + 1).await
    }

    /// Sends the blob to a URL. After a redirect, opens the blob again and sends it to the new URL (RFC 9110, sections
    /// 15.4.8 and 15.4.9). From the first redirect to another origin on, requests carry no credentials, even if a later
    /// redirect returns to the registry.
    async fn put_to(
        &self,
        mut url: Url,
        mut stream: BlobStream,
        stream_end: &StreamEnd,
        failed: u32,
    ) -> Result<Response, Error> {
        let (subject, registry) = (self.post.subject(), self.to.registry());
        let api = self.client.api(&self.client.host(registry)).await?;
        let mut is_same_origin = true;
        for _ in 0..=MAX_REDIRECTS {
            is_same_origin &= url.origin() == api.origin();
            let content = Content::Stream(self.blob.size, Mutex::new(Some(stream_end.watch(stream))));
            let request = Request::new(Method::PUT, url.into(), self.post.scopes.clone(), subject.to_owned());
            let request = Request { anonymous: !is_same_origin, ..request.with_content(content) };
            let response = self.client.send_authorized(registry, &request, failed).await?;
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

    /// Returns a transient error if the registry has lost the session or corrupted its content.
    fn check_session(&self, response: Response) -> Result<Response, Error> {
        let session_codes = ["BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID", "DIGEST_INVALID", "SIZE_INVALID"];
        let is_lost = response.status == 404 && !response.error_response().has_code(&["DENIED", "UNAUTHORIZED"]);
        if is_lost || response.status == 416 || response.error_response().has_code(&session_codes) {
            let Error { kind, .. } = response.error(self.post.subject());
            return Err(Error::transient(self.post.subject(), kind));
        }
        Ok(response)
    }

    /// Returns the open session or opens a new one. The inner error is the response that refuses a new session.
    async fn session(&self, session: Option<Url>, failed: u32) -> Result<Result<Url, Response>, Error> {
        if let Some(session) = session {
            return Ok(Ok(session));
        }
        let registry = self.to.registry();
        let response = self.client.send_authorized(registry, self.post, failed).await?;
        if !is_success(&response) {
            return Ok(Err(response));
        }
        let api = self.client.api(&self.client.host(registry)).await?;
        let session = location(&api, &response).map_err(|reason| self.post.protocol(reason))?;
        session.map(Ok).ok_or_else(|| self.post.protocol("the new upload session has no Location header".into()))
    }

    /// Cancels an unused upload session (distribution-spec, "Cancel a blob upload"). Failures are ignored, because
    /// registries expire unused sessions.
    async fn cancel(&self, session: &Url) {
        let scopes = self.post.scopes.clone();
        let request = Request::new(Method::DELETE, session.to_string(), scopes, self.to.to_string());
        let cancelling = self.client.send_authorized(self.to.registry(), &request, 0);
        let _ = self.client.cancel_token().run_until_cancelled_with_grace(cancelling).await;
    }
}

fn upload_request(repository: &Reference, query: &str, scopes: Scopes, subject: String) -> Request {
    let target = format!("v2/{}/blobs/uploads/{query}", repository.repository());
    Request::new(Method::POST, target, scopes, subject)
}

/// The outcome of a mount.
pub(crate) enum MountOutcome {
    /// The repository has the blob.
    Mounted,
    /// The blob must be uploaded, into this session if the registry opened one.
    Refused(Option<UploadSession>),
}

/// An open upload session. Its URL may contain secrets.
pub(crate) struct UploadSession(Url);

/// Whether the status is 2xx. A 3xx is a redirect that is not followed, such as to a sign-in page.
fn is_success(response: &Response) -> bool {
    matches!(response.status, 200..=299)
}

/// Returns the URL of the PUT that sends the whole blob into a session and closes it. The session's own query is kept
/// unchanged.
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
    fn the_closing_url_appends_the_digest_to_the_query_of_the_session() {
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
