use bytes::Bytes;
use reqwest::header::HeaderMap;
use reqwest::{Response, Version};

use super::connections::reason_of;
use super::error::{Error, ErrorKind};
use crate::image::Digest;

/// Manifests larger than this are not read (4 MiB is what registries take).
pub(super) const MAX_MANIFEST: usize = 8 << 20;
/// Configs larger than this are not read.
pub(super) const MAX_CONFIG: usize = 8 << 20;
/// Tokens and error bodies larger than this are not read.
pub(super) const MAX_TALK: usize = 1 << 20;

/// A registry's answer, its body read.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) version: Version,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// The host that answered, where the registry redirected to another.
    pub(super) elsewhere: Option<String>,
}

/// Why there is no answer, and whether another try may bring one.
pub(super) struct Trouble {
    pub(super) error: Error,
    pub(super) transient: bool,
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self { error, transient: false }
    }
}

impl Answer {
    /// Reads the body, up to `limit` bytes; of one that says what is wrong, its beginning.
    pub(super) async fn read(
        mut response: Response,
        limit: usize,
        subject: &str,
        elsewhere: Option<String>,
    ) -> Result<Self, Trouble> {
        let (status, version) = (response.status().as_u16(), response.version());
        let headers = std::mem::take(response.headers_mut());
        let limit = if status >= 400 { MAX_TALK } else { limit };
        let body = match read_body(response, limit, subject).await {
            Err(trouble) if status >= 400 && !trouble.transient => Bytes::new(),
            body => body?,
        };
        Ok(Self { status, version, headers, body, elsewhere })
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The digest that the registry names in `Docker-Content-Digest`, if it is one.
    pub(super) fn digest(&self) -> Option<Digest> {
        Digest::parse(self.header("docker-content-digest")?.trim()).ok()
    }

    /// What an answer of 400 and above says.
    pub(super) fn error(&self, subject: &str) -> Error {
        let error = Error::answer(subject, self.status, &self.body);
        match &self.elsewhere {
            None => error,
            // Not the registry's doing, and nothing that signing in would mend.
            Some(host) => Error::new(subject, ErrorKind::Protocol(format!("{}: {error}", redirected(host)))),
        }
    }
}

/// Reads a whole body, up to `limit` bytes counted as they arrive, whatever Content-Length says.
async fn read_body(mut response: Response, limit: usize, subject: &str) -> Result<Bytes, Trouble> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > limit => {
                return Err(Error::new(subject, ErrorKind::TooLarge { limit }).into());
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body.into()),
            // It broke off.
            Err(error) => {
                let error = Error::new(subject, ErrorKind::Transport(reason_of(&error)));
                return Err(Trouble { error, transient: true });
            }
        }
    }
}

/// How messages name a host that the registry redirects to.
pub(super) fn redirected(host: &str) -> String {
    format!("at {host}, to which the registry redirects")
}
