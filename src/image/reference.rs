use std::fmt;

use super::nearest_reference::{nearest, without_user};
use super::tag::check_tag;
use super::{Digest, DigestError, UntrustedText};

/// A reference to an image in a registry: registry, repository, and a tag, a digest or both.
///
/// Follows Docker's grammar ("distribution/reference"). A first component without `.` or `:` that is not `localhost` is
/// part of a repository on `docker.io`, where a single component is in `library/`. Unlike in Docker, a component with
/// uppercase letters is not a registry either: `MyOrg/app` is an invalid repository. A missing tag stays missing.
///
/// ```
/// use manifest_tool::image::Reference;
/// let reference: Reference = "alpine:3.20".parse()?;
/// assert_eq!(reference.to_string(), "docker.io/library/alpine:3.20");
/// assert!("localhost:5000/App:v1".parse::<Reference>().is_err());
/// # Ok::<(), manifest_tool::image::ReferenceError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// The error for text that is not a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceError {
    text: UntrustedText,
    reason: UntrustedText,
    meant: Option<String>,
}

impl ReferenceError {
    /// Returns the reference that was probably meant.
    #[must_use]
    pub fn suggestion(&self) -> Option<&str> {
        self.meant.as_deref()
    }

    /// Returns what is wrong with the text.
    pub(super) fn reason(&self) -> &UntrustedText {
        &self.reason
    }

    /// Returns the message without the suggestion.
    pub(crate) fn message(&self) -> String {
        format!("invalid reference \"{}\": {}", self.text, self.reason)
    }
}

impl fmt::Display for ReferenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())?;
        self.meant.iter().try_for_each(|meant| write!(f, "; did you mean \"{meant}\"?"))
    }
}

impl std::error::Error for ReferenceError {}

impl Reference {
    /// Returns the registry as `host[:port]`, `docker.io` for Docker Hub.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Returns the repository, including `library/`.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Returns the tag, if any.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Returns the digest, if any.
    #[must_use]
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Returns the digest or else the tag, as used in a manifest request.
    #[must_use]
    pub fn manifest_name(&self) -> Option<&str> {
        self.digest.as_ref().map(Digest::as_str).or(self.tag.as_deref())
    }

    /// Returns a reference by digest in this repository.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// Returns a reference by tag in this repository. The tag must have passed [`check_tag`].
    #[must_use]
    pub fn with_tag(&self, tag: &str) -> Self {
        Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() }
    }

    /// Returns the reference without tag and digest.
    #[must_use]
    pub fn without_name(&self) -> Self {
        Self { tag: None, digest: None, ..self.clone() }
    }

    /// Returns whether both are in the same repository of the same registry.
    #[must_use]
    pub fn same_repository(&self, other: &Self) -> bool {
        self.registry == other.registry && self.repository == other.repository
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl std::str::FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        parse(text).map_err(|reason| {
            let shown: String = without_user(text).chars().take(300).collect();
            let meant = nearest(text, |meant| parse(meant).is_ok());
            ReferenceError { text: shown.into(), reason: reason.into(), meant }
        })
    }
}

/// Maximum length of a reference, longer than the longest registry, repository, tag and digest together.
const MAX_LENGTH: usize = 1000;
/// Maximum length of a registry: a DNS name of 253 characters and a port.
const MAX_REGISTRY: usize = 253 + 6;

