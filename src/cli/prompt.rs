use super::failure::Failure;

/// Asks for a line at the terminal without showing it.
pub(super) fn without_echo(prompt: String) -> Result<String, Failure> {
    let failed = |error: std::io::Error| Failure::new(format!("cannot read from the terminal: {error}"));
    // At Ctrl-C rpassword raises SIGINT before it restores the echo, and returns an error afterwards. The signal must not
    // end the program before that.
    #[cfg(unix)]
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    #[cfg(unix)]
    let _heard = {
        let _inside = runtime.enter();
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt()).map_err(failed)?
    };
    rpassword::prompt_password(prompt).map_err(|error| match error.kind() {
        std::io::ErrorKind::Interrupted => Failure::interrupted(),
        _ => failed(error),
    })
}
