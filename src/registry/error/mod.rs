//! Errors of requests to a registry.

mod denied;
mod error_response;
mod hint;
mod kind;
mod messages;
mod origin;
mod registry_error;
mod stop_reason;
mod transport_fault;

pub use denied::{Denial, Denied};
pub use error_response::{ErrorResponse, RateLimit};
pub use hint::Hint;
pub use kind::ErrorKind;
pub use messages::RegistryMessage;
pub use origin::CredentialOrigin;
pub use registry_error::Error;
pub use stop_reason::StopReason;
pub use transport_fault::TransportFault;
