use super::failure::Failure;

/// Asks at the terminal for a line that is not shown.
pub(super) fn without_echo(prompt: String) -> Result<String, Failure> {
    let failed = |error: std::io::Error| Failure::new(format!("cannot read from the terminal: {error}"));
    // At Ctrl-C rpassword raises SIGINT before it gives the echo back. That must not end the program at once; then it
    // comes back as an error.
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
