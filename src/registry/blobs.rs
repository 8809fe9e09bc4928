use std::sync::Mutex;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::{BoxFuture, join};
use reqwest::Method;
use url::Url;

use super::answer::{Answer, Expected};
use super::client::Client;
use super::error::{Error, ErrorKind};
use super::exchange::location;
use super::manifests::manifest_request;
use super::send::{Content, Request};
use super::sign_in::scopes::Scopes;
use super::stream::{BlobSource, BlobStream, Ended, verified};
use crate::image::{Descriptor, Digest, MAX_CONFIG, Reference};

impl Client {
    /// Fetches an image's config and verifies digest and size (distribution-spec, "Pulling blobs").
    ///
    /// Errors: the registry's answer, other bytes than the descriptor names, or more than 8 MiB.
    pub async fn fetch_config(
        &self,
        repository: &Reference,
        config: &Descriptor,
        push_to: Option<&Reference>,
    ) -> Result<Bytes, Error> {
        self.fetch(repository, config, MAX_CONFIG, Scopes::to_read(repository, push_to)).await
    }

    /// Fetches a blob, such as an SBOM or the statement of an attestation, and verifies digest and size.
    ///
    /// Errors: the registry's answer, other bytes than the descriptor names, or more than `limit` of them.
    pub async fn fetch_blob(&self, repository: &Reference, blob: &Descriptor, limit: u64) -> Result<Bytes, Error> {
        self.fetch(repository, blob, limit, Scopes::to_read(repository, None)).await
    }

    async fn fetch(
        &self,
        repository: &Reference,
        blob: &Descriptor,
        limit: u64,
        scopes: Scopes,
    ) -> Result<Bytes, Error> {
        let mut request = blob_request(Method::GET, repository, blob, scopes);
        if blob.size > limit {
            return Err(Error::new(request.subject, ErrorKind::TooLarge { limit }));
        }
        request.limit = limit;
        request.expected = Expected {
            digest: Some(blob.digest.clone()),
            named_by: "descriptor",
            size: Some(blob.size),
            as_header_says: false,
        };
        Ok(self.send_ok(repository.registry(), &request).await?.body)
    }

    /// Asks whether a repository has a blob (distribution-spec, "Checking if content exists in the registry"). Where
    /// the registry does not say, it has not.
    pub async fn has_blob(&self, repository: &Reference, blob: &Descriptor) -> Result<bool, Error> {
        let request = blob_request(Method::HEAD, repository, blob, Scopes::push(repository.repository()));
        let answer = self.send(repository.registry(), &request).await?;
        Ok(answer.status == 200)
    }

    /// Looks for a blob to read it: a HEAD, and a GET whose body is left where the answer to that does not tell.
    ///
    /// Errors: the registry's answer, [`Error::is_missing_content`] for one that is not there.
    pub(crate) async fn find_blob(&self, repository: &Reference, blob: &Descriptor) -> Result<FoundBlob, Error> {
        let request = blob_request(Method::HEAD, repository, blob, Scopes::pull(repository.repository()));
        self.find(repository, request, blob.size).await
    }

    /// Looks likewise for a manifest, of whatever type.
    pub(crate) async fn find_manifest(
        &self,
        repository: &Reference,
        manifest: &Descriptor,
    ) -> Result<FoundBlob, Error> {
        let (at, scopes) = (repository.with_digest(manifest.digest.clone()), Scopes::pull(repository.repository()));
        self.find(repository, manifest_request(Method::HEAD, &at, scopes), manifest.size).await
    }

    async fn find(&self, repository: &Reference, request: Request, size: u64) -> Result<FoundBlob, Error> {
        let length = |answer: &Answer| answer.header("content-length").and_then(|length| length.trim().parse().ok());
        let mut answer = self.send(repository.registry(), &request).await?;
        if matches!(answer.status, 408 | 429 | 500..) {
            return Err(self.refused(repository.registry(), &request, &answer).await);
        }
        // Not every server has the length of what it does not send.
        if answer.status != 200 || length(&answer).is_some_and(|length: u64| length != size) {
            let request = Request { method: Method::GET, streamed: true, ..request };
            answer = self.send_ok(repository.registry(), &request).await?;
        }
        Ok(FoundBlob { size: length(&answer) })
    }

    /// Mounts a blob of another repository of the same registry (distribution-spec, "Mounting a blob from another
    /// repository"). Registries refuse that in many ways where they would take the blob itself: then there is the
    /// session that was opened in its place, if one was.
    ///
    /// Errors: the registry's trouble.
    pub(crate) async fn mount_blob(
        &self,
        from: &Reference,
        to: &Reference,
        blob: &Descriptor,
    ) -> Result<Mounting, Error> {
        let both = Scopes::push(to.repository()).and(from.repository(), &["pull"]);
        let mount = format!("?mount={}&from={}", blob.digest, from.repository());
        let request = upload_request(to, &mount, both, blob_name(to, blob));
        let answer = self.send(to.registry(), &request).await?;
        match answer.status {
            201 => Ok(Mounting::Mounted),
            202 => {
                let api = self.api(to.registry(), &self.host(to.registry())).await?;
                // A session that may not be followed is neither used nor cancelled: another is opened.
                Ok(Mounting::Refused(location(&api, &answer).ok().flatten().map(Session)))
            }
            400 | 401 | 403 | 404 | 405 => Ok(Mounting::Refused(None)),
            _ => Err(answer.error(&request.subject)),
        }
    }

