//! Mirrors and locations of registries.conf.

use rcgen::{CertificateParams, KeyPair};

use crate::support::images::{push_attested_index, push_image};
use crate::support::{LOGIN, Outcome, Registry, ScriptedServer, Workspace, basic_credentials};

/// Nothing listens on this port.
const STOPPED: &str = "127.0.0.1:1";

/// A registry with the index `app:v1`, a mirror with a copy of it in `copies/app`, and a file that names the mirror.
struct MirrorFixture {
    registry: Registry,
    mirror: Registry,
    workspace: Workspace,
}

impl MirrorFixture {
    fn new() -> Self {
        let (registry, mirror) = (Registry::start(), Registry::start());
        push_attested_index(&registry, "app", "v1", "amd64");
        push_attested_index(&mirror, "copies/app", "v1", "amd64");
        let workspace = Workspace::new()
            .flags(&["--registries-conf=registries.conf"])
            .placeholder("HOST", &registry.host)
            .placeholder("MIRROR", &mirror.host)
            .placeholder("STOPPED", STOPPED);
        let fixture = Self { registry, mirror, workspace };
        fixture.configure("[[registry]]\nlocation = 'HOST'\n[[registry.mirror]]\nlocation = 'MIRROR/copies'\n");
        fixture
    }

    fn configure(&self, text: &str) {
        self.workspace.write("registries.conf", text);
    }

    /// Runs the program, and returns its outcome and the requests that the registry and the mirror received.
    fn run(&self, args: &[&str]) -> (Outcome, [Vec<String>; 2]) {
        let registries = [&self.registry, &self.mirror];
        let before = registries.map(|registry| registry.requests(0).len());
        let outcome = self.workspace.run(args);
        let [registry, mirror] = [0, 1].map(|at| registries[at].requests(before[at]));
        (outcome, [registry, mirror])
    }
}

#[test]
fn reads_go_to_the_mirror_and_messages_name_the_reference() {
    let fixture = MirrorFixture::new();
    let (outcome, [registry, mirror]) = fixture.run(&["--debug", "digest", "HOST/app:v1"]);
    let digest = fixture.registry.manifest("app", "v1").unwrap().digest;
    let outcome = outcome.success().stdout_contains(&digest);
    assert_eq!((registry, mirror), (vec![], vec!["HEAD /v2/copies/app/manifests/v1".to_owned()]));
    outcome.stderr_contains(&fixture.workspace.fill("HEAD http://MIRROR/v2/copies/app/manifests/v1 -> 200"));

    let (outcome, [registry, mirror]) = fixture.run(&["copy", "HOST/app:v1", "oci:out:v1"]);
    outcome.success();
    assert!(registry.is_empty() && mirror.iter().any(|line| line.contains("/blobs/")), "{registry:?} {mirror:?}");

    // A tag that neither has: the error is that of the registry.
    let (outcome, [registry, mirror]) = fixture.run(&["inspect", "HOST/app:none"]);
    outcome.fails(1, &fixture.workspace.fill("HOST/app:none not found")).stderr_lacks("copies/app");
    assert_eq!((registry.len(), mirror.len()), (1, 1));
}

#[test]
fn tags_of_a_mirror_and_contents_of_the_registry_are_combined() {
    let fixture = MirrorFixture::new();
    push_image(&fixture.registry, "app", "v2", "arm64");
    let (outcome, [registry, mirror]) = fixture.run(&["copy", "HOST/app:v2", "oci:out:v2"]);
    outcome.success();
    // The mirror has none of it, so each read falls through.
    assert_eq!(mirror.len(), registry.len(), "{registry:?} {mirror:?}");
    // Lists are the registry's: a mirror may have only a part of the tags.
    let (outcome, [_, mirror]) = fixture.run(&["tags", "HOST/app"]);
    assert!(outcome.success().stdout.contains("v2\n") && mirror.is_empty(), "{mirror:?}");
}

