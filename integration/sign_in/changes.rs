//! Concurrent changes of Docker's configuration file, and what they must preserve.

use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::PathBuf;
use std::process::Child;

use serde_json::{Value, json};

use crate::support::{ScriptedServer, Workspace, signal, spawn, wait};

/// A workspace whose requests go through a proxy that acts as registries of any name and accepts every login.
struct LoginFixture {
    workspace: Workspace,
    proxy: ScriptedServer,
}

impl LoginFixture {
    fn new() -> Self {
        let proxy = ScriptedServer::start(|_, _| (200, vec![], vec![]));
        let workspace = Workspace::new()
            .flags(&["--plain-http"])
            .env("HTTP_PROXY", &format!("http://{}", proxy.host))
            .env("MANIFEST_TOOL_USERNAME", "user")
            .env("MANIFEST_TOOL_PASSWORD", "secret-word");
        std::fs::create_dir(workspace.path(".docker")).unwrap();
        Self { workspace, proxy }
    }

    fn spawn(&self, args: &[&str]) -> Child {
        spawn(self.workspace.command(args))
    }

    fn spawn_login(&self, host: &str) -> Child {
        self.spawn(&["login", host])
    }

    /// Returns the path of a file in Docker's configuration folder.
    fn docker(&self, name: &str) -> PathBuf {
        self.workspace.path(".docker").join(name)
    }

    fn write_config(&self, config: &Value) {
        self.workspace.write(".docker/config.json", &config.to_string());
    }

    fn stored_hosts(&self) -> BTreeSet<String> {
        let config: Value = serde_json::from_str(&self.workspace.read(".docker/config.json")).unwrap();
        config["auths"].as_object().unwrap().keys().cloned().collect()
    }
}

fn hosts(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("r{number}.test")).collect()
}

#[test]
fn concurrent_logins_are_all_stored_and_logouts_are_not_undone() {
    let fixture = LoginFixture::new();
    for _ in 0..3 {
        let logged_out = ["x.test", "y.test"];
        let before: serde_json::Map<_, _> =
            logged_out.iter().map(|host| ((*host).to_owned(), json!({"auth": "eDp5"}))).collect();
        fixture.write_config(&json!({"auths": before}));
        let hosts = hosts(20);
        let mut children: Vec<Child> = hosts.iter().map(|host| fixture.spawn_login(host)).collect();
        children.extend(logged_out.map(|host| fixture.spawn(&["logout", host])));
        for child in children {
            wait(child).success();
        }
        assert_eq!(fixture.stored_hosts(), hosts.into_iter().collect());
        let files: Vec<_> =
            std::fs::read_dir(fixture.docker("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(files, ["config.json"]);
    }
}

#[test]
fn logins_through_different_links_to_one_file_share_its_lock() {
    let fixture = LoginFixture::new();
    std::fs::rename(fixture.docker(""), fixture.workspace.path("real")).unwrap();
    let mut children = Vec::new();
    for (number, host) in hosts(10).iter().enumerate() {
        let link = fixture.workspace.path(&format!("link{number}.json"));
        symlink("real/config.json", &link).unwrap();
        children.push(fixture.spawn(&["login", host, "--docker-cfg", link.to_str().unwrap()]));
    }
    for child in children {
        wait(child).success();
    }
    std::fs::rename(fixture.workspace.path("real"), fixture.docker("")).unwrap();
    assert_eq!(fixture.stored_hosts(), hosts(10).into_iter().collect());
}

#[test]
fn a_login_waits_for_a_held_lock_until_the_deadline_or_a_signal() {
    let fixture = LoginFixture::new();
    let lock_file = std::fs::File::create(fixture.docker("config.json.lock")).unwrap();
    lock_file.lock().unwrap();
    let outcome = wait(fixture.spawn(&["login", "r.test", "--deadline", "1s"]));
    assert_eq!(outcome.exit, 124, "{outcome:?}");

    let before = fixture.proxy.requests().len();
    let interrupted = fixture.spawn_login("r.test");
    while fixture.proxy.requests().len() == before {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    signal(&interrupted, "INT");
    let outcome = wait(interrupted);
    assert_eq!(outcome.exit, 130, "{outcome:?}");
    assert!(!fixture.docker("config.json").exists());

    // A logout from a registry without stored credentials writes no file, and does not wait.
    wait(fixture.spawn(&["logout", "r.test"])).success();

    let waiting = fixture.spawn_login("r.test");
    std::thread::sleep(std::time::Duration::from_millis(500));
    drop(lock_file);
    let outcome = wait(waiting);
    assert_eq!(outcome.exit, 0, "a leftover lock file does not block: {outcome:?}");
    assert_eq!(fixture.stored_hosts(), ["r.test".to_owned()].into());
    assert!(!fixture.docker("config.json.lock").exists());
}

#[test]
fn a_lock_file_that_is_a_link_is_not_followed() {
    let fixture = LoginFixture::new();
    for destination in ["../victim", "/dev/null"] {
        symlink(destination, fixture.docker("config.json.lock")).unwrap();
        let outcome = wait(fixture.spawn_login("r.test"));
        let part = "config.json.lock: it is not a regular file\n";
        assert!(outcome.exit == 1 && outcome.stderr.ends_with(part), "{outcome:?}");
        assert!(!fixture.workspace.path("victim").exists() && !fixture.docker("config.json").exists());
        std::fs::remove_file(fixture.docker("config.json.lock")).unwrap();
    }
}

#[test]
fn a_configuration_that_is_not_a_regular_file_is_not_changed() {
    let fixture = LoginFixture::new();
    let file = fixture.docker("config.json");
    let fifo = fixture.workspace.path("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    for (destination, part) in [
        (fifo.to_str().unwrap(), "it is not a regular file"),
        ("/dev/null", "it is not a regular file"),
        ("/no/such/folder/config.json", "it links to /no/such/folder/config.json, whose folder does not exist"),
    ] {
        symlink(destination, &file).unwrap();
        for args in [["login", "r.test"], ["logout", "r.test"]] {
            let outcome = wait(fixture.spawn(&args));
            let error = format!("error: cannot change {}: {part}\n", file.display());
            assert!(outcome.exit == 1 && outcome.stderr.ends_with(&error), "{outcome:?}");
        }
        assert_eq!(std::fs::read_link(&file).unwrap().to_str(), Some(destination));
        std::fs::remove_file(&file).unwrap();
    }
    assert!(std::os::unix::fs::FileTypeExt::is_fifo(&std::fs::metadata(&fifo).unwrap().file_type()));
    assert!(!std::path::Path::new("/no/such").exists());
}

#[test]
fn a_login_preserves_owner_and_mode_of_the_configuration() {
    let fixture = LoginFixture::new();
    fixture.write_config(&json!({"auths": {}}));
    let file = fixture.docker("config.json");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    // Only root may change the owner; without root, the test covers the mode only.
    let _ = chown(&file, Some(1234), Some(4321));
    let before = std::fs::metadata(&file).unwrap();
    wait(fixture.spawn_login("r.test")).success();
    let after = std::fs::metadata(&file).unwrap();
    assert_eq!(fixture.stored_hosts().len(), 1);
    assert_eq!((after.uid(), after.gid(), after.mode()), (before.uid(), before.gid(), before.mode()));
}
