use super::Error;
use crate::image::Digest;

/// What a tag must point at to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfMatch {
    /// The tag must not exist.
    Nothing,
    /// A manifest with this digest.
    Digest(Digest),
}

impl IfMatch {
    /// Compares with what a tag points at; `None` is a tag that does not exist.
    ///
    /// # Errors
    /// [`Error::Changed`] if the tag points at something else.
    pub(crate) fn check(&self, tag: &str, current: Option<&Digest>) -> Result<(), Error> {
        let expected = match self {
            Self::Nothing => None,
            Self::Digest(digest) => Some(digest),
        };
        if expected == current {
            return Ok(());
        }
        Err(Error::Changed { subject: tag.to_owned(), expected: expected.cloned(), current: current.cloned() })
    }
}
