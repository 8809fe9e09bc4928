use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;

use super::amend;
use super::change::{Change, compare};
use super::check;
use super::held::{Held, HeldManifest};
use super::problem::PlanError;
use super::resolve::{Entry, Resolved};
use super::unknown::UnknownFields;
use crate::event::Warning;
use crate::image::{
    Descriptor, Digest, Index, IndexKind, Location, MAX_PUSHED_MANIFEST, Platform, go_json, index_bytes, index_json,
    media_type,
};
use crate::spec::{Attestations, Form, Spec};
use crate::store::Child;

/// All that will be written, as a value: nothing is pushed before it exists.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Plan {
    /// Where the index goes.
    pub target: Location,
    /// Type, digest and size of the index.
    pub descriptor: Descriptor,
    /// The index's exact bytes.
    pub bytes: Bytes,
    /// The index, read.
    pub index: Index,
    /// The source of each entry, as given; of those that the target holds already, none.
    pub sources: Vec<Option<Location>>,
    /// What has to be put into the target's repository before the index; each digest once.
    pub children: Vec<Child>,
    /// Compared with what the target holds, if that was read.
    pub difference: Option<Difference>,
    /// What is likely to be a mistake.
    pub warnings: Vec<Warning>,
}

/// What an index changes at its target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// What becomes of each entry.
    pub changes: Vec<Change>,
    /// Entries that the target holds, and that nothing takes the place of.
    pub removed: Vec<Descriptor>,
}

impl Plan {
    /// Makes the plan. Pure: the same sources, and the same `held` where the spec appends, give the same plan.
    pub(crate) fn new(spec: &Spec, resolved: &Resolved, held: &Held) -> Result<Self, PlanError> {
        let target = &spec.target;
        let empty = || PlanError::Empty { target: target.clone() };
        if resolved.images.is_empty() && resolved.attestations.is_empty() {
            return Err(empty());
        }
        check_platforms(spec, &resolved.images)?;
        let mut index = Self::given(spec, resolved);
        if let (true, Some(HeldManifest { no_platform: Some(reason), .. })) = (spec.append, held.manifest()) {
            let reason = format!("it holds one image, of which nobody can say what platform it is for: {reason}");
            return Err(PlanError::Unamendable { target: target.clone(), reasons: vec![reason.into()] });
        }
        let is_cache =
            |held: &HeldManifest| held.index.manifests.iter().any(|entry| media_type::is_blob(&entry.media_type));
        if spec.append && held.manifest().is_some_and(is_cache) {
            let reason = "it lists blobs, as build caches do, which a push cannot change";
            return Err(PlanError::Unamendable { target: target.clone(), reasons: vec![reason.into()] });
        }
        if spec.append {
            let nothing = Index::default();
            index = amend::append(held.manifest().map_or(&nothing, |held| &held.index), &index);
        }
        if spec.attestations == Attestations::Drop {
            index.manifests.retain(|entry| !entry.is_attestation());
        }
        if index.manifests.is_empty() {
            return Err(empty());
        }
        let kind = kind(spec.form, held, &index.manifests);
        let mut warnings: Vec<Warning> = spec.warnings.iter().cloned().map(Warning::Spec).collect();
        warnings.extend(check::of_sources(spec, &resolved.images));
        warnings.extend(check::of_images(spec, &resolved.images, kind));
        let is_said = warnings.iter().any(|warning| matches!(warning, Warning::OciInDockerList { .. }));
        let of_entries = check::of_entries(&index.manifests).into_iter();
        warnings.extend(of_entries.filter(|warning| !is_said || !matches!(warning, Warning::MixedTypes { .. })));
        let plan = Self::of_index(target, kind, index, held, spec.append)?;
        Ok(Self { warnings, ..plan }.with_sources(resolved))
    }

    /// The plan of what a target holds, as it is.
    pub(super) fn as_it_is(target: &Location, held: &Held) -> Result<Self, PlanError> {
        let found = held.manifest().ok_or_else(|| PlanError::Empty { target: target.clone() })?;
        let plan = Self {
            target: target.clone(),
            descriptor: found.descriptor.clone(),
            bytes: found.bytes.clone(),
            sources: vec![None; found.index.manifests.len()],
            index: found.index.clone(),
            children: Vec::new(),
            difference: None,
            warnings: check::of_entries(&found.index.manifests),
        };
        Ok(plan.compared_with(held))
    }

    /// The index itself, as what is pushed by digest before its tags.
    pub(super) fn as_child(&self) -> Child {
        Child {
            from: self.target.with_digest(self.descriptor.digest.clone()),
            descriptor: self.descriptor.clone(),
            bytes: self.bytes.clone(),
            blobs: Arc::default(),
        }
    }

    /// With where its entries come from, and what of that has to be put into the target's repository.
    pub(super) fn with_sources(self, resolved: &Resolved) -> Self {
        let entries = || resolved.images.iter().chain(&resolved.attestations);
        let key = |entry: &Descriptor| (entry.digest.clone(), entry.platform.clone());
        let of: HashMap<_, &Location> = entries().map(|entry| (key(&entry.descriptor), &entry.source)).collect();
        let sources = self.index.manifests.iter().map(|entry| of.get(&key(entry)).copied().cloned()).collect();
        let here: HashSet<&Digest> = self.index.manifests.iter().map(|entry| &entry.digest).collect();
        let parts = entries().filter(|entry| here.contains(&entry.descriptor.digest));
        let parts = parts.map(|entry| (&entry.reference, &entry.descriptor, &entry.bytes, &entry.blobs));
        let children = children(&self.target, parts);
        Self { sources, children, ..self }
    }

