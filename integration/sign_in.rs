//! Simple sign-in: none, Basic, and Bearer tokens with user and password.

use std::os::unix::fs::PermissionsExt as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::support::images::push_image;
use crate::support::scripted::Asked;
use crate::support::{Outcome, Registry, Scripted, command, push_from_args, run};

/// `htpasswd -nbB user secret-word`.
const HTPASSWD: &str = "user:$2y$05$056i4UwkOkmr8a6t4JftYeoiDncHQkaKx132QyN.auDcEXhuVetuW\n";

fn registry_with_htpasswd(folder: &tempfile::TempDir) -> Registry {
    let file = folder.path().join("htpasswd");
    std::fs::write(&file, HTPASSWD).unwrap();
    let extra = format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", file.display());
    Registry::start_with(&extra, Some(format!("Basic {}", BASE64_STANDARD.encode("user:secret-word"))))
}

fn inspect(folder: &tempfile::TempDir, reference: &str, more: &[&str], path: Option<&str>) -> Outcome {
    let args: Vec<&str> = ["--plain-http", "--debug", "inspect", reference].iter().chain(more).copied().collect();
    let mut command = command(folder.path(), &args);
    if let Some(path) = path {
        command.env("PATH", path);
    }
    let outcome = run(command, "");
    for secret in ["secret-word", &BASE64_STANDARD.encode("user:secret-word"), "the-token"] {
        assert!(!outcome.stderr.contains(secret), "{secret} leaked: {outcome:?}");
    }
    outcome
}

