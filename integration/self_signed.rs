//! Registries with self-signed certificates, and servers without the key of the certificate they present.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd};

use crate::support::certificates::CertificateAuthority;
use crate::support::tls_servers::{OpensslServer, TlsServer, self_signed};
use crate::support::{Outcome, Registry, command, run};

const RSA: &[&str] = &["rsa:4096"];
const P256: &[&str] = &["ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
const P521: &[&str] = &["ec", "-pkeyopt", "ec_paramgen_curve:P-521"];
const LOCAL: &[&str] = &["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];

/// Inspects a tag that does not exist, without retries.
fn inspect(folder: &Path, host: &str, args: &[&str], environment: &[(&str, &str)]) -> Outcome {
    let reference = format!("{host}/app:gone");
    let mut command = command(folder, &[&["--retries", "0", "inspect", &reference], args].concat());
    command.envs(environment.iter().copied());
    let outcome = run(command, "");
    assert!(outcome.exit == 1 && !outcome.stderr.contains("Error("), "{outcome:?}");
    outcome
}

#[track_caller]
fn assert_reached(folder: &Path, host: &str, args: &[&str], environment: &[(&str, &str)]) {
    let outcome = inspect(folder, host, args, environment);
    assert!(outcome.stderr.contains("app:gone not found"), "{args:?} {environment:?}: {outcome:?}");
}

/// Asserts that the certificate is refused with this reason and hint.
#[track_caller]
fn assert_refused(folder: &Path, host: &str, args: &[&str], reason: &str, hint: &str) {
    let stderr = inspect(folder, host, args, &[]).stderr;
    assert!(stderr.contains(&format!("cannot verify the certificate of {host}: {reason}\n")), "{stderr}");
    assert!(stderr.contains(&format!("hint: {hint}")), "{stderr}");
}

fn registry_with(certificate: &Path, key: &Path) -> Registry {
    let tls = format!("  tls:\n    certificate: {}\n    key: {}\n", certificate.display(), key.display());
    Registry::start_with(&tls, None)
}

/// Creates a self-signed CA certificate for this machine.
fn create_certificate(folder: &Path, name: &str, change: impl FnOnce(&mut CertificateParams)) -> (PathBuf, PathBuf) {
    let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let (certificate_file, key_file) = (folder.join(format!("{name}.crt")), folder.join(format!("{name}.key")));
    std::fs::write(&certificate_file, certificate.pem()).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    (certificate_file, key_file)
}

#[test]
fn a_self_signed_certificate_is_accepted_only_if_trusted() {
    for (key, more) in [(RSA, &[][..]), (P256, &[]), (P256, &["-addext", "basicConstraints=critical,CA:FALSE"])] {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = self_signed(folder.path(), "server", key, &[LOCAL, more].concat());
        let registry = registry_with(&certificate, &key);
        let (folder, host, file) = (folder.path(), registry.host.as_str(), certificate.to_str().unwrap());
        assert_refused(folder, host, &[], "it is self-signed and not trusted", "--ca-cert FILE trusts");
        assert_reached(folder, host, &["--ca-cert", file], &[]);
        assert_reached(folder, &host.replace("127.0.0.1", "localhost"), &["--ca-cert", file], &[]);
        assert_reached(folder, host, &[], &[("SSL_CERT_FILE", file)]);
        assert_reached(folder, host, &["--insecure"], &[]);
        let certs_d = folder.join(".config/docker/certs.d").join(host);
        std::fs::create_dir_all(&certs_d).unwrap();
        std::fs::copy(&certificate, certs_d.join("ca.crt")).unwrap();
        assert_reached(folder, host, &[], &[]);
    }
}

/// The system's CA certificates are used, so the error is "not trusted" and not "no CA certificates".
#[test]
fn an_empty_ssl_cert_file_counts_as_unset() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = create_certificate(folder.path(), "server", |_| {});
    let server = registry_with(&certificate, &key);
    for environment in [&[("SSL_CERT_FILE", "")][..], &[("SSL_CERT_FILE", ""), ("SSL_CERT_DIR", "")], &[]] {
        let outcome = inspect(folder.path(), &server.host, &[], environment);
        assert!(outcome.exit == 1 && outcome.stderr.contains("not trusted"), "{environment:?}: {outcome:?}");
    }
}

#[test]
fn another_certificate_of_the_same_name_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = self_signed(folder.path(), "server", P256, LOCAL);
    let (other, _) = self_signed(folder.path(), "other", P256, LOCAL);
    let registry = registry_with(&certificate, &key);
    let args = ["--ca-cert", other.to_str().unwrap()];
    assert_refused(folder.path(), &registry.host, &args, "it is self-signed and not trusted", "--ca-cert FILE");
}

