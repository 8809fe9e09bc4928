//! Indexes of every kind.

use serde_json::{Value, json};

use super::check::CheckOutcome;
use super::report::{Probe, Sample, SampleManifest};
use super::repository::ReadBackoff;
use crate::event::{Check, Verdict};
use crate::image::{
    Annotations, Descriptor, Index, IndexKind, Platform, REFERENCE_DIGEST, REFERENCE_TYPE, index_bytes, media_type,
};
use crate::registry::{Error, RawRequest, Verb};

/// What the trial's indexes are annotated with.
const ANNOTATION: &str = "org.opencontainers.image.title";

impl Probe<'_> {
    pub(super) async fn docker_list(&mut self) -> Result<CheckOutcome, Error> {
        let list = write(IndexKind::Docker, self.entries(|sample| &sample.docker));
        self.round_trip(&self.tag("docker-list"), &list).await
    }

    pub(super) async fn oci_index(&mut self) -> Result<CheckOutcome, Error> {
        let index = write(IndexKind::Oci, self.entries(|sample| &sample.oci));
        self.round_trip(&self.tag("oci-index"), &index).await
    }

    pub(super) async fn docker_in_oci(&mut self) -> Result<CheckOutcome, Error> {
        let index = write(IndexKind::Oci, self.entries(|sample| &sample.docker));
        self.round_trip(&self.tag("docker-in-oci"), &index).await
    }

    pub(super) async fn oci_in_docker(&mut self) -> Result<CheckOutcome, Error> {
        let index = write(IndexKind::Docker, self.entries(|sample| &sample.oci));
        self.round_trip(&self.tag("oci-in-docker"), &index).await
    }

    pub(super) async fn index_annotations(&mut self) -> Result<CheckOutcome, Error> {
        let index = Index { annotations: annotations("a trial"), ..self.entries(|sample| &sample.oci) };
        self.round_trip(&self.tag("annotated"), &write(IndexKind::Oci, index)).await
    }

    pub(super) async fn entry_annotations(&mut self) -> Result<CheckOutcome, Error> {
        let mut index = self.entries(|sample| &sample.oci);
        index.manifests.iter_mut().for_each(|entry| entry.annotations.extend(annotations("an entry")));
        self.round_trip(&self.tag("entries"), &write(IndexKind::Oci, index)).await
    }

    pub(super) async fn nested(&mut self) -> Result<CheckOutcome, Error> {
        let inner = self.any_index(10);
        let response = self.put(inner.digest().as_str(), &inner).await?;
        if !response.is_success() {
            return Ok(CheckOutcome::refused(&response));
        }
        let mut outer = self.entries(|sample| &sample.oci);
        outer.manifests.push(inner.descriptor());
        self.round_trip(&self.tag("nested"), &write(IndexKind::Oci, outer)).await
    }

    /// An attestation, and an entry for it, as BuildKit writes them.
    pub(super) async fn attestations(&mut self) -> Result<CheckOutcome, Error> {
        let mut index = self.entries(|sample| &sample.oci);
        let Some((image, sample)) = index.manifests.first().cloned().zip(self.samples.first()) else {
            return Ok(CheckOutcome::fail("there are no images"));
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
        self.round_trip(&self.tag("attested"), &write(IndexKind::Oci, index)).await
    }

    pub(super) async fn artifact_type(&mut self) -> Result<CheckOutcome, Error> {
        let kind = Some("application/vnd.example.trial.v1".into());
        let index = Index { artifact_type: kind, ..self.entries(|sample| &sample.oci) };
        self.round_trip(&self.tag("artifact"), &write(IndexKind::Oci, index)).await
    }

    /// An index that refers to an image.
    fn referrer(&self) -> Option<(SampleManifest, Descriptor)> {
        let subject = self.samples.first()?.oci.descriptor();
        let kind = Some("application/vnd.example.trial.v1".into());
        let index = self.entries(|sample| &sample.oci);
        let index = Index { subject: Some(Box::new(subject.clone())), artifact_type: kind, ..index };
        Some((write(IndexKind::Oci, index), subject))
    }

    /// OCI distribution-spec, "Pushing Manifests with Subject".
    pub(super) async fn subject(&mut self) -> Result<CheckOutcome, Error> {
        let Some((text, subject)) = self.referrer() else { return Ok(CheckOutcome::fail("there are no images")) };
        let tag = self.tag("subject");
        let response = self.put(&tag, &text).await?;
        if !response.is_success() {
            return Ok(CheckOutcome::refused(&response));
        }
        if let Err(reason) = self.read_back(&tag, &text).await? {
            return Ok(CheckOutcome::fail(format!("{}, but {reason}", response.words)));
        }
        Ok(match response.header("oci-subject") {
            Some(found) if found == subject.digest.as_str() => {
                CheckOutcome::pass(format!("{}, with OCI-Subject", response.words))
            }
            Some(_) => CheckOutcome::fail(format!("{}, with another OCI-Subject", response.words)),
            None => {
                CheckOutcome::unsupported(format!("{}, without OCI-Subject: the client keeps the list", response.words))
            }
        })
    }

    /// OCI distribution-spec, "Listing Referrers".
    pub(super) async fn referrers(&mut self) -> Result<CheckOutcome, Error> {
        let Some((text, subject)) = self.referrer() else { return Ok(CheckOutcome::fail("there are no images")) };
        let response = self.put(text.digest().as_str(), &text).await?;
        if !response.is_success() {
            return Ok(CheckOutcome::refused(&response));
        }
        let response = self.send_raw(RawRequest::new(Verb::Get, format!("referrers/{}", subject.digest))).await?;
        if response.status != 200 {
            let refused = CheckOutcome::refused(&response);
            // Then the tag that stands for the list has to do.
            let list = self.any_index(11);
            let tag = self.round_trip(&subject.digest.referrers_tag(), &list).await?;
            let (reason, why) = (refused.reason, tag.reason);
            return Ok(match tag.verdict {
                Verdict::Pass => {
                    CheckOutcome { reason: format!("{reason}: the tag sha256-... holds the list").into(), ..refused }
                }
                _ => CheckOutcome::fail(format!("{reason}, and the tag sha256-... cannot hold the list: {why}")),
            });
        }
        if let Err(error) = serde_json::from_slice::<Index>(&response.body) {
            return Ok(CheckOutcome::fail(format!("HTTP 200, but the list is none: {error}")));
        }
        // It may have pages, and may take its time.
        let mut backoff = ReadBackoff::begin();
        loop {
            let listed = self.client.referrers(&self.repository, &subject.digest).await?.unwrap_or_default();
            if listed.iter().any(|entry| entry.digest == text.digest()) {
                return Ok(CheckOutcome::pass("the registry lists what was pushed with a subject"));
            }
            if backoff.is_over() {
                return Ok(CheckOutcome::fail("HTTP 200, but what was pushed with a subject is not in the list"));
            }
            self.wait(&mut backoff).await?;
        }
    }

    /// An index in a form that the registry takes. Each number gives another one, by what is behind its end.
    pub(super) fn any_index(&self, number: usize) -> SampleManifest {
        let is = |check: &Check, name| check.name == name && check.verdict == Verdict::Pass;
        let takes = |name| self.report.checks.iter().any(|check| is(check, name));
        let text = match takes("OCI index") || !takes("Docker manifest list") {
            true => write(IndexKind::Oci, self.entries(|sample| &sample.oci)),
            false => write(IndexKind::Docker, self.entries(|sample| &sample.docker)),
        };
        SampleManifest { bytes: [&text.bytes[..], &vec![b'\n'; number]].concat().into(), ..text }
    }

    /// The images of this trial.
    fn entries(&self, form: impl Fn(&Sample) -> &SampleManifest) -> Index {
        let entry =
            |sample: &Sample| Descriptor { platform: Some(sample.platform.clone()), ..form(sample).descriptor() };
        Index { manifests: self.samples.iter().map(entry).collect(), ..Index::default() }
    }
}

fn write(kind: IndexKind, index: Index) -> SampleManifest {
    let media_type = match kind {
        IndexKind::Docker => media_type::DOCKER_LIST,
        IndexKind::Oci => media_type::OCI_INDEX,
    };
    // Nothing in it cannot be written.
    SampleManifest { media_type, bytes: index_bytes(kind, &index).unwrap_or_default().into() }
}

fn annotations(value: &str) -> Annotations {
    Annotations::from([(ANNOTATION.into(), value.into())])
}
