//! Parses and validates specs of indexes, from YAML ([`from_yaml`]) or from arguments ([`from_template`]).
//!
//! This module does no I/O: the caller reads the file.

mod keys;
mod memory;
mod model;
mod node;
mod placeholders;
mod problem;
mod reader;
mod request;
mod schema;
mod template;
mod variables;
mod yaml;

pub(crate) use memory::MAX_MEMORY;
pub(crate) use model::is_possible;
pub use model::{Attestations, Form, FormError, Source, Spec};
pub use problem::{Hint, Problem, SpecError};
pub use request::YamlRequest;
pub use schema::schema;
pub use template::{AnnotationError, TemplateRequest, from_template, parse_annotations};
pub use variables::Lookup;
pub use yaml::from_yaml;