#[test]
fn a_mirror_that_fails_is_passed_over() {
    let fixture = MirrorFixture::new();
    let conf = |mirrors: &str| format!("[[registry]]\nlocation = 'HOST'\n{mirrors}");
    let mirror = |location: &str| format!("[[registry.mirror]]\nlocation = '{location}'\n");
    // One attempt is sent to a stopped mirror, for all requests and without a pause before a retry.
    fixture.configure(&conf(&(mirror(STOPPED) + &mirror("MIRROR/copies"))));
    let (outcome, [registry, mirrored]) = fixture.run(&["--debug", "copy", "HOST/app:v1", "oci:out:v1"]);
    let outcome = outcome.success();
    let attempts =
        outcome.debug_log().iter().filter(|line| line.starts_with("the mirror 127.0.0.1:1 is not used: ")).count();
    assert!(registry.is_empty() && !mirrored.is_empty() && attempts == 1, "{outcome:?}");

    for status in [401, 403, 404, 429, 500, 503, 200] {
        let server = ScriptedServer::start(move |_, _| (status, vec![], b"{}".to_vec()));
        fixture.configure(&conf(&mirror(&server.host)));
        let (outcome, [registry, _]) = fixture.run(&["--quiet", "copy", "HOST/app:v1", &format!("oci:out{status}:v1")]);
        // A body of the wrong digest is not content either.
        if status == 200 {
            outcome.exits(1);
            let digest = fixture.registry.manifest("app", "v1").unwrap().digest;
            let (by_digest, _) = fixture.run(&["copy", &format!("HOST/app@{digest}"), "oci:digest:v1"]);
            by_digest.success();
        } else {
            let outcome = outcome.success();
            assert!(!registry.is_empty() && outcome.stderr.is_empty(), "{status}: {outcome:?}");
        }
        let requests = server.requests().len();
        assert!(!matches!(status, 401 | 403) || requests <= 3, "{status}: {requests} requests");
    }
}

#[test]
fn a_mirror_replaces_a_stopped_registry_for_reads_only() {
    let fixture = MirrorFixture::new();
    fixture.configure("[[registry]]\nlocation = 'STOPPED'\n[[registry.mirror]]\nlocation = 'MIRROR/copies'\n");
    let (outcome, _) = fixture.run(&["copy", "STOPPED/app:v1", "HOST/copied:v1"]);
    outcome.success();
    let (outcome, _) = fixture.run(&["--retries", "0", "copy", "HOST/app:v1", "STOPPED/app:v1"]);
    outcome.fails(1, "127.0.0.1:1");
    // The run writes to this repository, so it does not read the mirror's state of it.
    let (outcome, [_, mirror]) =
        fixture.run(&["--retries", "0", "push", "from-images", "-t", "STOPPED/app:v2", "STOPPED/app:v1"]);
    outcome.exits(1);
    assert_eq!(mirror, Vec::<String>::new());
}

/// A mirror answers with 200, and its content turns out to be wrong or to break off.
#[test]
fn a_blob_that_a_mirror_sends_wrong_is_read_from_the_registry() {
    for body in [&b"something else"[..], b""] {
        let fixture = MirrorFixture::new();
        let mirror = ScriptedServer::in_front_of(&fixture.mirror, move |request| {
            let is_blob = request.line.starts_with("GET ") && request.line.contains("/blobs/");
            is_blob.then(|| (200, vec![], body.to_vec()))
        });
        let conf =
            format!("[[registry]]\nlocation = 'HOST'\n[[registry.mirror]]\nlocation = '{}/copies'\n", mirror.host);
        fixture.configure(&conf);
        let (outcome, [registry, _]) = fixture.run(&["copy", "HOST/app:v1", "oci:out:v1"]);
        outcome.success();
        assert!(registry.iter().all(|line| line.contains("/blobs/")) && !registry.is_empty(), "{registry:?}");
        fixture.workspace.run(&["verify", "--layers", "oci:out:v1"]).success();
    }
}

