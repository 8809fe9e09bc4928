//! Orders tags by the versions that they name.

use std::cmp::Ordering;

/// Compares two tags by version, the lowest first, in a total order.
///
/// A version is one or more numbers separated by dots, such as `1`, `1.10` or `2024.01.05`, after an optional `v`.
/// Numbers compare as numbers of any length, and a missing number counts as 0. As in Semantic Versioning, text after a
/// hyphen is a pre-release, which precedes its release: `1.2.0-rc.1` precedes `1.2.0`. So does a letter directly after
/// the last of several numbers, as in `1.2.0rc1`, or in `v1beta1`. Text after another separator follows the release:
/// `1.2.0_2`. Numbers within such text compare as numbers too. `+` starts build metadata, which does not count.
///
/// Tags that are not versions, such as `latest` or `sha-0123abc`, follow all versions in byte order. Tags for equal
/// versions, such as `v1` and `1.0`, are ordered by the count of numbers, then in byte order.
pub(crate) fn compare_versions(one: &str, other: &str) -> Ordering {
    match (Version::parse(one), Version::parse(other)) {
        (Some(first), Some(second)) => first.cmp(&second).then_with(|| one.cmp(other)),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => one.cmp(other),
    }
}

/// Whether a tag names a version; see [`compare_versions`].
pub(crate) fn is_version(tag: &str) -> bool {
    Version::parse(tag).is_some()
}

/// Keeps the `limit` newest tags of a list that is sorted by [`compare_versions`]. Tags that are not versions are kept
/// only if there are fewer versions than `limit`.
pub(crate) fn newest_versions<T: AsRef<str>>(mut tags: Vec<T>, limit: usize) -> Vec<T> {
    let versions = tags.iter().take_while(|tag| is_version(tag.as_ref())).count();
    tags.drain(..versions.saturating_sub(limit));
    tags.truncate(limit);
    tags
}

/// A parsed version.
struct Version<'t> {
    /// The numbers, without leading zeros.
    numbers: Vec<&'t str>,
    suffix: Suffix<'t>,
}

/// The text after the numbers of a version.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Suffix<'t> {
    PreRelease(Text<'t>),
    Release,
    Revision(Text<'t>),
}

/// Text that is compared by its parts between dots.
#[derive(PartialEq, Eq)]
struct Text<'t>(&'t str);

impl<'t> Version<'t> {
    fn parse(tag: &'t str) -> Option<Self> {
        let tag = tag.split_once('+').map_or(tag, |(version, _)| version);
        let unprefixed = tag.strip_prefix(['v', 'V']);
        let (mut rest, mut numbers) = (unprefixed.unwrap_or(tag), Vec::new());
        loop {
            let (number, after) = split_digits(rest);
            if number.is_empty() {
                return None;
            }
            numbers.push(number.trim_start_matches('0'));
            rest = after;
            match rest.strip_prefix('.') {
                Some(next) if next.starts_with(|c: char| c.is_ascii_digit()) => rest = next,
                _ => break,
            }
        }
        let is_marked = unprefixed.is_some() || numbers.len() > 1;
        let suffix = match rest.chars().next() {
            None => Suffix::Release,
            Some('-') => Suffix::PreRelease(Text(rest.get(1..)?)),
            Some('.' | '_') => Suffix::Revision(Text(rest.get(1..)?)),
            // A single number before a letter is more likely the start of a commit's hash.
            Some(letter) if letter.is_ascii_alphabetic() && is_marked => Suffix::PreRelease(Text(rest)),
            Some(_) => return None,
        };
        Some(Self { numbers, suffix })
    }

    fn cmp(&self, other: &Self) -> Ordering {
        let (count, other_count) = (self.numbers.len(), other.numbers.len());
        let number = |version: &Self, position: usize| version.numbers.get(position).copied().unwrap_or_default();
        let numbers = (0..count.max(other_count))
            .map(|position| compare_numbers(number(self, position), number(other, position)))
            .find(|order| order.is_ne());
        let numbers = numbers.unwrap_or(Ordering::Equal);
        numbers.then_with(|| self.suffix.cmp(&other.suffix)).then(count.cmp(&other_count))
    }
}

impl Ord for Text<'_> {
    /// Compares as Semantic Versioning does: numeric parts precede other parts, and a prefix precedes longer text. In
    /// addition, numbers within a part compare as numbers, so `rc2` precedes `rc10`.
    fn cmp(&self, other: &Self) -> Ordering {
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let compare = |(one, other): (&str, &str)| {
            is_number(other).cmp(&is_number(one)).then_with(|| compare_naturally(one, other))
        };
        let (parts, others) = (|| self.0.split('.'), || other.0.split('.'));
        let order = parts().zip(others()).map(compare).find(|order| order.is_ne());
        order.unwrap_or_else(|| parts().count().cmp(&others().count())).then_with(|| self.0.cmp(other.0))
    }
}

