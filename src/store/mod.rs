//! Registries and layouts in the same words: what jobs read from and write to.

mod blobs;
mod error;
mod place;
mod publish;
mod referrers;
mod transfers;

pub use blobs::Placing;
pub use error::Error;
pub use place::{Child, Placed, Step, Steps};
pub use publish::{Publication, PublishError, Report, TagOutcome, TagReport};
pub use transfers::{Transfer, Transfers};

use std::borrow::Borrow;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::sync::Semaphore;

use crate::image::{
    Descriptor, Digest, Fetched, ImageConfig, ImageManifest, LayoutReference, Location, MAX_CONFIG, Manifest, Platform,
    Reference, UntrustedText, media_type,
};
use crate::layout::{self, Layout, Writer};
use crate::registry::{self, Client, IfMatch};

/// Blobs on their way at once, at most; each takes a connection at both ends.
const TRANSFERS: usize = 16;

const ARCHIVE_IS_READ: &str = "the archive is a source as well, and would be replaced; write another";

/// What a run reads from and writes to.
pub struct Store<'a> {
    client: &'a Client,
    layouts: Mutex<HashMap<LayoutReference, Arc<Layout>>>,
    writers: Mutex<HashMap<LayoutReference, Arc<Writer>>>,
    slots: Semaphore,
    transfers: Transfers,
}

impl<'a> Store<'a> {
    /// Over the registries that a client reaches, and the layouts of this machine.
    #[must_use]
    pub fn new(client: &'a Client) -> Self {
        Self {
            client,
            layouts: Mutex::default(),
            writers: Mutex::default(),
            slots: Semaphore::new(TRANSFERS.min(client.concurrency())),
            transfers: Transfers::default(),
        }
    }

