//! The config and the layers of an image.

use futures_util::future::FutureExt as _;
use futures_util::future::join;
use futures_util::stream::{self, StreamExt as _};
use serde::Deserialize;
use tokio::sync::mpsc;

use super::unpack::{Chunks, Contents};
use super::verifier::{DECODERS, MAX_CONCURRENT, Node, Verifier};
use super::{ImagePart, Problem, unpack};
use crate::image::media_type::{self, compression};
use crate::image::{Descriptor, Digest, ImageConfig, ImageManifest, Platform, parse_config};
use crate::store::{BlobStream, Error};

/// Pieces of a layer that wait for their turn to be hashed.
const MAX_CHUNKS: usize = 8;

/// What was found out about an image.
#[derive(Default)]
pub(super) struct CheckedBlobs {
    /// What its config says.
    pub(super) platform: Option<Platform>,
    pub(super) problems: Vec<(ImagePart, Problem)>,
    pub(super) unchecked: Vec<Error>,
}

/// What a config says of its image.
struct Config {
    platform: Platform,
    /// The digest of each layer, unpacked. Texts: nothing is asked for by them.
    diff_ids: Vec<String>,
}

/// Reads the config and looks for the layers; with `read` these are read as well.
pub(super) async fn check(verifier: &Verifier<'_>, node: &Node, image: &ImageManifest, read: bool) -> CheckedBlobs {
    // Foreign layers stay where they are.
    let is_here = |(_, layer): &(usize, &Descriptor)| !ImageManifest::is_foreign(layer);
    let layers: Vec<(usize, &Descriptor)> = (1..).zip(&image.layers).filter(is_here).collect();
    // Futures of places, which have no lifetime: with that of a layer they could not be sent to another thread.
    let look = async |place: usize| match layers.get(place) {
        Some((_, layer)) if !read => check_present(verifier, layer).await,
        _ => Ok(None),
    };
    let looks = stream::iter(0..layers.len()).map(look).buffered(MAX_CONCURRENT).collect::<Vec<_>>();
    let (config, looks) = join(config(verifier, image, read), looks).await;

    let mut checked = CheckedBlobs::default();
    let diff_ids = checked.config(node, image, config);
    for ((number, layer), look) in layers.iter().zip(looks) {
        checked.take(ImagePart::Layer(*number, layer.digest.clone()), look.map(Vec::from_iter));
    }
    if read {
        let read = async |place: usize| {
            let Some((number, layer)) = layers.get(place) else { return Ok(Vec::new()) };
            let diff_id = diff_ids.get(number - 1).map(String::as_str);
            Ok(of_contents(layer, &contents(verifier, layer, diff_id).await?, diff_id))
        };
        let reads: Vec<_> = stream::iter(0..layers.len()).map(read).buffered(MAX_CONCURRENT).collect().await;
        for ((number, layer), found) in layers.iter().zip(reads) {
            checked.take(ImagePart::Layer(*number, layer.digest.clone()), found);
        }
    }
    checked
}

/// Reads a blob that an index lists, and compares it with its entry.
pub(super) async fn check_blob(verifier: &Verifier<'_>, entry: &Descriptor) -> CheckedBlobs {
    let mut checked = CheckedBlobs::default();
    let found = contents(verifier, entry, None).await.map(|contents| of_contents(entry, &contents, None));
    checked.take(ImagePart::Blob(entry.digest.clone()), found);
    checked
}

impl CheckedBlobs {
    fn take(&mut self, part: ImagePart, found: Result<Vec<Problem>, Error>) {
        match found {
            Ok(problems) => self.problems.extend(problems.into_iter().map(|problem| (part.clone(), problem))),
            Err(error) => match Problem::of(&error) {
                Some(problem) => self.problems.push((part, problem)),
                None => self.unchecked.push(error),
            },
        }
    }

