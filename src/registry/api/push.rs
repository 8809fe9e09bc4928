//! Writing a manifest, and being sure of what became of it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::Method;

use super::manifests::{get_request, head_request, manifest_request};
use crate::event::Event;
use crate::image::{Descriptor, Digest, Reference};
use crate::registry::auth::scopes::Scopes;
use crate::registry::client::Client;
use crate::registry::client::request::Request;
use crate::registry::error::{Error, ErrorKind};
use crate::registry::transport::request::Content;
use crate::registry::transport::response::{Expected, Response};

/// A conditional write is sent at most this long after the look at the tag, or the tag is looked at again.
const MAX_PRECONDITION_AGE: Duration = Duration::from_millis(300);
/// How often the tag is looked at again for that.
const MAX_PRECONDITION_CHECKS: u32 = 20;

/// Checks what a tag points at, `None` if it does not exist, just before it is written. An error ends the push.
pub(crate) type Precondition<'a> = &'a (dyn Fn(Option<&Digest>) -> Result<(), Error> + Sync);

impl Client {
    /// Writes a manifest under `reference`'s tag or digest (distribution-spec, "Pushing Manifests").
    ///
    /// Any of 200, 201, 202 and 204 is success if the registry then has the digest: its answer names it, or a HEAD confirms
    /// it. If the answer names another digest, the manifest is read back: equal bytes mean that the header is wrong, which
    /// is a warning; other bytes are an error. If a tag was refused, or the answer was lost, the tag is read: one that
    /// already points at the manifest is success, as with immutable tags. If the registry does not know what the manifest
    /// refers to, the request is repeated, as recent writes may not be visible everywhere in it yet.
    ///
    /// # Errors
    /// The registry's answer, [`ErrorKind::Immutable`], or [`ErrorKind::OutcomeUnknown`] if it is not known whether the manifest
    /// was written, or will be: the answer to a try was lost. With any other error this has not moved the tag.
    pub async fn push_manifest(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
        bytes: &Bytes,
    ) -> Result<(), Error> {
        self.push_manifest_if(reference, descriptor, bytes, None).await
    }

