use super::convert::{CopyContent, convert};
use super::error::Error;
use super::request::{CopyOptions, CopyRequest};
use super::target::{check_target, target_of};
use crate::event::Event;
use crate::image::{Digest, Fetched, Location, Manifest, Platform, media_type};
use crate::registry::RetryGroup;
use crate::store::{
    Error as StoreError, IfMatch, OnStep, Publication, PublishError, PublishReport, Run, Store, TagTarget,
};

/// Copies an image, or an index with all its children: byte for byte, unless the options convert it.
///
/// An archive replaces its target file before this function returns, with all content that this store wrote to it.
///
/// ```
/// use manifest_tool::copy::{CopyOptions, CopyRequest, copy};
/// use manifest_tool::registry::{Client, ClientConfig};
/// use manifest_tool::store::Store;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let archive = &format!("oci-archive:{}/app.tar:v1", folder.path().display());
/// let store = Store::new(Client::new(ClientConfig::default()));
/// let request = CopyRequest { from: "oci:examples/layouts/amd64".parse()?, to: archive.parse()?, tags: Vec::new() };
/// let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// let report = runtime.block_on(copy(&store, &request, &CopyOptions::default()))?;
/// println!("{}", report.descriptor.digest);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The source cannot be read or used, or writing failed.
pub async fn copy(store: &Store, request: &CopyRequest, options: &CopyOptions) -> Result<PublishReport, Error> {
    let run = Run::new(store, options.dry_run);
    let report = copy_in(&run, request, options).await?;
    match run.commit().await {
        Ok(()) => Ok(report),
        Err(error) => Err(PublishError::uncommitted(&request.to, report.descriptor, report.tags, Some(error)).into()),
    }
}

/// Copies as part of a run of several copies. Unlike [`copy`], leaves archives uncommitted: they replace their target
/// files at the end of the run.
pub(crate) async fn copy_in(run: &Run, request: &CopyRequest, options: &CopyOptions) -> Result<PublishReport, Error> {
    let (store, to) = (run.store(), &request.to);
    let _intent = store.will_push(to);
    let report = |step| store.client().events().emit(&Event::Step { target: to.clone(), step });
    RetryGroup::run(copy_known(run, request, options, None, &report)).await
}

/// Copies as part of a run. `known` is the current digest of the target, if it was looked up; the target then has a tag,
/// name or digest.
pub(super) async fn copy_known(
    run: &Run,
    request: &CopyRequest,
    options: &CopyOptions,
    known: Option<Result<Option<Digest>, StoreError>>,
    on_step: OnStep<'_>,
) -> Result<PublishReport, Error> {
    let (store, CopyRequest { from, to, tags }) = (run.store(), request);
    let unreadable = |reason: StoreError| Error::source(from, reason);
    check_target(to, options).map_err(unreadable)?;
    let source = root(store, request, options).await.map_err(unreadable)?;
    check_whole(run, from, &source, options).await.map_err(unreadable)?;
    let content = content(run, from, &source, options).await?;
    // The root manifest is pushed with the tags; only its blobs are placed with those of the children.
    let (root, children) = match content.levels.split_last() {
        Some((last, children)) => (last.first().map_or(&source.descriptor, |root| &root.descriptor), children),
        None => (&source.descriptor, &[][..]),
    };
    let bytes = content.levels.last().and_then(|last| last.first()).map_or(&source.bytes, |root| &root.bytes);
    let target = target_of(from, to, &root.digest).map_err(unreadable)?;
    let locations: Vec<Location> = std::iter::once(&target).chain(tags).cloned().collect();
    if let Some(reference) = from.docker_reference() {
        store.set_known_as(&target, &reference);
    }
    let unread = locations.iter().skip(known.iter().len());
    let read = store.current_digests(unread).await;
    let current = known.into_iter().chain(read);
    let tags = locations.into_iter().zip(current).map(|(tag, current)| TagTarget::new(tag, current)).collect();
    let tags = with_preconditions(tags, options);
    let publication = Publication::new(&target, root, bytes, children);
    let publication = Publication { tags, wait: options.wait, ..publication };
    // Copy no blob if a tag does not meet its precondition.
    publication.check().map_err(|error| publication.failed_before(vec![error]))?;
    let errors = run.place_blobs(to, &content.blobs, on_step).await;
    if !errors.is_empty() {
        return Err(publication.failed_before(errors).into());
    }
    if options.referrers && !run.is_dry() {
        // Copy referrers before the tags are written, so that a client that sees the image also finds its signatures.
        for level in children {
            let errors = run.push_children(to, level, on_step).await;
            if !errors.is_empty() {
                return Err(publication.failed_before(errors).into());
            }
        }
        // A filtered index is a subject like any other: it may have been signed after an earlier copy.
        let subjects: Vec<_> = content.levels.iter().flatten().map(|child| child.descriptor.digest.clone()).collect();
        let copied = run.copy_referrers(from, to, &subjects, on_step).await;
        copied.map_err(|error| publication.failed_before(vec![error]))?;
    }
    let report = run.publish(&publication, on_step).await?;
    if !run.is_dry() {
        // Signatures of the whole image are not those of a part of it, or of what it was converted to.
        let signed = Some(&target).filter(|_| options.platforms.is_empty() && !content.is_converted);
        let unsigned = |error| {
            let PublishReport { descriptor, tags, .. } = report.clone();
            PublishError { target: target.clone(), descriptor, errors: vec![error], tags }
        };
        let left = store.carry_signatures(from, signed).await.map_err(unsigned)?;
        if left > 0 {
            store.client().events().emit(&Event::SignaturesLeft { source: from.clone(), count: left });
        }
    }
    Ok(report)
}

