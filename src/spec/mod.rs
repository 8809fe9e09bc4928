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

use crate::image::{IndexKind, Location, Platform, check_tag};

/// One index to assemble.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Where the index goes; has a tag and no digest.
    pub target: Location,
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
    /// Where it is; has a tag or a digest, but for a layout with a single image.
    pub location: Location,
    /// What the user said of its platform; empty fields are filled from the image's config.
    pub platform: Platform,
}

/// Checks the target: it must have a tag and no digest.
fn target(text: &str) -> Result<Location, String> {
    let location: Location = text.parse().map_err(|error: crate::image::LocationError| error.to_string())?;
    match (location.tag(), location.digest()) {
        (_, Some(_)) => {
            Err(format!("target \"{text}\" has a digest; name a tag instead, the digest is what comes out"))
        }
        (None, None) => Err(format!("target \"{text}\" has no tag; manifest-tool does not default to \"latest\"")),
        (Some(_), None) => Ok(location),
    }
}

/// Checks a source: in a registry it must have a tag or a digest.
fn source(text: &str) -> Result<Location, String> {
    let location: Location = text.parse().map_err(|error: crate::image::LocationError| error.to_string())?;
    match location.reference() {
        Some(reference) if reference.manifest_name().is_none() => {
            Err(format!("source \"{text}\" has no tag or digest; manifest-tool does not default to \"latest\""))
        }
        _ => Ok(location),
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
fn without_own(target: &Location, mut tags: Vec<String>) -> Vec<String> {
    tags.retain(|tag| target.tag() != Some(tag));
    tags
}

const DOCKER_HAS_NO_ANNOTATIONS: &str =
    "a Docker manifest list has no annotations; use --type oci, or leave the annotations out";
