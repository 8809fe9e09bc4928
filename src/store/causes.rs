//! Groups failures by their cause, so that a cause that many references share is printed once.

use std::collections::{HashMap, HashSet};

/// A failure, for a list of failures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hit {
    /// The cause, without the reference that it hit.
    pub(crate) cause: String,
    /// The reference that it hit.
    pub(crate) name: String,
    /// The complete message, which names the reference.
    pub(crate) message: String,
}

/// Failures with the same cause.
pub(crate) type CauseGroup = Vec<Hit>;

/// Groups failures by cause, in the order of the first failure of each cause. Drops repeated failures.
pub(crate) fn by_cause(hits: impl IntoIterator<Item = Hit>) -> Vec<CauseGroup> {
    let mut groups: Vec<CauseGroup> = Vec::new();
    let mut positions: HashMap<String, usize> = HashMap::new();
    let mut seen = HashSet::new();
    for hit in hits {
        if !seen.insert((hit.name.clone(), hit.message.clone())) {
            continue;
        }
        let at = *positions.entry(hit.cause.clone()).or_insert(groups.len());
        match groups.get_mut(at) {
            Some(group) => group.push(hit),
            None => groups.push(vec![hit]),
        }
    }
    groups
}

/// Returns a line per failure; for failures with one cause, a line with the cause and an indented line per reference.
pub(crate) fn lines(groups: &[CauseGroup]) -> Vec<String> {
    let of_group = |group: &CauseGroup| match group.as_slice() {
        [only] => vec![only.message.clone()],
        hits => {
            let cause = hits.first().map(|hit| hit.cause.clone());
            cause.into_iter().chain(hits.iter().map(|hit| format!("  {}", hit.name))).collect()
        }
    };
    groups.iter().flat_map(of_group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_cause_is_one_line_followed_by_what_it_hit() {
        let hit = |cause: &str, name: &str| Hit {
            cause: cause.to_owned(),
            name: name.to_owned(),
            message: format!("{name}: {cause}, once"),
        };
        let hits = [hit("down", "a"), hit("gone", "b"), hit("down", "c"), hit("down", "a")];
        let groups = by_cause(hits);
        assert_eq!(lines(&groups), ["down", "  a", "  c", "b: gone, once"]);
    }
}
