use std::fmt;

/// Where credentials come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct CredentialOrigin {
    /// What messages call it: the path of a file, a helper's program, a variable, or the name that the caller gave.
    pub name: String,
    /// It counts before every file, so that credentials that are stored are not used.
    pub outranks_files: bool,
}

impl CredentialOrigin {
    /// A file, or a helper that a file names.
    pub(crate) fn file(name: impl Into<String>) -> Self {
        Self { name: name.into(), outranks_files: false }
    }

    /// The caller, or a variable that holds the credentials themselves.
    pub(crate) fn above_files(name: impl Into<String>) -> Self {
        Self { name: name.into(), outranks_files: true }
    }
}

impl fmt::Display for CredentialOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
