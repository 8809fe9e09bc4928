//! Finds the reference that was probably meant by text that is not one.

use super::Digest;
use super::tag::nearest_tag;

/// Maximum size of text to correct, in bytes. An error message has room for the text, a reason and a suggestion.
const MAX_LENGTH: usize = 180;

/// Schemes and transports of other programs for an image in a registry.
const SCHEMES: &[&str] = &["docker", "docker-image", "http", "https", "oci", "registry"];

/// Returns the reference that was probably meant: without a scheme, quotes, blanks and superfluous separators, in
/// lowercase, and with valid separators and tag. The correction has a tag or digest if the text has one, and passes
/// `is_valid`.
pub(super) fn nearest(text: &str, is_valid: impl Fn(&str) -> bool) -> Option<String> {
    if text.len() > MAX_LENGTH || text.contains(['$', '{', '<', '*']) {
        return None;
    }
    let visible: String = text.chars().filter_map(plain).collect();
    let bare = visible.trim_matches(|c: char| c.is_whitespace() || "\"'`".contains(c));
    let bare = without_blanks(bare)?.replace('\\', "/");
    let bare = without_user(without_scheme(&bare)).trim_start_matches("****@").to_owned();
    let bare = without_pages(&bare);
    let (start, separators) = bare.split_at_checked(bare.trim_end_matches(['/', ':', ',', ';', '@']).len())?;
    let (name, tag, digest) = parts(start)?;
    let name = with_single_slashes(&name.to_ascii_lowercase());
    let has_name = tag.is_some() || digest.is_some();
    if separators.contains([':', '@']) && !has_name {
        return None;
    }
    let tag = tag.map(|tag| format!(":{tag}")).unwrap_or_default();
    let digest = digest.map(|digest| format!("@{digest}")).unwrap_or_default();
    let meant = format!("{name}{tag}{digest}");
    (meant != text && is_valid(&meant)).then_some(meant)
}

/// Replaces a user name and a password before the host, as in `https://user:password@host/app`, because messages must
/// not show them.
pub(crate) fn without_user(text: &str) -> String {
    let (scheme, rest) = match text.find("://").and_then(|at| text.split_at_checked(at + 3)) {
        Some(split) => split,
        None => ("", text),
    };
    let is_user = |(at, _): &(usize, &str)| {
        let after = rest.get(at + 1..).unwrap_or_default();
        let before = rest.get(..*at).unwrap_or_default();
        let is_authority = !before.contains('/') || (!scheme.is_empty() && before.contains(':'));
        is_authority && (after.contains('/') || !scheme.is_empty()) && !is_digest(after)
    };
    match rest.match_indices('@').rfind(is_user) {
        Some((at, _)) => format!("{scheme}****{}", rest.get(at..).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Whether text after an `@` is a digest, even a mistaken one.
fn is_digest(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let rest = ["sha256", "sha512"].iter().find_map(|algorithm| text.strip_prefix(algorithm));
    rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '.'))
}

/// Replaces characters that look like others, and drops invisible ones.
fn plain(c: char) -> Option<char> {
    match c {
        '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{ad}' => None,
        '\u{2010}'..='\u{2014}' | '\u{2212}' => Some('-'),
        '\u{ff1a}' => Some(':'),
        '\u{ff0f}' | '\u{2215}' => Some('/'),
        '\u{201c}' | '\u{201d}' | '\u{2018}' | '\u{2019}' => Some('"'),
        _ => Some(c),
    }
}

/// Removes blanks beside separators. Returns `None` if others remain: the text is more than one word.
fn without_blanks(text: &str) -> Option<String> {
    let mut words = text.split_whitespace();
    let first = words.next()?.to_owned();
    words.try_fold(first, |text, word| {
        let joins = text.ends_with(['/', ':', '@']) || word.starts_with(['/', ':', '@']);
        joins.then(|| text + word)
    })
}

fn without_scheme(text: &str) -> &str {
    let Some((scheme, rest)) = text.split_once(':') else { return text };
    let is_scheme = SCHEMES.contains(&scheme.to_ascii_lowercase().as_str());
    let has_host = || rest.split_once('/').is_some_and(|(host, _)| host.contains('.'));
    match rest.strip_prefix('/') {
        Some(rest) if is_scheme => rest.trim_start_matches('/'),
        None if is_scheme && has_host() => rest,
        _ => text,
    }
}

/// Translates the address of a web page of Docker Hub, or of a manifest, to a reference.
fn without_pages(text: &str) -> String {
    if let Some(page) = text.strip_prefix("hub.docker.com/") {
        let page = page.split(['?', '#']).next().unwrap_or_default();
        let page = page.trim_end_matches('/').trim_end_matches("/tags");
        let page = page.strip_prefix("r/").or_else(|| page.strip_prefix("_/")).unwrap_or(page);
        return format!("docker.io/{page}");
    }
    match text.split_once("/v2/").and_then(|(host, rest)| Some((host, rest.split_once("/manifests/")?))) {
        Some((host, (repository, name))) => {
            let separator = if name.contains(':') { '@' } else { ':' };
            format!("{host}/{repository}{separator}{name}")
        }
        None => text.to_owned(),
    }
}

/// Splits text into name, tag and digest, and corrects the separators between them.
fn parts(text: &str) -> Option<(String, Option<String>, Option<String>)> {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => match text.find(":sha256:").or_else(|| text.find(":sha512:")) {
            Some(at) => (text.get(..at)?, text.get(at + 1..)),
            None => (text, None),
        },
    };
    let (name, tag) = name_and_tag(rest.trim_end_matches([':', '/']))?;
    let Some(text) = digest else { return Some((name, tag, None)) };
    match Digest::parse(text) {
        Ok(digest) => Some((name, tag, Some(digest.to_string()))),
        Err(error) if error.suggestion().is_some() => Some((name, tag, error.suggestion().map(str::to_owned))),
        // A tag after `@`, as in `app@v1`.
        Err(_) if tag.is_none() && !text.to_ascii_lowercase().starts_with("sha") && !text.contains([':', '@']) => {
            Some((name, Some(nearest_tag(text)?), None))
        }
        Err(_) => None,
    }
}

