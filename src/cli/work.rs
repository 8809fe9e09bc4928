use std::time::Duration;

use tokio::sync::watch;

use super::exit_status::ExitStatus;
use super::failure::Failure;
use super::global::Global;
use super::signals::Signals;
use super::talk::say;
use crate::registry::{Client, Stop, StopReason};

/// An end that takes longer than this is told of.
const AT_ONCE: Duration = Duration::from_millis(300);
/// How long a run that was stopped may still take to write its results, after its work has ended.
const RESULTS: Duration = Duration::from_secs(3);

impl Global {
    /// Runs the work of a command to its end, or until a signal or the deadline stops the client.
    pub(super) fn block_on<T, E>(&self, client: &Client, work: impl Future<Output = Result<T, E>>) -> Result<T, Failure>
    where
        Failure: From<E>,
    {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new(format!("cannot start the runtime: {error}")))?;
        let (working, has_ended) = watch::channel(false);
        let outcome = runtime.block_on(async {
            listen(client.stop().clone(), has_ended.clone());
            if let Some(deadline) = self.deadline {
                let stop = client.stop().clone();
                tokio::spawn(async move {
                    tokio::time::sleep(deadline).await;
                    stop.raise(StopReason::Deadline);
                    tokio::spawn(exit_after(has_ended.clone(), StopReason::Deadline));
                    tokio::time::sleep(AT_ONCE).await;
                    if !*has_ended.borrow() {
                        say("the deadline has passed; a write that is under way has 3 s to come to its end");
                    }
                });
            }
            work.await
        });
        working.send_replace(true);
        // Results may go to a FIFO that nothing reads: signals and the deadline end the program there as well. The exit
        // does not wait for this thread, nor for a name look-up that never came back.
        std::thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
        outcome.map_err(|error| Failure::from(error).stopped(client.stop().raised()))
    }
}

/// Stops the client at a signal; at the next one, of either kind, the program ends there and then.
fn listen(stop: Stop, has_ended: watch::Receiver<bool>) {
    // Where signals cannot be heard they end the program, as without this.
    let Some(mut signals) = Signals::hear() else { return };
    tokio::spawn(async move {
        let first = signals.next().await;
        stop.raise(StopReason::Signal(first));
        tokio::spawn(exit_after(has_ended.clone(), StopReason::Signal(first)));
        let second = match tokio::time::timeout(AT_ONCE, signals.next()).await {
            Ok(second) => second,
            Err(_) => {
                if !*has_ended.borrow() {
                    say(
                        "stopping; a write that is under way has 3 s to come to its end (a second signal does not wait)",
                    );
                }
                signals.next().await
            }
        };
        std::process::exit(ExitStatus::Signal(second).code().into());
    });
}

/// Ends the program where the work has ended and its results cannot be written.
async fn exit_after(mut has_ended: watch::Receiver<bool>, reason: StopReason) {
    if has_ended.wait_for(|ended| *ended).await.is_ok() {
        tokio::time::sleep(RESULTS).await;
        std::process::exit(ExitStatus::from(reason).code().into());
    }
}
