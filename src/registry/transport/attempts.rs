//! The retry loop: a request that is sent again where that may help.

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

/// The tries of one request.
pub(crate) struct Attempts<'a> {
    transport: &'a Transport,
    request: &'a WireRequest,
    /// The registry that the request goes to, and its pause, which all requests to it share.
    host: Option<(&'a str, Arc<Pause>)>,
    /// What the request's content refers to may be unknown for a moment.
    refers_to_new: bool,
    /// Raising the run's `CancelToken` ends the tries.
    stops: bool,
    failed: u32,
    /// A try was sent whose end is not known.
    left_open: bool,
    /// Why the last try failed.
    last: Option<Error>,
}

/// Why a wait ended early.
enum Interrupted {
    Stopped(StopReason),
    /// Another part of the job has failed.
    GroupFailed,
}

/// A wait before a request is sent again.
struct Wait {
    time: Duration,
    /// The whole host waits, and not this request only.
    for_all: bool,
    /// What went wrong.
    why: String,
    /// The number of failed tries, and the number of times that the request is sent again.
    tries: (u32, u32),
}

impl Wait {
    /// The event of this wait; `pauses` names the registry if all requests to it wait.
    fn event(&self, pauses: Option<&str>) -> Event {
        let Self { time: wait, ref why, tries: (failed, retries), .. } = *self;
        Event::Retry { reason: why.clone(), wait, failed, retries, pauses: pauses.map(str::to_owned) }
    }
}

impl Transport {
    /// Waits before work that ended in `error` is done again; gives the error back where no other try is made.
    pub(crate) async fn wait_after(&self, error: &Error, failed: u32) -> Result<(), Error> {
        let policy = self.retry();
        let Some(time) = policy.wait(failed, None, fastrand::f64()).filter(|_| error.is_transient()) else {
            return Err(error.clone().into_permanent());
        };
        let wait = Wait { time, for_all: false, why: error.to_string(), tries: (failed, policy.retries) };
        self.emit(|| wait.event(None));
        self.wait(tokio::time::sleep(time)).await.map_err(|interrupted| match interrupted {
            Interrupted::Stopped(_) => error.clone().into_permanent(),
            Interrupted::GroupFailed => error.clone().given_up(failed),
        })
    }

    /// Waits, unless the run is stopped or another part of the job has failed.
    async fn wait(&self, waiting: impl Future<Output = ()>) -> Result<(), Interrupted> {
        match self.cancel_token().run_until_cancelled(RetryGroup::run_until_failed(waiting)).await {
            Ok(Some(())) => Ok(()),
            Ok(None) => Err(Interrupted::GroupFailed),
            Err(reason) => Err(Interrupted::Stopped(reason)),
        }
    }
}

impl<'a> Attempts<'a> {
    /// The tries of a request that shares no pause with others. One that is needed after the run was stopped, to find out
    /// what became of a write, is sent all the same, once.
    pub(crate) fn new(transport: &'a Transport, request: &'a WireRequest) -> Self {
        let stops = transport.cancel_token().reason().is_none();
        Self { transport, request, host: None, refers_to_new: false, stops, failed: 0, left_open: false, last: None }
    }

