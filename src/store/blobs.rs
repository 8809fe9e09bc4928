use std::io::Read as _;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream;

use super::transfers::Transfer;
use super::{Error, Store, in_one_registry};
use crate::event::BlobOutcome;
use crate::image::{Descriptor, Location};
use crate::layout::{Layout, Writer};
use crate::registry::{self, BlobSource, BlobStream, FoundBlob, Mounting};

/// Bytes of a file that are read at once.
const PIECE: usize = 256 << 10;

impl Store {
    /// Puts a blob into another repository or layout: it is there already, or is mounted, or else sent, verified on the
    /// way and never whole in memory.
    pub async fn place_blob(&self, from: &Location, to: &Location, blob: &Descriptor) -> Result<BlobOutcome, Error> {
        let mut session = None;
        match (in_one_registry(from, to), to) {
            (Some((from, to)), _) => match self.client().mount_blob(from, to, blob).await? {
                Mounting::Mounted => return Ok(BlobOutcome::Mounted),
                Mounting::Refused(opened) => session = opened,
            },
            (None, Location::Registry(to)) if self.client().has_blob(to, blob).await? => {
                return Ok(BlobOutcome::Existing);
            }
            (None, Location::Layout(to)) if self.is_written(to, blob).await? => return Ok(BlobOutcome::Existing),
            _ => {}
        }
        let _permit = self.0.slots.acquire().await;
        let source = &Counted { source: self.source(from, blob).await?, transfer: self.begin_transfer(blob) };
        match to {
            Location::Registry(to) => self.client().send_blob(to, blob, source, session).await?,
            Location::Layout(to) => self.write_blob(&*self.writer(to).await?, blob, source).await?,
        }
        Ok(BlobOutcome::Uploaded)
    }