/// Reads what the copy writes, and converts it. Without a conversion, a dry run needs only the root.
async fn content(run: &Run, from: &Location, root: &Fetched, options: &CopyOptions) -> Result<CopyContent, Error> {
    let conversion = options.conversion();
    if run.is_dry() && conversion.is_none() {
        return Ok(CopyContent::default());
    }
    let tree = run.store().fetch_tree(from, root).await.map_err(|reason| Error::source(from, reason))?;
    match conversion {
        Some(conversion) => convert(run, from, tree, conversion, kept_because(options)).await,
        None => Ok(CopyContent::unchanged(tree)),
    }
}

/// Returns why no manifest may be converted, if the options say so.
fn kept_because(options: &CopyOptions) -> Option<&'static str> {
    if options.preserve_digests {
        return Some("the conversion changes digests, which must be preserved");
    }
    options.referrers.then_some("its signatures and other referrers refer to digests that the conversion changes")
}

/// Refuses an index of only some platforms if digests must be preserved: it has another digest.
async fn check_whole(run: &Run, from: &Location, root: &Fetched, options: &CopyOptions) -> Result<(), StoreError> {
    if !options.preserve_digests
        || distinct(&options.platforms).len() < 2
        || run.store().digest(from).await? == root.descriptor.digest
    {
        return Ok(());
    }
    Err(StoreError::unsuitable(from, "an index of only some platforms has another digest, which must be preserved"))
}

/// Sets the preconditions of the tags, the target's first.
fn with_preconditions(mut tags: Vec<TagTarget>, options: &CopyOptions) -> Vec<TagTarget> {
    if options.no_clobber {
        tags.iter_mut().for_each(|tag| tag.if_match = Some(IfMatch::Missing));
    } else if let Some(target) = tags.first_mut() {
        target.if_match = options.if_match.clone();
    }
    tags
}

/// Fetches the manifest to copy: that of `from`, that of its image for one platform, or an index of its images for
/// several distinct platforms.
async fn root(store: &Store, request: &CopyRequest, options: &CopyOptions) -> Result<Fetched, StoreError> {
    let CopyRequest { from, to, .. } = request;
    let distinct = distinct(&options.platforms);
    let root = match distinct.as_slice() {
        [] => store.fetch_root(from).await?,
        [only] => store.fetch_image(from, only).await?,
        several => store.fetch_images(from, several).await?,
    };
    match (&root.manifest, to.layout()) {
        (Manifest::Index(_), Some(layout)) if layout.transport.is_docker() && distinct.len() > 1 => {
            Err(StoreError::unsuitable(to, "it holds images of one platform; choose one"))
        }
        (Manifest::Index(_), Some(layout)) if layout.transport.is_docker() => {
            only_image(store, request, root, options.default_platform.as_ref()).await
        }
        _ => Ok(root),
    }
}

/// Returns platforms without repetitions.
fn distinct(platforms: &[Platform]) -> Vec<Platform> {
    let mut distinct: Vec<Platform> = Vec::new();
    for platform in platforms {
        if !distinct.iter().any(|other| other.is_same(platform)) {
            distinct.push(platform.clone());
        }
    }
    distinct
}

/// Chooses the image of an index for a target that holds images of one platform.
async fn only_image(
    store: &Store,
    request: &CopyRequest,
    root: Fetched,
    default: Option<&Platform>,
) -> Result<Fetched, StoreError> {
    let (from, Manifest::Index(index)) = (&request.from, &root.manifest) else { return Ok(root) };
    let mut images = index.manifests.iter().filter(|entry| !entry.is_attestation());
    match (images.next(), images.next(), default) {
        (Some(only), None, _) if media_type::is_image(&only.media_type) => store.fetch_child(from, only).await,
        (_, _, Some(platform)) => {
            let (source, target, platform) = (from.clone(), request.to.clone(), platform.clone());
            let image = store.choose_image(from, root, &platform).await?;
            store.client().events().emit(&Event::PlatformChosen { source, target, platform });
            Ok(image)
        }
        _ => {
            Err(StoreError::unsuitable(from, "it is an index, but the target holds images of one platform; choose one"))
        }
    }
}
