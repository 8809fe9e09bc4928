//! A registry behind TLS, with a certificate that this machine does not know.

use crate::support::{Registry, command, run};

#[test]
fn the_certificate_is_checked_and_http_2_spoken() {
    let folder = tempfile::tempdir().unwrap();
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, certified.cert.pem()).unwrap();
    std::fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
    let tls = format!("  tls: {{certificate: {}, key: {}}}\n", certificate.display(), key.display());
    let registry = Registry::start_with(&tls, None);
    let reference = format!("{}/app:gone", registry.host);
    let inspect = |args: &[&str], trusted: bool| {
        let args: Vec<&str> = ["--debug", "inspect", &reference].iter().chain(args).copied().collect();
        let mut command = command(folder.path(), &args);
        command.env_remove("SSL_CERT_DIR").env_remove("SSL_CERT_FILE");
        if trusted {
            command.env("SSL_CERT_FILE", &certificate);
        }
        let outcome = run(command, "");
        assert_eq!(outcome.exit, 1, "{outcome:?}");
        outcome.stderr
    };
    let unknown = inspect(&[], false);
    assert!(unknown.contains("certificate") && unknown.contains("hint: --insecure"), "{unknown}");
    assert!(!unknown.contains("http://"), "no fall-back to plain HTTP: {unknown}");
    for stderr in [inspect(&["--insecure"], false), inspect(&[], true)] {
        assert!(stderr.contains("-> 404 HTTP/2.0") && stderr.contains("MANIFEST_UNKNOWN"), "{stderr}");
    }
    let plain = inspect(&["--plain-http"], false);
    assert!(plain.contains("HTTP 400") && !plain.contains("https://"), "{plain}");
}
