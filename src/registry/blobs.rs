use bytes::Bytes;
use reqwest::Method;

use super::answer::{Answer, Expected, MAX_CONFIG};
use super::client::Client;
use super::error::{Error, ErrorKind};
use super::send::Request;
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
        let expected = Expected {
            digest: Some(blob.digest.clone()),
            named_by: "descriptor",
            size: Some(blob.size),
            as_header_says: false,
        };
        let request = Request { limit, expected, ..Request::new(Method::GET, target, scopes, subject) };
        Ok(self.send_ok(repository.registry(), &request).await?.body)
    }

    /// Puts a blob of one repository into another of the same registry: mounted where the registry does that
    /// (distribution-spec, "Mounting a blob from another repository"), else sent. Tells whether it was mounted.
    pub async fn place_blob(&self, from: &Reference, to: &Reference, blob: &Descriptor) -> Result<bool, Error> {
        let subject = format!("blob {}", to.with_digest(blob.digest.clone()));
        let both = Scopes::push(to.repository()).and(from.repository(), &["pull"]);
        let target = format!("v2/{}/blobs/uploads/?mount={}&from={}", to.repository(), blob.digest, from.repository());
        let request = Request::new(Method::POST, target, both, subject.clone());
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
        let bytes = match (self.fetch_blob(from, blob, pull, limit, subject.clone()).await, session.as_deref()) {
            (Ok(bytes), _) => bytes,
            (Err(error), None) => return Err(error),
            (Err(error), Some(session)) => {
                self.cancel(to, session).await;
                return Err(error);
            }
        };
        self.send_blob(to, &blob.digest, bytes, session, subject).await.map(|()| false)
    }

    /// Ends an upload session that nothing will come into; a registry ends it some day as well.
    async fn cancel(&self, to: &Reference, session: &str) {
        let scopes = Scopes::push(to.repository());
        let request = Request::new(Method::DELETE, session.to_owned(), scopes, to.to_string());
        let _ = self.send_signed(to.registry(), &request, 0).await;
    }

    /// Pushes a small blob that is at hand, such as a config (distribution-spec, "Pushing a blob monolithically"),
    /// and gives its descriptor with the media type asked for.
    pub async fn push_blob(&self, to: &Reference, media_type: &str, bytes: Bytes) -> Result<Descriptor, Error> {
        let digest = Digest::sha256(&bytes);
        let subject = format!("blob {}", to.with_digest(digest.clone()));
        let size = bytes.len() as u64;
        self.send_blob(to, &digest, bytes, None, subject).await?;
        Ok(Descriptor { size, ..Descriptor::new(media_type, digest) })
    }

    /// Sends a blob into an upload session: the one that is open, and at each further try a new one, as nobody knows
    /// what became of the last.
    async fn send_blob(
        &self,
        to: &Reference,
        digest: &Digest,
        bytes: Bytes,
        mut session: Option<String>,
        subject: String,
    ) -> Result<(), Error> {
        let (registry, scopes) = (to.registry(), Scopes::push(to.repository()));
        let open = {
            let target = format!("v2/{}/blobs/uploads/", to.repository());
            Request::new(Method::POST, target, scopes.clone(), subject.clone())
        };
        let mut tries = self.tries(registry, &open).await?;
        let answer = loop {
            let failed = tries.failed();
            let sending = async {
                let session = match session.take() {
                    Some(session) => session,
                    None => {
                        let answer = self.send_signed(registry, &open, failed).await?;
                        if answer.status >= 400 {
                            return Ok(answer);
                        }
                        let missing = || open.protocol("the upload session has no Location".into());
                        location(&answer).ok_or_else(missing)?
                    }
                };
                let joint = if session.contains('?') { '&' } else { '?' };
                let target = format!("{session}{joint}digest={digest}");
                let content = Some(("application/octet-stream".into(), bytes.clone()));
                let put = Request { content, ..Request::new(Method::PUT, target, scopes.clone(), subject.clone()) };
                self.send_signed(registry, &put, failed).await
            };
            if let Some(outcome) = tries.outcome_of(sending).await {
                break outcome?;
            }
        };
        if answer.status >= 400 { Err(self.refused(registry, &open, &answer).await) } else { Ok(()) }
    }
}

fn location(answer: &Answer) -> Option<String> {
    answer.header("location").map(str::to_owned)
}
