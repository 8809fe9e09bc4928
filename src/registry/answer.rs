use bytes::Bytes;
use reqwest::Response;
use tokio::sync::OwnedSemaphorePermit;

use super::connections::reason_of;
use super::error::{Error, ErrorKind};
use crate::image::Digest;

/// Manifests larger than this are not read (4 MiB is what registries take).
pub(super) const MAX_MANIFEST: usize = 8 << 20;
/// Configs larger than this are not read.
pub(super) const MAX_CONFIG: usize = 8 << 20;
/// Tokens and error bodies larger than this are not read.
pub(super) const MAX_TALK: usize = 1 << 20;

/// A registry's answer. It counts as under way until its body is read or it is dropped.
pub(super) struct Answer {
    response: Response,
    /// The host that answered, where the registry redirected to another.
    pub(super) elsewhere: Option<String>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Answer {
    pub(super) fn new(response: Response, elsewhere: Option<String>) -> Self {
        Self { response, elsewhere, permit: None }
    }

    pub(super) fn under(self, permit: Option<OwnedSemaphorePermit>) -> Self {
        Self { permit, ..self }
    }

    /// It is kept for what it says; another request may be sent.
    pub(super) fn release(&mut self) {
        self.permit = None;
    }
}

impl std::ops::Deref for Answer {
    type Target = Response;

    fn deref(&self) -> &Response {
        &self.response
    }
}

/// Reads a whole body, up to `limit` bytes counted as they arrive, whatever Content-Length says.
pub(super) async fn read_body(mut answer: Answer, limit: usize, subject: &str) -> Result<Bytes, Error> {
    let mut body = Vec::new();
    loop {
        match answer.response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > limit => {
                return Err(Error::new(subject, ErrorKind::TooLarge { limit }));
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body.into()),
            Err(error) => return Err(Error::new(subject, ErrorKind::Transport(reason_of(&error)))),
        }
    }
}

/// How messages name a host that the registry redirects to.
pub(super) fn redirected(host: &str) -> String {
    format!("at {host}, to which the registry redirects")
}

/// What an answer of 400 and above says.
pub(super) async fn read_error(answer: Answer, subject: &str) -> Error {
    let (status, elsewhere) = (answer.status().as_u16(), answer.elsewhere.clone());
    let body = read_body(answer, MAX_TALK, subject).await.unwrap_or_default();
    let error = Error::answer(subject, status, &body);
    match elsewhere {
        None => error,
        // Not the registry's doing, and nothing that signing in would mend.
        Some(host) => Error::new(subject, ErrorKind::Protocol(format!("{}: {error}", redirected(&host)))),
    }
}

/// The digest that the registry names in `Docker-Content-Digest`, if it is one.
pub(super) fn header_digest(response: &Response) -> Option<Digest> {
    let value = response.headers().get("docker-content-digest")?.to_str().ok()?;
    Digest::parse(value.trim()).ok()
}
