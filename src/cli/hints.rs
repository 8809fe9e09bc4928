//! Texts of hints, which name the flags and variables of this program.

use crate::registry::Hint;

/// Returns the text of a hint.
pub(super) fn hint_text(hint: &Hint) -> String {
    match hint {
        Hint::TrustCertificate { may_skip }
        | Hint::RenewCertificate { may_skip }
        | Hint::NameHostInCertificate { may_skip }
        | Hint::UseServerCertificate { may_skip }
        | Hint::AllowServerUse { may_skip }
        | Hint::ReplaceCertificate { may_skip } => {
            let skips = if *may_skip { "; --insecure skips the check" } else { "" };
            format!("{}{skips}", certificate_hint(hint))
        }
        Hint::SignIn { registry, unused } => {
            let unused = unused.as_ref().map(|unused| format!("; {unused}"));
            format!("manifest-tool login {registry}{}", unused.unwrap_or_default())
        }
        Hint::StoreCredentials { registry } => {
            format!("manifest-tool login {registry} checks and stores other credentials")
        }
        Hint::OtherCredentials { source } => {
            let remove = if source.name.starts_with("--") { "leave out" } else { "unset" };
            format!("check the user name and password; {remove} {source} to use stored credentials")
        }
        hint => registry_hint(hint).or(connection_hint(hint)).unwrap_or_default().to_owned(),
    }
}

/// Returns the text of a hint about the server's certificate, without `--insecure`.
fn certificate_hint(hint: &Hint) -> &'static str {
    match hint {
        Hint::TrustCertificate { .. } => {
            "--ca-cert FILE trusts the CA certificate, or the self-signed certificate, in a PEM file"
        }
        Hint::RenewCertificate { .. } => "renew the certificate, unless this machine's clock is wrong",
        Hint::NameHostInCertificate { .. } => {
            "use a name that the certificate has, or issue one for this host: openssl req -x509 ... \
             -addext subjectAltName=DNS:HOST (or IP:ADDRESS)"
        }
        Hint::UseServerCertificate { .. } => {
            "give the server a certificate with CA:FALSE, or trust this certificate itself with --ca-cert FILE"
        }
        Hint::AllowServerUse { .. } => "the certificate needs extendedKeyUsage=serverAuth",
        _ => "give the server another certificate",
    }
}

/// Returns the text of a hint about the connection.
fn connection_hint(hint: &Hint) -> Option<&'static str> {
    Some(match hint {
        Hint::CheckServerKey => {
            "check that the server's certificate and key match; a different server may be answering"
        }
        Hint::TlsRequirements => {
            "the server needs TLS 1.2 or 1.3, ECDHE with AES-GCM or ChaCha20-Poly1305, and a key of RSA \
             (2048 bits or more), P-256, P-384 or Ed25519; CBC cipher suites and P-521 keys are not supported"
        }
        Hint::AddClientCertificate => {
            "put the client's certificate and key into certs.d/HOST[:PORT] as client.cert and client.key"
        }
        Hint::UsePlainHttp => "the registry does not speak TLS on this port: use --plain-http",
        Hint::UseTls { is_certain: true } => "the port speaks TLS: remove --plain-http",
        Hint::UseTls { is_certain: false } => "if the port speaks TLS, remove --plain-http",
        Hint::CheckProxy => "HTTPS_PROXY, HTTP_PROXY and ALL_PROXY name the proxy; NO_PROXY=HOST bypasses it",
        Hint::ProxyCredentials => "the proxy requires credentials: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT",
        _ => return None,
    })
}

/// Returns the text of a hint about a response of the registry.
fn registry_hint(hint: &Hint) -> Option<&'static str> {
    Some(match hint {
        Hint::NotAllowed => "the signed-in user has no permission for this",
        Hint::CheckRepository => {
            "check the repository name, that it exists, and the user's permissions: registries do not tell them apart"
        }
        Hint::NoWayToSignIn => "the registry offers no way to sign in (WWW-Authenticate)",
        Hint::SpellRepository => "repository names are lowercase, and some registries require a project (PROJECT/NAME)",
        Hint::CreateRepository => "create the repository first: this registry does not create it on push",
        Hint::UseOtherTag => "push to another tag, or allow the registry to overwrite this one",
        Hint::RaiseBodyLimit => {
            "a proxy in front of the registry may limit request bodies (nginx: client_max_body_size)"
        }
        Hint::ShrinkIndex => "the registry limits the size of manifests: give the index fewer platforms or annotations",
        Hint::TryOciType => "this registry does not accept the media type; try --type oci",
        Hint::WaitLonger => {
            "raise --max-wait or lower --concurrency; many registries allow more requests after sign-in"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_name_the_flag_or_the_next_step() {
        for (hint, part) in [
            (Hint::TrustCertificate { may_skip: false }, "--ca-cert FILE"),
            (Hint::RenewCertificate { may_skip: false }, "clock"),
            (Hint::NameHostInCertificate { may_skip: false }, "subjectAltName=DNS:HOST"),
            (Hint::UseServerCertificate { may_skip: false }, "CA:FALSE"),
            (Hint::AllowServerUse { may_skip: false }, "serverAuth"),
            (Hint::ReplaceCertificate { may_skip: false }, "another certificate"),
            (Hint::CheckServerKey, "certificate and key match"),
            (Hint::TlsRequirements, "TLS 1.2 or 1.3"),
            (Hint::AddClientCertificate, "client.cert and client.key"),
            (Hint::UsePlainHttp, "use --plain-http"),
            (Hint::UseTls { is_certain: true }, "the port speaks TLS: remove"),
            (Hint::UseTls { is_certain: false }, "if the port speaks TLS, remove"),
            (Hint::CheckProxy, "NO_PROXY=HOST"),
            (Hint::ProxyCredentials, "HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT"),
            (Hint::NotAllowed, "no permission"),
            (Hint::CheckRepository, "check the repository name"),
            (Hint::NoWayToSignIn, "WWW-Authenticate"),
            (Hint::SpellRepository, "PROJECT/NAME"),
            (Hint::CreateRepository, "create the repository first"),
            (Hint::UseOtherTag, "another tag"),
            (Hint::RaiseBodyLimit, "client_max_body_size"),
            (Hint::ShrinkIndex, "fewer platforms"),
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
    fn login_hints_name_the_registry() {
        let registry = || "r.io".to_owned();
        for (hint, text) in [
            (Hint::SignIn { registry: registry(), unused: None }, "manifest-tool login r.io"),
            (
                Hint::SignIn { registry: registry(), unused: Some("X is for s.io".into()) },
                "manifest-tool login r.io; X is for s.io",
            ),
            (
                Hint::StoreCredentials { registry: registry() },
                "manifest-tool login r.io checks and stores other credentials",
            ),
        ] {
            assert_eq!(hint_text(&hint), text);
        }
    }
}
