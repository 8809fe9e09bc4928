//! Changing an index: with further entries, or without some. Pure.

use std::collections::HashSet;

use crate::image::{Descriptor, Digest, Index, Platform, REFERENCE_DIGEST, UntrustedText, suggestion};

/// Which entries to take out of an index, with the attestations of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// The image for a platform.
    Platform(Platform),
    /// All with a digest.
    Digest(Digest),
}

/// Puts the entries of `new` into `held`: an image takes the place of that for the same platform, or follows the
/// others. Attestations come last; those of an image that is gone, or that comes with others, are gone as well. What
/// `new` says of the index itself counts more.
pub(super) fn append(existing: &Index, new: &Index) -> Index {
    let (new_attestations, new_images): (Vec<_>, Vec<_>) =
        new.manifests.iter().partition(|entry| entry.is_attestation());
    let mut used = vec![false; new_images.len()];
    let mut manifests: Vec<Descriptor> = Vec::new();
    for old in existing.manifests.iter().filter(|entry| !entry.is_attestation()) {
        let position = |is: &dyn Fn(&Descriptor) -> bool| new_images.iter().position(|image| is(image));
        let place = position(&|image| image.platform == old.platform && !image.has_other_marks(old))
            .or_else(|| position(&|image| image.platform == old.platform))
            .or_else(|| position(&|image| is_without_platform(image, old) || is_replaced_by(old, image, existing)));
        match place.and_then(|at| Some((*new_images.get(at)?, used.get_mut(at)?))) {
            Some((image, used)) if !*used => {
                *used = true;
                manifests.push(image.clone());
            }
            // Another one for the same machines.
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
        // There is nothing to change, in whatever order it is.
        manifests.clone_from(&existing.manifests);
    }
    Index {
        artifact_type: new.artifact_type.clone().or_else(|| existing.artifact_type.clone()),
        subject: new.subject.clone().or_else(|| existing.subject.clone()),
        manifests,
        annotations,
    }
}

/// Whether these are the same entries.
fn is_reordered(one: &[Descriptor], other: &[Descriptor]) -> bool {
    let mut left: Vec<&Descriptor> = other.iter().collect();
    let mut take = |entry| left.iter().position(|other| *other == entry).map(|at| left.swap_remove(at));
    one.len() == other.len() && one.iter().all(|entry| take(entry).is_some())
}

/// Whether what `new` brought to `before` is in `held`: others may have put images of theirs in the place of its own,
/// and said something else of the index. What was there before is nobody's since.
pub(super) fn still_holds(existing: &Index, new: &Index, before: &Index) -> bool {
    let place = |index: &Index, entry: &Descriptor| -> Vec<Digest> {
        let images = index.manifests.iter().filter(|image| !image.is_attestation() && is_same_platform(image, entry));
        images.map(|image| image.digest.clone()).collect()
    };
    let has = |entry: &Descriptor| {
        let (now, then) = (place(existing, entry), place(before, entry));
        now.contains(&entry.digest) || now.iter().any(|digest| !then.contains(digest))
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

/// Whether something is what it was to be, or what others made of it since.
fn is_kept_or_replaced<T: PartialEq>(now: Option<&T>, wanted: Option<&T>, before: Option<&T>) -> bool {
    wanted.is_none() || now == wanted || (now.is_some() && now != before)
}

/// Whether what was chosen is gone. One for the same platform, with another digest, was put there by others.
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

/// Whether an old entry runs on the machines of a new image and leaves its place to it. One with another spelling of the
/// variant, such as `linux/arm` beside `linux/arm/v7`, stays if there is one for exactly the platform of the new image.
fn is_replaced_by(old: &Descriptor, image: &Descriptor, existing: &Index) -> bool {
    let variant = |entry: &Descriptor| entry.platform.as_ref().map(|platform| platform.variant.clone());
    let has_exact = || existing.manifests.iter().any(|old| !old.is_attestation() && old.platform == image.platform);
    is_same_platform(image, old) && (variant(old) == variant(image) || !has_exact())
}

/// Whether an old entry is this image, listed without a platform.
fn is_without_platform(image: &Descriptor, old: &Descriptor) -> bool {
    old.platform.is_none() && image.digest == old.digest
}

/// An entry that is taken out, wherever it is by then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Chosen {
    /// The images for exactly this platform; the one that was there at first.
    Platform(Platform, Digest),
    /// All with a digest.
    Digest(Digest),
}

/// Why a selector does not stand for one image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectorProblem {
    /// No entry has the digest.
    #[error("it holds no entry with digest {0}")]
    NoDigest(Digest),
    /// No entry is for the platform.
    #[error("it holds no entry for {wanted}; it holds {existing}{}", suggestion(.wanted))]
    NoPlatform {
        /// The platform of the selector.
        wanted: Box<Platform>,
        /// The platforms that the index has.
        existing: UntrustedText,
    },
    /// Several different images are for the platform.
    #[error("it holds {} images for {wanted}: {}", .digests.len(), .digests.join(", "))]
    Several {
        /// The platform of the selector.
        wanted: Box<Platform>,
        /// The digests of the images.
        digests: Vec<String>,
    },
}

/// What the selectors stand for in an index. `named` is the same index, with the platforms of configs for entries that
/// have none.
///
/// # Errors
/// Every selector that does not stand for one image.
pub(super) fn choose(
    existing: &Index,
    named: &Index,
    selectors: &[Selector],
) -> Result<Vec<Chosen>, Vec<SelectorProblem>> {
    let (mut chosen, mut problems) = (Vec::new(), Vec::new());
    for selector in selectors {
        match choose_one(existing, named, selector) {
            Ok(found) => chosen.push(found),
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
        found => {
            let digests = found.iter().map(|(_, entry)| entry.digest.to_string()).collect();
            Err(SelectorProblem::Several { wanted: Box::new(wanted.clone()), digests })
        }
    }
}

/// The index without what was chosen, as far as it is there, and without the attestations of that; nothing if no image
/// would be left.
pub(super) fn without(existing: &Index, chosen: &[Chosen]) -> Option<Index> {
    let goes = |entry: &Descriptor| {
        chosen.iter().any(|chosen| match chosen {
            Chosen::Digest(digest) => entry.digest == *digest,
            Chosen::Platform(platform, _) => !entry.is_attestation() && entry.platform.as_ref() == Some(platform),
        })
    };
    if !existing.manifests.iter().any(goes) {
        return Some(existing.clone());
    }
    let left = existing.manifests.iter().filter(|entry| !goes(entry));
    let (attestations, images): (Vec<_>, Vec<_>) = left.partition(|entry| entry.is_attestation());
    let mut manifests: Vec<Descriptor> = images.into_iter().cloned().collect();
    if manifests.is_empty() {
        return None;
    }
    attach(&mut manifests, attestations.into_iter());
    Some(Index { manifests, ..existing.clone() })
}

/// Adds the attestations of these images, each once.
fn attach<'a>(images: &mut Vec<Descriptor>, attestations: impl Iterator<Item = &'a Descriptor>) {
    let here: HashSet<String> = images.iter().map(|image| image.digest.to_string()).collect();
    let mut seen: HashSet<&Digest> = HashSet::new();
    for entry in attestations {
        if image_of(entry).is_none_or(|image| here.contains(image.as_str())) && seen.insert(&entry.digest) {
            images.push(entry.clone());
        }
    }
}

/// The digest of the image that an attestation speaks of.
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
