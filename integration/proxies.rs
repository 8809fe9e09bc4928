//! Proxies from the environment.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use crate::support::tls_servers::{TlsServer, self_signed};
use crate::support::{Registry, ScriptedServer, command, run};

fn inspect(reference: &str, more: &[&str], environment: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut command = command(folder.path(), &[&["--debug", "--retries", "0", "inspect", reference], more].concat());
    command.envs(environment.iter().copied());
    run(command, "").stderr
}

#[test]
fn a_registry_is_reached_through_the_proxy_of_its_scheme() {
    let proxy = ScriptedServer::start(|_, _| (404, vec![], br#"{"errors":[{"code":"NAME_UNKNOWN"}]}"#.to_vec()));
    let url = format!("http://{}", proxy.host);
    for name in ["HTTP_PROXY", "http_proxy"] {
        let stderr = inspect("registry.test/app:v1", &["--plain-http"], &[(name, &url)]);
        assert!(stderr.contains("registry.test/app:v1 not found"), "{stderr}");
    }
    for name in ["HTTPS_PROXY", "https_proxy"] {
        inspect("registry.test/app:v1", &[], &[(name, &url)]);
    }
    let lines: Vec<String> = proxy.requests().into_iter().map(|request| request.line).collect();
    let (plain, tunnel) = ("GET http://registry.test/v2/app/manifests/v1", "CONNECT registry.test:443");
    // A refused tunnel is asked for again, for its status.
    assert_eq!(lines, [plain, plain, tunnel, tunnel, tunnel, tunnel]);
}

#[test]
fn no_proxy_hosts_and_loopback_bypass_the_proxy() {
    let proxy = ScriptedServer::start(|_, _| (404, vec![], vec![]));
    let registry = Registry::start();
    let url = format!("http://u:secret-word@{}", proxy.host);
    let all = [("HTTP_PROXY", url.as_str()), ("HTTPS_PROXY", &url)];
    let stderr = inspect("registry.test/app:v1", &[], &[&all[..], &[("NO_PROXY", ".test")]].concat());
    assert!(stderr.contains("no response") && !stderr.contains("secret-word"), "{stderr}");
    let stderr = inspect(&format!("{}/app:v1", registry.host), &[], &all);
    assert!(stderr.contains("MANIFEST_UNKNOWN"), "{stderr}");
    assert!(proxy.requests().is_empty());
}

#[test]
fn no_proxy_entries_match_hosts_ports_wildcards_and_networks() {
    let proxy = ScriptedServer::start(|_, _| (404, vec![], br#"{"errors":[{"code":"NAME_UNKNOWN"}]}"#.to_vec()));
    let url = format!("http://{}", proxy.host);
    for (no_proxy, host, goes_through) in [
        ("registry.test", "registry.test", false),
        ("registry.test:80", "registry.test", false),
        ("registry.test:5000", "registry.test", true),
        ("registry.test:5000", "registry.test:5000", false),
        ("other.test, *.test", "registry.test", false),
        ("*.registry.test", "registry.test", true),
        ("*", "registry.test", false),
        ("192.0.2.0/24", "192.0.3.1", true),
        ("127.0.0.0/8", "127.0.0.2:1", false),
    ] {
        for name in ["NO_PROXY", "no_proxy"] {
            let before = proxy.requests().len();
            let environment = [("HTTP_PROXY", url.as_str()), (name, no_proxy)];
            let stderr = inspect(&format!("{host}/app:v1"), &["--plain-http"], &environment);
            let received = proxy.requests().len() - before;
            assert_eq!(received, usize::from(goes_through), "{name}={no_proxy} {host}: {stderr}");
        }
    }
}

#[test]
fn all_proxy_applies_to_http_and_https() {
    let proxy = ScriptedServer::start(|_, _| (404, vec![], br#"{"errors":[{"code":"NAME_UNKNOWN"}]}"#.to_vec()));
    let url = format!("http://{}", proxy.host);
    for name in ["ALL_PROXY", "all_proxy"] {
        inspect("registry.test/app:v1", &["--plain-http"], &[(name, &url)]);
        inspect("registry.test/app:v1", &[], &[(name, &url)]);
    }
    let lines: Vec<String> = proxy.requests().into_iter().map(|request| request.line).collect();
    let (plain, tunnel) = ("GET http://registry.test/v2/app/manifests/v1", "CONNECT registry.test:443");
    assert_eq!(lines, [plain, tunnel, tunnel, plain, tunnel, tunnel]);
}

/// A SOCKS5 proxy (RFC 1928) that connects every client to the same server, and ignores the requested destination.
struct Socks {
    host: String,
    /// The requested destinations, with user name and password (RFC 1929).
    destinations: Arc<Mutex<Vec<String>>>,
}

impl Socks {
    fn start(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self { host: listener.local_addr().unwrap().to_string(), destinations: Arc::default() };
        let (server, destinations) = (server.to_owned(), Arc::clone(&proxy.destinations));
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let (server, destinations) = (server.clone(), Arc::clone(&destinations));
                std::thread::spawn(move || {
                    let destination = read_destination(&mut stream)?;
                    destinations.lock().unwrap().push(destination);
                    stream.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 0]).ok()?;
                    let mut upstream = TcpStream::connect(server).ok()?;
                    let (mut from, mut to) = (stream.try_clone().ok()?, upstream.try_clone().ok()?);
                    std::thread::spawn(move || std::io::copy(&mut from, &mut to));
                    std::io::copy(&mut upstream, &mut stream).ok()
                });
            }
        });
        proxy
    }
}

/// Reads the greeting and the connect request, and returns `[USER:PASSWORD@]HOST:PORT`.
fn read_destination(stream: &mut TcpStream) -> Option<String> {
    fn take(stream: &mut TcpStream, length: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; length];
        stream.read_exact(&mut bytes).ok()?;
        Some(bytes)
    }
    fn text(stream: &mut TcpStream) -> Option<String> {
        let length = take(stream, 1)?[0];
        String::from_utf8(take(stream, length.into())?).ok()
    }
    let methods = take(stream, 2)?[1];
    let mut user = String::new();
    if take(stream, methods.into())?.contains(&2) {
        stream.write_all(&[5, 2]).ok()?;
        take(stream, 1)?;
        user = format!("{}:{}@", text(stream)?, text(stream)?);
        stream.write_all(&[1, 0]).ok()?;
    } else {
        stream.write_all(&[5, 0]).ok()?;
    }
    // CONNECT with a domain name, which the proxy resolves.
    assert_eq!(take(stream, 4)?, [5, 1, 0, 3]);
    let host = text(stream)?;
    let port = take(stream, 2)?;
    Some(format!("{user}{host}:{}", u16::from_be_bytes([port[0], port[1]])))
}