#[test]
fn writes_and_reads_of_written_repositories_never_use_a_mirror() {
    let fixture = MirrorFixture::new();
    push_image(&fixture.registry, "parts", "arm64", "arm64");
    push_image(&fixture.mirror, "copies/parts", "arm64", "arm64");
    push_attested_index(&fixture.mirror, "copies/whole", "v1", "riscv64");
    push_image(&fixture.registry, "whole", "part", "riscv64");
    let push = ["push", "from-images", "-t", "HOST/whole:v1", "HOST/parts:arm64"];
    for args in [&push[..], &["copy", "HOST/parts:arm64", "HOST/whole:v2"]] {
        let (outcome, [_, mirror]) = fixture.run(args);
        outcome.success();
        assert!(mirror.iter().all(|line| line.contains("/copies/parts/")), "{mirror:?}");
        assert!(mirror.iter().any(|line| line.contains("/copies/parts/manifests/arm64")), "{mirror:?}");
    }
    for args in [
        &["push", "--append", "--settle", "1ms", "from-images", "-t", "HOST/whole:v1", "HOST/whole:part"][..],
        &["remove", "--settle", "1ms", "HOST/whole:v1", "--platform", "linux/riscv64"],
        &["delete", "HOST/whole:v2", "--dry-run"],
        &["delete", "--tags", "v2", "HOST/whole"],
    ] {
        let (outcome, [registry, mirror]) = fixture.run(args);
        assert!(outcome.exit == 0 && !registry.is_empty() && mirror.is_empty(), "{args:?}: {outcome:?} {mirror:?}");
    }
}

#[test]
fn mirrors_may_be_only_for_digests_or_only_for_tags() {
    let fixture = MirrorFixture::new();
    let conf = |pulls: &str| {
        format!("[[registry]]\nlocation = 'HOST'\n[[registry.mirror]]\nlocation = 'MIRROR/copies'\n{pulls}")
    };
    fixture.configure(&conf("pull-from-mirror = 'digest-only'"));
    let (outcome, [registry, mirror]) = fixture.run(&["copy", "HOST/app:v1", "oci:out:v1"]);
    outcome.success();
    assert!(registry.iter().all(|line| line.ends_with("/manifests/v1")), "{registry:?}");
    assert!(!mirror.is_empty() && mirror.iter().all(|line| line.contains("sha256:")), "{mirror:?}");
    // Content that only the mirror has follows from the tag that the mirror resolved.
    push_image(&fixture.mirror, "copies/app", "new", "arm64");
    fixture.configure(&conf("pull-from-mirror = 'tag-only'"));
    let (outcome, _) = fixture.run(&["copy", "HOST/app:new", "oci:new:v1"]);
    outcome.success();
}

#[test]
fn a_location_replaces_the_prefix_for_reads() {
    let fixture = MirrorFixture::new();
    fixture.configure("[[registry]]\nprefix = 'registry.invalid/team'\nlocation = 'MIRROR/copies'\n");
    for args in [
        &["digest", "registry.invalid/team/app:v1"][..],
        &["inspect", "registry.invalid/team/app:v1"],
        &["copy", "registry.invalid/team/app:v1", "HOST/copied:v1"],
        &["verify", "registry.invalid/team/app:v1"],
    ] {
        fixture.run(args).0.success();
    }
    let (outcome, _) = fixture.run(&["tags", "registry.invalid/team/app"]);
    outcome.success().stdout_contains("v1\n");
    let (outcome, _) = fixture.run(&["inspect", "registry.invalid/team/app:none"]);
    outcome.fails(1, "registry.invalid/team/app:none not found");
    // As with skopeo, writes go to the registry in the reference.
    let (outcome, [_, mirror]) =
        fixture.run(&["--retries", "0", "copy", "HOST/app:v1", "registry.invalid/team/copied:v1"]);
    outcome.fails(1, "registry.invalid");
    assert_eq!(mirror, Vec::<String>::new());
}

#[test]
fn a_blocked_repository_is_neither_read_nor_written() {
    let fixture = MirrorFixture::new();
    fixture.configure("[[registry]]\nprefix = 'HOST/app'\nlocation = 'HOST/app'\nblocked = true\n");
    for args in [
        &["inspect", "HOST/app:v1"][..],
        &["tags", "HOST/app"],
        &["copy", "HOST/app:v1", "oci:out:v1"],
        &["copy", "MIRROR/copies/app:v1", "HOST/app/part:v1"],
        &["push", "from-images", "-t", "HOST/app:v2", "MIRROR/copies/app:v1"],
        &["delete", "--yes", "HOST/app:v1"],
    ] {
        let (outcome, [registry, _]) = fixture.run(args);
        outcome.fails(1, &fixture.workspace.fill("registries.conf blocks HOST/app"));
        assert_eq!(registry, Vec::<String>::new(), "{args:?}");
    }
    fixture.run(&["copy", "MIRROR/copies/app:v1", "HOST/other:v1"]).0.success();
}

