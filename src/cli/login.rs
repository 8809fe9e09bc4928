use std::io::{BufRead as _, IsTerminal as _};

use super::credentials;
use super::exit_status::ExitStatus;
use super::failure::Failure;
use super::output::CommandOutput;
use super::prompt::without_echo;
use super::registry_name::registry_name;
use super::render::Body;
use super::session::Session;
use crate::registry::{
    Client, CredentialSources, Error, ErrorKind, ExplicitCredentials, Login as Proof, Secret, Stored, erase, store,
};
use clap::Args;

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
    pub(super) fn run(self, session: &Session) -> Result<CommandOutput, Failure> {
        let registry = registry_of(&self.host)?;
        credentials::check_login_registry(&session.global, &registry)?;
        let (user, password) = user_and_password(session, &registry)?;
        let sources = credentials::stored(&session.global);
        let login = Proof::Password { user: user.clone(), password: password.clone() };
        let given = ExplicitCredentials { registry: registry.clone(), login, source: "this login".into() };
        let client = session.client_with(CredentialSources { given: Some(given), ..sources.clone() });
        let signing_in = LoginJob { session, client: &client, sources: &sources, registry: &registry };
        let (checked, stored) = session.block_on(&client, signing_in.store(&user, &password))?;
        let body = Body::Login { registry, username: user, stored, checked };
        CommandOutput::document(&session.console, body, Ok(ExitStatus::Done))
    }
}

impl Logout {
    pub(super) fn run(self, session: &Session) -> Result<CommandOutput, Failure> {
        let registry = registry_of(&self.host)?;
        let sources = credentials::stored(&session.global);
        let client = session.client_with(sources.clone());
        let signing_out = LoginJob { session, client: &client, sources: &sources, registry: &registry };
        let erased = session.block_on(&client, signing_out.erase())?;
        let removed = erased.iter().map(place_of).collect();
        CommandOutput::document(&session.console, Body::Logout { registry, removed }, Ok(ExitStatus::Done))
    }
}

/// Storing or erasing the credentials for a registry.
struct LoginJob<'a> {
    session: &'a Session,
    client: &'a Client,
    sources: &'a CredentialSources,
    registry: &'a str,
}

impl LoginJob<'_> {
    /// Checks credentials and stores them; returns whether the registry asked for them, and where they are stored.
    async fn store(&self, user: &str, password: &Secret) -> Result<(bool, String), Failure> {
        let (registry, console) = (self.registry, &self.session.console);
        let checked = self.client.check_login(registry).await;
        let asked = checked.map_err(|error| match error.kind {
            // The hint would be to do what is being done.
            ErrorKind::Denied(_) => Failure::new(error.to_string()),
            _ => error.into(),
        })?;
        if !asked {
            console.line(format_args!("warning: {registry} asks for no credentials, so these could not be checked"));
        }
        let storing = store(self.sources, registry, user, password);
        let stored = self.unless_stopped(storing).await?.map_err(Failure::new)?;
        let place = match &stored {
            Stored::Helper(program) => format!("stored by {program}"),
            Stored::File(path) => format!("stored in {}, not encrypted", path.display()),
        };
        console.line(format_args!("signed in to {registry} as {user}; {place}"));
        let place = place_of(&stored);
        self.warn_of_others(Some(&place), "come first").await?;
        Ok((asked, place))
    }

    /// Erases the credentials from wherever they are stored; gives these places.
    async fn erase(&self) -> Result<Vec<Stored>, Failure> {
        let (registry, console) = (self.registry, &self.session.console);
        let erasing = erase(self.sources, registry);
        let erased = self.unless_stopped(erasing).await?.map_err(Failure::new)?;
        for place in &erased {
            match place {
                Stored::Helper(program) => {
                    console.line(format_args!("{program} was told to erase the credentials for {registry}"));
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

    /// Warns if another source has credentials for the registry, where the user might think that none or these count.
    async fn warn_of_others(&self, stored: Option<&str>, what: &str) -> Result<(), Failure> {
        let registry = self.registry;
        if let Ok(Some(source)) = self.unless_stopped(self.sources.source_for(registry)).await?
            && stored != Some(source.as_str())
        {
            let console = &self.session.console;
            console.line(format_args!("warning: the credentials for {registry} from {source} {what}"));
        }
        Ok(())
    }

    /// Runs what may wait for a helper or for the configuration's lock, until a signal or the deadline.
    async fn unless_stopped<T>(&self, future: impl Future<Output = T>) -> Result<T, Failure> {
        let outcome = self.client.cancel_token().run_until_cancelled(future).await;
        outcome.map_err(|reason| Error::stopped(self.registry, reason).into())
    }
}

/// The file or helper, by its name.
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
        None => return Err(Failure::usage("no user name is given: --username U, or MANIFEST_TOOL_USERNAME")),
    };
    if user.is_empty() {
        return Err(Failure::usage("the user name is empty"));
    }
    let password = match credentials::secret(&session.global, &session.console)? {
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
