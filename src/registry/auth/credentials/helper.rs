use std::process::Stdio;

use futures_util::future::try_join3;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use super::login::{Login, LoginLookup, SourcedLogin};
use crate::image::one_line;
use crate::registry::error::CredentialOrigin;
use crate::registry::transport::redact::Secret;

/// The maximum output of a helper, in bytes.
const MAX_OUTPUT: u64 = 1 << 20;

/// Runs a command of a credential helper (docker-credential-helpers, "Development"). `file` is the configuration that
/// names the helper. Dropping the future kills the helper.
///
/// The inner result is the helper's stdout, or its stdout and stderr if it fails. Both may contain a secret.
///
/// # Errors
/// The helper cannot be run, or printed more than 1 MiB.
pub(super) async fn run(name: &str, verb: &str, input: &str, file: &str) -> Result<Result<String, String>, String> {
    // The name comes from a file, and must not start any other program.
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
        return Err(format!("{file}: \"{}\" is not the name of a credential helper", one_line(name)));
    }
    let program = format!("docker-credential-{name}");
    let not_run = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("{program}, which {file} names, is not on PATH"),
        std::io::ErrorKind::FileTooLarge => format!("{program}, which {file} names, printed more than 1 MiB"),
        _ => format!("{program}, which {file} names, cannot be run: {error}"),
    };
    let mut command = Command::new(&program);
    command.arg(verb).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(not_run)?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // A helper for a single host may close the pipe without reading it. That is not an error.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
        Ok(())
    };
    // Concurrently: a helper may print before it has read all of its input.
    let ((), stdout, stderr) = try_join3(write, read(stdout), read(stderr)).await.map_err(not_run)?;
    let status = child.wait().await.map_err(not_run)?;
    Ok(if status.success() { Ok(stdout) } else { Err(stdout + &stderr) })
}

/// Reads a pipe to its end, at most [`MAX_OUTPUT`] bytes.
async fn read(pipe: Option<impl AsyncRead + Unpin>) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(MAX_OUTPUT + 1).read_to_end(&mut bytes).await?;
    }
    if bytes.len() as u64 > MAX_OUTPUT {
        return Err(std::io::ErrorKind::FileTooLarge.into());
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Gets the credentials for a key from a helper. `file` is the configuration that names the helper.
pub(super) async fn get(key: &str, name: &str, file: &str) -> LoginLookup {
    // Some helpers print `{}` if they have no credentials for the host.
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct HelperOutput {
        #[serde(default)]
        username: String,
        #[serde(default = "empty_secret")]
        secret: Secret,
    }
    fn empty_secret() -> Secret {
        Secret::new("")
    }
    let output = match run(name, "get", key, file).await? {
        Ok(output) => output,
        Err(output) if is_not_found(&output) => return Ok(None),
        // The error does not quote the helper's output: it may contain a secret.
        Err(_) => return Err(format!("docker-credential-{name}, which {file} names, failed for {key}")),
    };
    let HelperOutput { username, secret } = serde_json::from_str(&output)
        .map_err(|_| format!("docker-credential-{name}, which {file} names, printed invalid JSON for {key}"))?;
    let login = match username.as_str() {
        "" if secret.reveal().is_empty() => return Ok(None),
        "<token>" => Login::IdentityToken(secret),
        _ => Login::Password { user: username, password: secret },
    };
    Ok(Some(SourcedLogin { login, origin: CredentialOrigin::file(format!("docker-credential-{name}")) }))
}

/// Whether a helper failed because it has no credentials for the host. Matches the text of docker-credential-helpers.
pub(super) fn is_not_found(output: &str) -> bool {
    output.contains("credentials not found")
}
