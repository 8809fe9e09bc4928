//! Different credentials for the sources and the targets of a command.

use super::{push_args, run_without_leaks};
use crate::support::images::push_image;
use crate::support::scripted_server::ReceivedRequest;
use crate::support::token_service::authenticated_only;
use crate::support::{Outcome, Registry, ScriptedServer, TokenService, Workspace};

/// The flags that sign in at both sides, with the passwords in [`PASSWORDS`].
const BOTH: [&str; 6] =
    ["--source-username", "user", "--source-password-stdin", "--target-username", "pusher", "--target-password-stdin"];
const PASSWORDS: &str = "secret-word\ntarget-word\n";
const SOURCE_HEADER: &str = "Basic dXNlcjpzZWNyZXQtd29yZA==";
const TARGET_HEADER: &str = "Basic cHVzaGVyOnRhcmdldC13b3Jk";

/// Two registries with different users, each behind a server that records its requests.
struct SidesFixture {
    _source: Registry,
    target: Registry,
    source_proxy: ScriptedServer,
    target_proxy: ScriptedServer,
    workspace: Workspace,
}

impl SidesFixture {
    fn new() -> Self {
        let (source, target) = (Registry::with_htpasswd(), Registry::with_pusher());
        for architecture in ["amd64", "arm64"] {
            push_image(&source, "app", architecture, architecture);
        }
        let source_proxy = ScriptedServer::in_front_of(&source, |_| None);
        let target_proxy = ScriptedServer::in_front_of(&target, |_| None);
        let workspace = Workspace::new()
            .flags(&["--plain-http", "--retries", "0"])
            .placeholder("SOURCE", &source_proxy.host)
            .placeholder("TARGET", &target_proxy.host);
        Self { _source: source, target, source_proxy, target_proxy, workspace }
    }

    /// Runs the program, and asserts that no password is in its output and that each server received no other
    /// credentials than its own.
    fn run(&self, args: &[&str], environment: &[(&str, &str)], stdin: &str) -> Outcome {
        let outcome = run_without_leaks(&self.workspace, args, environment, stdin);
        let output = format!("{}{}", outcome.stdout, outcome.stderr);
        assert!(!output.contains("target-word") && !output.contains("cHVzaGVy"), "{outcome:?}");
        for (proxy, own) in [(&self.source_proxy, SOURCE_HEADER), (&self.target_proxy, TARGET_HEADER)] {
            let headers = proxy.requests().into_iter().filter_map(|request| request.authorization);
            let foreign: Vec<String> = headers.filter(|header| header != own).collect();
            assert_eq!(foreign, Vec::<String>::new(), "{args:?}");
        }
        outcome
    }
}

#[test]
fn copy_and_push_sign_in_to_both_sides_with_two_lines_of_standard_input() {
    let fixture = SidesFixture::new();
    for stdin in [PASSWORDS, "secret-word\r\ntarget-word\r\n", "secret-word\ntarget-word"] {
        let copy = fixture.run(&[&["copy", "SOURCE/app:amd64", "TARGET/copied:v1"], &BOTH[..]].concat(), &[], stdin);
        let copy = copy.success();
        for (host, flag) in [("SOURCE", "--source-username"), ("TARGET", "--target-username")] {
            let line = fixture.workspace.fill(&format!("credentials for {host}: from {flag}"));
            assert!(copy.debug_log().contains(&line.as_str()), "{copy:?}");
        }
    }
    let from_args = push_args("linux/amd64,linux/arm64", "SOURCE/app:ARCH", "TARGET/args:v1");
    fixture.run(&[&from_args[..], &BOTH].concat(), &[], PASSWORDS).success();
    let from_images = ["push", "from-images", "-t", "TARGET/images:v1", "SOURCE/app:amd64", "SOURCE/app:arm64"];
    fixture.run(&[&from_images[..], &BOTH].concat(), &[], PASSWORDS).success();
    fixture.workspace.write("app.yaml", "image: TARGET/spec:v1\nmanifests: [{image: SOURCE/app:arm64}]\n");
    // The flags may precede the subcommand.
    fixture.run(&[&["push"], &BOTH[..], &["from-spec", "app.yaml"]].concat(), &[], PASSWORDS).success();
    for repository in ["copied", "args", "images", "spec"] {
        assert!(fixture.target.manifest(repository, "v1").is_some(), "{repository}");
    }
}

