use std::io::{BufRead as _, IsTerminal as _, Write as _};

use clap::Args;
use serde_json::json;

use super::Global;
use super::failure::Failure;
use super::prompt::without_echo;
use super::registry_name::registry_name;
use super::results::pretty;
use super::talk::say;
use crate::output;
use crate::registry::{
    Client, CredentialSources, Error, ErrorKind, Given, Login as Proof, Secret, Stored, erase, store,
};

/// Check user and password against a registry, and store them as `docker login` does
#[derive(Debug, Args)]
#[command(
    after_help = "At a terminal it asks for what is not given. It stores in ~/.docker/config.json, $DOCKER_CONFIG/config.json or --docker-cfg, or with the helper that this names.\n\nExample:\n  manifest-tool login --username ci --password-stdin registry.example <token.txt"
)]
pub(super) struct Login {
    /// The registry, as in references; docker.io is Docker Hub
    host: String,
}

/// Remove a registry's stored credentials, as `docker logout` does
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  manifest-tool logout registry.example")]
pub(super) struct Logout {
    /// The registry
    host: String,
}

impl Login {
    pub(super) fn run(self, global: &Global) -> Result<String, Failure> {
        let registry = registry_of(&self.host)?;
        global.check_login_registry(&registry)?;
        let (user, password) = user_and_password(global, &registry)?;
        let login = Proof::Password { user: user.clone(), password: password.clone() };
        let given = Given { registry: registry.clone(), login, source: "this login".into() };
        let client = global.client_with(CredentialSources { given: Some(given), ..global.stored_credentials() });
        let checked = async {
            client.check_login(&registry).await.map_err(|error| match error.kind {
                // The hint would be to do what is being done.
                ErrorKind::Denied(_) => Failure::new(error.to_string()),
                _ => error.into(),
            })
        };
        let sources = global.stored_credentials();
        let logging_in = async {
            let asked = checked.await?;
            if !asked {
                say(format_args!("warning: {registry} asks for no credentials, so these could not be checked"));
            }
            let storing = store(&sources, &registry, &user, &password);
            let stored = unless_stopped(&client, &registry, storing).await?.map_err(Failure::new)?;
            let place = match &stored {
                Stored::Helper(program) => format!("stored by {program}"),
                Stored::File(path) => format!("stored in {}, not encrypted", path.display()),
            };
            say(format_args!("signed in to {registry} as {user}; {place}"));
            let place = place_of(&stored);
            warn_of_others(&client, &sources, &registry, Some(&place), "come first").await?;
            Ok::<_, Failure>((asked, place))
        };
        let (asked, place) = global.block_on(&client, logging_in)?;
        let parts = json!({"registry": registry, "username": user, "stored": place, "checked": asked});
        Ok(if global.is_json() { pretty(&output::document("login", parts)) } else { String::new() })
    }
}

impl Logout {
    pub(super) fn run(self, global: &Global) -> Result<String, Failure> {
        let registry = registry_of(&self.host)?;
        let sources = global.stored_credentials();
        let client = global.client_with(sources.clone());
        let logging_out = async {
            let erasing = erase(&sources, &registry);
            let erased = unless_stopped(&client, &registry, erasing).await?.map_err(Failure::new)?;
            erased.iter().for_each(|place| say_erased(place, &registry));
            if erased.is_empty() {
                say(format_args!("no credentials for {registry} are stored"));
            }
            warn_of_others(&client, &sources, &registry, None, "are still used").await?;
            Ok::<_, Failure>(erased)
        };
        let erased = global.block_on(&client, logging_out)?;
        let places: Vec<String> = erased.iter().map(place_of).collect();
        let parts = json!({"registry": registry, "removed": places});
        Ok(if global.is_json() { pretty(&output::document("logout", parts)) } else { String::new() })
    }
}

/// The file or helper, by its name.
fn place_of(stored: &Stored) -> String {
    match stored {
        Stored::Helper(program) => program.clone(),
        Stored::File(path) => path.display().to_string(),
    }
}

fn say_erased(place: &Stored, registry: &str) {
    match place {
        Stored::Helper(program) => say(format_args!("{program} was told to erase the credentials for {registry}")),
        Stored::File(path) => say(format_args!("removed the credentials for {registry} from {}", path.display())),
    }
}

/// Runs what may wait for a helper or for the configuration's lock, until a signal or the deadline.
async fn unless_stopped<T>(client: &Client, registry: &str, work: impl Future<Output = T>) -> Result<T, Failure> {
    client.stop().or(work).await.map_err(|reason| Error::stopped(registry, reason).into())
}

/// Says that another source has credentials for the registry, where the user might think that none or these count.
async fn warn_of_others(
    client: &Client,
    sources: &CredentialSources,
    registry: &str,
    stored: Option<&str>,
    what: &str,
) -> Result<(), Failure> {
    if let Ok(Some(source)) = unless_stopped(client, registry, sources.source_for(registry)).await?
        && stored != Some(source.as_str())
    {
        say(format_args!("warning: the credentials for {registry} from {source} {what}"));
    }
    Ok(())
}

fn registry_of(host: &str) -> Result<String, Failure> {
    registry_name(host).map_err(Failure::usage)
}

fn user_and_password(global: &Global, registry: &str) -> Result<(String, Secret), Failure> {
    let terminal = std::io::stdin().is_terminal();
    let failed = |error: std::io::Error| Failure::new(format!("cannot read from the terminal: {error}"));
    let user = match global.user()? {
        Some((user, _)) => user,
        None if terminal && !global.password_stdin => {
            eprint!("user name for {registry}: ");
            std::io::stderr().flush().map_err(failed)?;
            let mut line = String::new();
            std::io::stdin().lock().read_line(&mut line).map_err(failed)?;
            line.trim().to_owned()
        }
        None => return Err(Failure::usage("no user name is given: --username U, or MANIFEST_TOOL_USERNAME")),
    };
    if user.is_empty() {
        return Err(Failure::usage("the user name is empty"));
    }
    let password = match global.secret()? {
        Some((password, _)) => password,
        None if terminal => {
            let prompt = format!("password of {user} for {registry}: ");
            Secret::new(without_echo(prompt)?)
        }
        None => return Err(Failure::usage("no password is given: --password-stdin, or MANIFEST_TOOL_PASSWORD")),
    };
    if password == Secret::new("") {
        return Err(Failure::usage("the password is empty"));
    }
    Ok((user, password))
}
