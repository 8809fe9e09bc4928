//! Which registries are contacted without TLS, and the warning before credentials are sent to one.

use std::sync::{Arc, Mutex};

use crate::support::scripted_server::Response;
use crate::support::tls_servers::{OpensslServer, TlsServer, self_signed};
use crate::support::{ScriptedServer, Workspace};

const WARNING: &str =
    "warning: sending credentials to registry.test over plain HTTP: others on the network can read them\n";

/// Returns a workspace whose requests go through a proxy, which acts as every host.
fn workspace_with_proxy(proxy: &ScriptedServer) -> Workspace {
    let url = format!("http://{}", proxy.host);
    Workspace::new().flags(&["--retries", "0"]).env("HTTP_PROXY", &url).env("HTTPS_PROXY", &url)
}

/// Starts a proxy that responds to every request with 404.
fn proxy_without_images() -> ScriptedServer {
    ScriptedServer::start(|_, _| (404, vec![], br#"{"errors":[{"code":"NAME_UNKNOWN"}]}"#.to_vec()))
}

#[test]
fn plain_http_applies_to_all_hosts_or_the_named_ones() {
    for (flags, image, plain) in [
        (&["--plain-http"][..], "registry.test/app:v1", true),
        (&["--plain-http=true"], "registry.test/app:v1", true),
        (&["-plain-http=true"], "registry.test/app:v1", true),
        (&["--plain-http=false"], "registry.test/app:v1", false),
        (&["--plain-http", "--plain-http=false"], "registry.test/app:v1", false),
        (&["--plain-http=registry.test"], "registry.test/app:v1", true),
        (&["-plain-http=registry.test"], "registry.test/app:v1", true),
        (&["--plain-http=Registry.Test"], "registry.test/app:v1", true),
        (&["--plain-http=other.test,registry.test"], "registry.test/app:v1", true),
        (&["--plain-http=registry.test", "--plain-http=other.test"], "registry.test/app:v1", true),
        (&["--plain-http=registry.test:5000"], "registry.test:5000/app:v1", true),
        (&["--plain-http=registry.test:5000"], "registry.test/app:v1", false),
        (&["--plain-http=registry.test"], "registry.test:5000/app:v1", false),
        (&["--plain-http=test"], "registry.test/app:v1", false),
        (&["--plain-http=other.test"], "registry.test/app:v1", false),
        (&["--plain-http=index.docker.io"], "app:v1", true),
        (&["--plain-http=other.test"], "app:v1", false),
    ] {
        let proxy = proxy_without_images();
        // A single word is not a host.
        let is_usage_error = flags == ["--plain-http=test"];
        for args in [[flags, &["inspect", image]].concat(), [&["inspect", image], flags].concat()] {
            let outcome = workspace_with_proxy(&proxy).run(&args);
            assert_eq!(outcome.exit, if is_usage_error { 2 } else { 1 }, "{args:?}: {outcome:?}");
        }
        let lines: Vec<String> = proxy.requests().into_iter().map(|request| request.line).collect();
        // A refused tunnel is asked for again, for its status.
        let (prefix, count) = if plain { ("GET http://", 2) } else { ("CONNECT ", 4) };
        assert!(
            (is_usage_error || lines.len() == count) && lines.iter().all(|line| line.starts_with(prefix)),
            "{flags:?}: {lines:?}"
        );
    }
}

#[test]
fn hosts_from_flags_before_and_after_the_command_are_combined() {
    let proxy = proxy_without_images();
    let args = ["--plain-http=registry.test", "inspect", "registry.test/app:v1", "--plain-http=other.test"];
    workspace_with_proxy(&proxy).run(&args);
    assert!(proxy.requests()[0].line.starts_with("GET http://"), "{:?}", proxy.requests());
}

#[test]
fn an_invalid_host_is_a_usage_error() {
    let proxy = proxy_without_images();
    for flag in ["plain-http", "insecure"] {
        for value in ["", "no", "2", "r.io/app", "r.io:port", "r.io,", "true,r.io"] {
            let outcome =
                workspace_with_proxy(&proxy).run(&["inspect", "registry.test/app:v1", &format!("--{flag}={value}")]);
            assert!(outcome.exit == 2 && outcome.stderr.contains(&format!("--{flag}")), "{outcome:?}");
        }
        // The word after the flag is not its value.
        let outcome = workspace_with_proxy(&proxy).run(&[&format!("--{flag}"), "inspct", "registry.test/app:v1"]);
        assert!(outcome.exit == 2 && outcome.stderr.contains("inspct"), "{outcome:?}");
    }
    assert!(proxy.requests().is_empty());
}

fn challenge(scheme: &'static str) -> Response {
    (401, vec![("WWW-Authenticate", scheme.to_owned())], vec![])
}

/// Starts a proxy that requires credentials. Returns it and the requests that carried credentials.
fn proxy_with_authentication(scheme: &'static str) -> (ScriptedServer, Arc<Mutex<Vec<String>>>) {
    let authorized = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&authorized);
    let proxy = ScriptedServer::start(move |request, _| {
        if request.authorization.is_some() {
            log.lock().unwrap().push(request.line.clone());
        }
        match &request.authorization {
            _ if request.line.contains("/token") => (200, vec![], br#"{"token":"t"}"#.to_vec()),
            None => challenge(scheme),
            Some(_) => (404, vec![], br#"{"errors":[{"code":"NAME_UNKNOWN"}]}"#.to_vec()),
        }
    });
    (proxy, authorized)
}

#[test]
fn credentials_over_plain_http_cause_one_warning() {
    let login = ["--username", "user", "--password-stdin"];
    for (scheme, expected) in [
        ("Basic realm=\"x\"", 2),
        // Two requests carry the token, and one carries the user name and password.
        ("Bearer realm=\"http://registry.test/token\",service=\"x\"", 3),
    ] {
        let (proxy, authorized) = proxy_with_authentication(scheme);
        let images = ["registry.test/app:v1", "registry.test/app:v2"];
        let args = [&["--plain-http", "query"][..], &images, &login].concat();
        let outcome = workspace_with_proxy(&proxy).run_with_stdin(&args, "secret-word");
        assert_eq!(outcome.stderr.matches(WARNING).count(), 1, "{scheme}: {outcome:?}");
        assert!(outcome.stderr.starts_with(WARNING), "{outcome:?}");
        assert_eq!(authorized.lock().unwrap().len(), expected, "{:?}", authorized.lock().unwrap());
    }
}

#[test]
fn plain_http_without_credentials_or_on_loopback_causes_no_warning() {
    let open = proxy_without_images();
    let outcome = workspace_with_proxy(&open).run(&["--plain-http", "inspect", "registry.test/app:v1"]);
    assert!(outcome.exit == 1 && !outcome.stderr.contains("warning"), "{outcome:?}");
    let (loopback, authorized) = proxy_with_authentication("Basic realm=\"x\"");
    let image = format!("{}/app:v1", loopback.host);
    let args = ["--plain-http", "inspect", &image, "--username", "user", "--password-stdin"];
    let outcome = Workspace::new().run_with_stdin(&args, "secret-word");
    assert!(outcome.exit == 1 && !outcome.stderr.contains("warning"), "{outcome:?}");
    assert_eq!(authorized.lock().unwrap().len(), 1);
}

#[test]
fn plain_http_to_a_tls_port_fails_with_a_hint() {
    let workspace = Workspace::new().flags(&["--plain-http", "--retries", "0"]);
    let inspect = |host: &str| workspace.run(&["inspect", &format!("{host}/app:v1")]);
    let (certificate, key) = self_signed(workspace.folder(), "server", &["rsa:2048"], &[]);
    // One server sends a TLS alert, the other closes the connection.
    let alert = TlsServer::start(&certificate, &key, &rustls::version::TLS13);
    let closing = OpensslServer::start(&certificate, &key, &[]);
    for host in [&alert.host, &closing.host] {
        let outcome = inspect(host);
        let error = format!("{host} speaks TLS, not plain HTTP\nhint: the port speaks TLS: remove --plain-http\n");
        assert!(outcome.exit == 1 && outcome.stderr.ends_with(&error), "{outcome:?}");
    }
    // A server that closes a connection with unread data resets it.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let resetting = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = std::io::Read::read(&mut stream, &mut [0; 1]);
        }
    });
    let outcome = inspect(&resetting.to_string());
    let error = "Connection reset by peer\nhint: if the port speaks TLS, remove --plain-http\n";
    assert!(outcome.exit == 1 && outcome.stderr.ends_with(error), "{outcome:?}");
    for body in [
        "Client sent an HTTP request to an HTTPS server.\n",
        "<html>\r\n<head><title>400 The plain HTTP request was sent to HTTPS port</title></head>\r\n</html>\r\n",
    ] {
        let server = ScriptedServer::start(move |_, _| (400, vec![], body.as_bytes().to_vec()));
        let outcome = inspect(&server.host);
        let hint = "\nhint: the port speaks TLS: remove --plain-http\n";
        assert!(outcome.exit == 1 && outcome.stderr.ends_with(hint), "{body}: {outcome:?}");
    }
}
