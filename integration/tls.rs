//! Registries with TLS whose certificate was issued by an authority that this machine does not trust.

use std::path::Path;

use crate::support::certificates::CertificateAuthority;
use crate::support::token_service::authenticated_only;
use crate::support::{LOGIN, Outcome, Registry, ScriptedServer, TokenService, Workspace, run};

const UNTRUSTED: &str = "no trusted CA certificate issued it";

struct TlsFixture {
    workspace: Workspace,
    authority: CertificateAuthority,
    registry: Registry,
}

impl TlsFixture {
    fn new() -> Self {
        Self::with_config(|_, _| String::new())
    }

    /// Starts the registry with the YAML that `more` returns in its configuration, after the `tls` section.
    fn with_config(more: impl FnOnce(&Path, &CertificateAuthority) -> String) -> Self {
        let workspace = Workspace::new();
        let folder = workspace.folder();
        let authority = CertificateAuthority::new(folder);
        let config = authority.registry_config(folder) + &more(folder, &authority);
        let registry = Registry::start_with(&config, None);
        let workspace = workspace.placeholder("HOST", &registry.host);
        Self { workspace, authority, registry }
    }

    /// Inspects a tag that does not exist: a 404 shows that the registry was reached.
    fn inspect(&self, args: &[&str], environment: &[(&str, &str)]) -> Outcome {
        let mut command = self.workspace.command(&[&["--debug", "inspect", "HOST/app:gone"], args].concat());
        command.envs(environment.iter().copied());
        let outcome = run(command, "");
        assert_eq!(outcome.exit, 1, "{outcome:?}");
        outcome
    }

    #[track_caller]
    fn assert_reached(&self, args: &[&str], environment: &[(&str, &str)]) {
        let outcome = self.inspect(args, environment);
        let is_reached = outcome.stderr.contains("-> 404 HTTP/2.0") && outcome.stderr.contains("MANIFEST_UNKNOWN");
        assert!(is_reached, "{args:?} {environment:?}: {outcome:?}");
    }

    fn certificate(&self) -> &str {
        self.authority.certificate.to_str().unwrap()
    }

    /// Copies a file to the user's `certs.d` folder for the registry.
    fn add_to_certs_d(&self, name: &str, source: &str) {
        let folder = self.workspace.path(".config/docker/certs.d").join(&self.registry.host);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::copy(self.workspace.path(source), folder.join(name)).unwrap();
    }
}

#[test]
fn the_certificate_is_verified_and_http_2_is_used() {
    let fixture = TlsFixture::new();
    let unknown = fixture.inspect(&[], &[]).stderr;
    assert!(unknown.contains(UNTRUSTED) && unknown.contains("hint: --ca-cert FILE"), "{unknown}");
    assert!(!unknown.contains("http://"), "no fallback to plain HTTP: {unknown}");
    fixture.assert_reached(&["--insecure"], &[]);
    let port = fixture.registry.host.rsplit(':').next().unwrap();
    fixture.assert_reached(&["--insecure=HOST"], &[]);
    fixture.assert_reached(&["--insecure=other.test,HOST"], &[]);
    for other in ["other.test", "127.0.0.1", &format!("localhost:{port}"), "false"] {
        let refused = fixture.inspect(&[&format!("--insecure={other}")], &[]).stderr;
        assert!(refused.contains(UNTRUSTED), "{other}: {refused}");
    }
    fixture.assert_reached(&["--ca-cert", fixture.certificate()], &[]);
    fixture.assert_reached(&["--ca-cert", "server.cert", "--ca-cert", fixture.certificate()], &[]);
    fixture.assert_reached(&[], &[("SSL_CERT_FILE", fixture.certificate())]);
    // The system has no CA certificates.
    fixture.assert_reached(&["--ca-cert", fixture.certificate()], &[("SSL_CERT_FILE", "/dev/null")]);
    let none = fixture.inspect(&[], &[("SSL_CERT_FILE", "/dev/null")]).stderr;
    assert!(none.contains("this machine has no CA certificates") && none.contains("hint: --ca-cert FILE"), "{none}");
    let plain = fixture.inspect(&["--plain-http"], &[]).stderr;
    assert!(plain.contains("HTTP 400") && !plain.contains("https://"), "{plain}");
    assert!(plain.ends_with("hint: the port speaks TLS: remove --plain-http\n"), "{plain}");
}

