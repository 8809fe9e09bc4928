use std::time::Duration;

use super::failure::Failure;
use super::global::Global;
use super::signals::Signals;
use super::talk::say;
use crate::registry::{Client, Stop, StopReason};

/// An end that takes longer than this is told of.
const AT_ONCE: Duration = Duration::from_millis(300);

impl Global {
    /// Runs the work of a command to its end, or until a signal or the deadline stops the client.
    pub(super) fn block_on<T, E>(&self, client: &Client, work: impl Future<Output = Result<T, E>>) -> Result<T, Failure>
    where
        Failure: From<E>,
    {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new(format!("cannot start the runtime: {error}")))?;
        let outcome = runtime.block_on(async {
            listen(client.stop().clone());
            if let Some(deadline) = self.deadline {
                let stop = client.stop().clone();
                tokio::spawn(async move {
                    tokio::time::sleep(deadline).await;
                    stop.raise(StopReason::Deadline);
                    tokio::time::sleep(AT_ONCE).await;
                    say("the deadline has passed; a write that is under way has 3 s to come to its end");
                });
            }
            work.await
        });
        // A name look-up that never came back must not hold up the exit.
        runtime.shutdown_background();
        outcome.map_err(|error| Failure::from(error).stopped(client.stop().raised()))
    }
}

/// Stops the client at a signal; at the next one, of either kind, the program ends there and then.
fn listen(stop: Stop) {
    // Where signals cannot be heard they end the program, as without this.
    let Some(mut signals) = Signals::hear() else { return };
    tokio::spawn(async move {
        let first = signals.next().await;
        stop.raise(StopReason::Signal(first));
        let second = match tokio::time::timeout(AT_ONCE, signals.next()).await {
            Ok(second) => second,
            Err(_) => {
                say("stopping; a write that is under way has 3 s to come to its end (a second signal does not wait)");
                signals.next().await
            }
        };
        std::process::exit(128 + second);
    });
}
