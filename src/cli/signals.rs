/// The signals that stop the program: Ctrl-C, and SIGTERM on Unix.
#[cfg(unix)]
pub(super) struct Signals {
    interrupts: tokio::signal::unix::Signal,
    terminations: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    /// Installs handlers, so that the signals no longer end the program. Returns `None` if that fails.
    pub(super) fn listen() -> Option<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let (interrupts, terminations) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
        Some(Self { interrupts: interrupts.ok()?, terminations: terminations.ok()? })
    }

    /// Waits for the next signal and returns its number.
    pub(super) async fn next(&mut self) -> i32 {
        use futures_util::future::{Either, select};
        use tokio::signal::unix::SignalKind;
        let (interrupted, terminated) = (self.interrupts.recv(), self.terminations.recv());
        let kind = match select(std::pin::pin!(interrupted), std::pin::pin!(terminated)).await {
            Either::Left(_) => SignalKind::interrupt(),
            Either::Right(_) => SignalKind::terminate(),
        };
        kind.as_raw_value()
    }
}

#[cfg(windows)]
pub(super) struct Signals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Signals {
    pub(super) fn listen() -> Option<Self> {
        tokio::signal::windows::ctrl_c().ok().map(Self)
    }

    pub(super) async fn next(&mut self) -> i32 {
        self.0.recv().await;
        // Report SIGINT, so that the exit code is the same on every system.
        2
    }
}
