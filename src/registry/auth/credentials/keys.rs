//! The keys of registries in configurations and helpers.

/// The key of a registry.
pub(super) fn key_of(registry: &str) -> &str {
    if registry == "docker.io" { "https://index.docker.io/v1/" } else { registry }
}

/// A key that is for only a part of a registry: `host/team`, and not `https://host/v1/`.
pub(super) fn is_part(key: &str) -> bool {
    !key.contains("://")
        && key.split_once('/').is_some_and(|(_, path)| !matches!(path, "" | "v1" | "v1/" | "v2" | "v2/"))
}

/// A key without scheme (in any case) and path: what is compared exactly, never as a suffix.
pub(super) fn host_of(key: &str) -> &str {
    let key = match key.split_once("://") {
        Some((scheme, rest)) if ["https", "http"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) => rest,
        _ => key,
    };
    let host = key.split('/').next().unwrap_or(key);
    if host == "docker.io" || host == "registry-1.docker.io" { "index.docker.io" } else { host }
}
