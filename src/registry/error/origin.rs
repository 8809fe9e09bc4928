use std::fmt;

/// Where credentials come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct CredentialOrigin {
    /// The name in messages: the path of a file, a helper's program, a variable, or a name given by the caller.
    pub name: String,
    /// Whether these credentials take precedence over stored ones.
    pub outranks_files: bool,
}

impl CredentialOrigin {
    /// Creates the origin of credentials in a file, or from a helper that a file names.
    pub(crate) fn file(name: impl Into<String>) -> Self {
        Self { name: name.into(), outranks_files: false }
    }

    /// Creates the origin of credentials from the caller, or from a variable that contains them.
    pub(crate) fn above_files(name: impl Into<String>) -> Self {
        Self { name: name.into(), outranks_files: true }
    }
}

impl fmt::Display for CredentialOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