    /// Ends an upload session that nothing will come into; a registry ends it some day as well.
    async fn cancel(&self, to: &Reference, session: &Url) {
        let scopes = Scopes::push(to.repository());
        let request = Request::new(Method::DELETE, session.to_string(), scopes, to.to_string());
        let _ = self.stop().or_soon(self.send_signed(to.registry(), &request, 0)).await;
    }

    /// Pushes a small blob that is at hand, such as a config, and gives its descriptor with the media type asked for.
    pub async fn push_blob(&self, to: &Reference, media_type: &str, bytes: Bytes) -> Result<Descriptor, Error> {
        struct AtHand(Bytes);
        impl BlobSource for AtHand {
            fn open(&self) -> BoxFuture<'_, Result<BlobStream, Error>> {
                let bytes = self.0.clone();
                Box::pin(async { Ok(futures_util::stream::iter([Ok(bytes)]).boxed()) })
            }
        }
        let digest = Digest::sha256(&bytes);
        let descriptor = Descriptor { size: bytes.len() as u64, ..Descriptor::new(media_type, digest) };
        self.send_blob(to, &descriptor, &AtHand(bytes), None).await?;
        Ok(descriptor)
    }

    /// Sends a blob (distribution-spec, "Pushing a blob monolithically"): into the session that is open, and at each
    /// further try from its beginning into a new one, as nobody knows what became of the last. It is compared with its
    /// descriptor on the way.
    pub(crate) async fn send_blob(
        &self,
        to: &Reference,
        blob: &Descriptor,
        source: &dyn BlobSource,
        session: Option<Session>,
    ) -> Result<(), Error> {
        let (registry, scopes) = (to.registry(), Scopes::push(to.repository()));
        let open = upload_request(to, "", scopes.clone(), blob_name(to, blob));
        let subject = &open.subject;
        let mut session = session.map(|Session(url)| url);
        let mut tries = self.tries(registry, &open).await?;
        let answer = loop {
            let failed = tries.failed();
            let sending = async {
                // Side by side: each is a round trip.
                let (session, opened) =
                    join(self.session(registry, &open, session.take(), failed), source.open()).await;
                let (session, stream) = match (session?, opened) {
                    (Err(refused), _) => return Ok(refused),
                    (Ok(session), Ok(stream)) => (session, stream),
                    (Ok(session), Err(error)) => {
                        self.cancel(to, &session).await;
                        return Err(error);
                    }
                };
                let ended = Ended::default();
                let stream = ended.watch(verified(stream, subject.clone(), blob, source.is_lasting()));
                let target = closing_url(session, &blob.digest).into();
                let content = Some(Content::Stream(blob.size, Mutex::new(Some(stream))));
                let put = Request { content, ..Request::new(Method::PUT, target, scopes.clone(), subject.clone()) };
                let answer = self.send_signed(registry, &put, failed).await;
                let answer = answer.map_err(|error| ended.error().unwrap_or(error))?;
                // The session was forgotten, or its content got mixed up: another may do.
                let of_session = ["BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID", "DIGEST_INVALID", "SIZE_INVALID"];
                if answer.status == 416 || answer.refusal().says(&of_session) {
                    let kind = ErrorKind::Answer(answer.refusal().into());
                    return Err(Error::transient(subject.as_str(), kind));
                }
                Ok(answer)
            };
            if let Some(outcome) = tries.outcome_of(sending).await {
                break outcome?;
            }
        };
        if is_done(&answer) { Ok(()) } else { Err(self.refused(registry, &open, &answer).await) }
    }

    /// The session that is open, or one that `open` opens; or the answer that refuses it.
    async fn session(
        &self,
        registry: &str,
        open: &Request,
        session: Option<Url>,
        failed: u32,
    ) -> Result<Result<Url, Answer>, Error> {
        if let Some(session) = session {
            return Ok(Ok(session));
        }
        let answer = self.send_signed(registry, open, failed).await?;
        if !is_done(&answer) {
            return Ok(Err(answer));
        }
        let api = self.api(registry, &self.host(registry)).await?;
        let session = location(&api, &answer).map_err(|reason| open.protocol(reason))?;
        session.map(Ok).ok_or_else(|| open.protocol("the upload session has no Location".into()))
    }
}

/// A blob, or manifest, that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FoundBlob {
    /// Its length in bytes, where that is known without reading it.
    pub size: Option<u64>,
}

/// What messages call a blob.
fn blob_name(repository: &Reference, blob: &Descriptor) -> String {
    format!("blob {}", repository.with_digest(blob.digest.clone()))
}

pub(super) fn blob_request(method: Method, repository: &Reference, blob: &Descriptor, scopes: Scopes) -> Request {
    let target = format!("v2/{}/blobs/{}", repository.repository(), blob.digest);
    Request::new(method, target, scopes, blob_name(repository, blob))
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

/// A redirect that is not followed, to a page for signing in, is no success.
fn is_done(answer: &Answer) -> bool {
    matches!(answer.status, 200..=299)
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
