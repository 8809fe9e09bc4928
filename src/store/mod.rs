//! Registries and layouts in the same words: what jobs read from and write to.

mod artifact;
mod blobs;
mod choose;
mod error;
mod files;
mod place;
mod publish;
mod referrers;
mod transfers;

pub(crate) use artifact::ARTIFACT_MANIFEST;
pub use error::Error;
pub(crate) use place::Steps;
pub use place::{Child, Placed};
pub use publish::{Publication, PublishError, Report, TagOutcome, TagReport};

use std::borrow::Borrow;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::image::{Descriptor, Digest, Fetched, LayoutReference, Location, MAX_CONFIG, Reference, UntrustedText};
use crate::layout::Layout;
use crate::registry::{Client, IfMatch};

/// Blobs on their way at once, at most; each takes a connection at both ends.
const TRANSFERS: usize = 16;

/// What jobs read from and write to: the registries that a client reaches, and the layouts and archives of this machine.
/// Cheap to clone; clones share what they have open.
#[derive(Clone)]
pub struct Store(Arc<Shared>);

struct Shared {
    client: Client,
    files: files::Open,
    /// Bounds the blobs in transfer.
    slots: Semaphore,
    /// Bounds the writes that are under way, whatever they are for; see [`Store::piece_of_work`].
    pieces: Semaphore,
}

impl Store {
    /// A store over the registries that a client reaches, and the layouts of this machine.
    #[must_use]
    pub fn new(client: Client) -> Self {
        let (slots, pieces) = (TRANSFERS.min(client.concurrency()), client.concurrency());
        let (slots, pieces) = (Semaphore::new(slots), Semaphore::new(pieces));
        Self(Arc::new(Shared { client, files: files::Open::default(), slots, pieces }))
    }

