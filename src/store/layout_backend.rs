use std::collections::HashSet;
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
use crate::image::{
    Descriptor, Digest, Fetched, LayoutReference, Location, MAX_MANIFEST, Transport, UntrustedText, media_type,
};
use crate::layout::{self, Layout, Writer};
use crate::registry::{BlobInfo, UploadSession};

/// Bytes of a file per read.
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
        // Read the manifest, because index.json may list a manifest that is missing.
        Ok(self.fetch_manifest().await?.descriptor.digest)
    }

    /// Returns `None` for archives, which are always written whole, and for digests, because a layout is checked blob
    /// by blob.
    async fn current_digest(&self) -> Result<Option<Digest>, Error> {
        if self.layout.transport.is_written_whole() || self.layout.digest.is_some() {
            return Ok(None);
        }
        let Some(current) = Layout::current(self.layout, self.files.budget())? else { return Ok(None) };
        match current.find(self.layout) {
            // Its digest is that of the file.
            Ok(entry) if self.layout.transport == Transport::Dir => Ok(Some(entry.digest)),
            // A manifest that is listed but missing is written again.
            Ok(entry) => Ok(self.has_blob(&entry).await?.then_some(entry.digest)),
            Err(error) if error.kind == layout::ErrorKind::Missing => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn tags(&self, limit: usize) -> Result<Vec<UntrustedText>, Error> {
        Ok(self.open().await?.names().into_iter().take(limit).collect())
    }

    async fn every_tag(&self) -> Result<Vec<UntrustedText>, Error> {
        self.tags(usize::MAX).await
    }

    async fn referrers(&self, subject: &Digest) -> Result<Option<Vec<Descriptor>>, Error> {
        self.referrers_of(|other| other == subject).await.map(Some)
    }

    async fn count_referrers(&self, subjects: &HashSet<Digest>) -> Result<usize, Error> {
        Ok(self.referrers_of(|subject| subjects.contains(subject)).await?.len())
    }

    async fn list_referrers(&self, _: &Digest, referrers: &[Descriptor]) -> Result<bool, Error> {
        let (layout, referrers) = (self.layout.without_name(), referrers.to_vec());
        if layout.transport.is_oci() {
            self.files.write(self.layout, move |writer| writer.list(&layout, None, &referrers)).await?;
        }
        // The other forms have no list of referrers.
        Ok(true)
    }

    async fn find_blob(&self, blob: &Descriptor) -> Result<BlobInfo, Error> {
        Ok(BlobInfo { size: Some(self.open().await?.open_blob(blob)?.1) })
    }

    async fn find_manifest(&self, manifest: &Descriptor) -> Result<BlobInfo, Error> {
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

    async fn write_blob(
        &self,
        blob: &Descriptor,
        source: &dyn BlobSource,
        _: Option<UploadSession>,
    ) -> Result<(), Error> {
        let writer = self.files.writer(self.layout).await?;
        let mut failed = 0;
        loop {
            match self.write_blob_once(&writer, blob, source).await {
                Err(error) => wait_before_retry(self.files.client(), error, &mut failed).await?,
                result => return result,
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
        // A manifest without a name is a child of another manifest.
        let is_listed = self.layout.name.is_some() || self.layout.digest.is_none();
        let (at, bytes, known_as) = (self.layout.clone(), bytes.clone(), self.files.known_as(self.layout));
        let write = move |writer: &Writer| {
            writer.put_manifest(&entry, &bytes)?;
            if is_listed { writer.list(&at, known_as.as_ref(), std::slice::from_ref(&entry)) } else { Ok(()) }
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

    /// Reads the manifests that index.json lists without a name, and returns those whose subject is wanted. An unreadable
    /// manifest is an error, because it may be the requested signature. Skips content of other types.
    async fn referrers_of(&self, is_wanted: impl Fn(&Digest) -> bool + Send) -> Result<Vec<Descriptor>, Error> {
        let opened = self.open().await?;
        let mut referrers = Vec::new();
        for entry in opened.unnamed() {
            let subject = if entry.media_type == ARTIFACT_MANIFEST {
                artifact(self.layout, &opened.fetch_blob(entry, MAX_MANIFEST)?)?.subject
            } else if media_type::is_image(&entry.media_type) || media_type::is_index(&entry.media_type) {
                opened.fetch_manifest(&self.with_digest(&entry.digest))?.manifest.subject().cloned()
            } else {
                continue;
            };
            if subject.is_some_and(|subject| is_wanted(&subject.digest)) {
                referrers.push(entry.clone());
            }
        }
        Ok(referrers)
    }

    fn with_digest(&self, digest: &Digest) -> LayoutReference {
        LayoutReference { name: None, digest: Some(digest.clone()), ..self.layout.clone() }
    }

    async fn write_blob_once(&self, writer: &Writer, blob: &Descriptor, source: &dyn BlobSource) -> Result<(), Error> {
        let (stop, subject) = (self.files.client().cancel_token(), format!("blob {}", blob.digest));
        let stopped = |reason| Error::Stopped { subject: subject.clone(), reason };
        let mut stream = open_verified(source, subject.clone(), blob).await?;
        let mut written = writer.begin_blob(blob)?;
        while let Some(chunk) = stop.run_until_cancelled(stream.next()).await.map_err(stopped)? {
            written.write(&chunk?)?;
        }
        let complete = written.complete()?;
        if let Some(sync) = complete.syncing()? {
            self.files.on_thread(&subject, sync).await?;
        }
        Ok(complete.place()?)
    }
}

/// A blob in a layout.
struct LayoutBlob<'a> {
    layout: Arc<Layout>,
    blob: &'a Descriptor,
}

#[async_trait]
impl BlobSource for LayoutBlob<'_> {
    async fn open(&self) -> Result<BlobStream, Error> {
        let (file, _) = self.layout.open_blob(self.blob)?;
        let subject = format!("blob {}", self.blob.digest);
        let chunks = stream::unfold(Some(file), move |file| {
            let subject = subject.clone();
            async move {
                let mut file = file?;
                let mut chunk = vec![0; CHUNK_SIZE];
                // File reads never yield, so yield here to let other tasks and signal handlers run.
                tokio::task::yield_now().await;
                match file.read(&mut chunk) {
                    Ok(0) => None,
                    Ok(read) => {
                        chunk.truncate(read);
                        Some((Ok(Bytes::from(chunk)), Some(file)))
                    }
                    Err(error) => Some((Err(layout::Error::new(subject, error.to_string()).into()), None)),
                }
            }
        });
        Ok(chunks.boxed())
    }

    fn is_local(&self) -> bool {
        true
    }
}
