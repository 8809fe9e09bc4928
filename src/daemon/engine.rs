use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::time::Duration;

use futures_util::stream;
use serde::Deserialize;

use super::host::{self, Host};
use crate::image::UntrustedText;

/// Docker's engine. Its API has no sign-in: access to its socket is the permission.
pub(crate) struct Engine {
    client: reqwest::Client,
    /// The start of every URL.
    api: String,
    /// The engine, for messages.
    name: String,
}

/// Why the engine did not export or load an image.
#[derive(Debug)]
pub(crate) struct Error {
    /// What failed, in the engine's words where it answered.
    pub(crate) reason: UntrustedText,
    /// Whether the engine has no such image.
    pub(crate) is_missing: bool,
}

/// The body of a failed request, and each line of the answer to a load. A load is answered with 200 even if it fails.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    message: Option<UntrustedText>,
    #[serde(default)]
    error: Option<UntrustedText>,
}

/// How long the engine may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the engine may send nothing. It prepares an image of many GB before it sends the first byte.
const READ_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// The maximum size of an answer that is not an image, in bytes.
const MAX_ANSWER: usize = 1 << 20;
/// Bytes of an archive per read.
const CHUNK_SIZE: usize = 256 << 10;

impl Engine {
    /// Reads `DOCKER_HOST`, `DOCKER_TLS_VERIFY` and `DOCKER_CERT_PATH`. Sends no request.
    ///
    /// # Errors
    /// A variable has a value that is not supported, or a certificate cannot be read.
    pub(crate) fn from_environment() -> Result<Self, Error> {
        let (name, host) = Host::from_environment().map_err(Error::new)?;
        let certificates = host::certificates().map_err(Error::new)?;
        let tls = host::tls(certificates.as_deref()).map_err(Error::new)?;
        let builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .user_agent(concat!("manifest-tool/", env!("CARGO_PKG_VERSION")));
        let (builder, api) = match host {
            Host::Tcp(address) => {
                let scheme = if certificates.is_some() { "https" } else { "http" };
                (builder, format!("{scheme}://{address}"))
            }
            Host::Socket(path) => (on_socket(builder, &path)?, "http://docker".to_owned()),
        };
        let client = builder.build().map_err(|error| Error::new(error.to_string()))?;
        Ok(Self { client, api, name })
    }

    /// Exports an image by name or ID into a temporary file, as `docker save` does.
    ///
    /// # Errors
    /// The engine cannot be reached or does not have the image, or the file cannot be written.
    pub(crate) async fn export(&self, image: &str) -> Result<File, Error> {
        let request = self.client.get(format!("{}/images/{image}/get", self.api));
        let mut response = self.answered(request).await?;
        let written = |error: std::io::Error| Error::new(format!("cannot store the image: {error}"));
        let mut file = tempfile::tempfile().map_err(written)?;
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            file.write_all(&chunk).map_err(written)?;
        }
        file.rewind().map_err(written)?;
        Ok(file)
    }

    /// Loads the images of an archive, as `docker load` does.
    ///
    /// # Errors
    /// The engine cannot be reached, or it refuses the archive.
    pub(crate) async fn load(&self, archive: File) -> Result<(), Error> {
        let length = archive.metadata().map_err(|error| Error::new(error.to_string()))?.len();
        let chunks = stream::try_unfold(archive, |mut archive| async move {
            let mut chunk = vec![0; CHUNK_SIZE];
            // File reads never yield, so yield here to let other tasks and signal handlers run.
            tokio::task::yield_now().await;
            let read = archive.read(&mut chunk)?;
            chunk.truncate(read);
            Ok::<_, std::io::Error>((read > 0).then_some((chunk, archive)))
        });
        let request = self
            .client
            .post(format!("{}/images/load?quiet=1", self.api))
            .header("content-type", "application/x-tar")
            .header("content-length", length)
            .body(reqwest::Body::wrap_stream(chunks));
        let mut response = self.answered(request).await?;
        let body = self.body(&mut response).await?;
        for answer in serde_json::Deserializer::from_slice(&body).into_iter::<Answer>() {
            let answer = answer.map_err(|error| Error::new(format!("the engine's answer is not valid: {error}")))?;
            if let Some(error) = answer.error {
                return Err(Error::new(format!("the engine did not load it: {error}")));
            }
        }
        Ok(())
    }

    /// Sends a request, and fails unless the answer is a success.
    async fn answered(&self, request: reqwest::RequestBuilder) -> Result<reqwest::Response, Error> {
        let mut response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = self.body(&mut response).await.unwrap_or_default();
        let message = serde_json::from_slice::<Answer>(&body).ok().and_then(|answer| answer.message);
        let message = message.map_or_else(String::new, |message| format!(": {message}"));
        let reason = format!("the engine at {} answered {}{message}", self.name, status.as_u16());
        Err(Error { is_missing: status == 404, ..Error::new(reason) })
    }

    async fn body(&self, response: &mut reqwest::Response) -> Result<Vec<u8>, Error> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_ANSWER {
                return Err(Error::new(format!("the engine's answer has more than {MAX_ANSWER} bytes")));
            }
        }
        Ok(body)
    }

    /// Returns the error of a request without an answer. Its last cause says why.
    fn unreachable(&self, error: &reqwest::Error) -> Error {
        let mut cause: &dyn std::error::Error = error;
        while let Some(next) = cause.source() {
            cause = next;
        }
        let hint = if error.is_connect() { "; is the engine running, and DOCKER_HOST right?" } else { "" };
        Error::new(format!("the engine at {}: {cause}{hint}", self.name))
    }
}

#[cfg(unix)]
fn on_socket(builder: reqwest::ClientBuilder, path: &std::path::Path) -> Result<reqwest::ClientBuilder, Error> {
    Ok(builder.unix_socket(path))
}

#[cfg(not(unix))]
fn on_socket(_: reqwest::ClientBuilder, _: &std::path::Path) -> Result<reqwest::ClientBuilder, Error> {
    Err(Error::new("unix:// works on Unix only; set DOCKER_HOST=tcp://HOST:PORT".to_owned()))
}

impl Error {
    fn new(reason: impl Into<UntrustedText>) -> Self {
        Self { reason: reason.into(), is_missing: false }
    }
}