/// Splits text without a digest into name and tag.
fn name_and_tag(text: &str) -> Option<(String, Option<String>)> {
    let (registry, rest) = match text.split_once('/') {
        Some((first, rest)) if is_registry(first) => (Some(first.trim_end_matches(':').to_owned()), rest),
        _ => match registry_and_port(text) {
            Some((registry, rest)) => (Some(registry), rest),
            None => (None, text),
        },
    };
    let at = rest.find([':', ';', '#']);
    let (name, tag) = match at.and_then(|at| rest.split_at_checked(at)) {
        Some((name, tag)) => (name, Some(nearest_tag(tag.trim_start_matches([':', ';', '#', '=']))?)),
        None => (rest, None),
    };
    let name = registry.map_or(name.to_owned(), |registry| format!("{registry}/{name}"));
    Some((name, tag))
}

fn is_registry(first: &str) -> bool {
    first.eq_ignore_ascii_case("localhost") || first.contains('.') || first.contains(':')
}

/// Splits `host:5000:app:v1` after the port, in place of whose `:` there should be a slash.
fn registry_and_port(text: &str) -> Option<(String, &str)> {
    let (host, rest) = text.split_once(':')?;
    let (port, rest) = rest.split_once(':')?;
    let is_port = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    (is_port && !host.contains('/') && rest.contains([':', '@'])).then(|| (format!("{host}:{port}"), rest))
}

