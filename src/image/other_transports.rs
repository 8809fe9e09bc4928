//! Transports that only other programs have.

use super::{Reference, Transport};

/// Returns whether a word is a transport of another program (skopeo, regctl, buildx, crane). Without this check, it
/// would be parsed as a repository on Docker Hub.
pub(super) fn is_other_transport(word: &str) -> bool {
    const OTHERS: &[&str] = &[
        "atomic",
        "containers-storage",
        "docker-image",
        "docker-tarball",
        "file",
        "oci-dir",
        "oci-layout",
        "oci-tar",
        "oci_archive",
        "oci_layout",
        "ociarchive",
        "ocidir",
        "ostree",
        "podman",
        "sif",
        "tarball",
    ];
    OTHERS.contains(&word)
}

/// Returns the reference if text after `oci:` is an image in a registry, in Helm's syntax: `//host.example/app:v1`.
/// Leaves out a user name and a password.
pub(super) fn of_registry_url(rest: &str) -> Option<&str> {
    let rest = rest.strip_prefix("//").filter(|rest| !rest.starts_with('/'))?;
    let rest = rest
        .split_once('@')
        .filter(|(user, _)| user.contains(':') && !user.contains('/'))
        .map_or(rest, |(_, rest)| rest);
    let has_host = rest.split_once('/').is_some_and(|(host, _)| host.contains(['.', ':']) || host == "localhost");
    (has_host && rest.parse::<Reference>().is_ok()).then_some(rest)
}

/// Translates the transport of another program to this one's.
pub(super) fn translated(transport: &str, rest: &str) -> Option<String> {
    let rest = rest.trim_start_matches("//");
    match transport {
        "docker-image" => Some(rest.to_owned()),
        "oci-dir" | "oci-layout" | "oci_layout" | "ocidir" => Some(format!("oci:{rest}")),
        "oci-tar" | "oci_archive" | "ociarchive" => Some(format!("oci-archive:{rest}")),
        "docker-tarball" | "tarball" => Some(format!("docker-archive:{rest}")),
        _ => None,
    }
}

/// Returns the location that was probably meant by text with uppercase letters or a typo in its transport. A short
/// transport must be spelled right: `dir` and `oci` with a typo are more likely repositories.
pub(super) fn meant_transport(text: &str) -> Option<String> {
    let (word, rest) = text.split_once(':').filter(|(word, _)| word.len() < 20)?;
    let word = word.to_lowercase();
    let is_near = |transport: &&Transport| match transport.as_str() {
        short if short.len() < 4 => short == word,
        long => strsim::osa_distance(&word, long) <= 1,
    };
    let meant = format!("{}:{rest}", Transport::ALL.iter().find(is_near)?.as_str());
    (meant != text).then_some(meant)
}
