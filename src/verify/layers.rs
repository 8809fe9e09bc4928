//! Checks the config and the layers of an image.

use std::sync::Arc;

use futures_util::future::FutureExt as _;
use futures_util::future::join;
use futures_util::stream::{self, StreamExt as _};

use super::context::{CheckContext, DECODERS, MAX_CONCURRENT};
use super::known_content::key;
use super::node::Node;
use super::{ImagePart, Problem};
use crate::image::media_type::{self, compression};
use crate::image::{ConfigLayers, Descriptor, Digest, ImageManifest, Platform};
use crate::layer::{self, Contents};
use crate::store::{BlobStream, Error};

/// The result of checking the blobs of an image.
#[derive(Default)]
pub(super) struct CheckedBlobs {
    /// Platform in the config.
    pub(super) platform: Option<Platform>,
    pub(super) problems: Vec<(ImagePart, Problem)>,
    pub(super) unchecked: Vec<Error>,
}

/// Reads the config and checks that the layers exist. With `read`, also reads the layers.
pub(super) async fn check(context: &CheckContext<'_>, node: &Node, image: &ImageManifest, read: bool) -> CheckedBlobs {
    // Skip foreign layers, which are stored elsewhere.
    let is_local = |(_, layer): &(usize, &Descriptor)| !ImageManifest::is_foreign(layer);
    let layers: Vec<(usize, &Descriptor)> = (1..).zip(&image.layers).filter(is_local).collect();
    // Iterate over positions: futures that borrow layers would not be `Send`.
    let check_layer = async |position: usize| match layers.get(position) {
        Some((_, layer)) if !read => check_present(context, layer).await,
        _ => Ok(None),
    };
    let presence = stream::iter(0..layers.len()).map(check_layer).buffered(MAX_CONCURRENT).collect::<Vec<_>>();
    let (config, presence) = join(config(context, image, read), presence).await;

    let mut checked = CheckedBlobs::default();
    let diff_ids = checked.config(node, image, config);
    for ((number, layer), result) in layers.iter().zip(presence) {
        checked.record(ImagePart::Layer(*number, layer.digest.clone()), result.map(Vec::from_iter));
    }
    if read {
        let read = async |position: usize| {
            let Some((number, layer)) = layers.get(position) else { return Ok(Vec::new()) };
            let diff_id = diff_ids.get(number - 1).map(String::as_str);
            Ok(content_problems(layer, &contents(context, layer, diff_id).await?, diff_id))
        };
        let reads: Vec<_> = stream::iter(0..layers.len()).map(read).buffered(MAX_CONCURRENT).collect().await;
        for ((number, layer), result) in layers.iter().zip(reads) {
            checked.record(ImagePart::Layer(*number, layer.digest.clone()), result);
        }
    }
    checked
}

/// Reads a blob that an index lists, and verifies it against its entry.
pub(super) async fn check_blob(context: &CheckContext<'_>, entry: &Descriptor) -> CheckedBlobs {
    let mut checked = CheckedBlobs::default();
    let result = contents(context, entry, None).await.map(|contents| content_problems(entry, &contents, None));
    checked.record(ImagePart::Blob(entry.digest.clone()), result);
    checked
}

impl CheckedBlobs {
    /// Records the problems of a part, or the error that prevented the check.
    fn record(&mut self, part: ImagePart, result: Result<Vec<Problem>, Error>) {
        match result {
            Ok(problems) => self.problems.extend(problems.into_iter().map(|problem| (part.clone(), problem))),
            Err(error) => match Problem::from_error(&error) {
                Some(problem) => self.problems.push((part, problem)),
                None => self.unchecked.push(error),
            },
        }
    }

    /// Records the result of reading the config. Returns its `diff_ids` if they can be compared with the layers.
    fn config(
        &mut self,
        node: &Node,
        image: &ImageManifest,
        config: Result<Result<Option<Arc<ConfigLayers>>, Problem>, Error>,
    ) -> Vec<String> {
        let part = ImagePart::Config(image.config.digest.clone());
        let config = match config {
            Ok(Ok(config)) => config,
            Ok(Err(problem)) => {
                self.problems.push((part, problem));
                return Vec::new();
            }
            Err(error) => {
                self.record(part, Err(error));
                return Vec::new();
            }
        };
        let Some(config) = config else { return Vec::new() };
        let ConfigLayers { platform, diff_ids } = &*config;
        // Clients never unpack an attestation, or an artifact that only borrows the media type of an image config.
        let is_image = !node.entry.is_attestation() && (*platform != Platform::default() || !diff_ids.is_empty());
        self.platform = Some(platform.clone());
        if !is_image {
            return Vec::new();
        }
        let (config, manifest) = (diff_ids.len(), image.layers.len());
        if config == manifest {
            return diff_ids.clone();
        }
        self.problems.push((part, Problem::Layers { config, manifest }));
        Vec::new()
    }
}

/// Reads the config of an image. The config of an artifact is checked like any other blob.
async fn config(
    context: &CheckContext<'_>,
    image: &ImageManifest,
    read: bool,
) -> Result<Result<Option<Arc<ConfigLayers>>, Problem>, Error> {
    let config = &image.config;
    if !media_type::is_config(&config.media_type) {
        let problem = match read {
            true => content_problems(config, &contents(context, config, None).await?, None).into_iter().next(),
            false => check_present(context, config).await?,
        };
        return Ok(problem.map_or(Ok(None), Err));
    }
    let read = async {
        let bytes = context.store.fetch_config(context.at, config).await?;
        let config = ConfigLayers::parse(&bytes);
        Ok(config.map(Arc::new).map_err(|error| Problem::Content(format!("invalid config: {error}").into())))
    };
    Ok(context.known.configs.get(&key(config), read).await?.map(Some))
}

