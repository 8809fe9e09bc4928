//! Reads the referrers of a manifest, and maintains their list for registries without a referrers API.

use std::collections::HashSet;

use super::{Error, IfMatch, Store};
use crate::image::{Descriptor, Digest, Index, IndexKind, Location, Manifest, index_bytes};

/// The maximum number of attempts to update the list of referrers in a tag that other processes update as well.
const MAX_ATTEMPTS: usize = 5;

/// The content of the referrers tag of a subject (distribution-spec, "Referrers Tag Schema").
enum TagContent {
    /// The tag does not exist.
    Missing,
    /// The subject itself, because some registries resolve the tag `sha256-HEX` as the digest (oras#2148).
    Subject,
    /// The list of referrers, and its digest.
    List(Index, Digest),
}

impl Store {
    /// Lists the referrers of a manifest: from the registry's referrers API or its referrers tag, or from a layout's
    /// index.json.
    ///
    /// # Errors
    /// The registry, the tag or the layout cannot be read.
    pub async fn referrers(&self, at: &Location, subject: &Digest) -> Result<Vec<Descriptor>, Error> {
        self.referrers_in(at, subject, None).await
    }

    /// Lists the referrers of a manifest as [`Self::referrers`] does, but does not request a referrers tag that is not
    /// among `tags`, if the tags of the repository are known.
    ///
    /// # Errors
    /// The errors of [`Self::referrers`].
    pub(crate) async fn referrers_in(
        &self,
        at: &Location,
        subject: &Digest,
        tags: Option<&HashSet<String>>,
    ) -> Result<Vec<Descriptor>, Error> {
        if let Some(listed) = self.backend(at).referrers(subject).await? {
            return Ok(listed);
        }
        let tag = subject.referrers_tag();
        if tags.is_some_and(|tags| !tags.contains(&tag)) {
            return Ok(Vec::new());
        }
        match self.tag_content(&at.with_tag(&tag), subject).await? {
            TagContent::List(index, _) => Ok(index.manifests),
            TagContent::Missing | TagContent::Subject => Ok(Vec::new()),
        }
    }

    /// Counts the referrers of some manifests in a layout. 0 for a registry, which would have to be asked.
    ///
    /// # Errors
    /// The layout cannot be read.
    pub(crate) async fn count_referrers(&self, at: &Location, subjects: &HashSet<Digest>) -> Result<usize, Error> {
        self.backend(at).count_referrers(subjects).await
    }

    /// Adds referrers to the list of a subject: to the referrers tag if the registry has no referrers API or its API
    /// does not list them, or to a layout's index.json. Returns whether it wrote a tag, which another process may overwrite.
    ///
    /// # Errors
    /// The tag cannot be read or does not point at a list of referrers; such a tag is not overwritten.
    pub(crate) async fn list_referrers(
        &self,
        to: &Location,
        subject: &Digest,
        referrers: &[Descriptor],
    ) -> Result<bool, Error> {
        if referrers.is_empty() || self.backend(to).list_referrers(subject, referrers).await? {
            return Ok(false);
        }
        let tag = to.with_tag(&subject.referrers_tag());
        for retries_left in (0..MAX_ATTEMPTS).rev() {
            match self.list_in_tag(&tag, subject, referrers).await {
                Err(error) if retries_left > 0 && error.is_conflict() => {}
                outcome => return outcome,
            }
        }
        Ok(false)
    }

    /// Adds referrers to the list in a tag. Returns whether it wrote the tag. Fails if another process changes the tag
    /// first.
    async fn list_in_tag(&self, tag: &Location, subject: &Digest, referrers: &[Descriptor]) -> Result<bool, Error> {
        let (mut index, before) = match self.tag_content(tag, subject).await? {
            TagContent::List(index, digest) => (index, IfMatch::Digest(digest)),
            TagContent::Missing => (Index::default(), IfMatch::Missing),
            TagContent::Subject => (Index::default(), IfMatch::Digest(subject.clone())),
        };
        let known: HashSet<Digest> = index.manifests.iter().map(|entry| entry.digest.clone()).collect();
        let new: Vec<_> = referrers.iter().filter(|entry| !known.contains(&entry.digest)).cloned().collect();
        if new.is_empty() {
            return Ok(false);
        }
        index.manifests.extend(new);
        let bytes = index_bytes(IndexKind::Oci, &index).map_err(|error| Error::unsuitable(tag, error.to_string()))?;
        let digest = Digest::sha256(&bytes);
        let list = Descriptor { size: bytes.len() as u64, ..Descriptor::new(IndexKind::Oci.media_type(), digest) };
        self.push_manifest(tag, &list, &bytes.into(), Some(&before)).await.map(|()| true)
    }

    /// Reads the referrers tag of a subject.
    ///
    /// # Errors
    /// The tag cannot be read, or does not point at a list of referrers. It may be a signature, which must not be
    /// overwritten.
    async fn tag_content(&self, tag: &Location, subject: &Digest) -> Result<TagContent, Error> {
        match self.fetch_manifest(tag).await {
            Ok(fetched) if fetched.descriptor.digest == *subject => return Ok(TagContent::Subject),
            Ok(fetched) => {
                if let Manifest::Index(index) = fetched.manifest {
                    return Ok(TagContent::List(index, fetched.descriptor.digest));
                }
            }
            Err(error) if error.is_missing() => return Ok(TagContent::Missing),
            Err(error) if error.is_of_other_type() => {}
            Err(error) => return Err(error),
        }
        let reason = format!("this tag must point at the list of referrers of {subject}, but points at other content");
        Err(Error::unsuitable(tag, reason))
    }
}
