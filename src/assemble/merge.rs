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
pub(super) fn append(held: &Index, new: &Index) -> Index {
    let (new_attestations, new_images): (Vec<_>, Vec<_>) =
        new.manifests.iter().partition(|entry| entry.is_attestation());
    let mut used = vec![false; new_images.len()];
    let mut manifests: Vec<Descriptor> = Vec::new();
    for old in held.manifests.iter().filter(|entry| !entry.is_attestation()) {
        let position = |is: &dyn Fn(&Descriptor) -> bool| new_images.iter().position(|image| is(image));
        let place = position(&|image| image.platform == old.platform && !image.has_other_marks(old))
            .or_else(|| position(&|image| image.platform == old.platform))
            .or_else(|| position(&|image| is_unnamed(image, old) || gives_way(old, image, held)));
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
    let old = held.manifests.iter().filter(|entry| entry.is_attestation());
    let kept = old.filter(|entry| image_of(entry).is_none_or(|image| !renewed.contains(image)));
    attach(&mut manifests, kept.chain(new_attestations.iter().copied()));
    let mut annotations = held.annotations.clone();
    annotations.extend(new.annotations.clone());
    if is_reordered(&held.manifests, &manifests) {
        // There is nothing to change, in whatever order it is.
        manifests.clone_from(&held.manifests);
    }
    Index {
        artifact_type: new.artifact_type.clone().or_else(|| held.artifact_type.clone()),
        subject: new.subject.clone().or_else(|| held.subject.clone()),
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
pub(super) fn holds(held: &Index, new: &Index, before: &Index) -> bool {
    let place = |index: &Index, entry: &Descriptor| -> Vec<Digest> {
        let images = index.manifests.iter().filter(|image| !image.is_attestation() && is_same_platform(image, entry));
        images.map(|image| image.digest.clone()).collect()
    };
    let has = |entry: &Descriptor| {
        let (now, then) = (place(held, entry), place(before, entry));
        now.contains(&entry.digest) || now.iter().any(|digest| !then.contains(digest))
    };
    new.manifests.iter().filter(|entry| !entry.is_attestation()).all(has)
        && new
            .annotations
            .iter()
            .all(|(key, value)| stays(held.annotations.get(key), Some(value), before.annotations.get(key)))
        && stays(held.artifact_type.as_ref(), new.artifact_type.as_ref(), before.artifact_type.as_ref())
        && stays(held.subject.as_ref(), new.subject.as_ref(), before.subject.as_ref())
}

/// Whether something is what it was to be, or what others made of it since.
fn stays<T: PartialEq>(now: Option<&T>, wanted: Option<&T>, before: Option<&T>) -> bool {
    wanted.is_none() || now == wanted || (now.is_some() && now != before)
}

/// Whether what was chosen is gone. One for the same platform, with another digest, was put there by others.
pub(super) fn lacks(held: &Index, chosen: &[Chosen]) -> bool {
    let is_chosen = |entry: &Descriptor| {
        chosen.iter().any(|chosen| match chosen {
            Chosen::Digest(digest) => entry.digest == *digest,
            Chosen::Platform(platform, digest) => {
                entry.digest == *digest && entry.platform.as_ref() == Some(platform) && !entry.is_attestation()
            }
        })
    };
    !held.manifests.iter().any(is_chosen)
}

/// Whether an old entry runs on the machines of a new image and leaves its place to it. One with another spelling of the
/// variant, such as `linux/arm` beside `linux/arm/v7`, stays if there is one for exactly the platform of the new image.
fn gives_way(old: &Descriptor, image: &Descriptor, held: &Index) -> bool {
    let variant = |entry: &Descriptor| entry.platform.as_ref().map(|platform| platform.variant.clone());
    let has_exact = || held.manifests.iter().any(|old| !old.is_attestation() && old.platform == image.platform);
    is_same_platform(image, old) && (variant(old) == variant(image) || !has_exact())
}

/// Whether an old entry is this image, listed without a platform.
fn is_unnamed(image: &Descriptor, old: &Descriptor) -> bool {
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
    #[error("it holds no entry for {wanted}; it holds {held}{}", suggestion(.wanted))]
    NoPlatform {
        /// The platform of the selector.
        wanted: Box<Platform>,
        /// The platforms that the index has.
        held: UntrustedText,
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
pub(super) fn choose(held: &Index, named: &Index, selectors: &[Selector]) -> Result<Vec<Chosen>, Vec<SelectorProblem>> {
    let (mut chosen, mut problems) = (Vec::new(), Vec::new());
    for selector in selectors {
        match choose_one(held, named, selector) {
            Ok(found) => chosen.push(found),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(chosen) } else { Err(problems) }
}

fn choose_one(held: &Index, named: &Index, selector: &Selector) -> Result<Chosen, SelectorProblem> {
    let wanted = match selector {
        Selector::Platform(wanted) => wanted,
        Selector::Digest(digest) if held.manifests.iter().any(|entry| entry.digest == *digest) => {
            return Ok(Chosen::Digest(digest.clone()));
        }
        Selector::Digest(digest) => return Err(SelectorProblem::NoDigest(digest.clone())),
    };
    match named.images_for(wanted).as_slice() {
        [] => Err(SelectorProblem::NoPlatform { wanted: Box::new(wanted.clone()), held: named.held().into() }),
        // One image may be listed several times.
        [(at, entry), rest @ ..] if rest.iter().all(|(_, other)| *other == *entry) => {
            let listed = held.manifests.get(*at).and_then(|listed| listed.platform.clone());
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
pub(super) fn without(held: &Index, chosen: &[Chosen]) -> Option<Index> {
    let goes = |entry: &Descriptor| {
        chosen.iter().any(|chosen| match chosen {
            Chosen::Digest(digest) => entry.digest == *digest,
            Chosen::Platform(platform, _) => !entry.is_attestation() && entry.platform.as_ref() == Some(platform),
        })
    };
    if !held.manifests.iter().any(goes) {
        return Some(held.clone());
    }
    let left = held.manifests.iter().filter(|entry| !goes(entry));
    let (attestations, images): (Vec<_>, Vec<_>) = left.partition(|entry| entry.is_attestation());
    let mut manifests: Vec<Descriptor> = images.into_iter().cloned().collect();
    if manifests.is_empty() {
        return None;
    }
    attach(&mut manifests, attestations.into_iter());
    Some(Index { manifests, ..held.clone() })
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
