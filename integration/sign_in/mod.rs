//! Sign-in: where credentials come from, which tokens are requested with them, and which hosts never receive them.

mod basic;
mod changes;
mod echoes;
mod environment;
mod fallbacks;
mod files;
mod foreign_hosts;
mod helpers;
mod login;
mod redirected_credentials;
mod sides;
mod tokens;

use crate::support::token_service::IDENTITY_TOKEN;
use crate::support::{Outcome, Workspace, basic_credentials, run};

/// Returns the arguments of `push from-args`.
fn push_args<'a>(platforms: &'a str, template: &'a str, target: &'a str) -> [&'a str; 8] {
    ["push", "from-args", "--platforms", platforms, "--template", template, "--target", target]
}

/// Runs the program with `--debug` and more environment variables, and asserts that its output contains no secret.
fn run_without_leaks(workspace: &Workspace, args: &[&str], environment: &[(&str, &str)], stdin: &str) -> Outcome {
    let mut command = workspace.command(&[&["--debug"], args].concat());
    command.envs(environment.iter().map(|(name, value)| (name, workspace.fill(value))));
    let outcome = run(command, stdin);
    for secret in ["secret-word", &basic_credentials(), IDENTITY_TOKEN, "registry-word", "eyJ"] {
        let output = format!("{}{}", outcome.stdout, outcome.stderr);
        assert!(!output.contains(secret), "{secret} leaked: {outcome:?}");
    }
    outcome
}