#[test]
fn a_trusted_certificate_is_refused_for_its_dates_names_and_purpose() {
    let folder = tempfile::tempdir().unwrap();
    for (name, change, reason, hint) in [
        (
            "expired",
            (|params| params.not_after = date_time_ymd(2024, 2, 29)) as fn(&mut CertificateParams),
            "it expired on Thu, 29 Feb 2024 00:00:00 GMT",
            "renew the certificate",
        ),
        (
            "early",
            |params| params.not_before = date_time_ymd(2100, 1, 1),
            "it is not valid before Fri, 01 Jan 2100 00:00:00 GMT",
            "renew the certificate, unless this machine's clock is wrong; --insecure skips the check",
        ),
        (
            "names",
            |params| params.subject_alt_names = params_for(&["r.test", "192.0.2.1"]).subject_alt_names,
            "it is for other hosts: r.test, 192.0.2.1",
            "use a name that the certificate has",
        ),
        (
            "nameless",
            |params| params.subject_alt_names.clear(),
            "it has no host in its subjectAltName, and a common name (CN) does not count",
            "use a name that the certificate has, or issue one for this host: openssl req -x509",
        ),
        (
            "purpose",
            |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth],
            "it is not a server certificate: its extendedKeyUsage lacks serverAuth",
            "the certificate needs extendedKeyUsage=serverAuth",
        ),
    ] {
        for is_ca in [true, false] {
            let (certificate, key) = create_certificate(folder.path(), name, |params| {
                change(params);
                if !is_ca {
                    params.is_ca = IsCa::ExplicitNoCa;
                }
            });
            let registry = registry_with(&certificate, &key);
            assert_refused(folder.path(), &registry.host, &["--ca-cert", certificate.to_str().unwrap()], reason, hint);
            assert_reached(folder.path(), &registry.host, &["--insecure"], &[]);
        }
    }
}

fn params_for(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap()
}

#[test]
fn a_ca_certificate_that_another_ca_issued_is_refused_as_a_server_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let authority = CertificateAuthority::new(folder.path());
    let (certificate, key) = authority.issue_ca(folder.path(), "subordinate");
    let registry = registry_with(&certificate, &key);
    let (root, subordinate) = (authority.certificate.to_str().unwrap(), certificate.to_str().unwrap());
    let reason = "it is a CA certificate used as a server certificate";
    assert_refused(
        folder.path(),
        &registry.host,
        &["--ca-cert", root],
        reason,
        "give the server a certificate with CA:FALSE",
    );
    // The certificate is accepted if it is trusted directly.
    assert_reached(folder.path(), &registry.host, &["--ca-cert", subordinate], &[]);
}

