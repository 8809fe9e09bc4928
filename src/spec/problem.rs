use std::fmt;

use crate::image::{DigestError, LocationError, UnsupportedPlatform, UntrustedText};

/// Maximum number of problems, and of warnings, reported for a file or a command line.
pub(super) const MAX_PROBLEMS: usize = 1_000;

/// An error or warning about a spec, with its position. Displayed as `FILE:LINE:COLUMN: MESSAGE`, followed by the
/// suggestion.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// Name of the file, `<stdin>`, or empty for arguments.
    pub file: UntrustedText,
    /// Line and column in the file, both counted from 1. `None` for arguments.
    pub at: Option<(u64, u64)>,
    /// What kind of problem it is.
    pub kind: ProblemKind,
    /// Description of the problem, with the offending text and without the suggestion.
    pub message: UntrustedText,
    /// The text that was probably meant instead of the offending text.
    pub suggestion: Option<UntrustedText>,
    /// Length of the text at [`Self::at`] that the suggestion replaces, in characters. `None` if it is not known.
    pub length: Option<u64>,
    /// How to fix the problem, if the message does not say so.
    pub hint: Option<Hint>,
}

/// Kinds of problems, for programs that classify them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProblemKind {
    /// The file is not valid YAML.
    Syntax,
    /// A mapping has an unknown key.
    UnknownKey,
    /// A platform is not one that Go knows.
    Platform,
    /// A variable has no value, or must not be used.
    Variable,
    /// Any other problem of the content.
    #[default]
    Content,
}

/// How to fix a problem. Each program phrases it in terms of its own options.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hint {
    /// Give this variable a value.
    SetVariable(String),
    /// Enable the expansion of variables.
    FillVariables,
    /// Create an OCI index, or remove this key.
    UseOciForm(String),
    /// Name a target.
    NameTarget,
    /// Name images, or the files of a build.
    NameImages,
    /// Store credentials for this registry.
    SignIn(String),
    /// Configure certificates for this registry.
    TrustCertificate(String),
}

/// A problem without a position.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Mistake {
    pub(crate) kind: ProblemKind,
    pub(crate) message: UntrustedText,
    pub(crate) suggestion: Option<UntrustedText>,
    pub(crate) hint: Option<Hint>,
}

impl From<&str> for Mistake {
    fn from(message: &str) -> Self {
        message.to_owned().into()
    }
}

impl From<String> for Mistake {
    fn from(message: String) -> Self {
        Self { message: message.into(), ..Self::default() }
    }
}

impl From<UnsupportedPlatform> for Mistake {
    fn from(UnsupportedPlatform { message, suggestion }: UnsupportedPlatform) -> Self {
        let kind = ProblemKind::Platform;
        Self { kind, suggestion: suggestion.map(UntrustedText::from), ..message.into() }
    }
}

impl From<LocationError> for Mistake {
    fn from(error: LocationError) -> Self {
        Self { suggestion: error.suggestion().cloned(), ..error.message().to_owned().into() }
    }
}

impl From<DigestError> for Mistake {
    fn from(error: DigestError) -> Self {
        Self { suggestion: error.suggestion().map(Into::into), ..error.message().into() }
    }
}

impl Mistake {
    /// Adds the text that was probably meant, if it is known and none is.
    pub(crate) fn or_meant(self, meant: Option<impl Into<UntrustedText>>) -> Self {
        Self { suggestion: self.suggestion.or(meant.map(Into::into)), ..self }
    }

    /// Puts text before the message.
    pub(super) fn with_prefix(self, prefix: &str) -> Self {
        Self { message: format!("{prefix}{}", self.message).into(), ..self }
    }

    pub(crate) fn with_hint(message: impl Into<UntrustedText>, hint: Hint) -> Self {
        let kind = match hint {
            Hint::SetVariable(_) => ProblemKind::Variable,
            _ => ProblemKind::default(),
        };
        Self { kind, message: message.into(), suggestion: None, hint: Some(hint) }
    }

    pub(super) fn at(self, file: impl Into<UntrustedText>, at: Option<(u64, u64)>) -> Problem {
        let Self { kind, message, suggestion, hint } = self;
        Problem { file: file.into(), at, kind, message, suggestion, length: None, hint }
    }
}

impl Problem {
    /// Creates a problem of arguments, which have no position in a file.
    pub(crate) fn of_arguments(message: String) -> Self {
        Mistake::from(message).at("", None)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, at, message, .. } = self;
        match at {
            _ if file.is_empty() => message.fmt(f)?,
            Some((line, column)) => write!(f, "{file}:{line}:{column}: {message}")?,
            None => write!(f, "{file}: {message}")?,
        }
        match &self.suggestion {
            None => Ok(()),
            // Messages have quotes around keys and words, but not around platforms.
            Some(meant) if self.kind == ProblemKind::Platform => write!(f, "; did you mean {meant}?"),
            Some(meant) => write!(f, "; did you mean \"{meant}\"?"),
        }
    }
}

/// All problems of a spec, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpecError {
    /// Problems that make the spec unusable. Never empty.
    pub problems: Vec<Problem>,
    /// Warnings about probable mistakes.
    pub warnings: Vec<Problem>,
}

impl SpecError {
    /// Creates an error without warnings.
    pub(crate) fn new(problems: Vec<Problem>) -> Self {
        Self { problems, warnings: Vec::new() }
    }

    /// Returns each problem as one line with its position: `FILE:LINE:COLUMN: MESSAGE`.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.problems.iter().map(Problem::to_string)
    }
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines().collect::<Vec<_>>().join("\n"))
    }
}

impl std::error::Error for SpecError {}
