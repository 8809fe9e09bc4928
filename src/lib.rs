#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]
// Private items that only the command line uses are dead code without it.
#![cfg_attr(not(feature = "cli"), allow(dead_code, unused_imports))]
// Every `pub` item must be reachable and nameable from outside the crate, so that no item is public by accident.
#![cfg_attr(not(test), deny(unreachable_pub, unnameable_types))]
//! Combines images that were built per platform into one multi-platform reference: a Docker manifest list or an OCI
//! image index.
//!
//! The main types, in the order in which a program uses them:
//!
//! - [`registry::Client`]: the registry client, one per process; [`registry::ClientConfig`] configures it.
//! - [`store::Store`]: reads and writes registries, OCI layouts and OCI archives.
//! - [`image::Location`]: `registry.example/app:v1`, `oci:folder:v1` or `oci-archive:app.tar`, parsed from text.
//! - [`spec::Spec`]: describes an index and its targets. Built in code, from YAML ([`spec::from_yaml`]), from a template
//!   ([`spec::from_template`]) or from a list of images ([`spec::from_images`]).
//! - [`assemble::push`]: the main job. It returns an [`assemble::PushReport`], or an [`assemble::Error`] that lists
//!   what was written before the failure.
//! - [`inspect`], [`query`], [`verify`], [`sign`], [`copy`], [`delete`], [`probe`]: the other jobs.
//! - [`signature`]: verifies and makes signatures of images, offline and with keys.
//! - [`event::Events`]: receives progress, warnings and a log of requests.
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
//! // The target and the sources can also be in registries, such as "registry.example/app:v1-amd64".
//! let mut spec = Spec::new(target, Form::Oci, &["oci:examples/layouts/amd64", "oci:examples/layouts/arm64"])?;
//! spec.target.tags.push("latest".into());
//!
//! let events = Events::new(|event| eprintln!("{event}"));
//! let store = Store::new(Client::new(ClientConfig { events, ..ClientConfig::default() }));
//! let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! let report = runtime.block_on(push(&store, &spec, &PushOptions::default()))?;
//!
//! for target in &report.targets {
//!     assert_eq!(target.plan.entries.len(), 2);
//!     println!("{} {}", target.plan.descriptor.digest, target.plan.target);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Every job has the form `job(&store, &request, &options)`; [`query`] has no options. [`registry::Client`] and
//! [`store::Store`] are cheap to clone, so a job can own its store and run as a separate task. Jobs need a tokio
//! runtime, single- or multi-threaded, with time and I/O enabled.
//!
//! Construct options with `..Default::default()`, because later versions add fields; reports and errors gain fields as
//! well. The public API uses two types of other crates: [`bytes::Bytes`] for content, and [`serde_json::Value`] for
//! [`spec::schema`]. The library never prints; only [`cli`], the program itself, does. `default-features = false`
//! leaves out that module and its dependencies clap, indicatif, regex-lite, rpassword and terminal_size.

pub mod assemble;
#[cfg(feature = "cli")]
pub mod cli;
mod convert;
pub mod copy;
mod daemon;
pub mod delete;
pub mod event;
pub mod image;
pub mod inspect;
mod layer;
pub mod layout;
mod links;
mod memory;
pub mod probe;
pub mod query;
pub mod registry;
pub mod sign;
pub mod signature;
mod single_flight;
pub mod spec;
pub mod store;
#[cfg(feature = "cli")]
mod sync;
pub mod verify;

/// Compiles the program in the documentation.
#[cfg(doctest)]
#[doc = include_str!("../docs/library.md")]
struct LibraryPage;
