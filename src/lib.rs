#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]
// Some of what the command line uses is not public, and is dead without it.
#![cfg_attr(not(feature = "cli"), allow(dead_code, unused_imports))]
// What is public is meant to be.
#![cfg_attr(not(test), deny(unreachable_pub, unnameable_types))]
//! Puts one multi-platform reference, a Docker manifest list or an OCI image index, in front of images that were
//! built per platform.
//!
//! The main types, in the order in which a program meets them:
//!
//! - [`registry::Client`]: the registry client, one for the process; [`registry::ClientConfig`] configures it.
//! - [`store::Store`]: reads and writes registries, OCI layouts and archives alike.
//! - [`image::Location`]: `registry.example/app:v1`, `oci:folder:v1` or `oci-archive:app.tar`, parsed from text.
//! - [`spec::Spec`]: what an index is made of, from code, from YAML ([`spec::from_yaml`]) or from a template
//!   ([`spec::from_template`]).
//! - [`assemble::push`]: the main job. It returns an [`assemble::Report`], or an [`assemble::Error`] that says what was
//!   written before it failed.
//! - [`inspect`], [`query`], [`verify`], [`copy`], [`delete`], [`probe`]: the other jobs.
//! - [`event::Events`]: where progress, warnings and a log of requests go.
//!
//! ```
//! use manifest_tool::assemble::{PushOptions, push};
//! use manifest_tool::event::Events;
//! use manifest_tool::registry::{Client, ClientConfig};
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
//! let events = Events::new(|event| eprintln!("{event}"));
//! let store = Store::new(Client::new(ClientConfig { events, ..ClientConfig::default() }));
//! let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! let report = runtime.block_on(push(&store, &spec, &PushOptions::default()))?;
//!
//! assert_eq!(report.plan.entries.len(), 2);
//! println!("{} {}", report.plan.descriptor.digest, report.plan.target);
//! # Ok(())
//! # }
//! ```
//!
//! Every job has the form `job(&store, &request, &options)`; [`query`] has no options. [`registry::Client`] and
//! [`store::Store`] are cheap to clone, so that a job can own what it works with and run as a task of its own. Work runs
//! on a tokio runtime with time and I/O enabled, of one thread or several.
//!
//! Options are made with `..Default::default()`, as they get more fields; reports and errors do as well. The crate exposes
//! two types of other crates: [`bytes::Bytes`] for content, and [`serde_json::Value`] for [`spec::schema`]. It never prints;
//! the one exception is [`cli`], which is the program. With `default-features = false` that module is left out, and with it
//! clap, indicatif and rpassword.

pub mod assemble;
#[cfg(feature = "cli")]
pub mod cli;
pub mod copy;
pub mod delete;
pub mod event;
pub mod image;
pub mod inspect;
pub mod layout;
mod links;
mod memory;
pub mod probe;
pub mod query;
pub mod registry;
mod single_flight;
pub mod spec;
pub mod store;
pub mod verify;
