use std::collections::HashMap;

use serde_json::Value;

use super::fields::{DockerFields, Object, descriptor_fields, reorder};
use super::layer_type::LayerType;
use super::{Conversion, Format, Obstacle, Remedy};
use crate::image::{Digest, ImageManifest, media_type, to_compact_go_json};
use crate::layer::LayerEncoding;

/// The annotations of a layer that describe its compressed bytes (stargz, zstd:chunked). They would be wrong for others.
const ABOUT_COMPRESSED_BYTES: [&str; 3] =
    ["containerd.io/snapshot/stargz/", "io.containers.estargz.", "io.github.containers.zstd-chunked."];

/// A layer after it was recompressed.
#[derive(Debug, Clone)]
pub(crate) struct LayerChange {
    pub(crate) digest: Digest,
    /// Size in bytes.
    pub(crate) size: u64,
}

/// Returns the positions of the layers that must be recompressed, without those that are stored elsewhere.
pub(crate) fn unlike(image: &ImageManifest, encoding: LayerEncoding) -> Vec<usize> {
    if !media_type::is_config(&image.config.media_type) {
        return Vec::new();
    }
    let is_unlike = |media_type: &str| {
        LayerType::parse(media_type).is_some_and(|layer| layer.compression != encoding.compression())
    };
    let layers = image.layers.iter().enumerate();
    let unlike = layers.filter(|(_, layer)| is_unlike(&layer.media_type) && !ImageManifest::is_foreign(layer));
    unlike.map(|(position, _)| position).collect()
}

/// Converts the manifest of an image. Returns its new bytes and media type, or `None` if nothing changes. `layers` are the
/// recompressed layers by their former digests; without them, the result only shows whether there are obstacles.
///
/// # Errors
/// The target format cannot hold everything.
pub(crate) fn convert_image(
    digest: &Digest,
    image: &ImageManifest,
    bytes: &[u8],
    media_type: &str,
    conversion: Conversion,
    layers: &HashMap<Digest, LayerChange>,
) -> Result<Option<(Vec<u8>, &'static str)>, Vec<Obstacle>> {
    let Ok(mut manifest) = serde_json::from_slice::<Object>(bytes) else { return Ok(None) };
    let current = Format::of(media_type);
    let format = conversion.format.unwrap_or(current);
    let is_image = media_type::is_config(&image.config.media_type);
    let encoding = conversion.encoding.filter(|_| is_image);
    let plans: Vec<LayerPlan> = image.layers.iter().map(|layer| LayerPlan::new(&layer.media_type, encoding)).collect();
    let is_other_format = media_type != format.manifest()
        || (is_image && *image.config.media_type != *format.config())
        || plans.iter().zip(&image.layers).any(|(plan, layer)| plan.has_other_name(&layer.media_type, format));
    let is_converted = conversion.format.is_some() && is_other_format;
    if !is_converted && !plans.iter().any(|plan| plan.is_recompressed) {
        return Ok(None);
    }
    let mut obstacles = Vec::new();
    let mut docker =
        DockerFields { manifest: digest, drops_annotations: conversion.drops_annotations, obstacles: &mut obstacles };
    if format == Format::Docker && is_converted && !is_image {
        docker.add(format!("it is an artifact, with a config of type {}", image.config.media_type), None);
    }
    for (number, (plan, layer)) in (1..).zip(plans.iter().zip(&image.layers)) {
        if let Some((reason, remedy)) = plan.obstacle(&layer.media_type, format, ImageManifest::is_foreign(layer)) {
            docker.add(format!("layer {number} {reason}"), remedy);
        }
    }
    if let Some(config) = manifest.get_mut("config").and_then(Value::as_object_mut) {
        if is_image && is_converted {
            config.insert("mediaType".into(), format.config().into());
        }
        finish_descriptor(config, format, is_converted, "its config", &mut docker);
    }
    let objects = manifest.get_mut("layers").and_then(Value::as_array_mut).into_iter().flatten();
    for ((number, layer), (plan, object)) in (1..).zip(&image.layers).zip(plans.iter().zip(objects)) {
        let Some(object) = object.as_object_mut() else { continue };
        if let Some(name) =
            plan.layer.and_then(|layer| layer.media_type(format)).filter(|_| is_converted || plan.is_recompressed)
        {
            object.insert("mediaType".into(), name.into());
        }
        if let Some(change) = layers.get(&layer.digest).filter(|_| plan.is_recompressed) {
            replace_content(object, change);
        }
        finish_descriptor(object, format, is_converted, &format!("layer {number}"), &mut docker);
    }
    if is_converted {
        manifest.insert("mediaType".into(), format.manifest().into());
        match format {
            Format::Docker => docker.keep(&mut manifest, &["schemaVersion", "mediaType", "config", "layers"], "it"),
            Format::Oci => reorder(
                &mut manifest,
                &["schemaVersion", "mediaType", "artifactType", "config", "layers", "subject", "annotations"],
            ),
        }
    }
    if !obstacles.is_empty() {
        return Err(obstacles);
    }
    let media_type = if is_converted { format.manifest() } else { current.manifest() };
    Ok(to_compact_go_json(&manifest).ok().map(|bytes| (bytes, media_type)))
}

/// What happens to a layer.
struct LayerPlan {
    /// Its new type; `None` for content that is not a layer.
    layer: Option<LayerType>,
    is_recompressed: bool,
}

impl LayerPlan {
    fn new(media_type: &str, encoding: Option<LayerEncoding>) -> Self {
        let Some(layer) = LayerType::parse(media_type) else { return Self { layer: None, is_recompressed: false } };
        let compression = encoding.map_or(layer.compression, LayerEncoding::compression);
        Self { layer: Some(LayerType { compression, ..layer }), is_recompressed: compression != layer.compression }
    }

    /// Whether the layer's type is that of another format.
    fn has_other_name(&self, media_type: &str, format: Format) -> bool {
        LayerType::parse(media_type).is_some_and(|layer| layer.media_type(format).as_deref() != Some(media_type))
    }

    /// Returns why the layer cannot be converted.
    fn obstacle(&self, media_type: &str, format: Format, is_foreign: bool) -> Option<(String, Option<Remedy>)> {
        match self.layer {
            None if format == Format::Docker => Some((format!("is of type {media_type}"), None)),
            None => None,
            Some(_) if is_foreign && self.is_recompressed => {
                Some(("is stored elsewhere, at its URLs, and cannot be recompressed".into(), None))
            }
            Some(layer) if layer.media_type(format).is_some() => None,
            Some(_) if self.is_recompressed => Some(("would be compressed with zstd".into(), Some(Remedy::UseOci))),
            Some(_) => Some(("is compressed with zstd".into(), Some(Remedy::Recompress))),
        }
    }
}

/// Replaces the content that a descriptor refers to.
fn replace_content(descriptor: &mut Object, change: &LayerChange) {
    descriptor.insert("digest".into(), change.digest.to_string().into());
    descriptor.insert("size".into(), change.size.into());
    descriptor.shift_remove("data");
    if let Some(annotations) = descriptor.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.retain(|key, _| !ABOUT_COMPRESSED_BYTES.iter().any(|prefix| key.starts_with(prefix)));
        if annotations.is_empty() {
            descriptor.shift_remove("annotations");
        }
    }
}

fn finish_descriptor(
    object: &mut Object,
    format: Format,
    is_converted: bool,
    part: &str,
    docker: &mut DockerFields<'_>,
) {
    match format {
        _ if !is_converted => {}
        Format::Docker => docker.keep(object, descriptor_fields(format), part),
        Format::Oci => reorder(object, descriptor_fields(format)),
    }
}