/// `--insecure` and `--plain-http` apply to the registry only.
#[test]
fn the_certificate_of_a_proxy_is_always_verified() {
    let folder = tempfile::tempdir().unwrap();
    let subject = ["-addext", "subjectAltName=IP:127.0.0.1"];
    let (certificate, key) =
        self_signed(folder.path(), "proxy", &["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], &subject);
    let proxy = TlsServer::start(&certificate, &key, &rustls::version::TLS13);
    let url = format!("https://u:secret-word@{}", proxy.host);
    for (name, flag) in [("HTTPS_PROXY", "--insecure"), ("HTTPS_PROXY", "--quiet"), ("HTTP_PROXY", "--plain-http")] {
        let stderr = inspect("registry.test/app:v1", &[flag], &[(name, &url)]);
        assert!(stderr.contains(&format!("not trusted (through the proxy {})", proxy.host)), "{flag}: {stderr}");
    }
    assert_eq!(proxy.requests.load(Ordering::SeqCst), 0, "no password was sent");
    let trusted = ["--plain-http", "--ca-cert", certificate.to_str().unwrap()];
    let stderr = inspect("registry.test/app:v1", &trusted, &[("HTTP_PROXY", &url)]);
    assert!(stderr.contains("registry.test/app:v1 not found"), "{stderr}");
    inspect("registry.test/app:v1", &["--insecure", "--ca-cert", trusted[2]], &[("HTTPS_PROXY", &url)]);
    assert_eq!(proxy.requests.load(Ordering::SeqCst), 2, "one GET and one CONNECT");
}

#[test]
fn a_password_that_a_socks_proxy_refuses_is_sent_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("socks5h://user:wrong@{}", listener.local_addr().unwrap());
    let attempts = Arc::new(Mutex::new(0));
    let counter = Arc::clone(&attempts);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut bytes = [0; 64];
            // Responds to the greeting with "user name and password", then refuses them.
            let _ = stream.read(&mut bytes).and_then(|_| stream.write_all(&[5, 2]));
            let _ = stream.read(&mut bytes).and_then(|_| stream.write_all(&[1, 1]));
            *counter.lock().unwrap() += 1;
        }
    });
    let stderr = inspect("registry.test/app:v1", &["--plain-http", "--retries", "3"], &[("ALL_PROXY", &url)]);
    assert!(stderr.contains("the proxy refused the credentials") && !stderr.contains("wrong"), "{stderr}");
    assert_eq!(*attempts.lock().unwrap(), 1, "{stderr}");
}

