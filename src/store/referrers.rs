//! What refers to a manifest, and making it known where the registry does not do that by itself.

use std::collections::HashSet;

use super::{Error, Store};
use crate::image::{Descriptor, Digest, Index, IndexKind, Location, Manifest, index_bytes};
use crate::registry::{Error as RegistryError, ErrorKind, IfMatch};

/// Times that the list of referrers in a tag is written again when others write it as well.
const TRIES: usize = 5;

impl Store<'_> {
    /// What refers to a manifest: the registry's list, or the tag's; in a layout what its index.json lists.
    pub async fn referrers(&self, at: &Location, subject: &Digest) -> Result<Vec<Descriptor>, Error> {
        let Location::Registry(reference) = at else { return self.unnamed_referrers(at, subject).await };
        if let Some(listed) = self.client.referrers(reference, subject).await? {
            return Ok(listed);
        }
        match self.fetch_manifest(&at.with_tag(&subject.referrers_tag()), None).await {
            Ok(fetched) => match fetched.manifest {
                Manifest::Index(index) => Ok(index.manifests),
                Manifest::Image(_) => Ok(Vec::new()),
            },
            Err(error) if error.is_missing() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Makes the referrers known where the registry does not do that by itself: in the tag of the subject, with those that
    /// it holds already; in a layout, in index.json.
    pub async fn list_referrers(&self, to: &Location, subject: &Digest, referrers: &[Descriptor]) -> Result<(), Error> {
        if referrers.is_empty() {
            return Ok(());
        }
        let Location::Registry(reference) = to else { return self.list_unnamed(to, referrers).await };
        if self.client.referrers(reference, subject).await?.is_some() {
            return Ok(());
        }
        let tag = to.with_tag(&subject.referrers_tag());
        for last in (0..TRIES).rev() {
            let (mut entries, before) = match self.fetch_manifest(&tag, Some(to)).await {
                Ok(fetched) => match fetched.manifest {
                    Manifest::Index(index) => (index.manifests, IfMatch::Digest(fetched.descriptor.digest)),
                    Manifest::Image(_) => (Vec::new(), IfMatch::Digest(fetched.descriptor.digest)),
                },
                Err(error) if error.is_missing() => (Vec::new(), IfMatch::Nothing),
                Err(error) => return Err(error),
            };
            let known: HashSet<Digest> = entries.iter().map(|entry| entry.digest.clone()).collect();
            let new: Vec<_> = referrers.iter().filter(|entry| !known.contains(&entry.digest)).cloned().collect();
            if new.is_empty() {
                return Ok(());
            }
            entries.extend(new);
            let bytes = index_bytes(IndexKind::Oci, &Index { manifests: entries, ..Index::default() })
                .map_err(|error| RegistryError::of_source(tag.to_string(), error.to_string()))?;
            let digest = Digest::sha256(&bytes);
            let index = Descriptor { size: bytes.len() as u64, ..Descriptor::new(IndexKind::Oci.media_type(), digest) };
            match self.push_manifest(&tag, &index, &bytes.into(), Some(&before)).await {
                Err(Error::Registry(error)) if last > 0 && matches!(error.kind, ErrorKind::Changed { .. }) => {}
                outcome => return outcome,
            }
        }
        Ok(())
    }
}
