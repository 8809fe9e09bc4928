//! Writing to the repository and reading from it, as the specification has it.

use std::time::{Duration, Instant};

use super::check::CheckOutcome;
use super::report::{Probe, SampleManifest};
use crate::registry::{Error, RawRequest, RawResponse, Verb};

/// A tag that cannot be read for longer than this is not there.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// The first wait between two reads; each is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(50);

impl Probe<'_> {
    pub(super) async fn send_raw(&self, request: RawRequest) -> Result<RawResponse, Error> {
        self.client.send_raw(&self.repository, &request).await
    }

    pub(super) async fn get(&self, name: &str) -> Result<RawResponse, Error> {
        self.send_raw(RawRequest::new(Verb::Get, format!("manifests/{name}"))).await
    }

    /// A tag of this trial.
    pub(super) fn tag(&self, name: &str) -> String {
        format!("probe-{}-{name}", self.id)
    }

    /// Writes a manifest under a tag or its digest.
    pub(super) async fn put(&mut self, name: &str, text: &SampleManifest) -> Result<RawResponse, Error> {
        let response = self.send_raw(RawRequest::put(name, text.media_type, text.bytes.clone())).await?;
        if response.is_success() && !self.pushed.contains(&text.digest()) {
            self.pushed.push(text.digest());
        }
        if response.is_success() && !name.contains(':') && !self.tags.iter().any(|tag| tag == name) {
            self.tags.push(name.to_owned());
        }
        Ok(response)
    }

    /// Writes a manifest under a tag and reads it back.
    pub(super) async fn round_trip(&mut self, tag: &str, text: &SampleManifest) -> Result<CheckOutcome, Error> {
        let response = self.put(tag, text).await?;
        if !response.is_success() {
            return Ok(CheckOutcome::refused(&response));
        }
        Ok(match self.read_back(tag, text).await? {
            Ok(_) => {
                if !self.seen.iter().any(|seen| seen == tag) {
                    self.seen.push(tag.to_owned());
                }
                CheckOutcome::pass(response.words)
            }
            Err(reason) => CheckOutcome::fail(format!("{}, but {reason}", response.words)),
        })
    }

    /// Waits until a tag or digest is gone: a registry may only have accepted that it is to go (202).
    pub(super) async fn is_gone(&self, name: &str) -> Result<bool, Error> {
        let mut backoff = ReadBackoff::begin();
        loop {
            let is_gone = self.get(name).await?.status == 404;
            if is_gone || backoff.is_over() {
                return Ok(is_gone);
            }
            self.wait(&mut backoff).await?;
        }
    }

    /// Waits until a tag or digest reads back with these bytes: how long that took, or what is there instead.
    pub(super) async fn read_back(&self, name: &str, text: &SampleManifest) -> Result<Result<Duration, String>, Error> {
        let mut backoff = ReadBackoff::begin();
        loop {
            let asked = backoff.begun.elapsed();
            match differs(&self.get(name).await?, text) {
                None => return Ok(Ok(asked)),
                Some(reason) if backoff.is_over() => return Ok(Err(reason)),
                Some(_) => self.wait(&mut backoff).await?,
            }
        }
    }

    /// Before another look.
    pub(super) async fn wait(&self, backoff: &mut ReadBackoff) -> Result<(), Error> {
        let stopped = |reason| Error::stopped(self.repository.to_string(), reason);
        self.client.cancel_token().run_until_cancelled(tokio::time::sleep(backoff.wait)).await.map_err(stopped)?;
        backoff.wait *= 2;
        Ok(())
    }
}

/// Looks at what may take its time to be there, each after a wait twice as long.
pub(super) struct ReadBackoff {
    begun: Instant,
    wait: Duration,
}

impl ReadBackoff {
    pub(super) fn begin() -> Self {
        Self { begun: Instant::now(), wait: FIRST_WAIT }
    }

    pub(super) fn is_over(&self) -> bool {
        self.begun.elapsed() + self.wait > READ_TIMEOUT
    }
}

/// What an answer has in place of a manifest.
pub(super) fn differs(response: &RawResponse, text: &SampleManifest) -> Option<String> {
    let content_type =
        response.header("content-type").and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    if response.status != 200 {
        Some(format!("it cannot be read: {}", response.words))
    } else if response.body != text.bytes {
        Some("other bytes are read".into())
    } else if content_type != text.media_type {
        Some(format!("it is read as \"{content_type}\""))
    } else {
        None
    }
}
