//! User and password given outright, for registries that take them with each request.

use super::{LOGIN, registry_with_htpasswd, tool};
use crate::support::images::push_image;
use crate::support::{Registry, Scripted, push_from_args};

const WARNING: &str = "warning: --password shows the password";

#[test]
fn from_flags_standard_input_and_environment() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry_with_htpasswd(&folder);
    push_image(&registry, "app", "v1", "amd64");
    let reference = format!("{}/app:v1", registry.host);
    let user = [("MANIFEST_TOOL_USERNAME", "user")];
    let password = [("MANIFEST_TOOL_PASSWORD", "secret-word")];
    let named = [("MANIFEST_TOOL_REGISTRY", registry.host.as_str())];
    for (args, environment, stdin, source, warned) in [
        (&LOGIN[..], vec![], "", "--username", true),
        (&["--username", "user", "--password-stdin"], vec![], "secret-word\n", "--username", false),
        (&["--username", "user", "--password-stdin"], vec![], "secret-word\r\n", "--username", false),
        (&["--username", "user", "--password-stdin"], vec![], "secret-word", "--username", false),
        (&[], [user, password, named].concat(), "", "MANIFEST_TOOL_USERNAME", false),
        (&["--username", "user"], password.to_vec(), "", "--username", false),
    ] {
        let outcome = tool(&folder, &[&["inspect", &reference], args].concat(), &environment, stdin);
        assert_eq!(outcome.exit, 0, "{args:?} {outcome:?}");
        assert_eq!(outcome.stderr.contains(WARNING), warned, "{outcome:?}");
        let line = format!("debug: credentials for {}: from {source}\n", registry.host);
        assert!(outcome.stderr.contains(&line), "{outcome:?}");
    }
}

#[test]
fn half_of_user_and_password_is_bad_usage() {
    let folder = tempfile::tempdir().unwrap();
    for (args, environment, part) in [
        (&["--username", "user"][..], vec![], "--username gives a user name, and no password"),
        (&["-u", "user"], vec![], "--username gives a user name, and no password"),
        (&["--password", "secret-word"], vec![], "--password gives a password, and no user name"),
        (&["--username", "user", "--password-stdin"], vec![], "standard input holds no password"),
        (&["--username", "user", "--password", "p", "--password-stdin"], vec![], "cannot be used with"),
    ] {
        let outcome = tool(&folder, &[&["inspect", "r.invalid/app:v1"], args].concat(), &environment, "");
        assert!(outcome.exit == 2 && outcome.stderr.contains(part), "{args:?} {outcome:?}");
    }
    let both = tool(&folder, &["push", "--username", "u", "--password-stdin", "from-spec", "-"], &[], "image: x");
    assert!(both.exit == 2 && both.stderr.contains("both the spec and the password"), "{both:?}");
}

#[test]
fn no_and_wrong_credentials_say_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry_with_htpasswd(&folder);
    let host = registry.host.as_str();
    for architecture in ["amd64", "arm64"] {
        push_image(&registry, "app", architecture, architecture);
    }
    let (template, target) = (format!("{host}/app:ARCH"), format!("{host}/app:v1"));
    let push =
        ["push", "from-args", "--platforms", "linux/amd64,linux/arm64", "--template", &template, "--target", &target];
    let none = tool(&folder, &push, &[], "");
    let expected = format!(
        "error: cannot assemble {target}: no credentials for {host} (HTTP 401; registry says: UNAUTHORIZED: authentication required)\nhint: manifest-tool login {host}\n"
    );
    assert!(none.exit == 1 && none.stderr.ends_with(&expected), "{none:?}");

    let wrong = tool(&folder, &[&push[..], &["--username", "user", "--password", "wrong"]].concat(), &[], "");
    let expected = format!(
        "error: cannot assemble {target}: {host} refused the credentials from --username \
         (HTTP 401; registry says: UNAUTHORIZED: authentication required)\n\
         hint: give other credentials than those of --username, or none there: then what is stored is used\n"
    );
    assert!(wrong.exit == 1 && wrong.stderr.ends_with(&expected), "{wrong:?}");
}

