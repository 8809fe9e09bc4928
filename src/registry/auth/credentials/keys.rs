//! The keys that configurations and helpers use for registries.

/// Returns the key of a registry.
pub(super) fn key_of(registry: &str) -> &str {
    if registry == "docker.io" { "https://index.docker.io/v1/" } else { registry }
}

/// Whether a key is for only a part of a registry: `host/team`, but not `https://host/v1/`.
pub(super) fn is_part(key: &str) -> bool {
    !key.contains("://")
        && key.split_once('/').is_some_and(|(_, path)| !matches!(path, "" | "v1" | "v1/" | "v2" | "v2/"))
}

/// Returns a key without scheme (in any case) and path. Hosts are compared exactly, never as a suffix.
pub(super) fn host_of(key: &str) -> &str {
    let key = match key.split_once("://") {
        Some((scheme, rest)) if ["https", "http"].iter().any(|prefix| scheme.eq_ignore_ascii_case(prefix)) => rest,
        _ => key,
    };
    let host = key.split('/').next().unwrap_or(key);
    if host == "docker.io" || host == "registry-1.docker.io" { "index.docker.io" } else { host }
}
