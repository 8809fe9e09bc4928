//! What is shown: text as manifest-tool 2.2.1 writes it, plans, and JSON.
//!
//! Everything is made as a string first, so that an error half way leaves nothing on stdout.

mod document;
mod json;
mod plan;
mod probe;
mod progress;
mod query;
mod text;
mod verify;

pub use document::{descriptor_json, document, index_json, inspection_parts, merge, query_json, tags_json};
pub use json::inspection_json;
pub use plan::plan_text;
pub use probe::{check_text, report_json};
pub use progress::Progress;
pub use query::query_text;
pub use text::{Colour, Shown, inspection_text};
pub use verify::{verification_json, verification_text};
