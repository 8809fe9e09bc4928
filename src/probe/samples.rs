//! Images of this trial, made of others.

use bytes::Bytes;
use serde_json::{Value, json};

use super::check::CheckOutcome;
use super::report::{Probe, Sample, SampleManifest};
use crate::image::{ImageConfig, ImageManifest, Manifest, Reference, media_type};
use crate::registry::ErrorKind;
use crate::store::Error;

impl Probe<'_> {
    /// Reads the images, and pushes others with the same layers in both forms.
    pub(super) async fn images(&mut self, images: &[Reference]) -> Result<CheckOutcome, Error> {
        for (number, image) in images.iter().enumerate() {
            let fetched = self.client.fetch_manifest(image).await?;
            let Manifest::Image(manifest) = fetched.manifest else {
                let reason = "an index; the trial wants images".to_owned();
                return Err(Error::unsuitable(image, reason));
            };
            let config = self.client.fetch_config(image, &manifest.config).await?;
            // A config of its own makes its manifests the trial's own.
            let mut config: Value = serde_json::from_slice(&config).unwrap_or_default();
            if let Some(config) = config.as_object_mut() {
                config.insert("comment".into(), format!("a trial of manifest-tool, {} {number}", self.id).into());
            }
            let platform = serde_json::from_value::<ImageConfig>(config.clone()).unwrap_or_default().platform;
            let bytes = Bytes::from(config.to_string());
            let descriptor = match self.client.push_blob(&self.repository, media_type::OCI_CONFIG, bytes).await {
                Ok(descriptor) => descriptor,
                Err(error) if matches!(error.kind, ErrorKind::Stopped(_)) => return Err(error.into()),
                Err(error) => return Ok(CheckOutcome::fail(error.to_string())),
            };
            let oci =
                text(media_type::OCI_MANIFEST, &manifest, &json!(descriptor), "application/vnd.oci.image.layer.v1");
            let docker = json!({
                "mediaType": media_type::DOCKER_CONFIG,
                "size": descriptor.size,
                "digest": descriptor.digest,
            });
            let docker =
                text(media_type::DOCKER_MANIFEST, &manifest, &docker, "application/vnd.docker.image.rootfs.diff");
            self.samples.push(Sample { platform, oci, docker });
        }
        let mut refused = Vec::new();
        // Of each form.
        let mut accepted = [0; 2];
        for number in 0..self.samples.len() {
            let Some(Sample { oci, docker, .. }) = self.samples.get(number) else { break };
            for (text, accepted) in [oci.clone(), docker.clone()].into_iter().zip(&mut accepted) {
                let found = self.put(text.digest().as_str(), &text).await?;
                if !found.is_success() {
                    refused.push(format!("{}: {}", text.media_type, found.words));
                } else if let Err(reason) = self.read_back(text.digest().as_str(), &text).await? {
                    return Ok(CheckOutcome::fail(format!("{}: {}, but {reason}", text.media_type, found.words)));
                } else {
                    *accepted += 1;
                }
            }
        }
        refused.dedup();
        let count = self.samples.len();
        Ok(match refused.as_slice() {
            [] => CheckOutcome::pass(format!("{count} images, as Docker's and as OCI's")),
            // One form of them is enough.
            refused if accepted.contains(&count) => {
                CheckOutcome::pass(format!("{count} images; refused: {}", refused.join("; ")))
            }
            refused => CheckOutcome::unsupported(refused.join("; ")),
        })
    }
}

/// A manifest with the layers of another, called as this form calls them.
fn text(media_type: &'static str, of: &ImageManifest, config: &Value, layer: &str) -> SampleManifest {
    let dot = if media_type == media_type::OCI_MANIFEST { "+" } else { "." };
    let layers = of.layers.iter().map(|of| {
        let compression = match media_type::compression(&of.media_type) {
            Some(media_type::Compression::Gzip) => format!(".tar{dot}gzip"),
            Some(media_type::Compression::Zstd) => format!(".tar{dot}zstd"),
            _ => ".tar".to_owned(),
        };
        json!({"mediaType": format!("{layer}{compression}"), "size": of.size, "digest": of.digest})
    });
    let layers: Vec<Value> = layers.collect();
    let manifest = json!({"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": layers});
    SampleManifest { media_type, bytes: manifest.to_string().into() }
}
