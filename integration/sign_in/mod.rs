//! Signing in: where credentials come from, what is asked for with them, and who never gets them.

mod basic;
mod changes;
mod echoes;
mod environment;
mod fallbacks;
mod files;
mod helpers;
mod login;
mod strangers;
mod thieves;
mod tokens;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::support::token_service::IDENTITY_TOKEN;
use crate::support::{Outcome, Registry, command, run};

/// `htpasswd -nbB user secret-word`.
const HTPASSWD: &str = "user:$2y$05$056i4UwkOkmr8a6t4JftYeoiDncHQkaKx132QyN.auDcEXhuVetuW\n";

const LOGIN: [&str; 4] = ["--username", "user", "--password", "secret-word"];

/// The base64 form of configurations and headers.
fn auth() -> String {
    BASE64_STANDARD.encode("user:secret-word")
}

pub fn registry_with_htpasswd(folder: &tempfile::TempDir) -> Registry {
    let file = folder.path().join("htpasswd");
    std::fs::write(&file, HTPASSWD).unwrap();
    let extra = format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", file.display());
    Registry::start_with(&extra, Some(format!("Basic {}", auth())))
}

/// Runs the program with `--debug`, and looks for secrets in all that it says.
fn tool(folder: &tempfile::TempDir, args: &[&str], environment: &[(&str, &str)], stdin: &str) -> Outcome {
    let mut command = command(folder.path(), &[&["--debug"], args].concat());
    command.envs(environment.iter().copied());
    let outcome = run(command, stdin);
    for secret in ["secret-word", &auth(), IDENTITY_TOKEN, "registry-word", "eyJ"] {
        let said = format!("{}{}", outcome.stdout, outcome.stderr);
        assert!(!said.contains(secret), "{secret} leaked: {outcome:?}");
    }
    outcome
}
