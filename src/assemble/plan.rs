//! Plans an index. Does no I/O.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;

use super::annotations;
use super::check;
use super::diff::{Change, compare};
use super::existing::{Existing, ExistingManifest};
use super::merge;
use super::plan_error::PlanError;
use super::resolve::Resolved;
use super::source::SourceImage;
use super::unknown::UnknownFields;
use crate::event::Warning;
use crate::image::{
    Annotations, Descriptor, Digest, Index, IndexKind, Location, MAX_PUSHED_MANIFEST, Platform, UntrustedText,
    index_bytes, index_json, media_type, to_go_json,
};
use crate::spec::{Attestations, Form, Spec};
use crate::store::SourceManifest;

/// An index as it will be written. The plan is complete before any manifest is pushed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Plan {
    /// The target of the index.
    pub target: Location,
    /// Type, digest and size of the index.
    pub descriptor: Descriptor,
    /// The index's exact bytes.
    pub bytes: Bytes,
    /// The entries, in their order.
    pub entries: Vec<PlannedEntry>,
    /// Entries of the target that are removed; `None` if the target was not read.
    pub removed: Option<Vec<Descriptor>>,
    /// The index's `artifactType`.
    pub artifact_type: Option<UntrustedText>,
    /// The manifest that the index refers to.
    pub subject: Option<Box<Descriptor>>,
    /// The index's own annotations.
    pub annotations: Annotations,
    /// Likely mistakes.
    pub warnings: Vec<Warning>,
    /// The manifests that the target's repository needs before the index, each digest once.
    pub(super) children: Vec<SourceManifest>,
}

/// An entry of a planned index.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PlannedEntry {
    /// The entry as it is written.
    pub descriptor: Descriptor,
    /// The source of the entry, as the spec names it; `None` for an existing entry of the target.
    pub source: Option<Location>,
    /// How the entry changes the target; `None` if the target was not read.
    pub change: Option<Change>,
}

/// The sources of the entries of a plan.
#[derive(Clone, Copy, Default)]
struct Sources<'a> {
    resolved: Option<&'a Resolved>,
    children: &'a [SourceManifest],
}

impl Plan {
    /// Plans the index. The result depends only on the spec, its sources and, if the spec appends, `existing`.
    pub(super) fn new(
        spec: &Spec,
        target: &Location,
        resolved: &Resolved,
        children: &[SourceManifest],
        existing: &Existing,
    ) -> Result<Self, PlanError> {
        let empty = || PlanError::Empty { target: target.clone() };
        if resolved.all().next().is_none() {
            return Err(empty());
        }
        check_platforms(target, &resolved.images)?;
        check_entry_annotations(spec, target, &resolved.images)?;
        let mut index = Self::index_of_sources(spec, resolved);
        if spec.append {
            check_appendable(target, existing)?;
            let empty = Index::default();
            index = merge::append(existing.manifest().map_or(&empty, |existing| &existing.index), &index);
        }
        if spec.attestations == Attestations::Drop {
            index.manifests.retain(|entry| !entry.is_attestation());
        }
        if index.manifests.is_empty() {
            return Err(empty());
        }
        let kind = kind(spec.form, existing, &index.manifests);
        let optional = annotations::optional(spec, &resolved.images, existing);
        let has_left_out = kind == IndexKind::Docker && !optional.is_empty();
        if kind == IndexKind::Oci {
            index.annotations.extend(optional);
        }
        let mut warnings = warnings(spec, resolved, kind, &index.manifests);
        warnings.extend(has_left_out.then_some(Warning::AnnotationsLeftOut));
        let sources = Sources { resolved: Some(resolved), children };
        let plan = Self::write(target, kind, index, existing, spec.append, sources)?;
        Ok(Self { warnings, ..plan })
    }

    /// Returns the plan to replace the target's existing index with `index`, a changed version of it.
    pub(super) fn amended(
        target: &Location,
        kind: IndexKind,
        index: Index,
        existing: &Existing,
    ) -> Result<Self, PlanError> {
        Self::write(target, kind, index, existing, true, Sources::default())
    }

    /// Returns the plan of the target's existing index, unchanged. Entries that come from `resolved` name their
    /// sources.
    pub(super) fn unchanged(
        target: &Location,
        existing: &Existing,
        resolved: Option<&Resolved>,
    ) -> Result<Self, PlanError> {
        let manifest = existing.manifest().ok_or_else(|| PlanError::Empty { target: target.clone() })?;
        let (descriptor, bytes) = (manifest.descriptor.clone(), manifest.bytes.clone());
        let sources = Sources { resolved, children: &[] };
        let plan = Self::with_entries(target, descriptor, bytes, manifest.index.clone(), existing, sources);
        Ok(Self { warnings: check::check_entries(&manifest.index.manifests), ..plan })
    }

