//! `login` and `logout`: checked first, stored as Docker stores.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use serde_json::{Value, json};

use super::{auth, registry_with_htpasswd, tool};
use crate::support::images::push_image;
use crate::support::token_service::closed;
use crate::support::{Outcome, Registry, Scripted, TokenService};

fn login(folder: &tempfile::TempDir, host: &str, password: &str) -> Outcome {
    tool(folder, &["login", host, "--username", "user", "--password-stdin"], &[], password)
}

fn config(folder: &tempfile::TempDir) -> Value {
    serde_json::from_slice(&std::fs::read(folder.path().join(".docker/config.json")).unwrap()).unwrap()
}

#[test]
fn a_login_is_checked_stored_used_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry_with_htpasswd(&folder);
    push_image(&registry, "app", "v1", "amd64");
    let host = registry.host.as_str();
    let file = folder.path().join(".docker/config.json");

    let wrong = login(&folder, host, "wrong");
    let part = format!(
        "error: {host} refused the credentials from this login (HTTP 401; registry says: UNAUTHORIZED: authentication required)\n"
    );
    assert!(wrong.exit == 1 && wrong.stderr.ends_with(&part), "{wrong:?}");
    assert!(!file.exists(), "nothing is stored that was refused");

    let good = login(&folder, host, "secret-word\n");
    let last = format!("signed in to {host} as user; stored in {}, not encrypted\n", file.display());
    assert!(good.exit == 0 && good.stdout.is_empty() && good.stderr.ends_with(&last), "{good:?}");
    assert_eq!(config(&folder), json!({"auths": {host: {"auth": auth()}}}));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(file.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    let reference = format!("{host}/app:v1");
    assert_eq!(tool(&folder, &["inspect", &reference], &[], "").exit, 0);

    let out = tool(&folder, &["logout", host], &[], "");
    let said = format!("removed the credentials for {host} from {}\n", file.display());
    assert_eq!((out.exit, out.stderr.as_str()), (0, said.as_str()));
    assert_eq!(tool(&folder, &["inspect", &reference], &[], "").exit, 1);
    let again = tool(&folder, &["logout", host], &[], "");
    assert_eq!((again.exit, again.stderr), (0, format!("no credentials for {host} are stored\n")));
}

#[test]
fn docker_and_skopeo_read_what_was_stored() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry_with_htpasswd(&folder);
    push_image(&registry, "app", "v1", "amd64");
    assert_eq!(login(&folder, &registry.host, "secret-word").exit, 0);
    let file = folder.path().join(".docker/config.json");
    let status = Command::new("skopeo")
        .args(["inspect", "--raw", "--tls-verify=false", "--authfile", file.to_str().unwrap()])
        .arg(format!("docker://{}/app:v1", registry.host))
        .output()
        .unwrap();
    assert!(status.status.success(), "{status:?}");
}

#[test]
fn all_else_in_the_file_stays_and_a_link_stays_a_link() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry_with_htpasswd(&folder);
    let host = registry.host.as_str();
    let real = folder.path().join("dotfiles.json");
    let before = json!({
        "detachKeys": "ctrl-e,e", "auths": {"other.example": {"auth": "eDp5"}, host: {"auth": "b2xk", "email": "x"}},
        "plugins": {"z": {"a": "1"}, "a": [1, 2.5, null]}, "HttpHeaders": {"X": "ü"},
    });
    std::fs::write(&real, before.to_string()).unwrap();
    std::fs::create_dir(folder.path().join(".docker")).unwrap();
    std::os::unix::fs::symlink(&real, folder.path().join(".docker/config.json")).unwrap();
    assert_eq!(login(&folder, host, "secret-word").exit, 0);
    let mut expected = before.clone();
    expected["auths"][host] = json!({"auth": auth()});
    let text = std::fs::read_to_string(&real).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
    let keys: Vec<&str> = text.lines().filter(|line| line.starts_with("\t\"")).collect();
    assert_eq!(keys.len(), 4, "Docker's indent: {text}");
    assert!(
        keys[0].starts_with("\t\"detachKeys\"") && keys[3].starts_with("\t\"HttpHeaders\""),
        "the order stays: {text}"
    );
    assert!(std::fs::symlink_metadata(folder.path().join(".docker/config.json")).unwrap().is_symlink());
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().flatten().map(|e| e.file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with(".config.json")), "no temporary file: {left:?}");

    tool(&folder, &["logout", host], &[], "");
    expected["auths"].as_object_mut().unwrap().remove(host);
    assert_eq!(config(&folder), expected);
}