    /// Takes in what became of the config; gives the digests of layers to compare with, if it has any.
    fn config(
        &mut self,
        node: &Node,
        image: &ImageManifest,
        config: Result<Result<Option<Config>, Problem>, Error>,
    ) -> Vec<String> {
        let part = ImagePart::Config(image.config.digest.clone());
        let config = match config {
            Ok(Ok(config)) => config,
            Ok(Err(problem)) => {
                self.problems.push((part, problem));
                return Vec::new();
            }
            Err(error) => {
                self.take(part, Err(error));
                return Vec::new();
            }
        };
        let Some(Config { platform, diff_ids }) = config else { return Vec::new() };
        // Nobody unpacks an attestation, or an artifact that only calls its config that of an image.
        let is_image = !node.entry.is_attestation() && (platform != Platform::default() || !diff_ids.is_empty());
        self.platform = Some(platform);
        if !is_image {
            return Vec::new();
        }
        let (config, manifest) = (diff_ids.len(), image.layers.len());
        if config == manifest {
            return diff_ids;
        }
        self.problems.push((part, Problem::Layers { config, manifest }));
        Vec::new()
    }
}

/// Reads the config of an image; that of anything else is a blob as any other.
async fn config(
    verifier: &Verifier<'_>,
    image: &ImageManifest,
    read: bool,
) -> Result<Result<Option<Config>, Problem>, Error> {
    #[derive(Deserialize, Default)]
    struct RootFs {
        diff_ids: Option<Vec<String>>,
    }
    #[derive(Deserialize)]
    #[serde(expecting = "a JSON object")]
    struct UnpackedLayer {
        #[serde(flatten)]
        config: ImageConfig,
        rootfs: Option<RootFs>,
    }
    let config = &image.config;
    if !media_type::is_config(&config.media_type) {
        let problem = match read {
            true => of_contents(config, &contents(verifier, config, None).await?, None).into_iter().next(),
            false => check_present(verifier, config).await?,
        };
        return Ok(problem.map_or(Ok(None), Err));
    }
    let bytes = verifier.store.fetch_config(verifier.at, config).await?;
    Ok(match parse_config::<UnpackedLayer>(&bytes) {
        Ok(UnpackedLayer { config, rootfs }) => {
            let diff_ids = rootfs.unwrap_or_default().diff_ids.unwrap_or_default();
            Ok(Some(Config { platform: config.platform, diff_ids }))
        }
        Err(error) => Err(Problem::Content(format!("it is no valid config: {error}").into())),
    })
}

/// Whether a blob is there, with its size.
async fn check_present(verifier: &Verifier<'_>, blob: &Descriptor) -> Result<Option<Problem>, Error> {
    let found = verifier.blobs.get(&blob.digest, verifier.store.find_blob(verifier.at, blob)).await?;
    let said = blob.size;
    Ok(found.size.filter(|found| *found != said).map(|found| Problem::Size { said, found }))
}

/// Reads a blob: its bytes are hashed on another thread, as they come and, where there is something to compare that with,
/// unpacked. Wrong bytes from a registry may have been mixed up on the way: they are read once more.
async fn contents(verifier: &Verifier<'_>, blob: &Descriptor, diff_id: Option<&str>) -> Result<Contents, Error> {
    // One of another algorithm is compared all the same, and is not equal.
    let like = diff_id.filter(|_| compression(&blob.media_type).is_some());
    let like = like.map(|diff_id| Digest::parse(diff_id).unwrap_or_else(|_| blob.digest.clone()));
    let reading = async {
        let contents = read(verifier, blob, like.as_ref(), unpack::USUAL_WINDOW).await?;
        let is_mixed_up =
            contents.digest != blob.digest && contents.size <= blob.size && verifier.at.reference().is_some();
        match (is_mixed_up, contents.wants_wider_window) {
            (false, false) => Ok(contents),
            (_, true) => read(verifier, blob, like.as_ref(), unpack::WIDEST_WINDOW).await,
            (true, false) => read(verifier, blob, like.as_ref(), unpack::USUAL_WINDOW).await,
        }
    };
    let key = (blob.digest.clone(), blob.size, like.as_ref().map(|like| like.algorithm().to_owned()));
    verifier.contents.get(&key, reading).await
}