    /// The client of the registries.
    #[must_use]
    pub fn client(&self) -> &'a Client {
        self.client
    }

    /// The blobs that are on their way.
    #[must_use]
    pub fn transfers(&self) -> &Transfers {
        &self.transfers
    }

    fn layout(&self, at: &LayoutReference) -> Result<Arc<Layout>, Error> {
        let mut layouts = self.layouts.lock().unwrap_or_else(PoisonError::into_inner);
        let key = key(at);
        if let Some(layout) = layouts.get(&key) {
            return Ok(Arc::clone(layout));
        }
        let layout = Arc::new(Layout::open(at)?);
        layouts.insert(key, Arc::clone(&layout));
        Ok(layout)
    }

    fn writer(&self, at: &LayoutReference) -> Result<Arc<Writer>, Error> {
        let mut writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        let key = key(at);
        if let Some(writer) = writers.get(&key) {
            return Ok(Arc::clone(writer));
        }
        if at.archive && self.layouts.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&key) {
            return Err(Error::layout(at, ARCHIVE_IS_READ));
        }
        let writer = Arc::new(Writer::create(at)?);
        writers.insert(key, Arc::clone(&writer));
        Ok(writer)
    }

    /// Whether something can be written there, as far as that can be known without writing. Of a registry nothing can.
    pub fn check_target(&self, at: &Location) -> Result<(), Error> {
        let Location::Layout(layout) = at else { return Ok(()) };
        if layout.archive && self.layouts.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&key(layout)) {
            return Err(Error::layout(layout, ARCHIVE_IS_READ));
        }
        Ok(layout::check_target(layout)?)
    }

    /// Fetches a manifest by tag, name or digest, verified. `push_to` is what is written to later in this run.
    pub async fn fetch_manifest(&self, at: &Location, push_to: Option<&Location>) -> Result<Fetched, Error> {
        match at {
            Location::Registry(reference) => {
                let push_to = push_to.and_then(Location::reference);
                Ok(self.client.fetch_manifest(reference, push_to).await?)
            }
            Location::Layout(layout) => Ok(self.layout(layout)?.fetch_manifest(layout)?),
        }
    }

    /// Fetches the image for a platform: that of an index, or the only one there is.
    ///
    /// Errors: as of [`Self::fetch_manifest`], and [`Error::Unsuitable`] where there is none, or not one alone.
    pub async fn fetch_image(
        &self,
        at: &Location,
        wanted: &Platform,
        push_to: Option<&Location>,
    ) -> Result<Fetched, Error> {
        self.choose_image(at, self.fetch_manifest(at, push_to).await?, wanted, push_to).await
    }

    /// The same, out of what was fetched from there.
    pub async fn choose_image(
        &self,
        at: &Location,
        fetched: Fetched,
        wanted: &Platform,
        push_to: Option<&Location>,
    ) -> Result<Fetched, Error> {
        let unsuitable = |reason: String| Error::Unsuitable { subject: at.to_string(), reason: reason.into() };
        let image = match &fetched.manifest {
            Manifest::Index(index) => {
                let entry = index.image_for(wanted).map_err(unsuitable)?;
                return self.fetch_child(at, entry, push_to).await;
            }
            Manifest::Image(image) => image,
        };
        let found = self.platform_of(at, image, push_to).await?;
        if found.matches(wanted) {
            return Ok(fetched);
        }
        if found == Platform::default() {
            return Err(unsuitable(format!("it is one image, and does not say that it is for {wanted}")));
        }
        Err(unsuitable(format!("it is one image, for {found} and not for {wanted}")))
    }

    /// What the config of an image says that it is for; empty where it does not say, or is none of an image.
    pub async fn platform_of(
        &self,
        of: &Location,
        image: &ImageManifest,
        push_to: Option<&Location>,
    ) -> Result<Platform, Error> {
        if !media_type::is_config(&image.config.media_type) {
            return Ok(Platform::default());
        }
        let bytes = self.fetch_config(of, &image.config, push_to).await?;
        Ok(serde_json::from_slice::<ImageConfig>(&bytes).unwrap_or_default().platform)
    }

    /// Fetches what a tag or name of a target points at now, if it is anything.
    pub async fn fetch_current(&self, at: &Location) -> Result<Option<Fetched>, Error> {
        let fetched = match at {
            Location::Registry(_) => self.fetch_manifest(at, Some(at)).await,
            Location::Layout(layout) => match Layout::current(layout)? {
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
    pub async fn fetch_child(
        &self,
        parent: &Location,
        child: &Descriptor,
        push_to: Option<&Location>,
    ) -> Result<Fetched, Error> {
        let layout = match parent {
            Location::Registry(reference) => {
                let push_to = push_to.and_then(Location::reference);
                return Ok(self.client.fetch_child(reference, child, push_to).await?);
            }
            Location::Layout(layout) => layout,
        };
        let at = LayoutReference { name: None, digest: Some(child.digest.clone()), ..layout.clone() };
        let fetched = self.layout(layout)?.fetch_manifest(&at)?;
        fetched.check(child).map_err(|reason| Error::layout(&at, reason))?;
        Ok(fetched)
    }

    /// Fetches a config, verified.
    pub async fn fetch_config(
        &self,
        of: &Location,
        config: &Descriptor,
        push_to: Option<&Location>,
    ) -> Result<Bytes, Error> {
        match of {
            Location::Registry(reference) => {
                let push_to = push_to.and_then(Location::reference);
                Ok(self.client.fetch_config(reference, config, push_to).await?)
            }
            Location::Layout(layout) => Ok(self.layout(layout)?.fetch_blob(config, MAX_CONFIG)?),
        }
    }

    /// Fetches a blob of `limit` bytes at most, such as the statement of an attestation, verified.
    pub async fn fetch_blob(&self, of: &Location, blob: &Descriptor, limit: u64) -> Result<Bytes, Error> {
        match of {
            Location::Registry(reference) => Ok(self.client.fetch_blob(reference, blob, limit).await?),
            Location::Layout(layout) => Ok(self.layout(layout)?.fetch_blob(blob, limit)?),
        }
    }

    /// The digest that a tag, a name or a digest stands for.
    pub async fn digest(&self, at: &Location) -> Result<Digest, Error> {
        match at {
            Location::Registry(reference) => Ok(self.client.digest(reference).await?),
            // Listed, and there.
            Location::Layout(layout) => Ok(self.layout(layout)?.fetch_manifest(layout)?.descriptor.digest),
        }
    }

    /// The digests that several stand for, each as [`Self::digest`] says.
    pub async fn digests(&self, all: impl IntoIterator<Item = &Location>) -> Vec<Result<Digest, Error>> {
        join_all(all.into_iter().map(|at| self.digest(at))).await
    }

    /// The tags of a repository, or the names in a layout: so many at most.
    pub async fn tags(&self, at: &Location, limit: usize) -> Result<Vec<UntrustedText>, Error> {
        match at {
            Location::Registry(reference) => {
                Ok(self.client.tags(reference, limit).await?.into_iter().map(UntrustedText::from).collect())
            }
            Location::Layout(layout) => Ok(self.layout(layout)?.names().take(limit).cloned().collect()),
        }
    }

    /// What a tag or name points at now, or whether a digest is there. An archive is written anew whatever it holds,
    /// and the blobs of a layout are looked at one by one: for these, nothing is there.
    pub async fn current_digest(&self, at: &Location) -> Result<Option<Digest>, Error> {
        match at {
            Location::Registry(reference) => Ok(self.client.current_digest(reference).await?),
            Location::Layout(LayoutReference { archive: true, .. } | LayoutReference { digest: Some(_), .. }) => {
                Ok(None)
            }
            Location::Layout(layout) => {
                let Some(current) = Layout::current(layout)? else { return Ok(None) };
                match current.find(layout) {
                    // Listed, and lost: it is to be written again.
                    Ok(found) => Ok(layout::has_blob(layout, &found).then_some(found.digest)),
                    Err(error) if error.kind == layout::ErrorKind::Missing => Ok(None),
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
                return Ok(self.client.push_manifest(reference, descriptor, bytes, if_match).await?);
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
        self.write_layout(layout, at, move |writer| {
            writer.put_manifest(&entry, &bytes)?;
            if listed { writer.list(name.as_deref(), std::slice::from_ref(&entry)) } else { Ok(()) }
        })
        .await
    }

    /// Writes into a layout, unless the run is to end. Another process may hold the layout's lock, and signals are to be
    /// heard.
    async fn write_layout(
        &self,
        layout: &LayoutReference,
        at: &Location,
        write: impl FnOnce(&Writer) -> Result<(), layout::Error> + Send + 'static,
    ) -> Result<(), Error> {
        let stopped = |reason| registry::Error::stopped(at.to_string(), reason);
        if let Some(reason) = self.client.stop().raised() {
            return Err(stopped(reason).into());
        }
        let writer = self.writer(layout)?;
        let writing = tokio::task::spawn_blocking(move || write(&writer));
        let written = self.client.stop().or_soon(writing).await.map_err(stopped)?;
        Ok(written.map_err(|error| registry::Error::of_source(at.to_string(), error.to_string()))??)
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
            Location::Registry(reference) => Ok(self.client.read_back(reference, digest).await?),
            Location::Layout(_) => Ok(()),
        }
    }

    /// What a layout's index.json lists without a name and which refers to a manifest.
    fn unnamed_referrers(&self, at: &Location, subject: &Digest) -> Result<Vec<Descriptor>, Error> {
        let Location::Layout(layout) = at else { return Ok(Vec::new()) };
        let opened = self.layout(layout)?;
        let mut referrers = Vec::new();
        for entry in opened.unnamed() {
            let at = LayoutReference { name: None, digest: Some(entry.digest.clone()), ..layout.clone() };
            let fetched = match opened.fetch_manifest(&at).map_err(Error::from) {
                // Another's trouble.
                Err(error) if error.is_missing() || error.is_wrong_content() => continue,
                fetched => fetched?,
            };
            if fetched.manifest.subject().is_some_and(|found| found.digest == *subject) {
                referrers.push(entry.clone());
            }
        }
        Ok(referrers)
    }

    /// Lists manifests that are in a layout in its index.json, without names.
    pub async fn list_unnamed(&self, at: &Location, entries: &[Descriptor]) -> Result<(), Error> {
        let Location::Layout(layout) = at else { return Ok(()) };
        let entries = entries.to_vec();
        self.write_layout(layout, at, move |writer| writer.list(None, &entries)).await
    }

    /// Deletes a tag or a name, or by digest a manifest with every tag of it; in a layout it is no longer listed.
    ///
    /// Errors: [`Error::is_unsupported`] where the registry does not do that.
    pub async fn delete(&self, at: &Location) -> Result<(), Error> {
        let layout = match at {
            Location::Registry(reference) => return Ok(self.client.delete_manifest(reference).await?),
            Location::Layout(layout) => layout.clone(),
        };
        let stopped = |reason| registry::Error::stopped(at.to_string(), reason);
        if let Some(reason) = self.client.stop().raised() {
            return Err(stopped(reason).into());
        }
        // What was read of it is so no longer.
        self.layouts.lock().unwrap_or_else(PoisonError::into_inner).remove(&key(&layout));
        let deleting = tokio::task::spawn_blocking(move || layout::delete(&layout));
        // Another process may hold the layout's lock, and signals are to be heard.
        let deleted = self.client.stop().or_soon(deleting).await.map_err(stopped)?;
        Ok(deleted.map_err(|error| registry::Error::of_source(at.to_string(), error.to_string()))??)
    }

    /// All is written: archives come into their places. Without this they stay what they were.
    pub async fn finish(&self) -> Result<(), Error> {
        let writers: Vec<_> = self.archives();
        for writer in writers {
            // It may take long, and signals are to be heard.
            let finishing = tokio::task::spawn_blocking(move || writer.finish());
            finishing.await.map_err(|error| registry::Error::of_source("archive", error.to_string()))??;
        }
        Ok(())
    }

    /// The archives of this run, as the user spells them, which nothing is in before [`Self::finish`].
    pub fn unfinished(&self) -> Vec<String> {
        self.archives().iter().map(|writer| writer.at().to_string()).collect()
    }

    fn archives(&self) -> Vec<Arc<Writer>> {
        let writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        writers.values().filter(|writer| writer.is_archive()).cloned().collect()
    }
}

/// One layout, however its path is spelled.
fn key(at: &LayoutReference) -> LayoutReference {
    let path = Path::new(&at.path);
    let whole = std::fs::canonicalize(path).or_else(|_| {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Ok::<_, std::io::Error>(std::fs::canonicalize(parent)?.join(path.file_name().unwrap_or_default()))
    });
    let path = whole.map_or_else(|_| at.path.clone(), |path| path.to_string_lossy().into_owned());
    LayoutReference { archive: at.archive, path, name: None, digest: None }
}

/// Both in one registry, if they are.
fn in_one_registry<'l>(from: &'l Location, to: &'l Location) -> Option<(&'l Reference, &'l Reference)> {
    let (from, to) = (from.reference()?, to.reference()?);
    (from.registry() == to.registry()).then_some((from, to))
}
