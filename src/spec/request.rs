use super::model::Form;
use super::variables::Lookup;

/// A YAML file of specs, with the options that apply to all of them.
#[derive(Clone, Copy, Default)]
pub struct YamlRequest<'a> {
    /// Text of the file. Defaults to an empty text, which is an error.
    pub text: &'a str,
    /// Name of the file, for messages. Defaults to an empty name, which is left out of messages.
    pub file: &'a str,
    /// Form of every index, overriding the specs. Defaults to `None`: each spec decides, and a spec without `type` is
    /// [`Form::Docker`], or [`Form::Target`] with `append`.
    pub form: Option<Form>,
    /// Append to the existing indexes of all targets. Defaults to false: each spec's `append` decides.
    pub append: bool,
    /// Add the labels that all images share as annotations of every index. Defaults to false: each spec decides.
    pub annotations_from_labels: bool,
    /// Values of `${NAME}` variables. Defaults to `None`, which leaves `${NAME}` unexpanded.
    pub variables: Option<Lookup<'a>>,
    /// Treat warnings as errors. Defaults to false.
    pub strict: bool,
}
