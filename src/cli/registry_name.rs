use crate::image::Reference;

/// Normalizes the name of a registry to the form that references use: `HOST[:PORT]` in lowercase, and `docker.io` for
/// every spelling of Docker Hub. Accepts names copied from other tools, such as `https://index.docker.io/v1/`.
///
/// # Errors
/// The text is not the name of a registry.
pub(super) fn registry_name(text: &str) -> Result<String, String> {
    let bare = ["https://", "http://"].iter().find_map(|scheme| without_prefix(text, scheme)).unwrap_or(text);
    let bare = bare.trim_end_matches('/');
    let bare = bare.strip_suffix("/v1").or_else(|| bare.strip_suffix("/v2")).unwrap_or(bare).trim_end_matches('/');
    let bare = if bare.eq_ignore_ascii_case("registry-1.docker.io") { "docker.io" } else { bare };
    let reference: Option<Reference> = format!("{bare}/x/x").parse().ok();
    match reference {
        Some(reference) if reference.repository() == "x/x" => Ok(reference.registry().to_owned()),
        _ => Err(format!("\"{text}\" is not a registry's HOST[:PORT]")),
    }
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
            ("u:p@r.io", None),
        ] {
            assert_eq!(registry_name(host).ok().as_deref(), registry, "{host}");
        }
    }
}
