//! A request that is sent again where that may help.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::answer::Answer;
use super::retry;
use super::retry_group::RetryGroup;
use crate::event::Event;
use crate::registry::client::host::Host;
use crate::registry::client::registry_client::Client;
use crate::registry::client::send::Request;
use crate::registry::error::{Error, ErrorKind, StopReason};

/// The tries of one request.
pub(crate) struct Tries<'a> {
    client: &'a Client,
    registry: &'a str,
    host: Arc<Host>,
    request: &'a Request,
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
pub(crate) struct Wait {
    pub(crate) time: Duration,
    /// The whole host waits, and not this request alone.
    for_all: bool,
    /// What went wrong.
    why: String,
    /// How often it went wrong so far, and how often the request is sent again.
    tries: (u32, u32),
}

impl Wait {
    /// What is reported of it; `pauses` names the registry if all requests to it wait.
    pub(crate) fn event(&self, pauses: Option<&str>) -> Event {
        let Self { time: wait, ref why, tries: (failed, retries), .. } = *self;
        Event::Retry { reason: why.clone(), wait, failed, retries, pauses: pauses.map(str::to_owned) }
    }
}

impl Client {
    /// Waits before work that ended in `error` is done again; gives the error back where it is not to be.
    pub async fn wait_after(&self, error: &Error, failed: u32) -> Result<(), Error> {
        let policy = self.retry();
        let Some(time) = policy.wait(failed, None, fastrand::f64()).filter(|_| error.is_transient()) else {
            return Err(error.clone().final_one());
        };
        let wait = Wait { time, for_all: false, why: error.to_string(), tries: (failed, policy.retries) };
        self.emit(|| wait.event(None));
        self.wait(tokio::time::sleep(time)).await.map_err(|interrupted| match interrupted {
            Interrupted::Stopped(_) => error.clone().final_one(),
            Interrupted::GroupFailed => error.clone().given_up(failed),
        })
    }

    /// Waits, unless the run is to end or another part of the job has failed.
    async fn wait(&self, waiting: impl Future<Output = ()>) -> Result<(), Interrupted> {
        match self.stop().or(RetryGroup::or(waiting)).await {
            Ok(Some(())) => Ok(()),
            Ok(None) => Err(Interrupted::GroupFailed),
            Err(reason) => Err(Interrupted::Stopped(reason)),
        }
    }

    /// Begins, once the host is not to be left alone.
    pub(crate) async fn tries<'a>(&'a self, registry: &'a str, request: &'a Request) -> Result<Tries<'a>, Error> {
        let host = self.host(registry);
        if !host.pause.is_over() {
            self.wait(host.pause.over()).await.map_err(|interrupted| match interrupted {
                Interrupted::Stopped(reason) => request.stopped(reason),
                Interrupted::GroupFailed => request.not_needed(),
            })?;
        }
        // The run may have to end even without a pause.
        if let Some(reason) = self.stop().raised() {
            return Err(request.stopped(reason));
        }
        Ok(Tries { client: self, registry, host, request, failed: 0, left_open: false, last: None })
    }

    /// Whether a request is to be sent again, and when. It is said, as the wait may be long.
    pub(crate) fn wait_before_another(
        &self,
        request: &Request,
        outcome: &Result<Answer, Error>,
        failed: u32,
    ) -> Option<Wait> {
        let (asked, for_all, why) = match outcome {
            Ok(answer) if retry::is_transient(answer.status) => {
                let asked = retry::asked_wait(answer.header("retry-after"), &answer.body, SystemTime::now());
                (asked, retry::is_for_all(answer.status), answer.error(&request.subject))
            }
            Ok(answer) if request.refers_to_new && answer.refusal().is_unknown_content() => {
                (None, false, answer.error(&request.subject))
            }
            // Who takes no connection takes none from the others either.
            Err(error) if error.is_transient() => (None, error.is_unsent(), error.clone()),
            _ => return None,
        };
        let policy = self.retry();
        let time = policy.wait(failed, asked, fastrand::f64())?;
        Some(Wait { time, for_all, why: why.to_string(), tries: (failed, policy.retries) })
    }
}

impl Tries<'_> {
    /// How many failed so far.
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
        sending: impl Future<Output = Result<Answer, Error>>,
    ) -> Option<Result<Answer, Error>> {
        let (client, host, request) = (self.client, &self.host, self.request);
        let outcome = if request.is_read() {
            match client.stop().or(sending).await {
                Ok(outcome) => outcome,
                Err(reason) => return Some(Err(request.stopped(reason))),
            }
        } else {
            // What becomes of it should be known.
            let given_up = || Err(request.transport("given up, as the run is to end".into(), false, false));
            client.stop().or_soon(sending).await.unwrap_or_else(|_| given_up())
        };
        if matches!(&outcome, Err(error) if matches!(error.kind, ErrorKind::Late)) {
            return Some(outcome); // nothing was sent
        }
        if let Err(error) = &outcome
            && error.is_given_up()
        {
            // Another job gave up on what this one shares with it, such as a token.
            if !RetryGroup::has_failed() {
                return None;
            }
            let was_sent = !matches!(error.kind, ErrorKind::NotNeeded);
            let last = self.last.take().filter(|_| !was_sent);
            return Some(last.map_or(outcome, |last| Err(last.given_up(self.failed))));
        }
        self.failed += 1;
        self.left_open |= match &outcome {
            Ok(answer) => matches!(answer.status, 408 | 502 | 504),
            Err(error) => error.is_lost_answer(),
        };
        let Some(wait) = client.wait_before_another(request, &outcome, self.failed) else {
            return Some(outcome.map_err(Error::final_one));
        };
        let waited = if wait.for_all {
            if host.pause.begin(wait.time) {
                client.emit(|| wait.event(Some(self.registry)));
            }
            client.wait(host.pause.over()).await
        } else {
            client.emit(|| wait.event(None));
            client.wait(tokio::time::sleep(wait.time)).await
        };
        match waited {
            Ok(()) => {
                self.last = Some(error_of(request, outcome));
                None
            }
            // What went wrong is worth more than that there was no time for another try.
            Err(Interrupted::Stopped(_)) => Some(outcome.map_err(Error::final_one)),
            Err(Interrupted::GroupFailed) => Some(Err(error_of(request, outcome).given_up(self.failed))),
        }
    }
}

/// The error that a failed try ended in.
fn error_of(request: &Request, outcome: Result<Answer, Error>) -> Error {
    outcome.map_or_else(|error| error, |answer| answer.error(&request.subject))
}