/// Numbers and layout of what is not ours stay as they were written.
#[test]
fn the_bytes_of_other_parts_stay() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry_with_htpasswd(&folder);
    std::fs::create_dir(folder.path().join(".docker")).unwrap();
    let file = folder.path().join(".docker/config.json");
    std::fs::write(&file, "{\n  \"n\": [ 1.10,123456789012345678901234567890 ],\n  \"auths\": {}\n}\n").unwrap();
    assert_eq!(login(&folder, &registry.host, "secret-word").exit, 0);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("\"n\": [ 1.10,123456789012345678901234567890 ],"), "{text}");
    // A link to a file that is not there yet makes that file.
    std::fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink("../elsewhere.json", &file).unwrap();
    assert_eq!(login(&folder, &registry.host, "secret-word").exit, 0);
    assert!(std::fs::symlink_metadata(&file).unwrap().is_symlink() && folder.path().join("elsewhere.json").exists());
    // A folder that is not there yet is made, as with `docker --config`.
    let args = ["login", &registry.host, "-u", "user", "--password-stdin", "--docker-cfg", "new/folder"];
    assert_eq!(tool(&folder, &args, &[], "secret-word").exit, 0);
    assert!(folder.path().join("new/folder/config.json").is_file());
}

/// Where what was stored is not what will be used, or something else is still used, that is said.
#[test]
fn other_sources_are_pointed_out() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry_with_htpasswd(&folder);
    let host = registry.host.as_str();
    let other = format!(r#"{{"auths":{{"{host}":{{"auth":"eDp5"}}}}}}"#);
    let environment = [("DOCKER_AUTH_CONFIG", other.as_str())];
    let args = ["login", host, "--username", "user", "--password-stdin"];
    let stored = tool(&folder, &args, &environment, "secret-word");
    let warning = format!("warning: the credentials for {host} from DOCKER_AUTH_CONFIG come first\n");
    assert!(stored.exit == 0 && stored.stderr.ends_with(&warning), "{stored:?}");
    let out = tool(&folder, &["logout", host], &environment, "");
    let warning = format!("warning: the credentials for {host} from DOCKER_AUTH_CONFIG are still used\n");
    assert!(out.exit == 0 && out.stderr.ends_with(&warning), "{out:?}");
}

#[test]
fn a_file_that_cannot_be_read_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry_with_htpasswd(&folder);
    std::fs::create_dir(folder.path().join(".docker")).unwrap();
    let file = folder.path().join(".docker/config.json");
    for text in ["{\"auths\": ", "[]", "{\"auths\": []}"] {
        std::fs::write(&file, text).unwrap();
        let outcome = login(&folder, &registry.host, "secret-word");
        assert!(outcome.exit == 1 && outcome.stderr.contains("config.json"), "{outcome:?}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    }
}

#[test]
fn a_helper_keeps_them_where_one_is_configured() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry_with_htpasswd(&folder);
    push_image(&registry, "app", "v1", "amd64");
    let host = registry.host.as_str();
    let helper = folder.path().join("docker-credential-test");
    let script = "#!/bin/sh\ncase $1 in\nstore) cat >\"$HOME/kept\";;\n\
        get) [ -f \"$HOME/kept\" ] && sed 's/\"ServerURL\":\"[^\"]*\",//' \"$HOME/kept\" || { echo credentials not found; exit 1; };;\n\
        erase) read -r host; [ -f \"$HOME/kept\" ] || { echo credentials not found; exit 1; }; rm \"$HOME/kept\";;\nesac\n";
    std::fs::write(&helper, script).unwrap();
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let environment = [("PATH", path.as_str())];
    std::fs::create_dir(folder.path().join(".docker")).unwrap();
    std::fs::write(folder.path().join(".docker/config.json"), r#"{"credsStore":"test"}"#).unwrap();

    let args = ["login", host, "--username", "user", "--password-stdin"];
    let good = tool(&folder, &args, &environment, "secret-word");
    assert!(good.exit == 0 && good.stderr.ends_with("as user; stored by docker-credential-test\n"), "{good:?}");
    assert_eq!(config(&folder), json!({"credsStore": "test", "auths": {host: {}}}), "no secret in the file");
    let kept: Value = serde_json::from_slice(&std::fs::read(folder.path().join("kept")).unwrap()).unwrap();
    assert_eq!(kept, json!({"ServerURL": host, "Username": "user", "Secret": "secret-word"}));
    let reference = format!("{host}/app:v1");
    assert_eq!(tool(&folder, &["inspect", &reference], &environment, "").exit, 0);
    assert_eq!(tool(&folder, &["logout", host], &environment, "").exit, 0);
    assert!(!folder.path().join("kept").exists());
    assert_eq!(config(&folder), json!({"credsStore": "test", "auths": {}}));
    let again = tool(&folder, &["logout", host], &environment, "");
    assert_eq!((again.exit, again.stderr), (0, format!("no credentials for {host} are stored\n")));
}

#[test]
fn a_token_service_checks_a_login_too() {
    let folder = tempfile::tempdir().unwrap();
    let service = TokenService::start(closed, 300, |_| None);
    let registry = Registry::start_with(&service.registry_config(folder.path()), None);
    assert_eq!(login(&folder, &registry.host, "secret-word").exit, 0);
    let wrong = login(&folder, &registry.host, "wrong");
    assert!(wrong.exit == 1 && wrong.stderr.contains("the token service of"), "{wrong:?}");
    assert_eq!(service.token_requests().len(), 2);
}

#[test]
fn a_registry_that_asks_for_none_is_said_and_one_that_is_none_refused() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::start();
    let open = login(&folder, &registry.host, "secret-word");
    let warning = format!("warning: {} asks for no credentials, so these could not be checked\n", registry.host);
    assert!(open.exit == 0 && open.stderr.contains(&warning), "{open:?}");
    // Anyone may read, and still it names where to sign in.
    let names = Scripted::start(|asked, host| match asked.authorization.as_deref() {
        _ if asked.line.starts_with("GET /token") => (403, vec![], vec![]),
        _ => (200, vec![("WWW-Authenticate", format!("Bearer realm=\"http://{host}/token\""))], vec![]),
    });
    let login = |host: &str| {
        tool(&folder, &["--plain-http", "login", host, "--username", "user", "--password-stdin"], &[], "secret-word")
    };
    let refused = login(&names.host);
    assert!(refused.exit == 1 && refused.stderr.contains("HTTP 403"), "{refused:?}");
    let none = Scripted::start(|_, _| (404, vec![], b"not here".to_vec()));
    let outcome = login(&none.host);
    assert!(outcome.exit == 1 && outcome.stderr.contains("HTTP 404; registry says: not here"), "{outcome:?}");
}

