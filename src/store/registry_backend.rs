use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::{BoxFuture, FutureExt as _};

use super::backend::{Backend, Prepared};
use super::blob_source::{BlobSource, BlobStream, open_verified};
use super::{Error, IfMatch};
use crate::image::{Descriptor, Digest, Fetched, Location, Reference, UntrustedText};
use crate::registry::{self, BlobInfo, Client, MountOutcome, UploadSession, blob_name};

/// The time in which a registry must add a pushed manifest to its list of referrers.
const LISTING_TIME: Duration = Duration::from_millis(500);

/// A repository in a registry, with the tag or digest of a reference.
pub(super) struct RegistryBackend<'a> {
    pub(super) client: &'a Client,
    pub(super) reference: &'a Reference,
}

#[async_trait]
impl Backend for RegistryBackend<'_> {
    async fn fetch_manifest(&self) -> Result<Fetched, Error> {
        Ok(self.client.fetch_manifest(self.reference).await?)
    }

    async fn fetch_current(&self) -> Result<Option<Fetched>, Error> {
        match self.client.fetch_manifest(self.reference).await {
            Ok(fetched) => Ok(Some(fetched)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn fetch_child(&self, child: &Descriptor) -> Result<Fetched, Error> {
        Ok(self.client.fetch_child(self.reference, child).await?)
    }

    async fn fetch_other_manifest(&self, manifest: &Descriptor, media_type: &'static str) -> Result<Bytes, Error> {
        Ok(self.client.fetch_manifest_bytes(self.reference, manifest, media_type).await?)
    }

    async fn fetch_blob(&self, blob: &Descriptor, limit: u64) -> Result<Bytes, Error> {
        Ok(self.client.fetch_blob(self.reference, blob, limit).await?)
    }

    async fn digest(&self) -> Result<Digest, Error> {
        Ok(self.client.digest(self.reference).await?)
    }

    async fn current_digest(&self) -> Result<Option<Digest>, Error> {
        Ok(self.client.current_digest(self.reference).await?)
    }

    async fn tags(&self, limit: usize) -> Result<Vec<UntrustedText>, Error> {
        Ok(untrusted(self.client.tags(self.reference, limit).await?))
    }

    async fn every_tag(&self) -> Result<Vec<UntrustedText>, Error> {
        Ok(untrusted(self.client.every_tag(self.reference).await?))
    }

    async fn referrers(&self, subject: &Digest) -> Result<Option<Vec<Descriptor>>, Error> {
        Ok(self.client.referrers(self.reference, subject).await?)
    }

    async fn list_referrers(&self, subject: &Digest, referrers: &[Descriptor]) -> Result<bool, Error> {
        // A registry with a referrers API updates the list when a referrer is pushed, some of them a moment later. If
        // the list lacks it, the API ignores subjects: then the referrers tag has to list it, too (distribution-spec,
        // "Pushing Manifests with Subject").
        let is_listed = |listed: &[Descriptor]| {
            let digests: HashSet<&Digest> = listed.iter().map(|entry| &entry.digest).collect();
            referrers.iter().all(|referrer| digests.contains(&referrer.digest))
        };
        match self.client.referrers(self.reference, subject).await? {
            None => return Ok(false),
            Some(listed) if is_listed(&listed) => return Ok(true),
            Some(_) => {}
        }
        let waited = self.client.cancel_token().run_until_cancelled(tokio::time::sleep(LISTING_TIME)).await;
        waited.map_err(|reason| Error::Stopped { subject: self.reference.to_string(), reason })?;
        let listed = self.client.referrers(self.reference, subject).await?;
        Ok(listed.is_some_and(|listed| is_listed(&listed)))
    }

    async fn find_blob(&self, blob: &Descriptor) -> Result<BlobInfo, Error> {
        Ok(self.client.find_blob(self.reference, blob).await?)
    }

    async fn find_manifest(&self, manifest: &Descriptor) -> Result<BlobInfo, Error> {
        Ok(self.client.find_manifest(self.reference, manifest).await?)
    }

    async fn has_blob(&self, blob: &Descriptor) -> Result<bool, Error> {
        Ok(self.client.has_blob(self.reference, blob).await?)
    }

    async fn has_manifest(&self, manifest: &Descriptor) -> Result<bool, Error> {
        let at = self.reference.with_digest(manifest.digest.clone());
        Ok(self.client.current_digest(&at).await?.as_ref() == Some(&manifest.digest))
    }

    async fn source<'b>(&'b self, blob: &'b Descriptor) -> Result<Box<dyn BlobSource + 'b>, Error> {
        Ok(Box::new(RegistryBlob { client: self.client, repository: self.reference, blob, was_opened: false.into() }))
    }

    fn mounts_from(&self, from: &Location) -> bool {
        from.reference().is_some_and(|from| from.registry() == self.reference.registry())
    }

    async fn prepare_blob(&self, from: &Location, blob: &Descriptor) -> Result<Prepared, Error> {
        match from.reference().filter(|_| self.mounts_from(from)) {
            Some(from) => Ok(match self.client.mount_blob(from, self.reference, blob).await? {
                MountOutcome::Mounted => Prepared::Mounted,
                MountOutcome::Refused(session) => Prepared::Missing(session),
            }),
            None if self.client.has_blob(self.reference, blob).await? => Ok(Prepared::Existing),
            None => Ok(Prepared::Missing(None)),
        }
    }

    async fn write_blob(
        &self,
        blob: &Descriptor,
        source: &dyn BlobSource,
        session: Option<UploadSession>,
    ) -> Result<(), Error> {
        let open = || -> BoxFuture<'_, Result<registry::BlobStream, registry::Error>> {
            let opening = async {
                let opened = open_verified(source, blob_name(self.reference, blob), blob).await;
                let stream = opened.map_err(Error::into_registry)?;
                Ok(stream.map(|chunk| chunk.map_err(Error::into_registry)).boxed())
            };
            opening.boxed()
        };
        Ok(self.client.send_blob(self.reference, blob, &open, session).await?)
    }

    async fn push_manifest(
        &self,
        descriptor: &Descriptor,
        bytes: &Bytes,
        if_match: Option<&IfMatch>,
    ) -> Result<(), Error> {
        let Some(if_match) = if_match else {
            return Ok(self.client.push_manifest(self.reference, descriptor, bytes).await?);
        };
        let tag = self.reference.to_string();
        let precondition = |current: Option<&Digest>| if_match.check(&tag, current).map_err(Error::into_registry);
        Ok(self.client.push_manifest_if(self.reference, descriptor, bytes, Some(&precondition)).await?)
    }

    async fn read_back(&self, digest: &Digest) -> Result<(), Error> {
        Ok(self.client.read_back(self.reference, digest).await?)
    }

    async fn delete(&self) -> Result<(), Error> {
        Ok(self.client.delete_manifest(self.reference).await?)
    }

    fn check_target(&self) -> Result<(), Error> {
        Ok(())
    }
}

fn untrusted(names: Vec<String>) -> Vec<UntrustedText> {
    names.into_iter().map(UntrustedText::from).collect()
}

/// A blob in a repository.
struct RegistryBlob<'a> {
    client: &'a Client,
    repository: &'a Reference,
    blob: &'a Descriptor,
    /// Whether the blob was opened before. A mirror may have sent wrong content, or broken off.
    was_opened: AtomicBool,
}

#[async_trait]
impl BlobSource for RegistryBlob<'_> {
    async fn open(&self) -> Result<BlobStream, Error> {
        let is_first = !self.was_opened.swap(true, Ordering::Relaxed);
        let stream = self.client.open_blob(self.repository, self.blob, is_first).await?;
        Ok(stream.map(|chunk| chunk.map_err(Error::from)).boxed())
    }

    fn is_local(&self) -> bool {
        false
    }
}
