//! What becomes of the entries of an index when another takes its place. Pure.

use super::amend::is_same_platform;
use crate::image::{Descriptor, Digest, REFERENCE_DIGEST};

/// What becomes of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// There was none for its platform.
    Added,
    /// It takes the place of the one with this digest, which is its own where only the platform's details or the
    /// annotations differ.
    Replaced(Digest),
    /// It was there.
    Unchanged,
}

/// What becomes of each new entry, and the old ones in whose place nothing comes.
pub(super) fn compare(old: &[Descriptor], new: &[Descriptor]) -> (Vec<Change>, Vec<Descriptor>) {
    let mut left: Vec<&Descriptor> = old.iter().collect();
    let mut take = |is: &dyn Fn(&Descriptor) -> bool| {
        let at = left.iter().position(|entry| is(entry))?;
        Some(left.remove(at))
    };
    let mut changes: Vec<Option<Change>> =
        new.iter().map(|entry| take(&|old| old == entry).map(|_| Change::Unchanged)).collect();
    // An attestation belongs to the platform of its image.
    let pairs = |before: &Descriptor, entry: &Descriptor| match (before.is_attestation(), entry.is_attestation()) {
        (false, false) => is_same_platform(before, entry),
        (true, true) => match (image_of(before, old), image_of(entry, new)) {
            (Some(before), Some(now)) => is_same_platform(before, now),
            _ => false,
        },
        _ => false,
    };
    for (entry, change) in new.iter().zip(&mut changes).filter(|(_, change)| change.is_none()) {
        let before =
            take(&|old| old.digest == entry.digest && pairs(old, entry)).or_else(|| take(&|old| pairs(old, entry)));
        *change = Some(before.map_or(Change::Added, |before| Change::Replaced(before.digest.clone())));
    }
    let changes = changes.into_iter().map(|change| change.unwrap_or(Change::Added)).collect();
    (changes, left.into_iter().cloned().collect())
}

/// The image that an attestation speaks of.
pub(super) fn image_of<'a>(attestation: &Descriptor, among: &'a [Descriptor]) -> Option<&'a Descriptor> {
    let of = attestation.annotations.get(REFERENCE_DIGEST)?;
    among.iter().find(|entry| entry.digest.as_str() == of)
}
