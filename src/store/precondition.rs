use super::Error;
use crate::image::Digest;

/// The precondition for writing a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfMatch {
    /// The tag must not exist.
    Missing,
    /// The tag must point at this digest.
    Digest(Digest),
}

impl IfMatch {
    /// Checks the precondition against the digest that a tag points at; `None` if the tag does not exist.
    ///
    /// # Errors
    /// [`Error::Changed`] if the precondition is not met.
    pub(crate) fn check(&self, tag: &str, current: Option<&Digest>) -> Result<(), Error> {
        let expected = match self {
            Self::Missing => None,
            Self::Digest(digest) => Some(digest),
        };
        if expected == current {
            return Ok(());
        }
        Err(Error::Changed { subject: tag.to_owned(), expected: expected.cloned(), current: current.cloned() })
    }
}
