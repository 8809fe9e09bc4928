//! The config and the layers of an image.

use std::collections::HashSet;

use futures_util::StreamExt as _;
use futures_util::future::{join, join_all};
use serde::Deserialize;
use tokio::sync::mpsc;

use super::unpack::{Contents, Pieces};
use super::{Fault, Node, Part, Work, unpack};
use crate::image::media_type::{self, packing};
use crate::image::{Descriptor, Digest, ImageConfig, ImageManifest, Platform};
use crate::registry::{BlobStream, Error as RegistryError};
use crate::store::Error;

/// Pieces of a layer that wait for their turn to be hashed.
const PIECES: usize = 8;

/// What was found out about an image.
#[derive(Default)]
pub(super) struct Checked {
    /// What its config says.
    pub(super) platform: Option<Platform>,
    pub(super) faults: Vec<(Part, Fault)>,
    pub(super) unchecked: Vec<Error>,
}

/// What a config says of its image.
struct Config {
    platform: Platform,
    /// The digest of each layer, unpacked. Texts: nothing is asked for by them.
    diff_ids: Vec<String>,
}

/// Reads the config and looks for the layers; with `read` these are read as well.
pub(super) async fn check(work: &Work<'_>, node: &Node, image: &ImageManifest, read: bool) -> Checked {
    // Foreign layers stay where they are, and are not looked for here.
    let here: HashSet<Digest> = image.blobs().into_iter().map(|blob| blob.digest).collect();
    let layers = || (1..).zip(&image.layers).filter(|(_, layer)| here.contains(&layer.digest));
    let of_layer = |(number, layer): (usize, &Descriptor)| Part::Layer(number, layer.digest.clone());
    let looked = layers().map(async |(_, layer)| if read { Ok(None) } else { look(work, layer).await });
    let (config, looked) = join(config(work, image, read), join_all(looked)).await;

    let mut checked = Checked::default();
    let mut diff_ids = None;
    let of_config = Part::Config(image.config.digest.clone());
    match config {
        Err(error) => checked.fail(of_config, error),
        Ok(Err(fault)) => checked.faults.push((of_config, fault)),
        Ok(Ok(None)) => {}
        Ok(Ok(Some(config))) => {
            let (found, wanted) = (config.diff_ids.len(), image.layers.len());
            // What an attestation is unpacked matters to nobody.
            if !node.entry.is_attestation() && found == wanted {
                diff_ids = Some(config.diff_ids);
            } else if !node.entry.is_attestation() {
                checked.faults.push((of_config, Fault::Layers { config: found, manifest: wanted }));
            }
            checked.platform = Some(config.platform);
        }
    }
    for (layer, looked) in layers().zip(looked) {
        match looked {
            Ok(fault) => checked.faults.extend(fault.map(|fault| (of_layer(layer), fault))),
            Err(error) => checked.fail(of_layer(layer), error),
        }
    }
    if read {
        let contents = join_all(layers().map(|(_, layer)| contents(work, layer))).await;
        for ((number, layer), contents) in layers().zip(contents) {
            let diff_id = diff_ids.as_ref().and_then(|ids: &Vec<String>| ids.get(number - 1));
            match contents {
                Ok(contents) => {
                    let faults = of_contents(layer, &contents, diff_id);
                    checked.faults.extend(faults.into_iter().map(|fault| (of_layer((number, layer)), fault)));
                }
                Err(error) => checked.fail(of_layer((number, layer)), error),
            }
        }
    }
    checked
}

impl Checked {
    fn fail(&mut self, part: Part, error: Error) {
        match Fault::of(&error) {
            Some(fault) => self.faults.push((part, fault)),
            None => self.unchecked.push(error),
        }
    }
}

/// Reads the config of an image; that of anything else is a blob as any other.
async fn config(work: &Work<'_>, image: &ImageManifest, read: bool) -> Result<Result<Option<Config>, Fault>, Error> {
    #[derive(Deserialize, Default)]
    struct RootFs {
        diff_ids: Option<Vec<String>>,
    }
    #[derive(Deserialize)]
    struct Whole {
        #[serde(flatten)]
        config: ImageConfig,
        rootfs: Option<RootFs>,
    }
    let config = &image.config;
    if !media_type::is_config(&config.media_type) {
        let fault = match read {
            true => of_contents(config, &contents(work, config).await?, None).into_iter().next(),
            false => look(work, config).await?,
        };
        return Ok(fault.map_or(Ok(None), Err));
    }
    let bytes = work.store.fetch_config(work.at, config, None).await?;
    Ok(match serde_json::from_slice::<Whole>(&bytes) {
        Ok(Whole { config, rootfs }) => {
            let diff_ids = rootfs.unwrap_or_default().diff_ids.unwrap_or_default();
            Ok(Some(Config { platform: config.platform, diff_ids }))
        }
        Err(error) => Err(Fault::Content(format!("it is no valid config: {error}"))),
    })
}

