//! Converts a source before it is copied: reads and recompresses layers, and builds the new manifests from below.

use std::collections::{HashMap, HashSet};

use futures_util::stream::{self, StreamExt as _};

use super::conversion_error::ConversionError;
use super::diff_ids::diff_ids;
use super::error::Error;
use crate::convert::{Conversion, LayerChange, Obstacle, convert_image, convert_index, dropped_attestations, unlike};
use crate::image::{Descriptor, Digest, ImageManifest, Location, Manifest, parse_manifest};
use crate::layer::LayerEncoding;
use crate::store::{Error as StoreError, RecompressedLayer, Run, SourceManifest};

/// The maximum number of layers that wait for their turn to be recompressed.
const MAX_CONCURRENT: usize = 16;

/// What a copy writes.
#[derive(Default)]
pub(super) struct CopyContent {
    /// The manifests in levels, the root on the last.
    pub(super) levels: Vec<Vec<SourceManifest>>,
    /// The sources of all blobs. A converted manifest appears twice if only some of its layers were recompressed.
    pub(super) blobs: Vec<SourceManifest>,
    /// Whether a manifest was converted.
    pub(super) is_converted: bool,
}

impl CopyContent {
    /// Returns the content of a copy that changes nothing.
    pub(super) fn unchanged(levels: Vec<Vec<SourceManifest>>) -> Self {
        Self { blobs: levels.concat(), levels, is_converted: false }
    }
}

/// A manifest of the source.
struct Parsed {
    source: SourceManifest,
    /// `None` for an artifact manifest.
    manifest: Option<Manifest>,
    /// What changes in it. Attestations and artifacts keep their layers.
    conversion: Conversion,
}

/// A layer to recompress.
struct Layer {
    /// The first image that has it.
    image: Digest,
    /// Its number in that image, counted from 1.
    number: usize,
    descriptor: Descriptor,
    diff_id: String,
}

/// Converts the manifests of a copy. Writes nothing to the target: recompressed layers go to the folder for temporary
/// files. `kept_because` says why no manifest may change, if that is so.
///
/// # Errors
/// The target format cannot hold everything, a layer is not what its descriptors say, a manifest would change that may
/// not, or the source cannot be read.
pub(super) async fn convert(
    run: &Run,
    from: &Location,
    tree: Vec<Vec<SourceManifest>>,
    conversion: Conversion,
    kept_because: Option<&'static str>,
) -> Result<CopyContent, Error> {
    let refused = |obstacles| Error::Conversion(Box::new(ConversionError::new(from, conversion, obstacles)));
    let mut levels = parsed(tree, conversion);
    has_changes(&levels).map_err(refused)?;
    let (layers, mut obstacles) = match conversion.encoding {
        Some(encoding) => layers(run, from, &mut levels, encoding).await?,
        None => Default::default(),
    };
    // The configs tell images from artifacts, whose layers do not change.
    let has_changes = has_changes(&levels).map_err(refused)?;
    if let Some(reason) = kept_because.filter(|_| has_changes) {
        return Err(Error::source(from, StoreError::unsuitable(from, reason)));
    }
    let changes = match conversion.encoding {
        Some(encoding) => recompressed(run, from, layers, encoding).await?,
        None => Ok(HashMap::new()),
    };
    let changes = changes.unwrap_or_else(|more| {
        obstacles.extend(more);
        HashMap::new()
    });
    if !obstacles.is_empty() {
        return Err(refused(obstacles));
    }
    converted(levels, &changes).map_err(refused)
}

/// Parses the manifests, and leaves out the attestations that the target format cannot hold.
fn parsed(tree: Vec<Vec<SourceManifest>>, conversion: Conversion) -> Vec<Vec<Parsed>> {
    let parse = |source: SourceManifest| {
        let manifest = parse_manifest(&source.bytes, &source.descriptor.media_type).ok().map(|(manifest, _)| manifest);
        Parsed { source, manifest, conversion }
    };
    let mut levels: Vec<Vec<Parsed>> = tree.into_iter().map(|level| level.into_iter().map(parse).collect()).collect();
    // A manifest that another entry lists as an image is one.
    let (mut attestations, mut dropped, mut images) = (HashSet::new(), HashSet::new(), HashSet::new());
    for parsed in levels.iter().flatten() {
        if let Some(Manifest::Index(index)) = &parsed.manifest {
            for entry in &index.manifests {
                let digests = if entry.is_attestation() { &mut attestations } else { &mut images };
                digests.insert(entry.digest.clone());
            }
            dropped.extend(dropped_attestations(index, conversion));
        }
    }
    for level in &mut levels {
        let is_image = |parsed: &Parsed| images.contains(&parsed.source.descriptor.digest);
        level.retain(|parsed| is_image(parsed) || !dropped.contains(&parsed.source.descriptor.digest));
        let attestations = level.iter_mut().filter(|parsed| {
            !images.contains(&parsed.source.descriptor.digest)
                && attestations.contains(&parsed.source.descriptor.digest)
        });
        attestations.for_each(|parsed| parsed.conversion.encoding = None);
    }
    levels
}

