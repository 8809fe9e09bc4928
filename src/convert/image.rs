use std::collections::HashMap;

use serde_json::Value;

use super::fields::{DockerFields, Object, descriptor_fields, parse, remove_annotations, reorder, write};
use super::layer_type::LayerType;
use super::{Conversion, Format, Obstacle, Remedy};
use crate::image::{Digest, ImageManifest, media_type};
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
    let original = parse(digest, bytes)?;
    let mut manifest = original.clone();
    let current = Format::of(media_type);
    let format = conversion.format.unwrap_or(current);
    let (is_converted, is_of_other_format) = (conversion.format.is_some(), current != format);
    let is_image = media_type::is_config(&image.config.media_type);
    let encoding = conversion.encoding.filter(|_| is_image);
    let mut obstacles = Vec::new();
    let mut docker =
        DockerFields { manifest: digest, drops_annotations: conversion.drops_annotations, obstacles: &mut obstacles };
    if format == Format::Docker && is_of_other_format && !is_image {
        docker.add(format!("it is an artifact, with a config of type {}", image.config.media_type), None);
    }
    if let Some(config) = manifest.get_mut("config").and_then(Value::as_object_mut).filter(|_| is_converted) {
        if is_image {
            config.insert("mediaType".into(), format.config().into());
        }
        finish_descriptor(config, format, "its config", &mut docker);
    }
    let objects = manifest.get_mut("layers").and_then(Value::as_array_mut).into_iter().flatten();
    for ((number, layer), object) in (1..).zip(&image.layers).zip(objects) {
        let Some(object) = object.as_object_mut() else { continue };
        let plan = LayerPlan::new(&layer.media_type, encoding);
        let is_foreign = ImageManifest::is_foreign(layer);
        if let Some((reason, remedy)) = plan.obstacle(format, is_converted, is_foreign) {
            docker.add(format!("layer {number} {reason}"), remedy);
        }
        if plan.layer.is_none() && format == Format::Docker && is_of_other_format {
            docker.add(format!("layer {number} is of type {}", layer.media_type), None);
        }
        let name = plan.layer.and_then(|layer| layer.media_type(format));
        if let Some(name) = name.filter(|_| is_converted || plan.is_recompressed) {
            object.insert("mediaType".into(), name.into());
        }
        if let Some(change) = layers.get(&layer.digest).filter(|_| plan.is_recompressed) {
            replace_content(object, change);
        }
        if is_converted {
            finish_descriptor(object, format, &format!("layer {number}"), &mut docker);
        }
    }
    if is_of_other_format {
        manifest.insert("mediaType".into(), format.manifest().into());
    }
    if is_converted {
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
    // Maps are equal regardless of the order of their fields.
    if manifest == original { Ok(None) } else { Ok(Some((write(digest, &manifest)?, format.manifest()))) }
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

    /// Returns why the layer cannot be in an image of this format.
    fn obstacle(&self, format: Format, is_converted: bool, is_foreign: bool) -> Option<(String, Option<Remedy>)> {
        let layer = self.layer?;
        if is_foreign && self.is_recompressed {
            return Some(("is stored elsewhere, at its URLs, and cannot be recompressed".into(), None));
        }
        match layer.media_type(format) {
            Some(_) => None,
            None if self.is_recompressed => Some(("would be compressed with zstd".into(), Some(Remedy::UseOci))),
            None if is_converted => Some(("is compressed with zstd".into(), Some(Remedy::Recompress))),
            None => None,
        }
    }
}

/// Replaces the content that a descriptor refers to.
fn replace_content(descriptor: &mut Object, change: &LayerChange) {
    descriptor.insert("digest".into(), change.digest.to_string().into());
    descriptor.insert("size".into(), change.size.into());
    descriptor.shift_remove("data");
    remove_annotations(descriptor, |key| ABOUT_COMPRESSED_BYTES.iter().any(|prefix| key.starts_with(prefix)));
}

fn finish_descriptor(object: &mut Object, format: Format, part: &str, docker: &mut DockerFields<'_>) {
    match format {
        Format::Docker => docker.keep(object, descriptor_fields(format), part),
        Format::Oci => reorder(object, descriptor_fields(format)),
    }
}
