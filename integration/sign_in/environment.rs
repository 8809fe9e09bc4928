//! User name and password from the environment, and the registry they are for.

use indoc::indoc;

use super::run_without_leaks;
use crate::support::images::push_image;
use crate::support::{LOGIN, Outcome, Registry, Sandbox, ScriptedServer, Workspace};

const USER: (&str, &str) = ("MANIFEST_TOOL_USERNAME", "user");
const PASSWORD: (&str, &str) = ("MANIFEST_TOOL_PASSWORD", "secret-word");
const REGISTRY: &str = "MANIFEST_TOOL_REGISTRY";

/// Runs the program with user name and password in the environment, and with `registry` as the one they are for.
fn run(workspace: &Workspace, args: &[&str], registry: Option<&str>) -> Outcome {
    let registry = registry.map(|registry| (REGISTRY, registry));
    let environment: Vec<_> = [USER, PASSWORD].into_iter().chain(registry).collect();
    run_without_leaks(workspace, args, &environment, "")
}

/// Starts a server that challenges every request for a password, and records what it receives.
fn hostile_server() -> ScriptedServer {
    ScriptedServer::start(|_, _| (401, vec![("WWW-Authenticate", "Basic realm=\"x\"".into())], vec![]))
}

#[track_caller]
fn assert_received_no_credentials(server: &ScriptedServer) {
    let requests = server.requests();
    assert!(!requests.is_empty() && requests.iter().all(|request| request.authorization.is_none()), "{requests:?}");
}

fn push_args<'a>(template: &'a str, target: &'a str) -> [&'a str; 8] {
    super::push_args("linux/amd64", template, target)
}

#[test]
fn commands_that_write_to_no_registry_send_credentials_only_to_the_named_registry() {
    let server = hostile_server();
    let workspace = Workspace::new().flags(&["--plain-http"]).placeholder("HOST", &server.host);
    let to_layout = push_args("HOST/app:v1", "oci:out:v1");
    let with_dry_run = [&to_layout[..], &["--dry-run"]].concat();
    for args in [
        &["inspect", "HOST/app:v1"][..],
        &["inspect", "--config", "HOST/app:v1"],
        &["copy", "HOST/app:v1", "oci:out:v1"],
        &["copy", "HOST/app:v1", "oci-archive:out.tar"],
        &to_layout,
        &with_dry_run,
        &["tags", "HOST/app"],
        &["digest", "HOST/app:v1"],
        &["query", "HOST/app:v1"],
        &["verify", "HOST/app:v1"],
    ] {
        let outcome = run(&workspace, args, None);
        let hint = workspace.fill(
            "manifest-tool login HOST; MANIFEST_TOOL_USERNAME and MANIFEST_TOOL_PASSWORD were not used, because this \
             command writes to no registry; set MANIFEST_TOOL_REGISTRY to the registry to use them for\n",
        );
        assert!(outcome.exit != 0 && outcome.stderr.contains(&hint), "{args:?}: {outcome:?}");
        let outcome = run(&workspace, args, Some("Other.example"));
        let hint = workspace.fill(
            "hint: manifest-tool login HOST; MANIFEST_TOOL_USERNAME and MANIFEST_TOOL_PASSWORD are only for \
             other.example, which MANIFEST_TOOL_REGISTRY names\n",
        );
        assert!(outcome.exit != 0 && outcome.stderr.contains(&hint), "{args:?}: {outcome:?}");
    }
    assert_received_no_credentials(&server);
}

