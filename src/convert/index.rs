use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::fields::{
    DockerFields, Object, PLATFORM_FIELDS, descriptor_fields, parse, remove_annotations, reorder, write,
};
use super::{Conversion, Format, Obstacle, Remedy};
use crate::image::media_type::{self, Compression};
use crate::image::{COMPRESSION, Descriptor, Digest, Index, Platform, REFERENCE_DIGEST};

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
    let original = parse(digest, bytes)?;
    let mut object = original.clone();
    let current = Format::of(media_type);
    let format = conversion.format.unwrap_or(current);
    let (is_converted, to_docker) = (conversion.format.is_some(), conversion.format == Some(Format::Docker));
    let copies = if conversion.encoding.is_some() { compressed_copies(index) } else { HashSet::new() };
    let mut obstacles = Vec::new();
    let mut docker =
        DockerFields { manifest: digest, drops_annotations: conversion.drops_annotations, obstacles: &mut obstacles };
    if let Some(entries) = object.get_mut("manifests").and_then(Value::as_array_mut) {
        let mut parsed = index.manifests.iter().enumerate();
        entries.retain_mut(|object| {
            let (Some((position, entry)), Some(object)) = (parsed.next(), object.as_object_mut()) else { return true };
            let name = format!("entry {}", entry.digest);
            if to_docker && entry.is_attestation() {
                if !conversion.drops_annotations {
                    let reason = format!("{name} is an attestation, which an annotation marks");
                    docker.add(reason, Some(Remedy::DropAnnotations));
                }
                return false;
            }
            if copies.contains(&position) {
                let reason = "differs from another image only in its compression, and both would be the same";
                docker.add(format!("{name} {reason}"), Some(Remedy::SelectPlatforms));
            }
            if let Some(reason) = obstacle(entry).filter(|_| to_docker) {
                docker.add(format!("{name} {reason}"), None);
            }
            update(object, entry, children);
            if conversion.encoding.is_some_and(|encoding| encoding.compression() != Compression::Zstd) {
                remove_annotations(object, |key| key.starts_with(COMPRESSION));
            }
            if is_converted {
                finish_entry(object, format, &name, &mut docker);
            }
            true
        });
    }
    if format != current {
        object.insert("mediaType".into(), format.index().into());
    }
    if is_converted {
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
    // Maps are equal regardless of the order of their fields.
    if object == original { Ok(None) } else { Ok(Some((write(digest, &object)?, format.index()))) }
}

/// Returns the positions of the entries that are marked as copies, with another compression, of another image for the same
/// platform. Podman marks the zstd copy of an image.
fn compressed_copies(index: &Index) -> HashSet<usize> {
    let is_image = |entry: &Descriptor| media_type::is_image(&entry.media_type) && !entry.is_attestation();
    let mut by_platform: HashMap<Platform, Vec<usize>> = HashMap::new();
    for (position, entry) in index.manifests.iter().enumerate().filter(|(_, entry)| is_image(entry)) {
        if let Some(platform) = entry.platform.as_ref().filter(|_| entry.artifact_type.is_none()) {
            by_platform.entry(platform.normalized()).or_default().push(position);
        }
    }
    let is_marked = |position: &usize| index.manifests.get(*position).is_some_and(|entry| !entry.is_plain());
    let groups = by_platform.into_values().filter(|positions| positions.len() > 1);
    groups.flat_map(|positions| positions.into_iter().filter(is_marked)).collect()
}

/// Returns why an entry cannot be in a Docker manifest list.
fn obstacle(entry: &Descriptor) -> Option<String> {
    if !media_type::is_image(&entry.media_type) && !media_type::is_index(&entry.media_type) {
        return Some(format!("is of type {}", entry.media_type));
    }
    entry.platform.as_ref().is_none_or(Platform::is_empty).then(|| "has no platform".to_owned())
}

/// Keeps the fields of an entry that its new format has, in the order in which Go programs write them.
fn finish_entry(object: &mut Object, format: Format, name: &str, docker: &mut DockerFields<'_>) {
    if let Some(platform) = object.get_mut("platform").and_then(Value::as_object_mut) {
        reorder(platform, &PLATFORM_FIELDS);
    }
    match format {
        Format::Docker => docker.keep(object, &["mediaType", "size", "digest", "platform"], name),
        Format::Oci => reorder(object, descriptor_fields(format)),
    }
}

/// Replaces the digests of converted manifests in an entry.
fn update(object: &mut Object, entry: &Descriptor, children: &HashMap<Digest, Descriptor>) {
    if let Some(child) = children.get(&entry.digest) {
        object.insert("mediaType".into(), child.media_type.as_str().into());
        object.insert("digest".into(), child.digest.to_string().into());
        object.insert("size".into(), child.size.into());
        object.shift_remove("data");
    }
    // An attestation names its image.
    let image = entry.annotations.get(REFERENCE_DIGEST).and_then(|image| Digest::parse(image).ok());
    if let Some(image) = image.and_then(|image| children.get(&image))
        && let Some(annotations) = object.get_mut("annotations").and_then(Value::as_object_mut)
    {
        annotations.insert(REFERENCE_DIGEST.into(), image.digest.to_string().into());
    }
}
