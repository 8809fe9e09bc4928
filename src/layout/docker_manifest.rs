//! Writes `manifest.json`, from which Docker and Podman load the images of an archive.

use std::path::Path;

use serde::Serialize;

use super::{CONTAINERD_NAME, blob_path};
use crate::image::{Descriptor, Index, MAX_MANIFEST, Manifest, Reference, familiar, media_type, parse_manifest};

/// Docker's list of the images in an archive.
pub(super) const NAME: &str = "manifest.json";
/// The list that Docker wrote before version 1.10, and still writes beside the other.
pub(super) const LEGACY_NAME: &str = "repositories";

/// An image for Docker.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Image {
    config: String,
    /// `None` for an image without a name, which Docker loads by its ID.
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// Returns the content of `manifest.json` for the layout in a folder.
///
/// # Errors
///
/// Says why Docker could not load everything in the layout: an index has images of several platforms, or a blob of an
/// image is not in the layout.
pub(super) fn docker_manifest(root: &Path, index: &Index) -> Result<Vec<u8>, String> {
    let mut images: Vec<Image> = Vec::new();
    for entry in &index.manifests {
        let Some(image) = image(root, entry)? else { continue };
        match images.iter_mut().find(|other| other.config == image.config && other.layers == image.layers) {
            Some(other) => other.repo_tags = merged(other.repo_tags.take(), image.repo_tags),
            None => images.push(image),
        }
    }
    if images.is_empty() {
        return Err("it holds no image".into());
    }
    serde_json::to_vec(&images).map_err(|error| error.to_string())
}

fn merged(one: Option<Vec<String>>, other: Option<Vec<String>>) -> Option<Vec<String>> {
    let all: Vec<String> = one.into_iter().chain(other).flatten().collect();
    (!all.is_empty()).then_some(all)
}

/// Returns the only image of an entry. `None` for a referrer or another artifact.
fn image(root: &Path, entry: &Descriptor) -> Result<Option<Image>, String> {
    let Some(manifest) = manifest(root, entry)? else { return Ok(None) };
    let manifest = match manifest {
        Manifest::Image(image) => image,
        Manifest::Index(index) => {
            let mut images = index.manifests.iter().filter(|child| !child.is_attestation());
            match (images.next(), images.next()) {
                (Some(only), None) => match self::manifest(root, only)? {
                    Some(Manifest::Image(image)) => image,
                    _ => return Err("it holds a nested index".into()),
                },
                _ => return Err("it holds an index with images of several platforms".into()),
            }
        }
    };
    if !media_type::is_config(&manifest.config.media_type) {
        return Ok(None);
    }
    let blobs = manifest.layers.iter().chain([&manifest.config]);
    if let Some(missing) = blobs.map(|blob| &blob.digest).find(|digest| !root.join(blob_path(digest)).is_file()) {
        return Err(format!("the blob {missing} is not in it"));
    }
    let full = entry.annotations.get(CONTAINERD_NAME).and_then(|name| name.parse::<Reference>().ok());
    Ok(Some(Image {
        config: blob_path(&manifest.config.digest),
        layers: manifest.layers.iter().map(|layer| blob_path(&layer.digest)).collect(),
        repo_tags: full.map(|full| vec![familiar(&full)]),
    }))
}

/// Reads a manifest of the layout. `None` for other content.
fn manifest(root: &Path, entry: &Descriptor) -> Result<Option<Manifest>, String> {
    if !media_type::is_image(&entry.media_type) && !media_type::is_index(&entry.media_type) {
        return Ok(None);
    }
    let path = root.join(blob_path(&entry.digest));
    let is_small = std::fs::metadata(&path).is_ok_and(|found| found.len() <= MAX_MANIFEST);
    let bytes = std::fs::read(&path).ok().filter(|_| is_small);
    let bytes = bytes.ok_or_else(|| format!("the manifest {} is not in it", entry.digest))?;
    let parsed = parse_manifest(&bytes, &entry.media_type);
    parsed.map(|(manifest, _)| Some(manifest)).map_err(|error| format!("the manifest {}: {error}", entry.digest))
}
