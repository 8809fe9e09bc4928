use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::fields::{DockerFields, Object, descriptor_fields, reorder};
use super::{Conversion, Format, Obstacle, Remedy};
use crate::image::media_type::{self, Compression};
use crate::image::{COMPRESSION, Descriptor, Digest, Index, Platform, REFERENCE_DIGEST, to_compact_go_json};

/// Returns the attestations of an index that are left out of a Docker manifest list: only annotations tell them from
/// images.
pub(crate) fn dropped_attestations(index: &Index, conversion: Conversion) -> HashSet<Digest> {
    if conversion.format != Some(Format::Docker) {
        return HashSet::new();
    }
    index.manifests.iter().filter(|entry| entry.is_attestation()).map(|entry| entry.digest.clone()).collect()
}

/// Converts an index. Returns its new bytes and media type, or `None` if nothing changes. `children` are the converted
/// manifests by their former digests.
///
/// # Errors
/// The target format cannot hold everything.
pub(crate) fn convert_index(
    digest: &Digest,
    index: &Index,
    bytes: &[u8],
    media_type: &str,
    conversion: Conversion,
    children: &HashMap<Digest, Descriptor>,
) -> Result<Option<(Vec<u8>, &'static str)>, Vec<Obstacle>> {
    let Ok(mut object) = serde_json::from_slice::<Object>(bytes) else { return Ok(None) };
    let current = Format::of(media_type);
    let format = conversion.format.unwrap_or(current);
    let is_converted = format != current;
    let mut obstacles = Vec::new();
    let mut docker =
        DockerFields { manifest: digest, drops_annotations: conversion.drops_annotations, obstacles: &mut obstacles };
    let drops_attestations = is_converted && format == Format::Docker;
    let mut has_changed = is_converted;
    if let Some(entries) = object.get_mut("manifests").and_then(Value::as_array_mut) {
        let mut parsed = index.manifests.iter();
        entries.retain_mut(|object| {
            let (Some(entry), Some(object)) = (parsed.next(), object.as_object_mut()) else { return true };
            if drops_attestations && entry.is_attestation() {
                if !conversion.drops_annotations {
                    let reason = format!("entry {} is an attestation, which an annotation marks", entry.digest);
                    docker.add(reason, Some(Remedy::DropAnnotations));
                }
                return false;
            }
            if let Some((reason, remedy)) = obstacle(entry, conversion, drops_attestations) {
                docker.add(format!("entry {} {reason}", entry.digest), remedy);
            }
            has_changed |= update(object, entry, children);
            match format {
                _ if !is_converted => {}
                Format::Docker => {
                    let fields = [descriptor_fields(format), &["platform"]].concat();
                    let fields: Vec<&str> = fields.into_iter().filter(|name| *name != "urls").collect();
                    docker.keep(object, &fields, &format!("entry {}", entry.digest));
                }
                Format::Oci => reorder(object, descriptor_fields(format)),
            }
            true
        });
    }
    if is_converted {
        object.insert("mediaType".into(), format.index().into());
        match format {
            Format::Docker => docker.keep(&mut object, &["schemaVersion", "mediaType", "manifests"], "it"),
            Format::Oci => reorder(
                &mut object,
                &["schemaVersion", "mediaType", "artifactType", "manifests", "subject", "annotations"],
            ),
        }
    }
    if !obstacles.is_empty() {
        return Err(obstacles);
    }
    let converted = has_changed.then(|| to_compact_go_json(&object).ok()).flatten();
    Ok(converted.map(|bytes| (bytes, format.index())))
}

/// Returns why an entry cannot be converted.
fn obstacle(entry: &Descriptor, conversion: Conversion, to_docker: bool) -> Option<(String, Option<Remedy>)> {
    let is_twin = entry.annotations.keys().any(|key| key.starts_with(COMPRESSION));
    if is_twin && conversion.encoding.is_some_and(|encoding| encoding.compression() != Compression::Zstd) {
        let reason = "is a zstd copy of another image, and both would be the same".to_owned();
        return Some((reason, Some(Remedy::SelectPlatforms)));
    }
    if !to_docker {
        return None;
    }
    if !media_type::is_image(&entry.media_type) && !media_type::is_index(&entry.media_type) {
        return Some((format!("is of type {}", entry.media_type), None));
    }
    entry.platform.as_ref().is_none_or(Platform::is_empty).then(|| ("has no platform".to_owned(), None))
}

/// Replaces the digests of converted manifests in an entry. Returns whether it changed.
fn update(object: &mut Object, entry: &Descriptor, children: &HashMap<Digest, Descriptor>) -> bool {
    let mut has_changed = false;
    if let Some(child) = children.get(&entry.digest) {
        object.insert("mediaType".into(), child.media_type.as_str().into());
        object.insert("digest".into(), child.digest.to_string().into());
        object.insert("size".into(), child.size.into());
        object.shift_remove("data");
        has_changed = true;
    }
    // An attestation names its image.
    let image = entry.annotations.get(REFERENCE_DIGEST).and_then(|image| Digest::parse(image).ok());
    if let Some(image) = image.and_then(|image| children.get(&image))
        && let Some(annotations) = object.get_mut("annotations").and_then(Value::as_object_mut)
    {
        annotations.insert(REFERENCE_DIGEST.into(), image.digest.to_string().into());
        has_changed = true;
    }
    has_changed
}