/// Whether any manifest changes.
///
/// # Errors
/// Everything that stands in the way of the conversion and shows in the manifests.
fn has_changes(levels: &[Vec<Parsed>]) -> Result<bool, Vec<Obstacle>> {
    let (mut has_changes, mut obstacles) = (false, Vec::new());
    for parsed in levels.iter().flatten() {
        match convert_one(parsed, &HashMap::new(), &HashMap::new()) {
            Ok(converted) => has_changes |= converted.is_some(),
            Err(more) => obstacles.extend(more),
        }
    }
    if obstacles.is_empty() { Ok(has_changes) } else { Err(obstacles) }
}

/// Returns the new bytes and media type of a manifest, if it changes.
fn convert_one(
    parsed: &Parsed,
    layers: &HashMap<Digest, LayerChange>,
    children: &HashMap<Digest, Descriptor>,
) -> Result<Option<(Vec<u8>, &'static str)>, Vec<Obstacle>> {
    let Parsed { source, manifest, conversion } = parsed;
    let SourceManifest { descriptor: Descriptor { digest, media_type, .. }, bytes, .. } = source;
    match manifest {
        Some(Manifest::Image(image)) => convert_image(digest, image, bytes, media_type, *conversion, layers),
        Some(Manifest::Index(index)) => convert_index(digest, index, bytes, media_type, *conversion, children),
        // The entry of an artifact manifest stands in the way of a Docker manifest list.
        None => Ok(None),
    }
}

/// Returns the layers to recompress, each once, and the images whose configs do not allow it.
async fn layers(
    run: &Run,
    from: &Location,
    levels: &mut [Vec<Parsed>],
    encoding: LayerEncoding,
) -> Result<(Vec<Layer>, Vec<Obstacle>), Error> {
    let mut images: Vec<(&mut Parsed, Vec<usize>)> = Vec::new();
    for parsed in levels.iter_mut().flatten().filter(|parsed| parsed.conversion.encoding.is_some()) {
        let positions = parsed.image().map(|image| unlike(image, encoding)).unwrap_or_default();
        if !positions.is_empty() {
            images.push((parsed, positions));
        }
    }
    // Iterate over positions: futures that borrow images would not be `Send`.
    let read = async |position: usize| match images.get(position).and_then(|(parsed, _)| parsed.image()) {
        Some(image) => layer_ids(run, from, image).await,
        None => Ok(None),
    };
    let read: Vec<_> = stream::iter(0..images.len()).map(read).buffered(MAX_CONCURRENT).collect().await;
    let (mut layers, mut obstacles, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    for ((parsed, positions), diff_ids) in images.into_iter().zip(read) {
        match diff_ids {
            Ok(Some(diff_ids)) => layers.extend(parsed.layers(&positions, &diff_ids).filter(|layer| {
                let Descriptor { digest, media_type, .. } = &layer.descriptor;
                seen.insert((digest.clone(), media_type.clone(), layer.diff_id.clone()))
            })),
            Ok(None) => parsed.conversion.encoding = None,
            Err(error) => {
                let obstacle = obstacle(&parsed.source.descriptor.digest, error);
                obstacles.push(obstacle.map_err(|error| Error::source(from, error))?);
            }
        }
    }
    Ok((layers, obstacles))
}

impl Parsed {
    fn image(&self) -> Option<&ImageManifest> {
        match &self.manifest {
            Some(Manifest::Image(image)) => Some(image),
            _ => None,
        }
    }

    /// Returns the layers at some positions.
    fn layers<'p>(&'p self, positions: &'p [usize], diff_ids: &'p [String]) -> impl Iterator<Item = Layer> + 'p {
        positions.iter().filter_map(|position| {
            let (descriptor, diff_id) =
                (self.image()?.layers.get(*position)?.clone(), diff_ids.get(*position)?.clone());
            Some(Layer { image: self.source.descriptor.digest.clone(), number: position + 1, descriptor, diff_id })
        })
    }
}

