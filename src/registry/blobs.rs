use bytes::Bytes;
use reqwest::Method;

use super::answer::{Answer, MAX_CONFIG, MAX_TALK};
use super::client::{Client, Request};
use super::error::{Error, ErrorKind};
use super::sign_in::scopes::Scopes;
use crate::image::{Descriptor, Digest, Reference};

impl Client {
    /// Fetches an image's config (or any small blob) and verifies digest and size (distribution-spec, "Pulling blobs").
    ///
    /// Errors: the registry's answer, other bytes than the descriptor names, or more than 8 MiB.
    pub async fn fetch_config(
        &self,
        repository: &Reference,
        config: &Descriptor,
        push_to: Option<&Reference>,
    ) -> Result<Bytes, Error> {
        let subject = format!("config {}", repository.with_digest(config.digest.clone()));
        if config.size > MAX_CONFIG as u64 {
            return Err(Error::new(subject, ErrorKind::TooLarge { limit: MAX_CONFIG }));
        }
        let scopes = match push_to {
            Some(target) if target.same_repository(repository) => Scopes::push(repository.repository()),
            _ => Scopes::pull(repository.repository()),
        };
        self.fetch_blob(repository, config, scopes, MAX_CONFIG, subject).await
    }

    async fn fetch_blob(
        &self,
        repository: &Reference,
        blob: &Descriptor,
        scopes: Scopes,
        limit: usize,
        subject: String,
    ) -> Result<Bytes, Error> {
        let target = format!("v2/{}/blobs/{}", repository.repository(), blob.digest);
        let request = Request { method: Method::GET, target, accept: None, content: None, scopes, limit, subject };
        let bytes = self.send_ok(repository.registry(), &request).await?.body;
        if bytes.len() as u64 != blob.size {
            let kind = ErrorKind::Size { expected: blob.size, actual: bytes.len() as u64 };
            return Err(Error::new(request.subject, kind));
        }
        if !blob.digest.matches(&bytes) {
            let (expected, actual) = (blob.digest.clone(), Digest::sha256(&bytes));
            return Err(Error::new(request.subject, ErrorKind::Digest { expected, actual, named_by: "descriptor" }));
        }
        Ok(bytes)
    }

    /// Puts a blob of one repository into another of the same registry: mounted where the registry does that
    /// (distribution-spec, "Mounting a blob from another repository"), else sent. Tells whether it was mounted.
    pub async fn place_blob(&self, from: &Reference, to: &Reference, blob: &Descriptor) -> Result<bool, Error> {
        let subject = format!("blob {}", to.with_digest(blob.digest.clone()));
        let both = Scopes::push(to.repository()).and(from.repository(), &["pull"]);
        let request = Request {
            method: Method::POST,
            target: format!("v2/{}/blobs/uploads/?mount={}&from={}", to.repository(), blob.digest, from.repository()),
            accept: None,
            content: None,
            scopes: both,
            limit: MAX_TALK,
            subject: subject.clone(),
        };
        let answer = self.send(to.registry(), &request).await?;
        let session = match answer.status {
            201 => return Ok(true),
            // Not mounted, and a session for an upload is open (distribution-spec).
            202 => location(&answer),
            // Registries refuse a mount in all these ways where they would take the blob itself.
            400 | 401 | 403 | 404 | 405 => None,
            _ => return Err(answer.error(&subject)),
        };
        let limit = usize::try_from(blob.size).unwrap_or(usize::MAX);
        let pull = Scopes::pull(from.repository());
        let bytes = self.fetch_blob(from, blob, pull, limit, subject.clone()).await?;
        let session = match session {
            Some(session) => session,
            None => self.open_session(to, &subject).await?,
        };
        self.send_blob(to, &blob.digest, bytes, &session, subject).await.map(|()| false)
    }

    /// Pushes a small blob that is at hand, such as a config (distribution-spec, "Pushing a blob monolithically"),
    /// and gives its descriptor with the media type asked for.
    pub async fn push_blob(&self, to: &Reference, media_type: &str, bytes: Bytes) -> Result<Descriptor, Error> {
        let digest = Digest::sha256(&bytes);
        let subject = format!("blob {}", to.with_digest(digest.clone()));
        let size = bytes.len() as u64;
        let session = self.open_session(to, &subject).await?;
        self.send_blob(to, &digest, bytes, &session, subject).await?;
        Ok(Descriptor { size, ..Descriptor::new(media_type, digest) })
    }

    async fn open_session(&self, to: &Reference, subject: &str) -> Result<String, Error> {
        let request = Request {
            method: Method::POST,
            target: format!("v2/{}/blobs/uploads/", to.repository()),
            accept: None,
            content: None,
            scopes: Scopes::push(to.repository()),
            limit: MAX_TALK,
            subject: subject.to_owned(),
        };
        let answer = self.send_ok(to.registry(), &request).await?;
        location(&answer).ok_or_else(|| request.protocol("the upload session has no Location".into()))
    }

    async fn send_blob(
        &self,
        to: &Reference,
        digest: &Digest,
        bytes: Bytes,
        session: &str,
        subject: String,
    ) -> Result<(), Error> {
        let joint = if session.contains('?') { '&' } else { '?' };
        let request = Request {
            method: Method::PUT,
            target: format!("{session}{joint}digest={digest}"),
            accept: None,
            content: Some(("application/octet-stream".into(), bytes)),
            scopes: Scopes::push(to.repository()),
            limit: MAX_TALK,
            subject,
        };
        self.send_ok(to.registry(), &request).await.map(|_| ())
    }
}

fn location(answer: &Answer) -> Option<String> {
    answer.header("location").map(str::to_owned)
}
