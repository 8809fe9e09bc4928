//! Pushes manifests, and determines whether a push took effect.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use reqwest::Method;

use super::manifests::{comparable_digest, get_request, head_request, manifest_request};
use crate::event::Event;
use crate::image::{Descriptor, Digest, Reference};
use crate::registry::auth::scopes::Scopes;
use crate::registry::client::Client;
use crate::registry::client::request::Request;
use crate::registry::error::{Error, ErrorKind};
use crate::registry::transport::request::Content;
use crate::registry::transport::response::{Expected, Response};

/// Maximum time between reading the tag and sending the conditional write. If it passes, the tag is read again.
const MAX_PRECONDITION_AGE: Duration = Duration::from_millis(300);
/// Maximum number of times that the tag is read again because too much time passed.
const MAX_PRECONDITION_CHECKS: u32 = 20;

/// Checks the current digest of a tag, `None` if the tag does not exist, immediately before the write. An error ends
/// the push.
pub(crate) type Precondition<'a> = &'a (dyn Fn(Option<&Digest>) -> Result<(), Error> + Sync);

/// A tag that a push may move only if it meets a precondition.
#[derive(Clone, Copy)]
pub(crate) struct Guard<'a> {
    pub(crate) tag: &'a Reference,
    pub(crate) precondition: Precondition<'a>,
}

impl Client {
    /// Writes a manifest under `reference`'s tag or digest (distribution-spec, "Pushing Manifests").
    ///
    /// A status of 200, 201, 202 or 204 is success if the registry then has the digest: the response names it, or a
    /// HEAD request confirms it. If the response names another digest, the manifest is read back: if its bytes are
    /// equal, the header is wrong, which is a warning; otherwise the push fails. If the write of a tag is refused or
    /// its response is lost, the tag is read: if it already points at the manifest, as immutable tags may, the push
    /// succeeds. If the registry does not know content that the manifest references, the request is retried, because
    /// recent writes may not be visible on every node yet.
    ///
    /// # Errors
    ///
    /// Fails if the registry sends an error response, with [`ErrorKind::Immutable`] for an immutable tag. Fails with
    /// [`ErrorKind::OutcomeUnknown`] if the response to an attempt was lost, so that the manifest may have been written
    /// or may be written later. After any other error, this push has not moved the tag.
    pub async fn push_manifest(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
        bytes: &Bytes,
    ) -> Result<(), Error> {
        self.push_manifest_if(reference, descriptor, bytes, None).await
    }

    /// Pushes a manifest like [`Self::push_manifest`] if the tag meets a precondition. The tag is read before each
    /// attempt, but another writer can still move it between the read and the write, which takes a round trip.
    ///
    /// # Errors
    ///
    /// Fails if the push fails, or with the error of the precondition: as [`ErrorKind::OutcomeUnknown`] if an earlier
    /// attempt, whose response was lost, may have written the tag.
    pub(crate) async fn push_manifest_if(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
        bytes: &Bytes,
        precondition: Option<Precondition<'_>>,
    ) -> Result<(), Error> {
        let request = Request {
            refers_to_new: true,
            is_urgent: precondition.is_some(),
            ..manifest_request(Method::PUT, reference, Scopes::push(reference.repository()))
        };
        let request = request.with_content(Content::Bytes(descriptor.media_type.clone().into(), bytes.clone()));
        let push = Push { client: self, reference, request: &request, digest: &descriptor.digest, bytes };
        let guard = precondition.map(|precondition| Guard { tag: reference, precondition });
        match self.send_push(&push, guard.as_slice()).await? {
            PushEnd::Responded(outcome) => push.conclude(*outcome).await,
            PushEnd::AlreadyWritten => Ok(()),
            PushEnd::Unmet { error, may_still_complete: true } => Err(outcome_unknown(error)),
            PushEnd::Unmet { error, .. } => Err(error),
        }
    }