#[test]
fn variables_sign_in_to_each_side_and_flags_take_precedence() {
    let fixture = SidesFixture::new();
    let source = [("MANIFEST_TOOL_SOURCE_USERNAME", "user"), ("MANIFEST_TOOL_SOURCE_PASSWORD", "secret-word")];
    let target = [("MANIFEST_TOOL_TARGET_USERNAME", "pusher"), ("MANIFEST_TOOL_TARGET_PASSWORD", "target-word")];
    let plain = [("MANIFEST_TOOL_USERNAME", "pusher"), ("MANIFEST_TOOL_PASSWORD", "target-word")];
    let wrong = [("MANIFEST_TOOL_TARGET_USERNAME", "nobody"), ("MANIFEST_TOOL_TARGET_PASSWORD", "wrong")];
    let copy = ["copy", "SOURCE/app:amd64", "TARGET/copied:v1"];
    for (flags, environment, stdin) in [
        (&[][..], [source, target].concat(), ""),
        (&[], [source, plain].concat(), ""),
        (&["--target-username", "pusher"], [source, target].concat(), ""),
        (&["--target-username", "pusher", "--target-password-stdin"], [source, wrong].concat(), "target-word\n"),
        (&["--source-username", "user", "--source-password-stdin"], target.to_vec(), "secret-word\n"),
        (&["--username", "pusher", "--password-stdin"], [source, wrong].concat(), "target-word\n"),
        (&BOTH, [wrong].concat(), PASSWORDS),
    ] {
        let outcome = fixture.run(&[&copy[..], flags].concat(), &environment, stdin);
        assert_eq!(outcome.exit, 0, "{flags:?}: {outcome:?}");
    }
    // Commands with one side do not use these variables.
    let inspect = fixture.run(&["inspect", "SOURCE/app:amd64"], &[source, target].concat(), "");
    inspect.fails(1, "no credentials for");
    let half = fixture.run(&[&copy[..], &BOTH[3..]].concat(), &source[..1], "target-word");
    let warning =
        "warning: MANIFEST_TOOL_SOURCE_USERNAME is set and MANIFEST_TOOL_SOURCE_PASSWORD is not; neither is used\n";
    half.fails(1, warning);
}

