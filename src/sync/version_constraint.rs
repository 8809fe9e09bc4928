//! Constraints on versions, such as `>= 3.12.0`, as in the Go package Masterminds/semver, which skopeo uses.

use std::cmp::Ordering;

/// Maximum length of a constraint, in bytes.
const MAX_LENGTH: usize = 1 << 10;

/// A constraint on the version that a tag names: alternatives separated by `||`, each of which is a list of comparisons
/// that must all hold.
///
/// A version has one to three numbers and an optional `v`: `v1`, `3.12`, `1.2.3-rc.1`. Missing numbers of a tag count
/// as 0. Tags that are not versions match no constraint. A pre-release such as `1.2.3-rc.1` or `3.12-alpine` matches only
/// an alternative in which a comparison has a pre-release, as in version 3.4 of Masterminds/semver.
#[derive(Debug, Clone)]
pub(super) struct VersionConstraint {
    text: String,
    alternatives: Vec<Vec<Comparison>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Comparison {
    operator: Operator,
    version: PartialVersion,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterOrEqual,
    LessOrEqual,
    /// `~`: the same major and minor version, as far as they are given.
    Tilde,
    /// `^`: the same version up to the first number that is not 0.
    Caret,
}

/// A version of which the last numbers may be missing, or the wildcard `x`, `X` or `*`. Such numbers are 0 in `version`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PartialVersion {
    version: Version,
    /// The count of numbers that are given, 0 to 3.
    given: usize,
}

/// A version. Its numbers are the major, the minor and the patch version.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Version {
    numbers: [u64; 3],
    /// Empty for a release.
    pre_release: String,
}

/// The operators by their spelling, the longer ones before their prefixes.
const OPERATORS: [(&str, Operator); 12] = [
    (">=", Operator::GreaterOrEqual),
    ("=>", Operator::GreaterOrEqual),
    ("<=", Operator::LessOrEqual),
    ("=<", Operator::LessOrEqual),
    ("!=", Operator::NotEqual),
    ("~>", Operator::Tilde),
    ("==", Operator::Equal),
    ("=", Operator::Equal),
    (">", Operator::Greater),
    ("<", Operator::Less),
    ("~", Operator::Tilde),
    ("^", Operator::Caret),
];

