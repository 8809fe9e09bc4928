//! `--shard`: one part of the targets of a run, for pipelines that divide a run among jobs.

use std::fmt;

use crate::image::{Digest, Location};

/// A part of all targets. Which part a target belongs to depends only on its reference and the number of parts, so the
/// parts do not overlap, and a new target moves no other to another part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shard {
    /// The number of this part, from 1.
    number: u64,
    /// The number of parts.
    count: u64,
}

impl Shard {
    /// Whether a target belongs to this part.
    pub(super) fn has_target(self, target: &Location) -> bool {
        position(target) % self.count == self.number - 1
    }
}

/// Returns a number for a target that spreads evenly over the parts and never changes between versions: the first 64 bits
/// of the SHA-256 digest of its reference.
fn position(target: &Location) -> u64 {
    let digest = Digest::sha256(target.to_string().as_bytes());
    let hex = digest.as_str().trim_start_matches("sha256:");
    u64::from_str_radix(hex.get(..16).unwrap_or_default(), 16).unwrap_or_default()
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "part {} of {}", self.number, self.count)
    }
}

/// Parses the value of `--shard`.
pub(super) fn shard(text: &str) -> Result<Shard, String> {
    let parsed = text.split_once('/').and_then(|(number, count)| Some((decimal(number)?, decimal(count)?)));
    match parsed {
        Some((number, count)) if number >= 1 && number <= count => Ok(Shard { number, count }),
        Some((_, count)) if count >= 1 => Err(format!("the {count} parts are 1/{count} to {count}/{count}")),
        _ => Err("expected PART/PARTS, such as 2/5 for the second of five parts".into()),
    }
}

/// Parses a number that consists only of digits; `parse` also accepts a sign.
fn decimal(text: &str) -> Option<u64> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shard_parses_only_existing_parts() {
        for (text, parsed) in [("1/1", (1, 1)), ("2/5", (2, 5)), ("5/5", (5, 5)), ("01/3", (1, 3))] {
            assert_eq!(shard(text), Ok(Shard { number: parsed.0, count: parsed.1 }));
        }
        for text in ["0/5", "6/5", "5/4"] {
            let (_, count) = text.split_once('/').unwrap();
            let error = shard(text).unwrap_err();
            assert_eq!(error, format!("the {count} parts are 1/{count} to {count}/{count}"));
        }
        for text in [
            "",
            "a/b",
            "1",
            "1/",
            "/2",
            "1/0",
            "0/0",
            "-1/3",
            "+1/3",
            "1/3/5",
            "1 / 3",
            "1.5/3",
            "1/99999999999999999999",
        ] {
            assert!(shard(text).unwrap_err().starts_with("expected PART/PARTS"), "{text:?}");
        }
    }

    #[test]
    fn parts_are_disjoint_complete_and_even() {
        let targets: Vec<Location> = (0..3000).map(|n| format!("r.io/app{n}:v{n}").parse().unwrap()).collect();
        for count in [1, 2, 3, 7, 10] {
            let mut sizes = vec![0_usize; count as usize];
            for target in &targets {
                let parts: Vec<u64> =
                    (1..=count).filter(|number| Shard { number: *number, count }.has_target(target)).collect();
                assert_eq!(parts.len(), 1, "{target}");
                sizes[parts[0] as usize - 1] += 1;
            }
            let expected = 3000 / count as usize;
            assert!(sizes.iter().all(|size| size.abs_diff(expected) < expected / 4 + 1), "{sizes:?}");
        }
    }

    /// Other versions must divide a run in the same way.
    #[test]
    fn positions_do_not_change_between_versions() {
        let at = |text: &str| position(&text.parse().unwrap());
        assert_eq!(at("registry.example/app:v1"), 0xf7f9c9b7f6049223);
        assert_eq!(at("docker.io/library/alpine:latest"), at("alpine:latest"), "the normalized reference counts");
    }
}
