use std::collections::{HashMap, HashSet};
use std::fmt;

use bytes::Bytes;

use super::resolve::{Entry, Resolved};
use crate::image::{Descriptor, Digest, ImageManifest, Location, Platform, index_bytes};
use crate::spec::Spec;
use crate::store::Child;

/// All that will be written, as a value: nothing is pushed before it exists.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where the index goes.
    pub target: Location,
    /// Extra tags, in their order.
    pub tags: Vec<String>,
    /// Type, digest and size of the index.
    pub descriptor: Descriptor,
    /// The index's exact bytes.
    pub bytes: Bytes,
    /// What has to be put into the target's repository before the index; each digest once.
    pub children: Vec<Child>,
}

/// Why resolved sources do not make an index.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlanError {
    /// Every source was skipped.
    Empty {
        /// The index that was to be made.
        target: Location,
    },
    /// Entries that a store could not choose between.
    SamePlatform {
        /// The index that was to be made.
        target: Location,
        /// The platform, and the two entries by source and digest, for each clash.
        clashes: Vec<(Platform, String, String)>,
    },
    /// The index cannot be written as JSON.
    Unwritable(String),
}

impl Plan {
    /// Makes the plan. Pure: the same sources give the same plan.
    pub fn new(spec: &Spec, resolved: Resolved) -> Result<Self, PlanError> {
        if resolved.images.is_empty() && resolved.attestations.is_empty() {
            return Err(PlanError::Empty { target: spec.target.clone() });
        }
        check_platforms(spec, &resolved.images)?;
        let entries: Vec<Entry> = resolved.images.into_iter().chain(resolved.attestations).collect();
        let parts = entries.iter().map(|entry| (&entry.reference, &entry.descriptor, &entry.bytes, &*entry.manifest));
        let children = children(&spec.target, parts);
        let descriptors: Vec<Descriptor> = entries.iter().map(|entry| entry.descriptor.clone()).collect();
        let bytes = index_bytes(spec.kind, &descriptors, &spec.annotations)
            .map_err(|error| PlanError::Unwritable(error.to_string()))?;
        let index = Descriptor::new(spec.kind.media_type(), Digest::sha256(&bytes));
        Ok(Self {
            target: spec.target.clone(),
            tags: spec.tags.clone(),
            descriptor: Descriptor { size: bytes.len() as u64, ..index },
            bytes: bytes.into(),
            children,
        })
    }
}

fn check_platforms(spec: &Spec, images: &[Entry]) -> Result<(), PlanError> {
    let name = |entry: &Entry| format!("{} ({})", entry.source, entry.descriptor.digest);
    let mut seen: HashMap<&Platform, &Entry> = HashMap::new();
    let mut clashes = Vec::new();
    for entry in images {
        let Some(platform) = &entry.descriptor.platform else { continue };
        match seen.get(platform) {
            Some(first) => clashes.push((platform.clone(), name(first), name(entry))),
            None => {
                seen.insert(platform, entry);
            }
        }
    }
    if clashes.is_empty() { Ok(()) } else { Err(PlanError::SamePlatform { target: spec.target.clone(), clashes }) }
}

/// The children that come from other repositories, each digest once.
pub(super) fn children<'a>(
    target: &Location,
    parts: impl Iterator<Item = (&'a Location, &'a Descriptor, &'a Bytes, &'a ImageManifest)>,
) -> Vec<Child> {
    let mut manifests = HashSet::new();
    let mut children = Vec::new();
    for (reference, descriptor, bytes, manifest) in parts {
        if reference.same_repository(target) || !manifests.insert(descriptor.digest.clone()) {
            continue;
        }
        children.push(Child {
            blobs: manifest.blobs(),
            from: reference.clone(),
            descriptor: descriptor.clone(),
            bytes: bytes.clone(),
        });
    }
    children
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty { target } => {
                write!(f, "cannot assemble {target}: all sources are missing, there is nothing to push")
            }
            Self::SamePlatform { target, clashes } => {
                write!(f, "cannot assemble {target}: ")?;
                for (index, (platform, first, second)) in clashes.iter().enumerate() {
                    let lead = if index == 0 { "" } else { "\n  " };
                    write!(f, "{lead}two entries for platform {platform}: {first} and {second}")?;
                }
                Ok(())
            }
            Self::Unwritable(reason) => write!(f, "cannot write the index: {reason}"),
        }
    }
}

impl std::error::Error for PlanError {}