/// Checks that a blob exists and has the size in its descriptor.
async fn check_present(context: &CheckContext<'_>, blob: &Descriptor) -> Result<Option<Problem>, Error> {
    let existing = context.known.blobs.get(&key(blob), context.store.find_blob(context.at, blob)).await?;
    let expected = blob.size;
    Ok(existing.size.filter(|actual| *actual != expected).map(|actual| Problem::Size { expected, actual }))
}

/// Reads a blob and hashes it on a blocking thread, and also its uncompressed content if there is a `diff_id` to
/// compare with. Reads wrong content from a registry a second time, because it may have been corrupted in transit.
async fn contents(context: &CheckContext<'_>, blob: &Descriptor, diff_id: Option<&str>) -> Result<Contents, Error> {
    // A `diff_id` with an unsupported algorithm is still compared, and does not match.
    let like = diff_id.filter(|_| compression(&blob.media_type).is_some());
    let like = like.map(|diff_id| Digest::parse(diff_id).unwrap_or_else(|_| blob.digest.clone()));
    let reading = async {
        let contents = read(context, blob, like.as_ref(), layer::USUAL_WINDOW).await?;
        let is_corrupt =
            contents.digest != blob.digest && contents.size <= blob.size && context.at.reference().is_some();
        match (is_corrupt, contents.needs_wider_window) {
            (false, false) => Ok(contents),
            (_, true) => read(context, blob, like.as_ref(), layer::WIDEST_WINDOW).await,
            (true, false) => read(context, blob, like.as_ref(), layer::USUAL_WINDOW).await,
        }
    };
    let key = (blob.digest.clone(), blob.size, like.as_ref().map(|like| like.algorithm().to_owned()));
    context.known.contents.get(&key, reading).await
}

/// Reads a blob after reserving memory for a decoder with a window of `window` bytes.
async fn read(
    context: &CheckContext<'_>,
    blob: &Descriptor,
    like: Option<&Digest>,
    window: u64,
) -> Result<Contents, Error> {
    // Reserve twice the window, because decoders need other buffers as well. The widest window takes the whole budget.
    let mebibytes = u32::try_from((2 * window) >> 20).unwrap_or(DECODERS).min(DECODERS);
    let _permit = match like {
        Some(_) => context.decoders.acquire_many(mebibytes).await.ok(),
        None => None,
    };
    let read = |stream: BlobStream| hash(stream, blob, like.cloned(), window).boxed();
    context.store.read_blob(context.at, blob, &read).await
}

async fn hash(stream: BlobStream, blob: &Descriptor, like: Option<Digest>, window: u64) -> Result<Contents, Error> {
    let digest = blob.digest.clone();
    let hash = move |chunks| layer::read(chunks, &digest, like.as_ref(), window);
    let failed = |reason: String| Error::unsuitable(format_args!("blob {}", blob.digest), reason);
    layer::read_on_thread(stream, blob.size, hash, failed).await
}

/// Returns the problems of a blob that was read.
fn content_problems(blob: &Descriptor, contents: &Contents, diff_id: Option<&str>) -> Vec<Problem> {
    let (expected, actual) = (blob.size, contents.size);
    // Report only the size: any other problem follows from it.
    if actual > expected {
        return vec![Problem::Longer { expected }];
    }
    if actual != expected {
        return vec![Problem::Size { expected, actual }];
    }
    if contents.digest != blob.digest {
        return vec![Problem::Content(format!("its bytes have digest {}", contents.digest).into())];
    }
    let Some(unpacked) = &contents.unpacked else { return Vec::new() };
    let mut problems = Vec::new();
    if let Some(expected) = compression(&blob.media_type).filter(|expected| *expected != contents.compression) {
        problems.push(Problem::Compression { expected, actual: contents.compression });
    }
    match (unpacked, diff_id) {
        (Err(reason), _) => problems.push(Problem::Content(format!("cannot decompress it: {reason}").into())),
        (Ok(actual), Some(expected)) if actual.as_str() != expected => {
            problems.push(Problem::DiffId { expected: expected.into(), actual: actual.clone() });
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
    fn each_defect_of_a_layer_gives_one_problem() {
        let digest = |text: &str| Digest::sha256(text.as_bytes());
        let layer = |kind: &str| Descriptor {
            size: 7,
            ..Descriptor::new(&format!("application/vnd.oci.image.layer.v1.{kind}"), digest("packed"))
        };
        let sound = Contents {
            size: 7,
            digest: digest("packed"),
            compression: Compression::Gzip,
            unpacked: Some(Ok(digest("unpacked"))),
            needs_wider_window: false,
        };
        let diff_id = digest("unpacked").to_string();
        let words = |kind: &str, contents: Contents| {
            let problems = content_problems(&layer(kind), &contents, Some(&diff_id));
            problems.iter().map(Problem::word).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(words("tar+gzip", sound.clone()), "");
        assert_eq!(words("tar", sound.clone()), "mediaType");
        assert_eq!(words("tar+gzip", Contents { size: 6, ..sound.clone() }), "size");
        assert_eq!(words("tar+gzip", Contents { size: 8, digest: digest("x"), ..sound.clone() }), "size");
        assert_eq!(words("tar+gzip", Contents { size: 6, digest: digest("x"), ..sound.clone() }), "size");
        assert_eq!(words("tar+gzip", Contents { digest: digest("x"), ..sound.clone() }), "content");
        assert_eq!(words("tar+gzip", Contents { unpacked: Some(Ok(digest("x"))), ..sound.clone() }), "diffId");
        assert_eq!(words("tar+gzip", Contents { unpacked: Some(Err("cut off".into())), ..sound.clone() }), "content");
        assert_eq!(words("spdx+json", Contents { unpacked: None, ..sound }), "");
    }
}
