//! What refers to a manifest, and making it known where the registry does not do that by itself.

use std::collections::HashSet;

use super::artifact::{ARTIFACT_MANIFEST, artifact};
use super::{Error, Store};
use crate::image::{
    Descriptor, Digest, Index, IndexKind, LayoutReference, Location, MAX_MANIFEST, Manifest, index_bytes, media_type,
};
use crate::registry::{Error as RegistryError, ErrorKind, IfMatch};

/// Times that the list of referrers in a tag is written again when others write it as well.
const TRIES: usize = 5;

/// What the tag of a subject holds (distribution-spec, "Referrers Tag Schema").
enum TagContent {
    /// No such tag.
    Nothing,
    /// The subject: some registries take `sha256-HEX` for the digest itself (oras#2148).
    Subject,
    /// The list, and its digest.
    List(Index, Digest),
    /// Other content than a list of referrers.
    Other,
}

impl Store {
    /// Lists what refers to a manifest: from the registry's list, or from the tag of the subject; in a layout from what
    /// its index.json lists.
    ///
    /// Errors: the registry, the tag or the layout may list referrers, and cannot be read.
    pub async fn referrers(&self, at: &Location, subject: &Digest) -> Result<Vec<Descriptor>, Error> {
        let reference = match at {
            Location::Registry(reference) => reference,
            Location::Layout(layout) => return self.unnamed_referrers(layout, subject).await,
        };
        if let Some(listed) = self.client().referrers(reference, subject).await? {
            return Ok(listed);
        }
        match self.tag_content(&at.with_tag(&subject.referrers_tag()), subject).await? {
            TagContent::List(index, _) => Ok(index.manifests),
            TagContent::Nothing | TagContent::Subject => Ok(Vec::new()),
            // It may be a signature: an error is better than losing it.
            TagContent::Other => {
                let reason = format!("this tag must hold the list of referrers of {subject}, and holds something else");
                let tag = at.with_tag(&subject.referrers_tag());
                Err(Error::Unsuitable { subject: tag.to_string(), reason: reason.into() })
            }
        }
    }

    /// Reads the tag of a subject.
    ///
    /// Errors: it may exist, and cannot be read.
    async fn tag_content(&self, tag: &Location, subject: &Digest) -> Result<TagContent, Error> {
        match self.fetch_manifest(tag).await {
            Ok(fetched) if fetched.descriptor.digest == *subject => Ok(TagContent::Subject),
            Ok(fetched) => Ok(match fetched.manifest {
                Manifest::Index(index) => TagContent::List(index, fetched.descriptor.digest),
                Manifest::Image(_) => TagContent::Other,
            }),
            Err(error) if error.is_missing() => Ok(TagContent::Nothing),
            Err(error) if error.is_of_other_type() => Ok(TagContent::Other),
            Err(error) => Err(error),
        }
    }

    /// Makes the referrers known where the registry does not do that by itself: in the tag of the subject, with those that
    /// it holds already; in a layout, in index.json.
    ///
    /// Errors: what the tag holds cannot be read, or is not a list of referrers: it is not overwritten.
    pub async fn list_referrers(&self, to: &Location, subject: &Digest, referrers: &[Descriptor]) -> Result<(), Error> {
        if referrers.is_empty() {
            return Ok(());
        }
        let Location::Registry(reference) = to else { return self.list_unnamed(to, referrers).await };
        if self.client().referrers(reference, subject).await?.is_some() {
            return Ok(());
        }
        let tag = to.with_tag(&subject.referrers_tag());
        for last in (0..TRIES).rev() {
            let (mut index, before) = match self.tag_content(&tag, subject).await? {
                TagContent::List(index, digest) => (index, IfMatch::Digest(digest)),
                TagContent::Nothing => (Index::default(), IfMatch::Nothing),
                TagContent::Subject => (Index::default(), IfMatch::Digest(subject.clone())),
                TagContent::Other => {
                    let reason =
                        format!("this tag must hold the list of referrers of {subject}, and holds something else");
                    return Err(Error::Unsuitable { subject: tag.to_string(), reason: reason.into() });
                }
            };
            let known: HashSet<Digest> = index.manifests.iter().map(|entry| entry.digest.clone()).collect();
            let new: Vec<_> = referrers.iter().filter(|entry| !known.contains(&entry.digest)).cloned().collect();
            if new.is_empty() {
                return Ok(());
            }
            index.manifests.extend(new);
            let bytes = index_bytes(IndexKind::Oci, &index)
                .map_err(|error| RegistryError::of_source(tag.to_string(), error.to_string()))?;
            let digest = Digest::sha256(&bytes);
            let list = Descriptor { size: bytes.len() as u64, ..Descriptor::new(IndexKind::Oci.media_type(), digest) };
            match self.push_manifest(&tag, &list, &bytes.into(), Some(&before)).await {
                Err(Error::Registry(error)) if last > 0 && matches!(error.kind, ErrorKind::Changed { .. }) => {}
                outcome => return outcome,
            }
        }
        Ok(())
    }

    /// Lists what a layout's index.json names without a name and which refers to a manifest.
    ///
    /// Errors: one of these manifests cannot be read, which may be the signature that is asked for. Content of other types
    /// is skipped.
    async fn unnamed_referrers(&self, layout: &LayoutReference, subject: &Digest) -> Result<Vec<Descriptor>, Error> {
        let opened = self.layout(layout).await?;
        let mut referrers = Vec::new();
        for entry in opened.unnamed() {
            let found = if entry.media_type == ARTIFACT_MANIFEST {
                artifact(layout, &opened.fetch_blob(entry, MAX_MANIFEST)?)?.subject
            } else if media_type::is_image(&entry.media_type) || media_type::is_index(&entry.media_type) {
                let at = LayoutReference { name: None, digest: Some(entry.digest.clone()), ..layout.clone() };
                opened.fetch_manifest(&at)?.manifest.subject().cloned()
            } else {
                continue;
            };
            if found.is_some_and(|found| found.digest == *subject) {
                referrers.push(entry.clone());
            }
        }
        Ok(referrers)
    }
}
