use std::process::Stdio;

use futures_util::future::try_join3;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use super::login::{Login, LoginLookup, SourcedLogin};
use crate::image::one_line;
use crate::registry::error::CredentialOrigin;
use crate::registry::transport::redact::Secret;

/// The longest output of a helper that is read; bytes.
const MAX_OUTPUT: u64 = 1 << 20;

/// Runs a credential helper's verb (docker-credential-helpers, "Development"). `file` is what named the helper.
/// Dropping the future kills it.
///
/// The inner result is what the helper printed; where it failed, all that it said. Both may hold a secret.
///
/// # Errors
/// The helper could not be run, or printed more than 1 MiB.
pub(super) async fn run(name: &str, verb: &str, input: &str, file: &str) -> Result<Result<String, String>, String> {
    // The name comes from a file, and must not name any other program.
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
        return Err(format!("{file}: \"{}\" is not the name of a credential helper", one_line(name)));
    }
    let program = format!("docker-credential-{name}");
    let not_run = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("{program}, which {file} names, is not on PATH"),
        std::io::ErrorKind::FileTooLarge => format!("{program}, which {file} names, printed more than 1 MiB"),
        _ => format!("{program}, which {file} names, could not be run: {error}"),
    };
    let mut command = Command::new(&program);
    command.arg(verb).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(not_run)?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // A helper that does not read, because it has only one host, closes the pipe. That is not an error.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
        Ok(())
    };
    // At once: a helper may print before it has read everything.
    let ((), printed, complained) = try_join3(write, read(stdout), read(stderr)).await.map_err(not_run)?;
    let status = child.wait().await.map_err(not_run)?;
    Ok(if status.success() { Ok(printed) } else { Err(printed + &complained) })
}

/// Reads all that comes out of a pipe.
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

/// Asks a helper for the credentials of a key. `file` is what named the helper.
pub(super) async fn get(key: &str, name: &str, file: &str) -> LoginLookup {
    // `{}` is what some helpers answer without credentials for the host.
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct HelperOutput {
        #[serde(default)]
        username: String,
        #[serde(default = "no_secret")]
        secret: Secret,
    }
    fn no_secret() -> Secret {
        Secret::new("")
    }
    let response = match run(name, "get", key, file).await? {
        Ok(response) => response,
        Err(said) if is_not_found(&said) => return Ok(None),
        // What a helper says is not passed on: it may hold a secret.
        Err(_) => return Err(format!("docker-credential-{name}, which {file} names, failed for {key}")),
    };
    let HelperOutput { username, secret } = serde_json::from_str(&response).map_err(|_| {
        format!("docker-credential-{name}, which {file} names, gave an answer for {key} that cannot be read")
    })?;
    let login = match username.as_str() {
        "" if secret.reveal().is_empty() => return Ok(None),
        "<token>" => Login::IdentityToken(secret),
        _ => Login::Password { user: username, password: secret },
    };
    Ok(Some(SourcedLogin { login, origin: CredentialOrigin::file(format!("docker-credential-{name}")) }))
}

/// Whether a helper that failed has nothing for the host: the words of docker-credential-helpers.
pub(super) fn is_not_found(said: &str) -> bool {
    said.contains("credentials not found")
}
