//! Writes signatures where clients look for them: Sigstore bundles as referrers, and payloads in cosign's tag.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde_json::{Value, json};

use super::signatures::{BUNDLE_PREDICATE, MAX_SIGNATURES, signature_tag};
use super::{Error, IfMatch, OnStep, Run};
use crate::event::Step;
use crate::image::{Annotations, Descriptor, Digest, Fetched, Location, MAX_MANIFEST, Manifest, Timestamp, media_type};
use crate::signature::{bundle, simple_signing};

/// The maximum number of attempts to write a list or a tag that other processes write as well.
const MAX_ATTEMPTS: usize = 20;
/// The time after which a tag is read back, because a registry has no conditional writes.
const SETTLING_TIME: Duration = Duration::from_secs(1);
/// The media type of a config without content (OCI image-spec, "Guidance for an Empty Descriptor").
const EMPTY_CONFIG: &str = "application/vnd.oci.empty.v1+json";
/// The annotation of a manifest with a Sigstore bundle: what the bundle holds.
const BUNDLE_CONTENT: &str = "dev.sigstore.bundle.content";
/// The annotation with the creation date of a manifest (OCI image-spec, "Pre-Defined Annotation Keys").
const CREATED: &str = "org.opencontainers.image.created";

/// A signature that was written.
#[derive(Debug)]
pub(crate) struct WrittenSignature {
    /// The digest of the manifest that holds it.
    pub(crate) manifest: Digest,
    /// Why the list or tag with the signature was not read back, such as a stopped run. Another process may have
    /// overwritten it.
    pub(crate) unconfirmed: Option<Error>,
}

