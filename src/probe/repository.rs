//! Requests to the probed repository, as the distribution-spec defines them.

use std::time::{Duration, Instant};

use super::check::CheckOutcome;
use super::report::{Probe, SampleManifest};
use crate::registry::{Error, RawRequest, RawResponse, Verb};

/// How long to wait until a pushed tag can be read, or a deleted one is gone.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// The first wait between two reads. Each later wait is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(50);

impl Probe<'_> {
    pub(super) async fn send_raw(&self, request: RawRequest) -> Result<RawResponse, Error> {
        self.client.send_raw(&self.repository, &request).await
    }

    pub(super) async fn get(&self, name: &str) -> Result<RawResponse, Error> {
        self.send_raw(RawRequest::new(Verb::Get, format!("manifests/{name}"))).await
    }

    /// Returns the full name of a tag of this probe.
    pub(super) fn tag(&self, name: &str) -> String {
        format!("probe-{}-{name}", self.id)
    }

    /// Pushes a manifest by tag or digest.
    pub(super) async fn put(&mut self, name: &str, manifest: &SampleManifest) -> Result<RawResponse, Error> {
        let response = self.send_raw(RawRequest::put(name, manifest.media_type, manifest.bytes.clone())).await?;
        if response.is_success() && !self.pushed.contains(&manifest.digest()) {
            self.pushed.push(manifest.digest());
        }
        if response.is_success() && !name.contains(':') && !self.tags.iter().any(|tag| tag == name) {
            self.tags.push(name.to_owned());
        }
        Ok(response)
    }

    /// Pushes a manifest by tag and reads it back.
    pub(super) async fn round_trip(&mut self, tag: &str, manifest: &SampleManifest) -> Result<CheckOutcome, Error> {
        let response = self.put(tag, manifest).await?;
        if !response.is_success() {
            return Ok(CheckOutcome::refused(&response));
        }
        Ok(match self.read_back(tag, manifest).await? {
            Ok(_) => {
                if !self.readable_tags.iter().any(|readable| readable == tag) {
                    self.readable_tags.push(tag.to_owned());
                }
                CheckOutcome::pass(response.summary)
            }
            Err(reason) => CheckOutcome::fail(format!("{}, but {reason}", response.summary)),
        })
    }

    /// Waits until a tag or digest is gone, because a registry may have only accepted the deletion (202).
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

    /// Waits until a tag or digest reads back as pushed. Returns how long that took, or what differs.
    pub(super) async fn read_back(
        &self,
        name: &str,
        manifest: &SampleManifest,
    ) -> Result<Result<Duration, String>, Error> {
        let mut backoff = ReadBackoff::begin();
        loop {
            let elapsed = backoff.begun.elapsed();
            match difference(&self.get(name).await?, manifest) {
                None => return Ok(Ok(elapsed)),
                Some(reason) if backoff.is_over() => return Ok(Err(reason)),
                Some(_) => self.wait(&mut backoff).await?,
            }
        }
    }

    /// Waits before the next read.
    pub(super) async fn wait(&self, backoff: &mut ReadBackoff) -> Result<(), Error> {
        let stopped = |reason| Error::stopped(self.repository.to_string(), reason);
        self.client.cancel_token().run_until_cancelled(tokio::time::sleep(backoff.wait)).await.map_err(stopped)?;
        backoff.wait *= 2;
        Ok(())
    }
}

/// Doubling waits between reads of content that a registry may show with a delay.
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

/// Compares a response with a pushed manifest. Returns what differs, if anything.
pub(super) fn difference(response: &RawResponse, manifest: &SampleManifest) -> Option<String> {
    let content_type =
        response.header("content-type").and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    if response.status != 200 {
        Some(format!("it cannot be read: {}", response.summary))
    } else if response.body != manifest.bytes {
        Some("different bytes are read back".into())
    } else if content_type != manifest.media_type {
        Some(format!("it is read back as \"{content_type}\""))
    } else {
        None
    }
}