#[test]
fn a_socks_proxy_resolves_host_names() {
    let registry = Registry::start();
    for (scheme, user) in [("socks5", ""), ("socks5h", ""), ("socks5h", "user:secret-word@")] {
        for name in ["ALL_PROXY", "HTTP_PROXY"] {
            let proxy = Socks::start(&registry.host);
            let url = format!("{scheme}://{user}{}", proxy.host);
            let stderr = inspect("registry.test/app:v1", &["--plain-http"], &[(name, &url)]);
            assert!(stderr.contains("MANIFEST_UNKNOWN") && !stderr.contains("secret-word"), "{stderr}");
            assert_eq!(*proxy.destinations.lock().unwrap(), [format!("{user}registry.test:80")], "{name} {scheme}");
        }
    }
}

#[test]
fn an_unusable_proxy_is_named_without_its_password() {
    for (value, shown) in [
        (
            "ftp://user:secret-word@proxy.test",
            "\"ftp://proxy.test\" has a scheme other than http, https, socks4, socks4a, socks5 and socks5h",
        ),
        ("http://user:secret-word@proxy.test:port", "\"http://proxy.test:port\" is not a URL"),
    ] {
        let stderr = inspect("registry.test/app:v1", &[], &[("HTTPS_PROXY", value)]);
        let error = format!("error: registry.test/app:v1: HTTPS_PROXY does not name a proxy: {shown}\n");
        assert!(stderr.contains(&error) && !stderr.contains("secret-word"), "{stderr}");
        let stderr = inspect("127.0.0.1:1/app:v1", &[], &[("HTTPS_PROXY", value)]);
        assert!(stderr.contains("Connection refused"), "loopback needs no proxy: {stderr}");
    }
}

#[test]
fn a_proxy_that_refuses_to_connect_is_named() {
    let unused = "127.0.0.1:1";
    for (status, reason) in
        [(407, "the proxy requires credentials (HTTP 407)"), (403, "the proxy refused to connect: HTTP 403")]
    {
        let proxy = ScriptedServer::start(move |_, _| (status, vec![], vec![]));
        let url = format!("http://{}", proxy.host);
        let stderr = inspect("registry.test/app:v1", &[], &[("HTTPS_PROXY", &url)]);
        let error = format!("{reason} (through the proxy {})\nhint: HTTPS_PROXY, HTTP_PROXY", proxy.host);
        assert!(stderr.contains(&error), "{stderr}");
    }
    for scheme in ["http", "socks5"] {
        let stderr = inspect("registry.test/app:v1", &[], &[("HTTPS_PROXY", &format!("{scheme}://{unused}"))]);
        let error = format!("(through the proxy {unused})\nhint: HTTPS_PROXY, HTTP_PROXY");
        assert!(stderr.contains(&error) && !stderr.contains("Os {"), "{stderr}");
    }
    let proxy = ScriptedServer::start(|_, _| (407, vec![], vec![]));
    let url = format!("http://{}", proxy.host);
    let stderr = inspect("registry.test/app:v1", &["--plain-http"], &[("HTTP_PROXY", &url)]);
    assert!(stderr.contains("HTTP 407") && stderr.contains("hint: the proxy requires credentials"), "{stderr}");
}