    /// Waits until fewer than `concurrency` writes are under way in the run. Each takes 20 to 40 KB from its beginning to
    /// its end, and there may be a hundred thousand; what waits here is small, if the write itself is boxed.
    async fn piece_of_work(&self) -> Option<SemaphorePermit<'_>> {
        self.0.pieces.acquire().await.ok()
    }

    /// The client of the registries.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.0.client
    }

    /// Announces that a location will be written to, so that reads in its repository use the token that writes need.
    pub(crate) fn will_push(&self, at: &Location) {
        if let Location::Registry(reference) = at {
            self.client().will_push(reference);
        }
    }

    /// Fetches a manifest by tag, name or digest, verified.
    pub async fn fetch_manifest(&self, at: &Location) -> Result<Fetched, Error> {
        match at {
            Location::Registry(reference) => Ok(self.client().fetch_manifest(reference).await?),
            Location::Layout(layout) => Ok(self.layout(layout).await?.fetch_manifest(layout)?),
        }
    }

    /// Fetches what a tag or name of a target points at now, if it is anything.
    pub async fn fetch_current(&self, at: &Location) -> Result<Option<Fetched>, Error> {
        let fetched = match at {
            Location::Registry(_) => self.fetch_manifest(at).await,
            Location::Layout(layout) => match Layout::current(layout, self.client().budget())? {
                Some(current) => current.fetch_manifest(layout).map_err(Error::from),
                None => return Ok(None),
            },
        };
        match fetched {
            Ok(fetched) => Ok(Some(fetched)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Fetches the manifest that a descriptor names, from the same repository or layout.
    pub async fn fetch_child(&self, parent: &Location, child: &Descriptor) -> Result<Fetched, Error> {
        let layout = match parent {
            Location::Registry(reference) => {
                return Ok(self.client().fetch_child(reference, child).await?);
            }
            Location::Layout(layout) => layout,
        };
        let at = LayoutReference { name: None, digest: Some(child.digest.clone()), ..layout.clone() };
        let fetched = self.layout(layout).await?.fetch_manifest(&at)?;
        fetched.check(child).map_err(|reason| Error::layout(&at, reason))?;
        Ok(fetched)
    }

    /// Fetches a config, verified.
    pub async fn fetch_config(&self, of: &Location, config: &Descriptor) -> Result<Bytes, Error> {
        match of {
            Location::Registry(reference) => Ok(self.client().fetch_config(reference, config).await?),
            Location::Layout(layout) => Ok(self.layout(layout).await?.fetch_blob(config, MAX_CONFIG)?),
        }
    }

    /// Fetches a blob of `limit` bytes at most, such as the statement of an attestation, verified.
    pub async fn fetch_blob(&self, of: &Location, blob: &Descriptor, limit: u64) -> Result<Bytes, Error> {
        match of {
            Location::Registry(reference) => Ok(self.client().fetch_blob(reference, blob, limit).await?),
            Location::Layout(layout) => Ok(self.layout(layout).await?.fetch_blob(blob, limit)?),
        }
    }

    /// The digest that a tag, a name or a digest stands for.
    pub async fn digest(&self, at: &Location) -> Result<Digest, Error> {
        match at {
            Location::Registry(reference) => Ok(self.client().digest(reference).await?),
            // Listed, and there.
            Location::Layout(layout) => Ok(self.layout(layout).await?.fetch_manifest(layout)?.descriptor.digest),
        }
    }

    /// The digests that several stand for, each as [`Self::digest`] says.
    pub async fn digests(&self, all: impl IntoIterator<Item = &Location>) -> Vec<Result<Digest, Error>> {
        join_all(all.into_iter().map(|at| self.digest(at))).await
    }

    /// The tags of a repository, or the names in a layout: so many at most.
    pub async fn tags(&self, at: &Location, limit: usize) -> Result<Vec<UntrustedText>, Error> {
        match at {
            Location::Registry(reference) => Ok(untrusted(self.client().tags(reference, limit).await?)),
            Location::Layout(layout) => Ok(self.layout(layout).await?.names().take(limit).cloned().collect()),
        }
    }

    /// Lists every tag of a repository, or every name in a layout.
    ///
    /// # Errors
    ///
    /// As of [`Client::every_tag`], or the layout cannot be read.
    pub async fn every_tag(&self, at: &Location) -> Result<Vec<UntrustedText>, Error> {
        match at {
            Location::Registry(reference) => Ok(untrusted(self.client().every_tag(reference).await?)),
            Location::Layout(_) => self.tags(at, usize::MAX).await,
        }
    }

    /// What a tag or name points at now, or whether a digest is there. An archive is written anew whatever it holds,
    /// and the blobs of a layout are looked at one by one: for these, nothing is there.
    pub async fn current_digest(&self, at: &Location) -> Result<Option<Digest>, Error> {
        match at {
            Location::Registry(reference) => Ok(self.client().current_digest(reference).await?),
            Location::Layout(LayoutReference { archive: true, .. } | LayoutReference { digest: Some(_), .. }) => {
                Ok(None)
            }
            Location::Layout(layout) => {
                let Some(current) = Layout::current(layout, self.client().budget())? else { return Ok(None) };
                match current.find(layout) {
                    // Listed, and lost: it is to be written again.
                    Ok(found) => Ok(self.has_file_of(layout, &found).await?.then_some(found.digest)),
                    Err(error) if error.kind == crate::layout::ErrorKind::Missing => Ok(None),
                    Err(error) => Err(error.into()),
                }
            }
        }
    }

    /// Writes a manifest, under a tag or name, or under its digest alone.
    pub async fn push_manifest(
        &self,
        at: &Location,
        descriptor: &Descriptor,
        bytes: &Bytes,
        if_match: Option<&IfMatch>,
    ) -> Result<(), Error> {
        let layout = match at {
            Location::Registry(reference) => {
                return Ok(self.client().push_manifest(reference, descriptor, bytes, if_match).await?);
            }
            Location::Layout(layout) => layout,
        };
        if let Some(if_match) = if_match {
            if_match.check(&at.to_string(), self.current_digest(at).await?.as_ref())?;
        }
        let (size, digest) = (descriptor.size, descriptor.digest.clone());
        let entry = Descriptor { size, ..Descriptor::new(&descriptor.media_type, digest) };
        // What has a digest alone is part of something else.
        let listed = layout.name.is_some() || layout.digest.is_none();
        let (name, bytes) = (layout.name.clone(), bytes.clone());
        self.write_layout(layout, move |writer| {
            writer.put_manifest(&entry, &bytes)?;
            if listed { writer.list(name.as_deref(), std::slice::from_ref(&entry)) } else { Ok(()) }
        })
        .await
    }

    /// What several tags point at, each as [`Self::current_digest`] says.
    pub async fn current_digests(
        &self,
        tags: impl IntoIterator<Item = impl Borrow<Location>>,
    ) -> Vec<Result<Option<Digest>, Error>> {
        join_all(tags.into_iter().map(async |tag| self.current_digest(tag.borrow()).await)).await
    }

    /// Waits until a tag reads back with a digest; in a layout it does at once.
    pub async fn read_back(&self, at: &Location, digest: &Digest) -> Result<(), Error> {
        match at {
            Location::Registry(reference) => Ok(self.client().read_back(reference, digest).await?),
            Location::Layout(_) => Ok(()),
        }
    }

    /// Lists manifests that are in a layout in its index.json, without names.
    pub async fn list_unnamed(&self, at: &Location, entries: &[Descriptor]) -> Result<(), Error> {
        let Location::Layout(layout) = at else { return Ok(()) };
        let entries = entries.to_vec();
        self.write_layout(layout, move |writer| writer.list(None, &entries)).await
    }

    /// Deletes a tag or a name, or by digest a manifest with every tag of it; in a layout it is no longer listed.
    ///
    /// Errors: [`Error::is_unsupported`] where the registry does not do that.
    pub async fn delete(&self, at: &Location) -> Result<(), Error> {
        match at {
            Location::Registry(reference) => Ok(self.client().delete_manifest(reference).await?),
            Location::Layout(layout) => self.delete_in_layout(layout).await,
        }
    }
}

fn untrusted(names: Vec<String>) -> Vec<UntrustedText> {
    names.into_iter().map(UntrustedText::from).collect()
}

/// Both in one registry, if they are.
fn in_one_registry<'l>(from: &'l Location, to: &'l Location) -> Option<(&'l Reference, &'l Reference)> {
    let (from, to) = (from.reference()?, to.reference()?);
    (from.registry() == to.registry()).then_some((from, to))
}