    /// Returns the index of the spec and its sources, without the target's existing content.
    pub(super) fn index_of_sources(spec: &Spec, resolved: &Resolved) -> Index {
        Index {
            artifact_type: spec.artifact_type.clone(),
            manifests: annotations::annotated(spec, resolved.all().map(|image| image.entry.clone()).collect()),
            subject: resolved.subject.clone().map(Box::new),
            annotations: spec.annotations.clone(),
        }
    }

    /// Returns the planned index.
    #[must_use]
    pub fn index(&self) -> Index {
        Index {
            artifact_type: self.artifact_type.clone(),
            manifests: self.entries.iter().map(|entry| entry.descriptor.clone()).collect(),
            subject: self.subject.clone(),
            annotations: self.annotations.clone(),
        }
    }

    /// Returns the index itself, as a manifest to push by digest before its tags.
    pub(super) fn as_child(&self) -> SourceManifest {
        SourceManifest {
            location: self.target.with_digest(self.descriptor.digest.clone()),
            descriptor: self.descriptor.clone(),
            bytes: self.bytes.clone(),
            blobs: Arc::default(),
        }
    }

    /// Recomputes the changes and removed entries against `existing`. Returns the plan unchanged if the target was not
    /// read.
    pub(super) fn compared_with(mut self, existing: &Existing) -> Self {
        let before: &[Descriptor] = match existing {
            Existing::Unread => return self,
            Existing::Missing => &[],
            Existing::Manifest(existing) => &existing.index.manifests,
        };
        let (changes, removed) = compare(before, &self.index().manifests);
        for (entry, change) in self.entries.iter_mut().zip(changes) {
            entry.change = Some(change);
        }
        Self { removed: Some(removed), ..self }
    }

    /// Encodes an index. If `amends`, keeps the bytes of an unchanged existing index, and the unknown fields of a
    /// changed one.
    fn write(
        target: &Location,
        kind: IndexKind,
        mut index: Index,
        existing: &Existing,
        amends: bool,
        sources: Sources<'_>,
    ) -> Result<Self, PlanError> {
        if kind == IndexKind::Docker {
            check_docker(target, &index)?;
            index.manifests.iter_mut().for_each(Descriptor::clear_oci_fields);
        }
        let amended = existing.manifest().filter(|_| amends);
        let (descriptor, bytes) =
            match amended {
                Some(ExistingManifest {
                    descriptor, bytes, index: before, kind: before_kind, is_index: true, ..
                }) if (before, *before_kind) == (&index, kind) => (descriptor.clone(), bytes.clone()),
                _ => {
                    let bytes: Bytes = encode(kind, &index, amended)
                        .map_err(|reason| PlanError::Unwritable { target: target.clone(), reason: reason.into() })?
                        .into();
                    let size = bytes.len() as u64;
                    if size > MAX_PUSHED_MANIFEST {
                        return Err(PlanError::TooLong { target: target.clone(), size });
                    }
                    (Descriptor { size, ..Descriptor::new(kind.media_type(), Digest::sha256(&bytes)) }, bytes)
                }
            };
        Ok(Self::with_entries(target, descriptor, bytes, index, existing, sources))
    }

    fn with_entries(
        target: &Location,
        descriptor: Descriptor,
        bytes: Bytes,
        index: Index,
        existing: &Existing,
        sources: Sources<'_>,
    ) -> Self {
        let key = |entry: &Descriptor| (entry.digest.clone(), entry.platform.clone());
        let images = sources.resolved.into_iter().flat_map(Resolved::all);
        let source_of: HashMap<_, &Location> = images.map(|image| (key(&image.entry), &image.source)).collect();
        let digests: HashSet<&Digest> = index.manifests.iter().map(|entry| &entry.digest).collect();
        let children = sources.children.iter().filter(|child| digests.contains(&child.descriptor.digest));
        let mut children: Vec<SourceManifest> = children.cloned().collect();
        // Push images before attestations, in the order of the index.
        children.sort_by_key(|child| child.descriptor.is_attestation());
        let entry = |descriptor: Descriptor| PlannedEntry {
            source: source_of.get(&key(&descriptor)).copied().cloned(),
            descriptor,
            change: None,
        };
        let plan = Self {
            target: target.clone(),
            descriptor,
            bytes,
            entries: index.manifests.into_iter().map(entry).collect(),
            removed: None,
            artifact_type: index.artifact_type,
            subject: index.subject,
            annotations: index.annotations,
            warnings: Vec::new(),
            children,
        };
        plan.compared_with(existing)
    }
}

/// Checks that entries can be added to the target's existing content.
fn check_appendable(target: &Location, existing: &Existing) -> Result<(), PlanError> {
    let Some(existing) = existing.manifest() else { return Ok(()) };
    let reason = if let Some(reason) = &existing.no_platform {
        format!("it is a single image of unknown platform: {reason}")
    } else if existing.index.manifests.iter().any(|entry| media_type::is_blob(&entry.media_type)) {
        "it lists blobs, like a build cache, and a push cannot change such an index".to_owned()
    } else {
        return Ok(());
    };
    Err(PlanError::Unamendable { target: target.clone(), reasons: vec![reason.into()] })
}

