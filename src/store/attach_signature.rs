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

impl Run {
    /// Writes a bundle with a signature of `subject` as a referrer, and returns the digest of its manifest. The manifest
    /// is listed after it and its blobs are written.
    ///
    /// # Errors
    /// The registry or layout cannot be written, or the list of referrers cannot be updated.
    pub(crate) async fn attach_bundle(
        &self,
        at: &Location,
        subject: &Descriptor,
        content: Bytes,
        on_step: OnStep<'_>,
    ) -> Result<Digest, Error> {
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
        let descriptor = descriptor(&bytes);
        let digest = descriptor.digest.clone();
        self.push_manifest(&at.with_digest(digest.clone()), &descriptor, &bytes, None).await?;
        on_step(Step::Manifest(digest.clone()));
        let listed = [Descriptor { artifact_type: Some(bundle::MEDIA_TYPE.into()), annotations, ..descriptor }];
        self.settle(at, async || self.list_referrers(at, &subject.digest, &listed).await).await?;
        Ok(digest)
    }

    /// Adds a signed payload to the signatures in the tag that cosign names after `subject`, and returns the digest of the
    /// tag's manifest. Keeps the other signatures.
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
    ) -> Result<Digest, Error> {
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
        self.settle(at, append).await?;
        written.ok_or_else(|| Error::unsuitable(&tag, "it was not written"))
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
        let (mut config, mut manifest, before) = match &current {
            Some(current) if holds(current, layer) => return Ok(None),
            Some(current) => {
                let (config, manifest) = self.existing(tag, current).await?;
                (config, manifest, IfMatch::Digest(current.descriptor.digest.clone()))
            }
            None => (empty_image(), empty_manifest(), IfMatch::Missing),
        };
        // cosign lists the payloads in the config like layers that are not compressed.
        push(config.pointer_mut("/rootfs/diff_ids"), json!(layer.digest));
        push(manifest.pointer_mut("/layers"), json!(layer));
        let bytes = Bytes::from(config.to_string());
        let config = self.push_blob(&tag.without_name(), media_type::OCI_CONFIG, bytes, on_step).await?;
        if let Some(field) = manifest.pointer_mut("/config") {
            *field = json!(config);
        }
        let bytes = Bytes::from(manifest.to_string());
        if bytes.len() as u64 > MAX_MANIFEST {
            return Err(Error::unsuitable(tag, format!("it would have more than {MAX_MANIFEST} bytes")));
        }
        let descriptor = descriptor(&bytes);
        self.push_manifest(tag, &descriptor, &bytes, Some(&before)).await?;
        on_step(Step::Tag(tag.clone()));
        Ok(Some(descriptor.digest))
    }

    /// Returns the config and the manifest of existing signatures.
    async fn existing(&self, tag: &Location, current: &Fetched) -> Result<(Value, Value), Error> {
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
        Ok((parse(&config)?, parse(&current.bytes)?))
    }

    /// Writes until a later look finds that the tag still has what was written. `write` returns whether it wrote a tag:
    /// another process that read the tag before may overwrite it.
    async fn settle(&self, at: &Location, mut write: impl AsyncFnMut() -> Result<bool, Error>) -> Result<(), Error> {
        for retries_left in (0..MAX_ATTEMPTS).rev() {
            let wait = match write().await {
                Ok(false) => return Ok(()),
                Ok(true) if at.reference().is_none() => return Ok(()),
                Ok(true) => SETTLING_TIME,
                // Writers that retry at the same moment would disturb each other again.
                Err(error) if error.is_conflict() && retries_left > 0 => SETTLING_TIME.mul_f64(fastrand::f64()),
                Err(error) => return Err(error),
            };
            let stopped = |reason| Error::Stopped { subject: at.to_string(), reason };
            let sleep = tokio::time::sleep(wait);
            self.store.client().cancel_token().run_until_cancelled(sleep).await.map_err(stopped)?;
        }
        Err(Error::unsuitable(at, format!("other processes overwrote the signature {MAX_ATTEMPTS} times")))
    }
}

/// Whether the manifest in a tag has a payload with this signature.
fn holds(current: &Fetched, layer: &Descriptor) -> bool {
    let Manifest::Image(image) = &current.manifest else { return false };
    image.layers.iter().any(|other| other.digest == layer.digest && other.annotations == layer.annotations)
}

fn push(list: Option<&mut Value>, value: Value) {
    if let Some(list) = list.and_then(Value::as_array_mut) {
        list.push(value);
    }
}

/// Returns the config of an image without layers and platform.
fn empty_image() -> Value {
    json!({"architecture": "", "os": "", "config": {}, "rootfs": {"type": "layers", "diff_ids": []}})
}

/// Returns a manifest without layers, whose config is still to be set.
fn empty_manifest() -> Value {
    json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": {}, "layers": []})
}

fn descriptor(bytes: &Bytes) -> Descriptor {
    let size = bytes.len() as u64;
    Descriptor { size, ..Descriptor::new(media_type::OCI_MANIFEST, Digest::sha256(bytes)) }
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
