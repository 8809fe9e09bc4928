//! Results for programs: the parts of the JSON documents that `--output json` prints. The README describes them; a key
//! that is there stays, in its meaning, as long as `version` is 1.

use serde::Serialize;
use serde_json::{Value, json};

use super::words::warning_text;
use crate::assemble::{Change, Report, Volume};
use crate::event::Skipped;
use crate::image::{Annotations, Descriptor, REFERENCE_DIGEST, UntrustedText};
use crate::inspect::{Child, Content, Image, Inspection};
use crate::query::Query;
use crate::store::{TagOutcome, TagReport};

/// Annotation of an in-toto statement (BuildKit, "Attestation storage").
const PREDICATE_TYPE: &str = "in-toto.io/predicate-type";

/// A document of a command.
#[must_use]
pub(crate) fn document(command: &str, parts: Value) -> Value {
    let mut out = json!({"version": 1, "command": command});
    merge(&mut out, parts);
    out
}

/// Puts the keys of one object to those of another.
pub(crate) fn merge(into: &mut Value, parts: Value) {
    if let (Some(into), Value::Object(parts)) = (into.as_object_mut(), parts) {
        into.extend(parts);
    }
}

/// Type, digest and size.
#[must_use]
pub(crate) fn descriptor_json(descriptor: &Descriptor) -> Value {
    json!({"digest": descriptor.digest, "size": descriptor.size, "mediaType": descriptor.media_type})
}

/// What became of tags.
#[must_use]
pub(crate) fn tags_json(tags: &[TagReport]) -> Value {
    let tag = |report: &TagReport| {
        let mut tag = json!({
            "reference": report.location,
            "tag": report.location.tag(),
            "state": state(report.outcome),
        });
        if let Some(was) = &report.was {
            merge(&mut tag, json!({"was": was}));
        }
        tag
    };
    tags.iter().map(tag).collect()
}

/// The word for what became of a tag.
pub(super) fn state(outcome: TagOutcome) -> &'static str {
    match outcome {
        TagOutcome::Created => "created",
        TagOutcome::Updated => "updated",
        TagOutcome::Written => "written",
        TagOutcome::Unchanged => "unchanged",
        TagOutcome::Failed => "failed",
        TagOutcome::Unknown => "unknown",
    }
}

/// An index that was pushed, or would be.
#[must_use]
pub(crate) fn index_json(outcome: &Report) -> Value {
    let plan = &outcome.plan;
    let mut out = json!({"reference": plan.target});
    merge(&mut out, descriptor_json(&plan.descriptor));
    let entries = plan.entries.iter().map(|entry| {
        let mut out = entry_json(&entry.descriptor);
        let is_pushed = outcome.placement.manifests.contains(&entry.descriptor.digest);
        merge(&mut out, json!({"source": entry.source, "manifest": if is_pushed { "pushed" } else { "there" }}));
        if let Some(change) = &entry.change {
            merge(&mut out, change_json(change));
        }
        out
    });
    let placement = &outcome.placement;
    merge(
        &mut out,
        json!({
            "changed": outcome.has_moved(),
            "tags": tags_json(&outcome.tags),
            "entries": entries.collect::<Vec<_>>(),
            "skipped": outcome.skipped.iter().map(skipped_json).collect::<Vec<_>>(),
            "warnings": plan.warnings.iter().map(warning_text).collect::<Vec<_>>(),
            "blobs": {
                "there": volume_json(placement.existing),
                "mounted": volume_json(placement.mounted),
                "sent": volume_json(placement.uploaded),
            },
        }),
    );
    if let Some(removed) = &plan.removed {
        merge(&mut out, json!({"removed": removed.iter().map(entry_json).collect::<Vec<_>>()}));
    }
    out
}

fn volume_json(volume: Volume) -> Value {
    json!({"count": volume.blobs, "bytes": volume.bytes})
}

fn skipped_json(skipped: &Skipped) -> Value {
    let Skipped { platform, reference, reason } = skipped;
    json!({"platform": platform, "reference": reference, "reason": reason})
}

