//! Changing an index: with further entries, or without some. Pure.

use std::collections::HashSet;

use crate::image::{Descriptor, Digest, Index, Platform, REFERENCE_DIGEST};

/// Which entries to take out of an index, with the attestations of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// The image for a platform.
    Platform(Platform),
    /// All with a digest.
    Digest(Digest),
}

/// Puts the entries of `new` into `held`: an image takes the place of that for the same platform, or follows the
/// others; attestations come last, and those whose image is gone go with it. What `new` says of the index itself
/// counts more.
pub(super) fn append(held: &Index, new: &Index) -> Index {
    let mut images: Vec<(Descriptor, bool)> =
        held.manifests.iter().filter(|entry| !entry.is_attestation()).map(|entry| (entry.clone(), true)).collect();
    for entry in new.manifests.iter().filter(|entry| !entry.is_attestation()) {
        let is_same = |(old, is_old): &(Descriptor, bool)| *is_old && is_same_platform(old, entry);
        match images.iter().position(is_same) {
            Some(at) => {
                if let Some(place) = images.get_mut(at) {
                    *place = (entry.clone(), false);
                }
                images.retain(|old| !is_same(old));
            }
            None => images.push((entry.clone(), false)),
        }
    }
    let attestations = held.manifests.iter().chain(&new.manifests).filter(|entry| entry.is_attestation());
    let mut manifests: Vec<Descriptor> = images.into_iter().map(|(entry, _)| entry).collect();
    attach(&mut manifests, attestations);
    let mut annotations = held.annotations.clone();
    annotations.extend(new.annotations.clone());
    Index {
        artifact_type: new.artifact_type.clone().or_else(|| held.artifact_type.clone()),
        subject: new.subject.clone().or_else(|| held.subject.clone()),
        manifests,
        annotations,
    }
}

/// The index without the entries that are selected, and without the attestations of them.
///
/// Errors: selectors that stand for nothing, unless that `may_be_gone`, or for several images of one platform; nothing
/// but attestations would be left.
pub(super) fn without(held: &Index, selectors: &[Selector], may_be_gone: bool) -> Result<Index, Vec<String>> {
    let (mut out, mut problems) = (HashSet::new(), Vec::new());
    for selector in selectors {
        match select(held, selector) {
            Ok(found) if found.is_empty() && !may_be_gone => {
                let wanted = match selector {
                    Selector::Platform(platform) => format!("for {platform}"),
                    Selector::Digest(digest) => format!("with digest {digest}"),
                };
                problems.push(format!("it holds no entry {wanted}; it holds {}", held.held()));
            }
            Ok(found) => out.extend(found),
            Err(problem) => problems.push(problem),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let left: Vec<Descriptor> =
        held.manifests.iter().enumerate().filter(|(at, _)| !out.contains(at)).map(|(_, entry)| entry.clone()).collect();
    let (attestations, mut manifests): (Vec<_>, Vec<_>) = left.into_iter().partition(Descriptor::is_attestation);
    if manifests.is_empty() {
        return Err(vec!["no image would be left in it; delete the tag instead".into()]);
    }
    attach(&mut manifests, attestations.iter());
    Ok(Index { manifests, ..held.clone() })
}

/// Adds the attestations of these images, each once.
fn attach<'a>(images: &mut Vec<Descriptor>, attestations: impl Iterator<Item = &'a Descriptor>) {
    let here: HashSet<String> = images.iter().map(|image| image.digest.to_string()).collect();
    let mut seen: HashSet<Digest> = HashSet::new();
    for entry in attestations {
        let has_image = entry.annotations.get(REFERENCE_DIGEST).is_none_or(|of| here.contains(of));
        if has_image && seen.insert(entry.digest.clone()) {
            images.push(entry.clone());
        }
    }
}

pub(super) fn is_same_platform(one: &Descriptor, other: &Descriptor) -> bool {
    match (&one.platform, &other.platform) {
        (Some(one), Some(other)) => one.is_same(other),
        _ => false,
    }
}

/// Where in the index the entries are that a selector stands for.
fn select(held: &Index, selector: &Selector) -> Result<Vec<usize>, String> {
    match selector {
        Selector::Digest(digest) => {
            let entries = held.manifests.iter().enumerate();
            Ok(entries.filter(|(_, entry)| entry.digest == *digest).map(|(at, _)| at).collect())
        }
        Selector::Platform(wanted) => match held.images_for(wanted).as_slice() {
            found @ ([] | [_]) => Ok(found.iter().map(|(at, _)| *at).collect()),
            found => {
                let names: Vec<&str> = found.iter().map(|(_, entry)| entry.digest.as_str()).collect();
                Err(format!("it holds {} images for {wanted}; --digest names one of {}", found.len(), names.join(", ")))
            }
        },
    }
}