#[test]
fn a_server_without_the_key_of_its_certificate_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (trusted, key) = self_signed(folder.path(), "trusted", P256, LOCAL);
    let (_, other_key) = self_signed(folder.path(), "other", P256, LOCAL);
    let authority = CertificateAuthority::new(folder.path());
    let (issued, issued_key) = authority.issue(folder.path(), "issued");
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for (certificate, matching_key, file) in
            [(&trusted, &key, &trusted), (&issued, &issued_key, &authority.certificate)]
        {
            for args in [&["--ca-cert", file.to_str().unwrap()][..], &["--insecure"]] {
                let matching = TlsServer::start(certificate, matching_key, version);
                assert_reached(folder.path(), &matching.host, args, &[]);
                let impostor = TlsServer::start(certificate, &other_key, version);
                let stderr = inspect(folder.path(), &impostor.host, args, &[]).stderr;
                let error = format!("TLS with {} failed: the server did not prove that it has", impostor.host);
                assert!(stderr.contains(&error), "{version:?} {args:?}: {stderr}");
                assert!(stderr.contains("hint: check that the server's certificate and key"), "{stderr}");
                assert_eq!(impostor.requests.load(Ordering::SeqCst), 0, "{version:?} {args:?}");
            }
        }
    }
}

#[test]
fn insecure_accepts_certificates_that_cannot_name_hosts() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let script = format!(
        "openssl req -new -nodes -newkey rsa:2048 -subj /CN=x -keyout {key} -out {request} && \
         openssl x509 -req -in {request} -signkey {key} -days 3 -out {certificate}",
        key = file("v1.key"),
        request = file("v1.csr"),
        certificate = file("v1.crt"),
    );
    let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let (certificate, key) = (file("v1.crt"), file("v1.key"));
    for version in ["-tls1_2", "-tls1_3"] {
        let server = OpensslServer::start(certificate.as_ref(), key.as_ref(), &[version]);
        let stderr = inspect(folder.path(), &server.host, &["--insecure"], &[]).stderr;
        assert!(!stderr.contains("no response"), "{version}: {stderr}");
        let reason = "it has X.509 version 1, which cannot name hosts";
        assert_refused(
            folder.path(),
            &server.host,
            &["--ca-cert", &certificate],
            reason,
            "use a name that the certificate has",
        );
    }
}

#[test]
fn old_ciphers_and_p_521_keys_are_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let (rsa, rsa_key) = self_signed(folder.path(), "rsa", &["rsa:2048"], LOCAL);
    let (p521, p521_key) = self_signed(folder.path(), "p521", P521, LOCAL);
    for (certificate, key, more) in [
        (&rsa, &rsa_key, &["-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA256:AES128-SHA"][..]),
        (&p521, &p521_key, &["-tls1_2"]),
        (&p521, &p521_key, &["-tls1_3"]),
    ] {
        let server = OpensslServer::start(certificate, key, more);
        for args in [&["--ca-cert", certificate.to_str().unwrap()][..], &["--insecure"]] {
            let stderr = inspect(folder.path(), &server.host, args, &[]).stderr;
            let error =
                format!("{} aborted the TLS connection: no shared cipher suite or signature algorithm", server.host);
            assert!(stderr.contains(&error), "{more:?}: {stderr}");
            assert!(stderr.contains("CBC cipher suites and P-521 keys are not supported"), "{stderr}");
        }
    }
}

#[test]
fn a_missing_client_certificate_is_not_reported_as_old_ciphers() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = self_signed(folder.path(), "server", P256, LOCAL);
    for version in ["-tls1_2", "-tls1_3"] {
        let server = OpensslServer::start(&certificate, &key, &[version, "-Verify", "1", "-verify_return_error"]);
        for args in [&["--ca-cert", certificate.to_str().unwrap()][..], &["--insecure"]] {
            let stderr = inspect(folder.path(), &server.host, args, &[]).stderr;
            let error = format!("{} requested a client certificate, but none is configured for it", server.host);
            assert!(stderr.contains(&error), "{version}: {stderr}");
            assert!(stderr.contains("hint: put the client's certificate and key into certs.d/HOST[:PORT]"), "{stderr}");
        }
        // A problem with the server's certificate is reported before the missing client certificate.
        assert_refused(folder.path(), &server.host, &[], "it is self-signed and not trusted", "--ca-cert FILE");
    }
}
