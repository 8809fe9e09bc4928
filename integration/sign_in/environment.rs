//! User name and password from the environment, and the registry that they are for.

use super::{LOGIN, registry_with_htpasswd, tool};
use crate::support::images::push_image;
use crate::support::{Outcome, Registry, Scripted};

const USER: (&str, &str) = ("MANIFEST_TOOL_USERNAME", "user");
const PASSWORD: (&str, &str) = ("MANIFEST_TOOL_PASSWORD", "secret-word");
const NAMED: &str = "MANIFEST_TOOL_REGISTRY";

/// Runs with the pair, and with the registry that it is said to be for.
fn run(folder: &tempfile::TempDir, args: &[&str], named: Option<&str>) -> Outcome {
    let named = named.map(|named| (NAMED, named));
    let environment: Vec<_> = [USER, PASSWORD].into_iter().chain(named).collect();
    tool(folder, &[&["--plain-http"], args].concat(), &environment, "")
}

/// A server that wants a password for everything, and keeps what it gets.
fn thief() -> Scripted {
    Scripted::start(|_, _| (401, vec![("WWW-Authenticate", "Basic realm=\"x\"".into())], vec![]))
}

#[track_caller]
fn got_none(thief: &Scripted) {
    let asked = thief.asked();
    assert!(!asked.is_empty() && asked.iter().all(|asked| asked.authorization.is_none()), "{asked:?}");
}

#[test]
fn reads_of_a_registry_that_is_not_named_get_no_credentials() {
    let folder = tempfile::tempdir().unwrap();
    let thief = thief();
    let (host, image) = (thief.host.as_str(), format!("{}/app:v1", thief.host));
    let from_args =
        |target| ["push", "from-args", "--platforms", "linux/amd64", "--template", &image, "--target", target];
    let (to_layout, with_dry_run) = (from_args("oci:out:v1"), [&from_args("oci:out:v1")[..], &["--dry-run"]].concat());
    for args in [
        &["inspect", &image][..],
        &["inspect", "--config", &image],
        &["copy", &image, "oci:out:v1"],
        &["copy", &image, "oci-archive:out.tar"],
        &to_layout,
        &with_dry_run,
        &["tags", &format!("{host}/app")],
        &["digest", &image],
        &["query", &image],
        &["verify", &image],
    ] {
        let outcome = run(&folder, args, None);
        let hint = format!(
            "manifest-tool login {host}; MANIFEST_TOOL_USERNAME and MANIFEST_TOOL_PASSWORD were not used, because this \
             command writes to no registry; MANIFEST_TOOL_REGISTRY names a registry to use them for\n"
        );
        assert!(outcome.exit != 0 && outcome.stderr.contains(&hint), "{args:?}: {outcome:?}");
        let outcome = run(&folder, args, Some("Other.example"));
        let hint = format!(
            "hint: manifest-tool login {host}; MANIFEST_TOOL_USERNAME and MANIFEST_TOOL_PASSWORD are only for \
             other.example, which MANIFEST_TOOL_REGISTRY names\n"
        );
        assert!(outcome.exit != 0 && outcome.stderr.contains(&hint), "{args:?}: {outcome:?}");
    }
    got_none(&thief);
}

#[test]
fn a_source_elsewhere_gets_no_credentials_and_the_target_does() {
    let folder = tempfile::tempdir().unwrap();
    let (thief, target) = (thief(), registry_with_htpasswd(&folder));
    push_image(&target, "parts", "amd64", "amd64");
    let (stolen, whole) = (format!("{}/parts:amd64", thief.host), format!("{}/whole:v1", target.host));
    let own = format!("{}/parts:amd64", target.host);
    let from_args = |template, target| {
        ["push", "from-args", "--platforms", "linux/amd64", "--template", template, "--target", target]
    };
    for args in [&["copy", &stolen, &whole][..], &from_args(&stolen, &whole)] {
        let outcome = run(&folder, args, None);
        assert!(outcome.exit == 1 && outcome.stderr.contains("no credentials for"), "{args:?}: {outcome:?}");
    }
    got_none(&thief);
    for args in [
        &from_args(&own, &whole)[..],
        &["copy", &own, &whole],
        &["remove", &whole, "--platform", "linux/386", "--dry-run"],
        &["delete", "--yes", &whole],
    ] {
        let outcome = run(&folder, args, None);
        assert!(!outcome.stderr.contains("no credentials for"), "{args:?}: {outcome:?}");
    }
    // A layout is written to first, and then a registry.
    std::fs::write(
        folder.path().join("two.yaml"),
        format!(
            "image: oci:out:v1\nmanifests: [{{image: {own}}}]\n---\nimage: {whole}\nmanifests: [{{image: {own}}}]\n"
        ),
    )
    .unwrap();
    let outcome = run(&folder, &["push", "from-spec", "two.yaml"], None);
    assert_eq!(outcome.exit, 0, "{outcome:?}");
}

