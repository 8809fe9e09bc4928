//! Finds the known word that was probably meant by an unknown one.

/// Maximum size of words to compare, in bytes. Comparing takes memory for each pair of characters.
const MAX_COMPARED: usize = 64;

/// Returns the candidates that are most similar to a word. They differ from it in letter case and punctuation only, in
/// an `s` at the end, in one or two typos, or the word is a part of them that a dash ends.
pub(super) fn similar<'w>(word: &str, candidates: impl Iterator<Item = &'w str>) -> Vec<&'w str> {
    if word.len() > MAX_COMPARED {
        return Vec::new();
    }
    // The first letter is rarely a typo: `bsh` is `bash` rather than `zsh`.
    let first = |text: &str| text.chars().next().map(|c| c.to_ascii_lowercase());
    let rank = |candidate: &str| Some((difference(word, candidate)?, first(candidate) != first(word)));
    let mut near: Vec<((usize, bool), &str)> =
        candidates.filter_map(|candidate| Some((rank(candidate)?, candidate))).collect();
    near.sort_by_key(|(rank, candidate)| (*rank, candidate.len()));
    near.dedup();
    let least = near.first().map(|(rank, _)| *rank);
    let nearest: Vec<&str> = near.into_iter().filter(|(rank, _)| Some(*rank) == least).map(|(_, word)| word).collect();
    // Prefer `password` to `password-stdin`.
    match nearest.as_slice() {
        [first, rest @ ..] if rest.iter().all(|other| other.starts_with(first)) => vec![*first],
        _ => nearest,
    }
}

/// Returns how much a candidate differs from a word, or `None` if it is not similar.
fn difference(word: &str, candidate: &str) -> Option<usize> {
    let (word, lower) = (letters(word), word.to_lowercase());
    let known = letters(candidate);
    let is_plural = word.strip_suffix('s') == Some(known.as_str()) || known.strip_suffix('s') == Some(word.as_str());
    let is_start = word.len() >= 3 && known.starts_with(&word);
    let is_part = |whole: &str, part: &str| {
        part.len() >= 4 && (whole.starts_with(&format!("{part}-")) || whole.ends_with(&format!("-{part}")))
    };
    let distance = strsim::osa_distance(&word, &known);
    match (distance, word.len().min(known.len())) {
        (0, _) => Some(0),
        (1, 3..) => Some(2),
        _ if is_plural => Some(1),
        (2, 5..) => Some(4),
        (3, 10..) => Some(6),
        _ if is_start => Some(3),
        _ if is_part(candidate, &lower) || is_part(&lower, candidate) => Some(5),
        _ => None,
    }
}

/// Returns the letters and digits of a word in lowercase.
fn letters(word: &str) -> String {
    word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_similar_words_are_found() {
        let words = [
            "push",
            "query",
            "copy",
            "cp",
            "inspect",
            "verify",
            "login",
            "logout",
            "from-spec",
            "from-args",
            "from-images",
            "platform",
            "password",
            "password-stdin",
            "username",
            "plain-http",
            "dry-run",
            "retries",
            "insecure",
            "tags",
            "digest",
            "digest-file",
            "ca-cert",
            "docker-cfg",
            "bash",
            "zsh",
        ];
        for (word, expected) in [
            ("pushh", &["push"][..]),
            ("inpsect", &["inspect"]),
            ("quer", &["query"]),
            ("coppy", &["copy"]),
            ("verfy", &["verify"]),
            ("logn", &["login"]),
            ("log-in", &["login"]),
            ("fromspec", &["from-spec"]),
            ("from_args", &["from-args"]),
            ("from-arg", &["from-args"]),
            ("from-image", &["from-images"]),
            ("from-spce", &["from-spec"]),
            ("spec", &["from-spec"]),
            ("from", &["from-spec", "from-args", "from-images"]),
            ("platforms", &["platform"]),
            ("platfrom", &["platform"]),
            ("pass", &["password"]),
            ("passwd", &["password"]),
            ("user", &["username"]),
            ("plainhttp", &["plain-http"]),
            ("plain_http", &["plain-http"]),
            ("PLAIN-HTTP", &["plain-http"]),
            ("dryrun", &["dry-run"]),
            ("dry", &["dry-run"]),
            ("retrys", &["retries"]),
            ("max-retries", &["retries"]),
            ("insecure-registry", &["insecure"]),
            ("tag", &["tags"]),
            ("digestfile", &["digest-file"]),
            ("cacert", &["ca-cert"]),
            ("bsh", &["bash"]),
            ("yaml", &[]),
            ("x", &[]),
            ("", &[]),
            ("parallel", &[]),
        ] {
            assert_eq!(similar(word, words.into_iter()), expected, "{word}");
        }
        assert_eq!(similar(&"x".repeat(1_000_000), words.into_iter()), [""; 0]);
    }
}