fn with_single_slashes(text: &str) -> String {
    let leading = if text.starts_with('/') { "/" } else { "" };
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
    leading.to_owned() + &parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::super::Reference;
    use super::*;

    fn suggestion(text: &str) -> Option<String> {
        nearest(text, |meant| meant.parse::<Reference>().is_ok())
    }

    #[test]
    fn an_invalid_reference_gets_the_one_that_was_meant() {
        let hex = "0a".repeat(32);
        let by_digest = format!("r.io/app@sha256:{hex}");
        for (text, meant) in [
            ("http://r.io/app:v1", "r.io/app:v1"),
            ("HTTPS://r.io/app:v1/", "r.io/app:v1"),
            ("https:/r.io/app:v1", "r.io/app:v1"),
            ("Docker://r.io/app:v1", "r.io/app:v1"),
            ("docker:r.io/app:v1", "r.io/app:v1"),
            ("oci://r.io/app:v1", "r.io/app:v1"),
            ("https://user:secret@r.io/app:v1", "r.io/app:v1"),
            ("https://hub.docker.com/r/team/app/tags", "docker.io/team/app"),
            ("https://hub.docker.com/_/alpine", "docker.io/alpine"),
            ("https://r.io/v2/app/manifests/v1", "r.io/app:v1"),
            (&format!("https://r.io/v2/app/manifests/sha256:{hex}"), &by_digest),
            ("R.io/App:V1", "r.io/app:V1"),
            ("r.io/User/app:v1", "r.io/user/app:v1"),
            ("MyOrg/app:v1", "myorg/app:v1"),
            ("App:v1", "app:v1"),
            ("r.io/app:v1:", "r.io/app:v1"),
            ("r.io/app:v1/", "r.io/app:v1"),
            ("r.io/app:v1,", "r.io/app:v1"),
            ("r.io/app:v1@", "r.io/app:v1"),
            ("r.io/app/", "r.io/app"),
            ("r.io//app:v1", "r.io/app:v1"),
            ("r.io\\app:v1", "r.io/app:v1"),
            ("r.io/app::v1", "r.io/app:v1"),
            ("r.io/app;v1", "r.io/app:v1"),
            ("r.io/app#v1", "r.io/app:v1"),
            ("r.io/app@v1", "r.io/app:v1"),
            ("r.io/app:-v1", "r.io/app:v1"),
            ("r.io/app:v1.0+build", "r.io/app:v1.0-build"),
            ("r.io/app:feature/x", "r.io/app:feature-x"),
            ("r.io:5000:app:v1", "r.io:5000/app:v1"),
            ("r.io:/app:v1", "r.io/app:v1"),
            (" r.io/app:v1\n", "r.io/app:v1"),
            ("\"r.io/app:v1\"", "r.io/app:v1"),
            ("'r.io/app:v1'", "r.io/app:v1"),
            ("\u{201c}r.io/app:v1\u{201d}", "r.io/app:v1"),
            ("r.io/app: v1", "r.io/app:v1"),
            ("r.io /app:v1", "r.io/app:v1"),
            ("r.io/app\u{ff1a}v1", "r.io/app:v1"),
            ("r.io/app:v1\u{200b}", "r.io/app:v1"),
            ("[::1]:5000/App:v1", "[::1]:5000/app:v1"),
            (&format!("r.io/app@{hex}"), &by_digest),
            (&format!("r.io/app@sha256-{hex}"), &by_digest),
            (&format!("r.io/app@sha256:{}", hex.to_uppercase()), &by_digest),
            (&format!("r.io/app:sha256:{hex}"), &by_digest),
            (&format!("r.io/app:@sha256:{hex}"), &by_digest),
            (&format!("r.io/App@sha256:{hex}"), &by_digest),
        ] {
            assert_eq!(suggestion(text).as_deref(), Some(meant), "{text}");
        }
    }

    #[test]
    fn an_unclear_reference_gets_no_suggestion() {
        let hex = "0a".repeat(32);
        for text in [
            "",
            "r.io/app:",
            "r.io/app:$TAG",
            "r.io/app:${TAG}",
            "r.io/app:<tag>",
            "r.io/app:v1,v2",
            "r.io/app v1",
            "r.io/app@sha256:abc",
            "r.io:5000:v1",
            "r.io:port/app:v1",
            "/tmp/x",
            "./app:v1",
            "r.io/my___app:v1",
            "r.io/é:v1",
            &format!("r.io/app@sha256:{hex}@sha256:{hex}"),
            &"A/".repeat(1_000_000),
        ] {
            assert_eq!(suggestion(text), None, "{text:.80}");
        }
    }

    #[test]
    fn users_and_passwords_are_not_shown() {
        for (text, shown) in [
            ("https://user:secret@r.io/app:v1", "https://****@r.io/app:v1"),
            ("https://user:se/cret@r.io/app:v1", "https://****@r.io/app:v1"),
            ("user:secret@r.io/app:v1", "****@r.io/app:v1"),
            ("user:se@cret@r.io/app:v1", "****@r.io/app:v1"),
            ("https://user:secret@r.io", "https://****@r.io"),
            ("bot:secret@shanghai.example/app:v1", "****@shanghai.example/app:v1"),
            ("bot:secret@sha256.example/app:v1", "****@sha256.example/app:v1"),
            ("docker-image://user:secret@r.io/app:v1", "docker-image://****@r.io/app:v1"),
            ("oci://user:secret@r.io/app", "oci://****@r.io/app"),
            ("r.io/app:v1", "r.io/app:v1"),
            ("r.io/app@v1", "r.io/app@v1"),
            ("app@sha256:abc/x", "app@sha256:abc/x"),
        ] {
            assert_eq!(without_user(text), shown);
        }
        let error = "user:secret@r.io/app:v1".parse::<Reference>().unwrap_err().to_string();
        assert!(!error.contains("secret") && error.ends_with("; did you mean \"r.io/app:v1\"?"), "{error}");
    }

    proptest::proptest! {
        #[test]
        fn every_suggestion_is_valid(
            text in ".*|(https?://|docker:|r.io|:5000|/|App|app|:|@|v1|sha256|;|\\+| |\"|\\[::1\\]){0,12}",
        ) {
            if let Some(meant) = suggestion(&text) {
                proptest::prop_assert!(meant != text && meant.parse::<Reference>().is_ok(), "{}", meant);
            }
        }
    }
}