/// Whether a blob is there, with its size.
async fn look(work: &Work<'_>, blob: &Descriptor) -> Result<Option<Fault>, Error> {
    let found = work.blobs.get(&blob.digest, work.store.find_blob(work.at, blob)).await?;
    let said = blob.size;
    Ok(found.size.filter(|found| *found != said).map(|found| Fault::Size { said, found }))
}

/// Reads a blob: its bytes are hashed on another thread, as they come and, where it is a layer, unpacked.
async fn contents(work: &Work<'_>, blob: &Descriptor) -> Result<Contents, Error> {
    let unpacks = packing(&blob.media_type).is_some();
    let read = async |mut stream: BlobStream| {
        let (sender, receiver) = mpsc::channel(PIECES);
        let digest = blob.digest.clone();
        let hashing = tokio::task::spawn_blocking(move || unpack::read(Pieces::new(receiver), &digest, unpacks));
        let mut taken = 0;
        while let Some(piece) = stream.next().await {
            let piece = piece?;
            taken += piece.len() as u64;
            // There may be no end to it.
            if sender.send(piece).await.is_err() || taken > blob.size {
                break;
            }
        }
        drop(sender);
        let failed = |reason: String| RegistryError::of_source(format!("blob {}", blob.digest), reason);
        hashing.await.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))
    };
    let key = (blob.digest.clone(), blob.size, unpacks);
    work.contents.get(&key, work.store.read_blob(work.at, blob, read)).await
}

/// What is wrong with a blob that was read.
fn of_contents(blob: &Descriptor, contents: &Contents, diff_id: Option<&String>) -> Vec<Fault> {
    let (said, found) = (blob.size, contents.size);
    if found > said {
        return vec![Fault::Longer { said }];
    }
    let mut faults = Vec::new();
    if found != said {
        faults.push(Fault::Size { said, found });
    }
    if contents.digest != blob.digest {
        // What it would be unpacked says nothing more.
        faults.push(Fault::Content(format!("its bytes have digest {}", contents.digest)));
        return faults;
    }
    let Some(unpacked) = &contents.unpacked else { return faults };
    if let Some(said) = packing(&blob.media_type).filter(|said| *said != contents.packing) {
        faults.push(Fault::Packing { said, found: contents.packing });
    }
    match (unpacked, diff_id) {
        (Err(reason), _) => faults.push(Fault::Content(format!("it cannot be unpacked: {reason}"))),
        (Ok(found), Some(said)) if found.as_str() != said => {
            faults.push(Fault::DiffId { said: said.clone(), found: found.clone() });
        }
        _ => {}
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::media_type::Packing;

    #[test]
    fn faults_of_contents() {
        let digest = |text: &str| Digest::sha256(text.as_bytes());
        let layer = |kind: &str| Descriptor {
            size: 7,
            ..Descriptor::new(&format!("application/vnd.oci.image.layer.v1.{kind}"), digest("packed"))
        };
        let good = Contents {
            size: 7,
            digest: digest("packed"),
            packing: Packing::Gzip,
            unpacked: Some(Ok(digest("unpacked"))),
        };
        let diff_id = digest("unpacked").to_string();
        let words = |kind: &str, contents: Contents| {
            let faults = of_contents(&layer(kind), &contents, Some(&diff_id));
            faults.iter().map(Fault::word).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(words("tar+gzip", good.clone()), "");
        assert_eq!(words("tar", good.clone()), "mediaType");
        assert_eq!(words("tar+gzip", Contents { size: 6, ..good.clone() }), "size");
        assert_eq!(words("tar+gzip", Contents { size: 8, digest: digest("x"), ..good.clone() }), "size");
        assert_eq!(words("tar+gzip", Contents { size: 6, digest: digest("x"), ..good.clone() }), "size content");
        assert_eq!(words("tar+gzip", Contents { unpacked: Some(Ok(digest("x"))), ..good.clone() }), "diffId");
        assert_eq!(words("tar+gzip", Contents { unpacked: Some(Err("cut off".into())), ..good.clone() }), "content");
        assert_eq!(words("spdx+json", Contents { unpacked: None, ..good }), "");
    }
}
