#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]
// What is public is meant to be.
#![cfg_attr(not(test), deny(unreachable_pub, unnameable_types))]
//! Puts one multi-platform reference, a Docker manifest list or an OCI image index, in front of images that were
//! built per platform.
//!
//! The main types, in the order in which a program meets them:
//!
//! - [`registry::Client`]: one for the process; signs in, tries again, keeps connections. [`registry::Options`] says how.
//! - [`store::Store`]: registries, OCI layouts and archives in the same words.
//! - [`image::Location`]: `registry.example/app:v1`, `oci:folder:v1` or `oci-archive:app.tar`, parsed from text.
//! - [`spec::Spec`]: what an index is to be made of, from code, from YAML ([`spec::from_yaml`]) or from a template
//!   ([`spec::from_template`]).
//! - [`assemble::push`]: the main job. It gives an [`assemble::Outcome`], or an [`assemble::Error`] that says what was
//!   done before.
//! - [`inspect`], [`query`], [`verify`], [`copy`], [`delete`], [`probe`]: the jobs beside it.
//!
//! ```
//! use manifest_tool::assemble::{PushOptions, push};
//! use manifest_tool::registry::{Client, Options};
//! use manifest_tool::spec::{Form, Spec};
//! use manifest_tool::store::Store;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let target = &format!("oci:{}:v1", folder.path().display());
//! // In place of the layouts, and of the target, "registry.example/app:v1-amd64" would do as well.
//! let mut spec = Spec::new(target, Form::Oci, &["oci:examples/layouts/amd64", "oci:examples/layouts/arm64"])?;
//! spec.tags.push("latest".into());
//!
//! let client = Client::new(Options::default());
//! let store = Store::new(&client);
//! let pushing = push(&store, &spec, PushOptions::default(), &|event| eprintln!("{event}"));
//! let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! let outcome = runtime.block_on(pushing)?;
//!
//! assert_eq!(outcome.plan.index.manifests.len(), 2);
//! println!("{} {}", outcome.plan.descriptor.digest, outcome.plan.target);
//! # Ok(())
//! # }
//! ```
//!
//! Options are made with `..Default::default()`, and get more fields. Results and errors are types that grow as well; those
//! of errors say what went wrong and for what, and `to_string()` is what the program prints. Of other crates' types two are
//! in use here: [`bytes::Bytes`] for content, and [`serde_json::Value`] for [`spec::schema`].
//!
//! Work runs on a tokio runtime with time and I/O enabled, of one thread or several: every job can be spawned. Nothing
//! here prints; the one exception is [`cli`], which is the program.

pub mod assemble;
pub mod cli;
pub mod copy;
pub mod delete;
pub mod image;
pub mod inspect;
pub mod layout;
mod links;
mod memory;
mod once;
mod output;
pub mod probe;
pub mod query;
pub mod registry;
pub mod spec;
pub mod store;
pub mod verify;
