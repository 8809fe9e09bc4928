/// The format of results on stdout. Defaults to text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum OutputFormat {
    #[default]
    Text,
    Json,
    /// Annotations of GitHub Actions; only `lint` has them.
    #[value(hide = true)]
    Github,
    /// SARIF 2.1.0; only `lint` has it.
    #[value(hide = true)]
    Sarif,
}

impl OutputFormat {
    /// Whether only `lint` has this format.
    pub(super) fn is_of_lint(self) -> bool {
        matches!(self, Self::Github | Self::Sarif)
    }
}