/// Checks that the index has no fields that Docker manifest lists do not have.
fn check_docker(target: &Location, index: &Index) -> Result<(), PlanError> {
    let fields = [
        ("annotations", !index.annotations.is_empty()),
        ("artifactType", index.artifact_type.is_some()),
        ("subject", index.subject.is_some()),
    ];
    match fields.iter().find(|(_, is_set)| *is_set) {
        Some((field, _)) => Err(PlanError::UnsupportedByDocker { target: target.clone(), field }),
        None => Ok(()),
    }
}

/// Returns all warnings about an index of these images and entries.
fn warnings(spec: &Spec, resolved: &Resolved, kind: IndexKind, entries: &[Descriptor]) -> Vec<Warning> {
    let images = &resolved.images;
    let mut warnings: Vec<Warning> = spec.warnings.iter().cloned().map(Warning::Spec).collect();
    warnings.extend(resolved.duplicates.iter().cloned());
    warnings.extend(check::check_sources(spec, images));
    warnings.extend(check::check_images(spec, images, kind));
    // Report OCI images in a Docker manifest list only once.
    let is_reported = warnings.iter().any(|warning| matches!(warning, Warning::OciInDockerList { .. }));
    let of_entries = check::check_entries(entries).into_iter();
    warnings.extend(of_entries.filter(|warning| !is_reported || !matches!(warning, Warning::MixedTypes { .. })));
    warnings
}

/// Encodes an index, with the unknown fields of the index that it amends.
fn encode(kind: IndexKind, index: &Index, amended: Option<&ExistingManifest>) -> Result<Vec<u8>, String> {
    let unknown = match amended {
        Some(existing) if existing.is_index => UnknownFields::parse(&existing.bytes, &existing.index),
        _ => return index_bytes(kind, index).map_err(|error| error.to_string()),
    };
    if unknown.is_empty() {
        return index_bytes(kind, index).map_err(|error| error.to_string());
    }
    let mut value = index_json(kind, index).map_err(|error| error.to_string())?;
    unknown.restore(&mut value, &index.manifests);
    to_go_json(&value, "  ").map_err(|error| error.to_string())
}

/// Returns the kind of index to write.
fn kind(form: Form, existing: &Existing, entries: &[Descriptor]) -> IndexKind {
    let is_docker =
        |entry: &Descriptor| matches!(&*entry.media_type, media_type::DOCKER_MANIFEST | media_type::DOCKER_LIST);
    match (form, existing.manifest()) {
        (Form::Docker, _) | (Form::Target, None) => IndexKind::Docker,
        (Form::Oci, _) => IndexKind::Oci,
        (Form::Target | Form::TargetOrAuto, Some(existing)) => existing.kind,
        (Form::Auto | Form::TargetOrAuto, _) if entries.iter().all(is_docker) => IndexKind::Docker,
        (Form::Auto | Form::TargetOrAuto, _) => IndexKind::Oci,
    }
}

/// Checks that every annotation for a platform has an entry.
fn check_entry_annotations(spec: &Spec, target: &Location, images: &[SourceImage]) -> Result<(), PlanError> {
    let wanted: Vec<Platform> =
        spec.entry_annotations.iter().filter_map(|annotation| annotation.platform.clone()).collect();
    let manifests = images.iter().map(|image| image.entry.clone()).collect();
    let missing = Index { manifests, ..Index::default() }.select(None, &wanted).missing;
    let platforms: Vec<Platform> = missing.into_iter().cloned().collect();
    if platforms.is_empty() { Ok(()) } else { Err(PlanError::NoEntry { target: target.clone(), platforms }) }
}

fn check_platforms(target: &Location, images: &[SourceImage]) -> Result<(), PlanError> {
    let name = |image: &SourceImage| format!("{} ({})", image.source, image.entry.digest);
    let mut seen: HashMap<&Platform, Vec<&SourceImage>> = HashMap::new();
    let mut clashes = Vec::new();
    for image in images {
        let Some(platform) = &image.entry.platform else { continue };
        let others = seen.entry(platform).or_default();
        // Entries for one platform are allowed if their marks differ, such as two compressions of one image.
        match others.iter().find(|other| !other.entry.has_other_marks(&image.entry)) {
            Some(first) => clashes.push((platform.clone(), name(first), name(image))),
            None => others.push(image),
        }
    }
    if clashes.is_empty() { Ok(()) } else { Err(PlanError::SamePlatform { target: target.clone(), clashes }) }
}

#[cfg(test)]
pub(super) mod tests;
