//! What the user asked for, validated: from a YAML file ([`from_yaml`]) or from arguments ([`from_template`]).
//!
//! Pure code: reading the file is the caller's part.

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
