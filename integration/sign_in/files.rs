//! Credentials from Docker's and Podman's files and from credential helpers, with a registry that checks them.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use super::{push_args, run_without_leaks};
use crate::support::images::push_image;
use crate::support::{LOGIN, Outcome, Registry, Sandbox, basic_credentials};

/// A sandbox whose registry requires credentials and has the image `team/app:v1`.
struct CredentialsFixture {
    sandbox: Sandbox,
}

impl CredentialsFixture {
    fn new() -> Self {
        let sandbox = Sandbox::with_registry(Registry::with_htpasswd());
        push_image(&sandbox.registry, "team/app", "v1", "amd64");
        Self { sandbox }
    }

    /// Writes a file in the home folder, and returns its path.
    fn write(&self, path: &str, text: &str) -> String {
        self.sandbox.write(path, text).to_str().unwrap().to_owned()
    }

    fn path(&self, name: &str) -> String {
        self.sandbox.path(name).to_str().unwrap().to_owned()
    }

    fn remove(&self, path: &str) {
        std::fs::remove_file(self.sandbox.path(path)).unwrap();
    }

    fn inspect(&self, more: &[&str], environment: &[(&str, &str)]) -> Outcome {
        run_without_leaks(&self.sandbox, &[&["inspect", "HOST/team/app:v1"], more].concat(), environment, "")
    }

    /// Asserts that `inspect` succeeds with credentials from `source`, and resolves them only once.
    #[track_caller]
    fn assert_used(&self, more: &[&str], environment: &[(&str, &str)], source: &str) {
        let outcome = self.inspect(more, environment);
        let line = format!("credentials for {}: from {source}", self.sandbox.registry.host);
        assert!(outcome.exit == 0, "{source}: {outcome:?}");
        let log = outcome.debug_log();
        let looked_up: Vec<&&str> = log.iter().filter(|line| line.starts_with("credentials for ")).collect();
        assert_eq!(looked_up, [&line.as_str()], "resolved once: {outcome:?}");
    }

    /// Writes a credential helper that logs each call to `helper.log`, and returns a PATH that contains it.
    fn write_helper(&self, name: &str, script: &str) -> String {
        let log = r#"read -r host; echo "$1 $host" >>"$HOME/helper.log""#;
        self.write_executable(&format!("bin/docker-credential-{name}"), &format!("#!/bin/sh\n{log}\n{script}\n"));
        format!("{}:{}", self.path("bin"), std::env::var("PATH").unwrap())
    }

