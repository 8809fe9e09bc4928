//! What else a registry does, or does not.

use super::check::CheckOutcome;
use super::report::{Probe, SampleManifest};
use crate::image::{Descriptor, Digest};
use crate::registry::{Error, RawRequest, Verb};

impl Probe<'_> {
    /// An index of an image that is not there. The distribution-spec lets registries refuse it or not.
    pub(super) async fn missing_image(&mut self) -> Result<CheckOutcome, Error> {
        let index = self.any_index(0);
        let missing = Digest::sha256(self.id.as_bytes());
        let Some(image) = self.samples.first().map(|sample| sample.oci.digest()) else {
            return Ok(CheckOutcome::fail("there are no images"));
        };
        let text = String::from_utf8_lossy(&index.bytes).replace(image.as_str(), missing.as_str());
        let docker = self.samples.first().map(|sample| sample.docker.digest()).unwrap_or(image);
        let text = text.replace(docker.as_str(), missing.as_str());
        let text = SampleManifest { bytes: text.into(), ..index };
        let response = self.put(&self.tag("missing"), &text).await?;
        Ok(match response.status {
            200..=299 => CheckOutcome::unsupported(format!(
                "accepted: {}: whether images are there is not checked",
                response.words
            )),
            // Not for what is missing.
            401 | 403 | 408 | 429 => CheckOutcome::fail(response.words),
            400..=499 => CheckOutcome::pass(format!("refused: {}", response.words)),
            _ => CheckOutcome::fail(response.words),
        })
    }

    /// OCI distribution-spec, "Pulling manifests": a HEAD that tells digest and length.
    pub(super) async fn head(&mut self) -> Result<CheckOutcome, Error> {
        let (tag, index) = (self.tag("head"), self.any_index(7));
        let found = self.round_trip(&tag, &index).await?;
        if !found.is_pass() {
            return Ok(found);
        }
        let response = self.send_raw(RawRequest::new(Verb::Head, format!("manifests/{tag}"))).await?;
        if response.status != 200 {
            return Ok(CheckOutcome::refused(&response));
        }
        let digest = response.header("docker-content-digest");
        let length: Option<usize> = response.header("content-length").and_then(|length| length.parse().ok());
        Ok(match (digest, length) {
            (Some(found), _) if found != index.digest().as_str() => CheckOutcome::fail(format!("it says {found}")),
            (_, Some(found)) if found != index.bytes.len() && digest.is_some() => {
                CheckOutcome::fail(format!("it says {found} bytes, and there are {}", index.bytes.len()))
            }
            (Some(_), Some(_)) => CheckOutcome::pass("digest and length"),
            (Some(_), None) => CheckOutcome::unsupported("no length"),
            (None, _) => CheckOutcome::unsupported("no digest: the client reads the manifest"),
        })
    }

    /// OCI distribution-spec, "Mounting a blob from another repository".
    pub(super) async fn mount(&mut self, one_repository: bool) -> Result<CheckOutcome, Error> {
        if one_repository {
            return Ok(CheckOutcome::unsupported("not tried: there is one repository alone"));
        }
        let Some(config) = self.samples.first().and_then(|sample| config_of(&sample.oci.bytes)) else {
            return Ok(CheckOutcome::fail("there are no images"));
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
                let found = self.client.find_blob(&other, &config).await;
                self.mounted = Some((other, config.digest));
                match found {
                    Ok(_) => CheckOutcome::pass(response.words),
                    Err(error) => CheckOutcome::fail(format!("{}, but {error}", response.words)),
                }
            }
            202 => CheckOutcome::unsupported(format!("{}: not mounted, blobs are sent", response.words)),
            _ => CheckOutcome::refused(&response),
        })
    }

    /// OCI distribution-spec, "Error Codes".
    pub(super) async fn error_bodies(&mut self) -> Result<CheckOutcome, Error> {
        let response = self.get(&self.tag("nothing")).await?;
        if response.status != 404 {
            return Ok(CheckOutcome::fail(format!("a tag that is not there: {}", response.words)));
        }
        let body: serde_json::Value = serde_json::from_slice(&response.body).unwrap_or_default();
        let code = body.pointer("/errors/0/code").and_then(serde_json::Value::as_str).unwrap_or_default();
        Ok(match code {
            "MANIFEST_UNKNOWN" | "NAME_UNKNOWN" | "NOT_FOUND" => CheckOutcome::pass(response.words),
            "" => CheckOutcome::fail(format!("no code: {}", response.words)),
            _ => CheckOutcome::unsupported(format!("another code: {}", response.words)),
        })
    }

    /// Docker Hub's headers.
    pub(super) async fn rate_limit(&mut self) -> Result<CheckOutcome, Error> {
        let response = self.send_raw(RawRequest::new(Verb::Get, format!("manifests/{}", self.tag("head")))).await?;
        let said: Vec<String> = ["ratelimit-limit", "ratelimit-remaining"]
            .iter()
            .filter_map(|name| Some(format!("{name}: {}", response.header(name)?)))
            .collect();
        Ok(match said.is_empty() {
            true => CheckOutcome::unsupported("no headers tell of one"),
            false => CheckOutcome::pass(said.join(", ")),
        })
    }
}

/// The config that a manifest names.
fn config_of(manifest: &[u8]) -> Option<Descriptor> {
    serde_json::from_slice::<crate::image::ImageManifest>(manifest).ok().map(|manifest| manifest.config)
}
