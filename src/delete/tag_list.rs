use std::collections::{HashMap, HashSet};

use futures_util::stream::{self, StreamExt as _};

use super::MAX_CONCURRENT;
use crate::image::{Descriptor, Digest, Location, Manifest, Timestamp, UntrustedText, media_type};
use crate::memory::Charge;
use crate::query;
use crate::single_flight::SingleFlight;
use crate::store::{Error, Store};

/// Bytes of memory per listed digest.
const PER_DIGEST: usize = 160;

/// What the tags of a repository point at.
#[derive(Debug, Default)]
pub(super) struct TagList {
    /// The tags in the registry's order.
    pub(super) tags: Vec<ListedTag>,
    /// The manifests that each index lists directly. Includes the indexes that other indexes list.
    pub(super) entries: HashMap<Digest, Vec<Digest>>,
    /// The charge for the memory of `entries`.
    charge: Option<Charge>,
}

/// A tag and what it points at.
#[derive(Debug, Clone)]
pub(super) struct ListedTag {
    pub(super) tag: UntrustedText,
    pub(super) digest: Digest,
    /// When the image was created, if that was requested.
    pub(super) created: Option<Created>,
}

/// When an image was created, or why that is unknown.
pub(super) type Created = Result<Timestamp, UndatedReason>;

/// Why the age of an image is unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum UndatedReason {
    /// The config has no valid date, or the manifest has no image config.
    NoDate,
    /// The date is one that reproducible builds set, such as 1970-01-01.
    Placeholder(Timestamp),
    /// The image or config with the date is missing or damaged. Holds the reason.
    Unreadable(UntrustedText),
}

/// The dates of manifests that several tags may share.
type Dates = SingleFlight<Digest, Created, Error>;

/// A manifest that a tag points at.
struct TaggedManifest {
    digest: Digest,
    /// The entries of an index.
    entries: Vec<Descriptor>,
    created: Option<Created>,
}

impl TagList {
    /// Reads every tag of a repository, each once, and each nested index once. Reads the dates of the tags that
    /// `is_dated` selects.
    ///
    /// # Errors
    /// The list of tags, a tag, or a nested index that exists cannot be read.
    pub(super) async fn read(
        store: &Store,
        repository: &Location,
        is_dated: impl Fn(&str) -> bool + Sync,
    ) -> Result<Self, Error> {
        let mut seen = HashSet::new();
        let mut names = store.every_tag(repository).await?;
        names.retain(|tag| seen.insert(tag.clone()));
        let dates = Dates::default();
        let read = async |tag: UntrustedText| {
            let read = read_tag(store, &repository.with_tag(&tag), &dates, is_dated(&tag)).await;
            (tag, read)
        };
        let mut list = Self { charge: Some(store.client().budget().open()), ..Self::default() };
        let (mut missing, mut nested) = (Vec::new(), Vec::new());
        let mut reads = std::pin::pin!(stream::iter(names).map(read).buffered(MAX_CONCURRENT));
        while let Some((tag, read)) = reads.next().await {
            match read {
                Ok(TaggedManifest { digest, entries, created }) => {
                    nested.extend(list.add_index(repository, &digest, &entries)?);
                    list.tags.push(ListedTag { tag, digest, created });
                }
                Err(error) if error.is_missing() => missing.push((tag, error)),
                Err(error) => return Err(error),
            }
        }
        check_deleted(store, repository, missing).await?;
        list.read_nested(store, repository, nested).await?;
        Ok(list)
    }

    /// Adds the entries of an index, and returns the nested indexes among them. Does nothing for an image, or an index
    /// that was added before.
    fn add_index(&mut self, at: &Location, index: &Digest, entries: &[Descriptor]) -> Result<Vec<Digest>, Error> {
        if entries.is_empty() || self.entries.contains_key(index) {
            return Ok(Vec::new());
        }
        if let Some(charge) = &mut self.charge {
            let charged = charge.grow(entries.len() * PER_DIGEST);
            charged.map_err(|error| Error::unsuitable(at, format!("its indexes cannot all be read: {error}")))?;
        }
        self.entries.insert(index.clone(), entries.iter().map(|entry| entry.digest.clone()).collect());
        let nested = entries.iter().filter(|entry| media_type::is_index(&entry.media_type));
        Ok(nested.map(|entry| entry.digest.clone()).collect())
    }

