//! Compares the existing index of a target with the planned index. Does no I/O.

use super::merge::is_same_platform;
use crate::image::{Descriptor, Digest, REFERENCE_DIGEST};

/// How an entry of the planned index differs from the target's index.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// The target had no entry for its platform.
    Added,
    /// The entry replaces the entry with this digest. The digest is the same if only details of the platform or
    /// annotations differ.
    Replaced(Digest),
    /// The target had this entry.
    Unchanged,
}

/// Compares the entries of two indexes. Returns the change of each new entry, and the removed old entries.
pub(super) fn compare(old: &[Descriptor], new: &[Descriptor]) -> (Vec<Change>, Vec<Descriptor>) {
    let mut unmatched: Vec<&Descriptor> = old.iter().collect();
    let mut take = |matches: &dyn Fn(&Descriptor) -> bool| {
        let position = unmatched.iter().position(|entry| matches(entry))?;
        Some(unmatched.remove(position))
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
    // Match an entry with the same digest first, then another image for the platform.
    for same_digest in [true, false] {
        for (entry, change) in new.iter().zip(&mut changes).filter(|(_, change)| change.is_none()) {
            let before = take(&|old| (!same_digest || old.digest == entry.digest) && pairs(old, entry));
            *change = before.map(|before| Change::Replaced(before.digest.clone()));
        }
    }
    let changes = changes.into_iter().map(|change| change.unwrap_or(Change::Added)).collect();
    (changes, unmatched.into_iter().cloned().collect())
}

/// Returns the image that an attestation describes.
pub(super) fn image_of<'a>(attestation: &Descriptor, entries: &'a [Descriptor]) -> Option<&'a Descriptor> {
    let image = attestation.annotations.get(REFERENCE_DIGEST)?;
    entries.iter().find(|entry| *image == entry.digest.as_str())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::merge::tests::{any_entries, entries, name, shown};
    use super::*;

    /// Formats changes: `=` for unchanged, `+` for added, and the name of the old digest for replaced.
    fn signs(changes: &[Change]) -> String {
        let sign = |change: &Change| match change {
            Change::Added => "+".to_owned(),
            Change::Unchanged => "=".to_owned(),
            Change::Replaced(digest) => name(digest.as_str()).to_owned(),
        };
        changes.iter().map(sign).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn entries_are_added_replaced_kept_or_removed_by_platform() {
        for (old, new, changes, removed) in [
            ("", "", "", ""),
            ("", "a1 linux/amd64, f1 of a1", "+ +", ""),
            ("a1 linux/amd64, f1 of a1", "", "", "a1 linux/amd64, f1 of a1"),
            ("a1 linux/amd64, a2 linux/arm64", "b1 linux/amd64, a2 linux/arm64, b3 linux/386", "a1 = +", ""),
            ("a1 linux/amd64, a2 linux/arm64", "a2 linux/arm64, a1 linux/amd64", "= =", ""),
            ("a1 linux/amd64, a2 linux/386, a3", "b1 linux/amd64, b3", "a1 +", "a2 linux/386, a3"),
            ("a1 linux/amd64", "a1 linux/386", "+", "a1 linux/amd64"),
            ("a1 linux/arm64", "a1 linux/arm64/v8", "a1", ""),
            ("a1 linux/arm/v6", "b1 linux/arm/v7", "+", "a1 linux/arm/v6"),
            ("a1 windows/amd64:10.0.1.1", "b1 windows/amd64:10.0.1.2", "a1", ""),
            ("a1 windows/amd64:10.0.1.1", "b1 windows/amd64:10.0.2.1", "+", "a1 windows/amd64:10.0.1.1"),
            ("a1 linux/amd64", "a1 linux/amd64, a1 linux/amd64", "= +", ""),
            ("a1 linux/amd64, a1 linux/amd64", "b1 linux/amd64", "a1", "a1 linux/amd64"),
            ("a1 linux/arm64, a2 linux/arm64/v8", "b1 linux/arm64, a1 linux/arm64", "a2 =", ""),
            ("a1 linux/arm64, a2 linux/arm64", "a2 linux/arm64/v8, b1 linux/arm64", "a2 a1", ""),
            ("a1 linux/amd64, f1 of a1", "b1 linux/amd64, e1 of b1", "a1 f1", ""),
            ("a1 linux/amd64, f1 of a1", "a1 linux/amd64, e1 of a1", "= f1", ""),
            (
                "a1 linux/amd64, a2 linux/386, f1 of a1, f2 of a2",
                "b2 linux/386, b1 linux/amd64, e2 of b2, e1 of b1",
                "a2 a1 f2 f1",
                "",
            ),
            ("a1 linux/amd64, f1 of a1", "b1 linux/386, e1 of b1", "+ +", "a1 linux/amd64, f1 of a1"),
            ("a1 linux/amd64, f1 of a9", "a1 linux/amd64, e1 of a9", "= +", "f1 of a9"),
            ("a1 linux/amd64, f1 of a9", "a1 linux/amd64, f1 of a9", "= =", ""),
            ("a1 unknown/unknown", "f1 of a1", "+", "a1 unknown/unknown"),
        ] {
            let compared = compare(&entries(old), &entries(new));
            assert_eq!((&*signs(&compared.0), &*shown(&compared.1)), (changes, removed), "{old} -> {new}");
        }
        let old = entries("a1 linux/amd64, a2 linux/386");
        let mut new = old.clone();
        new[1].annotations = BTreeMap::from([("k".into(), "v".into())]);
        assert_eq!(signs(&compare(&old, &new).0), "= a2", "an annotation of an entry");
    }

    #[test]
    fn image_of_finds_the_image_of_an_attestation() {
        let all = entries("a1 linux/amd64, a2 linux/386, f2 of a2, f9 of a9");
        let images: Vec<String> = all
            .iter()
            .map(|entry| image_of(entry, &all).map_or(String::new(), |image| shown(std::slice::from_ref(image))))
            .collect();
        assert_eq!(images, ["", "", "a2 linux/386", ""]);
    }

    proptest! {
        #[test]
        fn each_old_entry_is_kept_replaced_or_removed_once(old in any_entries(), new in any_entries()) {
            let (changes, removed) = compare(&old, &new);
            prop_assert_eq!(changes.len(), new.len());
            let platform_of = |entry: &Descriptor, entries: &[Descriptor]| match entry.is_attestation() {
                true => image_of(entry, entries).cloned(),
                false => Some(entry.clone()),
            };
            let is_pair = |before: &Descriptor, now: &Descriptor| {
                let platforms = (platform_of(before, &old), platform_of(now, &new));
                before.is_attestation() == now.is_attestation()
                    && matches!(platforms, (Some(before), Some(now)) if is_same_platform(&before, &now))
            };
            let mut accounted: Vec<&Digest> = removed.iter().map(|entry| &entry.digest).collect();
            for (entry, change) in new.iter().zip(&changes) {
                match change {
                    Change::Unchanged => {
                        prop_assert!(old.contains(entry));
                        accounted.push(&entry.digest);
                    }
                    Change::Replaced(digest) => {
                        prop_assert!(old.iter().any(|before| before.digest == *digest && is_pair(before, entry)));
                        accounted.push(digest);
                    }
                    Change::Added => {
                        prop_assert!(!removed.iter().any(|before| before == entry || is_pair(before, entry)));
                    }
                }
            }
            accounted.sort();
            let mut before: Vec<&Digest> = old.iter().map(|entry| &entry.digest).collect();
            before.sort();
            prop_assert_eq!(accounted, before);
            let (changes, removed) = compare(&new, &new);
            prop_assert!(removed.is_empty() && changes.iter().all(|change| *change == Change::Unchanged));
        }
    }
}
