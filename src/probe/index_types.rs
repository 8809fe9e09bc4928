//! Checks of every kind of index.

use serde_json::{Value, json};

use super::check::CheckOutcome;
use super::report::{Probe, Sample, SampleManifest};
use super::repository::ReadBackoff;
use crate::event::{Check, Verdict};
use crate::image::{
    Annotations, Descriptor, Index, IndexKind, Platform, REFERENCE_DIGEST, REFERENCE_TYPE, index_bytes, media_type,
};
use crate::registry::{Error, RawRequest, Verb};

/// The annotation on the indexes and entries of the probe.
const ANNOTATION: &str = "org.opencontainers.image.title";

impl Probe<'_> {
    pub(super) async fn docker_list(&mut self) -> Result<CheckOutcome, Error> {
        let list = index_manifest(IndexKind::Docker, self.entries(|sample| &sample.docker));
        self.round_trip(&self.tag("docker-list"), &list).await
    }

    pub(super) async fn oci_index(&mut self) -> Result<CheckOutcome, Error> {
        let index = index_manifest(IndexKind::Oci, self.entries(|sample| &sample.oci));
        self.round_trip(&self.tag("oci-index"), &index).await
    }

    pub(super) async fn docker_in_oci(&mut self) -> Result<CheckOutcome, Error> {
        let index = index_manifest(IndexKind::Oci, self.entries(|sample| &sample.docker));
        self.round_trip(&self.tag("docker-in-oci"), &index).await
    }

    pub(super) async fn oci_in_docker(&mut self) -> Result<CheckOutcome, Error> {
        let index = index_manifest(IndexKind::Docker, self.entries(|sample| &sample.oci));
        self.round_trip(&self.tag("oci-in-docker"), &index).await
    }

    pub(super) async fn index_annotations(&mut self) -> Result<CheckOutcome, Error> {
        let index = Index { annotations: annotations("a probe"), ..self.entries(|sample| &sample.oci) };
        self.round_trip(&self.tag("annotated"), &index_manifest(IndexKind::Oci, index)).await
    }

    pub(super) async fn entry_annotations(&mut self) -> Result<CheckOutcome, Error> {
        let mut index = self.entries(|sample| &sample.oci);
        index.manifests.iter_mut().for_each(|entry| entry.annotations.extend(annotations("an entry")));
        self.round_trip(&self.tag("entries"), &index_manifest(IndexKind::Oci, index)).await
    }

    pub(super) async fn nested(&mut self) -> Result<CheckOutcome, Error> {
        let inner = self.any_index(10);
        let response = self.put(inner.digest().as_str(), &inner).await?;
        if !response.is_success() {
            return Ok(CheckOutcome::refused(&response));
        }
        let mut outer = self.entries(|sample| &sample.oci);
        outer.manifests.push(inner.descriptor());
        self.round_trip(&self.tag("nested"), &index_manifest(IndexKind::Oci, outer)).await
    }

    /// Pushes an index with an attestation in the form that BuildKit writes.
    pub(super) async fn attestations(&mut self) -> Result<CheckOutcome, Error> {
        let mut index = self.entries(|sample| &sample.oci);
        let Some((image, sample)) = index.manifests.first().cloned().zip(self.samples.first()) else {
            return Ok(CheckOutcome::fail("no images to check with"));
        };
        let mut manifest: Value = serde_json::from_slice(&sample.oci.bytes).unwrap_or_default();
        for layer in manifest.get_mut("layers").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(layer) = layer.as_object_mut() {
                layer.insert("mediaType".into(), "application/vnd.in-toto+json".into());
                layer.insert(
                    "annotations".into(),
                    json!({"in-toto.io/predicate-type": "https://slsa.dev/provenance/v1"}),
                );
            }
        }
        let statement = SampleManifest { media_type: media_type::OCI_MANIFEST, bytes: manifest.to_string().into() };
        let response = self.put(statement.digest().as_str(), &statement).await?;
        if !response.is_success() {
            return Ok(CheckOutcome::refused(&response));
        }
        let unknown = Platform { os: "unknown".into(), architecture: "unknown".into(), ..Platform::default() };
        let marks = [(REFERENCE_TYPE, "attestation-manifest"), (REFERENCE_DIGEST, image.digest.as_str())];
        let annotations = marks.map(|(key, value)| (key.into(), value.into())).into();
        index.manifests.push(Descriptor { platform: Some(unknown), annotations, ..statement.descriptor() });
        self.round_trip(&self.tag("attested"), &index_manifest(IndexKind::Oci, index)).await
    }

    pub(super) async fn artifact_type(&mut self) -> Result<CheckOutcome, Error> {
        let kind = Some("application/vnd.example.trial.v1".into());
        let index = Index { artifact_type: kind, ..self.entries(|sample| &sample.oci) };
        self.round_trip(&self.tag("artifact"), &index_manifest(IndexKind::Oci, index)).await
    }

    /// Returns an index that refers to an image as its subject, and the descriptor of the image.
    fn referrer(&self) -> Option<(SampleManifest, Descriptor)> {
        let subject = self.samples.first()?.oci.descriptor();
        let kind = Some("application/vnd.example.trial.v1".into());
        let index = self.entries(|sample| &sample.oci);
        let index = Index { subject: Some(Box::new(subject.clone())), artifact_type: kind, ..index };
        Some((index_manifest(IndexKind::Oci, index), subject))
    }

    /// Pushes an index with a subject (OCI distribution-spec, "Pushing Manifests with Subject").
    pub(super) async fn subject(&mut self) -> Result<CheckOutcome, Error> {
        let Some((manifest, subject)) = self.referrer() else {
            return Ok(CheckOutcome::fail("no images to check with"));
        };
        let tag = self.tag("subject");
        let response = self.put(&tag, &manifest).await?;
        if !response.is_success() {
            return Ok(CheckOutcome::refused(&response));
        }
        if let Err(reason) = self.read_back(&tag, &manifest).await? {
            return Ok(CheckOutcome::fail(format!("{}, but {reason}", response.summary)));
        }
        Ok(match response.header("oci-subject") {
            Some(digest) if digest == subject.digest.as_str() => {
                CheckOutcome::pass(format!("{}, with OCI-Subject", response.summary))
            }
            Some(_) => CheckOutcome::fail(format!("{}, with a different OCI-Subject", response.summary)),
            None => CheckOutcome::unsupported(format!(
                "{}, without OCI-Subject: the client maintains the list",
                response.summary
            )),
        })
    }

    /// Lists the referrers of an image (OCI distribution-spec, "Listing Referrers").
    pub(super) async fn referrers(&mut self) -> Result<CheckOutcome, Error> {
        let Some((manifest, subject)) = self.referrer() else {
            return Ok(CheckOutcome::fail("no images to check with"));
        };
        let response = self.put(manifest.digest().as_str(), &manifest).await?;
        if !response.is_success() {
            return Ok(CheckOutcome::refused(&response));
        }
        let response = self.send_raw(RawRequest::new(Verb::Get, format!("referrers/{}", subject.digest))).await?;
        if response.status != 200 {
            let refused = CheckOutcome::refused(&response);
            // Fall back to the referrers tag.
            let list = self.any_index(11);
            let tag = self.round_trip(&subject.digest.referrers_tag(), &list).await?;
            let (reason, tag_reason) = (refused.reason, tag.reason);
            return Ok(match tag.verdict {
                Verdict::Pass => {
                    CheckOutcome { reason: format!("{reason}: the referrers tag works").into(), ..refused }
                }
                _ => CheckOutcome::fail(format!("{reason}, and the referrers tag fails: {tag_reason}")),
            });
        }
        if let Err(error) = serde_json::from_slice::<Index>(&response.body) {
            return Ok(CheckOutcome::fail(format!("HTTP 200, but the response is not an index: {error}")));
        }
        // The list may have pages, and may lag behind the push.
        let mut backoff = ReadBackoff::begin();
        loop {
            let listed = self.client.referrers(&self.repository, &subject.digest).await?.unwrap_or_default();
            if listed.iter().any(|entry| entry.digest == manifest.digest()) {
                return Ok(CheckOutcome::pass("the registry lists the pushed referrer"));
            }
            if backoff.is_over() {
                return Ok(CheckOutcome::fail("HTTP 200, but the list lacks the pushed referrer"));
            }
            self.wait(&mut backoff).await?;
        }
    }

    /// Returns an index in a form that the registry accepts. Each number gives a different digest, because it appends
    /// that many line breaks.
    pub(super) fn any_index(&self, number: usize) -> SampleManifest {
        let is = |check: &Check, name| check.name == name && check.verdict == Verdict::Pass;
        let accepts = |name| self.report.checks.iter().any(|check| is(check, name));
        let manifest = match accepts("OCI index") || !accepts("Docker manifest list") {
            true => index_manifest(IndexKind::Oci, self.entries(|sample| &sample.oci)),
            false => index_manifest(IndexKind::Docker, self.entries(|sample| &sample.docker)),
        };
        SampleManifest { bytes: [&manifest.bytes[..], &vec![b'\n'; number]].concat().into(), ..manifest }
    }

    /// Returns an index of the sample images in the given form.
    fn entries(&self, form: impl Fn(&Sample) -> &SampleManifest) -> Index {
        let entry =
            |sample: &Sample| Descriptor { platform: Some(sample.platform.clone()), ..form(sample).descriptor() };
        Index { manifests: self.samples.iter().map(entry).collect(), ..Index::default() }
    }
}

fn index_manifest(kind: IndexKind, index: Index) -> SampleManifest {
    let media_type = match kind {
        IndexKind::Docker => media_type::DOCKER_LIST,
        IndexKind::Oci => media_type::OCI_INDEX,
    };
    // Serialization cannot fail: the index has only text and numbers.
    SampleManifest { media_type, bytes: index_bytes(kind, &index).unwrap_or_default().into() }
}

fn annotations(value: &str) -> Annotations {
    Annotations::from([(ANNOTATION.into(), value.into())])
}