impl Run {
    /// Writes a bundle with a signature of `subject` as a referrer. The manifest is listed after it and its blobs are
    /// written.
    ///
    /// # Errors
    /// The registry or layout cannot be written, or the list of referrers cannot be updated.
    pub(crate) async fn attach_bundle(
        &self,
        at: &Location,
        subject: &Descriptor,
        content: Bytes,
        on_step: OnStep<'_>,
    ) -> Result<WrittenSignature, Error> {
        let config = self.push_blob(at, EMPTY_CONFIG, Bytes::from_static(b"{}"), on_step).await?;
        let layer = self.push_blob(at, bundle::MEDIA_TYPE, content, on_step).await?;
        let subject = Descriptor { size: subject.size, ..Descriptor::new(&subject.media_type, subject.digest.clone()) };
        let annotations = annotations();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_MANIFEST,
            "artifactType": bundle::MEDIA_TYPE,
            "config": config,
            "layers": [layer],
            "subject": subject,
            "annotations": annotations,
        });
        let bytes = Bytes::from(manifest.to_string());
        let descriptor = descriptor(media_type::OCI_MANIFEST, &bytes);
        let manifest = descriptor.digest.clone();
        self.push_manifest(&at.with_digest(manifest.clone()), &descriptor, &bytes, None).await?;
        on_step(Step::Manifest(manifest.clone()));
        let listed = [Descriptor { artifact_type: Some(bundle::MEDIA_TYPE.into()), annotations, ..descriptor }];
        let unconfirmed = self.settle(at, async || self.list_referrers(at, &subject.digest, &listed).await).await?;
        Ok(WrittenSignature { manifest, unconfirmed })
    }

    /// Adds a signed payload to the signatures in the tag that cosign names after `subject`. Keeps the other signatures.
    ///
    /// # Errors
    /// The registry or layout cannot be written, the tag holds other content, or it is full.
    pub(crate) async fn append_signature(
        &self,
        at: &Location,
        subject: &Digest,
        payload: Bytes,
        signature: &str,
        on_step: OnStep<'_>,
    ) -> Result<WrittenSignature, Error> {
        let tag = at.with_tag(&signature_tag(subject));
        let mut layer = self.push_blob(at, simple_signing::MEDIA_TYPE, payload, on_step).await?;
        layer.annotations.insert(simple_signing::SIGNATURE_ANNOTATION.into(), signature.into());
        let mut written = None;
        let append = async || {
            let digest = self.append_to_tag(&tag, &layer, on_step).await?;
            let is_written = digest.is_some();
            written = digest.or(written.take());
            Ok(is_written)
        };
        let unconfirmed = self.settle(at, append).await?;
        let manifest = written.ok_or_else(|| Error::unsuitable(&tag, "it was not written"))?;
        Ok(WrittenSignature { manifest, unconfirmed })
    }

    /// Adds a payload to the manifest in a tag. Returns the digest of the new manifest, or `None` if the tag already has
    /// the payload.
    async fn append_to_tag(
        &self,
        tag: &Location,
        layer: &Descriptor,
        on_step: OnStep<'_>,
    ) -> Result<Option<Digest>, Error> {
        let current = self.store.fetch_current(tag).await?;
        let before = current.as_ref().map_or(IfMatch::Missing, |it| IfMatch::Digest(it.descriptor.digest.clone()));
        let mut signatures = match &current {
            Some(current) if holds(current, layer) => return Ok(None),
            Some(current) => self.existing(tag, current).await?,
            None => TaggedSignatures::default(),
        };
        let unchangeable = || Error::unsuitable(tag, "it cannot be changed: its config is not a JSON object");
        signatures.add(layer).ok_or_else(unchangeable)?;
        let bytes = Bytes::from(signatures.config.to_string());
        let config = self.push_blob(&tag.without_name(), &signatures.config_type, bytes, on_step).await?;
        if let Some(manifest) = signatures.manifest.as_object_mut() {
            manifest.insert("config".into(), json!(config));
        }
        let bytes = Bytes::from(signatures.manifest.to_string());
        if bytes.len() as u64 > MAX_MANIFEST {
            return Err(Error::unsuitable(tag, format!("it would have more than {MAX_MANIFEST} bytes")));
        }
        let descriptor = descriptor(&signatures.media_type, &bytes);
        self.push_manifest(tag, &descriptor, &bytes, Some(&before)).await?;
        on_step(Step::Tag(tag.clone()));
        Ok(Some(descriptor.digest))
    }

    /// Returns existing signatures.
    async fn existing(&self, tag: &Location, current: &Fetched) -> Result<TaggedSignatures, Error> {
        let unsuitable = |reason: String| Error::unsuitable(tag, reason);
        let other = || unsuitable("this tag must hold signatures, but it holds other content".into());
        let Manifest::Image(image) = &current.manifest else { return Err(other()) };
        let is_signature = |layer: &Descriptor| layer.media_type == simple_signing::MEDIA_TYPE;
        if !image.layers.iter().all(is_signature) || !media_type::is_config(&image.config.media_type) {
            return Err(other());
        }
        if image.layers.len() >= MAX_SIGNATURES {
            return Err(unsuitable(format!("it already has {MAX_SIGNATURES} signatures, the most that are read")));
        }
        let config = self.store.fetch_config(tag, &image.config).await?;
        let parse = |bytes: &Bytes| {
            serde_json::from_slice(bytes).map_err(|error| unsuitable(format!("it cannot be changed: {error}")))
        };
        Ok(TaggedSignatures {
            media_type: current.descriptor.media_type.as_str().into(),
            manifest: parse(&current.bytes)?,
            config_type: image.config.media_type.as_str().into(),
            config: parse(&config)?,
            layers: image.layers.clone(),
        })
    }

    /// Writes until a later look finds that the tag still has what was written. `write` returns whether it wrote a tag:
    /// another process that read the tag before may overwrite it. Returns why a written tag was not read back, if it was
    /// not.
    async fn settle(
        &self,
        at: &Location,
        mut write: impl AsyncFnMut() -> Result<bool, Error>,
    ) -> Result<Option<Error>, Error> {
        let mut has_written = false;
        for retries_left in (0..MAX_ATTEMPTS).rev() {
            let wait = match write().await {
                Ok(false) => return Ok(None),
                Ok(true) if at.reference().is_none() || self.is_dry => return Ok(None),
                Ok(true) => {
                    has_written = true;
                    SETTLING_TIME
                }
                // The tag has other content now: the signature may be lost.
                Err(error) if error.is_conflict() && retries_left > 0 => {
                    has_written = false;
                    // Writers that retry at the same moment would disturb each other again.
                    SETTLING_TIME.mul_f64(fastrand::f64())
                }
                Err(error) if has_written => return Ok(Some(error)),
                Err(error) => return Err(error),
            };
            let sleep = tokio::time::sleep(wait);
            let slept = self.store.client().cancel_token().run_until_cancelled(sleep).await;
            if let Err(reason) = slept {
                let stopped = Error::Stopped { subject: at.to_string(), reason };
                return if has_written { Ok(Some(stopped)) } else { Err(stopped) };
            }
        }
        Err(Error::unsuitable(at, format!("other processes overwrote the signature {MAX_ATTEMPTS} times")))
    }
}

