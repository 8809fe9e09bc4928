//! Runs the asynchronous part of a command until it ends or a signal or the deadline stops it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::console::Console;
use super::exit_status::ExitStatus;
use super::failure::Failure;
use super::progress::Activity;
use super::session::Session;
use super::signals::Signals;
use crate::registry::{CancelToken, Client, StopReason};

/// The time a stopped run has to end before a message explains why it is still running.
const GRACE_PERIOD: Duration = Duration::from_millis(300);
/// The time a stopped run has to write its results.
const RESULTS_TIMEOUT: Duration = Duration::from_secs(3);

impl Session {
    /// Runs a command's future to its end, or until a signal or the deadline stops the client. Shows its progress if
    /// `activity` describes it.
    pub(super) fn block_on<T, E>(
        &self,
        client: &Client,
        activity: Option<Activity>,
        future: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Failure>
    where
        Failure: From<E>,
    {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new(format!("cannot start the runtime: {error}")))?;
        let (running, has_ended) = watch::channel(false);
        let stopper =
            Stopper { cancel_token: client.cancel_token().clone(), has_ended, console: Arc::clone(&self.console) };
        if let Some(activity) = activity {
            self.console.start_progress(activity);
        }
        let outcome = runtime.block_on(async {
            // Without handlers, signals end the program immediately.
            if let Some(signals) = Signals::listen() {
                tokio::spawn(stopper.clone().stop_at_signal(signals));
            }
            if let Some(deadline) = self.global.deadline {
                tokio::spawn(stopper.stop_at_deadline(deadline));
            }
            future.await
        });
        running.send_replace(true);
        self.console.finish_progress();
        // Keep the runtime running: results may go to a FIFO without a reader, where signals and the deadline must
        // still end the program. The exit waits neither for this thread nor for a DNS lookup that hangs.
        std::thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
        outcome.map_err(|error| Failure::from(error).stopped(client.cancel_token().reason()))
    }
}

/// Stops a run early.
#[derive(Clone)]
struct Stopper {
    cancel_token: CancelToken,
    has_ended: watch::Receiver<bool>,
    console: Arc<Console>,
}

impl Stopper {
    /// Stops the client when the deadline passes.
    async fn stop_at_deadline(self, deadline: Duration) {
        tokio::time::sleep(deadline).await;
        self.begin(StopReason::Deadline);
        tokio::time::sleep(GRACE_PERIOD).await;
        self.explain("the deadline has passed; a write in progress has 3 s to finish");
    }

    /// Stops the client at the first signal, and exits immediately at the second one of either kind.
    async fn stop_at_signal(self, mut signals: Signals) {
        let first = signals.next().await;
        self.begin(StopReason::Signal(first));
        let second = match tokio::time::timeout(GRACE_PERIOD, signals.next()).await {
            Ok(second) => second,
            Err(_) => {
                self.explain("stopping; a write in progress has 3 s to finish (a second signal stops it immediately)");
                signals.next().await
            }
        };
        self.console.finish_progress();
        std::process::exit(ExitStatus::Signal(second).code().into());
    }

    fn begin(&self, reason: StopReason) {
        self.cancel_token.cancel(reason);
        tokio::spawn(exit_after(self.has_ended.clone(), reason));
    }

    /// Prints why the run has not ended yet.
    fn explain(&self, why: &str) {
        if !*self.has_ended.borrow() {
            self.console.line(why);
        }
    }
}

/// Exits the process if the run has ended but its results cannot be written within [`RESULTS_TIMEOUT`].
async fn exit_after(mut has_ended: watch::Receiver<bool>, reason: StopReason) {
    if has_ended.wait_for(|ended| *ended).await.is_ok() {
        tokio::time::sleep(RESULTS_TIMEOUT).await;
        std::process::exit(ExitStatus::from(reason).code().into());
    }
}