#[test]
fn an_unusable_certificate_file_is_named() {
    let fixture = TlsFixture::new();
    fixture.workspace.write("no.pem", "hello");
    for (file, part) in [("gone.pem", "cannot read gone.pem: "), ("no.pem", "no.pem contains no PEM certificate")] {
        let outcome = fixture.inspect(&["--ca-cert", file], &[]);
        assert!(outcome.stderr.contains(part) && !outcome.stderr.contains("no response"), "{outcome:?}");
    }
}

#[test]
fn a_ca_certificate_in_certs_d_is_trusted_only_for_its_host() {
    let fixture = TlsFixture::new();
    fixture.add_to_certs_d("ca.crt", "authority.crt");
    fixture.assert_reached(&[], &[]);
    let other = TlsFixture::new();
    let folder = fixture.workspace.path(".config");
    let outcome = other.inspect(&[], &[("XDG_CONFIG_HOME", folder.to_str().unwrap())]);
    assert!(outcome.stderr.contains(UNTRUSTED), "{outcome:?}");
}

#[test]
fn a_client_certificate_is_read_from_certs_d() {
    let fixture = TlsFixture::with_config(|folder, authority| {
        authority.issue(folder, "client");
        format!("    clientcas: [{}]\n", authority.certificate.display())
    });
    fixture.add_to_certs_d("ca.crt", "authority.crt");
    let without = fixture.inspect(&[], &[]).stderr;
    assert!(without.contains("requested a client certificate, but none is configured for it"), "{without}");
    assert!(
        without.ends_with(
            "hint: put the client's certificate and key into certs.d/HOST[:PORT] as client.cert and client.key\n"
        ),
        "{without}"
    );
    fixture.add_to_certs_d("client.cert", "client.cert");
    let without_key = fixture.inspect(&[], &[]).stderr;
    assert!(without_key.contains("client.key: No such file"), "{without_key}");
    fixture.add_to_certs_d("client.key", "client.key");
    fixture.assert_reached(&[], &[]);
    fixture.assert_reached(&["--insecure"], &[]);
}

#[test]
fn insecure_does_not_apply_to_a_token_service_on_another_host() {
    let elsewhere = TlsFixture::new();
    let service = TokenService::start(authenticated_only, 300, |_| None);
    let fixture = TlsFixture::with_config(|folder, _| {
        let realm = format!("https://{}/token", elsewhere.registry.host);
        service.registry_config(folder).replace(&format!("http://{}/token", service.server.host), &realm)
    });
    let outcome = fixture.inspect(&[&["--insecure"][..], &LOGIN].concat(), &[]);
    let part = format!("sign-in failed: token service https://{}/token", elsewhere.registry.host);
    assert!(outcome.stderr.contains(&part) && outcome.stderr.contains(UNTRUSTED), "{outcome:?}");
    let log = || std::fs::read_to_string(elsewhere.registry.folder.path().join("registry.log")).unwrap();
    assert!(!log().contains("/token"), "{}", log());
    // With a trusted certificate the request arrives, so the assertion above can fail.
    let trusted = ["--insecure", "--ca-cert", elsewhere.certificate()];
    fixture.inspect(&[&trusted[..], &LOGIN].concat(), &[]);
    assert!(log().contains("GET /token?account=user"), "{}", log());
}

#[test]
fn insecure_does_not_apply_to_the_host_a_registry_redirects_to() {
    let elsewhere = TlsFixture::new();
    let location = format!("https://{}/v2/app/manifests/x", elsewhere.registry.host);
    let server = ScriptedServer::start(move |_, _| (307, vec![("Location", location.clone())], vec![]));
    let inspect = |more: &[&str]| {
        let reference = format!("{}/app:x", server.host);
        elsewhere.workspace.run(&[&["--plain-http", "--insecure", "inspect", &reference], more].concat()).stderr
    };
    let untrusted = inspect(&[]);
    let error = format!("at {}, to which the registry redirects: ", elsewhere.registry.host);
    assert!(untrusted.contains(&error) && untrusted.contains(UNTRUSTED), "{untrusted}");
    assert!(
        untrusted.ends_with(
            "hint: --ca-cert FILE trusts the CA certificate, or the self-signed certificate, in a PEM file\n"
        ),
        "{untrusted}"
    );
    let trusted = inspect(&["--ca-cert", elsewhere.certificate()]);
    assert!(trusted.contains("MANIFEST_UNKNOWN"), "{trusted}");
}
