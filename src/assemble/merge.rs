//! Adds entries to an index and removes entries from it. Does no I/O.

use std::collections::HashSet;

use crate::image::{Descriptor, Digest, Index, Platform, REFERENCE_DIGEST, UntrustedText, meant, suggestion};

/// Selects entries to remove from an index, with their attestations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// The image for a platform.
    Platform(Platform),
    /// All entries with a digest.
    Digest(Digest),
}

/// Adds the entries of `new` to `existing`. An image replaces the image for the same platform, or is added after the
/// others. Attestations come last, without those of images that were replaced or come with new attestations. Fields of
/// the index itself are taken from `new` if set there.
pub(super) fn append(existing: &Index, new: &Index) -> Index {
    let (new_attestations, new_images): (Vec<_>, Vec<_>) =
        new.manifests.iter().partition(|entry| entry.is_attestation());
    let mut used = vec![false; new_images.len()];
    let mut manifests: Vec<Descriptor> = Vec::new();
    for old in existing.manifests.iter().filter(|entry| !entry.is_attestation()) {
        let position = |matches: &dyn Fn(&Descriptor) -> bool| new_images.iter().position(|image| matches(image));
        let replacement = position(&|image| image.platform == old.platform && !image.has_other_marks(old))
            .or_else(|| position(&|image| image.platform == old.platform))
            .or_else(|| position(&|image| is_without_platform(image, old) || is_replaced_by(old, image, existing)));
        match replacement.and_then(|at| Some((*new_images.get(at)?, used.get_mut(at)?))) {
            Some((image, used)) if !*used => {
                *used = true;
                manifests.push(image.clone());
            }
            // The new image already replaced another old image for the same platform.
            Some(_) => {}
            None => manifests.push(old.clone()),
        }
    }
    let rest = new_images.iter().zip(&used).filter(|(_, used)| !**used);
    manifests.extend(rest.map(|(image, _)| (*image).clone()));
    let renewed: HashSet<&UntrustedText> = new_attestations.iter().filter_map(|entry| image_of(entry)).collect();
    let old = existing.manifests.iter().filter(|entry| entry.is_attestation());
    let kept = old.filter(|entry| image_of(entry).is_none_or(|image| !renewed.contains(image)));
    attach(&mut manifests, kept.chain(new_attestations.iter().copied()));
    let mut annotations = existing.annotations.clone();
    annotations.extend(new.annotations.clone());
    if is_reordered(&existing.manifests, &manifests) {
        // All entries are present; keep their existing order.
        manifests.clone_from(&existing.manifests);
    }
    Index {
        artifact_type: new.artifact_type.clone().or_else(|| existing.artifact_type.clone()),
        subject: new.subject.clone().or_else(|| existing.subject.clone()),
        manifests,
        annotations,
    }
}

/// Whether both lists have the same entries, in any order.
fn is_reordered(one: &[Descriptor], other: &[Descriptor]) -> bool {
    let mut unmatched: Vec<&Descriptor> = other.iter().collect();
    let mut take = |entry| unmatched.iter().position(|other| *other == entry).map(|at| unmatched.swap_remove(at));
    one.len() == other.len() && one.iter().all(|entry| take(entry).is_some())
}

/// Whether `existing` still contains the changes that `new` made to `before`. Other writers may have replaced its
/// images and fields with their own, but an image or field of `before` means that a change was lost.
pub(super) fn still_contains(existing: &Index, new: &Index, before: &Index) -> bool {
    let images_for = |index: &Index, entry: &Descriptor| -> Vec<Digest> {
        let images = index.manifests.iter().filter(|image| !image.is_attestation() && is_same_platform(image, entry));
        images.map(|image| image.digest.clone()).collect()
    };
    let has = |entry: &Descriptor| {
        let (now, old) = (images_for(existing, entry), images_for(before, entry));
        now.contains(&entry.digest) || now.iter().any(|digest| !old.contains(digest))
    };
    new.manifests.iter().filter(|entry| !entry.is_attestation()).all(has)
        && new.annotations.iter().all(|(key, value)| {
            is_kept_or_replaced(existing.annotations.get(key), Some(value), before.annotations.get(key))
        })
        && is_kept_or_replaced(
            existing.artifact_type.as_ref(),
            new.artifact_type.as_ref(),
            before.artifact_type.as_ref(),
        )
        && is_kept_or_replaced(existing.subject.as_ref(), new.subject.as_ref(), before.subject.as_ref())
}

/// Whether a field has its new value, or a value that another writer has set since.
fn is_kept_or_replaced<T: PartialEq>(now: Option<&T>, new: Option<&T>, before: Option<&T>) -> bool {
    new.is_none() || now == new || (now.is_some() && now != before)
}

/// Whether the chosen entries are removed. An entry for the same platform with another digest was added by another
/// writer.
pub(super) fn is_removed(existing: &Index, chosen: &[Chosen]) -> bool {
    let is_chosen = |entry: &Descriptor| {
        chosen.iter().any(|chosen| match chosen {
            Chosen::Digest(digest) => entry.digest == *digest,
            Chosen::Platform(platform, digest) => {
                entry.digest == *digest && entry.platform.as_ref() == Some(platform) && !entry.is_attestation()
            }
        })
    };
    !existing.manifests.iter().any(is_chosen)
}

/// Whether a new image replaces an old entry. An entry that spells the variant differently, such as `linux/arm` beside
/// `linux/arm/v7`, stays if another entry has exactly the platform of the new image.
fn is_replaced_by(old: &Descriptor, image: &Descriptor, existing: &Index) -> bool {
    let variant = |entry: &Descriptor| entry.platform.as_ref().map(|platform| platform.variant.clone());
    let has_exact = || existing.manifests.iter().any(|old| !old.is_attestation() && old.platform == image.platform);
    is_same_platform(image, old) && (variant(old) == variant(image) || !has_exact())
}

