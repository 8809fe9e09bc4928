//! Reads the archives of `docker save`, `podman save` and others that have the same form: `manifest.json` lists each
//! image with its config and layers (docker/docker, "image/spec/v1.2.md", "Combined Image JSON + Filesystem Changeset
//! Format").
//!
//! Such an archive has no manifests, so one is made for each image. Its digest is stable, but it is not the digest that
//! the image has in a registry, because the layers are usually not compressed.

use std::collections::HashMap;
use std::io::Read as _;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::archive::Archive;
use super::content::{Content, Unreadable, read};
use super::{CHUNK_SIZE, REF_NAME, docker_manifest};
use crate::image::{
    Descriptor, Digest, Hasher, Index, MAX_CONFIG, MAX_MANIFEST, UntrustedText, media_type, parse_config,
};
use crate::memory::Budget;

/// The images of an archive in Docker's form.
pub(super) struct DockerImages {
    archive: Archive,
    /// Where each blob is, and the bytes of each manifest.
    blobs: HashMap<Digest, Blob>,
    /// Whether a layer is stored without compression.
    pub(super) has_plain_layers: bool,
}

enum Blob {
    /// The name of a file in the archive.
    File(String),
    Manifest(Bytes),
}

/// An image in `manifest.json`. Other fields are ignored.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SavedImage {
    config: UntrustedText,
    #[serde(default)]
    repo_tags: Option<Vec<UntrustedText>>,
    #[serde(default)]
    layers: Option<Vec<UntrustedText>>,
}

/// The part of a config that names the layers (OCI image-spec, "Image Configuration").
#[derive(Deserialize)]
struct Config {
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    #[serde(default)]
    diff_ids: Vec<UntrustedText>,
}

/// The maximum number of images and names of an archive.
const MAX_NAMES: usize = 10_000;
/// The maximum number of layers of an image. Docker allows 127.
const MAX_LAYERS: usize = 1000;

impl DockerImages {
    /// Reads `manifest.json` and the configs. Returns the images as the entries of an `index.json`, one for each name.
    pub(super) fn read(archive: Archive, budget: &Budget) -> Result<(Self, Index), String> {
        let name = docker_manifest::NAME;
        let listed = match archive.open(name).and_then(|content| read(content, name, MAX_MANIFEST, budget)) {
            Ok(listed) => listed,
            Err(Unreadable::Missing) => return Err(format!("it is not a Docker archive: it has no {name}")),
            Err(reason) => return Err(reason.to_string()),
        };
        let saved: Vec<SavedImage> =
            serde_json::from_slice(&listed).map_err(|error| format!("its {name} is not valid: {error}"))?;
        let mut reader = Reader {
            images: Self { archive, blobs: HashMap::new(), has_plain_layers: false },
            layers: HashMap::new(),
            budget,
        };
        let mut manifests = Vec::new();
        for image in saved {
            let descriptor = reader.image(&image)?;
            let names = image.repo_tags.unwrap_or_default();
            if manifests.len() + names.len() >= MAX_NAMES {
                return Err(format!("its {name} lists more than {MAX_NAMES} images and names"));
            }
            if names.is_empty() {
                manifests.push(descriptor.clone());
            }
            for name in names {
                let mut named = descriptor.clone();
                named.annotations.insert(REF_NAME.into(), name);
                manifests.push(named);
            }
        }
        Ok((reader.images, Index { manifests, ..Index::default() }))
    }

    /// Opens a blob or a manifest, and returns its length.
    pub(super) fn open_blob(&self, digest: &Digest) -> Result<(Content, u64), Unreadable> {
        match self.blobs.get(digest).ok_or(Unreadable::Missing)? {
            Blob::File(name) => self.archive.open(name),
            Blob::Manifest(bytes) => Ok((Content::bytes(bytes.clone()), bytes.len() as u64)),
        }
    }
}

struct Reader<'b> {
    images: DockerImages,
    /// The descriptors of layers whose digest was computed, by file name. An archive may list one layer many times.
    layers: HashMap<String, Descriptor>,
    budget: &'b Budget,
}

