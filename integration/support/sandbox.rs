//! The environment in which most tests run the program: an empty working folder and a separate registry.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::binary::{Outcome, command, run};
use super::registry::Registry;

/// An empty folder that is the program's working folder and home, with flags and environment variables for each run.
///
/// Placeholders such as `HOST` in arguments and files are replaced with their values, such as a server's address.
pub struct Workspace {
    folder: tempfile::TempDir,
    flags: Vec<&'static str>,
    placeholders: Vec<(&'static str, String)>,
    variables: Vec<(&'static str, String)>,
}

impl Workspace {
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            flags: Vec::new(),
            placeholders: Vec::new(),
            variables: Vec::new(),
        }
    }

    /// Passes these flags before the arguments of each run.
    pub fn flags(mut self, flags: &[&'static str]) -> Self {
        self.flags.extend(flags);
        self
    }

    /// Replaces `placeholder` with `value` in arguments and written files.
    pub fn placeholder(mut self, placeholder: &'static str, value: &str) -> Self {
        self.placeholders.push((placeholder, value.to_owned()));
        self
    }

    /// Sets an environment variable for each run.
    pub fn env(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.to_owned()));
        self
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file, and creates its parent folders.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, self.fill(text)).unwrap();
        path
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Returns the command for the program with these arguments, so that a test can change it before it runs.
    pub fn command(&self, args: &[&str]) -> Command {
        let filled: Vec<String> = args.iter().map(|arg| self.fill(arg)).collect();
        let args: Vec<&str> = self.flags.iter().copied().chain(filled.iter().map(String::as_str)).collect();
        let mut command = command(self.folder.path(), &args);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    pub fn run(&self, args: &[&str]) -> Outcome {
        self.run_with_stdin(args, "")
    }

    pub fn run_with_stdin(&self, args: &[&str], stdin: &str) -> Outcome {
        run(self.command(args), &self.fill(stdin))
    }

    /// Replaces the placeholders in a text.
    pub fn fill(&self, text: &str) -> String {
        self.placeholders.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
    }
}

/// A [`Workspace`] with a registry, whose address is `HOST`. Runs use plain HTTP.
pub struct Sandbox {
    pub registry: Registry,
    workspace: Workspace,
}

impl Sandbox {
    pub fn new() -> Self {
        Self::with_registry(Registry::start())
    }

    pub fn with_registry(registry: Registry) -> Self {
        let workspace = Workspace::new().flags(&["--plain-http"]).placeholder("HOST", &registry.host);
        Self { registry, workspace }
    }

    /// Changes the workspace: `.with(|workspace| workspace.flags(&["--retries", "0"]))`.
    pub fn with(mut self, change: impl FnOnce(Workspace) -> Workspace) -> Self {
        self.workspace = change(self.workspace);
        self
    }
}

impl Deref for Sandbox {
    type Target = Workspace;

    fn deref(&self) -> &Workspace {
        &self.workspace
    }
}