/// Recompresses layers. Returns them by their former digests; the inner error lists the layers that are not what their
/// descriptors say.
async fn recompressed(
    run: &Run,
    from: &Location,
    layers: Vec<Layer>,
    encoding: LayerEncoding,
) -> Result<Result<HashMap<Digest, RecompressedLayer>, Vec<Obstacle>>, Error> {
    // Iterate over positions: futures that borrow layers would not be `Send`.
    let recompress = async |position: usize| {
        let layer = layers.get(position)?;
        Some(run.recompress(from, &layer.descriptor, &layer.diff_id, encoding).await)
    };
    let results: Vec<_> = stream::iter(0..layers.len()).map(recompress).buffered(MAX_CONCURRENT).collect().await;
    let (mut changes, mut obstacles) = (HashMap::new(), Vec::new());
    for (layer, result) in layers.iter().zip(results.into_iter().flatten()) {
        match result {
            Ok(change) => {
                changes.insert(layer.descriptor.digest.clone(), change);
            }
            Err(error) => {
                let mut obstacle = obstacle(&layer.image, error).map_err(|error| Error::source(from, error))?;
                let reason = obstacle.reason.strip_prefix("layer ").unwrap_or(&obstacle.reason);
                obstacle.reason = format!("layer {} {reason}", layer.number).into();
                obstacles.push(obstacle);
            }
        }
    }
    Ok(if obstacles.is_empty() { Ok(changes) } else { Err(obstacles) })
}

/// Returns the `diff_ids` of an image, one for each layer; `None` if it is an artifact that only borrows the media type of
/// an image config.
async fn layer_ids(run: &Run, from: &Location, image: &ImageManifest) -> Result<Option<Vec<String>>, StoreError> {
    let bytes = run.store().fetch_config(from, &image.config).await?;
    let (subject, is_transient) = (format!("config {}", image.config.digest), false);
    diff_ids(&bytes, image.layers.len()).map_err(|reason| StoreError::Content { subject, reason, is_transient })
}

/// Returns wrong content as an obstacle, and any other error as itself.
fn obstacle(manifest: &Digest, error: StoreError) -> Result<Obstacle, StoreError> {
    match error {
        StoreError::Content { subject, reason, .. } => {
            let reason = format!("{subject}: {reason}").into();
            Ok(Obstacle { manifest: manifest.clone(), reason, remedy: None })
        }
        error => Err(error),
    }
}

/// Builds the new manifests from below: an index needs the digests of its children.
fn converted(
    levels: Vec<Vec<Parsed>>,
    layers: &HashMap<Digest, RecompressedLayer>,
) -> Result<CopyContent, Vec<Obstacle>> {
    let changes: HashMap<Digest, LayerChange> = layers
        .iter()
        .map(|(digest, layer)| (digest.clone(), LayerChange { digest: layer.digest.clone(), size: layer.size }))
        .collect();
    let new_layers: HashMap<&Digest, &RecompressedLayer> =
        layers.values().map(|layer| (&layer.digest, layer)).collect();
    let mut children: HashMap<Digest, Descriptor> = HashMap::new();
    let mut content = CopyContent::default();
    for level in levels {
        let mut converted = Vec::new();
        for parsed in level {
            let result = convert_one(&parsed, &changes, &children)?;
            let mut source = parsed.source;
            let Some((bytes, media_type)) = result else {
                content.blobs.push(source.clone());
                converted.push(source);
                continue;
            };
            let new = Digest::sha256(&bytes);
            let new = Descriptor { size: bytes.len() as u64, ..Descriptor::new(media_type, new) };
            children.insert(source.descriptor.digest.clone(), new.clone());
            (source.descriptor, source.bytes) = (new, bytes.into());
            content.is_converted = true;
            content.blobs.extend(blob_sources(&source, &new_layers));
            converted.push(source);
        }
        content.levels.push(converted);
    }
    Ok(content)
}

/// Returns the sources of the blobs of a converted manifest: those that it shares with its former self, and recompressed
/// layers.
fn blob_sources(source: &SourceManifest, new_layers: &HashMap<&Digest, &RecompressedLayer>) -> Vec<SourceManifest> {
    let mut sources = vec![source.clone()];
    let manifest = parse_manifest(&source.bytes, &source.descriptor.media_type);
    // The blobs that an index lists do not change.
    let Ok((Manifest::Image(image), _)) = manifest else { return sources };
    let former: HashSet<&Digest> = source.blobs.iter().map(|blob| &blob.digest).collect();
    let (same, new): (Vec<Descriptor>, Vec<Descriptor>) =
        image.blobs().into_iter().partition(|blob| former.contains(&blob.digest));
    let location = new.first().and_then(|blob| new_layers.get(&blob.digest)).map(|layer| layer.location.clone());
    if let Some(first) = sources.first_mut() {
        first.blobs = same.into();
    }
    if let Some(location) = location {
        sources.push(SourceManifest { location, blobs: new.into(), ..source.clone() });
    }
    sources
}