impl Reader<'_> {
    /// Makes the manifest of an image, and returns its descriptor.
    fn image(&mut self, image: &SavedImage) -> Result<Descriptor, String> {
        let (config, diff_ids) = self.config(&image.config)?;
        let files = image.layers.as_deref().unwrap_or_default();
        if files.len() != diff_ids.len() {
            let (files, diff_ids) = (files.len(), diff_ids.len());
            return Err(format!(
                "the image of \"{}\" has {files} layers, but its config names {diff_ids}",
                image.config
            ));
        }
        let layers = files.iter().zip(&diff_ids).map(|(file, diff_id)| self.layer(file, diff_id));
        let layers = layers.collect::<Result<Vec<_>, _>>()?;
        let bytes = manifest(&config, &layers).map_err(|error| error.to_string())?;
        let mut charge = self.budget.open();
        charge.grow(bytes.len()).map_err(|error| format!("not read: {error}"))?;
        let bytes = charge.keep(bytes).map_err(|error| format!("not read: {error}"))?;
        let digest = Digest::sha256(&bytes);
        let size = bytes.len() as u64;
        self.images.blobs.insert(digest.clone(), Blob::Manifest(bytes));
        Ok(Descriptor { size, ..Descriptor::new(media_type::DOCKER_MANIFEST, digest) })
    }

    /// Reads a config. Returns its descriptor and the digests of the uncompressed layers.
    fn config(&mut self, file: &str) -> Result<(Descriptor, Vec<Digest>), String> {
        let content = self.open(file)?;
        let bytes = read(content, file, MAX_CONFIG, self.budget).map_err(|reason| in_file(file, &reason))?;
        let config: Config =
            parse_config(&bytes).map_err(|error| format!("the config \"{}\" is not valid: {error}", shown(file)))?;
        let diff_ids = config.rootfs.diff_ids;
        if diff_ids.len() > MAX_LAYERS {
            return Err(format!("the config \"{}\" names more than {MAX_LAYERS} layers", shown(file)));
        }
        let parse = |diff_id: &UntrustedText| {
            Digest::parse(diff_id)
                .map_err(|error| format!("the config \"{}\" has a wrong diff_id: {error}", shown(file)))
        };
        let diff_ids = diff_ids.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        let digest = Digest::sha256(&bytes);
        self.images.blobs.insert(digest.clone(), Blob::File(file.to_owned()));
        let config = Descriptor { size: bytes.len() as u64, ..Descriptor::new(media_type::DOCKER_CONFIG, digest) };
        Ok((config, diff_ids))
    }

    /// Returns the descriptor of a layer. An uncompressed layer has its diff_id as its digest, which is checked when the
    /// layer is read; a compressed one is read here to compute its digest.
    fn layer(&mut self, file: &str, diff_id: &Digest) -> Result<Descriptor, String> {
        let (mut content, size) = self.open(file)?;
        let mut start = [0; 4];
        let length = content.read(&mut start).map_err(|error| in_file(file, &error.into()))?;
        let layer = match start.get(..length).unwrap_or_default() {
            [0x1f, 0x8b, ..] => self.compressed(file, "application/vnd.docker.image.rootfs.diff.tar.gzip")?,
            [0x28, 0xb5, 0x2f, 0xfd] => self.compressed(file, "application/vnd.docker.image.rootfs.diff.tar.zstd")?,
            [b'B', b'Z', b'h', _] | [0xfd, b'7', b'z', b'X'] => {
                return Err(format!(
                    "the layer \"{}\" is compressed with bzip2 or xz, which no registry takes",
                    shown(file)
                ));
            }
            _ => {
                self.images.has_plain_layers = true;
                Descriptor { size, ..Descriptor::new("application/vnd.docker.image.rootfs.diff.tar", diff_id.clone()) }
            }
        };
        self.images.blobs.insert(layer.digest.clone(), Blob::File(file.to_owned()));
        Ok(layer)
    }

    fn compressed(&mut self, file: &str, media_type: &str) -> Result<Descriptor, String> {
        if let Some(known) = self.layers.get(file) {
            return Ok(known.clone());
        }
        let (mut content, size) = self.open(file)?;
        let (mut hasher, mut chunk) = (Hasher::like(&Digest::sha256(b"")), vec![0; CHUNK_SIZE]);
        loop {
            match content.read(&mut chunk).map_err(|error| in_file(file, &error.into()))? {
                0 => break,
                read => hasher.update(chunk.get(..read).unwrap_or_default()),
            }
        }
        let layer = Descriptor { size, ..Descriptor::new(media_type, hasher.finish()) };
        self.layers.insert(file.to_owned(), layer.clone());
        Ok(layer)
    }

    fn open(&self, file: &str) -> Result<(Content, u64), String> {
        self.images.archive.open(file).map_err(|reason| match reason {
            Unreadable::Missing => {
                format!("its {} lists \"{}\", which is not in the archive", docker_manifest::NAME, shown(file))
            }
            reason => in_file(file, &reason),
        })
    }
}

fn in_file(file: &str, reason: &Unreadable) -> String {
    format!("\"{}\": {reason}", shown(file))
}

fn shown(file: &str) -> UntrustedText {
    UntrustedText::from(file)
}

/// Writes a manifest with the fields in the order in which Docker writes them.
fn manifest(config: &Descriptor, layers: &[Descriptor]) -> Result<Vec<u8>, serde_json::Error> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Blob<'a> {
        media_type: &'a str,
        size: u64,
        digest: &'a Digest,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Manifest<'a> {
        schema_version: u32,
        media_type: &'a str,
        config: Blob<'a>,
        layers: Vec<Blob<'a>>,
    }
    fn blob(Descriptor { media_type, size, digest, .. }: &Descriptor) -> Blob<'_> {
        Blob { media_type, size: *size, digest }
    }
    serde_json::to_vec(&Manifest {
        schema_version: 2,
        media_type: media_type::DOCKER_MANIFEST,
        config: blob(config),
        layers: layers.iter().map(blob).collect(),
    })
}
