//! Which registries are spoken to without TLS, and the warning before credentials go to one that way.

use std::sync::{Arc, Mutex};

use crate::support::scripted::Answer;
use crate::support::tls_servers::{KeyServer, OpensslServer, self_signed};
use crate::support::{Outcome, Scripted, command, run};

const WARNING: &str = "warning: credentials go to registry.test over plain HTTP: others on the network can read them\n";

/// Runs with all requests going through a server that stands for every host.
fn through(proxy: &Scripted, args: &[&str]) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let mut command = command(folder.path(), &[&["--retries", "0"], args].concat());
    let url = format!("http://{}", proxy.host);
    command.env("HTTP_PROXY", &url).env("HTTPS_PROXY", &url);
    run(command, "")
}

/// A proxy that knows of no image.
fn empty() -> Scripted {
    Scripted::start(|_, _| (404, vec![], br#"{"errors":[{"code":"NAME_UNKNOWN"}]}"#.to_vec()))
}

#[test]
fn hosts_are_named_as_in_references() {
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
        let proxy = empty();
        // A single word is not a host.
        let is_bad = flags == ["--plain-http=test"];
        for args in [[flags, &["inspect", image]].concat(), [&["inspect", image], flags].concat()] {
            let outcome = through(&proxy, &args);
            assert_eq!(outcome.exit, if is_bad { 2 } else { 1 }, "{args:?}: {outcome:?}");
        }
        let asked: Vec<String> = proxy.asked().into_iter().map(|asked| asked.line).collect();
        let sign = if plain { "GET http://" } else { "CONNECT " };
        assert!(
            (is_bad || asked.len() == 2) && asked.iter().all(|line| line.starts_with(sign)),
            "{flags:?}: {asked:?}"
        );
    }
}

#[test]
fn a_flag_before_the_command_and_one_after_it_add_up() {
    let proxy = empty();
    let args = ["--plain-http=registry.test", "inspect", "registry.test/app:v1", "--plain-http=other.test"];
    through(&proxy, &args);
    assert!(proxy.asked()[0].line.starts_with("GET http://"), "{:?}", proxy.asked());
}

#[test]
fn what_is_no_host_is_bad_usage() {
    let proxy = empty();
    for flag in ["plain-http", "insecure"] {
        for value in ["", "no", "2", "r.io/app", "r.io:port", "r.io,", "true,r.io"] {
            let outcome = through(&proxy, &["inspect", "registry.test/app:v1", &format!("--{flag}={value}")]);
            assert!(outcome.exit == 2 && outcome.stderr.contains(&format!("--{flag}")), "{outcome:?}");
        }
        // The word after the flag is not its value.
        let outcome = through(&proxy, &[&format!("--{flag}"), "inspct", "registry.test/app:v1"]);
        assert!(outcome.exit == 2 && outcome.stderr.contains("inspct"), "{outcome:?}");
    }
    assert!(proxy.asked().is_empty());
}

fn challenge(scheme: &'static str) -> Answer {
    (401, vec![("WWW-Authenticate", scheme.to_owned())], vec![])
}

/// A proxy that wants to be signed in to, and the requests that carried credentials.
fn closed(scheme: &'static str) -> (Scripted, Arc<Mutex<Vec<String>>>) {
    let signed = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&signed);
    let proxy = Scripted::start(move |asked, _| {
        if asked.authorization.is_some() {
            kept.lock().unwrap().push(asked.line.clone());
        }
        match &asked.authorization {
            _ if asked.line.contains("/token") => (200, vec![], br#"{"token":"t"}"#.to_vec()),
            None => challenge(scheme),
            Some(_) => (404, vec![], br#"{"errors":[{"code":"NAME_UNKNOWN"}]}"#.to_vec()),
        }
    });
    (proxy, signed)
}

#[test]
fn credentials_in_clear_are_warned_of_once() {
    let login = ["--username", "user", "--password-stdin"];
    for (scheme, signed_requests) in [
        ("Basic realm=\"x\"", 2),
        // The token, and the user name and password for it.
        ("Bearer realm=\"http://registry.test/token\",service=\"x\"", 3),
    ] {
        let (proxy, signed) = closed(scheme);
        let folder = tempfile::tempdir().unwrap();
        let images = ["registry.test/app:v1", "registry.test/app:v2"];
        let args = [&["--plain-http", "--retries", "0", "query"][..], &images, &login].concat();
        let mut command = command(folder.path(), &args);
        command.env("HTTP_PROXY", format!("http://{}", proxy.host));
        let outcome = run(command, "secret-word");
        assert_eq!(outcome.stderr.matches(WARNING).count(), 1, "{scheme}: {outcome:?}");
        assert!(outcome.stderr.starts_with(WARNING), "{outcome:?}");
        assert_eq!(signed.lock().unwrap().len(), signed_requests, "{:?}", signed.lock().unwrap());
    }
}

#[test]
fn nothing_is_warned_of_without_credentials_or_on_this_machine() {
    let open = empty();
    let outcome = through(&open, &["--plain-http", "inspect", "registry.test/app:v1"]);
    assert!(outcome.exit == 1 && !outcome.stderr.contains("warning"), "{outcome:?}");
    let (local, signed) = closed("Basic realm=\"x\"");
    let folder = tempfile::tempdir().unwrap();
    let image = format!("{}/app:v1", local.host);
    let args = ["--plain-http", "inspect", &image, "--username", "user", "--password-stdin"];
    let outcome = run(command(folder.path(), &args), "secret-word");
    assert!(outcome.exit == 1 && !outcome.stderr.contains("warning"), "{outcome:?}");
    assert_eq!(signed.lock().unwrap().len(), 1);
}

#[test]
fn plain_http_to_a_port_with_tls_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = self_signed(folder.path(), "server", &["rsa:2048"], &[]);
    // One answers with an alert, the other hangs up.
    let alert = KeyServer::start(&certificate, &key, &rustls::version::TLS13);
    let closing = OpensslServer::start(&certificate, &key, &[]);
    for (host, why) in [
        (&alert.host, format!("{} did not answer with HTTP", alert.host)),
        (&closing.host, "connection closed before message completed".to_owned()),
    ] {
        let args = ["--plain-http", "--retries", "0", "inspect", &format!("{host}/app:v1")];
        let outcome = run(command(folder.path(), &args), "");
        let said = format!("{why}\nhint: if the port speaks TLS, leave --plain-http out\n");
        assert!(outcome.exit == 1 && outcome.stderr.ends_with(&said), "{outcome:?}");
    }
    // A server that resets the connection, with what it did not read.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let resetting = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = std::io::Read::read(&mut stream, &mut [0; 1]);
        }
    });
    let args = ["--plain-http", "--retries", "0", "inspect", &format!("{resetting}/app:v1")];
    let outcome = run(command(folder.path(), &args), "");
    let said = "Connection reset by peer\nhint: if the port speaks TLS, leave --plain-http out\n";
    assert!(outcome.exit == 1 && outcome.stderr.ends_with(said), "{outcome:?}");
    for words in [
        "Client sent an HTTP request to an HTTPS server.\n",
        "<html>\r\n<head><title>400 The plain HTTP request was sent to HTTPS port</title></head>\r\n</html>\r\n",
    ] {
        let server = Scripted::start(move |_, _| (400, vec![], words.as_bytes().to_vec()));
        let args = ["--plain-http", "inspect", &format!("{}/app:v1", server.host)];
        let outcome = run(command(folder.path(), &args), "");
        let hint = "\nhint: the port speaks TLS: leave --plain-http out\n";
        assert!(outcome.exit == 1 && outcome.stderr.ends_with(hint), "{words}: {outcome:?}");
    }
}
