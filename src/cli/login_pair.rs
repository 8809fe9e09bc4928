//! A user name and a password from flags, standard input, the environment or the terminal.

use std::io::IsTerminal as _;

use super::console::Console;
use super::failure::Failure;
use super::prompt::without_echo;
use crate::image::visible;
use crate::registry::{Login, Secret};

/// A user name and a password, and the flag or variable that each came from.
pub(super) struct LoginPair {
    user: String,
    password: Secret,
    pub(super) user_from: &'static str,
    password_from: &'static str,
}

/// The user name and the password of a pair, each with the flag or variable that it came from.
pub(super) struct PartialPair {
    pub(super) user: Option<(String, &'static str)>,
    pub(super) password: Option<(Secret, &'static str)>,
    /// A flag that was given an empty value.
    pub(super) empty_flag: Option<&'static str>,
}

/// The flags and variables that a pair may come from.
pub(super) struct PairNames {
    pub(super) user_flag: &'static str,
    pub(super) user_variable: &'static str,
    pub(super) password_variable: &'static str,
    /// All ways to give the password, for messages.
    pub(super) password_sources: &'static str,
}

impl PairNames {
    /// Completes a pair: asks for a missing password at the terminal. Warns and returns `None` if the environment sets
    /// only one of the two, because a pipeline may have set it for other jobs.
    ///
    /// # Errors
    /// Only the user name or only the password is given.
    pub(super) fn complete(
        &self,
        pair: PartialPair,
        registry: &str,
        console: &Console,
    ) -> Result<Option<LoginPair>, Failure> {
        match (pair.user, pair.password) {
            (Some((user, user_from)), Some((password, password_from))) => {
                Ok(Some(LoginPair { user, password, user_from, password_from }))
            }
            (None, None) => Ok(None),
            (Some((_, source)), None) | (None, Some((_, source))) if pair.empty_flag.is_some() => {
                // A pipeline passed an empty variable, as in a fork without secrets: continue anonymously, as in 2.2.1.
                console.alert(format_args!("{} is empty; {source} is not used", pair.empty_flag.unwrap_or_default()));
                Ok(None)
            }
            (Some((_, source)), None) if source == self.user_variable => {
                console.alert(format_args!("{source} is set and {} is not; neither is used", self.password_variable));
                Ok(None)
            }
            (None, Some((_, source))) if source == self.password_variable => {
                console.alert(format_args!("{source} is set and {} is not; neither is used", self.user_variable));
                Ok(None)
            }
            (Some((user, user_from)), None) if is_attended() => {
                let password = prompt_for_password(&user, registry)?;
                Ok(Some(LoginPair { user, password, user_from, password_from: "the terminal" }))
            }
            (Some((_, source)), None) => {
                let missing = format!("but no password is given: use {}", self.password_sources);
                Err(Failure::usage(format!("{source} gives a user name, {missing}")))
            }
            (None, Some((_, source))) => {
                let missing = format!("but no user name is given: use {} or {}", self.user_flag, self.user_variable);
                Err(Failure::usage(format!("{source} gives a password, {missing}")))
            }
        }
    }
}

impl LoginPair {
    /// Whether both the user name and the password come from the variables with these names.
    pub(super) fn is_from_environment(&self, names: &PairNames) -> bool {
        (self.user_from, self.password_from) == (names.user_variable, names.password_variable)
    }

    pub(super) fn into_login(self) -> Login {
        Login::Password { user: self.user, password: self.password }
    }
}

/// Whether a person can answer a prompt. A CI system may provide a terminal without a user.
pub(super) fn is_attended() -> bool {
    let is_ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false");
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal() && !is_ci
}

/// Prompts for the password of a user at the terminal.
pub(super) fn prompt_for_password(user: &str, registry: &str) -> Result<Secret, Failure> {
    let password = without_echo(format!("password of {} for {registry}: ", visible(user)))?;
    if password.is_empty() { Err(Failure::usage("the password is empty")) } else { Ok(Secret::new(password)) }
}

/// Returns the value of a variable. An empty one counts as not set.
pub(super) fn variable(name: &str) -> Result<Option<String>, Failure> {
    match std::env::var(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(Failure::usage(format!("{name} is not UTF-8 text"))),
    }
}
