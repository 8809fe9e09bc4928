//! What the user asked for, validated: from a YAML file ([`from_yaml`]) or from arguments ([`from_template`]).
//!
//! Pure code: reading the file is the caller's part.

mod problem;
mod template;
mod yaml;

use std::collections::{BTreeMap, HashSet};

pub use problem::{Problem, SpecError};
pub use template::{TemplateRequest, from_template, parse_annotations};
pub use yaml::from_yaml;

use crate::image::{IndexKind, Platform, Reference, check_tag};

/// One index to assemble.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Where the index goes; has a tag and no digest.
    pub target: Reference,
    /// Further tags of the target's repository, without the target's own.
    pub tags: Vec<String>,
    /// The form of the index.
    pub kind: IndexKind,
    /// Annotations of the index; empty for [`IndexKind::Docker`].
    pub annotations: BTreeMap<String, String>,
    /// What goes into the index, in this order. Never empty.
    pub sources: Vec<Source>,
}

/// One image (or index) to put into the index.
#[derive(Debug, Clone)]
pub struct Source {
    /// Where it is; has a tag or a digest.
    pub reference: Reference,
    /// What the user said of its platform; empty fields are filled from the image's config.
    pub platform: Platform,
}

/// Checks the target's reference: it must have a tag and no digest.
fn target(text: &str) -> Result<Reference, String> {
    let reference: Reference = text.parse().map_err(|error: crate::image::ReferenceError| error.to_string())?;
    match (reference.tag(), reference.digest()) {
        (_, Some(_)) => {
            Err(format!("target \"{text}\" has a digest; name a tag instead, the digest is what comes out"))
        }
        (None, None) => Err(format!("target \"{text}\" has no tag; manifest-tool does not default to \"latest\"")),
        (Some(_), None) => Ok(reference),
    }
}

/// Checks a source's reference: it must have a tag or a digest, and be in the target's registry.
fn source(text: &str, target: Option<&Reference>) -> Result<Reference, String> {
    let reference: Reference = text.parse().map_err(|error: crate::image::ReferenceError| error.to_string())?;
    if reference.manifest_name().is_none() {
        return Err(format!("source \"{text}\" has no tag or digest; manifest-tool does not default to \"latest\""));
    }
    match target {
        Some(target) if target.registry() != reference.registry() => Err(format!(
            "source \"{text}\" is in registry {}, the target in {}; copy the image there first, \
             sources must be in the target's registry",
            reference.registry(),
            target.registry()
        )),
        _ => Ok(reference),
    }
}

/// Checks an extra tag against the grammar and those before it, which it joins.
fn extra_tag(tag: &str, seen: &mut HashSet<String>) -> Result<(), String> {
    check_tag(tag).map_err(|reason| format!("invalid tag \"{tag}\": {reason}"))?;
    if !seen.insert(tag.to_owned()) {
        return Err(format!("duplicate tag \"{tag}\""));
    }
    Ok(())
}

/// Specs for 2.2.1 name the target's own tag among the extra ones; it is written once.
fn without_own(target: &Reference, mut tags: Vec<String>) -> Vec<String> {
    tags.retain(|tag| target.tag() != Some(tag));
    tags
}

const DOCKER_HAS_NO_ANNOTATIONS: &str =
    "a Docker manifest list has no annotations; use --type oci, or leave the annotations out";