#[test]
fn a_mirror_gets_the_credentials_of_its_own_host() {
    let (registry, mirror) = (Registry::start(), Registry::with_htpasswd());
    push_image(&registry, "app", "v1", "amd64");
    push_image(&mirror, "app", "v1", "amd64");
    let proxy = ScriptedServer::in_front_of(&mirror, |_| None);
    let workspace = Workspace::new()
        .flags(&["--registries-conf=registries.conf"])
        .placeholder("HOST", &registry.host)
        .placeholder("MIRROR", &proxy.host);
    workspace.write("registries.conf", "[[registry]]\nlocation = 'HOST'\n[[registry.mirror]]\nlocation = 'MIRROR'\n");
    // The pair is for the registry of the reference.
    workspace.run(&[&["digest", "HOST/app:v1"], &LOGIN[..]].concat()).success();
    let requests = proxy.requests();
    assert!(!requests.is_empty() && requests.iter().all(|request| request.authorization.is_none()), "{requests:?}");
    assert_eq!(registry.requests(0).len(), 1);
    let auth = format!(r#"{{"auths": {{"MIRROR": {{"auth": "{}"}}}}}}"#, basic_credentials());
    workspace.write(".docker/config.json", &auth);
    workspace.run(&["digest", "HOST/app:v1"]).success();
    assert_eq!(registry.requests(1), Vec::<String>::new());
}

#[test]
fn insecure_applies_only_to_its_own_host() {
    let folder = tempfile::tempdir().unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(folder.path().join("tls.crt"), certificate.pem()).unwrap();
    std::fs::write(folder.path().join("tls.key"), key.serialize_pem()).unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let tls = format!("  tls:\n    certificate: {}\n    key: {}\n", file("tls.crt"), file("tls.key"));
    let (registry, mirror) = (Registry::start_with(&tls, None), Registry::start_with(&tls, None));
    let workspace = Workspace::new()
        .flags(&["--registries-conf=registries.conf", "--retries", "0"])
        .placeholder("HOST", &registry.host)
        .placeholder("MIRROR", &mirror.host);
    let conf = |of_registry: &str, of_mirror: &str| {
        let text = format!(
            "[[registry]]\nlocation = 'HOST'\n{of_registry}\n[[registry.mirror]]\nlocation = 'MIRROR'\n{of_mirror}\n"
        );
        workspace.write("registries.conf", &text);
    };
    let inspect = || workspace.run(&["--debug", "inspect", "HOST/app:gone"]);
    conf("", "insecure = true");
    let outcome = inspect().fails(1, &workspace.fill("cannot verify the certificate of HOST"));
    outcome.stderr_contains(&workspace.fill("https://MIRROR/v2/app/manifests/gone -> 404"));
    conf("insecure = true", "");
    let outcome = inspect().fails(1, &workspace.fill("HOST/app:gone not found"));
    outcome.stderr_contains(&workspace.fill("cannot verify the certificate of MIRROR"));
}

#[test]
fn the_file_is_read_only_if_a_flag_or_a_variable_names_it() {
    let fixture = MirrorFixture::new();
    let with = |variable: &str, flags: &[&str]| {
        let before = fixture.mirror.requests(0).len();
        let workspace = Workspace::new().placeholder("HOST", &fixture.registry.host);
        let conf = "[[registry]]\nlocation = 'HOST'\n[[registry.mirror]]\nlocation = 'MIRROR/copies'\n";
        workspace.write(".config/containers/registries.conf", &fixture.workspace.fill(conf));
        workspace.write("mirror.conf", &fixture.workspace.fill(conf));
        workspace.write("none.conf", "");
        let mut command = workspace.command(&[&["digest", "HOST/app:v1"], flags].concat());
        command.env("CONTAINERS_REGISTRIES_CONF", variable);
        assert_eq!(crate::support::run(command, "").exit, 0, "{variable} {flags:?}");
        fixture.mirror.requests(before).len()
    };
    assert_eq!(with("", &[]), 0);
    assert_eq!(with("mirror.conf", &[]), 1);
    assert_eq!(with("", &["--registries-conf=mirror.conf"]), 1);
    assert_eq!(with("mirror.conf", &["--registries-conf=none.conf"]), 0);
    // Without a value, the flag reads the files of Podman and skopeo.
    assert_eq!(with("", &["--registries-conf"]), 1);
}

#[test]
fn further_files_replace_tables_of_the_main_file() {
    let fixture = MirrorFixture::new();
    let workspace = Workspace::new().placeholder("HOST", &fixture.registry.host);
    let folder = ".config/containers";
    workspace.write(&format!("{folder}/registries.conf"), "[[registry]]\nlocation = 'HOST'\n");
    let digest = || workspace.run(&["--registries-conf", "digest", "HOST/app:v1"]);
    digest().success();
    workspace.write(&format!("{folder}/registries.conf.d/a.conf"), "[[registry]]\nlocation = 'HOST'\nblocked = true\n");
    digest().fails(1, &workspace.fill("registries.conf.d/a.conf blocks HOST"));
    workspace.write(&format!("{folder}/registries.conf.d/b.conf"), "[[registry]]\nlocation = 'HOST'\n");
    digest().success();
    workspace.write(&format!("{folder}/registries.conf.d/c.txt"), "not read");
    digest().success();
}

#[test]
fn a_file_without_a_mirror_adds_no_requests() {
    let fixture = MirrorFixture::new();
    fixture.configure("[[registry]]\nlocation = 'other.invalid'\n[[registry.mirror]]\nlocation = 'MIRROR'\n");
    let copy = ["copy", "HOST/app:v1", "oci:out:v1"];
    let (outcome, [with_file, mirror]) = fixture.run(&copy);
    outcome.success();
    let before = fixture.registry.requests(0).len();
    std::fs::remove_dir_all(fixture.workspace.path("out")).unwrap();
    let plain = Workspace::new().placeholder("HOST", &fixture.registry.host);
    plain.run(&copy).success();
    let without_file = fixture.registry.requests(before);
    assert_eq!((with_file.len(), mirror.len()), (without_file.len(), 0));
}

#[test]
fn invalid_files_are_errors_that_name_the_place() {
    let fixture = MirrorFixture::new();
    let run = |file: &str| {
        Workspace::run(&fixture.workspace, &[&format!("--registries-conf={file}"), "digest", "HOST/app:v1"])
    };
    for (text, error) in [
        ("[[registry]]\nlocation = r.io\n", "error: bad.conf:2:12: "),
        (
            "[registries.search]\nregistries = ['r.io']\n",
            "error: bad.conf: this is version 1 of the format, which is not",
        ),
        ("[[registry]]\nprefix = 'r.io/app:v1'\n", "error: bad.conf: prefix \"r.io/app:v1\" has a tag or digest"),
        (
            "[[registry]]\nlocation = 'r.io'\n[[registry.mirror]]\n",
            "error: bad.conf: a mirror in the table of r.io has no",
        ),
        (
            "[[registry]]\nlocation = 'r.io'\n[[registry.mirror]]\nlocation = 'm.io'\npull-from-mirror = 'some'\n",
            "error: bad.conf: pull-from-mirror of the mirror m.io must be",
        ),
    ] {
        fixture.workspace.write("bad.conf", text);
        run("bad.conf").fails(1, error);
    }
    fixture.workspace.write("unknown.conf", "[[registry]]\nlocation = 'r.io'\nspeed = 1\n");
    let warning = "warning: unknown.conf: the key \"speed\" in the table of r.io is not supported, and is ignored\n";
    run("unknown.conf").success().stderr_contains(warning);
    std::fs::create_dir(fixture.workspace.path("folder")).unwrap();
    std::fs::write(fixture.workspace.path("latin1.conf"), b"# \xe9").unwrap();
    std::fs::write(fixture.workspace.path("large.conf"), "#".repeat((1 << 20) + 1)).unwrap();
    for (file, why) in [
        ("none.conf", "No such file"),
        ("folder", "Is a directory"),
        ("latin1.conf", "it is not UTF-8 text"),
        ("large.conf", "it is larger than 1 MiB"),
    ] {
        run(file).fails(1, &format!("error: cannot read {file}, which --registries-conf names: {why}"));
    }
}