impl VersionConstraint {
    /// Parses a constraint.
    ///
    /// # Errors
    /// The text is not a constraint.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_LENGTH {
            return Err(format!("the version constraint is longer than {MAX_LENGTH} bytes"));
        }
        let alternatives = text.split("||").map(alternative).collect::<Option<_>>();
        let alternatives = alternatives.ok_or_else(|| {
            format!("\"{text}\" is not a version constraint, such as \">= 1.2\", \"~1.2\", \"1.2.x\" or \"1.2 - 1.4\"")
        })?;
        Ok(Self { text: text.to_owned(), alternatives })
    }

    /// Whether a tag names a version that meets the constraint.
    pub(super) fn matches(&self, tag: &str) -> bool {
        let Some(version) = Version::parse(tag) else { return false };
        self.alternatives.iter().any(|all| {
            let has_pre_release = |comparison: &Comparison| !comparison.version.version.pre_release.is_empty();
            let is_allowed = version.pre_release.is_empty() || all.iter().any(has_pre_release);
            is_allowed && all.iter().all(|comparison| comparison.matches(&version))
        })
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

/// Parses comparisons that are separated by commas or blanks, or a range such as `1.2 - 1.4`.
fn alternative(text: &str) -> Option<Vec<Comparison>> {
    let text = text.trim();
    if let Some((from, to)) = text.split_once(" - ") {
        let bound = |operator, text: &str| {
            let version = PartialVersion::parse(text.trim())?;
            Some(Comparison { operator, version })
        };
        return Some(vec![bound(Operator::GreaterOrEqual, from)?, bound(Operator::LessOrEqual, to)?]);
    }
    let (mut comparisons, mut rest) = (Vec::new(), text);
    loop {
        let spelling = OPERATORS.iter().find_map(|(text, operator)| Some((rest.strip_prefix(text)?, *operator)));
        let (after, operator) = spelling.unwrap_or((rest, Operator::Equal));
        let after = after.trim_start();
        let end = after.find(|c: char| c == ',' || c.is_whitespace() || "<>=!~^".contains(c)).unwrap_or(after.len());
        let (version, next) = after.split_at_checked(end)?;
        comparisons.push(Comparison { operator, version: PartialVersion::parse(version)? });
        let next = next.trim_start();
        if next.is_empty() {
            return Some(comparisons);
        }
        rest = next.strip_prefix(',').unwrap_or(next).trim_start();
    }
}

impl Comparison {
    fn matches(&self, version: &Version) -> bool {
        let PartialVersion { version: bound, given } = &self.version;
        let order = version.cmp(bound);
        // Whether the version has the first numbers of the bound.
        let has_first =
            |count: usize| version.numbers.iter().zip(&bound.numbers).take(count).all(|(one, two)| one == two);
        let is_exact = *given == 3;
        match self.operator {
            Operator::Equal if is_exact => order.is_eq(),
            Operator::Equal => order.is_ge() && has_first(*given),
            Operator::NotEqual if is_exact => order.is_ne(),
            Operator::NotEqual => !has_first(*given),
            // Without a patch version, every patch version of the bound is equal to it.
            Operator::Greater => order.is_gt() && (is_exact || !has_first(*given)),
            Operator::LessOrEqual => order.is_le() || (!is_exact && has_first(*given)),
            Operator::Less => order.is_lt(),
            Operator::GreaterOrEqual => order.is_ge(),
            // Masterminds/semver accepts every version here.
            Operator::Tilde if is_exact && bound.numbers == [0; 3] => true,
            Operator::Tilde => order.is_ge() && has_first((*given).min(2)),
            Operator::Caret => {
                let first = bound.numbers.iter().position(|number| *number != 0).map_or(*given, |at| at + 1);
                order.is_ge() && has_first(first.min(*given))
            }
        }
    }
}

impl PartialVersion {
    fn parse(text: &str) -> Option<Self> {
        let (numbers, pre_release) = split(text)?;
        let is_wildcard = |number: &&str| matches!(*number, "x" | "X" | "*");
        let parts: Vec<&str> = numbers.split('.').collect();
        let given = parts.iter().position(is_wildcard).unwrap_or(parts.len());
        let wildcards = parts.get(given..)?;
        if parts.len() > 3 || !wildcards.iter().all(is_wildcard) {
            return None;
        }
        let numbers = parse_numbers(parts.get(..given)?)?;
        Some(Self { version: Version { numbers, pre_release: pre_release.to_owned() }, given })
    }
}

impl Version {
    /// Parses a tag.
    fn parse(tag: &str) -> Option<Self> {
        let (numbers, pre_release) = split(tag)?;
        let parts: Vec<&str> = numbers.split('.').collect();
        Some(Self { numbers: parse_numbers(&parts)?, pre_release: pre_release.to_owned() })
    }

    /// Compares as Semantic Versioning does (2.0.0, section 11).
    fn cmp(&self, other: &Self) -> Ordering {
        let pre_release = || match (self.pre_release.as_str(), other.pre_release.as_str()) {
            ("", "") => Ordering::Equal,
            ("", _) => Ordering::Greater,
            (_, "") => Ordering::Less,
            (one, other) => compare_pre_releases(one, other),
        };
        self.numbers.cmp(&other.numbers).then_with(pre_release)
    }
}

/// Splits a version into its numbers and its pre-release. Drops the `v` and the build metadata.
fn split(text: &str) -> Option<(&str, &str)> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let text = text.split_once('+').map_or(text, |(version, _)| version);
    let Some((numbers, pre_release)) = text.split_once('-') else { return Some((text, "")) };
    let is_identifier = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    pre_release.split('.').all(is_identifier).then_some((numbers, pre_release))
}

/// Parses at most three numbers. The others are 0.
fn parse_numbers(parts: &[&str]) -> Option<[u64; 3]> {
    let mut numbers = [0; 3];
    if parts.len() > numbers.len() {
        return None;
    }
    for (number, part) in numbers.iter_mut().zip(parts) {
        *number = part.parse().ok().filter(|_| part.bytes().all(|b| b.is_ascii_digit()))?;
    }
    Some(numbers)
}

