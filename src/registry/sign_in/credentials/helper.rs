use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::image::one_line;

/// Runs a credential helper's verb (docker-credential-helpers, "Development"). `file` is what named it.
///
/// The inner result is what it printed; where it failed, all that it said. Both may hold a secret. The outer error is
/// that it could not be run.
pub(super) fn run(name: &str, verb: &str, input: &str, file: &str) -> Result<Result<String, String>, String> {
    // The name comes from a file, and must not name any other program.
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
        return Err(format!("{file}: \"{}\" is not the name of a credential helper", one_line(name)));
    }
    let program = format!("docker-credential-{name}");
    let not_run = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("{program}, which {file} names, is not on PATH"),
        _ => format!("{program}, which {file} names, could not be run: {error}"),
    };
    let mut child = Command::new(&program)
        .arg(verb)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(not_run)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read, because it has one host alone, closes the pipe; that is no error.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(not_run)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stdout) + &text(&output.stderr))
    })
}

/// Whether a helper that failed has nothing for the host: the words of docker-credential-helpers.
pub(super) fn is_not_found(said: &str) -> bool {
    said.contains("credentials not found")
}
