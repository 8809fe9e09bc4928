//! `push from-images`: an index of images given by reference, by digest, or by the files of a build.

mod annotations;
mod bad_input;
mod files;
mod selection;
mod sources;
mod targets;

use serde_json::Value;

use crate::support::images::push_image;
use crate::support::{Outcome, Registry, Sandbox};

/// A registry with the images `parts:amd64`, `parts:arm64` and `parts:s390x`.
pub struct Fixture {
    pub sandbox: Sandbox,
    pub digests: [String; 3],
}

pub const ARCHITECTURES: [&str; 3] = ["amd64", "arm64", "s390x"];

impl Fixture {
    pub fn new() -> Self {
        let sandbox = Sandbox::new();
        let digests = ARCHITECTURES.map(|architecture| {
            let image = push_image(&sandbox.registry, "parts", architecture, architecture);
            image["digest"].as_str().unwrap().to_owned()
        });
        Self { sandbox, digests }
    }

    pub fn registry(&self) -> &Registry {
        &self.sandbox.registry
    }

    /// Runs `push from-images` with these arguments.
    pub fn push(&self, args: &[&str]) -> Outcome {
        self.sandbox.run(&[&["push", "from-images"], args].concat())
    }

    /// Runs `push` with flags before `from-images`.
    pub fn push_with(&self, flags: &[&str], args: &[&str]) -> Outcome {
        self.sandbox.run(&[&["push"], flags, &["from-images"], args].concat())
    }
}

/// Returns the index that a tag points at.
pub fn index(registry: &Registry, repository: &str, tag: &str) -> Value {
    let stored = registry.manifest(repository, tag).unwrap_or_else(|| panic!("{repository}:{tag} does not exist"));
    serde_json::from_slice(&stored.bytes).unwrap()
}

/// Returns the architectures of the entries of an index, in order.
pub fn architectures(index: &Value) -> Vec<&str> {
    let entries = index["manifests"].as_array().unwrap();
    entries.iter().map(|entry| entry["platform"]["architecture"].as_str().unwrap()).collect()
}