#[test]
fn without_a_terminal_nothing_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    for (args, part) in [
        (&["login", "r.invalid"][..], "no user name is given: --username U"),
        (&["login", "r.invalid", "--username", "u"], "no password is given: --password-stdin"),
        (&["login", "ghcr"], "\"ghcr\" is not a registry's HOST[:PORT]"),
        (&["logout", "r.invalid/app"], "\"r.invalid/app\" is not a registry's HOST[:PORT]"),
        (&["login"], "<HOST>"),
    ] {
        let outcome = tool(&folder, args, &[], "");
        assert!(outcome.exit == 2 && outcome.stderr.contains(part), "{args:?}: {outcome:?}");
    }
}

/// What a user at a terminal sees and types; `script` makes the terminal.
struct Terminal {
    child: std::process::Child,
    shown: String,
}

impl Terminal {
    fn start(folder: &tempfile::TempDir, command: &str) -> Self {
        let child = Command::new("script")
            .args(["-qec", command, "/dev/null"])
            .env("HOME", folder.path())
            .env_remove("DOCKER_CONFIG")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        Self { child, shown: String::new() }
    }

    fn read_until(&mut self, text: &str) {
        let screen = self.child.stdout.as_mut().unwrap();
        let mut byte = [0];
        while !self.shown.ends_with(text) && screen.read(&mut byte).unwrap() == 1 {
            self.shown.push(byte[0] as char);
        }
    }

    fn type_in(&mut self, keys: &[u8]) {
        // A prompt is written before the echo is off.
        std::thread::sleep(std::time::Duration::from_millis(300));
        self.child.stdin.as_mut().unwrap().write_all(keys).unwrap();
    }
}

#[test]
fn a_terminal_is_asked_and_does_not_echo() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry_with_htpasswd(&folder);
    let host = registry.host.as_str();
    let mut terminal = Terminal::start(&folder, &format!("{} login {host}", env!("CARGO_BIN_EXE_manifest-tool")));
    terminal.read_until(&format!("user name for {host}: "));
    terminal.type_in(b"user\n");
    terminal.read_until(&format!("password of user for {host}: "));
    terminal.type_in(b"secret-word\n");
    terminal.read_until("not encrypted");
    let shown = &terminal.shown;
    assert!(shown.contains("signed in to ") && !shown.contains("secret-word"), "{shown}");
    assert!(terminal.child.wait().unwrap().success());
    assert_eq!(config(&folder), json!({"auths": {host: {"auth": auth()}}}));
}

#[test]
fn ctrl_c_at_the_password_gives_the_echo_back() {
    let folder = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_manifest-tool");
    let script = format!("sh -c 'trap : INT; {program} login -u user r.invalid; echo exit $?; stty -a'");
    let mut terminal = Terminal::start(&folder, &script);
    terminal.read_until("password of user for r.invalid: ");
    terminal.type_in(b"\x03");
    terminal.read_until("echoctl");
    let shown = &terminal.shown;
    assert!(shown.contains("exit 130") && shown.contains(" echo ") && !shown.contains("-echo "), "{shown}");
}