#[test]
fn a_docker_configuration_is_for_one_side() {
    let fixture = SidesFixture::new();
    let auth = |header: &str| header.trim_start_matches("Basic ").to_owned();
    let entry = |host: &str, header: &str| format!(r#""{host}": {{"auth": "{}"}}"#, auth(header));
    let file = |name: &str, entries: &[String]| {
        fixture.workspace.write(name, &format!(r#"{{"auths": {{{}}}}}"#, entries.join(",")))
    };
    file("source.json", &[entry("SOURCE", SOURCE_HEADER), entry("TARGET", SOURCE_HEADER)]);
    file("target/config.json", &[entry("SOURCE", TARGET_HEADER), entry("TARGET", TARGET_HEADER)]);
    file("both.json", &[entry("SOURCE", SOURCE_HEADER), entry("TARGET", TARGET_HEADER)]);
    let copy = ["copy", "SOURCE/app:amd64", "TARGET/copied:v1"];
    for flags in [
        &["--source-docker-cfg", "source.json", "--target-docker-cfg", "target"][..],
        &["--source-docker-cfg", "source.json", "--docker-cfg", "target"],
        &["--docker-cfg", "both.json", "--target-docker-cfg", "target"],
    ] {
        fixture.run(&[&copy[..], flags].concat(), &[], "").success();
    }
    let mixed = ["--source-docker-cfg", "source.json", "--target-username", "pusher", "--target-password-stdin"];
    fixture.run(&[&copy[..], &mixed].concat(), &[], "target-word\n").success();
    let missing = fixture.run(&[&copy[..], &["--source-docker-cfg", "none.json"]].concat(), &[], "");
    missing.fails(1, "cannot read none.json, which --source-docker-cfg names: ");
    fixture.workspace.write("empty/readme", "");
    let empty =
        fixture.run(&[&copy[..], &["--target-docker-cfg", "empty", "--docker-cfg", "both.json"]].concat(), &[], "");
    empty.fails(1, "note: empty has no config.json").fails(1, "no credentials for");
}

#[test]
fn a_wrong_password_names_the_side_and_its_flag() {
    let fixture = SidesFixture::new();
    let copy = ["copy", "SOURCE/app:amd64", "TARGET/copied:v1"];
    for (stdin, host, flag) in [
        ("wrong\ntarget-word\n", "SOURCE", "--source-username"),
        ("secret-word\nwrong\n", "TARGET", "--target-username"),
    ] {
        let outcome = run_without_leaks(&fixture.workspace, &[&copy[..], &BOTH].concat(), &[], stdin);
        let error = fixture.workspace.fill(&format!("{host} refused the credentials from {flag} (HTTP 401"));
        let hint = format!("hint: check the user name and password; leave out {flag} to use stored credentials");
        outcome.fails(1, &error).fails(1, &hint);
    }
    let only_source = [&copy[..], &BOTH[..3]].concat();
    let outcome = run_without_leaks(&fixture.workspace, &only_source, &[], "secret-word\n");
    let hint = "hint: manifest-tool login TARGET; --source-username is only for the source\n";
    outcome.fails(1, &fixture.workspace.fill(hint));
}

#[test]
fn passwords_on_standard_input_must_be_complete() {
    let fixture = SidesFixture::new();
    let copy = ["copy", "SOURCE/app:amd64", "TARGET/copied:v1"];
    let (source, target) = (&BOTH[..3], &BOTH[3..]);
    for (flags, stdin, error) in [
        (&BOTH[..], "", "read two lines, but standard input is empty"),
        (&BOTH, "secret-word\n", "but standard input has only one"),
        (&BOTH, "secret-word\n\n", "the target's password, line 2 of standard input, is empty"),
        (&BOTH, "\r\ntarget-word\r\n", "the source's password, line 1 of standard input, is empty"),
        (&BOTH, "secret-word\ntarget-word\nmore\n", "read two lines, but standard input has 3"),
        (source, PASSWORDS, "--source-password-stdin reads a single line, but standard input has 2 lines"),
        (target, "", "the target's password on standard input is empty"),
        (&BOTH[..2], "", "--source-username gives a user name, but no password is given: use --source-password-stdin"),
        (&BOTH[2..3], "secret-word", "--source-password-stdin gives a password, but no user name is given"),
        (&BOTH[5..], "target-word", "use --target-username or MANIFEST_TOOL_TARGET_USERNAME"),
    ] {
        let outcome = fixture.run(&[&copy[..], flags].concat(), &[], stdin);
        outcome.fails(2, error);
    }
    for from in [&["from-spec", "-"][..], &["from-images", "-t", "TARGET/app:v1", "-"]] {
        let outcome = fixture.run(&[&["push"], from, target].concat(), &[], "target-word\n");
        outcome.exits(2).stderr_contains("standard input");
    }
    assert_eq!(fixture.source_proxy.requests().len() + fixture.target_proxy.requests().len(), 0);
}

#[test]
fn flags_for_one_side_and_for_the_target_registry_contradict_each_other() {
    let workspace = Workspace::new();
    workspace.write("config.json", "{}");
    let copy = ["copy", "s.invalid/app:v1", "t.invalid/app:v1"];
    for (flags, error) in [
        (&["--username", "u", "--target-username", "t"][..], "--username and --target-username cannot be combined"),
        (&["-p", "secret-word", "--source-username", "s"], "--password and --source-username cannot be combined"),
        (&["--password-stdin", "--source-password-stdin"], "--password-stdin and --source-password-stdin cannot be"),
        (
            &["--source-username", "s", "--source-docker-cfg", "config.json"],
            "--source-username and --source-docker-cfg cannot be combined: each is for every source",
        ),
        (
            &["--target-password-stdin", "--target-docker-cfg", "config.json"],
            "--target-password-stdin and --target-docker-cfg cannot be combined",
        ),
    ] {
        run_without_leaks(&workspace, &[&copy[..], flags].concat(), &[], "secret-word").fails(2, error);
    }
    for command in [&["inspect", "s.invalid/app:v1"][..], &["remove", "s.invalid/app:v1", "--platform", "linux/386"]] {
        let args = [command, &["--source-username", "s"]].concat();
        let tip = "tip: a similar argument exists: '--username'\n";
        run_without_leaks(&workspace, &args, &[], "").fails(2, tip);
    }
}

/// A password is for one registry. With sources in several, the user may not mean all of them.
#[test]
fn a_password_is_refused_if_its_side_has_several_registries() {
    let fixture = SidesFixture::new();
    let images = ["push", "from-images", "-t", "TARGET/app:v1", "SOURCE/app:amd64", "other.invalid/app:arm64"];
    let outcome = fixture.run(&[&images[..], &BOTH].concat(), &[], PASSWORDS);
    let error = "error: --source-username is for one registry, but the sources are in SOURCE, other.invalid; use \
                 --source-docker-cfg for several\n";
    assert!(outcome.exit == 2 && outcome.stderr == fixture.workspace.fill(error), "{outcome:?}");
    let targets = ["push", "from-images", "-t", "TARGET/app:v1", "-t", "other.invalid/app:v1", "SOURCE/app:amd64"];
    let outcome = fixture.run(&[&targets[..], &BOTH].concat(), &[], PASSWORDS);
    outcome.fails(2, "--target-username is for one registry, but the targets are in");
    assert_eq!(fixture.source_proxy.requests().len() + fixture.target_proxy.requests().len(), 0);
    // An image in the target's repository belongs to the target.
    push_image(&fixture.target, "app", "riscv64", "riscv64");
    let own = ["push", "from-images", "-t", "TARGET/app:v1", "SOURCE/app:amd64", "TARGET/app:riscv64"];
    fixture.run(&[&own[..], &BOTH].concat(), &[], PASSWORDS).success();
    let layout = fixture.run(&["copy", "SOURCE/app:amd64", "oci:out:v1"], &[], "");
    layout.fails(1, "no credentials for");
    let to_layout = [&["copy", "SOURCE/app:amd64", "oci:out:v1"], &BOTH[..]].concat();
    let outcome = fixture.run(&to_layout, &[], PASSWORDS).success();
    outcome.stderr_contains("warning: --target-username is not used: no target is in a registry\n");
}

/// In one registry, the source's user reads only the source's repository, and the target's user does the rest.
#[test]
fn one_registry_gets_the_credentials_of_each_repository() {
    let registry = Registry::with_two_users();
    let grants = |request: &ReceivedRequest| {
        let of_parts = request.line.contains("/v2/parts/");
        let needed = if of_parts { SOURCE_HEADER } else { TARGET_HEADER };
        let challenge = vec![("WWW-Authenticate", "Basic realm=x".to_owned())];
        // A mount reads the source's repository, which the target's user may not.
        let is_mount = request.line.contains("?mount=");
        (is_mount || request.authorization.as_deref() != Some(needed)).then_some((401, challenge, vec![]))
    };
    push_image(&registry, "parts", "amd64", "amd64");
    push_image(&registry, "parts", "arm64", "arm64");
    let proxy = ScriptedServer::in_front_of(&registry, grants);
    let workspace = Workspace::new().flags(&["--plain-http", "--retries", "0"]).placeholder("HOST", &proxy.host);
    let from_args = push_args("linux/amd64,linux/arm64", "HOST/parts:ARCH", "HOST/whole:v1");
    for args in [&["copy", "HOST/parts:amd64", "HOST/copied:v1"][..], &from_args] {
        run_without_leaks(&workspace, &[args, &BOTH].concat(), &[], PASSWORDS).success();
    }
    assert!(registry.manifest("whole", "v1").is_some() && registry.manifest("copied", "v1").is_some());
    for (stdin, flag) in [("wrong\ntarget-word", "--source-username"), ("secret-word\nwrong", "--target-username")] {
        let before = proxy.requests().len();
        let outcome = run_without_leaks(&workspace, &[&from_args[..], &BOTH].concat(), &[], stdin);
        outcome.fails(1, &format!("refused the credentials from {flag}"));
        // Several attempts with a wrong password could lock the account.
        let is_wrong = |request: &&ReceivedRequest| {
            request.authorization.as_deref().is_some_and(|header| ![SOURCE_HEADER, TARGET_HEADER].contains(&header))
        };
        assert_eq!(proxy.requests().iter().skip(before).filter(is_wrong).count(), 1, "{flag}");
    }
    // The source's credentials are never used for a repository that is written.
    let same = ["copy", "HOST/parts:amd64", "HOST/parts:v2"];
    let outcome = run_without_leaks(&workspace, &[&same[..], &BOTH[..3]].concat(), &[], "secret-word\n");
    let warning = "--source-username is not used: no source is in a registry, except in a target's repository\n";
    outcome.exits(1).stderr_contains(warning).stderr_contains("no credentials for");
}

/// A token for a mount needs both repositories. The target's user has no access to the source's repository here.
#[test]
fn a_mount_that_no_token_allows_falls_back_to_an_upload() {
    for is_refused in [false, true] {
        let service = TokenService::start(
            |user, repository, action| {
                let owner = if repository == "parts" { "user" } else { "pusher" };
                authenticated_only(user, repository, action) && user == Some(owner)
            },
            300,
            move |request| {
                // Some services refuse to grant a part of the scopes.
                let is_foreign = request.line.contains("account=pusher") && request.line.contains("parts");
                (is_refused && is_foreign).then(|| (403, vec![], vec![]))
            },
        );
        let certificates = tempfile::tempdir().unwrap();
        let authorization = service.mint(&["parts", "whole"]);
        let registry = Registry::start_with(&service.registry_config(certificates.path()), Some(authorization));
        push_image(&registry, "parts", "amd64", "amd64");
        let workspace = Workspace::new().flags(&["--plain-http"]).placeholder("HOST", &registry.host);
        let push = push_args("linux/amd64", "HOST/parts:ARCH", "HOST/whole:v1");
        run_without_leaks(&workspace, &[&push[..], &BOTH].concat(), &[], PASSWORDS).success();
        assert!(registry.manifest("whole", "v1").is_some());
        let requests = registry.requests(0);
        assert!(requests.iter().any(|line| line.starts_with("PUT /v2/whole/blobs/")), "{requests:?}");
        for request in service.token_requests() {
            let (line, authorization) = (&request.line, request.authorization.as_deref());
            let expected = if line.contains("account=user") { SOURCE_HEADER } else { TARGET_HEADER };
            assert_eq!(authorization, Some(expected), "{line}");
            let is_sources = line.contains("account=user");
            assert!(!is_sources || !line.contains("whole"), "the source's user asks for the target: {line}");
        }
    }
}
