use std::io::{BufRead as _, IsTerminal as _};

use super::credentials;
use super::exit_status::ExitStatus;
use super::failure::Failure;
use super::login_pair::prompt_for_password;
use super::output::CommandOutput;
use super::progress::Activity;
use super::registry_name::registry_name;
use super::render::Body;
use super::session::Session;
use crate::registry::{
    Client, CredentialSources, Error, ErrorKind, ExplicitCredentials, Login as RegistryLogin, Secret, Stored, erase,
    store,
};
use clap::Args;

/// Check and store credentials for a registry, like `docker login`
#[derive(Debug, Args)]
#[command(
    after_help = "Prompts for missing credentials at a terminal. Stores them in --docker-cfg,\n$DOCKER_CONFIG/config.json or ~/.docker/config.json, or with the credential\nhelper that this file names.\n\nExample:\n  manifest-tool login --username ci --password-stdin registry.example <token.txt"
)]
pub(super) struct Login {
    /// Registry, as in references; docker.io is Docker Hub
    host: String,
}

/// Remove the stored credentials for a registry, like `docker logout`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  manifest-tool logout registry.example")]
pub(super) struct Logout {
    /// Registry, as in references; docker.io is Docker Hub
    host: String,
}

impl Login {
    pub(super) fn run(self, session: &Session) -> Result<CommandOutput, Failure> {
        let registry = registry_of(&self.host)?;
        credentials::check_login_registry(&session.global, &registry)?;
        let (user, password) = user_and_password(session, &registry)?;
        let sources = credentials::stored(&session.global);
        let login = RegistryLogin::Password { user: user.clone(), password: password.clone() };
        let given = ExplicitCredentials { registry: registry.clone(), login, source: "this login".into() };
        let client = session.client_with(CredentialSources { explicit: Some(given), ..sources.clone() });
        let job = LoginJob { session, client: &client, sources: &sources, registry: &registry };
        let activity = Some(Activity::new("signing in to", &registry, "registries"));
        let (checked, stored) = session.block_on(&client, activity, job.store(&user, &password))?;
        let body = Body::Login { registry, username: user, stored, checked };
        CommandOutput::document(&session.console, body, Ok(ExitStatus::Done))
    }
}

impl Logout {
    pub(super) fn run(self, session: &Session) -> Result<CommandOutput, Failure> {
        let registry = registry_of(&self.host)?;
        let sources = credentials::stored(&session.global);
        let client = session.client_with(sources.clone());
        let job = LoginJob { session, client: &client, sources: &sources, registry: &registry };
        let erased = session.block_on(&client, None, job.erase())?;
        let removed = erased.iter().map(place_of).collect();
        CommandOutput::document(&session.console, Body::Logout { registry, removed }, Ok(ExitStatus::Done))
    }
}

/// Stores or erases the credentials for a registry.
struct LoginJob<'a> {
    session: &'a Session,
    client: &'a Client,
    sources: &'a CredentialSources,
    registry: &'a str,
}

impl LoginJob<'_> {
    /// Checks credentials and stores them. Returns whether the registry required them, and the file or helper that
    /// stores them.
    async fn store(&self, user: &str, password: &Secret) -> Result<(bool, String), Failure> {
        let (registry, console) = (self.registry, &self.session.console);
        let checked = self.client.check_login(registry).await;
        let required = checked.map_err(|error| match error.kind {
            // Omit the hint, which would suggest this same login.
            ErrorKind::Denied(_) => {
                Failure::new(error.to_string()).with_hint("check the user name and password".into())
            }
            _ => error.into(),
        })?;
        if !required {
            console.alert(format_args!("{registry} does not require credentials, so these could not be checked"));
        }
        let storing = store(self.sources, registry, user, password);
        let stored = self.unless_stopped(storing).await?.map_err(Failure::new)?;
        let place = match &stored {
            Stored::Helper(program) => format!("stored by {program}"),
            Stored::File(path) => format!("stored in {}, not encrypted", path.display()),
        };
        console.line(format_args!("signed in to {registry} as {user}; {place}"));
        let place = place_of(&stored);
        self.warn_of_others(Some(&place), "take precedence").await?;
        Ok((required, place))
    }

    /// Erases the credentials from every file and helper that stores them, and returns these places.
    async fn erase(&self) -> Result<Vec<Stored>, Failure> {
        let (registry, console) = (self.registry, &self.session.console);
        let erasing = erase(self.sources, registry);
        let erased = self.unless_stopped(erasing).await?.map_err(Failure::new)?;
        for place in &erased {
            match place {
                Stored::Helper(program) => {
                    console.line(format_args!("asked {program} to erase the credentials for {registry}"));
                }
                Stored::File(path) => {
                    console.line(format_args!("removed the credentials for {registry} from {}", path.display()));
                }
            }
        }
        if erased.is_empty() {
            console.line(format_args!("no credentials for {registry} are stored"));
        }
        self.warn_of_others(None, "are still used").await?;
        Ok(erased)
    }

    /// Warns if another source has credentials for the registry, which would be used despite this login or logout.
    async fn warn_of_others(&self, stored: Option<&str>, what: &str) -> Result<(), Failure> {
        let registry = self.registry;
        if let Ok(Some(source)) = self.unless_stopped(self.sources.source_for(registry)).await?
            && stored != Some(source.as_str())
        {
            let console = &self.session.console;
            console.alert(format_args!("the credentials for {registry} from {source} {what}"));
        }
        Ok(())
    }

    /// Runs a future, which may wait for a helper or for the lock of the configuration, until a signal or the deadline.
    async fn unless_stopped<T>(&self, future: impl Future<Output = T>) -> Result<T, Failure> {
        let outcome = self.client.cancel_token().run_until_cancelled(future).await;
        outcome.map_err(|reason| Error::stopped(self.registry, reason).into())
    }
}

/// Returns the path of the file or the name of the helper.
fn place_of(stored: &Stored) -> String {
    match stored {
        Stored::Helper(program) => program.clone(),
        Stored::File(path) => path.display().to_string(),
    }
}

fn registry_of(host: &str) -> Result<String, Failure> {
    registry_name(host).map_err(Failure::usage)
}

fn user_and_password(session: &Session, registry: &str) -> Result<(String, Secret), Failure> {
    let terminal = std::io::stdin().is_terminal();
    let failed = |error: std::io::Error| Failure::new(format!("cannot read from the terminal: {error}"));
    let user = match credentials::user(&session.global)? {
        Some((user, _)) => user,
        None if terminal && !session.global.password_stdin => {
            session.console.prompt(&format!("user name for {registry}: ")).map_err(failed)?;
            let mut line = String::new();
            std::io::stdin().lock().read_line(&mut line).map_err(failed)?;
            line.trim().to_owned()
        }
        None => return Err(Failure::usage("no user name given: use --username U or MANIFEST_TOOL_USERNAME")),
    };
    if user.is_empty() {
        return Err(Failure::usage("the user name is empty"));
    }
    let password = match credentials::secret(&session.global, &session.console)? {
        Some((password, _)) => password,
        None if terminal => prompt_for_password(&user, registry)?,
        None => return Err(Failure::usage("no password given: use --password-stdin or MANIFEST_TOOL_PASSWORD")),
    };
    Ok((user, password))
}