    /// Writes a manifest as [`Self::push_manifest`] does, if the tag meets a precondition. The tag is looked at before each
    /// try; another writer can still come between the look and the write, for the time of a round trip.
    ///
    /// # Errors
    /// As [`Self::push_manifest`], and the error of the precondition.
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
        match self.send_push(&push, precondition).await? {
            Some(ended) => push.conclude(ended).await,
            None => Ok(()),
        }
    }

    /// Sends a push until it is answered, and checks the precondition before each try. `None` if the tag then points at the
    /// manifest: an earlier try, whose answer was lost, wrote it.
    async fn send_push(
        &self,
        push: &Push<'_>,
        precondition: Option<Precondition<'_>>,
    ) -> Result<Option<PushOutcome>, Error> {
        let registry = push.reference.registry();
        let (mut attempts, mut stale) = (self.attempts(registry, push.request).await?, 0);
        loop {
            let mut until = None;
            if let Some(precondition) = precondition {
                let current_digest = self.exact_digest(push.reference).await;
                until = Some(Instant::now() + MAX_PRECONDITION_AGE);
                match current_digest {
                    Ok(current) if attempts.failed() > 0 && current.as_ref() == Some(push.digest) => {
                        return Ok(None);
                    }
                    Ok(current) if current.as_ref() == Some(push.digest) => {}
                    Ok(current) => precondition(current.as_ref())?,
                    Err(error) => {
                        return Ok(Some(PushOutcome { outcome: Err(error), left_open: attempts.left_open() }));
                    }
                }
            }
            let sending = self.send_signed_until(registry, push.request, attempts.failed(), until);
            match attempts.outcome_of(sending).await {
                // A token had to be fetched first, or another request found that the host has to be left alone.
                Some(Err(Error { kind: ErrorKind::PreconditionStale, .. })) if stale < MAX_PRECONDITION_CHECKS => {
                    stale += 1
                }
                Some(outcome) => return Ok(Some(PushOutcome { outcome, left_open: attempts.left_open() })),
                None => {}
            }
        }
    }

    /// Waits until a reference stands for `digest`, wherever in the registry one asks: as often and as long as requests
    /// are tried again.
    ///
    /// # Errors
    /// It stands for something else, or does not exist, to the end.
    pub async fn read_back(&self, reference: &Reference, digest: &Digest) -> Result<(), Error> {
        self.wait_for(reference, digest, ReadBackBy::Header).await
    }

    /// Reads what was written under a reference, as the registry `named` another digest for it, and warns where only that
    /// is wrong. It waits as [`Self::read_back`] does.
    ///
    /// # Errors
    /// The content is other than what was written, or there is none, to the end.
    async fn read_back_content(&self, reference: &Reference, digest: &Digest, named: &Digest) -> Result<(), Error> {
        self.wait_for(reference, digest, ReadBackBy::Content).await?;
        self.emit(|| Event::WrongDigestHeader {
            reference: reference.to_string(),
            named: named.clone(),
            actual: digest.clone(),
        });
        Ok(())
    }

    async fn wait_for(&self, reference: &Reference, digest: &Digest, by: ReadBackBy) -> Result<(), Error> {
        let subject = reference.to_string();
        let mut failed = 0;
        loop {
            let current = match by {
                ReadBackBy::Header => self.current_digest(reference).await?,
                ReadBackBy::Content => self.content_digest(reference, digest).await?,
            };
            if current.as_ref() == Some(digest) {
                return Ok(());
            }
            failed += 1;
            let Some(wait) = self.retry().wait(failed, None, 0.0) else {
                let kind = match current {
                    Some(actual) => {
                        ErrorKind::Digest { expected: digest.clone(), actual, named_by: "manifest that was pushed" }
                    }
                    None => ErrorKind::Protocol("the registry took the manifest and does not have it".into()),
                };
                return Err(Error::new(subject, kind));
            };
            self.emit(|| Event::NotReadBack { reference: subject.clone(), digest: digest.clone(), wait });
            let waited = self.cancel_token().run_until_cancelled(tokio::time::sleep(wait)).await;
            waited.map_err(|reason| Error::new(subject.as_str(), ErrorKind::Stopped(reason)))?;
        }
    }

    /// The digest of what a reference stands for, by its bytes alone, in the algorithm of `expected` if it is that.
    async fn content_digest(&self, reference: &Reference, expected: &Digest) -> Result<Option<Digest>, Error> {
        let get = push_get_request(reference).expecting(Expected::default());
        match self.send_ok(reference.registry(), &get).await {
            Ok(response) if expected.matches(&response.body) => Ok(Some(expected.clone())),
            Ok(response) => Ok(Some(Digest::sha256(&response.body))),
            // What was just written may not be known everywhere yet.
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The digest that a tag points at, `None` if it does not exist. The body of a 404 decides that, as it may speak of
    /// rights: an answer to a HEAD has none.
    async fn exact_digest(&self, reference: &Reference) -> Result<Option<Digest>, Error> {
        let head = head_request(reference);
        let response = self.send(reference.registry(), &head).await?;
        if let (200, Some(digest)) = (response.status, response.digest()) {
            return Ok(Some(digest));
        }
        let get = push_get_request(reference);
        match self.send_ok(reference.registry(), &get).await {
            Ok(response) => Ok(Some(Digest::sha256(&response.body))),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What a tag points at, asked once, also when the run is to end: nothing where that cannot be found out.
    async fn read_tag_once(&self, reference: &Reference) -> Option<Option<Digest>> {
        let asking = async {
            let response = self.send_signed(reference.registry(), &head_request(reference), 0).await.ok()?;
            match (response.status, response.digest()) {
                (200, Some(digest)) => return Some(Some(digest)),
                (404, _) => return Some(None),
                _ => {}
            }
            // As in `current_digest`: the manifest itself tells.
            let response = self.send_signed(reference.registry(), &push_get_request(reference), 0).await.ok()?;
            match response.status {
                200 => Some(Some(Digest::sha256(&response.body))),
                404 => Some(None),
                _ => None,
            }
        };
        self.cancel_token().run_until_cancelled_with_grace(asking).await.ok()?
    }
}

/// Reads what was written, or will be, with the token that writes it.
fn push_get_request(reference: &Reference) -> Request {
    get_request(reference, Scopes::push(reference.repository()))
}

/// A manifest that is pushed.
struct Push<'a> {
    client: &'a Client,
    reference: &'a Reference,
    request: &'a Request,
    digest: &'a Digest,
    bytes: &'a Bytes,
}

/// How the tries of a push ended.
struct PushOutcome {
    outcome: Result<Response, Error>,
    /// Whether a try may still be carried out.
    left_open: bool,
}

impl Push<'_> {
    /// Finds out whether the manifest was written.
    async fn conclude(&self, PushOutcome { outcome, left_open }: PushOutcome) -> Result<(), Error> {
        let (is_answered, is_tag) = (outcome.is_ok(), self.reference.digest().is_none());
        let error = match outcome {
            Ok(response) if matches!(response.status, 200 | 201 | 202 | 204) => {
                let confirmed = self.confirm(&response).await;
                return confirmed.map_err(|error| if is_tag { unsettled(error) } else { error });
            }
            Ok(response) => self.client.refused(self.reference.registry(), self.request, &response).await,
            Err(error) => error,
        };
        // If no try was sent, or none was carried out, the tag did not change.
        if !is_tag || (!left_open && !is_answered) {
            return Err(error);
        }
        match self.client.read_tag_once(self.reference).await {
            Some(Some(digest)) if digest == *self.digest => Ok(()),
            // A request in flight may be carried out after the look.
            _ if left_open => Err(unsettled(error)),
            Some(current) => Err(refused_over(error, current, self.digest)),
            None => Err(error),
        }
    }

    /// Checks that the registry has the manifest after it said so.
    async fn confirm(&self, response: &Response) -> Result<(), Error> {
        match response.digest() {
            Some(named) if named.matches(self.bytes) => Ok(()),
            Some(named) => self.client.read_back_content(self.reference, self.digest, &named).await,
            None => self.client.read_back(self.reference, self.digest).await,
        }
    }
}

fn unsettled(error: Error) -> Error {
    Error::new(error.subject, ErrorKind::OutcomeUnknown(Box::new(error.kind)))
}

/// How it is found out what a reference stands for.
#[derive(Clone, Copy)]
enum ReadBackBy {
    /// By the digest that the registry names.
    Header,
    /// By the content.
    Content,
}

/// An error of a write, with what the tag points at now.
fn refused_over(error: Error, current: Option<Digest>, wanted: &Digest) -> Error {
    let response = match &error.kind {
        ErrorKind::Rejected(response) => &**response,
        ErrorKind::Denied(denied) => &denied.response,
        _ => return error,
    };
    match current {
        Some(current) if response.is_of_immutable_tag() => {
            let kind = ErrorKind::Immutable { current, wanted: wanted.clone(), response: response.clone().into() };
            Error::new(error.subject, kind)
        }
        _ => error,
    }
}
