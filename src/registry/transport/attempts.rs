//! The retry loop: sends a request again if that may help.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::handle::Transport;
use super::pause::Pause;
use super::request::WireRequest;
use super::response::Response;
use super::retry;
use super::retry_group::RetryGroup;
use crate::event::Event;
use crate::registry::error::{Error, ErrorKind, StopReason};

/// The attempts of one request.
pub(crate) struct Attempts<'a> {
    transport: &'a Transport,
    request: &'a WireRequest,
    /// The registry that the request is sent to, and the pause that all requests to it share.
    host: Option<(&'a str, Arc<Pause>)>,
    /// Whether the request's content refers to blobs or manifests that the registry may not know yet.
    refers_to_new: bool,
    /// Whether cancelling the run ends the attempts.
    is_cancellable: bool,
    failed: u32,
    /// Whether an attempt was sent whose outcome is unknown.
    may_still_complete: bool,
    /// Why the last attempt failed.
    last: Option<Error>,
}

/// Why a wait ended early.
enum Interrupted {
    Stopped(StopReason),
    /// Another part of the job has failed.
    GroupFailed,
}

/// A wait before a retry.
struct Wait {
    time: Duration,
    /// Whether all requests to the host wait, not only this one.
    pauses_host: bool,
    /// Whether the response asked for the wait (RFC 9110, "Retry-After").
    is_requested: bool,
    /// Why the last attempt failed.
    reason: String,
    /// The number of failed attempts, and the maximum number of retries.
    attempts: (u32, u32),
}

impl Wait {
    /// Returns the event for this wait; `pauses` names the registry if all requests to it wait.
    fn event(&self, pauses: Option<&str>) -> Event {
        let Self { time: wait, is_requested, ref reason, attempts: (failed, retries), .. } = *self;
        Event::Retry { reason: reason.clone(), wait, is_requested, failed, retries, pauses: pauses.map(str::to_owned) }
    }
}

impl Transport {
    /// Waits before an operation that failed with `error` is retried. Returns the error if it is not retried.
    pub(crate) async fn wait_after(&self, error: &Error, failed: u32) -> Result<(), Error> {
        let policy = self.retry();
        let Some(time) = policy.wait(failed, None, fastrand::f64()).filter(|_| error.is_transient()) else {
            return Err(error.clone().into_permanent());
        };
        let (pauses_host, is_requested, reason) = (false, false, error.to_string());
        let wait = Wait { time, pauses_host, is_requested, reason, attempts: (failed, policy.retries) };
        self.emit(|| wait.event(None));
        self.wait(tokio::time::sleep(time)).await.map_err(|interrupted| match interrupted {
            Interrupted::Stopped(_) => error.clone().into_permanent(),
            Interrupted::GroupFailed => error.clone().given_up(failed),
        })
    }

    /// Waits, unless the run is cancelled or another part of the job has failed.
    async fn wait(&self, waiting: impl Future<Output = ()>) -> Result<(), Interrupted> {
        match self.cancel_token().run_until_cancelled(RetryGroup::run_until_failed(waiting)).await {
            Ok(Some(())) => Ok(()),
            Ok(None) => Err(Interrupted::GroupFailed),
            Err(reason) => Err(Interrupted::Stopped(reason)),
        }
    }
}

impl<'a> Attempts<'a> {
    /// Creates the attempts of a request that shares no pause with others. A request that is needed after the run was
    /// cancelled, to learn the outcome of a write, is still sent once.
    pub(crate) fn new(transport: &'a Transport, request: &'a WireRequest) -> Self {
        let is_cancellable = transport.cancel_token().reason().is_none();
        Self {
            transport,
            request,
            host: None,
            refers_to_new: false,
            is_cancellable,
            failed: 0,
            may_still_complete: false,
            last: None,
        }
    }

    /// Creates the attempts of a request to a registry, once the registry's pause is over. With `refers_to_new`, a
    /// response that reports unknown content is retried.
    ///
    /// # Errors
    /// The run was cancelled, or another part of the job has failed.
    pub(crate) async fn at_host(
        transport: &'a Transport,
        request: &'a WireRequest,
        refers_to_new: bool,
        registry: &'a str,
        pause: Arc<Pause>,
    ) -> Result<Self, Error> {
        if !pause.is_over() {
            transport.wait(pause.over()).await.map_err(|interrupted| match interrupted {
                Interrupted::Stopped(reason) => request.stopped(reason),
                Interrupted::GroupFailed => request.not_needed(),
            })?;
        }
        // The run may have been cancelled even without a pause.
        if let Some(reason) = transport.cancel_token().reason() {
            return Err(request.stopped(reason));
        }
        // From here on, a cancellation ends the attempts, even if it precedes the check in `new`.
        Ok(Self { host: Some((registry, pause)), refers_to_new, is_cancellable: true, ..Self::new(transport, request) })
    }

