use super::model::Form;
use super::variables::Lookup;

/// A file of specs, and the options that apply to them.
#[derive(Clone, Copy, Default)]
pub struct YamlRequest<'a> {
    /// The file's text.
    pub text: &'a str,
    /// Its name, for messages.
    pub file: &'a str,
    /// The form of every index, whatever the specs say.
    pub form: Option<Form>,
    /// Start from what the targets hold, whatever the specs say.
    pub append: bool,
    /// What `${NAME}` stands for; without it that is text as any other.
    pub variables: Option<Lookup<'a>>,
    /// Treat warnings as errors.
    pub strict: bool,
}