#[test]
fn an_empty_half_of_a_pair_is_said_and_the_other_is_not_used() {
    let (folder, registry) = (tempfile::tempdir().unwrap(), Registry::start());
    push_image(&registry, "app", "v1", "amd64");
    let reference = format!("{}/app:v1", registry.host);
    let both = [("MANIFEST_TOOL_USERNAME", "user"), ("MANIFEST_TOOL_PASSWORD", "secret-word")];
    for (flag, said) in [
        ("--username", "warning: --username is empty; MANIFEST_TOOL_PASSWORD is not used"),
        ("--password", "warning: --password is empty; MANIFEST_TOOL_USERNAME is not used"),
    ] {
        let outcome = tool(&folder, &["--plain-http", flag, "", "inspect", &reference], &both, "");
        assert!(outcome.exit == 0 && outcome.stderr.contains(said), "{flag}: {outcome:?}");
    }
}

/// A pipeline may have one of the two for other jobs: what anyone may read is read.
#[test]
fn half_of_the_environments_pair_is_said_and_not_used() {
    let (folder, registry) = (tempfile::tempdir().unwrap(), Registry::start());
    push_image(&registry, "app", "v1", "amd64");
    let reference = format!("{}/app:v1", registry.host);
    for (set, other) in [("USERNAME", "PASSWORD"), ("PASSWORD", "USERNAME")] {
        let name = format!("MANIFEST_TOOL_{set}");
        let outcome = tool(&folder, &["inspect", &reference], &[(&name, "secret-word")], "");
        let warning = format!("warning: {name} is set and MANIFEST_TOOL_{other} is not; neither is used\n");
        assert!(outcome.exit == 0 && outcome.stderr.contains(&warning), "{outcome:?}");
    }
}

/// More than one try could lock the account.
#[test]
fn wrong_credentials_are_tried_once() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry_with_htpasswd(&folder);
    let front = Scripted::before(&registry, |_| None);
    for template in ["app:ARCH", "app-ARCH:v1"] {
        let (before, template) = (front.asked().len(), format!("{}/{template}", front.host));
        let target = format!("{}/app:v1", front.host);
        let push = [
            "push",
            "from-args",
            "--platforms",
            "linux/amd64,linux/arm64,linux/386",
            "--template",
            &template,
            "--target",
            &target,
        ];
        let wrong = ["--plain-http", "--username", "user", "--password", "wrong"];
        let outcome = tool(&folder, &[&push[..], &wrong].concat(), &[], "");
        assert!(outcome.exit == 1 && outcome.stderr.matches("refused the credentials").count() == 1, "{outcome:?}");
        let tried = front.asked().iter().skip(before).filter(|asked| asked.authorization.is_some()).count();
        assert_eq!(tried, 1, "{outcome:?}");
    }
}

/// Credentials that are good elsewhere are not given up for one refusal.
#[test]
fn one_refusal_does_not_spoil_good_credentials() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry_with_htpasswd(&folder);
    for architecture in ["amd64", "arm64"] {
        push_image(&registry, "app", architecture, architecture);
    }
    let front = Scripted::before(&registry, |asked| {
        (asked.line.ends_with("/app/manifests/386")).then(|| (401, vec![("WWW-Authenticate", "Basic".into())], vec![]))
    });
    let (template, target) = (format!("{}/app:ARCH", front.host), format!("{}/app:v1", front.host));
    let push = [
        "push",
        "from-args",
        "--platforms",
        "linux/amd64,linux/386,linux/arm64",
        "--template",
        &template,
        "--target",
        &target,
    ];
    let outcome = tool(&folder, &[&["--plain-http"], &push[..], &LOGIN].concat(), &[], "");
    let expected =
        format!("{target}: linux/386: {0}/app:386: {0} refused the credentials from --username (HTTP 401)", front.host);
    assert!(outcome.exit == 1 && outcome.stderr.contains(&expected), "{outcome:?}");
}

