//! Concurrent changes to a configuration, and what they must not change.

use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::PathBuf;
use std::process::{Child, Command};

use serde_json::{Value, json};

use crate::support::{Scripted, command, end, signal, start};

/// A home, and a proxy that stands for registries of any name, which let anyone in.
struct Scene {
    folder: tempfile::TempDir,
    proxy: Scripted,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(".docker")).unwrap();
        Self { folder, proxy: Scripted::start(|_, _| (200, vec![], vec![])) }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = command(self.folder.path(), &[&["--plain-http"], args].concat());
        command.env("HTTP_PROXY", format!("http://{}", self.proxy.host));
        command.env("MANIFEST_TOOL_USERNAME", "user").env("MANIFEST_TOOL_PASSWORD", "secret-word");
        command
    }

    fn login(&self, host: &str) -> Child {
        start(self.command(&["login", host]))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(".docker").join(name)
    }

    fn write(&self, config: &Value) {
        std::fs::write(self.file("config.json"), config.to_string()).unwrap();
    }

    fn hosts(&self) -> BTreeSet<String> {
        let config: Value = serde_json::from_slice(&std::fs::read(self.file("config.json")).unwrap()).unwrap();
        config["auths"].as_object().unwrap().keys().cloned().collect()
    }
}

fn registries(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("r{number}.test")).collect()
}

#[test]
fn logins_at_once_are_all_kept_and_logouts_stay() {
    let scene = Scene::new();
    for _ in 0..3 {
        let gone = ["x.test", "y.test"];
        let before: serde_json::Map<_, _> =
            gone.iter().map(|host| ((*host).to_owned(), json!({"auth": "eDp5"}))).collect();
        scene.write(&json!({"auths": before}));
        let hosts = registries(20);
        let mut all: Vec<Child> = hosts.iter().map(|host| scene.login(host)).collect();
        all.extend(gone.map(|host| start(scene.command(&["logout", host]))));
        for child in all {
            let outcome = end(child);
            assert_eq!(outcome.exit, 0, "{outcome:?}");
        }
        assert_eq!(scene.hosts(), hosts.into_iter().collect());
        let left: Vec<_> = std::fs::read_dir(scene.file("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["config.json"]);
    }
}

#[test]
fn the_lock_is_shared_by_every_link_to_a_file() {
    let scene = Scene::new();
    std::fs::rename(scene.file(""), scene.folder.path().join("real")).unwrap();
    let mut all = Vec::new();
    for (number, host) in registries(10).iter().enumerate() {
        let link = scene.folder.path().join(format!("link{number}.json"));
        symlink("real/config.json", &link).unwrap();
        all.push(start(scene.command(&["login", host, "--docker-cfg", link.to_str().unwrap()])));
    }
    assert!(all.into_iter().all(|child| end(child).exit == 0));
    std::fs::rename(scene.folder.path().join("real"), scene.file("")).unwrap();
    assert_eq!(scene.hosts(), registries(10).into_iter().collect());
}

#[test]
fn a_lock_that_is_held_is_waited_for_until_the_run_is_to_end() {
    let scene = Scene::new();
    let held = std::fs::File::create(scene.file("config.json.lock")).unwrap();
    held.lock().unwrap();
    let outcome = end(start(scene.command(&["login", "r.test", "--deadline", "1s"])));
    assert_eq!(outcome.exit, 124, "{outcome:?}");

    let before = scene.proxy.asked().len();
    let interrupted = scene.login("r.test");
    while scene.proxy.asked().len() == before {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    signal(&interrupted, "INT");
    let outcome = end(interrupted);
    assert_eq!(outcome.exit, 130, "{outcome:?}");
    assert!(!scene.file("config.json").exists());

    // A logout that has nothing to remove changes nothing, and does not wait.
    let outcome = end(start(scene.command(&["logout", "r.test"])));
    assert_eq!(outcome.exit, 0, "{outcome:?}");

    let waiting = scene.login("r.test");
    std::thread::sleep(std::time::Duration::from_millis(500));
    drop(held);
    let outcome = end(waiting);
    assert_eq!(outcome.exit, 0, "a lock file that another process left behind does not block: {outcome:?}");
    assert_eq!(scene.hosts(), ["r.test".to_owned()].into());
    assert!(!scene.file("config.json.lock").exists());
}

#[test]
fn a_lock_file_that_is_a_link_is_not_followed() {
    let scene = Scene::new();
    for to in ["../victim", "/dev/null"] {
        symlink(to, scene.file("config.json.lock")).unwrap();
        let outcome = end(scene.login("r.test"));
        let part = "config.json.lock: it is not a regular file\n";
        assert!(outcome.exit == 1 && outcome.stderr.ends_with(part), "{outcome:?}");
        assert!(!scene.folder.path().join("victim").exists() && !scene.file("config.json").exists());
        std::fs::remove_file(scene.file("config.json.lock")).unwrap();
    }
}

#[test]
fn what_is_no_regular_file_is_left_as_it_is() {
    let scene = Scene::new();
    let file = scene.file("config.json");
    let fifo = scene.folder.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    for (to, part) in [
        (fifo.to_str().unwrap(), "it is not a regular file"),
        ("/dev/null", "it is not a regular file"),
        ("/no/such/folder/config.json", "it links to /no/such/folder/config.json, whose folder does not exist"),
    ] {
        symlink(to, &file).unwrap();
        for args in [["login", "r.test"], ["logout", "r.test"]] {
            let outcome = end(start(scene.command(&args)));
            let error = format!("error: cannot change {}: {part}\n", file.display());
            assert!(outcome.exit == 1 && outcome.stderr.ends_with(&error), "{outcome:?}");
        }
        assert_eq!(std::fs::read_link(&file).unwrap().to_str(), Some(to));
        std::fs::remove_file(&file).unwrap();
    }
    assert!(std::os::unix::fs::FileTypeExt::is_fifo(&std::fs::metadata(&fifo).unwrap().file_type()));
    assert!(!std::path::Path::new("/no/such").exists());
}

#[test]
fn owner_and_mode_of_the_file_stay() {
    let scene = Scene::new();
    scene.write(&json!({"auths": {}}));
    let file = scene.file("config.json");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    // Only root can give it away.
    let _ = chown(&file, Some(1234), Some(4321));
    let before = std::fs::metadata(&file).unwrap();
    assert_eq!(end(scene.login("r.test")).exit, 0);
    let after = std::fs::metadata(&file).unwrap();
    assert_eq!(scene.hosts().len(), 1);
    assert_eq!((after.uid(), after.gid(), after.mode()), (before.uid(), before.gid(), before.mode()));
}
