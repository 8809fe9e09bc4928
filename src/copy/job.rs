use super::error::{CopyProblem, Error};
use super::{referrers, tree};
use crate::event::Event;
use crate::image::{Fetched, Location, Platform, check_tag};
use crate::registry::RetryGroup;
use crate::store::{OnStep, Publication, PublishError, PublishReport, Run, Store, TagTarget};

/// What to copy, and where.
#[derive(Debug, Clone)]
pub struct CopyRequest {
    /// What is copied.
    pub from: Location,
    /// Where it goes. Without a tag or digest it takes that of `from`.
    pub to: Location,
    /// Further tags at the target.
    pub tags: Vec<Location>,
}

/// How to copy.
#[derive(Debug, Clone, Default)]
pub struct CopyOptions {
    /// Copy only the image of this platform, out of an index. Defaults to everything.
    pub platform: Option<Platform>,
    /// Copy what refers to it as well: signatures, SBOMs, attestations. Defaults to false.
    pub referrers: bool,
    /// Return only when every tag that was written reads back. Defaults to false.
    pub wait: bool,
    /// Write nothing; the report says what would become of each tag. Defaults to false.
    pub dry_run: bool,
}

/// Copies an image or index with everything below it, byte for byte.
///
/// An archive is in its place when this returns, with all that was written into it by this store.
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
        Err(error) => Err(PublishError::of_archive(&request.to, report, Some(error)).into()),
    }
}

/// Copies like [`copy`], as one of several copies of a run: archives are in their places when the run has ended.
pub(crate) async fn copy_in(run: &Run, request: &CopyRequest, options: &CopyOptions) -> Result<PublishReport, Error> {
    let (store, to) = (run.store(), &request.to);
    let _intent = store.will_push(to);
    let report = |step| store.client().events().emit(&Event::Step { target: to.clone(), step });
    RetryGroup::run(copy_with(run, request, options, &report)).await
}

async fn copy_with(
    run: &Run,
    request: &CopyRequest,
    options: &CopyOptions,
    on_step: OnStep<'_>,
) -> Result<PublishReport, Error> {
    let (store, CopyRequest { from, to, tags }) = (run.store(), request);
    let unreadable = |reason: CopyProblem| Error::source(from, reason);
    let root = root(store, from, options.platform.as_ref()).await.map_err(unreadable)?;
    // What is below it is not needed to foresee what becomes of the tags.
    let tree = match run.is_dry() {
        true => Vec::new(),
        false => tree::tree(store, from, &root).await.map_err(unreadable)?,
    };
    let target = target(from, to, &root).map_err(unreadable)?;
    let locations: Vec<Location> = std::iter::once(&target).chain(tags).cloned().collect();
    let current = store.current_digests(&locations).await;
    let tags = locations.into_iter().zip(current).map(|(tag, current)| TagTarget::new(tag, current)).collect();
    // The manifest of the root is the one that gets the tags; its blobs are placed with those of the others.
    let below = tree.split_last().map_or(&[][..], |(_, below)| below);
    let publication = Publication::new(&target, &root.descriptor, &root.bytes, below);
    let publication = Publication { tags, wait: options.wait, ..publication };
    let errors = run.place_blobs(to, &tree.concat(), on_step).await;
    if !errors.is_empty() {
        return Err(publication.failed_before(errors).into());
    }
    if options.referrers && !run.is_dry() {
        // Before the tags, so that a client that sees the image also finds its signatures.
        for level in below {
            let errors = run.push_children(to, level, on_step).await;
            if !errors.is_empty() {
                return Err(publication.failed_before(errors).into());
            }
        }
        let subjects: Vec<_> = tree.iter().flatten().map(|child| child.descriptor.digest.clone()).collect();
        let copied = referrers::copy(run, from, to, &subjects, on_step).await;
        copied.map_err(|error| publication.failed_before(vec![error]))?;
    }
    Ok(run.publish(&publication, on_step).await?)
}

/// Where it goes: `to`, with the name of `from` if it has none.
fn target(from: &Location, to: &Location, root: &Fetched) -> Result<Location, CopyProblem> {
    let digest = &root.descriptor.digest;
    match (to, to.digest(), from.tag()) {
        (_, Some(wanted), _) if wanted != digest => {
            Err(CopyProblem::Unusable(format!("it is {digest}, not {wanted}").into()))
        }
        // A layout lists what has no name as well.
        (Location::Layout(_), Some(_), _) => Ok(to.without_name()),
        (_, Some(_), _) => Ok(to.clone()),
        _ if to.tag().is_some() => Ok(to.clone()),
        (Location::Registry(_), None, Some(tag)) if check_tag(tag).is_ok() => Ok(to.with_tag(tag)),
        (Location::Registry(_), None, _) => Ok(to.with_digest(digest.clone())),
        (Location::Layout(_), None, Some(tag)) => Ok(to.with_tag(tag)),
        (Location::Layout(_), None, None) => Ok(to.clone()),
    }
}

/// What is copied: what `from` names, or the image of a platform in it.
async fn root(store: &Store, from: &Location, platform: Option<&Platform>) -> Result<Fetched, CopyProblem> {
    Ok(match platform {
        Some(wanted) => store.fetch_image(from, wanted).await?,
        None => store.fetch_manifest(from).await?,
    })
}