    /// Returns the number of failed attempts.
    pub(crate) fn failed(&self) -> u32 {
        self.failed
    }

    /// Whether the registry may still complete a failed attempt: its response was lost, or a gateway gave up on it.
    pub(crate) fn may_still_complete(&self) -> bool {
        self.may_still_complete
    }

    /// Awaits one attempt. Returns `None` after the back-off if another attempt follows.
    pub(crate) async fn outcome_of(
        &mut self,
        sending: impl Future<Output = Result<Response, Error>>,
    ) -> Option<Result<Response, Error>> {
        let outcome = match self.unless_cancelled(std::pin::pin!(sending)).await {
            Ok(outcome) => outcome,
            Err(reason) => return Some(Err(self.request.stopped(reason))),
        };
        match &outcome {
            // The request was not sent.
            Err(Error { kind: ErrorKind::PreconditionStale, .. }) => return Some(outcome),
            Err(error) if error.is_given_up() => return self.given_up(outcome),
            Ok(response) => self.may_still_complete |= matches!(response.status, 408 | 502 | 504),
            Err(error) => self.may_still_complete |= error.is_response_lost(),
        }
        self.failed += 1;
        let Some(wait) = self.wait_before_retry(&outcome) else {
            return Some(outcome.map_err(Error::into_permanent));
        };
        match self.back_off(&wait).await {
            Ok(()) => {
                self.last = Some(self.error_of(outcome));
                None
            }
            // The failure is more informative than the cancellation before the next attempt.
            Err(Interrupted::Stopped(_)) => Some(outcome.map_err(Error::into_permanent)),
            Err(Interrupted::GroupFailed) => Some(Err(self.error_of(outcome).given_up(self.failed))),
        }
    }

    /// Awaits one attempt, unless the run is cancelled. A read is then given up immediately, and a write after a grace
    /// period, because its outcome should be known.
    async fn unless_cancelled(
        &self,
        sending: impl Future<Output = Result<Response, Error>>,
    ) -> Result<Result<Response, Error>, StopReason> {
        let cancel_token = self.transport.cancel_token();
        if !self.is_cancellable {
            return Ok(sending.await);
        }
        if self.request.can_be_given_up() {
            return cancel_token.run_until_cancelled(sending).await;
        }
        let given_up = || Err(self.request.transport("given up, because the run was cancelled".into(), false, false));
        Ok(cancel_token.run_until_cancelled_with_grace(sending).await.unwrap_or_else(|_| given_up()))
    }

    /// Handles an attempt that was given up because a job had failed. If another job gave up on something that it
    /// shares with this one, such as a token, the request is sent again.
    fn given_up(&mut self, outcome: Result<Response, Error>) -> Option<Result<Response, Error>> {
        if !RetryGroup::has_failed() {
            return None;
        }
        let was_sent = !matches!(&outcome, Err(error) if matches!(error.kind, ErrorKind::NotNeeded));
        let last = self.last.take().filter(|_| !was_sent);
        Some(last.map_or(outcome, |last| Err(last.given_up(self.failed))))
    }

    /// Decides whether the request is retried, and when.
    fn wait_before_retry(&self, outcome: &Result<Response, Error>) -> Option<Wait> {
        let (requested, pauses_host, error) = match outcome {
            Ok(response) if retry::is_transient(response.status) => {
                let requested =
                    retry::requested_wait(response.header("retry-after"), &response.body, SystemTime::now());
                (requested, retry::pauses_host(response.status), response.error(&self.request.subject))
            }
            Ok(response) if self.refers_to_new && response.error_response().is_unknown_content() => {
                (None, false, response.error(&self.request.subject))
            }
            // A host that refuses this connection refuses those of other requests as well.
            Err(error) if error.is_transient() => (None, error.is_unsent(), error.clone()),
            _ => return None,
        };
        let policy = self.transport.retry();
        let time = policy.wait(self.failed, requested, fastrand::f64())?;
        let (is_requested, attempts) = (requested.is_some(), (self.failed, policy.retries));
        Some(Wait { time, pauses_host, is_requested, reason: error.to_string(), attempts })
    }

    /// Waits before a retry, and reports the wait, as it may be long.
    async fn back_off(&self, wait: &Wait) -> Result<(), Interrupted> {
        match &self.host {
            Some((registry, pause)) if wait.pauses_host => {
                if pause.begin(wait.time) {
                    self.transport.emit(|| wait.event(Some(registry)));
                }
                self.transport.wait(pause.over()).await
            }
            _ => {
                self.transport.emit(|| wait.event(None));
                self.transport.wait(tokio::time::sleep(wait.time)).await
            }
        }
    }

    /// Returns the error of a failed attempt.
    fn error_of(&self, outcome: Result<Response, Error>) -> Error {
        outcome.map_or_else(|error| error, |response| response.error(&self.request.subject))
    }
}