fn parse(text: &str) -> Result<Reference, String> {
    if text.is_empty() {
        return Err("it is empty".into());
    }
    if text.len() > MAX_LENGTH {
        return Err(format!("it is longer than {MAX_LENGTH} characters"));
    }
    if text.trim() != text {
        return Err("it starts or ends with whitespace".into());
    }
    if let Some((scheme, _)) = text.split_once("://") {
        return Err(format!("leave out the \"{scheme}://\""));
    }
    if without_user(text) != text {
        return Err("leave out the user name and password; sign in with credentials instead".into());
    }
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(Digest::parse(digest).map_err(|error: DigestError| error.message())?)),
        None => (text, None),
    };
    let (name, tag) = match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (rest, None),
    };
    if let Some(tag) = tag {
        check_tag(tag).map_err(|error| error.to_string())?;
    }
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    if name.split_once(':').is_some_and(|(host, port)| !host.contains('/') && is_port(port)) {
        return Err(format!("\"{name}\" has no repository; expected HOST/REPOSITORY:TAG"));
    }
    let (registry, path) = match name.split_once('/') {
        Some((first, path)) if is_registry(first) => (first, path.to_owned()),
        _ => ("docker.io", name.to_owned()),
    };
    // Host names are case-insensitive, and the keys of credentials are lowercase.
    let registry = registry.to_ascii_lowercase();
    let registry = if registry == "index.docker.io" { "docker.io".to_owned() } else { registry };
    check_registry(&registry)?;
    let repository = if registry == "docker.io" && !path.contains('/') { format!("library/{path}") } else { path };
    check_repository(&repository)?;
    Ok(Reference { registry, repository, tag: tag.map(str::to_owned), digest })
}

fn is_registry(first: &str) -> bool {
    first.eq_ignore_ascii_case("localhost") || first.contains(['.', ':'])
}

fn check_registry(registry: &str) -> Result<(), String> {
    if registry.len() > MAX_REGISTRY {
        return Err(format!("the registry is longer than {MAX_REGISTRY} characters"));
    }
    let (host, port) = match registry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => {
            if !address.contains(':') || !address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':' || b == b'.') {
                return Err(format!("\"{address}\" is not an IPv6 address"));
            }
            if !port.is_empty() && !port.starts_with(':') {
                return Err(format!("\"{registry}\" is not a registry host"));
            }
            ("ipv6", port.strip_prefix(':'))
        }
        None => match registry.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (registry, None),
        },
    };
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if !host.split('.').all(label) {
        return Err(format!("\"{registry}\" is not a registry host"));
    }
    match port {
        Some(port) if !port.bytes().all(|b| b.is_ascii_digit()) || port.parse::<u16>().is_err() => {
            Err(format!("\"{port}\" is not a port"))
        }
        _ => Ok(()),
    }
}

fn check_repository(repository: &str) -> Result<(), String> {
    if repository.len() > 255 {
        return Err("the repository is longer than 255 characters".into());
    }
    if repository.chars().any(|c| c.is_ascii_uppercase()) {
        return Err("repository names are lowercase".into());
    }
    if !repository.split('/').all(is_path_component) {
        return Err(format!(
            "each part of the repository \"{repository}\" may have only a-z and 0-9, \
             separated by \".\", \"_\", \"__\" or dashes"
        ));
    }
    Ok(())
}

