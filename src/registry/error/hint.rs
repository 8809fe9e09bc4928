use super::{Denial, Error, ErrorKind, Refusal};

/// Where credentials come from that count before any file.
const OUTRANKS_FILES: [&str; 3] = ["--username", "MANIFEST_TOOL_USERNAME", "DOCKER_AUTH_CONFIG"];

impl Error {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        self.hint.clone().or_else(|| self.kind.hint())
    }
}

impl ErrorKind {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Denied(denied) => match &denied.denial {
                Denial::NoCredentials => {
                    let unused = denied.unused.as_ref().map(|unused| format!("; {unused}"));
                    return Some(format!("manifest-tool login {}{}", denied.registry, unused.unwrap_or_default()));
                }
                // What is stored counts after these, and would not be used.
                Denial::Refused { source, .. } if OUTRANKS_FILES.iter().any(|given| source.starts_with(given)) => {
                    return Some(format!(
                        "give other credentials than those of {source}, or none there: then what is stored is used"
                    ));
                }
                Denial::Refused { .. } => {
                    return Some(format!("manifest-tool login {} checks other ones and stores them", denied.registry));
                }
                Denial::NotGranted { .. } => "the user who is signed in may not do this",
                Denial::Forbidden { .. } => return denied.refusal.hint(),
            },
            Self::Answer(refusal) => return refusal.hint(),
            Self::Unsettled(kind) => return kind.hint(),
            Self::Immutable { .. } => "push to another tag, or let the registry move this one",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

impl Refusal {
    fn hint(&self) -> Option<String> {
        let (of_blob, of_write) = (self.request.contains("/blobs/"), self.request.starts_with('P'));
        let hint = match self.status {
            400 if self.wants_tls() => "the port speaks TLS: leave --plain-http out",
            407 => "the proxy wants credentials: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT",
            _ if self.says(&["NAME_INVALID"]) => {
                "repositories have lower-case names, and some registries want a project before them (PROJECT/NAME)"
            }
            _ if of_write && self.says(&["NAME_UNKNOWN"]) => {
                "create the repository first: this registry does not on a push"
            }
            401 => "the registry names no way to sign in (WWW-Authenticate)",
            413 if of_blob => "a proxy in front of the registry may bound what it takes (nginx: client_max_body_size)",
            413 => "the registry bounds manifests, and an index with fewer platforms or annotations is smaller",
            415 => "this registry does not take the media type; try --type oci",
            429 => {
                "--max-wait waits longer, --concurrency asks for less at once; many registries allow more requests after sign-in"
            }
            403 if self.says(&["DENIED"]) => {
                "check the repository's name, that it exists, and what the user may do: registries answer alike"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_for_answers() {
        for (request, status, code, part) in [
            ("PUT /v2/a/manifests/v1", 413, "SIZE_INVALID", "an index with fewer platforms"),
            ("PUT /v2/a/blobs/uploads/1", 413, "", "client_max_body_size"),
            ("PUT /v2/a/manifests/v1", 415, "", "try --type oci"),
            ("PUT /v2/a/manifests/v1", 400, "NAME_INVALID", "PROJECT/NAME"),
            ("POST /v2/a/blobs/uploads/", 404, "NAME_UNKNOWN", "create the repository first"),
            ("GET /v2/a/manifests/v1", 404, "NAME_UNKNOWN", ""),
            ("PUT /v2/a/manifests/v1", 403, "DENIED", "check the repository's name"),
            ("PUT /v2/a/manifests/v1", 403, "", ""),
            ("GET /v2/a/manifests/v1", 429, "TOOMANYREQUESTS", "--max-wait"),
            ("GET /v2/a/manifests/v1", 500, "UNKNOWN", ""),
        ] {
            let body = serde_json::json!({"errors": [{"code": code}]}).to_string();
            let refusal = Refusal::new(request, status, body.as_bytes());
            let hint = Error::new("x", ErrorKind::Answer(refusal.into())).hint().unwrap_or_default();
            assert!(hint.contains(part) && hint.is_empty() == part.is_empty(), "{request} {status} {code}: {hint}");
        }
    }
}