#[test]
fn basic_from_flags_configuration_and_helper() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry_with_htpasswd(&folder);
    push_image(&registry, "app", "v1", "amd64");
    let reference = format!("{}/app:v1", registry.host);

    let none = inspect(&folder, &reference, &[], None);
    assert_eq!(none.exit, 1);
    assert!(none.stderr.contains("no credentials") && none.stderr.contains("hint: sign in"), "{none:?}");

    let flags = inspect(&folder, &reference, &["--username", "user", "--password", "secret-word"], None);
    assert_eq!(flags.exit, 0, "{flags:?}");
    let wrong = inspect(&folder, &reference, &["--username", "user", "--password", "wrong"], None);
    assert!(wrong.exit == 1 && wrong.stderr.contains("HTTP 401"), "{wrong:?}");

    let auth = BASE64_STANDARD.encode("user:secret-word");
    let config = format!(r#"{{"auths":{{"{}":{{"auth":"{auth}"}}}}}}"#, registry.host);
    std::fs::write(folder.path().join("config.json"), &config).unwrap();
    for given in [folder.path().to_owned(), folder.path().join("config.json")] {
        let outcome = inspect(&folder, &reference, &["--docker-cfg", given.to_str().unwrap()], None);
        assert_eq!(outcome.exit, 0, "{outcome:?}");
    }
    std::fs::create_dir(folder.path().join(".docker")).unwrap();
    std::fs::rename(folder.path().join("config.json"), folder.path().join(".docker/config.json")).unwrap();
    assert_eq!(inspect(&folder, &reference, &[], None).exit, 0, "from the home folder");

    let helper = folder.path().join("docker-credential-test");
    std::fs::write(&helper, "#!/bin/sh\nread host\n[ \"$1 $host\" = \"get $EXPECTED\" ] || { echo credentials not found in native keychain; exit 1; }\necho '{\"Username\":\"user\",\"Secret\":\"secret-word\"}'\n"
        .replace("$EXPECTED", &registry.host)).unwrap();
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    for key in ["credsStore", "credHelpers"] {
        let value =
            if key == "credsStore" { "\"test\"".to_owned() } else { format!(r#"{{"{}":"test"}}"#, registry.host) };
        std::fs::write(folder.path().join(".docker/config.json"), format!(r#"{{"{key}":{value}}}"#)).unwrap();
        let outcome = inspect(&folder, &reference, &[], Some(&path));
        assert!(outcome.exit == 0 && outcome.stderr.contains("from docker-credential-test"), "{key}: {outcome:?}");
    }
}

#[test]
fn pushing_signs_in_too() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry_with_htpasswd(&folder);
    push_image(&registry, "parts", "amd64", "amd64");
    let login = ["--username", "user", "--password", "secret-word"];
    let outcome = push_from_args(&registry.host, "linux/amd64", "parts:ARCH", "whole:v1", &login);
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    assert!(registry.manifest("whole", "v1").is_some());
}

/// A registry and token service in one: a token is had with user and password, and opens the registry.
fn token_registry() -> Scripted {
    let config = br#"{"os":"linux","architecture":"amd64"}"#;
    let digest = crate::support::registry::sha256(config);
    let manifest = format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{digest}","size":{}}},"layers":[]}}"#,
        config.len()
    );
    let basic = format!("Basic {}", BASE64_STANDARD.encode("user:secret-word"));
    Scripted::start(move |asked: &Asked, host| {
        let authorization = asked.authorization.as_deref();
        if asked.line.starts_with("GET /token?") {
            return if authorization == Some(basic.as_str()) {
                (200, vec![], br#"{"token":"the-token","access_token":""}"#.to_vec())
            } else {
                (401, vec![], br#"{"details":"incorrect username or password"}"#.to_vec())
            };
        }
        if authorization != Some("Bearer the-token") {
            let challenge = format!(
                "Bearer realm=\"http://{host}/token\",service=\"reg, \\\"1\\\"\",scope=\"repository:app:pull\""
            );
            return (401, vec![("WWW-Authenticate", "Negotiate".into()), ("WWW-Authenticate", challenge)], vec![]);
        }
        if asked.line.contains("/manifests/") {
            let media_type = "application/vnd.oci.image.manifest.v1+json";
            return (200, vec![("Content-Type", media_type.into())], manifest.clone().into_bytes());
        }
        (200, vec![], config.to_vec())
    })
}

#[test]
fn bearer_with_user_and_password() {
    let folder = tempfile::tempdir().unwrap();
    let server = token_registry();
    let reference = format!("{}/app:v1", server.host);
    let outcome = inspect(&folder, &reference, &["--username", "user", "--password", "secret-word"], None);
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    let tokens: Vec<String> =
        server.asked().into_iter().map(|asked| asked.line).filter(|line| line.contains("/token")).collect();
    assert_eq!(tokens.len(), 1, "one token for manifest and config: {tokens:?}");
    for part in ["service=reg%2C+%221%22", "scope=repository%3Aapp%3Apull", "client_id="] {
        assert!(tokens[0].contains(part), "{part}: {tokens:?}");
    }
    let wrong = inspect(&folder, &reference, &["--username", "user", "--password", "wrong"], None);
    assert!(wrong.exit == 1 && wrong.stderr.contains("incorrect username or password"), "{wrong:?}");
}

#[test]
fn credentials_given_for_the_target_go_to_no_other_host() {
    let folder = tempfile::tempdir().unwrap();
    let thief = Scripted::start(|_, _| (200, vec![], br#"{"token":"x"}"#.to_vec()));
    let realm = format!("http://user:x@{}/token", thief.host);
    let server =
        Scripted::start(move |_, _| (401, vec![("WWW-Authenticate", format!("Bearer realm=\"{realm}\""))], vec![]));
    let reference = format!("{}/app:v1", server.host);
    let outcome = inspect(&folder, &reference, &["--username", "user", "--password", "secret-word"], None);
    assert!(outcome.exit == 1 && outcome.stderr.contains("not to be trusted"), "{outcome:?}");
    assert!(thief.asked().is_empty());

    let away = format!("http://{}/stolen", thief.host);
    let basic = format!("Basic {}", BASE64_STANDARD.encode("user:secret-word"));
    let server = Scripted::start(move |asked: &Asked, _| match asked.authorization.as_deref() {
        Some(value) if value == basic => (307, vec![("Location", away.clone())], vec![]),
        _ => (401, vec![("WWW-Authenticate", "Basic".into())], vec![]),
    });
    let reference = format!("{}/app:v1", server.host);
    inspect(&folder, &reference, &["--username", "user", "--password", "secret-word"], None);
    let stolen = thief.asked();
    assert!(!stolen.is_empty(), "the redirect was followed");
    assert!(stolen.iter().all(|asked| asked.authorization.is_none()), "{stolen:?}");
}
