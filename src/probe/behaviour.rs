//! Checks of missing images, HEAD, mounts, error bodies and rate limits.

use super::check::CheckOutcome;
use super::report::{Probe, SampleManifest};
use crate::image::{Descriptor, Digest};
use crate::registry::{Error, RawRequest, Verb};

impl Probe<'_> {
    /// Pushes an index that refers to a missing image. The distribution-spec allows registries to refuse it or accept
    /// it.
    pub(super) async fn missing_image(&mut self) -> Result<CheckOutcome, Error> {
        let index = self.any_index(0);
        let missing = Digest::sha256(self.id.as_bytes());
        let Some(image) = self.samples.first().map(|sample| sample.oci.digest()) else {
            return Ok(CheckOutcome::fail("no images to check with"));
        };
        let text = String::from_utf8_lossy(&index.bytes).replace(image.as_str(), missing.as_str());
        let docker = self.samples.first().map(|sample| sample.docker.digest()).unwrap_or(image);
        let text = text.replace(docker.as_str(), missing.as_str());
        let manifest = SampleManifest { bytes: text.into(), ..index };
        let response = self.put(&self.tag("missing"), &manifest).await?;
        Ok(match response.status {
            200..=299 => CheckOutcome::unsupported(format!(
                "accepted: {}; the registry does not check that images exist",
                response.summary
            )),
            // Refused for a reason other than the missing image.
            401 | 403 | 408 | 429 => CheckOutcome::fail(response.summary),
            400..=499 => CheckOutcome::pass(format!("refused: {}", response.summary)),
            _ => CheckOutcome::fail(response.summary),
        })
    }

    /// Checks that HEAD reports digest and length (OCI distribution-spec, "Pulling manifests").
    pub(super) async fn head(&mut self) -> Result<CheckOutcome, Error> {
        let (tag, index) = (self.tag("head"), self.any_index(7));
        let outcome = self.round_trip(&tag, &index).await?;
        if !outcome.is_pass() {
            return Ok(outcome);
        }
        let response = self.send_raw(RawRequest::new(Verb::Head, format!("manifests/{tag}"))).await?;
        if response.status != 200 {
            return Ok(CheckOutcome::refused(&response));
        }
        let digest = response.header("docker-content-digest");
        let length: Option<usize> = response.header("content-length").and_then(|length| length.parse().ok());
        Ok(match (digest, length) {
            (Some(digest), _) if digest != index.digest().as_str() => {
                CheckOutcome::fail(format!("Docker-Content-Digest is {digest}"))
            }
            (_, Some(length)) if length != index.bytes.len() && digest.is_some() => CheckOutcome::fail(format!(
                "Content-Length is {length}, but the manifest has {} bytes",
                index.bytes.len()
            )),
            (Some(_), Some(_)) => CheckOutcome::pass("digest and length"),
            (Some(_), None) => CheckOutcome::unsupported("no Content-Length"),
            (None, _) => CheckOutcome::unsupported("no Docker-Content-Digest; the client reads the manifest instead"),
        })
    }

    /// Mounts a config into another repository (OCI distribution-spec, "Mounting a blob from another repository").
    pub(super) async fn mount(&mut self, one_repository: bool) -> Result<CheckOutcome, Error> {
        if one_repository {
            return Ok(CheckOutcome::unsupported("not tried: it needs a second repository"));
        }
        let Some(config) = self.samples.first().and_then(|sample| config_of(&sample.oci.bytes)) else {
            return Ok(CheckOutcome::fail("no images to check with"));
        };
        let other = format!("{}/{}-mount", self.repository.registry(), self.repository.repository());
        let other = match other.parse::<crate::image::Reference>() {
            Ok(other) => other,
            Err(error) => return Ok(CheckOutcome::unsupported(error.to_string())),
        };
        let from = self.repository.repository().to_owned();
        let target = format!("blobs/uploads/?mount={}&from={from}", config.digest);
        let request = RawRequest { from: Some(from), ..RawRequest::new(Verb::Post, target) };
        let response = self.client.send_raw(&other, &request).await?;
        if response.status == 202
            && let Some(session) = &response.location
        {
            let _ = self.client.send_raw(&other, &RawRequest::new(Verb::Delete, session.as_str())).await;
        }
        Ok(match response.status {
            201 => {
                let blob = self.client.find_blob(&other, &config).await;
                self.mounted = Some((other, config.digest));
                match blob {
                    Ok(_) => CheckOutcome::pass(response.summary),
                    Err(error) => CheckOutcome::fail(format!("{}, but {error}", response.summary)),
                }
            }
            202 => CheckOutcome::unsupported(format!("{}: not mounted; blobs are uploaded", response.summary)),
            _ => CheckOutcome::refused(&response),
        })
    }

    /// Checks the error code for a missing tag (OCI distribution-spec, "Error Codes").
    pub(super) async fn error_bodies(&mut self) -> Result<CheckOutcome, Error> {
        let response = self.get(&self.tag("nothing")).await?;
        if response.status != 404 {
            return Ok(CheckOutcome::fail(format!("a missing tag: {}", response.summary)));
        }
        let body: serde_json::Value = serde_json::from_slice(&response.body).unwrap_or_default();
        let code = body.pointer("/errors/0/code").and_then(serde_json::Value::as_str).unwrap_or_default();
        Ok(match code {
            "MANIFEST_UNKNOWN" | "NAME_UNKNOWN" | "NOT_FOUND" => CheckOutcome::pass(response.summary),
            "" => CheckOutcome::fail(format!("no error code: {}", response.summary)),
            _ => CheckOutcome::unsupported(format!("unexpected error code: {}", response.summary)),
        })
    }

    /// Checks for the rate limit headers of Docker Hub.
    pub(super) async fn rate_limit(&mut self) -> Result<CheckOutcome, Error> {
        let response = self.send_raw(RawRequest::new(Verb::Get, format!("manifests/{}", self.tag("head")))).await?;
        let headers: Vec<String> = ["ratelimit-limit", "ratelimit-remaining"]
            .iter()
            .filter_map(|name| Some(format!("{name}: {}", response.header(name)?)))
            .collect();
        Ok(match headers.is_empty() {
            true => CheckOutcome::unsupported("no rate limit headers"),
            false => CheckOutcome::pass(headers.join(", ")),
        })
    }
}

/// Returns the config descriptor of a manifest.
fn config_of(manifest: &[u8]) -> Option<Descriptor> {
    serde_json::from_slice::<crate::image::ImageManifest>(manifest).ok().map(|manifest| manifest.config)
}
