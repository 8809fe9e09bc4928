use crate::image::{Reference, UntrustedText};

/// Normalizes the name of a registry to the form that references use: `HOST[:PORT]` in lowercase, and `docker.io` for
/// every spelling of Docker Hub. Accepts names copied from other tools, such as `https://index.docker.io/v1/`.
///
/// # Errors
/// The text is not the name of a registry.
pub(super) fn registry_name(text: &str) -> Result<String, String> {
    let bare = ["https://", "http://"].iter().find_map(|scheme| without_prefix(text, scheme)).unwrap_or(text);
    let bare = bare.trim_end_matches('/');
    let bare = bare.strip_suffix("/v1").or_else(|| bare.strip_suffix("/v2")).unwrap_or(bare).trim_end_matches('/');
    let is_hub = ["registry-1.docker.io", "hub.docker.com"].iter().any(|hub| bare.eq_ignore_ascii_case(hub));
    host_and_port(if is_hub { "docker.io" } else { bare }).ok_or_else(|| {
        let shown = without_user(text);
        let meant = nearest(text).map(|meant| format!("; did you mean \"{meant}\"?")).unwrap_or_default();
        format!("\"{}\" is not a registry's HOST[:PORT]{meant}", UntrustedText::from(shown))
    })
}

/// Replaces a user name and a password before a host, because messages must not show them.
pub(super) fn without_user(text: &str) -> String {
    text.rsplit_once('@').map_or_else(|| text.to_owned(), |(_, host)| format!("****@{host}"))
}

/// Returns the registry of references on a host.
fn host_and_port(text: &str) -> Option<String> {
    let reference: Reference = format!("{text}/x/x").parse().ok()?;
    (reference.repository() == "x/x").then(|| reference.registry().to_owned())
}

/// Common names of registries, with their hosts.
const NAMES: &[(&str, &str)] = &[
    ("docker", "docker.io"),
    ("dockerhub", "docker.io"),
    ("docker-hub", "docker.io"),
    ("docker hub", "docker.io"),
    ("ghcr", "ghcr.io"),
    ("gcr", "gcr.io"),
    ("hub", "docker.io"),
    ("mcr", "mcr.microsoft.com"),
    ("quay", "quay.io"),
];

/// Returns the registry that was probably meant by a common name, or by the name of an image.
fn nearest(text: &str) -> Option<String> {
    let text = text.trim_matches(|c: char| c.is_whitespace() || "\"'`".contains(c)).to_ascii_lowercase();
    let text = text.split_once("://").map_or(text.as_str(), |(_, rest)| rest);
    if let Some((_, host)) = NAMES.iter().find(|(name, _)| *name == text.trim_end_matches('/')) {
        return Some((*host).to_owned());
    }
    let text = text.rsplit_once('@').map_or(text, |(_, host)| host);
    let host = text.split('/').next().unwrap_or_default();
    host_and_port(host)
}

/// Strips a prefix, ignoring case.
fn without_prefix<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registry_names_are_normalized_or_refused() {
        for (host, registry) in [
            ("r.io", Some("r.io")),
            ("https://r.io/", Some("r.io")),
            ("HTTPS://R.io", Some("r.io")),
            ("http://localhost:5000", Some("localhost:5000")),
            ("localhost:5000", Some("localhost:5000")),
            ("localhost", Some("localhost")),
            ("docker.io", Some("docker.io")),
            ("Docker.IO", Some("docker.io")),
            ("index.docker.io", Some("docker.io")),
            ("registry-1.docker.io", Some("docker.io")),
            ("Registry-1.Docker.io", Some("docker.io")),
            ("https://index.docker.io/v1/", Some("docker.io")),
            ("https://r.io/v2", Some("r.io")),
            ("R.IO:443", Some("r.io:443")),
            ("[::1]:5000", Some("[::1]:5000")),
            ("ghcr", None),
            ("r.io/team", None),
            ("", None),
            ("https://", None),
            ("r.io:port", None),
            ("r.io,s.io", None),
            ("hub.docker.com", Some("docker.io")),
            ("u:p@r.io", None),
        ] {
            assert_eq!(registry_name(host).ok().as_deref(), registry, "{host}");
        }
    }

    #[test]
    fn a_refused_registry_name_gets_a_suggestion() {
        for (text, meant) in [
            ("r.io/team", "r.io"),
            ("https://R.io/team/app:v1", "r.io"),
            ("docker://r.io", "r.io"),
            (" r.io", "r.io"),
            ("\"r.io\"", "r.io"),
            ("user:secret@r.io", "r.io"),
            ("https://user:secret@r.io:5000/app", "r.io:5000"),
            ("docker", "docker.io"),
            ("Docker Hub", "docker.io"),
            ("GHCR", "ghcr.io"),
        ] {
            let error = registry_name(text).unwrap_err();
            assert!(error.ends_with(&format!("; did you mean \"{meant}\"?")), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
            assert_eq!(registry_name(meant).as_deref(), Ok(meant));
        }
        for text in ["", "registry", "r.io:port", "*.r.io", "r.io,s.io"] {
            assert!(!registry_name(text).unwrap_err().contains("did you mean"), "{text}");
        }
    }
}