/// The registry's own words count for more than what signing in could not do.
#[test]
fn a_refusal_that_is_not_about_signing_in_keeps_its_words() {
    let folder = tempfile::tempdir().unwrap();
    let server = Scripted::start(|asked, _| match asked.line.as_str() {
        "GET /v2/" => (401, vec![("WWW-Authenticate", "Basic realm=\"R\u{e9}gistre\"".into())], vec![]),
        _ => (403, vec![], br#"{"errors":[{"code":"DENIED","message":"quarantined"}]}"#.to_vec()),
    });
    let reference = format!("{}/app:v1", server.host);
    let outcome = tool(&folder, &["--plain-http", "inspect", &reference], &[], "");
    let expected =
        format!("{reference}: no credentials for {} (HTTP 403; registry says: DENIED: quarantined)", server.host);
    assert!(outcome.exit == 1 && outcome.stderr.contains(&expected), "{outcome:?}");
}

#[test]
fn pushing_signs_in_too() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry_with_htpasswd(&folder);
    push_image(&registry, "parts", "amd64", "amd64");
    let outcome = push_from_args(&registry.host, "linux/amd64", "parts:ARCH", "whole:v1", &LOGIN);
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    assert!(registry.manifest("whole", "v1").is_some());
}

/// A registry that anyone may read asks for credentials in the middle of a write (estesp/manifest-tool#159).
#[test]
fn a_write_that_is_challenged_is_sent_again_whole() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::start();
    push_image(&registry, "app", "amd64", "amd64");
    for (status, challenged_by) in [(401, "PUT"), (403, "GET /v2/")] {
        let front = Scripted::before(&registry, move |asked| {
            let challenge = || vec![("WWW-Authenticate", "Basic realm=x".to_owned())];
            let put = asked.line.starts_with("PUT ") && asked.authorization.is_none();
            let headers = if challenged_by == "PUT" { challenge() } else { vec![] };
            let ping = asked.line == challenged_by;
            if ping { Some((200, challenge(), vec![])) } else { put.then_some((status, headers, vec![])) }
        });
        let (template, target) = (format!("{}/app:ARCH", front.host), format!("{}/app:v{status}", front.host));
        let push = ["push", "from-args", "--platforms", "linux/amd64", "--template", &template, "--target", &target];
        let outcome = tool(&folder, &[&["--plain-http"], &push[..], &LOGIN].concat(), &[], "");
        assert_eq!(outcome.exit, 0, "{status}: {outcome:?}");
        assert!(registry.manifest("app", &format!("v{status}")).is_some());
    }
}

/// Writes that follow a look and writes that do not wait for one proof of the credentials, and not for each other.
#[test]
fn writes_of_every_kind_wait_for_one_proof() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::start();
    push_image(&registry, "app", "amd64", "amd64");
    push_image(&registry, "parts", "amd64", "amd64");
    let front = Scripted::before(&registry, |asked| {
        let is_read = asked.line.starts_with("GET ") || asked.line.starts_with("HEAD ");
        let challenge = vec![("WWW-Authenticate", "Basic realm=x".to_owned())];
        (!is_read && asked.authorization.is_none()).then_some((401, challenge, vec![]))
    });
    let host = &front.host;
    let spec = |n: usize, source: &str| {
        let source = format!("manifests: [{{image: \"{host}/{source}\"}}]");
        format!("---\nimage: {host}/app:t{n}\nappend: true\n{source}\n")
    };
    for order in [["app:none", "parts:amd64", "app:amd64"], ["app:none", "app:amd64", "parts:amd64"]] {
        let text: String = order.iter().enumerate().map(|(n, source)| spec(n, source)).collect();
        std::fs::write(folder.path().join("many.yaml"), text).unwrap();
        for concurrency in ["1", "2", "16"] {
            let push = ["push", "--concurrency", concurrency, "--settle", "1ms", "--deadline", "60s", "from-spec"];
            let outcome = tool(&folder, &[&["--plain-http"], &push[..], &["many.yaml"], &LOGIN].concat(), &[], "");
            let summary = "2 done, 0 unchanged, 1 failed";
            let again = "0 done, 2 unchanged, 1 failed";
            let ended = outcome.stderr.contains(summary) || outcome.stderr.contains(again);
            assert!(outcome.exit == 1 && ended, "{order:?} {concurrency} {outcome:?}");
        }
    }
}
