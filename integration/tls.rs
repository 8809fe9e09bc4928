//! A registry behind TLS, certified by an authority that this machine does not know.

use crate::support::certificates::Authority;
use crate::support::token_service::closed;
use crate::support::{Outcome, Registry, Scripted, TokenService, command, run};

const UNTRUSTED: &str = "no trusted CA certificate issued it";

struct Scene {
    folder: tempfile::TempDir,
    authority: Authority,
    registry: Registry,
}

impl Scene {
    fn new(more: impl FnOnce(&tempfile::TempDir, &Authority) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new(folder.path());
        let more = more(&folder, &authority);
        let registry = Registry::start_with(&(authority.registry_config(folder.path()) + &more), None);
        Self { folder, authority, registry }
    }

    /// Asks for a tag that is not there: the answer shows that the registry was reached.
    fn inspect(&self, args: &[&str], environment: &[(&str, &str)]) -> Outcome {
        let reference = format!("{}/app:gone", self.registry.host);
        let mut command = command(self.folder.path(), &[&["--debug", "inspect", &reference], args].concat());
        command.envs(environment.iter().copied());
        let outcome = run(command, "");
        assert_eq!(outcome.exit, 1, "{outcome:?}");
        outcome
    }

    #[track_caller]
    fn reached(&self, args: &[&str], environment: &[(&str, &str)]) {
        let outcome = self.inspect(args, environment);
        let both = outcome.stderr.contains("-> 404 HTTP/2.0") && outcome.stderr.contains("MANIFEST_UNKNOWN");
        assert!(both, "{args:?} {environment:?}: {outcome:?}");
    }

    fn certificate(&self) -> &str {
        self.authority.certificate.to_str().unwrap()
    }

    /// A file in the user's own folder of certificates for the registry.
    fn put(&self, name: &str, from: &str) {
        let folder = self.folder.path().join(".config/docker/certs.d").join(&self.registry.host);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::copy(self.folder.path().join(from), folder.join(name)).unwrap();
    }
}

#[test]
fn the_certificate_is_checked_and_http_2_spoken() {
    let scene = Scene::new(|_, _| String::new());
    let unknown = scene.inspect(&[], &[]).stderr;
    assert!(unknown.contains(UNTRUSTED) && unknown.contains("hint: --ca-cert FILE"), "{unknown}");
    assert!(!unknown.contains("http://"), "no fall-back to plain HTTP: {unknown}");
    scene.reached(&["--insecure"], &[]);
    let (host, port) = (scene.registry.host.as_str(), scene.registry.host.rsplit(':').next().unwrap());
    scene.reached(&[&format!("--insecure={host}")], &[]);
    scene.reached(&[&format!("--insecure=other.test,{host}")], &[]);
    for other in ["other.test", "127.0.0.1", &format!("localhost:{port}"), "false"] {
        let refused = scene.inspect(&[&format!("--insecure={other}")], &[]).stderr;
        assert!(refused.contains(UNTRUSTED), "{other}: {refused}");
    }
    scene.reached(&["--ca-cert", scene.certificate()], &[]);
    scene.reached(&["--ca-cert", "server.cert", "--ca-cert", scene.certificate()], &[]);
    scene.reached(&[], &[("SSL_CERT_FILE", scene.certificate())]);
    // A system without any authority.
    scene.reached(&["--ca-cert", scene.certificate()], &[("SSL_CERT_FILE", "/dev/null")]);
    let none = scene.inspect(&[], &[("SSL_CERT_FILE", "/dev/null")]).stderr;
    assert!(none.contains("this machine has no CA certificates") && none.contains("hint: --ca-cert FILE"), "{none}");
    let plain = scene.inspect(&["--plain-http"], &[]).stderr;
    assert!(plain.contains("HTTP 400") && !plain.contains("https://"), "{plain}");
    assert!(plain.ends_with("hint: the port speaks TLS: leave --plain-http out\n"), "{plain}");
}

