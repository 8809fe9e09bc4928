//! Why something at a registry did not work.

mod denied;
mod fault;
mod hint;
mod refusal;
mod registry_error;
mod stop_reason;

pub use denied::{Denial, Denied};
pub(crate) use fault::Fault;
pub use refusal::{RateLimit, Refusal, RegistryMessage};
pub(crate) use registry_error::SILENT;
pub use registry_error::{Error, ErrorKind};
pub use stop_reason::StopReason;
