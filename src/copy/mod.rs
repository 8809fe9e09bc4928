//! Copying an image, or a whole index with all its children, byte for byte.

mod referrers;
mod tree;

use futures_util::future::try_join_all;

use crate::event::Event;
use crate::image::{Fetched, Location, Platform, UntrustedText};
use crate::registry::RetryGroup;
use crate::store::{Error as StoreError, Placed, Publication, PublishError, Report, Steps, Store};

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
    /// The image of this platform alone, out of an index.
    pub platform: Option<Platform>,
    /// What refers to it as well: signatures, SBOMs, attestations.
    pub referrers: bool,
    /// Be done only when every tag that was written reads back.
    pub wait: bool,
}

/// Why something was not copied, or not wholly.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What is to be copied cannot be read, or not as asked for.
    #[error("cannot copy {}", about(.from, .reason))]
    Source {
        /// What is to be copied.
        from: Box<Location>,
        /// Why.
        reason: Box<Reason>,
    },
    /// Writing failed; the error says what was done before.
    #[error(transparent)]
    Publish(Box<PublishError>),
}

impl From<PublishError> for Error {
    fn from(error: PublishError) -> Self {
        Self::Publish(Box::new(error))
    }
}

/// A reason that names the source itself needs no other name before it.
fn about(from: &Location, reason: &Reason) -> String {
    match reason {
        Reason::Store(error) if error.subject() == from.to_string() => reason.to_string(),
        _ => format!("{from}: {reason}"),
    }
}

/// What is wrong with what is to be copied.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// The registry's or layout's doing.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It does not hold what was asked for.
    #[error("{0}")]
    Unusable(UntrustedText),
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
pub async fn copy(store: &Store, request: &CopyRequest, options: &CopyOptions) -> Result<Report, Error> {
    let report = copy_unfinished(store, &Placed::default(), request, options).await?;
    match store.finish().await {
        Ok(()) => Ok(report),
        Err(error) => Err(PublishError::of_archive(&request.to, report, Some(error)).into()),
    }
}

/// Copies like [`copy`], as one of several copies of a run: archives are in their places only after [`Store::finish`].
///
/// `placed` is what earlier copies of the run found out.
///
/// # Errors
///
/// As of [`copy`], except that archives are not written yet.
pub async fn copy_unfinished(
    store: &Store,
    placed: &Placed,
    request: &CopyRequest,
    options: &CopyOptions,
) -> Result<Report, Error> {
    let CopyRequest { from, to, tags } = request;
    store.will_push(to);
    let report = |step| store.client().events().emit(&Event::Step { target: to.clone(), step });
    let steps: Steps<'_> = &report;
    RetryGroup::run(async {
        let unreadable = |reason: Reason| Error::Source { from: Box::new(from.clone()), reason: Box::new(reason) };
        let root = root(store, from, options.platform.as_ref()).await.map_err(unreadable)?;
        let tree = tree::tree(store, from, &root).await.map_err(unreadable)?;
        let target = target(from, to, &root).map_err(unreadable)?;
        let current = store.current_digests(std::iter::once(&target).chain(tags)).await;
        let publication = Publication::new(&target, tags, &root.descriptor, &root.bytes);
        let mut publication = Publication { current: &current, wait: options.wait, ..publication };
        // The root's own blobs are placed with those of the others; its manifest is the one that the tags point at.
        let errors = placed.place_blobs(store, to, &tree.concat(), steps).await;
        if !errors.is_empty() {
            return Err(publication.failed_before(errors).into());
        }
        publication.children = tree.split_last().map_or(&[], |(_, below)| below);
        if options.referrers {
            // Before the tags, so that a client that sees the image also finds its signatures.
            for level in publication.children {
                let errors = placed.push_children(store, to, level, steps).await;
                if !errors.is_empty() {
                    return Err(publication.failed_before(errors).into());
                }
            }
            let subjects: Vec<_> = tree.iter().flatten().map(|child| child.descriptor.digest.clone()).collect();
            let copied = referrers::copy(store, placed, from, to, &subjects, steps).await;
            copied.map_err(|error| publication.failed_before(vec![error]))?;
        }
        Ok(store.publish(&publication, placed, steps).await?)
    })
    .await
}

/// Where it goes: `to`, with the name of `from` if it has none.
fn target(from: &Location, to: &Location, root: &Fetched) -> Result<Location, Reason> {
    let digest = &root.descriptor.digest;
    match (to, to.digest(), from.tag()) {
        (_, Some(wanted), _) if wanted != digest => {
            Err(Reason::Unusable(format!("it is {digest}, not {wanted}").into()))
        }
        // A layout lists what has no name as well.
        (Location::Layout(_), Some(_), _) => Ok(to.without_name()),
        (_, Some(_), _) => Ok(to.clone()),
        _ if to.tag().is_some() => Ok(to.clone()),
        (Location::Registry(_), None, Some(tag)) if crate::image::check_tag(tag).is_ok() => Ok(to.with_tag(tag)),
        (Location::Registry(_), None, _) => Ok(to.with_digest(digest.clone())),
        (Location::Layout(_), None, Some(tag)) => Ok(to.with_tag(tag)),
        (Location::Layout(_), None, None) => Ok(to.clone()),
    }
}

/// What is copied: what `from` names, or the image of a platform in it.
async fn root(store: &Store, from: &Location, platform: Option<&Platform>) -> Result<Fetched, Reason> {
    Ok(match platform {
        Some(wanted) => store.fetch_image(from, wanted).await?,
        None => store.fetch_manifest(from).await?,
    })
}

/// The tags of a repository that match any of these patterns, sorted; `*` and `?` stand for others.
/// A tag that is spelled out must be there.
///
/// Errors: the registry's, or which of them match nothing.
pub async fn select_tags(store: &Store, from: &Location, patterns: &[String]) -> Result<Vec<String>, Error> {
    let unreadable = |reason: Reason| Error::Source { from: Box::new(from.clone()), reason: Box::new(reason) };
    let Some(repository) = from.reference() else {
        return Err(unreadable(Reason::Unusable("patterns of tags are for a repository in a registry".into())));
    };
    let tags = store
        .client()
        .tags(repository, usize::MAX)
        .await
        .map_err(|error| unreadable(StoreError::from(error).into()))?;
    let patterns: Vec<(&String, wildmatch::WildMatch)> =
        patterns.iter().map(|pattern| (pattern, wildmatch::WildMatch::new(pattern))).collect();
    let mut unmatched = patterns.iter().filter(|(_, pattern)| !tags.iter().any(|tag| pattern.matches(tag))).peekable();
    if unmatched.peek().is_some() {
        let names: Vec<&str> = unmatched.map(|(name, _)| name.as_str()).collect();
        return Err(unreadable(Reason::Unusable(format!("no tag matches {}", names.join(", ")).into())));
    }
    let mut selected: Vec<String> =
        tags.into_iter().filter(|tag| patterns.iter().any(|(_, pattern)| pattern.matches(tag))).collect();
    selected.sort_unstable();
    selected.dedup();
    Ok(selected)
}

/// What each of these is, and where it would go, without copying anything.
pub async fn look(
    store: &Store,
    pairs: &[(Location, Location)],
    options: &CopyOptions,
) -> Result<Vec<(Fetched, Location)>, Error> {
    try_join_all(pairs.iter().map(async |(from, to)| {
        let found = async {
            let root = root(store, from, options.platform.as_ref()).await?;
            let target = target(from, to, &root)?;
            Ok((root, target))
        };
        found.await.map_err(|reason| Error::Source { from: Box::new(from.clone()), reason: Box::new(reason) })
    }))
    .await
}