#[test]
fn a_source_on_another_registry_gets_no_credentials_and_the_target_does() {
    let server = hostile_server();
    let sandbox = Sandbox::with_registry(Registry::with_htpasswd())
        .with(|workspace| workspace.placeholder("FOREIGN", &server.host));
    push_image(&sandbox.registry, "parts", "amd64", "amd64");
    let foreign = "FOREIGN/parts:amd64";
    for args in [&["copy", foreign, "HOST/whole:v1"][..], &push_args(foreign, "HOST/whole:v1")] {
        let outcome = run(&sandbox, args, None);
        assert!(outcome.exit == 1 && outcome.stderr.contains("no credentials for"), "{args:?}: {outcome:?}");
    }
    assert_received_no_credentials(&server);
    for args in [
        &push_args("HOST/parts:amd64", "HOST/whole:v1")[..],
        &["copy", "HOST/parts:amd64", "HOST/whole:v1"],
        &["remove", "HOST/whole:v1", "--platform", "linux/386", "--dry-run"],
        &["delete", "--yes", "HOST/whole:v1"],
    ] {
        let outcome = run(&sandbox, args, None);
        assert!(!outcome.stderr.contains("no credentials for"), "{args:?}: {outcome:?}");
    }
    // The first target of this spec is a layout, the second a registry.
    let spec = indoc! {"
        image: oci:out:v1
        manifests: [{image: HOST/parts:amd64}]
        ---
        image: HOST/whole:v1
        manifests: [{image: HOST/parts:amd64}]
    "};
    sandbox.write("two.yaml", spec);
    run(&sandbox, &["push", "from-spec", "two.yaml"], None).success();
}

#[test]
fn only_the_named_registry_gets_the_credentials_for_reads_and_writes() {
    let sandbox = Sandbox::with_registry(Registry::with_htpasswd());
    push_image(&sandbox.registry, "app", "v1", "amd64");
    let port = sandbox.registry.host.rsplit(':').next().unwrap();
    for named in ["HOST", "http://HOST", "https://HOST/v2/"] {
        let outcome = run(&sandbox, &["inspect", "HOST/app:v1"], Some(named));
        assert_eq!(outcome.exit, 0, "{named}: {outcome:?}");
    }
    let capitals = format!("LocalHost:{port}");
    run(&sandbox, &["inspect", &format!("localhost:{port}/app:v1")], Some(&capitals)).success();
    run(&sandbox, &["copy", "HOST/app:v1", "oci:out:v1"], Some("HOST")).success();
    for named in [format!("localhost:{port}").as_str(), "127.0.0.1", "1HOST", "docker.io"] {
        for args in [&["inspect", "HOST/app:v1"][..], &["copy", "oci:out:v1", "HOST/app:v1"]] {
            let outcome = run(&sandbox, args, Some(named));
            assert!(outcome.exit == 1 && outcome.stderr.contains(REGISTRY), "{named}: {outcome:?}");
        }
    }
}

#[test]
fn an_invalid_registry_name_is_a_usage_error_only_with_credentials() {
    let sandbox = Sandbox::new();
    push_image(&sandbox.registry, "app", "v1", "amd64");
    let args = ["inspect", "HOST/app:v1"];
    for named in ["ghcr", "r.io/team", "r.io,s.io", "https://", "r.io:port", "u:p@r.io"] {
        let outcome = run(&sandbox, &args, Some(named));
        // A user name and a password are not shown.
        let shown = named.replace("u:p@", "****@");
        let error = format!("error: MANIFEST_TOOL_REGISTRY: \"{shown}\" is not a registry's HOST[:PORT]");
        assert!(outcome.exit == 2 && outcome.stderr.starts_with(&error), "{outcome:?}");
        let without = run_without_leaks(&sandbox, &args, &[(REGISTRY, named)], "");
        assert!(without.exit == 0 && !without.stderr.contains(REGISTRY), "{without:?}");
    }
    let empty = run(&sandbox, &args, Some(""));
    assert_eq!(empty.exit, 0, "an empty variable counts as unset: {empty:?}");
}

#[test]
fn flags_apply_to_the_first_registry_regardless_of_the_environment() {
    let sandbox = Sandbox::with_registry(Registry::with_htpasswd());
    push_image(&sandbox.registry, "app", "v1", "amd64");
    for (flags, environment, stdin) in [
        (&LOGIN[..], vec![], ""),
        (&["--username", "user"], vec![PASSWORD], ""),
        (&["--password", "secret-word"], vec![USER], ""),
        (&["--password-stdin"], vec![USER], "secret-word"),
    ] {
        for named in ["", "other.example", "no registry"] {
            let environment = [&environment[..], &[(REGISTRY, named)]].concat();
            let args = [&["inspect", "HOST/app:v1"], flags].concat();
            let outcome = run_without_leaks(&sandbox, &args, &environment, stdin);
            assert_eq!(outcome.exit, 0, "{flags:?} {named}: {outcome:?}");
        }
    }
}

#[test]
fn login_uses_the_environment_unless_it_names_another_registry() {
    let sandbox = Sandbox::with_registry(Registry::with_htpasswd());
    for named in [None, Some("HOST"), Some("http://HOST/")] {
        run(&sandbox, &["login", "HOST"], named).success();
    }
    let file = sandbox.path(".docker/config.json");
    std::fs::remove_file(&file).unwrap();
    let outcome = run(&sandbox, &["login", "HOST"], Some("other.example"));
    let error = sandbox.fill(
        "error: HOST: MANIFEST_TOOL_USERNAME and MANIFEST_TOOL_PASSWORD are only for other.example, which \
         MANIFEST_TOOL_REGISTRY names\n",
    );
    assert!(outcome.exit == 2 && outcome.stderr == error && !file.exists(), "{outcome:?}");
    let args = [&["login", "HOST"], &LOGIN[..]].concat();
    run_without_leaks(&sandbox, &args, &[(REGISTRY, "other.example")], "").success();
}