    /// What the spec and its sources say of the index, whatever the target holds.
    pub(super) fn given(spec: &Spec, resolved: &Resolved) -> Index {
        let entries = resolved.images.iter().chain(&resolved.attestations);
        Index {
            artifact_type: spec.artifact_type.clone(),
            manifests: entries.map(|entry| entry.descriptor.clone()).collect(),
            subject: resolved.subject.clone().map(Box::new),
            annotations: spec.annotations.clone(),
        }
    }

    /// The plan to make this index of what the target holds.
    pub(super) fn of_index(
        target: &Location,
        kind: IndexKind,
        mut index: Index,
        held: &Held,
        amends: bool,
    ) -> Result<Self, PlanError> {
        let missing = [
            ("annotations", index.annotations.is_empty()),
            ("artifactType", index.artifact_type.is_none()),
            ("subject", index.subject.is_none()),
        ];
        if let (IndexKind::Docker, Some((what, _))) = (kind, missing.iter().find(|(_, none)| !none)) {
            return Err(PlanError::NotDockers { target: target.clone(), what });
        }
        if kind == IndexKind::Docker {
            index.manifests.iter_mut().for_each(Descriptor::keep_what_docker_has);
        }
        let (descriptor, bytes) = match held.manifest() {
            // In whatever way another program wrote it: there is nothing to change.
            Some(HeldManifest { descriptor, bytes, index: before, kind: before_kind, is_index: true, .. })
                if amends && (before, *before_kind) == (&index, kind) =>
            {
                (descriptor.clone(), bytes.clone())
            }
            _ => {
                let kept = held.manifest().filter(|_| amends);
                let bytes: Bytes = written(kind, &index, kept)
                    .map_err(|reason| PlanError::Unwritable { target: target.clone(), reason: reason.into() })?
                    .into();
                let size = bytes.len() as u64;
                if size > MAX_PUSHED_MANIFEST {
                    return Err(PlanError::TooLong { target: target.clone(), size });
                }
                (Descriptor { size, ..Descriptor::new(kind.media_type(), Digest::sha256(&bytes)) }, bytes)
            }
        };
        let plan = Self {
            target: target.clone(),
            descriptor,
            bytes,
            sources: vec![None; index.manifests.len()],
            index,
            children: Vec::new(),
            difference: None,
            warnings: Vec::new(),
        };
        Ok(plan.compared_with(held))
    }

    /// With the difference to what the target holds, or held.
    pub(super) fn compared_with(self, held: &Held) -> Self {
        let before: &[Descriptor] = match held {
            Held::Unread => return self,
            Held::Nothing => &[],
            Held::Manifest(held) => &held.index.manifests,
        };
        let (changes, removed) = compare(before, &self.index.manifests);
        Self { difference: Some(Difference { changes, removed }), ..self }
    }
}

/// The bytes of an index. If it changes one that has unknown fields, these are kept.
fn written(kind: IndexKind, index: &Index, changed: Option<&HeldManifest>) -> Result<Vec<u8>, String> {
    let unknown = match changed {
        Some(held) if held.is_index => UnknownFields::of(&held.bytes, &held.index),
        _ => return index_bytes(kind, index).map_err(|error| error.to_string()),
    };
    if unknown.is_empty() {
        return index_bytes(kind, index).map_err(|error| error.to_string());
    }
    let mut value = index_json(kind, index).map_err(|error| error.to_string())?;
    unknown.put_into(&mut value, &index.manifests);
    go_json(&value, "  ").map_err(|error| error.to_string())
}

/// Which form an index takes.
fn kind(form: Form, held: &Held, entries: &[Descriptor]) -> IndexKind {
    let is_docker =
        |entry: &Descriptor| matches!(&*entry.media_type, media_type::DOCKER_MANIFEST | media_type::DOCKER_LIST);
    match (form, held.manifest()) {
        (Form::Docker, _) | (Form::Target, None) => IndexKind::Docker,
        (Form::Oci, _) => IndexKind::Oci,
        (Form::Target, Some(held)) => held.kind,
        (Form::Auto, _) if entries.iter().all(is_docker) => IndexKind::Docker,
        (Form::Auto, _) => IndexKind::Oci,
    }
}

fn check_platforms(spec: &Spec, images: &[Entry]) -> Result<(), PlanError> {
    let name = |entry: &Entry| format!("{} ({})", entry.source, entry.descriptor.digest);
    let mut seen: HashMap<&Platform, Vec<&Entry>> = HashMap::new();
    let mut clashes = Vec::new();
    for entry in images {
        let Some(platform) = &entry.descriptor.platform else { continue };
        let others = seen.entry(platform).or_default();
        // Twins differ in their marks.
        match others.iter().find(|other| !other.descriptor.has_other_marks(&entry.descriptor)) {
            Some(first) => clashes.push((platform.clone(), name(first), name(entry))),
            None => others.push(entry),
        }
    }
    if clashes.is_empty() { Ok(()) } else { Err(PlanError::SamePlatform { target: spec.target.clone(), clashes }) }
}

/// The children that come from other repositories, each digest once.
pub(super) fn children<'a>(
    target: &Location,
    parts: impl Iterator<Item = (&'a Location, &'a Descriptor, &'a Bytes, &'a Arc<[Descriptor]>)>,
) -> Vec<Child> {
    let mut manifests = HashSet::new();
    let mut children = Vec::new();
    for (reference, descriptor, bytes, blobs) in parts {
        if reference.same_repository(target) || !manifests.insert(descriptor.digest.clone()) {
            continue;
        }
        children.push(Child {
            blobs: Arc::clone(blobs),
            from: reference.clone(),
            descriptor: descriptor.clone(),
            bytes: bytes.clone(),
        });
    }
    children
}

#[cfg(test)]
pub(super) mod tests;