fn compare_pre_releases(one: &str, other: &str) -> Ordering {
    let compare = |(one, other): (&str, &str)| match (one.parse::<u64>(), other.parse::<u64>()) {
        (Ok(one), Ok(other)) => one.cmp(&other),
        (Ok(_), Err(_)) => Ordering::Less,
        (Err(_), Ok(_)) => Ordering::Greater,
        (Err(_), Err(_)) => one.cmp(other),
    };
    let (parts, others) = (|| one.split('.'), || other.split('.'));
    let order = parts().zip(others()).map(compare).find(|order| order.is_ne());
    order.unwrap_or_else(|| parts().count().cmp(&others().count()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matching<'t>(constraint: &str, tags: &[&'t str]) -> Vec<&'t str> {
        let constraint = VersionConstraint::parse(constraint).unwrap();
        tags.iter().copied().filter(|tag| constraint.matches(tag)).collect()
    }

    const TAGS: [&str; 12] =
        ["0.0.3", "0.2.3", "0.3", "v1", "1.2", "1.2.3", "1.2.9", "v1.3.0", "1.9.9", "2", "2.1.0", "10.0.0"];

    /// The results are those of version 3.4.0 of Masterminds/semver.
    #[test]
    fn each_operator_selects_its_versions() {
        for (constraint, expected) in [
            ("1.2.3", &["1.2.3"][..]),
            ("=1.2.3", &["1.2.3"]),
            ("v1.2.3", &["1.2.3"]),
            ("1.2", &["1.2", "1.2.3", "1.2.9"]),
            ("1.2.x", &["1.2", "1.2.3", "1.2.9"]),
            ("1.x", &["v1", "1.2", "1.2.3", "1.2.9", "v1.3.0", "1.9.9"]),
            ("1.x.x", &["v1", "1.2", "1.2.3", "1.2.9", "v1.3.0", "1.9.9"]),
            ("*", &TAGS),
            (">=0", &TAGS),
            ("!=1.2.3, >=1, <1.9", &["v1", "1.2", "1.2.9", "v1.3.0"]),
            ("!=1.2.x >=1 <1.9", &["v1", "v1.3.0"]),
            (">1.2", &["v1.3.0", "1.9.9", "2", "2.1.0", "10.0.0"]),
            (">1", &["2", "2.1.0", "10.0.0"]),
            (">1.2.3", &["1.2.9", "v1.3.0", "1.9.9", "2", "2.1.0", "10.0.0"]),
            (">= 1.2.3, < 2", &["1.2.3", "1.2.9", "v1.3.0", "1.9.9"]),
            ("=>1.2.3,<2", &["1.2.3", "1.2.9", "v1.3.0", "1.9.9"]),
            ("<1.2", &["0.0.3", "0.2.3", "0.3", "v1"]),
            ("<=1.2", &["0.0.3", "0.2.3", "0.3", "v1", "1.2", "1.2.3", "1.2.9"]),
            ("<=1.2.3 >0.3", &["v1", "1.2", "1.2.3"]),
            ("~1.2.3", &["1.2.3", "1.2.9"]),
            ("~1.2", &["1.2", "1.2.3", "1.2.9"]),
            ("~>1", &["v1", "1.2", "1.2.3", "1.2.9", "v1.3.0", "1.9.9"]),
            ("^1.2.3", &["1.2.3", "1.2.9", "v1.3.0", "1.9.9"]),
            ("^1.2.x", &["1.2", "1.2.3", "1.2.9", "v1.3.0", "1.9.9"]),
            ("^0.2.3", &["0.2.3"]),
            ("^0.2", &["0.2.3"]),
            ("^0.0.3", &["0.0.3"]),
            ("^0.0", &["0.0.3"]),
            ("^0", &["0.0.3", "0.2.3", "0.3"]),
            ("1.2 - 1.3.0", &["1.2", "1.2.3", "1.2.9", "v1.3.0"]),
            ("1.2.4 - 1", &["1.2.9", "v1.3.0", "1.9.9"]),
            ("^0.0.3 || 2.x || >= 10", &["0.0.3", "2", "2.1.0", "10.0.0"]),
            ("~0.0.0", &TAGS),
            (">= 11", &[]),
        ] {
            assert_eq!(matching(constraint, &TAGS), expected, "{constraint}");
        }
    }

    #[test]
    fn tags_that_are_not_versions_match_no_constraint() {
        let tags = [
            "latest",
            "",
            "v",
            "1.2.3.4",
            "1.2.",
            ".1",
            "1..2",
            "-1",
            "1.2-",
            "1.2_3",
            "sha256-0",
            "99999999999999999999",
        ];
        assert_eq!(matching("*", &tags), [""; 0]);
        assert_eq!(matching("*", &["20240101", "01.02"]), ["20240101", "01.02"]);
    }

    #[test]
    fn pre_releases_match_only_alternatives_with_a_pre_release() {
        let tags = ["1.2.3-alpha", "1.2.3-rc.2", "1.2.3-rc.10", "1.2.3", "1.3.0-rc.1", "3.12-alpine"];
        assert_eq!(matching(">=1", &tags), ["1.2.3"]);
        assert_eq!(
            matching(">=1.2.3-rc.2", &tags),
            ["1.2.3-rc.2", "1.2.3-rc.10", "1.2.3", "1.3.0-rc.1", "3.12-alpine"]
        );
        let both = ["1.2.3-alpha", "1.2.3-rc.2", "1.2.3-rc.10", "1.2.3", "1.3.0-rc.1"];
        assert_eq!(matching(">=1.2.3-0 <1.3", &tags), both);
        assert_eq!(matching(">=1.2.3-0 <1.3 || 3.x", &tags), both, "of another alternative");
        assert_eq!(matching("~1.2.3-beta", &tags), ["1.2.3-rc.2", "1.2.3-rc.10", "1.2.3"]);
        assert_eq!(matching("1.2.3-alpha", &tags), ["1.2.3-alpha"]);
    }

    #[test]
    fn text_that_is_not_a_constraint_is_refused() {
        for text in
            ["", " ", "latest", ">=", ">= 1.2,", "1.2 ||", "|| 1", "1.x.3", "1.2.3.4", ">>1", "1 -", "a - b", "1,,2"]
        {
            let error = VersionConstraint::parse(text).unwrap_err();
            assert!(error.starts_with(&format!("\"{text}\" is not a version constraint")), "{error}");
        }
        let long = VersionConstraint::parse(&"1 ".repeat(1_000)).unwrap_err();
        assert_eq!(long, "the version constraint is longer than 1024 bytes");
    }
}
