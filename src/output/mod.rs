//! What is shown: text as manifest-tool 2.2.1 writes it, plans, and JSON.
//!
//! Everything is made as a string first, so that an error half way leaves nothing on stdout.

mod document;
mod escape;
mod json;
mod plan;
mod probe;
mod progress;
mod query;
mod tags;
mod text;
mod verify;
mod words;

pub(crate) use document::{descriptor_json, document, index_json, inspection_parts, merge, query_json, tags_json};
pub(crate) use escape::escaped;
pub(crate) use json::inspection_json;
pub(crate) use plan::plan_text;
pub(crate) use probe::{check_text, report_json};
pub(crate) use progress::Progress;
pub(crate) use query::query_text;
pub(crate) use tags::tag_text;
pub(crate) use text::{Colour, Shown, inspection_text};
pub(crate) use verify::{verification_json, verification_text};
pub(crate) use words::{assemble_error_text, event_text};
