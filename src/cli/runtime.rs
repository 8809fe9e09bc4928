//! Runs the asynchronous part of a command, until its end, a signal or the deadline.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::console::Console;
use super::exit_status::ExitStatus;
use super::failure::Failure;
use super::session::Session;
use super::signals::Signals;
use crate::registry::{CancelToken, Client, StopReason};

/// A run that ends within this time after it was stopped needs no explanation.
const GRACE_PERIOD: Duration = Duration::from_millis(300);
/// How long a run that was stopped may still take to write its results.
const RESULTS: Duration = Duration::from_secs(3);

impl Session {
    /// Runs a command's future to its end, or until a signal or the deadline stops the client.
    pub(super) fn block_on<T, E>(
        &self,
        client: &Client,
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
        let outcome = runtime.block_on(async {
            // Without handlers, signals end the program at once.
            if let Some(signals) = Signals::listen() {
                tokio::spawn(stopper.clone().stop_at_signal(signals));
            }
            if let Some(deadline) = self.global.deadline {
                tokio::spawn(stopper.stop_at_deadline(deadline));
            }
            future.await
        });
        running.send_replace(true);
        // Results may go to a FIFO that nothing reads: signals and the deadline end the program there as well. The exit
        // does not wait for this thread, nor for a name look-up that never came back.
        std::thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
        outcome.map_err(|error| Failure::from(error).stopped(client.cancel_token().reason()))
    }
}

/// Ends a run before it is done.
#[derive(Clone)]
struct Stopper {
    cancel_token: CancelToken,
    has_ended: watch::Receiver<bool>,
    console: Arc<Console>,
}

impl Stopper {
    /// Stops the client when the time is over.
    async fn stop_at_deadline(self, deadline: Duration) {
        tokio::time::sleep(deadline).await;
        self.begin(StopReason::Deadline);
        tokio::time::sleep(GRACE_PERIOD).await;
        self.explain("the deadline has passed; a write that is under way has 3 s to come to its end");
    }

    /// Stops the client at a signal; at the next one, of either kind, the program ends there and then.
    async fn stop_at_signal(self, mut signals: Signals) {
        let first = signals.next().await;
        self.begin(StopReason::Signal(first));
        let second = match tokio::time::timeout(GRACE_PERIOD, signals.next()).await {
            Ok(second) => second,
            Err(_) => {
                self.explain(
                    "stopping; a write that is under way has 3 s to come to its end (a second signal does not wait)",
                );
                signals.next().await
            }
        };
        std::process::exit(ExitStatus::Signal(second).code().into());
    }

    fn begin(&self, reason: StopReason) {
        self.cancel_token.cancel(reason);
        tokio::spawn(exit_after(self.has_ended.clone(), reason));
    }

    /// Says why the run has not ended yet.
    fn explain(&self, why: &str) {
        if !*self.has_ended.borrow() {
            self.console.line(why);
        }
    }
}

/// Exits the process if the run has ended and its results cannot be written.
async fn exit_after(mut has_ended: watch::Receiver<bool>, reason: StopReason) {
    if has_ended.wait_for(|ended| *ended).await.is_ok() {
        tokio::time::sleep(RESULTS).await;
        std::process::exit(ExitStatus::from(reason).code().into());
    }
}