/// The content of a tag with signatures.
struct TaggedSignatures {
    media_type: String,
    manifest: Value,
    config_type: String,
    config: Value,
    /// The payloads.
    layers: Vec<Descriptor>,
}

impl Default for TaggedSignatures {
    /// Returns a manifest without layers, and the config of an image without platform.
    fn default() -> Self {
        Self {
            media_type: media_type::OCI_MANIFEST.into(),
            manifest: json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": {}, "layers": []}),
            config_type: media_type::OCI_CONFIG.into(),
            config: json!({"architecture": "", "os": "", "config": {}, "rootfs": {"type": "layers", "diff_ids": []}}),
            layers: Vec::new(),
        }
    }
}

impl TaggedSignatures {
    /// Adds a payload to the layers. Returns `None` if the config is not a JSON object.
    fn add(&mut self, layer: &Descriptor) -> Option<()> {
        let mut layers = std::mem::take(self.manifest.as_object_mut()?.entry("layers").or_insert_with(|| json!([])));
        match layers.as_array_mut() {
            Some(list) => list.push(json!(layer)),
            None => layers = json!([layer]),
        }
        self.manifest.as_object_mut()?.insert("layers".into(), layers);
        self.layers.push(layer.clone());
        // cosign lists the payloads in the config like layers that are not compressed.
        let diff_ids: Vec<&Digest> = self.layers.iter().map(|layer| &layer.digest).collect();
        let rootfs = self.config.as_object_mut()?.entry("rootfs").or_insert(Value::Null);
        match rootfs.as_object_mut() {
            Some(rootfs) => drop(rootfs.insert("diff_ids".into(), json!(diff_ids))),
            None => *rootfs = json!({"type": "layers", "diff_ids": diff_ids}),
        }
        Some(())
    }
}

/// Whether the manifest in a tag has a payload with this signature.
fn holds(current: &Fetched, layer: &Descriptor) -> bool {
    let Manifest::Image(image) = &current.manifest else { return false };
    image.layers.iter().any(|other| other.digest == layer.digest && other.annotations == layer.annotations)
}

fn descriptor(media_type: &str, bytes: &Bytes) -> Descriptor {
    Descriptor { size: bytes.len() as u64, ..Descriptor::new(media_type, Digest::sha256(bytes)) }
}

/// Returns the annotations that cosign gives to the manifest of a bundle.
fn annotations() -> Annotations {
    let fixed = [(BUNDLE_CONTENT, "dsse-envelope".into()), (BUNDLE_PREDICATE, bundle::SIGN_PREDICATE.into())];
    fixed
        .into_iter()
        .chain(now().map(|now| (CREATED, now)))
        .map(|(key, value): (&str, String)| (key.into(), value.into()))
        .collect()
}

/// Returns the current time, if the system's clock is right.
fn now() -> Option<String> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
    Some(Timestamp::from_unix_seconds(i64::try_from(seconds).ok()?)?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adding_a_payload_completes_the_lists_of_the_config_and_the_manifest() {
        let layers = [b"a", b"b"].map(|payload| Descriptor::new(simple_signing::MEDIA_TYPE, Digest::sha256(payload)));
        let digests = json!([layers[0].digest, layers[1].digest]);
        for config in [
            json!({}),
            json!({"rootfs": null}),
            json!({"rootfs": {}}),
            json!({"rootfs": {"diff_ids": null}}),
            json!({"rootfs": {"type": "layers", "diff_ids": []}}),
        ] {
            let manifest = json!({"layers": [layers[0]]});
            let existing = vec![layers[0].clone()];
            let mut signatures = TaggedSignatures { manifest, config, layers: existing, ..Default::default() };
            signatures.add(&layers[1]).unwrap();
            assert_eq!(signatures.config["rootfs"]["diff_ids"], digests);
            assert_eq!(signatures.manifest["layers"][1], json!(layers[1]));
        }
        for manifest in [json!({}), json!({"layers": null})] {
            let mut signatures = TaggedSignatures { manifest, ..Default::default() };
            signatures.add(&layers[0]).unwrap();
            assert_eq!(signatures.manifest["layers"], json!([layers[0]]));
        }
        let mut signatures = TaggedSignatures { config: json!([]), ..Default::default() };
        assert_eq!(signatures.add(&layers[0]), None);
    }
}
