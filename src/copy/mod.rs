//! Copies an image, or a whole index with all its children: byte for byte, or converted.

mod conversion_error;
mod convert;
mod diff_ids;
mod error;
mod job;
mod request;
mod tags;
mod target;
mod update;

pub use conversion_error::ConversionError;
pub use error::Error;
pub use job::copy;
pub(crate) use job::copy_in;
pub use request::{CopyOptions, CopyRequest};
pub use tags::select_tags;
pub(crate) use update::{UpdateReport, update_in};

pub use crate::convert::Format;
pub use crate::layer::{EncodingError, LayerEncoding};
