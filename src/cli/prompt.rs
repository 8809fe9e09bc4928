use super::failure::Failure;

/// Prompts for a line at the terminal without echoing it.
pub(super) fn without_echo(prompt: String) -> Result<String, Failure> {
    let failed = |error: std::io::Error| Failure::new(format!("cannot read from the terminal: {error}"));
    // On Ctrl-C rpassword raises SIGINT before it restores the echo, and then returns an error. The handler keeps the
    // signal from ending the program before the echo is restored.
    #[cfg(unix)]
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    #[cfg(unix)]
    let _handler = {
        let _guard = runtime.enter();
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt()).map_err(failed)?
    };
    rpassword::prompt_password(prompt).map_err(|error| match error.kind() {
        std::io::ErrorKind::Interrupted => Failure::interrupted(),
        _ => failed(error),
    })
}
