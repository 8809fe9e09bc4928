//! Credentials from Docker's and Podman's files and from helpers, each against a registry that checks them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::{LOGIN, auth, registry_with_htpasswd, tool};
use crate::support::images::push_image;
use crate::support::{Outcome, Registry};

/// A registry with `team/app:v1`, and a folder that is the user's home.
struct Scene {
    folder: tempfile::TempDir,
    registry: Registry,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let registry = registry_with_htpasswd(&folder);
        push_image(&registry, "team/app", "v1", "amd64");
        Self { folder, registry }
    }

    fn write(&self, path: &str, text: &str) -> String {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A configuration with the right credentials under a key.
    fn good(&self, key: &str) -> String {
        format!(r#"{{"auths":{{"{key}":{{"auth":"{}"}}}}}}"#, auth())
    }

    fn inspect(&self, more: &[&str], environment: &[(&str, &str)]) -> Outcome {
        let reference = format!("{}/team/app:v1", self.registry.host);
        tool(&self.folder, &[&["inspect", &reference], more].concat(), environment, "")
    }

    #[track_caller]
    fn works(&self, more: &[&str], environment: &[(&str, &str)], source: &str) {
        let outcome = self.inspect(more, environment);
        let line = format!("debug: credentials for {}: from {source}\n", self.registry.host);
        assert!(outcome.exit == 0 && outcome.stderr.contains(&line), "{source}: {outcome:?}");
        assert_eq!(outcome.stderr.matches("debug: credentials for ").count(), 1, "looked up once: {outcome:?}");
    }

    fn forget(&self, path: &str) {
        std::fs::remove_file(self.folder.path().join(path)).unwrap();
    }
}

#[test]
fn every_file_in_its_order() {
    let scene = Scene::new();
    let host = scene.registry.host.clone();
    let good = scene.good(&host);
    // From the last to the first: each takes precedence over those before it.
    let home_podman = scene.write(".config/containers/auth.json", &good);
    scene.works(&[], &[], &home_podman);
    let config_podman = scene.write("xdg/containers/auth.json", &good);
    let xdg_config = scene.folder.path().join("xdg").display().to_string();
    scene.works(&[], &[("XDG_CONFIG_HOME", &xdg_config)], &config_podman);
    let run_podman = scene.write("run/containers/auth.json", &good);
    let xdg_run = scene.folder.path().join("run").display().to_string();
    scene.works(&[], &[("XDG_RUNTIME_DIR", &xdg_run)], &run_podman);
    let named_podman = scene.write("podman.json", &good);
    scene.works(&[], &[("XDG_RUNTIME_DIR", &xdg_run), ("REGISTRY_AUTH_FILE", &named_podman)], &named_podman);

    let docker = scene.write(".docker/config.json", &good);
    scene.works(&[], &[("REGISTRY_AUTH_FILE", &named_podman)], &docker);
    let docker_elsewhere = scene.write("elsewhere/config.json", &good);
    let elsewhere = scene.folder.path().join("elsewhere").display().to_string();
    scene.works(&[], &[("DOCKER_CONFIG", &elsewhere)], &docker_elsewhere);
    scene.works(&[], &[("DOCKER_AUTH_CONFIG", &good), ("DOCKER_CONFIG", &elsewhere)], "DOCKER_AUTH_CONFIG");
    let named = scene.write("named/config.json", &good);
    let environment = [("DOCKER_AUTH_CONFIG", good.as_str())];
    scene.works(&["--docker-cfg", &named], &environment, &named);
    scene.works(&["--docker-cfg", Path::new(&named).parent().unwrap().to_str().unwrap()], &environment, &named);
    scene.works(&super::LOGIN, &environment, "--username");

    // One without an entry for the host is passed over.
    scene.write(".docker/config.json", r#"{"auths":{"other.example":{"auth":"eDp5"}}}"#);
    scene.works(&[], &[("DOCKER_AUTH_CONFIG", "{}")], &home_podman);
}

/// Podman writes there without `XDG_RUNTIME_DIR`, as root and in containers.
#[test]
fn podmans_file_of_the_user_in_run_is_read_without_a_runtime_folder() {
    use std::os::unix::fs::MetadataExt as _;
    let scene = Scene::new();
    let folder = format!("/run/containers/{}", std::fs::metadata("/proc/self").unwrap().uid());
    let file = format!("{folder}/auth.json");
    // Only root can make it; and one that is there is this machine's own.
    if Path::new(&file).exists() || std::fs::create_dir_all(&folder).is_err() {
        return;
    }
    std::fs::write(&file, scene.good(&scene.registry.host)).unwrap();
    let (without, elsewhere) = (scene.inspect(&[], &[]), scene.inspect(&[], &[("XDG_RUNTIME_DIR", "/nowhere")]));
    std::fs::remove_file(&file).unwrap();
    let line = format!("debug: credentials for {}: from {file}\n", scene.registry.host);
    assert!(without.exit == 0 && without.stderr.contains(&line), "{without:?}");
    assert_eq!(elsewhere.exit, 1, "{elsewhere:?}");
}

#[test]
fn every_form_of_an_entry() {
    let scene = Scene::new();
    let host = scene.registry.host.clone();
    for (key, form) in [
        (host.clone(), format!(r#"{{"auth":"{}"}}"#, auth())),
        (host.clone(), r#"{"username":"user","password":"secret-word"}"#.into()),
        (format!("https://{host}"), format!(r#"{{"auth":"{}"}}"#, auth())),
        (format!("HTTPS://{host}"), format!(r#"{{"auth":"{}"}}"#, auth())),
        (format!("Https://{host}/v2/"), format!(r#"{{"auth":"{}"}}"#, auth())),
        // As `base64` wraps it.
        (host.clone(), format!(r#"{{"auth":"{}\n{}\r\n"}}"#, &auth()[..6], &auth()[6..])),
        (format!("http://{host}/v1/"), format!(r#"{{"auth":"{}","email":"x@example"}}"#, auth())),
    ] {
        let file = scene.write(".docker/config.json", &format!(r#"{{"auths":{{"{key}":{form}}}}}"#));
        scene.works(&[], &[], &file);
    }
    scene.forget(".docker/config.json");
    for key in [format!("{host}/team/app"), format!("{host}/team")] {
        let other = format!(r#""{host}":{{"auth":"eDp5"}}"#);
        let text = scene.good(&key).replace("}}}", &format!("}},{other}}}}}"));
        let file = scene.write(".config/containers/auth.json", &text);
        scene.works(&[], &[], &format!("{file} ({key})"));
    }
}

#[test]
fn a_bad_file_is_named_and_nothing_of_it_shown() {
    let scene = Scene::new();
    let file = scene.write(".docker/config.json", r#"{"auths": {"x": "secret-word" "#);
    let outcome = scene.inspect(&[], &[]);
    assert!(outcome.exit == 1 && outcome.stderr.contains(&format!("{file} is not valid JSON (line 1")), "{outcome:?}");
    scene.write(".docker/config.json", &scene.good(&scene.registry.host).replace(&auth(), "%%%secret-word"));
    let outcome = scene.inspect(&[], &[]);
    assert!(outcome.exit == 1 && outcome.stderr.contains("cannot be read"), "{outcome:?}");
    let outcome = scene.inspect(&["--docker-cfg", "no-such-folder"], &[]);
    assert!(outcome.exit == 1 && outcome.stderr.contains("cannot read no-such-folder"), "{outcome:?}");
}

/// Puts a helper on PATH; every call of it is written to a log.
fn helper(scene: &Scene, name: &str, script: &str) -> String {
    let file = scene.write(
        &format!("bin/docker-credential-{name}"),
        &format!("#!/bin/sh\nread -r host\necho \"$1 $host\" >>\"$HOME/helper.log\"\n{script}\n"),
    );
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    format!("{}:{}", scene.folder.path().join("bin").display(), std::env::var("PATH").unwrap())
}

#[test]
fn helpers() {
    let scene = Scene::new();
    let host = scene.registry.host.clone();
    let path = helper(&scene, "good", r#"echo '{"Username":"user","Secret":"secret-word"}'"#);
    helper(&scene, "empty", "echo credentials not found in native keychain; exit 1");
    helper(&scene, "bad", "echo secret-word is broken; echo secret-word >&2; exit 1");
    helper(&scene, "odd", "echo secret-word");
    let environment = [("PATH", path.as_str())];

    for config in
        [r#"{"credsStore":"good"}"#.to_owned(), format!(r#"{{"credHelpers":{{"{host}":"good"}},"credsStore":"bad"}}"#)]
    {
        scene.write(".docker/config.json", &config);
        scene.works(&[], &environment, "docker-credential-good");
    }
    let log = std::fs::read_to_string(scene.folder.path().join("helper.log")).unwrap();
    assert_eq!(log, format!("get {host}\n").repeat(2), "once in each run");

    // One process for a host, however many repositories of it are asked for.
    push_image(&scene.registry, "other/app", "v1", "arm64");
    let (template, target) = (format!("{host}/OS/ARCH:v1"), format!("{host}/whole:v1"));
    let push =
        ["push", "from-args", "--platforms", "linux/amd64,linux/arm64", "--template", &template, "--target", &target];
    tool(&scene.folder, &push, &environment, "");
    let log = std::fs::read_to_string(scene.folder.path().join("helper.log")).unwrap();
    assert_eq!(log, format!("get {host}\n").repeat(3));

    // One that does not read its input: no error, however the two race.
    let deaf = helper(&scene, "deaf", "");
    let script = "#!/bin/sh\nexec <&-\necho '{\"Username\":\"user\",\"Secret\":\"secret-word\"}'\n";
    std::fs::write(scene.folder.path().join("bin/docker-credential-deaf"), script).unwrap();
    scene.write(".docker/config.json", r#"{"credsStore":"deaf"}"#);
    for _ in 0..20 {
        scene.works(&[], &[("PATH", deaf.as_str())], "docker-credential-deaf");
    }

    // A helper that has nothing is no failure, and the next source is asked.
    let podman = scene.write(".config/containers/auth.json", &scene.good(&host));
    helper(&scene, "braces", "echo '{}'");
    helper(&scene, "blank", r#"echo '{"ServerURL":"","Username":"","Secret":""}'"#);
    for name in ["empty", "braces", "blank"] {
        scene.write(".docker/config.json", &format!(r#"{{"credsStore":"{name}"}}"#));
        scene.works(&[], &environment, &podman);
    }
    // Any other failure is one: to go on without credentials would hide it (CVE-2021-41092).
    for (name, part) in [
        ("bad", "docker-credential-bad, which "),
        ("odd", "gave an answer for"),
        ("gone", "is not on PATH"),
        ("../bin/good", "is not the name of a credential helper"),
    ] {
        scene.write(".docker/config.json", &format!(r#"{{"credsStore":"{name}"}}"#));
        let outcome = scene.inspect(&[], &environment);
        assert!(outcome.exit == 1 && outcome.stderr.contains(part), "{name}: {outcome:?}");
    }
}

/// Nothing is read or run before it is needed: who asks for no credentials does not start a helper, nor is a broken
/// configuration in the way.
#[test]
fn a_registry_that_wants_none_starts_no_helper() {
    let scene = Scene::new();
    let open = Registry::start();
    push_image(&open, "app", "v1", "amd64");
    let path = helper(&scene, "good", "exit 1");
    let reference = format!("{}/app:v1", open.host);
    for config in [r#"{"credsStore":"good"}"#, "{broken"] {
        scene.write(".docker/config.json", config);
        let outcome = tool(&scene.folder, &["inspect", &reference], &[("PATH", &path)], "");
        assert_eq!(outcome.exit, 0, "{config}: {outcome:?}");
    }
    assert!(!scene.folder.path().join("helper.log").exists());
}

/// Source and target are in registries of their own: each gets the credentials that are its own.
#[test]
fn two_registries_two_logins() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (registry_with_htpasswd(&folder), registry_with_htpasswd(&folder));
    push_image(&from, "parts", "amd64", "amd64");
    let configure = |hosts: &[&str]| {
        let entries: Vec<String> = hosts.iter().map(|host| format!(r#""{host}":{{"auth":"{}"}}"#, auth())).collect();
        std::fs::create_dir_all(folder.path().join(".docker")).unwrap();
        let config = format!(r#"{{"auths":{{{}}}}}"#, entries.join(","));
        std::fs::write(folder.path().join(".docker/config.json"), config).unwrap();
    };
    let (source, target) = (format!("{}/parts:ARCH", from.host), format!("{}/whole:v1", to.host));
    let push = ["push", "from-args", "--platforms", "linux/amd64", "--template", &source, "--target", &target];
    configure(&[&from.host, &to.host]);
    let outcome = tool(&folder, &[&["--plain-http"], &push[..]].concat(), &[], "");
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    // From the command line, for the target alone.
    configure(&[&from.host]);
    let outcome = tool(&folder, &[&["--plain-http"], &push[..], &LOGIN].concat(), &[], "");
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    configure(&[]);
    let outcome = tool(&folder, &[&["--plain-http"], &push[..], &LOGIN].concat(), &[], "");
    let part = format!("no credentials for {}", from.host);
    assert!(outcome.exit == 1 && outcome.stderr.contains(&part), "not for the source: {outcome:?}");
}