    /// Sends a push until it gets a response, and checks the preconditions before each attempt.
    pub(super) async fn send_push(&self, push: &Push<'_>, guards: &[Guard<'_>]) -> Result<PushEnd, Error> {
        let registry = push.reference.registry();
        let (mut attempts, mut stale) = (self.attempts(registry, push.request).await?, 0);
        loop {
            let mut until = None;
            if !guards.is_empty() {
                let current = join_all(guards.iter().map(|guard| self.exact_digest(guard.tag))).await;
                until = Some(Instant::now() + MAX_PRECONDITION_AGE);
                let may_still_complete = attempts.may_still_complete();
                for (guard, current) in guards.iter().zip(current) {
                    match current {
                        Ok(current) if current.as_ref() == Some(push.digest) => {
                            if attempts.failed() > 0 && guard.tag == push.reference {
                                return Ok(PushEnd::AlreadyWritten);
                            }
                        }
                        Ok(current) => {
                            if let Err(error) = (guard.precondition)(current.as_ref()) {
                                return Ok(PushEnd::Unmet { error, may_still_complete });
                            }
                        }
                        Err(error) => {
                            let outcome = PushOutcome { outcome: Err(error), may_still_complete };
                            return Ok(PushEnd::Responded(Box::new(outcome)));
                        }
                    }
                }
            }
            let sending = self.send_authorized_until(registry, push.request, attempts.failed(), until);
            match attempts.outcome_of(sending).await {
                // Waiting for a token or for the end of a pause took too long.
                Some(Err(Error { kind: ErrorKind::PreconditionStale, .. })) if stale < MAX_PRECONDITION_CHECKS => {
                    stale += 1
                }
                Some(outcome) => {
                    let may_still_complete = attempts.may_still_complete();
                    return Ok(PushEnd::Responded(Box::new(PushOutcome { outcome, may_still_complete })));
                }
                None => {}
            }
        }
    }

    /// Reads a reference until it resolves to `digest`, because a write may take time to reach every node of the
    /// registry. The retry policy sets the number and length of the waits.
    ///
    /// # Errors
    ///
    /// Fails if the reference still resolves to another digest, or does not exist, after all retries.
    pub async fn read_back(&self, reference: &Reference, digest: &Digest) -> Result<(), Error> {
        self.wait_for_digest(reference, digest, ReadBackBy::Header).await
    }

    /// Reads the content of a reference until it has `digest`, and then warns that only the registry's header, which
    /// named another digest, is wrong. The retry policy sets the number and length of the waits.
    ///
    /// # Errors
    ///
    /// Fails if the content still differs, or does not exist, after all retries.
    async fn read_back_content(&self, reference: &Reference, digest: &Digest, named: &Digest) -> Result<(), Error> {
        self.wait_for_digest(reference, digest, ReadBackBy::Content).await?;
        self.emit(|| Event::WrongDigestHeader {
            reference: reference.to_string(),
            named: named.clone(),
            actual: digest.clone(),
        });
        Ok(())
    }

    async fn wait_for_digest(&self, reference: &Reference, digest: &Digest, by: ReadBackBy) -> Result<(), Error> {
        let subject = reference.to_string();
        let mut failed = 0;
        loop {
            let current = match by {
                ReadBackBy::Header if digest.algorithm() == "sha256" => self.current_digest(reference).await?,
                ReadBackBy::Header | ReadBackBy::Content => self.content_digest(reference, digest).await?,
            };
            if current.as_ref() == Some(digest) {
                return Ok(());
            }
            failed += 1;
            let Some(wait) = self.retry().wait(failed, None, 0.0) else {
                let kind = match current {
                    Some(actual) => ErrorKind::Digest { expected: digest.clone(), actual, named_by: "pushed manifest" },
                    None => ErrorKind::Protocol("the registry accepted the manifest but does not have it".into()),
                };
                return Err(Error::new(subject, kind));
            };
            self.emit(|| Event::NotReadBack { reference: subject.clone(), digest: digest.clone(), wait });
            let waited = self.cancel_token().run_until_cancelled(tokio::time::sleep(wait)).await;
            waited.map_err(|reason| Error::new(subject.as_str(), ErrorKind::Stopped(reason)))?;
        }
    }

    /// Returns the digest of a reference's content: `expected` if the bytes match it, otherwise their SHA-256 digest.
    /// Ignores the digest in the header.
    async fn content_digest(&self, reference: &Reference, expected: &Digest) -> Result<Option<Digest>, Error> {
        let get = push_get_request(reference).expecting(Expected::default());
        match self.send_ok(reference.registry(), &get).await {
            Ok(response) if expected.matches(&response.body) => Ok(Some(expected.clone())),
            Ok(response) => Ok(Some(Digest::sha256(&response.body))),
            // A recent write may not be visible on every node yet.
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns the digest that a tag points at, or `None` if the tag does not exist. Only the body of a 404 shows
    /// whether the tag or a permission is missing, so a 404 to a HEAD request, which has no body, is not trusted.
    async fn exact_digest(&self, reference: &Reference) -> Result<Option<Digest>, Error> {
        let head = head_request(reference);
        let response = self.send(reference.registry(), &head).await?;
        if let (200, Some(digest)) = (response.status, comparable_digest(reference, &response)) {
            return Ok(Some(digest));
        }
        let get = push_get_request(reference);
        match self.send_ok(reference.registry(), &get).await {
            Ok(response) => Ok(Some(Digest::sha256(&response.body))),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads once which digest a tag points at, even while the run is stopping. Returns `None` if that remains unknown,
    /// and `Some(None)` if the tag does not exist.
    pub(super) async fn read_tag_once(&self, reference: &Reference) -> Option<Option<Digest>> {
        let reading = async {
            let response = self.send_authorized(reference.registry(), &head_request(reference), 0).await.ok()?;
            match (response.status, comparable_digest(reference, &response)) {
                (200, Some(digest)) => return Some(Some(digest)),
                (404, _) => return Some(None),
                _ => {}
            }
            // The response to HEAD was inconclusive, so hash the manifest itself.
            let response = self.send_authorized(reference.registry(), &push_get_request(reference), 0).await.ok()?;
            match response.status {
                200 => Some(Some(Digest::sha256(&response.body))),
                404 => Some(None),
                _ => None,
            }
        };
        self.cancel_token().run_until_cancelled_with_grace(reading).await.ok()?
    }
}

/// Creates a request for the manifest, with the scopes of the push so that both use one token.
fn push_get_request(reference: &Reference) -> Request {
    get_request(reference, Scopes::push(reference.repository()))
}

/// The push of one manifest, by digest or under a tag.
pub(super) struct Push<'a> {
    pub(super) client: &'a Client,
    pub(super) reference: &'a Reference,
    pub(super) request: &'a Request,
    pub(super) digest: &'a Digest,
    pub(super) bytes: &'a Bytes,
}

/// How the attempts of a push ended.
pub(super) enum PushEnd {
    /// The registry responded, or the last attempt failed.
    Responded(Box<PushOutcome>),
    /// An earlier attempt, whose response was lost, wrote the only tag.
    AlreadyWritten,
    /// A tag does not meet its precondition, so no further attempt was sent.
    Unmet {
        error: Error,
        /// Whether the registry may still carry out an earlier attempt.
        may_still_complete: bool,
    },
}

/// The outcome of all attempts of a push.
pub(super) struct PushOutcome {
    pub(super) outcome: Result<Response, Error>,
    /// Whether the registry may still carry out one of the attempts.
    pub(super) may_still_complete: bool,
}

impl Push<'_> {
    /// Determines whether the manifest was written.
    async fn conclude(&self, PushOutcome { outcome, may_still_complete }: PushOutcome) -> Result<(), Error> {
        let (has_response, is_tag) = (outcome.is_ok(), self.reference.digest().is_none());
        let error = match outcome {
            Ok(response) if matches!(response.status, 200 | 201 | 202 | 204) => {
                let confirmed = self.confirm(&response).await;
                return confirmed.map_err(|error| if is_tag { outcome_unknown(error) } else { error });
            }
            Ok(response) => self.client.response_error(self.reference.registry(), self.request, &response).await,
            Err(error) => error,
        };
        // If no attempt was sent or carried out, the tag did not change.
        if !is_tag || (!may_still_complete && !has_response) {
            return Err(error);
        }
        match self.client.read_tag_once(self.reference).await {
            Some(Some(digest)) if digest == *self.digest => Ok(()),
            // The registry may carry out an earlier attempt after this read.
            _ if may_still_complete => Err(outcome_unknown(error)),
            Some(current) => Err(with_current_digest(error, current, self.digest)),
            None => Err(error),
        }
    }

    /// Checks that the registry has the manifest, after a successful response.
    pub(super) async fn confirm(&self, response: &Response) -> Result<(), Error> {
        match response.digest() {
            Some(named) if named.matches(self.bytes) => Ok(()),
            Some(named) => self.client.read_back_content(self.reference, self.digest, &named).await,
            None => self.client.read_back(self.reference, self.digest).await,
        }
    }
}

pub(super) fn outcome_unknown(error: Error) -> Error {
    Error::new(error.subject, ErrorKind::OutcomeUnknown(Box::new(error.kind)))
}

/// How a reference is resolved when a manifest is read back.
#[derive(Clone, Copy)]
enum ReadBackBy {
    /// Uses the digest in the registry's header.
    Header,
    /// Hashes the content.
    Content,
}

/// Adds the tag's current digest to the error of a refused write, if the tag is immutable.
pub(super) fn with_current_digest(error: Error, current: Option<Digest>, requested: &Digest) -> Error {
    let response = match &error.kind {
        ErrorKind::Rejected(response) => &**response,
        ErrorKind::Denied(denied) => &denied.response,
        _ => return error,
    };
    match current {
        Some(current) if response.is_immutable_tag() => {
            let kind =
                ErrorKind::Immutable { current, requested: requested.clone(), response: response.clone().into() };
            Error::new(error.subject, kind)
        }
        _ => error,
    }
}
