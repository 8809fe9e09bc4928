use std::io::Read as _;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;

use super::artifact::{ARTIFACT_MANIFEST, artifact};
use super::backend::{Backend, Prepared};
use super::blob_source::{BlobSource, BlobStream, open_verified};
use super::open_files::OpenFiles;
use super::retry::wait_before_retry;
use super::{Error, IfMatch};
use crate::image::{Descriptor, Digest, Fetched, LayoutReference, Location, MAX_MANIFEST, UntrustedText, media_type};
use crate::layout::{self, Layout, Writer};
use crate::registry::{FoundBlob, Session};

/// Bytes of a file that are read at once.
const CHUNK_SIZE: usize = 256 << 10;

/// An OCI layout in a folder or an archive, with the name or digest of a reference.
pub(super) struct LayoutBackend<'a> {
    pub(super) files: &'a OpenFiles,
    pub(super) layout: &'a LayoutReference,
}

#[async_trait]
impl Backend for LayoutBackend<'_> {
    async fn fetch_manifest(&self) -> Result<Fetched, Error> {
        Ok(self.open().await?.fetch_manifest(self.layout)?)
    }

    async fn fetch_current(&self) -> Result<Option<Fetched>, Error> {
        let Some(current) = Layout::current(self.layout, self.files.budget())? else { return Ok(None) };
        match current.fetch_manifest(self.layout).map_err(Error::from) {
            Ok(fetched) => Ok(Some(fetched)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn fetch_child(&self, child: &Descriptor) -> Result<Fetched, Error> {
        let at = self.with_digest(&child.digest);
        let fetched = self.open().await?.fetch_manifest(&at)?;
        fetched.check(child).map_err(|reason| layout::Error::new(&at, reason))?;
        Ok(fetched)
    }

    async fn fetch_other_manifest(&self, manifest: &Descriptor, _: &'static str) -> Result<Bytes, Error> {
        self.fetch_blob(manifest, MAX_MANIFEST).await
    }

    async fn fetch_blob(&self, blob: &Descriptor, limit: u64) -> Result<Bytes, Error> {
        Ok(self.open().await?.fetch_blob(blob, limit)?)
    }

    async fn digest(&self) -> Result<Digest, Error> {
        // The manifest is read, as it may be listed and not be there.
        Ok(self.fetch_manifest().await?.descriptor.digest)
    }

    /// An archive is written whole whatever it holds, and the blobs of a layout are looked for one by one: for archives and
    /// digests the answer is `None`.
    async fn current_digest(&self) -> Result<Option<Digest>, Error> {
        if self.layout.archive || self.layout.digest.is_some() {
            return Ok(None);
        }
        let Some(current) = Layout::current(self.layout, self.files.budget())? else { return Ok(None) };
        match current.find(self.layout) {
            // One that is listed and lost is written again.
            Ok(found) => Ok(self.has_blob(&found).await?.then_some(found.digest)),
            Err(error) if error.kind == layout::ErrorKind::Missing => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn tags(&self, limit: usize) -> Result<Vec<UntrustedText>, Error> {
        Ok(self.open().await?.names().take(limit).cloned().collect())
    }

    async fn every_tag(&self) -> Result<Vec<UntrustedText>, Error> {
        self.tags(usize::MAX).await
    }

    /// Reads what index.json lists without a name. A manifest that cannot be read is an error, as it may be the signature
    /// that is asked for; content of other types is skipped.
    async fn referrers(&self, subject: &Digest) -> Result<Option<Vec<Descriptor>>, Error> {
        let opened = self.open().await?;
        let mut referrers = Vec::new();
        for entry in opened.unnamed() {
            let found = if entry.media_type == ARTIFACT_MANIFEST {
                artifact(self.layout, &opened.fetch_blob(entry, MAX_MANIFEST)?)?.subject
            } else if media_type::is_image(&entry.media_type) || media_type::is_index(&entry.media_type) {
                opened.fetch_manifest(&self.with_digest(&entry.digest))?.manifest.subject().cloned()
            } else {
                continue;
            };
            if found.is_some_and(|found| found.digest == *subject) {
                referrers.push(entry.clone());
            }
        }
        Ok(Some(referrers))
    }

    async fn list_referrers(&self, _: &Digest, referrers: &[Descriptor]) -> Result<bool, Error> {
        let referrers = referrers.to_vec();
        self.files.write(self.layout, move |writer| writer.list(None, &referrers)).await?;
        Ok(true)
    }

    async fn find_blob(&self, blob: &Descriptor) -> Result<FoundBlob, Error> {
        Ok(FoundBlob { size: Some(self.open().await?.open_blob(blob)?.1) })
    }

    async fn find_manifest(&self, manifest: &Descriptor) -> Result<FoundBlob, Error> {
        self.find_blob(manifest).await
    }

    async fn has_blob(&self, blob: &Descriptor) -> Result<bool, Error> {
        self.files.has_blob(self.layout, blob).await
    }

    async fn has_manifest(&self, manifest: &Descriptor) -> Result<bool, Error> {
        self.files.has_blob(self.layout, manifest).await
    }

    async fn source<'b>(&'b self, blob: &'b Descriptor) -> Result<Box<dyn BlobSource + 'b>, Error> {
        Ok(Box::new(LayoutBlob { layout: self.open().await?, blob }))
    }

    fn mounts_from(&self, _: &Location) -> bool {
        false
    }

    async fn prepare_blob(&self, _: &Location, blob: &Descriptor) -> Result<Prepared, Error> {
        match self.files.is_written(self.layout, blob).await? {
            true => Ok(Prepared::Existing),
            false => Ok(Prepared::Missing(None)),
        }
    }

    async fn write_blob(&self, blob: &Descriptor, source: &dyn BlobSource, _: Option<Session>) -> Result<(), Error> {
        let writer = self.files.writer(self.layout).await?;
        let mut failed = 0;
        loop {
            match self.write_blob_once(&writer, blob, source).await {
                Err(error) => wait_before_retry(self.files.client(), error, &mut failed).await?,
                done => return done,
            }
        }
    }

    async fn push_manifest(
        &self,
        descriptor: &Descriptor,
        bytes: &Bytes,
        if_match: Option<&IfMatch>,
    ) -> Result<(), Error> {
        if let Some(if_match) = if_match {
            if_match.check(&self.layout.to_string(), self.current_digest().await?.as_ref())?;
        }
        let (size, digest) = (descriptor.size, descriptor.digest.clone());
        let entry = Descriptor { size, ..Descriptor::new(&descriptor.media_type, digest) };
        // A manifest with only a digest is part of another one.
        let is_listed = self.layout.name.is_some() || self.layout.digest.is_none();
        let (name, bytes) = (self.layout.name.clone(), bytes.clone());
        let write = move |writer: &Writer| {
            writer.put_manifest(&entry, &bytes)?;
            if is_listed { writer.list(name.as_deref(), std::slice::from_ref(&entry)) } else { Ok(()) }
        };
        self.files.write(self.layout, write).await
    }

    async fn read_back(&self, _: &Digest) -> Result<(), Error> {
        Ok(())
    }

    async fn delete(&self) -> Result<(), Error> {
        self.files.delete(self.layout).await
    }

    fn check_target(&self) -> Result<(), Error> {
        self.files.check_target(self.layout)
    }
}

impl LayoutBackend<'_> {
    async fn open(&self) -> Result<Arc<Layout>, Error> {
        self.files.layout(self.layout).await
    }

    fn with_digest(&self, digest: &Digest) -> LayoutReference {
        LayoutReference { name: None, digest: Some(digest.clone()), ..self.layout.clone() }
    }

    async fn write_blob_once(&self, writer: &Writer, blob: &Descriptor, source: &dyn BlobSource) -> Result<(), Error> {
        let (stop, subject) = (self.files.client().cancel_token(), format!("blob {}", blob.digest));
        let stopped = |reason| Error::Stopped { subject: subject.clone(), reason };
        let mut stream = open_verified(source, subject.clone(), blob).await?;
        let mut written = writer.begin_blob(blob)?;
        while let Some(piece) = stop.run_until_cancelled(stream.next()).await.map_err(stopped)? {
            written.write(&piece?)?;
        }
        let complete = written.complete()?;
        if let Some(sync) = complete.syncing()? {
            self.files.on_thread(&subject, sync).await?;
        }
        Ok(complete.place()?)
    }
}

/// A blob of a layout.
struct LayoutBlob<'a> {
    layout: Arc<Layout>,
    blob: &'a Descriptor,
}

#[async_trait]
impl BlobSource for LayoutBlob<'_> {
    async fn open(&self) -> Result<BlobStream, Error> {
        let (file, _) = self.layout.open_blob(self.blob)?;
        let subject = format!("blob {}", self.blob.digest);
        let pieces = stream::unfold(Some(file), move |file| {
            let subject = subject.clone();
            async move {
                let mut file = file?;
                let mut piece = vec![0; CHUNK_SIZE];
                // Reading a file does not wait: other tasks, and signals, get their turn here.
                tokio::task::yield_now().await;
                match file.read(&mut piece) {
                    Ok(0) => None,
                    Ok(read) => {
                        piece.truncate(read);
                        Some((Ok(Bytes::from(piece)), Some(file)))
                    }
                    Err(error) => Some((Err(layout::Error::new(subject, error.to_string()).into()), None)),
                }
            }
        });
        Ok(pieces.boxed())
    }

    fn is_lasting(&self) -> bool {
        true
    }
}