    /// A blob, to be read where it is.
    async fn source<'a>(&'a self, from: &'a Location, blob: &'a Descriptor) -> Result<Box<dyn BlobSource + 'a>, Error> {
        Ok(match from {
            Location::Registry(from) => Box::new(self.client().blob(from, blob)),
            Location::Layout(from) => Box::new(LayoutBlob { layout: self.layout(from).await?, blob }),
        })
    }

    /// Looks for a blob, to read it. Errors: [`Error::is_missing_content`] where it is not there.
    pub(crate) async fn find_blob(&self, at: &Location, blob: &Descriptor) -> Result<FoundBlob, Error> {
        match at {
            Location::Registry(reference) => Ok(self.client().find_blob(reference, blob).await?),
            Location::Layout(layout) => Ok(FoundBlob { size: Some(self.layout(layout).await?.open_blob(blob)?.1) }),
        }
    }

    /// Looks for a manifest, of whatever type. Errors: as of [`Self::find_blob`].
    pub(crate) async fn find_manifest(&self, at: &Location, manifest: &Descriptor) -> Result<FoundBlob, Error> {
        match at {
            Location::Registry(reference) => Ok(self.client().find_manifest(reference, manifest).await?),
            Location::Layout(_) => self.find_blob(at, manifest).await,
        }
    }

    /// Reads a blob, piece by piece; again from its beginning where that may help. It is not compared with its
    /// descriptor. Errors: as of [`Self::find_blob`].
    pub(crate) async fn read_blob<'r, T>(
        &self,
        from: &Location,
        blob: &Descriptor,
        read: impl Fn(BlobStream) -> BoxFuture<'r, Result<T, registry::Error>>,
    ) -> Result<T, Error> {
        if let Location::Layout(layout) = from {
            self.layout(layout).await?.open_blob(blob)?;
        }
        let _permit = self.0.slots.acquire().await;
        let source = Counted { source: self.source(from, blob).await?, transfer: self.begin_transfer(blob) };
        let stopped = |reason| registry::Error::stopped(format!("blob {}", blob.digest), reason);
        let mut failed = 0;
        loop {
            let once = async { Ok(self.client().stop().or(read(source.open().await?)).await.map_err(stopped)??) };
            match once.await {
                Err(error) => self.before_another_try(error, &mut failed).await?,
                done => return done,
            }
        }
    }

    /// How [`Self::place_blob`] would go; nothing is written.
    pub(super) async fn foresee_blob(
        &self,
        from: &Location,
        to: &Location,
        blob: &Descriptor,
    ) -> Result<BlobOutcome, Error> {
        let there = match to {
            Location::Registry(to) => self.client().has_blob(to, blob).await?,
            Location::Layout(to) => self.has_file_of(to, blob).await?,
        };
        Ok(match in_one_registry(from, to) {
            _ if there => BlobOutcome::Existing,
            Some(_) => BlobOutcome::Mounted,
            None => BlobOutcome::Uploaded,
        })
    }

    /// Whether a manifest is in a repository or layout; nothing is written.
    pub(super) async fn has_manifest(&self, at: &Location, manifest: &Descriptor) -> Result<bool, Error> {
        match at {
            Location::Registry(_) => {
                let current = self.current_digest(&at.with_digest(manifest.digest.clone())).await?;
                Ok(current.as_ref() == Some(&manifest.digest))
            }
            Location::Layout(layout) => self.has_file_of(layout, manifest).await,
        }
    }

    async fn write_once(&self, writer: &Writer, blob: &Descriptor, source: &dyn BlobSource) -> Result<(), Error> {
        let (stop, subject) = (self.client().stop(), format!("blob {}", blob.digest));
        let stopped = |reason| registry::Error::stopped(subject.as_str(), reason);
        let stream = source.open().await?;
        let mut stream = registry::verified(stream, subject.clone(), blob, source.is_lasting());
        let mut written = writer.begin_blob(blob)?;
        while let Some(piece) = stop.or(stream.next()).await.map_err(stopped)? {
            written.write(&piece?)?;
        }
        let complete = written.complete()?;
        if let Some(sync) = complete.syncing()? {
            self.on_thread(&subject, sync).await?;
        }
        Ok(complete.place()?)
    }

    /// Work with a blob that comes from a registry is done as often as requests are tried. Gives back an error after which
    /// another try is of no use.
    async fn before_another_try(&self, error: Error, failed: &mut u32) -> Result<(), Error> {
        match error {
            Error::Registry(error) if error.is_transient() => {
                *failed += 1;
                Ok(self.client().wait_after(&error, *failed).await?)
            }
            error => Err(error),
        }
    }

    /// Into a layout, again from the beginning where that may help.
    async fn write_blob(&self, writer: &Writer, blob: &Descriptor, source: &dyn BlobSource) -> Result<(), Error> {
        let mut failed = 0;
        loop {
            match self.write_once(writer, blob, source).await {
                Err(error) => self.before_another_try(error, &mut failed).await?,
                done => return done,
            }
        }
    }
}

/// A blob of which is known how much has been sent.
struct Counted<'a> {
    source: Box<dyn BlobSource + 'a>,
    transfer: Transfer,
}

impl BlobSource for Counted<'_> {
    fn open(&self) -> BoxFuture<'_, Result<BlobStream, registry::Error>> {
        Box::pin(async { Ok(self.transfer.count(self.source.open().await?)) })
    }

    fn is_lasting(&self) -> bool {
        self.source.is_lasting()
    }
}

/// A blob in a layout.
struct LayoutBlob<'a> {
    layout: std::sync::Arc<Layout>,
    blob: &'a Descriptor,
}

impl BlobSource for LayoutBlob<'_> {
    fn is_lasting(&self) -> bool {
        true
    }

    fn open(&self) -> BoxFuture<'_, Result<BlobStream, registry::Error>> {
        Box::pin(async {
            let opened = self.layout.open_blob(self.blob);
            let (file, _) = opened.map_err(|error| registry::Error::of_source(error.subject, error.reason))?;
            let subject = format!("blob {}", self.blob.digest);
            let pieces = stream::unfold(Some(file), move |file| {
                let subject = subject.clone();
                async move {
                    let mut file = file?;
                    let mut piece = vec![0; PIECE];
                    // Files are read without waiting: others, and signals, are to have their turn.
                    tokio::task::yield_now().await;
                    match file.read(&mut piece) {
                        Ok(0) => None,
                        Ok(read) => {
                            piece.truncate(read);
                            Some((Ok(Bytes::from(piece)), Some(file)))
                        }
                        Err(error) => Some((Err(registry::Error::of_source(subject, error.to_string())), None)),
                    }
                }
            });
            Ok(pieces.boxed())
        })
    }
}
