//! Parses and validates specs of indexes: from YAML ([`from_yaml`]), from platforms and a template ([`from_template`]),
//! or from a list of images and what builders wrote about them ([`from_images`]).
//!
//! This module does no I/O: the caller reads the file.

mod annotation;
mod arguments;
mod digests;
mod documents;
mod images;
mod keys;
mod list;
mod memory;
mod metadata;
mod model;
mod nearest;
mod node;
mod placeholders;
mod problem;
mod reader;
mod request;
mod schema;
mod target;
mod template;
mod variables;
mod yaml;

pub use annotation::{AnnotationError, parse_annotations};
pub use digests::DigestFile;
pub(crate) use documents::documents;
pub(crate) use images::is_annotation;
pub use images::{ImageArgument, ImagesRequest, from_images};
pub(crate) use keys::near_miss;
pub use list::image_list;
pub(crate) use memory::MAX_MEMORY;
pub use metadata::MetadataFile;
pub(crate) use model::is_possible;
pub use model::{Attestations, EntryAnnotation, Form, FormError, PlatformProblem, Source, Spec};
pub(crate) use node::Node;
pub(crate) use problem::Mistake;
pub use problem::{Hint, Problem, ProblemKind, SpecError};
pub(crate) use reader::Reader;
pub use request::YamlRequest;
pub use schema::schema;
pub use target::Target;
pub use template::{TemplateRequest, from_template};
pub use variables::Lookup;
pub use yaml::from_yaml;
