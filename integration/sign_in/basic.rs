//! Registries with Basic authentication, and a user name and password from flags, standard input or the environment.

use indoc::indoc;

use super::{push_args, run_without_leaks};
use crate::support::images::push_image;
use crate::support::{LOGIN, Registry, Sandbox, ScriptedServer, Workspace, push_from_args};

const WARNING: &str = "warning: --password exposes the password";

#[test]
fn credentials_come_from_flags_standard_input_or_the_environment() {
    let sandbox = Sandbox::with_registry(Registry::with_htpasswd());
    push_image(&sandbox.registry, "app", "v1", "amd64");
    let user = [("MANIFEST_TOOL_USERNAME", "user")];
    let password = [("MANIFEST_TOOL_PASSWORD", "secret-word")];
    let registry = [("MANIFEST_TOOL_REGISTRY", "HOST")];
    for (args, environment, stdin, source, warns) in [
        (&LOGIN[..], vec![], "", "--username", true),
        (&["--username", "user", "--password-stdin"], vec![], "secret-word\n", "--username", false),
        (&["--username", "user", "--password-stdin"], vec![], "secret-word\r\n", "--username", false),
        (&["--username", "user", "--password-stdin"], vec![], "secret-word", "--username", false),
        (&[], [user, password, registry].concat(), "", "MANIFEST_TOOL_USERNAME", false),
        (&["--username", "user"], password.to_vec(), "", "--username", false),
    ] {
        let args = [&["inspect", "HOST/app:v1"], args].concat();
        let outcome = run_without_leaks(&sandbox, &args, &environment, stdin).success();
        assert_eq!(outcome.stderr.contains(WARNING), warns, "{outcome:?}");
        let line = format!("credentials for {}: from {source}", sandbox.registry.host);
        assert!(outcome.debug_log().contains(&line.as_str()), "{outcome:?}");
    }
}

#[test]
fn a_user_name_without_a_password_or_a_password_without_a_user_name_is_a_usage_error() {
    let workspace = Workspace::new();
    for (args, part) in [
        (&["--username", "user"][..], "--username gives a user name, but no password is given"),
        (&["-u", "user"], "--username gives a user name, but no password is given"),
        (&["--password", "secret-word"], "--password gives a password, but no user name is given"),
        (&["--username", "user", "--password-stdin"], "the password on standard input is empty"),
        (&["--username", "user", "--password", "p", "--password-stdin"], "cannot be used with"),
    ] {
        run_without_leaks(&workspace, &[&["inspect", "r.invalid/app:v1"], args].concat(), &[], "").fails(2, part);
    }
    let args = ["push", "--username", "u", "--password-stdin", "from-spec", "-"];
    run_without_leaks(&workspace, &args, &[], "image: x").fails(2, "both the spec and the password");
}