#[test]
fn the_named_registry_gets_them_for_reads_and_writes_and_no_other_does() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry_with_htpasswd(&folder);
    push_image(&registry, "app", "v1", "amd64");
    let host = registry.host.as_str();
    let (image, port) = (format!("{host}/app:v1"), host.rsplit(':').next().unwrap());
    for named in [host.to_owned(), format!("http://{host}"), format!("https://{host}/v2/")] {
        let outcome = run(&folder, &["inspect", &image], Some(&named));
        assert_eq!(outcome.exit, 0, "{named}: {outcome:?}");
    }
    let capitals = format!("LocalHost:{port}");
    let outcome = run(&folder, &["inspect", &format!("localhost:{port}/app:v1")], Some(&capitals));
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    assert_eq!(run(&folder, &["copy", &image, "oci:out:v1"], Some(host)).exit, 0);
    for named in [format!("localhost:{port}"), "127.0.0.1".into(), format!("1{host}"), "docker.io".into()] {
        for args in [&["inspect", &image][..], &["copy", "oci:out:v1", &image]] {
            let outcome = run(&folder, args, Some(&named));
            assert!(outcome.exit == 1 && outcome.stderr.contains(NAMED), "{named}: {outcome:?}");
        }
    }
}

#[test]
fn an_invalid_name_is_bad_usage_where_there_is_a_pair() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::start();
    push_image(&registry, "app", "v1", "amd64");
    let image = format!("{}/app:v1", registry.host);
    for named in ["ghcr", "r.io/team", "r.io,s.io", "https://", "r.io:port", "u:p@r.io"] {
        let outcome = run(&folder, &["inspect", &image], Some(named));
        let part = format!("error: MANIFEST_TOOL_REGISTRY: \"{named}\" is not a registry's HOST[:PORT]\n");
        assert!(outcome.exit == 2 && outcome.stderr == part, "{outcome:?}");
        let alone = tool(&folder, &["inspect", &image], &[(NAMED, named)], "");
        assert!(alone.exit == 0 && !alone.stderr.contains(NAMED), "{alone:?}");
    }
    assert_eq!(run(&folder, &["inspect", &image], Some("")).exit, 0, "empty is as if it were not set");
}

#[test]
fn flags_are_for_the_first_registry_whatever_the_environment_names() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry_with_htpasswd(&folder);
    push_image(&registry, "app", "v1", "amd64");
    let image = format!("{}/app:v1", registry.host);
    for (flags, environment, stdin) in [
        (&LOGIN[..], vec![], ""),
        (&["--username", "user"], vec![PASSWORD], ""),
        (&["--password", "secret-word"], vec![USER], ""),
        (&["--password-stdin"], vec![USER], "secret-word"),
    ] {
        for named in ["", "other.example", "no registry"] {
            let environment = [&environment[..], &[(NAMED, named)]].concat();
            let outcome = tool(&folder, &[&["inspect", &image], flags].concat(), &environment, stdin);
            assert_eq!(outcome.exit, 0, "{flags:?} {named}: {outcome:?}");
        }
    }
}

#[test]
fn login_uses_them_unless_another_registry_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry_with_htpasswd(&folder);
    let host = registry.host.as_str();
    for named in [None, Some(host), Some(&format!("http://{host}/"))] {
        let outcome = run(&folder, &["login", host], named);
        assert_eq!(outcome.exit, 0, "{outcome:?}");
    }
    let file = folder.path().join(".docker/config.json");
    std::fs::remove_file(&file).unwrap();
    let outcome = run(&folder, &["login", host], Some("other.example"));
    let error = format!(
        "error: {host}: MANIFEST_TOOL_USERNAME and MANIFEST_TOOL_PASSWORD are only for other.example, which \
         MANIFEST_TOOL_REGISTRY names\n"
    );
    assert!(outcome.exit == 2 && outcome.stderr == error && !file.exists(), "{outcome:?}");
    let outcome = tool(&folder, &[&["login", host], &LOGIN[..]].concat(), &[(NAMED, "other.example")], "");
    assert_eq!(outcome.exit, 0, "{outcome:?}");
}