#[test]
fn a_file_of_certificates_that_cannot_be_used_is_named() {
    let scene = Scene::new(|_, _| String::new());
    std::fs::write(scene.folder.path().join("no.pem"), "hello").unwrap();
    for (file, part) in [("gone.pem", "cannot read gone.pem: "), ("no.pem", "no.pem holds no PEM certificate")] {
        let outcome = scene.inspect(&["--ca-cert", file], &[]);
        assert!(outcome.stderr.contains(part) && !outcome.stderr.contains("no answer"), "{outcome:?}");
    }
}

#[test]
fn the_folder_of_a_host_in_dockers_form() {
    let scene = Scene::new(|_, _| String::new());
    scene.put("ca.crt", "authority.crt");
    scene.reached(&[], &[]);
    let other = Scene::new(|_, _| String::new());
    let folder = scene.folder.path().join(".config");
    let outcome = other.inspect(&[], &[("XDG_CONFIG_HOME", folder.to_str().unwrap())]);
    assert!(outcome.stderr.contains(UNTRUSTED), "for its host alone: {outcome:?}");
}

#[test]
fn a_client_certificate_from_the_same_folder() {
    let scene = Scene::new(|folder, authority| {
        authority.certify(folder.path(), "client");
        format!("    clientcas: [{}]\n", authority.certificate.display())
    });
    scene.put("ca.crt", "authority.crt");
    let without = scene.inspect(&[], &[]).stderr;
    assert!(without.contains("asked for a client certificate, and none is configured for it"), "{without}");
    assert!(
        without.ends_with(
            "hint: put the client's certificate and key into certs.d/HOST[:PORT] as client.cert and client.key\n"
        ),
        "{without}"
    );
    scene.put("client.cert", "client.cert");
    let half = scene.inspect(&[], &[]).stderr;
    assert!(half.contains("client.key: No such file"), "{half}");
    scene.put("client.key", "client.key");
    scene.reached(&[], &[]);
    scene.reached(&["--insecure"], &[]);
}

/// `--insecure` is for the registry that was named, and not for who it names as its token service.
#[test]
fn insecure_is_not_for_a_token_service_elsewhere() {
    let elsewhere = Scene::new(|_, _| String::new());
    let service = TokenService::start(closed, 300, |_| None);
    let scene = Scene::new(|folder, _| {
        let there = format!("https://{}/token", elsewhere.registry.host);
        service.registry_config(folder.path()).replace(&format!("http://{}/token", service.server.host), &there)
    });
    let login = ["--username", "user", "--password", "secret-word"];
    let outcome = scene.inspect(&[&["--insecure"][..], &login].concat(), &[]);
    let part = format!("sign-in failed: token service https://{}/token", elsewhere.registry.host);
    assert!(outcome.stderr.contains(&part) && outcome.stderr.contains(UNTRUSTED), "{outcome:?}");
    let log = || std::fs::read_to_string(elsewhere.registry.folder.path().join("registry.log")).unwrap();
    assert!(!log().contains("/token"), "{}", log());
    // Believed, it is asked: the test can fail.
    let believed = ["--insecure", "--ca-cert", elsewhere.certificate()];
    scene.inspect(&[&believed[..], &login].concat(), &[]);
    assert!(log().contains("GET /token?account=user"), "{}", log());
}

/// Nor is it for where a registry redirects.
#[test]
fn insecure_is_not_for_where_a_registry_redirects() {
    let elsewhere = Scene::new(|_, _| String::new());
    let there = format!("https://{}/v2/app/manifests/x", elsewhere.registry.host);
    let server = Scripted::start(move |_, _| (307, vec![("Location", there.clone())], vec![]));
    let inspect = |more: &[&str]| {
        let reference = format!("{}/app:x", server.host);
        let args = [&["--plain-http", "--insecure", "inspect", &reference], more].concat();
        run(command(elsewhere.folder.path(), &args), "").stderr
    };
    let said = inspect(&[]);
    let named = format!("at {}, to which the registry redirects: ", elsewhere.registry.host);
    assert!(said.contains(&named) && said.contains(UNTRUSTED), "{said}");
    assert!(
        said.ends_with(
            "hint: --ca-cert FILE trusts the CA certificate, or the self-signed certificate, in a PEM file\n"
        ),
        "{said}"
    );
    let believed = inspect(&["--ca-cert", elsewhere.certificate()]);
    assert!(believed.contains("MANIFEST_UNKNOWN"), "{believed}");
}