/// Returns whether a component matches `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*` (distribution-spec, "Pulling manifests").
fn is_path_component(part: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    part.starts_with(alphanumeric)
        && part.ends_with(alphanumeric)
        && part
            .split(alphanumeric)
            .all(|between| matches!(between, "" | "." | "_" | "__") || between.bytes().all(|b| b == b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_references_are_normalized() {
        for (text, normal) in [
            ("a", "docker.io/library/a"),
            ("a:1", "docker.io/library/a:1"),
            ("a/b:1.10", "docker.io/a/b:1.10"),
            ("index.docker.io/a:1", "docker.io/library/a:1"),
            ("evildocker.io/a:1", "evildocker.io/a:1"),
            ("localhost/a:1", "localhost/a:1"),
            ("localhost:5000/a/b__c-d.e:v1", "localhost:5000/a/b__c-d.e:v1"),
            ("[::1]:5000/a:1", "[::1]:5000/a:1"),
            ("r.example/a--b:1", "r.example/a--b:1"),
            ("LocalHost:5000/a:1", "localhost:5000/a:1"),
            ("Docker.io/a:1", "docker.io/library/a:1"),
        ] {
            assert_eq!(text.parse::<Reference>().map(|r| r.to_string()), Ok(normal.to_owned()), "{text}");
        }
        let digest = Digest::sha256(b"");
        let both: Reference = format!("r.io/a:1@{digest}").parse().unwrap();
        assert_eq!((both.tag(), both.manifest_name()), (Some("1"), Some(digest.as_str())));
    }

    #[test]
    fn the_longest_reference_is_parsed() {
        let digest = Digest::parse(&format!("sha512:{}", "a".repeat(128))).unwrap();
        let repository = format!("{}:65535/{}", "r.".repeat(126) + "r", "b".repeat(255));
        let longest: Reference = format!("{repository}:{}@{digest}", "c".repeat(128)).parse().unwrap();
        assert_eq!(longest.to_string().parse().as_ref(), Ok(&longest));
        let error = format!("{}/a:1", "r.".repeat(400) + "r").parse::<Reference>().unwrap_err().to_string();
        assert!(error.contains("the registry is longer than 259"), "found by fuzzing: with a digest it was too long");
    }

    #[test]
    fn invalid_references_are_rejected_with_a_reason() {
        for (text, reason) in [
            ("", "empty"),
            ("localhost:5000/App:v1", "lowercase"),
            ("App:v1", "lowercase"),
            ("MyOrg/app:v1", "repository names are lowercase"),
            ("HOST/app:v1", "repository names are lowercase"),
            ("r.io/a:", "tag is empty"),
            ("r.io/a:.x", "a tag may have"),
            ("r.io/a b:1", "may have only"),
            (" r.io/a:1", "starts or ends with whitespace"),
            ("r.io/a:1\n", "starts or ends with whitespace"),
            ("r.io/a/:1", "may have only"),
            ("r.io//a:1", "may have only"),
            ("r.io/a___b:1", "may have only"),
            ("r.io/../a:1", "may have only"),
            ("r.io:port/a:1", "not a port"),
            ("r.io:99999/a:1", "not a port"),
            ("-r.io/a:1", "not a registry host"),
            ("[::g]:1/a:1", "IPv6"),
            ("[::1]5000/a:1", "not a registry host"),
            ("[::1]:/a:1", "not a port"),
            ("r.io/a@sha256:1", "invalid digest"),
            ("r.io/a@", "invalid digest"),
            ("r.io/é:1", "may have only"),
            ("http://r.io/a:1", "leave out"),
            ("r.io:5000:v1", "\"r.io:5000\" has no repository"),
        ] {
            let error = text.parse::<Reference>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
        let error = "a/".repeat(1_000_000).parse::<Reference>().unwrap_err().to_string();
        assert!(error.len() < 500 && error.contains("longer than"), "a message of moderate length");
    }

    proptest::proptest! {
        #[test]
        fn a_displayed_reference_is_parsed_unchanged(
            text in ".*|[a-zA-Z0-9./:@_\\[\\]-]{0,40}|(localhost|Host|r.io|\\[::1\\]|:5000|/|a|--|__|:|@){0,12}",
            digest: bool,
        ) {
            let text = if digest { format!("{text}@{}", Digest::sha256(b"")) } else { text };
            let Ok(reference) = text.parse::<Reference>() else { return Ok(()) };
            let printed = reference.to_string();
            proptest::prop_assert_eq!(printed.parse::<Reference>(), Ok(reference.clone()));
            // The reference cannot change the host, query or fragment of a URL.
            let url = format!("https://{}/v2/{}/", reference.registry(), reference.repository());
            if let Ok(url) = url.parse::<url::Url>() {
                proptest::prop_assert_eq!(url.path(), format!("/v2/{}/", reference.repository()));
                proptest::prop_assert_eq!((url.username(), url.query(), url.fragment()), ("", None, None));
            }
        }
    }
}