fn change_json(change: &Change) -> Value {
    match change {
        Change::Added => json!({"change": "added"}),
        Change::Replaced(digest) => json!({"change": "replaced", "replaces": digest}),
        Change::Unchanged => json!({"change": "unchanged"}),
    }
}

/// An entry of an index.
fn entry_json(entry: &Descriptor) -> Value {
    let mut out = json!({"platform": entry.platform});
    merge(&mut out, descriptor_json(entry));
    if entry.is_attestation() {
        merge(&mut out, json!({"attests": entry.annotations.get(REFERENCE_DIGEST)}));
    }
    if !entry.annotations.is_empty() {
        merge(&mut out, json!({"annotations": entry.annotations}));
    }
    out
}

/// What `query` found.
#[must_use]
pub(crate) fn query_json(name: impl Serialize, query: &Query) -> Value {
    let mut out = json!({"reference": name});
    merge(&mut out, descriptor_json(&query.descriptor));
    merge(&mut out, json!({"index": query.is_index, "platforms": query.platforms}));
    out
}

/// What `inspect` found.
#[must_use]
pub(crate) fn inspection_parts(name: &str, inspection: &Inspection) -> Value {
    let mut out = json!({"reference": name});
    merge(&mut out, descriptor_json(&inspection.descriptor));
    let parts = match &inspection.content {
        Content::Image(image) => {
            let mut parts = json!({"platform": image.platform()});
            merge(&mut parts, image_json(image));
            merge(&mut parts, of_manifest(image.manifest.artifact_type.as_ref(), &image.manifest.annotations));
            parts
        }
        Content::Index(index, children) => {
            let children = index.manifests.iter().zip(children).map(|(entry, child)| {
                let mut out = entry_json(entry);
                if let Child::Image(image, _) = child {
                    merge(&mut out, image_json(image));
                    if entry.is_attestation() {
                        merge(&mut out, json!({"predicateTypes": predicate_types(image)}));
                    }
                }
                out
            });
            let mut parts = json!({"entries": children.collect::<Vec<_>>()});
            merge(&mut parts, of_manifest(index.artifact_type.as_ref(), &index.annotations));
            parts
        }
    };
    merge(&mut out, parts);
    if let Some(subject) = subject(inspection) {
        merge(&mut out, json!({"subject": descriptor_json(subject)}));
    }
    let referrers = inspection.referrers.as_ref().map(|all| all.iter().map(referrer_json).collect::<Vec<_>>());
    merge(&mut out, json!({"referrers": referrers}));
    out
}

/// What a manifest says of itself, where it says anything.
fn of_manifest(artifact_type: Option<&UntrustedText>, annotations: &Annotations) -> Value {
    let mut out = json!({});
    if let Some(kind) = artifact_type {
        merge(&mut out, json!({"artifactType": kind}));
    }
    if !annotations.is_empty() {
        merge(&mut out, json!({"annotations": annotations}));
    }
    out
}

fn referrer_json(referrer: &Descriptor) -> Value {
    let mut out = descriptor_json(referrer);
    merge(&mut out, of_manifest(referrer.artifact_type.as_ref(), &referrer.annotations));
    out
}

/// What the statements of an attestation are about, as BuildKit writes it to their layers.
fn predicate_types(image: &Image) -> Vec<&UntrustedText> {
    image.manifest.layers.iter().filter_map(|layer| layer.annotations.get(PREDICATE_TYPE)).collect()
}

fn subject(inspection: &Inspection) -> Option<&Descriptor> {
    match &inspection.content {
        Content::Image(image) => image.manifest.subject.as_deref(),
        Content::Index(index, _) => index.subject.as_deref(),
    }
}

fn image_json(image: &Image) -> Value {
    let mut config = descriptor_json(&image.manifest.config);
    if let Some(bytes) = &image.config {
        // One that is no JSON is none of an image.
        let content: Option<Value> = serde_json::from_slice(bytes).ok();
        merge(&mut config, json!({"content": content}));
    }
    let layers: Vec<Value> = image.manifest.layers.iter().map(descriptor_json).collect();
    json!({"config": config, "layers": layers})
}