/// Whether an old entry lists the same image without a platform.
fn is_without_platform(image: &Descriptor, old: &Descriptor) -> bool {
    old.platform.is_none() && image.digest == old.digest
}

/// An entry to remove, which is identified again each time the index is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Chosen {
    /// The images for exactly this platform; the digest is that of the image when it was chosen.
    Platform(Platform, Digest),
    /// All entries with a digest.
    Digest(Digest),
}

/// Why a selector does not match exactly one image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectorProblem {
    /// No entry has the digest.
    #[error("it has no entry with digest {0}")]
    NoDigest(Digest),
    /// No entry is for the platform.
    #[error("it has no entry for {wanted}; its platforms: {existing}{}", suggestion(.wanted))]
    NoPlatform {
        /// The platform of the selector.
        wanted: Box<Platform>,
        /// The platforms in the index.
        existing: UntrustedText,
    },
    /// Several different images are for the platform.
    #[error("it has {} images for {wanted}: {}", .digests.len(), .digests.join(", "))]
    Several {
        /// The platform of the selector.
        wanted: Box<Platform>,
        /// The digests of the images.
        digests: Vec<String>,
    },
}

impl SelectorProblem {
    /// Returns the platform that was probably meant, if the selector's platform is unknown.
    #[must_use]
    pub fn suggestion(&self) -> Option<String> {
        match self {
            Self::NoPlatform { wanted, .. } => meant(wanted),
            Self::NoDigest(_) | Self::Several { .. } => None,
        }
    }

    /// Returns the message without the suggestion.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::NoPlatform { wanted, existing } => format!("it has no entry for {wanted}; its platforms: {existing}"),
            problem => problem.to_string(),
        }
    }
}

/// Finds the entries that the selectors match. `named` is the same index, with the platforms of configs for entries
/// that have no platform.
///
/// # Errors
/// The problem of each selector that does not match exactly one image.
pub(super) fn choose(
    existing: &Index,
    named: &Index,
    selectors: &[Selector],
) -> Result<Vec<Chosen>, Vec<SelectorProblem>> {
    let (mut chosen, mut problems) = (Vec::new(), Vec::new());
    for selector in selectors {
        match choose_one(existing, named, selector) {
            Ok(entry) => chosen.push(entry),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(chosen) } else { Err(problems) }
}

fn choose_one(existing: &Index, named: &Index, selector: &Selector) -> Result<Chosen, SelectorProblem> {
    let wanted = match selector {
        Selector::Platform(wanted) => wanted,
        Selector::Digest(digest) if existing.manifests.iter().any(|entry| entry.digest == *digest) => {
            return Ok(Chosen::Digest(digest.clone()));
        }
        Selector::Digest(digest) => return Err(SelectorProblem::NoDigest(digest.clone())),
    };
    match named.images_for(wanted).as_slice() {
        [] => Err(SelectorProblem::NoPlatform {
            wanted: Box::new(wanted.clone()),
            existing: named.platform_list().into(),
        }),
        // One image may be listed several times.
        [(at, entry), rest @ ..] if rest.iter().all(|(_, other)| *other == *entry) => {
            let listed = existing.manifests.get(*at).and_then(|listed| listed.platform.clone());
            match listed.filter(|platform| !platform.is_empty()) {
                Some(platform) => Ok(Chosen::Platform(platform, entry.digest.clone())),
                None => Ok(Chosen::Digest(entry.digest.clone())),
            }
        }
        images => {
            let digests = images.iter().map(|(_, entry)| entry.digest.to_string()).collect();
            Err(SelectorProblem::Several { wanted: Box::new(wanted.clone()), digests })
        }
    }
}

/// Removes the chosen entries, if present, and their attestations. Returns `None` if the index would have no images
/// left.
pub(super) fn without(existing: &Index, chosen: &[Chosen]) -> Option<Index> {
    let is_chosen = |entry: &Descriptor| {
        chosen.iter().any(|chosen| match chosen {
            Chosen::Digest(digest) => entry.digest == *digest,
            Chosen::Platform(platform, _) => !entry.is_attestation() && entry.platform.as_ref() == Some(platform),
        })
    };
    if !existing.manifests.iter().any(is_chosen) {
        return Some(existing.clone());
    }
    let remaining = existing.manifests.iter().filter(|entry| !is_chosen(entry));
    let (attestations, images): (Vec<_>, Vec<_>) = remaining.partition(|entry| entry.is_attestation());
    let mut manifests: Vec<Descriptor> = images.into_iter().cloned().collect();
    if manifests.is_empty() {
        return None;
    }
    attach(&mut manifests, attestations.into_iter());
    Some(Index { manifests, ..existing.clone() })
}

/// Adds the attestations that belong to these images, each once.
fn attach<'a>(images: &mut Vec<Descriptor>, attestations: impl Iterator<Item = &'a Descriptor>) {
    let digests: HashSet<String> = images.iter().map(|image| image.digest.to_string()).collect();
    let mut seen: HashSet<&Digest> = HashSet::new();
    for entry in attestations {
        if image_of(entry).is_none_or(|image| digests.contains(image.as_str())) && seen.insert(&entry.digest) {
            images.push(entry.clone());
        }
    }
}

/// Returns the digest of the image that an attestation describes.
fn image_of(attestation: &Descriptor) -> Option<&UntrustedText> {
    attestation.annotations.get(REFERENCE_DIGEST)
}

pub(super) fn is_same_platform(one: &Descriptor, other: &Descriptor) -> bool {
    match (&one.platform, &other.platform) {
        (Some(one), Some(other)) => one.is_same(other),
        _ => false,
    }
}

#[cfg(test)]
pub(super) mod tests;