impl PartialOrd for Text<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Compares text byte by byte, but runs of digits as numbers.
fn compare_naturally(mut one: &str, mut other: &str) -> Ordering {
    loop {
        let ((number, rest), (other_number, other_rest)) = (split_digits(one), split_digits(other));
        // Digits precede other characters in ASCII, except for a few separators, so compare only two numbers.
        if number.is_empty() || other_number.is_empty() {
            let (mut chars, mut other_chars) = (one.chars(), other.chars());
            match (chars.next(), other_chars.next()) {
                (Some(c), Some(other_c)) if c == other_c => (one, other) = (chars.as_str(), other_chars.as_str()),
                (c, other_c) => return c.cmp(&other_c),
            }
            continue;
        }
        let zeros = |number: &str| number.trim_start_matches('0').to_owned();
        match compare_numbers(&zeros(number), &zeros(other_number)) {
            Ordering::Equal => (one, other) = (rest, other_rest),
            order => return order,
        }
    }
}

/// Compares numbers without leading zeros, of any length.
fn compare_numbers(one: &str, other: &str) -> Ordering {
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}

/// Splits text after its leading digits.
fn split_digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted<'t>(tags: &[&'t str]) -> Vec<&'t str> {
        let mut sorted = tags.to_vec();
        sorted.sort_by(|one, other| compare_versions(one, other));
        sorted
    }

    #[test]
    fn versions_are_ordered_by_their_numbers() {
        let long = "1.99999999999999999999999999999999999999999999";
        let longer = "1.100000000000000000000000000000000000000000000";
        for order in [
            // Each row is in order.
            &["0", "0.0.1", "0.1", "1", "1.2", "1.10", "2", "10"][..],
            &["v1.2", "1.3", "v1.4", "V1.5", "1.6"],
            &["1", "1.0", "1.0.0", "v1.0.0", "1.0.0.0", "1.0.0.1"],
            &["1.1", "1.01.1", "1.002"],
            &["1.9", long, longer, "2"],
            &["2023-12-31", "2024-01-01", "2024-01-02", "2024-02-01", "2024-10-01"],
            &["20240101", "20240102", "20241001"],
            &["2024.1.5", "2024.01.31", "2024.2.1"],
            &["1.25-alpine", "1.25", "1.25.1-alpine", "1.25.1"],
            &["1.2.3", "1.2.3_1", "1.2.3_2", "1.2.3_10", "1.2.3.Final", "1.2.4"],
            &["v1alpha1", "v1alpha2", "v1beta1", "v1", "v2alpha1"],
            &["3.12.0a7", "3.12.0b1", "3.12.0rc2", "3.12.0rc10", "3.12.0"],
            &["1.2.3", "1.2.3+1", "1.2.3+2", "1.2.4"],
        ] {
            let reversed: Vec<&str> = order.iter().rev().copied().collect();
            assert_eq!(sorted(&reversed), order);
        }
    }

    #[test]
    fn pre_releases_precede_their_release() {
        // The example of Semantic Versioning 2.0.0, section 11.
        let order = [
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
        ];
        let reversed: Vec<&str> = order.iter().rev().copied().collect();
        assert_eq!(sorted(&reversed), order);
        let order =
            ["v1.1.9", "1.2.0-0", "1.2.0-1", "1.2.0-rc", "v1.2.0-rc1", "1.2.0-rc2", "1.2.0-rc10", "1.2", "1.2.0"];
        let reversed: Vec<&str> = order.iter().rev().copied().collect();
        assert_eq!(sorted(&reversed), order);
    }

    #[test]
    fn other_tags_follow_the_versions_in_byte_order() {
        let others = ["", " 1.0", "-1", ".1", "1234abc", "7e3fabc", "Latest", "edge", "é", "latest", "sha-abc123", "v"];
        let mut others = others.to_vec();
        others.push("vNext");
        others.push("version-1");
        others.sort_unstable();
        assert!(others.iter().all(|tag| !is_version(tag)), "{others:?}");
        let versions = ["1.0-rc1", "1.0", "v2", "17-jdk"];
        assert!(versions.iter().all(|tag| is_version(tag)));
        let mixed: Vec<&str> = others.iter().rev().chain(&versions).copied().collect();
        assert_eq!(sorted(&mixed), [&["1.0-rc1", "1.0", "v2", "17-jdk"], &others[..]].concat());
    }

    #[test]
    fn the_newest_versions_are_kept_before_other_tags() {
        let tags = ["1.0", "1.1", "1.2", "edge", "latest"];
        for (limit, kept) in
            [(0, &[][..]), (1, &["1.2"]), (3, &["1.0", "1.1", "1.2"]), (4, &["1.0", "1.1", "1.2", "edge"]), (9, &tags)]
        {
            assert_eq!(newest_versions(tags.to_vec(), limit), kept, "{limit}");
        }
        assert_eq!(newest_versions(vec!["edge", "latest"], 1), ["edge"]);
    }

    proptest::proptest! {
        #[test]
        fn versions_have_a_total_order(
            tags in proptest::collection::vec("v?[0-9]{0,2}([.][0-9]{1,2}){0,2}[-_.+]?(rc|a|é)?[.]?[0-9]{0,2}", 3)
        ) {
            let [one, two, three] = [0, 1, 2].map(|position| tags[position].as_str());
            proptest::prop_assert_eq!(compare_versions(one, two), compare_versions(two, one).reverse());
            proptest::prop_assert_eq!(compare_versions(one, two).is_eq(), one == two);
            if compare_versions(one, two).is_le() && compare_versions(two, three).is_le() {
                proptest::prop_assert!(compare_versions(one, three).is_le(), "{one} {two} {three}");
            }
        }
    }
}
