//! `login` and `logout`: credentials are checked before they are stored, in Docker's format.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use indoc::indoc;
use serde_json::{Value, json};

use super::run_without_leaks;
use crate::support::images::push_image;
use crate::support::token_service::authenticated_only;
use crate::support::{Outcome, Registry, Sandbox, ScriptedServer, TokenService, Workspace, basic_credentials};

const LOGIN_ARGS: [&str; 5] = ["login", "HOST", "--username", "user", "--password-stdin"];
const CONFIG: &str = ".docker/config.json";

fn sandbox_with_htpasswd() -> Sandbox {
    Sandbox::with_registry(Registry::with_htpasswd())
}

fn login(workspace: &Workspace, password: &str) -> Outcome {
    run_without_leaks(workspace, &LOGIN_ARGS, &[], password)
}

fn config(workspace: &Workspace) -> Value {
    serde_json::from_str(&workspace.read(CONFIG)).unwrap()
}

#[test]
fn a_login_is_checked_stored_used_and_removed() {
    let sandbox = sandbox_with_htpasswd();
    push_image(&sandbox.registry, "app", "v1", "amd64");
    let host = sandbox.registry.host.as_str();
    let file = sandbox.path(CONFIG);

    let wrong = login(&sandbox, "wrong");
    let error = format!(
        "error: {host} refused the credentials from this login \
         (HTTP 401; registry says: UNAUTHORIZED: authentication required)\n\
         hint: check the user name and password\n"
    );
    assert!(wrong.exit == 1 && wrong.stderr.ends_with(&error), "{wrong:?}");
    assert!(!file.exists(), "refused credentials are not stored");

    let accepted = login(&sandbox, "secret-word\n");
    let message = format!("signed in to {host} as user; stored in {}, not encrypted\n", file.display());
    let is_reported = accepted.stdout.is_empty() && accepted.stderr.ends_with(&message);
    assert!(accepted.exit == 0 && is_reported, "{accepted:?}");
    assert_eq!(config(&sandbox), json!({"auths": {host: {"auth": basic_credentials()}}}));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(file.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    run_without_leaks(&sandbox, &["inspect", "HOST/app:v1"], &[], "").success();

    let logout = run_without_leaks(&sandbox, &["logout", "HOST"], &[], "");
    let message = format!("removed the credentials for {host} from {}\n", file.display());
    assert_eq!((logout.exit, logout.stderr.as_str()), (0, message.as_str()));
    assert_eq!(run_without_leaks(&sandbox, &["inspect", "HOST/app:v1"], &[], "").exit, 1);
    let repeated = run_without_leaks(&sandbox, &["logout", "HOST"], &[], "");
    assert_eq!((repeated.exit, repeated.stderr), (0, format!("no credentials for {host} are stored\n")));
}

#[test]
fn skopeo_reads_the_stored_credentials() {
    let sandbox = sandbox_with_htpasswd();
    push_image(&sandbox.registry, "app", "v1", "amd64");
    login(&sandbox, "secret-word").success();
    let output = Command::new("skopeo")
        .args(["inspect", "--raw", "--tls-verify=false", "--authfile", sandbox.path(CONFIG).to_str().unwrap()])
        .arg(format!("docker://{}/app:v1", sandbox.registry.host))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_login_preserves_other_settings_and_a_symbolic_link() {
    let sandbox = sandbox_with_htpasswd();
    let host = sandbox.registry.host.as_str();
    let before = json!({
        "detachKeys": "ctrl-e,e", "auths": {"other.example": {"auth": "eDp5"}, host: {"auth": "b2xk", "email": "x"}},
        "plugins": {"z": {"a": "1"}, "a": [1, 2.5, null]}, "HttpHeaders": {"X": "ü"},
    });
    let real = sandbox.write("dotfiles.json", &before.to_string());
    std::fs::create_dir(sandbox.path(".docker")).unwrap();
    std::os::unix::fs::symlink(&real, sandbox.path(CONFIG)).unwrap();
    login(&sandbox, "secret-word").success();
    let mut expected = before.clone();
    expected["auths"][host] = json!({"auth": basic_credentials()});
    let text = sandbox.read("dotfiles.json");
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
    let keys: Vec<&str> = text.lines().filter(|line| line.starts_with("\t\"")).collect();
    assert_eq!(keys.len(), 4, "indented like Docker's file: {text}");
    assert!(
        keys[0].starts_with("\t\"detachKeys\"") && keys[3].starts_with("\t\"HttpHeaders\""),
        "the order of keys is preserved: {text}"
    );
    assert!(std::fs::symlink_metadata(sandbox.path(CONFIG)).unwrap().is_symlink());
    let files: Vec<_> = std::fs::read_dir(sandbox.folder()).unwrap().flatten().map(|e| e.file_name()).collect();
    let has_temporary_file = files.iter().any(|name| name.to_string_lossy().starts_with(".config.json"));
    assert!(!has_temporary_file, "{files:?}");

    run_without_leaks(&sandbox, &["logout", "HOST"], &[], "");
    expected["auths"].as_object_mut().unwrap().remove(host);
    assert_eq!(config(&sandbox), expected);
}

#[test]
fn a_login_preserves_the_bytes_of_other_settings_and_creates_missing_files_and_folders() {
    let sandbox = sandbox_with_htpasswd();
    let text = indoc! {r#"
        {
          "n": [ 1.10,123456789012345678901234567890 ],
          "auths": {}
        }
    "#};
    let file = sandbox.write(CONFIG, text);
    login(&sandbox, "secret-word").success();
    let text = sandbox.read(CONFIG);
    assert!(text.contains("\"n\": [ 1.10,123456789012345678901234567890 ],"), "{text}");
    // A dangling link: the file it points at is created.
    std::fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink("../elsewhere.json", &file).unwrap();
    login(&sandbox, "secret-word").success();
    assert!(std::fs::symlink_metadata(&file).unwrap().is_symlink() && sandbox.path("elsewhere.json").exists());
    // A missing folder is created, as by `docker --config`.
    let args = ["login", "HOST", "-u", "user", "--password-stdin", "--docker-cfg", "new/folder"];
    run_without_leaks(&sandbox, &args, &[], "secret-word").success();
    assert!(sandbox.path("new/folder/config.json").is_file());
}

#[test]
fn login_and_logout_warn_about_sources_that_take_precedence() {
    let sandbox = sandbox_with_htpasswd();
    let environment = [("DOCKER_AUTH_CONFIG", r#"{"auths":{"HOST":{"auth":"eDp5"}}}"#)];
    let stored = run_without_leaks(&sandbox, &LOGIN_ARGS, &environment, "secret-word");
    let warning = sandbox.fill("warning: the credentials for HOST from DOCKER_AUTH_CONFIG take precedence\n");
    assert!(stored.exit == 0 && stored.stderr.ends_with(&warning), "{stored:?}");
    let logout = run_without_leaks(&sandbox, &["logout", "HOST"], &environment, "");
    let warning = sandbox.fill("warning: the credentials for HOST from DOCKER_AUTH_CONFIG are still used\n");
    assert!(logout.exit == 0 && logout.stderr.ends_with(&warning), "{logout:?}");
}

#[test]
fn an_invalid_configuration_is_not_changed() {
    let sandbox = sandbox_with_htpasswd();
    for text in ["{\"auths\": ", "[]", "{\"auths\": []}"] {
        sandbox.write(CONFIG, text);
        login(&sandbox, "secret-word").fails(1, "config.json");
        assert_eq!(sandbox.read(CONFIG), text);
    }
}

#[test]
fn credentials_are_stored_by_a_configured_helper() {
    let sandbox = sandbox_with_htpasswd();
    push_image(&sandbox.registry, "app", "v1", "amd64");
    let host = sandbox.registry.host.as_str();
    let script = indoc! {r#"
        #!/bin/sh
        case $1 in
        store) cat >"$HOME/stored";;
        get)
            [ -f "$HOME/stored" ] || { echo credentials not found; exit 1; }
            sed 's/"ServerURL":"[^"]*",//' "$HOME/stored";;
        erase)
            read -r host
            [ -f "$HOME/stored" ] || { echo credentials not found; exit 1; }
            rm "$HOME/stored";;
        esac
    "#};
    let helper = sandbox.write("docker-credential-test", script);
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", sandbox.folder().display(), std::env::var("PATH").unwrap());
    let environment = [("PATH", path.as_str())];
    sandbox.write(CONFIG, r#"{"credsStore":"test"}"#);

    let accepted = run_without_leaks(&sandbox, &LOGIN_ARGS, &environment, "secret-word");
    let message = "as user; stored by docker-credential-test\n";
    assert!(accepted.exit == 0 && accepted.stderr.ends_with(message), "{accepted:?}");
    assert_eq!(config(&sandbox), json!({"credsStore": "test", "auths": {host: {}}}), "no secret in the file");
    let stored: Value = serde_json::from_str(&sandbox.read("stored")).unwrap();
    assert_eq!(stored, json!({"ServerURL": host, "Username": "user", "Secret": "secret-word"}));
    run_without_leaks(&sandbox, &["inspect", "HOST/app:v1"], &environment, "").success();
    run_without_leaks(&sandbox, &["logout", "HOST"], &environment, "").success();
    assert!(!sandbox.path("stored").exists());
    assert_eq!(config(&sandbox), json!({"credsStore": "test", "auths": {}}));
    let repeated = run_without_leaks(&sandbox, &["logout", "HOST"], &environment, "");
    assert_eq!((repeated.exit, repeated.stderr), (0, format!("no credentials for {host} are stored\n")));
}

#[test]
fn a_login_is_checked_by_the_token_service() {
    let folder = tempfile::tempdir().unwrap();
    let service = TokenService::start(authenticated_only, 300, |_| None);
    let sandbox = Sandbox::with_registry(Registry::start_with(&service.registry_config(folder.path()), None));
    login(&sandbox, "secret-word").success();
    login(&sandbox, "wrong").fails(1, "the token service of");
    assert_eq!(service.token_requests().len(), 2);
}

#[test]
fn a_login_warns_about_a_registry_without_authentication_and_fails_on_other_servers() {
    let sandbox = Sandbox::new();
    let open = login(&sandbox, "secret-word");
    let warning = sandbox.fill("warning: HOST does not require credentials, so these could not be checked\n");
    assert!(open.exit == 0 && open.stderr.contains(&warning), "{open:?}");
    let login_to = |server: &ScriptedServer| {
        let workspace = Workspace::new().flags(&["--plain-http"]).placeholder("HOST", &server.host);
        login(&workspace, "secret-word")
    };
    // This registry allows anonymous reads, but names a token service, which refuses the credentials.
    let readable = ScriptedServer::start(|request, host| match request.authorization.as_deref() {
        _ if request.line.starts_with("GET /token") => (403, vec![], vec![]),
        _ => (200, vec![("WWW-Authenticate", format!("Bearer realm=\"http://{host}/token\""))], vec![]),
    });
    login_to(&readable).fails(1, "HTTP 403");
    let no_registry = ScriptedServer::start(|_, _| (404, vec![], b"not here".to_vec()));
    login_to(&no_registry).fails(1, "HTTP 404; registry says: not here");
}

#[test]
fn missing_login_arguments_without_a_terminal_are_usage_errors() {
    let workspace = Workspace::new();
    for (args, part) in [
        (&["login", "r.invalid"][..], "no user name given: use --username U"),
        (&["login", "r.invalid", "--username", "u"], "no password given: use --password-stdin"),
        (&["login", "ghcr"], "\"ghcr\" is not a registry's HOST[:PORT]"),
        (&["logout", "r.invalid/app"], "\"r.invalid/app\" is not a registry's HOST[:PORT]"),
        (&["login"], "<HOST>"),
    ] {
        let outcome = run_without_leaks(&workspace, args, &[], "");
        assert!(outcome.exit == 2 && outcome.stderr.contains(part), "{args:?}: {outcome:?}");
    }
}

/// A terminal in which a command runs, created by `script`.
struct Terminal {
    child: std::process::Child,
    screen: String,
}

impl Terminal {
    fn start(workspace: &Workspace, command: &str) -> Self {
        let child = Command::new("script")
            .args(["-qec", command, "/dev/null"])
            .env("HOME", workspace.folder())
            .env_remove("DOCKER_CONFIG")
            // The program does not prompt in CI.
            .env_remove("CI")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        Self { child, screen: String::new() }
    }

    fn read_until(&mut self, text: &str) {
        let output = self.child.stdout.as_mut().unwrap();
        let mut byte = [0];
        while !self.screen.ends_with(text) && output.read(&mut byte).unwrap() == 1 {
            self.screen.push(byte[0] as char);
        }
    }

    fn type_in(&mut self, keys: &[u8]) {
        // The prompt is written before the echo is turned off.
        std::thread::sleep(std::time::Duration::from_millis(300));
        self.child.stdin.as_mut().unwrap().write_all(keys).unwrap();
    }
}

#[test]
fn a_terminal_is_prompted_and_does_not_echo_the_password() {
    let sandbox = sandbox_with_htpasswd();
    let host = sandbox.registry.host.as_str();
    let mut terminal = Terminal::start(&sandbox, &format!("{} login {host}", env!("CARGO_BIN_EXE_manifest-tool")));
    terminal.read_until(&format!("user name for {host}: "));
    terminal.type_in(b"user\n");
    terminal.read_until(&format!("password of user for {host}: "));
    terminal.type_in(b"secret-word\n");
    terminal.read_until("not encrypted");
    let screen = &terminal.screen;
    assert!(screen.contains("signed in to ") && !screen.contains("secret-word"), "{screen}");
    assert!(terminal.child.wait().unwrap().success());
    assert_eq!(config(&sandbox), json!({"auths": {host: {"auth": basic_credentials()}}}));
}

#[test]
fn a_user_name_without_a_password_prompts_at_a_terminal() {
    let sandbox = sandbox_with_htpasswd();
    push_image(&sandbox.registry, "app", "v1", "amd64");
    let (program, host) = (env!("CARGO_BIN_EXE_manifest-tool"), sandbox.registry.host.as_str());
    let command = format!("{program} --plain-http digest --username user {host}/app:v1");
    for (keys, last) in [(&b"secret-word\n"[..], "sha256:"), (b"wrong\n", "leave out --username"), (b"\n", "is empty")]
    {
        let mut terminal = Terminal::start(&sandbox, &command);
        terminal.read_until(&format!("password of user for {host}: "));
        terminal.type_in(keys);
        terminal.read_until(last);
        let screen = &terminal.screen;
        assert!(screen.ends_with(last) && !screen.contains("secret-word") && !screen.contains("wrong"), "{screen}");
    }
}

/// A CI system may provide a terminal, at which a prompt would wait forever.
#[test]
fn a_user_name_without_a_password_is_a_usage_error_in_ci() {
    let workspace = Workspace::new().env("CI", "true");
    let outcome = workspace.run_in_terminal(200, &["digest", "--username", "user", "r.invalid/app:v1"]);
    assert!(outcome.exit == 2 && outcome.screen().contains("but no password is given"), "{}", outcome.screen());
}

#[test]
fn ctrl_c_at_the_password_prompt_restores_the_echo() {
    let workspace = Workspace::new();
    let program = env!("CARGO_BIN_EXE_manifest-tool");
    let script = format!("sh -c 'trap : INT; {program} login -u user r.invalid; echo exit $?; stty -a'");
    let mut terminal = Terminal::start(&workspace, &script);
    terminal.read_until("password of user for r.invalid: ");
    terminal.type_in(b"\x03");
    terminal.read_until("echoctl");
    let screen = &terminal.screen;
    assert!(screen.contains("exit 130") && screen.contains(" echo ") && !screen.contains("-echo "), "{screen}");
}
