//! What is shown: text as manifest-tool 2.2.1 writes it, and JSON.
//!
//! Everything is made as a string first, so that an error half way leaves nothing on stdout.

mod json;
mod progress;
mod text;

pub use json::inspection_json;
pub use progress::Progress;
pub use text::{Colour, inspection_text};
