//! Builds the sample images of the probe from existing images.

use bytes::Bytes;
use serde_json::{Value, json};

use super::check::CheckOutcome;
use super::report::{Probe, Sample, SampleManifest};
use crate::image::{ImageConfig, ImageManifest, Manifest, Reference, media_type};
use crate::registry::ErrorKind;
use crate::store::Error;

impl Probe<'_> {
    /// Reads the images, and pushes new ones with the same layers as OCI and as Docker manifests.
    pub(super) async fn push_samples(&mut self, images: &[Reference]) -> Result<CheckOutcome, Error> {
        for (number, image) in images.iter().enumerate() {
            let fetched = self.client.fetch_manifest(image).await?;
            let Manifest::Image(manifest) = fetched.manifest else {
                let reason = "it is an index; probe needs images".to_owned();
                return Err(Error::unsuitable(image, reason));
            };
            let config = self.client.fetch_config(image, &manifest.config).await?;
            // A unique config gives unique manifests, so that cleaning up deletes only what the probe pushed.
            let mut config: Value = serde_json::from_slice(&config).unwrap_or_default();
            if let Some(config) = config.as_object_mut() {
                config.insert("comment".into(), format!("manifest-tool probe {} {number}", self.id).into());
            }
            let platform = serde_json::from_value::<ImageConfig>(config.clone()).unwrap_or_default().platform;
            let bytes = Bytes::from(config.to_string());
            let descriptor = match self.client.push_blob(&self.repository, media_type::OCI_CONFIG, bytes).await {
                Ok(descriptor) => descriptor,
                Err(error) if matches!(error.kind, ErrorKind::Stopped(_)) => return Err(error.into()),
                Err(error) => return Ok(CheckOutcome::fail(error.to_string())),
            };
            let oci = manifest_of(
                media_type::OCI_MANIFEST,
                &manifest,
                &json!(descriptor),
                "application/vnd.oci.image.layer.v1",
            );
            let docker = json!({
                "mediaType": media_type::DOCKER_CONFIG,
                "size": descriptor.size,
                "digest": descriptor.digest,
            });
            let docker = manifest_of(
                media_type::DOCKER_MANIFEST,
                &manifest,
                &docker,
                "application/vnd.docker.image.rootfs.diff",
            );
            self.samples.push(Sample { platform, oci, docker });
        }
        let mut refused = Vec::new();
        // Number of accepted OCI and Docker manifests.
        let mut accepted = [0; 2];
        for number in 0..self.samples.len() {
            let Some(Sample { oci, docker, .. }) = self.samples.get(number) else { break };
            for (manifest, accepted) in [oci.clone(), docker.clone()].into_iter().zip(&mut accepted) {
                let response = self.put(manifest.digest().as_str(), &manifest).await?;
                if !response.is_success() {
                    refused.push(format!("{}: {}", manifest.media_type, response.summary));
                } else if let Err(reason) = self.read_back(manifest.digest().as_str(), &manifest).await? {
                    return Ok(CheckOutcome::fail(format!(
                        "{}: {}, but {reason}",
                        manifest.media_type, response.summary
                    )));
                } else {
                    *accepted += 1;
                }
            }
        }
        refused.dedup();
        let count = self.samples.len();
        Ok(match refused.as_slice() {
            [] => CheckOutcome::pass(format!("{count} images, in Docker and OCI form")),
            // One of the two forms is enough.
            refused if accepted.contains(&count) => {
                CheckOutcome::pass(format!("{count} images; refused: {}", refused.join("; ")))
            }
            refused => CheckOutcome::unsupported(refused.join("; ")),
        })
    }
}

/// Builds a manifest of a media type from the layers of an image, with the layer types of that form.
fn manifest_of(media_type: &'static str, image: &ImageManifest, config: &Value, layer: &str) -> SampleManifest {
    let dot = if media_type == media_type::OCI_MANIFEST { "+" } else { "." };
    let layers = image.layers.iter().map(|descriptor| {
        let compression = match media_type::compression(&descriptor.media_type) {
            Some(media_type::Compression::Gzip) => format!(".tar{dot}gzip"),
            Some(media_type::Compression::Zstd) => format!(".tar{dot}zstd"),
            _ => ".tar".to_owned(),
        };
        json!({"mediaType": format!("{layer}{compression}"), "size": descriptor.size, "digest": descriptor.digest})
    });
    let layers: Vec<Value> = layers.collect();
    let manifest = json!({"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": layers});
    SampleManifest { media_type, bytes: manifest.to_string().into() }
}