    fn write_executable(&self, path: &str, script: &str) {
        let file = self.write(path, script);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// Returns a configuration with valid credentials under `key`.
fn valid_config(key: &str) -> String {
    format!(r#"{{"auths":{{"{key}":{{"auth":"{}"}}}}}}"#, basic_credentials())
}

#[test]
fn sources_of_credentials_are_read_in_documented_order() {
    let fixture = CredentialsFixture::new();
    let valid = valid_config("HOST");
    // From lowest to highest precedence: each source overrides those before it.
    let home_podman = fixture.write(".config/containers/auth.json", &valid);
    fixture.assert_used(&[], &[], &home_podman);
    let config_podman = fixture.write("xdg/containers/auth.json", &valid);
    let xdg_config = fixture.path("xdg");
    fixture.assert_used(&[], &[("XDG_CONFIG_HOME", &xdg_config)], &config_podman);
    let run_podman = fixture.write("run/containers/auth.json", &valid);
    let xdg_run = fixture.path("run");
    fixture.assert_used(&[], &[("XDG_RUNTIME_DIR", &xdg_run)], &run_podman);
    let named_podman = fixture.write("podman.json", &valid);
    let environment = [("XDG_RUNTIME_DIR", xdg_run.as_str()), ("REGISTRY_AUTH_FILE", &named_podman)];
    fixture.assert_used(&[], &environment, &named_podman);

    let docker = fixture.write(".docker/config.json", &valid);
    fixture.assert_used(&[], &[("REGISTRY_AUTH_FILE", &named_podman)], &docker);
    let other_docker = fixture.write("elsewhere/config.json", &valid);
    let docker_config = fixture.path("elsewhere");
    fixture.assert_used(&[], &[("DOCKER_CONFIG", &docker_config)], &other_docker);
    let environment = [("DOCKER_AUTH_CONFIG", valid.as_str()), ("DOCKER_CONFIG", &docker_config)];
    fixture.assert_used(&[], &environment, "DOCKER_AUTH_CONFIG");
    let named = fixture.write("named/config.json", &valid);
    let environment = [("DOCKER_AUTH_CONFIG", valid.as_str())];
    fixture.assert_used(&["--docker-cfg", &named], &environment, &named);
    fixture.assert_used(&["--docker-cfg", Path::new(&named).parent().unwrap().to_str().unwrap()], &environment, &named);
    fixture.assert_used(&LOGIN, &environment, "--username");

    // A file without an entry for the host is skipped.
    fixture.write(".docker/config.json", r#"{"auths":{"other.example":{"auth":"eDp5"}}}"#);
    fixture.assert_used(&[], &[("DOCKER_AUTH_CONFIG", "{}")], &home_podman);
}

/// Podman writes this file if `XDG_RUNTIME_DIR` is unset, as root and in containers.
#[test]
fn podmans_file_below_run_containers_is_read_without_xdg_runtime_dir() {
    let fixture = CredentialsFixture::new();
    let folder = format!("/run/containers/{}", std::fs::metadata("/proc/self").unwrap().uid());
    let file = format!("{folder}/auth.json");
    // Only root can create the folder, and a file that exists belongs to this machine: skip the test.
    if Path::new(&file).exists() || std::fs::create_dir_all(&folder).is_err() {
        return;
    }
    std::fs::write(&file, fixture.sandbox.fill(&valid_config("HOST"))).unwrap();
    let without = fixture.inspect(&[], &[]);
    let with_runtime_folder = fixture.inspect(&[], &[("XDG_RUNTIME_DIR", "/nowhere")]);
    std::fs::remove_file(&file).unwrap();
    let line = format!("credentials for {}: from {file}", fixture.sandbox.registry.host);
    assert!(without.exit == 0 && without.debug_log().contains(&line.as_str()), "{without:?}");
    assert_eq!(with_runtime_folder.exit, 1, "{with_runtime_folder:?}");
}

#[test]
fn every_form_of_an_entry_and_its_key_is_accepted() {
    let fixture = CredentialsFixture::new();
    let auth = basic_credentials();
    for (key, entry) in [
        ("HOST", format!(r#"{{"auth":"{auth}"}}"#)),
        ("HOST", r#"{"username":"user","password":"secret-word"}"#.into()),
        ("https://HOST", format!(r#"{{"auth":"{auth}"}}"#)),
        ("HTTPS://HOST", format!(r#"{{"auth":"{auth}"}}"#)),
        ("Https://HOST/v2/", format!(r#"{{"auth":"{auth}"}}"#)),
        // Line breaks as `base64` inserts them.
        ("HOST", format!(r#"{{"auth":"{}\n{}\r\n"}}"#, &auth[..6], &auth[6..])),
        ("http://HOST/v1/", format!(r#"{{"auth":"{auth}","email":"x@example"}}"#)),
    ] {
        let file = fixture.write(".docker/config.json", &format!(r#"{{"auths":{{"{key}":{entry}}}}}"#));
        fixture.assert_used(&[], &[], &file);
    }
    fixture.remove(".docker/config.json");
    for key in ["HOST/team/app", "HOST/team"] {
        let text = format!(r#"{{"auths":{{"{key}":{{"auth":"{auth}"}},"HOST":{{"auth":"eDp5"}}}}}}"#);
        let file = fixture.write(".config/containers/auth.json", &text);
        fixture.assert_used(&[], &[], &format!("{file} ({})", fixture.sandbox.fill(key)));
    }
}

#[test]
fn an_invalid_file_is_named_without_showing_its_content() {
    let fixture = CredentialsFixture::new();
    let file = fixture.write(".docker/config.json", r#"{"auths": {"x": "secret-word" "#);
    fixture.inspect(&[], &[]).fails(1, &format!("{file} is not valid JSON (line 1"));
    fixture.write(".docker/config.json", &valid_config("HOST").replace(&basic_credentials(), "%%%secret-word"));
    fixture.inspect(&[], &[]).fails(1, "cannot be read");
    fixture.inspect(&["--docker-cfg", "no-such-folder"], &[]).fails(1, "cannot read no-such-folder");
}

#[test]
fn credential_helpers_supply_credentials_or_fail_with_a_reason() {
    let fixture = CredentialsFixture::new();
    let host = fixture.sandbox.registry.host.clone();
    let path = fixture.write_helper("good", r#"echo '{"Username":"user","Secret":"secret-word"}'"#);
    fixture.write_helper("empty", "echo credentials not found in native keychain; exit 1");
    fixture.write_helper("bad", "echo secret-word is broken; echo secret-word >&2; exit 1");
    fixture.write_helper("odd", "echo secret-word");
    let environment = [("PATH", path.as_str())];

    for config in [r#"{"credsStore":"good"}"#, r#"{"credHelpers":{"HOST":"good"},"credsStore":"bad"}"#] {
        fixture.write(".docker/config.json", config);
        fixture.assert_used(&[], &environment, "docker-credential-good");
    }
    assert_eq!(fixture.sandbox.read("helper.log"), format!("get {host}\n").repeat(2), "one call per run");

    // A run with several repositories on one host calls the helper once.
    push_image(&fixture.sandbox.registry, "other/app", "v1", "arm64");
    let push = push_args("linux/amd64,linux/arm64", "HOST/OS/ARCH:v1", "HOST/whole:v1");
    run_without_leaks(&fixture.sandbox, &push, &environment, "");
    assert_eq!(fixture.sandbox.read("helper.log"), format!("get {host}\n").repeat(3));

    // A helper may close its input unread. The run succeeds whether or not it does so before the write.
    let unread = "#!/bin/sh\nexec <&-\necho '{\"Username\":\"user\",\"Secret\":\"secret-word\"}'\n";
    fixture.write_executable("bin/docker-credential-deaf", unread);
    fixture.write(".docker/config.json", r#"{"credsStore":"deaf"}"#);
    for _ in 0..20 {
        fixture.assert_used(&[], &environment, "docker-credential-deaf");
    }

    // A helper without credentials is not an error: the next source is used.
    let podman = fixture.write(".config/containers/auth.json", &valid_config("HOST"));
    fixture.write_helper("braces", "echo '{}'");
    fixture.write_helper("blank", r#"echo '{"ServerURL":"","Username":"","Secret":""}'"#);
    for name in ["empty", "braces", "blank"] {
        fixture.write(".docker/config.json", &format!(r#"{{"credsStore":"{name}"}}"#));
        fixture.assert_used(&[], &environment, &podman);
    }
    // Any other failure is an error: continuing without credentials would hide it (CVE-2021-41092).
    for (name, part) in [
        ("bad", "docker-credential-bad, which "),
        ("odd", "printed invalid JSON for"),
        ("gone", "is not on PATH"),
        ("../bin/good", "is not the name of a credential helper"),
    ] {
        fixture.write(".docker/config.json", &format!(r#"{{"credsStore":"{name}"}}"#));
        let outcome = fixture.inspect(&[], &environment);
        assert!(outcome.exit == 1 && outcome.stderr.contains(part), "{name}: {outcome:?}");
    }
}

/// Credentials are resolved only when the registry requires them, so an invalid configuration does not matter before.
#[test]
fn a_registry_without_authentication_starts_no_helper() {
    let fixture = CredentialsFixture::new();
    let open = Registry::start();
    push_image(&open, "app", "v1", "amd64");
    let path = fixture.write_helper("good", "exit 1");
    let reference = format!("{}/app:v1", open.host);
    for config in [r#"{"credsStore":"good"}"#, "{broken"] {
        fixture.write(".docker/config.json", config);
        let outcome = run_without_leaks(&fixture.sandbox, &["inspect", &reference], &[("PATH", &path)], "");
        assert_eq!(outcome.exit, 0, "{config}: {outcome:?}");
    }
    assert!(!fixture.sandbox.path("helper.log").exists());
}

#[test]
fn source_and_target_registries_each_get_their_own_credentials() {
    let target = Registry::with_htpasswd();
    let sandbox = Sandbox::with_registry(Registry::with_htpasswd())
        .with(|workspace| workspace.placeholder("TARGET", &target.host));
    push_image(&sandbox.registry, "parts", "amd64", "amd64");
    let configure = |hosts: &[&str]| {
        let entry = |host: &&str| format!(r#""{host}":{{"auth":"{}"}}"#, basic_credentials());
        let entries: Vec<String> = hosts.iter().map(entry).collect();
        sandbox.write(".docker/config.json", &format!(r#"{{"auths":{{{}}}}}"#, entries.join(",")));
    };
    let push = push_args("linux/amd64", "HOST/parts:ARCH", "TARGET/whole:v1");
    configure(&["HOST", "TARGET"]);
    run_without_leaks(&sandbox, &push, &[], "").success();
    // Credentials from flags are for the target only.
    let with_flags = [&push[..], &LOGIN].concat();
    configure(&["HOST"]);
    run_without_leaks(&sandbox, &with_flags, &[], "").success();
    configure(&[]);
    let outcome = run_without_leaks(&sandbox, &with_flags, &[], "");
    outcome.fails(1, &format!("no credentials for {}", sandbox.registry.host));
}
