//! Transports of other programs, which are prefixes of image names.

use super::Reference;

/// Returns whether a word is a transport of another program (skopeo, regctl, buildx, crane). Without this check, it
/// would be parsed as a repository on Docker Hub.
pub(super) fn is_other_transport(word: &str) -> bool {
    const OTHERS: &[&str] = &[
        "atomic",
        "containers-storage",
        "dir",
        "docker-archive",
        "docker-daemon",
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
        _ => None,
    }
}

/// Returns the layout that was probably meant by text with uppercase letters or a typo in `oci` or `oci-archive`.
pub(super) fn of_layout(text: &str) -> Option<String> {
    let (transport, rest) = text.split_once(':')?;
    let is_archive = transport.len() < 20 && strsim::osa_distance(&transport.to_lowercase(), "oci-archive") <= 1;
    let meant = match transport.eq_ignore_ascii_case("oci") {
        true => format!("oci:{rest}"),
        false if is_archive => format!("oci-archive:{rest}"),
        false => return None,
    };
    (meant != text).then_some(meant)
}
