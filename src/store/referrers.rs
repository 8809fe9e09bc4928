//! What refers to a manifest, and making it known where the registry does not do that by itself.

use std::collections::HashSet;

use super::{Error, IfMatch, Store};
use crate::image::{Descriptor, Digest, Index, IndexKind, Location, Manifest, index_bytes};

/// How often the list of referrers in a tag is written if other processes write it as well.
const MAX_ATTEMPTS: usize = 5;

/// What the tag of a subject holds (distribution-spec, "Referrers Tag Schema").
enum TagContent {
    /// The tag does not exist.
    Nothing,
    /// The subject: some registries take `sha256-HEX` for the digest itself (oras#2148).
    Subject,
    /// The list, and its digest.
    List(Index, Digest),
}

impl Store {
    /// Lists what refers to a manifest: from the registry's list, or from the tag of the subject; in a layout from what
    /// its index.json lists.
    ///
    /// # Errors
    /// The registry, the tag or the layout may list referrers, and cannot be read.
    pub async fn referrers(&self, at: &Location, subject: &Digest) -> Result<Vec<Descriptor>, Error> {
        if let Some(listed) = self.backend(at).referrers(subject).await? {
            return Ok(listed);
        }
        match self.tag_content(&at.with_tag(&subject.referrers_tag()), subject).await? {
            TagContent::List(index, _) => Ok(index.manifests),
            TagContent::Nothing | TagContent::Subject => Ok(Vec::new()),
        }
    }

    /// Makes referrers known where the registry does not do that by itself: in the tag of the subject, with those that
    /// it holds already; in a layout, in index.json.
    ///
    /// # Errors
    /// What the tag holds cannot be read, or is not a list of referrers: it is not overwritten.
    pub(crate) async fn list_referrers(
        &self,
        to: &Location,
        subject: &Digest,
        referrers: &[Descriptor],
    ) -> Result<(), Error> {
        if referrers.is_empty() || self.backend(to).list_referrers(subject, referrers).await? {
            return Ok(());
        }
        let tag = to.with_tag(&subject.referrers_tag());
        for last in (0..MAX_ATTEMPTS).rev() {
            match self.list_in_tag(&tag, subject, referrers).await {
                Err(error) if last > 0 && error.is_changed() => {}
                outcome => return outcome,
            }
        }
        Ok(())
    }

    /// Adds referrers to the list in a tag. Fails if another process changes the tag first.
    async fn list_in_tag(&self, tag: &Location, subject: &Digest, referrers: &[Descriptor]) -> Result<(), Error> {
        let (mut index, before) = match self.tag_content(tag, subject).await? {
            TagContent::List(index, digest) => (index, IfMatch::Digest(digest)),
            TagContent::Nothing => (Index::default(), IfMatch::Nothing),
            TagContent::Subject => (Index::default(), IfMatch::Digest(subject.clone())),
        };
        let known: HashSet<Digest> = index.manifests.iter().map(|entry| entry.digest.clone()).collect();
        let new: Vec<_> = referrers.iter().filter(|entry| !known.contains(&entry.digest)).cloned().collect();
        if new.is_empty() {
            return Ok(());
        }
        index.manifests.extend(new);
        let bytes = index_bytes(IndexKind::Oci, &index).map_err(|error| Error::unsuitable(tag, error.to_string()))?;
        let digest = Digest::sha256(&bytes);
        let list = Descriptor { size: bytes.len() as u64, ..Descriptor::new(IndexKind::Oci.media_type(), digest) };
        self.push_manifest(tag, &list, &bytes.into(), Some(&before)).await
    }

    /// Reads the tag of a subject.
    ///
    /// # Errors
    /// The tag may exist and cannot be read, or holds something else than a list of referrers. It may be a signature: an
    /// error is better than losing it.
    async fn tag_content(&self, tag: &Location, subject: &Digest) -> Result<TagContent, Error> {
        match self.fetch_manifest(tag).await {
            Ok(fetched) if fetched.descriptor.digest == *subject => return Ok(TagContent::Subject),
            Ok(fetched) => {
                if let Manifest::Index(index) = fetched.manifest {
                    return Ok(TagContent::List(index, fetched.descriptor.digest));
                }
            }
            Err(error) if error.is_missing() => return Ok(TagContent::Nothing),
            Err(error) if error.is_of_other_type() => {}
            Err(error) => return Err(error),
        }
        let reason = format!("this tag must hold the list of referrers of {subject}, and holds something else");
        Err(Error::unsuitable(tag, reason))
    }
}