    /// The tries of a request to a registry, once its pause is over. With `refers_to_new`, an answer that the content
    /// refers to something unknown is worth another try.
    ///
    /// # Errors
    /// The run was stopped, or another part of the job has failed.
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
        // The run may have been stopped even without a pause.
        if let Some(reason) = transport.cancel_token().reason() {
            return Err(request.stopped(reason));
        }
        // A stop from here on ends it, also one that is raised before the next line.
        Ok(Self { host: Some((registry, pause)), refers_to_new, stops: true, ..Self::new(transport, request) })
    }

    /// The number of tries that failed.
    pub(crate) fn failed(&self) -> u32 {
        self.failed
    }

    /// Whether one of them may still come to its end in the registry: its answer was lost, or a gateway gave up on it.
    pub(crate) fn left_open(&self) -> bool {
        self.left_open
    }

    /// Awaits one try. `None` after the back-off, if another try is to follow.
    pub(crate) async fn outcome_of(
        &mut self,
        sending: impl Future<Output = Result<Response, Error>>,
    ) -> Option<Result<Response, Error>> {
        let outcome = match self.unless_stopped(std::pin::pin!(sending)).await {
            Ok(outcome) => outcome,
            Err(reason) => return Some(Err(self.request.stopped(reason))),
        };
        match &outcome {
            // It was not sent.
            Err(Error { kind: ErrorKind::PreconditionStale, .. }) => return Some(outcome),
            Err(error) if error.is_given_up() => return self.given_up(outcome),
            Ok(response) => self.left_open |= matches!(response.status, 408 | 502 | 504),
            Err(error) => self.left_open |= error.is_lost_answer(),
        }
        self.failed += 1;
        let Some(wait) = self.wait_before_another(&outcome) else {
            return Some(outcome.map_err(Error::into_permanent));
        };
        match self.back_off(&wait).await {
            Ok(()) => {
                self.last = Some(self.error_of(outcome));
                None
            }
            // The reason of the failure tells more than that the run was stopped before another try.
            Err(Interrupted::Stopped(_)) => Some(outcome.map_err(Error::into_permanent)),
            Err(Interrupted::GroupFailed) => Some(Err(self.error_of(outcome).given_up(self.failed))),
        }
    }

    /// Awaits one try, unless the run is stopped: a read is then given up, and a write soon after, as what becomes of it
    /// should be known.
    async fn unless_stopped(
        &self,
        sending: impl Future<Output = Result<Response, Error>>,
    ) -> Result<Result<Response, Error>, StopReason> {
        let stop = self.transport.cancel_token();
        if !self.stops {
            return Ok(sending.await);
        }
        if self.request.can_be_given_up() {
            return stop.run_until_cancelled(sending).await;
        }
        let given_up = || Err(self.request.transport("given up, as the run is to end".into(), false, false));
        Ok(stop.run_until_cancelled_with_grace(sending).await.unwrap_or_else(|_| given_up()))
    }

    /// What follows a try that was given up because a job had failed. Where that was another job, which gave up on
    /// something that this one shares with it, such as a token, the request is sent again.
    fn given_up(&mut self, outcome: Result<Response, Error>) -> Option<Result<Response, Error>> {
        if !RetryGroup::has_failed() {
            return None;
        }
        let was_sent = !matches!(&outcome, Err(error) if matches!(error.kind, ErrorKind::NotNeeded));
        let last = self.last.take().filter(|_| !was_sent);
        Some(last.map_or(outcome, |last| Err(last.given_up(self.failed))))
    }

    /// Decides whether the request is sent again, and when.
    fn wait_before_another(&self, outcome: &Result<Response, Error>) -> Option<Wait> {
        let (asked, for_all, why) = match outcome {
            Ok(response) if retry::is_transient(response.status) => {
                let asked = retry::asked_wait(response.header("retry-after"), &response.body, SystemTime::now());
                (asked, retry::is_for_all(response.status), response.error(&self.request.subject))
            }
            Ok(response) if self.refers_to_new && response.error_response().is_unknown_content() => {
                (None, false, response.error(&self.request.subject))
            }
            // A host that takes no connection takes none from other requests either.
            Err(error) if error.is_transient() => (None, error.is_unsent(), error.clone()),
            _ => return None,
        };
        let policy = self.transport.retry();
        let time = policy.wait(self.failed, asked, fastrand::f64())?;
        Some(Wait { time, for_all, why: why.to_string(), tries: (self.failed, policy.retries) })
    }

    /// Waits before another try, and reports it, as the wait may be long.
    async fn back_off(&self, wait: &Wait) -> Result<(), Interrupted> {
        match &self.host {
            Some((registry, pause)) if wait.for_all => {
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

    /// The error that a failed try ended in.
    fn error_of(&self, outcome: Result<Response, Error>) -> Error {
        outcome.map_or_else(|error| error, |response| response.error(&self.request.subject))
    }
}