/// Reads a blob once there is memory for a decoder whose window has `window` bytes.
async fn read(
    verifier: &Verifier<'_>,
    blob: &Descriptor,
    like: Option<&Digest>,
    window: u64,
) -> Result<Contents, Error> {
    // Twice the usual window, as decoders want memory besides it; for the widest all that there is.
    let mebibytes = u32::try_from((2 * window) >> 20).unwrap_or(DECODERS).min(DECODERS);
    let _permit = match like {
        Some(_) => verifier.decoders.acquire_many(mebibytes).await.ok(),
        None => None,
    };
    let read = |stream: BlobStream| hash(stream, blob, like.cloned(), window).boxed();
    verifier.store.read_blob(verifier.at, blob, &read).await
}

async fn hash(mut stream: BlobStream, blob: &Descriptor, like: Option<Digest>, window: u64) -> Result<Contents, Error> {
    let (sender, receiver) = mpsc::channel(MAX_CHUNKS);
    let digest = blob.digest.clone();
    let hashing =
        tokio::task::spawn_blocking(move || unpack::read(Chunks::new(receiver), &digest, like.as_ref(), window));
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
    let failed = |reason: String| Error::unsuitable(format_args!("blob {}", blob.digest), reason);
    hashing.await.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))
}

/// What is wrong with a blob that was read.
fn of_contents(blob: &Descriptor, contents: &Contents, diff_id: Option<&str>) -> Vec<Problem> {
    let (said, found) = (blob.size, contents.size);
    // What else is wrong with it follows from that.
    if found > said {
        return vec![Problem::Longer { said }];
    }
    if found != said {
        return vec![Problem::Size { said, found }];
    }
    if contents.digest != blob.digest {
        return vec![Problem::Content(format!("its bytes have digest {}", contents.digest).into())];
    }
    let Some(unpacked) = &contents.unpacked else { return Vec::new() };
    let mut problems = Vec::new();
    if let Some(said) = compression(&blob.media_type).filter(|said| *said != contents.compression) {
        problems.push(Problem::Compression { said, found: contents.compression });
    }
    match (unpacked, diff_id) {
        (Err(reason), _) => problems.push(Problem::Content(format!("it cannot be unpacked: {reason}").into())),
        (Ok(found), Some(said)) if found.as_str() != said => {
            problems.push(Problem::DiffId { said: said.into(), found: found.clone() });
        }
        _ => {}
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::media_type::Compression;

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
            compression: Compression::Gzip,
            unpacked: Some(Ok(digest("unpacked"))),
            wants_wider_window: false,
        };
        let diff_id = digest("unpacked").to_string();
        let words = |kind: &str, contents: Contents| {
            let problems = of_contents(&layer(kind), &contents, Some(&diff_id));
            problems.iter().map(Problem::word).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(words("tar+gzip", good.clone()), "");
        assert_eq!(words("tar", good.clone()), "mediaType");
        assert_eq!(words("tar+gzip", Contents { size: 6, ..good.clone() }), "size");
        assert_eq!(words("tar+gzip", Contents { size: 8, digest: digest("x"), ..good.clone() }), "size");
        assert_eq!(words("tar+gzip", Contents { size: 6, digest: digest("x"), ..good.clone() }), "size");
        assert_eq!(words("tar+gzip", Contents { digest: digest("x"), ..good.clone() }), "content");
        assert_eq!(words("tar+gzip", Contents { unpacked: Some(Ok(digest("x"))), ..good.clone() }), "diffId");
        assert_eq!(words("tar+gzip", Contents { unpacked: Some(Err("cut off".into())), ..good.clone() }), "content");
        assert_eq!(words("spdx+json", Contents { unpacked: None, ..good }), "");
    }
}
