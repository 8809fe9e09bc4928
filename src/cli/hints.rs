//! The words of hints, with the names of this program's flags and variables.

use crate::registry::Hint;

/// The text of a hint.
pub(super) fn hint_text(hint: &Hint) -> String {
    match hint {
        Hint::TrustCertificate { may_skip }
        | Hint::RenewCertificate { may_skip }
        | Hint::NameHostInCertificate { may_skip }
        | Hint::UseServerCertificate { may_skip }
        | Hint::AllowServerUse { may_skip }
        | Hint::ReplaceCertificate { may_skip } => {
            let skips = if *may_skip { "; --insecure skips the check" } else { "" };
            format!("{}{skips}", of_certificate(hint))
        }
        Hint::SignIn { registry, unused } => {
            let unused = unused.as_ref().map(|unused| format!("; {unused}"));
            format!("manifest-tool login {registry}{}", unused.unwrap_or_default())
        }
        Hint::StoreCredentials { registry } => {
            format!("manifest-tool login {registry} checks other ones and stores them")
        }
        Hint::OtherCredentials { source } => {
            format!("give other credentials than those of {source}, or none there: then what is stored is used")
        }
        hint => of_registry(hint).or(of_connection(hint)).unwrap_or_default().to_owned(),
    }
}

/// Hints about the server's certificate.
fn of_certificate(hint: &Hint) -> &'static str {
    match hint {
        Hint::TrustCertificate { .. } => {
            "--ca-cert FILE trusts the CA certificate, or the self-signed certificate, in a PEM file"
        }
        Hint::RenewCertificate { .. } => "renew the certificate, unless this machine's clock is wrong",
        Hint::NameHostInCertificate { .. } => {
            "use a name that the certificate has, or make one that names the host: openssl req -x509 ... \
             -addext subjectAltName=DNS:HOST (or IP:ADDRESS)"
        }
        Hint::UseServerCertificate { .. } => {
            "give the server a certificate with CA:FALSE, or trust this very certificate with --ca-cert FILE"
        }
        Hint::AllowServerUse { .. } => "the certificate needs extendedKeyUsage=serverAuth",
        _ => "give the server another certificate",
    }
}

/// Hints about the connection.
fn of_connection(hint: &Hint) -> Option<&'static str> {
    Some(match hint {
        Hint::CheckServerKey => {
            "check that the server's certificate and key belong together: another server may answer here"
        }
        Hint::TlsRequirements => {
            "the server needs TLS 1.2 or 1.3, ECDHE with AES-GCM or ChaCha20-Poly1305, and a key of RSA \
             (2048 bits or more), P-256, P-384 or Ed25519; CBC cipher suites and P-521 keys are not supported"
        }
        Hint::AddClientCertificate => {
            "put the client's certificate and key into certs.d/HOST[:PORT] as client.cert and client.key"
        }
        Hint::UsePlainHttp => "the registry does not speak TLS on this port: use --plain-http",
        Hint::UseTls { is_certain: true } => "the port speaks TLS: leave --plain-http out",
        Hint::UseTls { is_certain: false } => "if the port speaks TLS, leave --plain-http out",
        Hint::CheckProxy => "HTTPS_PROXY, HTTP_PROXY and ALL_PROXY name the proxy; NO_PROXY=HOST bypasses it",
        Hint::ProxyCredentials => "the proxy wants credentials: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT",
        _ => return None,
    })
}

/// Hints about what a registry answers.
fn of_registry(hint: &Hint) -> Option<&'static str> {
    Some(match hint {
        Hint::NotAllowed => "the user who is signed in may not do this",
        Hint::CheckRepository => {
            "check the repository's name, that it exists, and what the user may do: registries answer alike"
        }
        Hint::NoWayToSignIn => "the registry names no way to sign in (WWW-Authenticate)",
        Hint::SpellRepository => {
            "repositories have lower-case names, and some registries want a project before them (PROJECT/NAME)"
        }
        Hint::CreateRepository => "create the repository first: this registry does not on a push",
        Hint::UseOtherTag => "push to another tag, or let the registry move this one",
        Hint::RaiseBodyLimit => {
            "a proxy in front of the registry may bound what it takes (nginx: client_max_body_size)"
        }
        Hint::ShrinkIndex => {
            "the registry bounds manifests, and an index with fewer platforms or annotations is smaller"
        }
        Hint::TryOciType => "this registry does not take the media type; try --type oci",
        Hint::WaitLonger => {
            "--max-wait waits longer, --concurrency asks for less at once; many registries allow more requests after sign-in"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_name_flags_and_what_to_do() {
        for (hint, part) in [
            (Hint::TrustCertificate { may_skip: false }, "--ca-cert FILE"),
            (Hint::RenewCertificate { may_skip: false }, "clock"),
            (Hint::NameHostInCertificate { may_skip: false }, "subjectAltName=DNS:HOST"),
            (Hint::UseServerCertificate { may_skip: false }, "CA:FALSE"),
            (Hint::AllowServerUse { may_skip: false }, "serverAuth"),
            (Hint::ReplaceCertificate { may_skip: false }, "another certificate"),
            (Hint::CheckServerKey, "certificate and key belong together"),
            (Hint::TlsRequirements, "TLS 1.2 or 1.3"),
            (Hint::AddClientCertificate, "client.cert and client.key"),
            (Hint::UsePlainHttp, "use --plain-http"),
            (Hint::UseTls { is_certain: true }, "the port speaks TLS: leave"),
            (Hint::UseTls { is_certain: false }, "if the port speaks TLS, leave"),
            (Hint::CheckProxy, "NO_PROXY=HOST"),
            (Hint::ProxyCredentials, "HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT"),
            (Hint::NotAllowed, "may not do this"),
            (Hint::CheckRepository, "check the repository's name"),
            (Hint::NoWayToSignIn, "WWW-Authenticate"),
            (Hint::SpellRepository, "PROJECT/NAME"),
            (Hint::CreateRepository, "create the repository first"),
            (Hint::UseOtherTag, "another tag"),
            (Hint::RaiseBodyLimit, "client_max_body_size"),
            (Hint::ShrinkIndex, "an index with fewer platforms"),
            (Hint::TryOciType, "try --type oci"),
            (Hint::WaitLonger, "--max-wait"),
        ] {
            let text = hint_text(&hint);
            assert!(text.contains(part) && !text.contains("--insecure"), "{hint:?}: {text}");
        }
        let skippable = hint_text(&Hint::TrustCertificate { may_skip: true });
        assert!(skippable.ends_with("in a PEM file; --insecure skips the check"), "{skippable}");
    }

    #[test]
    fn hints_name_the_registry() {
        let registry = || "r.io".to_owned();
        for (hint, text) in [
            (Hint::SignIn { registry: registry(), unused: None }, "manifest-tool login r.io"),
            (
                Hint::SignIn { registry: registry(), unused: Some("X is for s.io".into()) },
                "manifest-tool login r.io; X is for s.io",
            ),
            (
                Hint::StoreCredentials { registry: registry() },
                "manifest-tool login r.io checks other ones and stores them",
            ),
        ] {
            assert_eq!(hint_text(&hint), text);
        }
    }
}
