use super::conversion_error::ConversionError;
use crate::image::Location;
use crate::store::{Error as StoreError, PublishError};

/// Why a copy failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The source cannot be read, or does not contain the requested content.
    #[error("cannot copy{}", with_source(.from, .reason))]
    Source {
        /// The source.
        from: Box<Location>,
        /// Why the source cannot be copied.
        #[source]
        reason: Box<StoreError>,
    },
    /// The source cannot be converted. Nothing was written.
    #[error(transparent)]
    Conversion(Box<ConversionError>),
    /// Writing failed; the error lists what was written before.
    #[error(transparent)]
    Publish(Box<PublishError>),
}

impl Error {
    /// Creates the error of a source that cannot be read.
    pub(crate) fn source(from: &Location, reason: StoreError) -> Self {
        Self::Source { from: Box::new(from.clone()), reason: Box::new(reason) }
    }
}

impl From<PublishError> for Error {
    fn from(error: PublishError) -> Self {
        Self::Publish(Box::new(error))
    }
}

/// Returns the source and the reason, or only the reason if it begins with the source.
fn with_source(from: &Location, reason: &StoreError) -> String {
    let from = from.to_string();
    if reason.subject() == from { format!(": {reason}") } else { format!(" {from}: {reason}") }
}