#[test]
fn missing_and_wrong_credentials_fail_with_a_hint() {
    let sandbox = Sandbox::with_registry(Registry::with_htpasswd());
    for architecture in ["amd64", "arm64"] {
        push_image(&sandbox.registry, "app", architecture, architecture);
    }
    let push = push_args("linux/amd64,linux/arm64", "HOST/app:ARCH", "HOST/app:v1");
    let missing = run_without_leaks(&sandbox, &push, &[], "");
    let expected = sandbox.fill(indoc! {"
        error: cannot assemble HOST/app:v1: 2 sources cannot be used: no credentials for HOST \
        (HTTP 401; registry says: UNAUTHORIZED: authentication required)
          linux/amd64: HOST/app:amd64
          linux/arm64: HOST/app:arm64
        hint: manifest-tool login HOST
    "});
    assert!(missing.exit == 1 && missing.stderr.ends_with(&expected), "{missing:?}");

    let wrong = [&push[..], &["--username", "user", "--password", "wrong"]].concat();
    let wrong = run_without_leaks(&sandbox, &wrong, &[], "");
    let expected = sandbox.fill(indoc! {"
        error: cannot assemble HOST/app:v1: 2 sources cannot be used: HOST refused the credentials from --username \
        (HTTP 401; registry says: UNAUTHORIZED: authentication required)
          linux/amd64: HOST/app:amd64
          linux/arm64: HOST/app:arm64
        hint: check the user name and password; leave out --username to use stored credentials
    "});
    assert!(wrong.exit == 1 && wrong.stderr.ends_with(&expected), "{wrong:?}");
}

#[test]
fn an_empty_flag_is_warned_about_and_the_environments_other_value_is_not_used() {
    let sandbox = Sandbox::new();
    push_image(&sandbox.registry, "app", "v1", "amd64");
    let both = [("MANIFEST_TOOL_USERNAME", "user"), ("MANIFEST_TOOL_PASSWORD", "secret-word")];
    for (flag, warning) in [
        ("--username", "warning: --username is empty; MANIFEST_TOOL_PASSWORD is not used"),
        ("--password", "warning: --password is empty; MANIFEST_TOOL_USERNAME is not used"),
    ] {
        let outcome = run_without_leaks(&sandbox, &[flag, "", "inspect", "HOST/app:v1"], &both, "");
        assert!(outcome.exit == 0 && outcome.stderr.contains(warning), "{flag}: {outcome:?}");
    }
}

/// A pipeline may set one of the two variables for other jobs, so public images stay readable.
#[test]
fn a_user_name_or_password_without_the_other_in_the_environment_is_warned_about_and_not_used() {
    let sandbox = Sandbox::new();
    push_image(&sandbox.registry, "app", "v1", "amd64");
    for (set, unset) in [("USERNAME", "PASSWORD"), ("PASSWORD", "USERNAME")] {
        let name = format!("MANIFEST_TOOL_{set}");
        let outcome = run_without_leaks(&sandbox, &["inspect", "HOST/app:v1"], &[(&name, "secret-word")], "");
        let warning = format!("warning: {name} is set and MANIFEST_TOOL_{unset} is not; neither is used\n");
        assert!(outcome.exit == 0 && outcome.stderr.contains(&warning), "{outcome:?}");
    }
}

/// More than one attempt could lock the account.
#[test]
fn wrong_credentials_are_sent_once() {
    let sandbox = Sandbox::with_registry(Registry::with_htpasswd());
    let proxy = ScriptedServer::in_front_of(&sandbox.registry, |_| None);
    let sandbox = sandbox.with(|workspace| workspace.placeholder("PROXY", &proxy.host));
    for template in ["PROXY/app:ARCH", "PROXY/app-ARCH:v1"] {
        let before = proxy.requests().len();
        let push = push_args("linux/amd64,linux/arm64,linux/386", template, "PROXY/app:v1");
        let args = [&push[..], &["--username", "user", "--password", "wrong"]].concat();
        let outcome = run_without_leaks(&sandbox, &args, &[], "");
        assert!(outcome.exit == 1 && outcome.stderr.matches("refused the credentials").count() == 1, "{outcome:?}");
        let attempts = proxy.requests().iter().skip(before).filter(|request| request.authorization.is_some()).count();
        assert_eq!(attempts, 1, "{outcome:?}");
    }
}

/// One refusal does not discard credentials that the registry has accepted for other requests.
#[test]
fn one_refused_request_does_not_invalidate_accepted_credentials() {
    let sandbox = Sandbox::with_registry(Registry::with_htpasswd());
    for architecture in ["amd64", "arm64"] {
        push_image(&sandbox.registry, "app", architecture, architecture);
    }
    let proxy = ScriptedServer::in_front_of(&sandbox.registry, |request| {
        let is_refused = request.line.ends_with("/app/manifests/386");
        is_refused.then(|| (401, vec![("WWW-Authenticate", "Basic".into())], vec![]))
    });
    let sandbox = sandbox.with(|workspace| workspace.placeholder("PROXY", &proxy.host));
    let push = push_args("linux/amd64,linux/386,linux/arm64", "PROXY/app:ARCH", "PROXY/app:v1");
    let outcome = run_without_leaks(&sandbox, &[&push[..], &LOGIN].concat(), &[], "");
    let expected = "PROXY/app:v1: linux/386: PROXY/app:386: PROXY refused the credentials from --username (HTTP 401)";
    outcome.fails(1, &sandbox.fill(expected));
}

#[test]
fn a_403_shows_the_registrys_message_when_sign_in_is_not_possible() {
    let server = ScriptedServer::start(|request, _| match request.line.as_str() {
        "GET /v2/" => (401, vec![("WWW-Authenticate", "Basic realm=\"R\u{e9}gistre\"".into())], vec![]),
        _ => (403, vec![], br#"{"errors":[{"code":"DENIED","message":"quarantined"}]}"#.to_vec()),
    });
    let workspace = Workspace::new().flags(&["--plain-http"]).placeholder("HOST", &server.host);
    let outcome = run_without_leaks(&workspace, &["inspect", "HOST/app:v1"], &[], "");
    let expected = "HOST/app:v1: no credentials for HOST (HTTP 403; registry says: DENIED: quarantined)";
    outcome.fails(1, &workspace.fill(expected));
}

#[test]
fn push_signs_in() {
    let registry = Registry::with_htpasswd();
    push_image(&registry, "parts", "amd64", "amd64");
    push_from_args(&registry.host, "linux/amd64", "parts:ARCH", "whole:v1", &LOGIN).success();
    assert!(registry.manifest("whole", "v1").is_some());
}

/// A registry that allows anonymous reads may challenge in the middle of a write (estesp/manifest-tool#159).
#[test]
fn a_challenged_write_is_sent_again_in_full() {
    let sandbox = Sandbox::new();
    push_image(&sandbox.registry, "app", "amd64", "amd64");
    for (status, challenged_by) in [(401, "PUT"), (403, "GET /v2/")] {
        let proxy = ScriptedServer::in_front_of(&sandbox.registry, move |request| {
            let challenge = || vec![("WWW-Authenticate", "Basic realm=x".to_owned())];
            let is_anonymous_put = request.line.starts_with("PUT ") && request.authorization.is_none();
            let headers = if challenged_by == "PUT" { challenge() } else { vec![] };
            let is_ping = request.line == challenged_by;
            if is_ping {
                Some((200, challenge(), vec![]))
            } else {
                is_anonymous_put.then_some((status, headers, vec![]))
            }
        });
        let (template, target) = (format!("{}/app:ARCH", proxy.host), format!("{}/app:v{status}", proxy.host));
        let push = push_args("linux/amd64", &template, &target);
        let outcome = run_without_leaks(&sandbox, &[&push[..], &LOGIN].concat(), &[], "");
        assert_eq!(outcome.exit, 0, "{status}: {outcome:?}");
        assert!(sandbox.registry.manifest("app", &format!("v{status}")).is_some());
    }
}

/// Writes after a read of the tag and unconditional writes all wait for the first request that proves the credentials,
/// and never for each other.
#[test]
fn concurrent_writes_wait_for_the_same_proof_of_the_credentials() {
    let sandbox = Sandbox::new();
    push_image(&sandbox.registry, "app", "amd64", "amd64");
    push_image(&sandbox.registry, "parts", "amd64", "amd64");
    let proxy = ScriptedServer::in_front_of(&sandbox.registry, |request| {
        let is_read = request.line.starts_with("GET ") || request.line.starts_with("HEAD ");
        let challenge = vec![("WWW-Authenticate", "Basic realm=x".to_owned())];
        (!is_read && request.authorization.is_none()).then_some((401, challenge, vec![]))
    });
    let sandbox = sandbox.with(|workspace| workspace.placeholder("PROXY", &proxy.host));
    let document = |n: usize, source: &str| {
        indoc::formatdoc! {"
            ---
            image: PROXY/app:t{n}
            append: true
            manifests: [{{image: \"PROXY/{source}\"}}]
        "}
    };
    for order in [["app:none", "parts:amd64", "app:amd64"], ["app:none", "app:amd64", "parts:amd64"]] {
        let spec: String = order.iter().enumerate().map(|(n, source)| document(n, source)).collect();
        sandbox.write("many.yaml", &spec);
        for concurrency in ["1", "2", "16"] {
            let flags = ["--concurrency", concurrency, "--settle", "1ms", "--deadline", "60s"];
            let args = [&["push"], &flags[..], &["from-spec", "many.yaml"], &LOGIN].concat();
            let outcome = run_without_leaks(&sandbox, &args, &[], "");
            let first = "2 done, 0 unchanged, 1 failed";
            let repeated = "0 done, 2 unchanged, 1 failed";
            let is_complete = outcome.stderr.contains(first) || outcome.stderr.contains(repeated);
            assert!(outcome.exit == 1 && is_complete, "{order:?} {concurrency} {outcome:?}");
        }
    }
}