    /// Reads nested indexes, level by level. A nested index that does not exist lists nothing; it is requested twice,
    /// because a registry whose reads lag may miss it once.
    async fn read_nested(&mut self, store: &Store, at: &Location, mut next: Vec<Digest>) -> Result<(), Error> {
        let mut seen = HashSet::new();
        loop {
            next.retain(|index| !self.entries.contains_key(index) && seen.insert(index.clone()));
            if next.is_empty() {
                return Ok(());
            }
            let fetch = async |index: Digest| {
                let location = at.with_digest(index.clone());
                let fetched = match store.fetch_manifest(&location).await {
                    Err(error) if error.is_missing() => store.fetch_manifest(&location).await,
                    fetched => fetched,
                };
                (index, fetched.map(|fetched| entries_of(fetched.manifest)))
            };
            let fetches = stream::iter(std::mem::take(&mut next)).map(fetch).buffer_unordered(MAX_CONCURRENT);
            let mut fetches = std::pin::pin!(fetches);
            while let Some((index, entries)) = fetches.next().await {
                match entries {
                    Ok(entries) => next.extend(self.add_index(at, &index, &entries)?),
                    Err(error) if error.is_missing() || error.is_of_other_type() => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }

    /// Returns the manifests that an index lists, directly and in nested indexes; none for an image.
    pub(super) fn listed_by(&self, index: &Digest) -> HashSet<&Digest> {
        let mut listed = HashSet::new();
        let mut next: Vec<&Digest> = self.entries.get(index).into_iter().flatten().collect();
        while let Some(digest) = next.pop() {
            if listed.insert(digest) {
                next.extend(self.entries.get(digest).into_iter().flatten());
            }
        }
        listed
    }
}

/// Reads a tag, and the date of its image if `is_dated`.
async fn read_tag(store: &Store, at: &Location, dates: &Dates, is_dated: bool) -> Result<TaggedManifest, Error> {
    let fetched = match store.fetch_manifest(at).await {
        // Neither an image nor an index, so it lists no other manifest.
        Err(error) if error.is_of_other_type() => {
            let (digest, created) = (store.digest(at).await?, is_dated.then_some(Err(UndatedReason::NoDate)));
            return Ok(TaggedManifest { digest, entries: Vec::new(), created });
        }
        fetched => fetched?,
    };
    let digest = fetched.descriptor.digest;
    let created = match is_dated {
        true => Some(dates.get(&digest, created(store, at, &fetched.manifest)).await?),
        false => None,
    };
    Ok(TaggedManifest { digest, entries: entries_of(fetched.manifest), created })
}

fn entries_of(manifest: Manifest) -> Vec<Descriptor> {
    match manifest {
        Manifest::Index(index) => index.manifests,
        Manifest::Image(_) => Vec::new(),
    }
}

async fn created(store: &Store, at: &Location, manifest: &Manifest) -> Result<Created, Error> {
    match query::created_of(store, at, manifest).await {
        Ok(Some(created)) if created.is_placeholder() => Ok(Err(UndatedReason::Placeholder(created))),
        Ok(created) => Ok(created.ok_or(UndatedReason::NoDate)),
        Err(error) if error.is_missing_content() || error.is_wrong_content() || error.sizes().is_some() => {
            Ok(Err(UndatedReason::Unreadable(error.to_string().into())))
        }
        Err(error) => Err(error),
    }
}

/// Checks that tags without a manifest are no longer listed. A tag that is still listed may point at a manifest that
/// this replica of the registry does not have yet.
async fn check_deleted(
    store: &Store,
    repository: &Location,
    missing: Vec<(UntrustedText, Error)>,
) -> Result<(), Error> {
    if missing.is_empty() {
        return Ok(());
    }
    let listed: HashSet<UntrustedText> = store.every_tag(repository).await?.into_iter().collect();
    missing.into_iter().find(|(tag, _)| listed.contains(tag)).map_or(Ok(()), |(_, error)| Err(error))
}
