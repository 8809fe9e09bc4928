use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use super::amend;
use super::change::{Change, compare};
use super::check::{self, Warning};
use super::held::{Held, HeldManifest};
use super::problem::PlanError;
use super::resolve::{Entry, Resolved};
use crate::image::{
    Descriptor, Digest, ImageManifest, Index, IndexKind, Location, MAX_PUSHED_MANIFEST, Platform, index_bytes,
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
            return Err(PlanError::Unamendable { target: target.clone(), reasons: vec![reason] });
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
        let mut warnings = check::other_platforms(&resolved.images);
        warnings.extend(check::of_entries(&index.manifests));
        let kind = kind(spec.form, held, &index.manifests);
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

    /// With where its entries come from, and what of that has to be put into the target's repository.
    pub(super) fn with_sources(self, resolved: &Resolved) -> Self {
        let entries = || resolved.images.iter().chain(&resolved.attestations);
        let key = |entry: &Descriptor| (entry.digest.clone(), entry.platform.clone());
        let of: HashMap<_, &Location> = entries().map(|entry| (key(&entry.descriptor), &entry.source)).collect();
        let sources = self.index.manifests.iter().map(|entry| of.get(&key(entry)).copied().cloned()).collect();
        let here: HashSet<&Digest> = self.index.manifests.iter().map(|entry| &entry.digest).collect();
        let parts = entries().filter(|entry| here.contains(&entry.descriptor.digest));
        let parts = parts.map(|entry| (&entry.reference, &entry.descriptor, &entry.bytes, &*entry.manifest));
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
                let bytes: Bytes = index_bytes(kind, &index)
                    .map_err(|error| PlanError::Unwritable { target: target.clone(), reason: error.to_string() })?
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

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::super::amend::tests::{any_new_entries, digest, entries, index, name, platform, shown};
    use super::*;
    use crate::image::{Manifest, parse_manifest};
    use crate::spec::Attestations;

    /// A fetched manifest, from a tag that is its name.
    pub fn entry(descriptor: Descriptor) -> Entry {
        let source: Location = format!("r.io/from:{}", name(descriptor.digest.as_str())).parse().unwrap();
        let config = Descriptor::new(media_type::OCI_CONFIG, Digest::sha256(descriptor.digest.as_str().as_bytes()));
        Entry {
            reference: source.with_digest(descriptor.digest.clone()),
            source,
            bytes: Bytes::from(descriptor.digest.to_string()),
            manifest: Arc::new(ImageManifest {
                artifact_type: None,
                config,
                layers: Vec::new(),
                annotations: BTreeMap::new(),
                subject: None,
            }),
            config: None,
            descriptor,
        }
    }

    fn resolved(entries: &[Descriptor]) -> Resolved {
        let (attestations, images): (Vec<Entry>, Vec<Entry>) =
            entries.iter().cloned().map(entry).partition(|entry| entry.descriptor.is_attestation());
        Resolved { images, attestations, subject: None }
    }

    fn spec(form: Form, append: bool) -> Spec {
        Spec {
            target: "r.io/to:v1".parse().unwrap(),
            tags: Vec::new(),
            form,
            append,
            annotations: BTreeMap::new(),
            artifact_type: None,
            subject: None,
            attestations: Attestations::Keep,
            sources: Vec::new(),
        }
    }

    fn annotations(key: &str, value: &str) -> BTreeMap<String, String> {
        BTreeMap::from([(key.to_owned(), value.to_owned())])
    }

    /// An index as another program writes it: on one line.
    fn holding(kind: IndexKind, index: &Index) -> HeldManifest {
        let written: serde_json::Value = serde_json::from_slice(&index_bytes(kind, index).unwrap()).unwrap();
        let bytes = Bytes::from(written.to_string());
        let descriptor = Descriptor::new(kind.media_type(), Digest::sha256(&bytes));
        let descriptor = Descriptor { size: bytes.len() as u64, ..descriptor };
        HeldManifest { descriptor, bytes, kind, index: index.clone(), is_index: true, no_platform: None }
    }

    fn held(held: HeldManifest) -> Held {
        Held::Manifest(Box::new(held))
    }

    /// What every plan is: an index that reads back from bytes of its digest and size.
    fn check(plan: &Plan, kind: IndexKind) {
        let (manifest, media_type) = parse_manifest(&plan.bytes, "").unwrap();
        let Manifest::Index(read) = manifest else { panic!("an index") };
        assert_eq!((&read, media_type.as_str()), (&plan.index, kind.media_type()));
        assert_eq!((&*plan.descriptor.media_type, plan.descriptor.size), (kind.media_type(), plan.bytes.len() as u64));
        assert!(plan.descriptor.digest.matches(&plan.bytes));
        assert_eq!(plan.sources.len(), plan.index.manifests.len());
    }

    #[test]
    fn which_form() {
        use IndexKind::{Docker, Oci};
        let typed = |kind, image: &Descriptor| {
            let media_type = if kind == Docker { media_type::DOCKER_MANIFEST } else { media_type::OCI_MANIFEST };
            Descriptor { media_type: media_type.to_owned(), ..image.clone() }
        };
        for (form, append, before, images, kind) in [
            (Form::Docker, true, None, [Oci, Oci], Docker),
            (Form::Docker, true, Some(Oci), [Oci, Oci], Docker),
            (Form::Oci, true, None, [Docker, Docker], Oci),
            (Form::Oci, true, Some(Docker), [Docker, Docker], Oci),
            (Form::Auto, true, None, [Docker, Docker], Docker),
            (Form::Auto, true, None, [Docker, Oci], Oci),
            (Form::Auto, true, None, [Oci, Oci], Oci),
            (Form::Auto, true, Some(Docker), [Docker, Docker], Docker),
            (Form::Auto, true, Some(Docker), [Oci, Docker], Oci),
            (Form::Auto, true, Some(Oci), [Docker, Docker], Oci),
            (Form::Auto, false, Some(Oci), [Docker, Docker], Docker),
            (Form::Target, true, None, [Oci, Oci], Docker),
            (Form::Target, true, Some(Docker), [Oci, Oci], Docker),
            (Form::Target, true, Some(Oci), [Docker, Docker], Oci),
        ] {
            let all = entries("a1 linux/s390x, b1 linux/amd64, b2 linux/386");
            let holds = before.map(|kind| holding(kind, &index(&[typed(kind, &all[0])])));
            let new = [typed(images[0], &all[1]), typed(images[1], &all[2])];
            let plan = Plan::new(&spec(form, append), &resolved(&new), &holds.map_or(Held::Nothing, held)).unwrap();
            check(&plan, kind);
        }
        let image = typed(Oci, &entries("a1 linux/s390x")[0]);
        let one = HeldManifest { is_index: false, ..holding(Oci, &index(&[image])) };
        let plan = Plan::new(&spec(Form::Target, true), &resolved(&entries("b1 linux/386")), &held(one)).unwrap();
        check(&plan, Oci);
        assert_eq!(shown(&plan.index.manifests), "a1 linux/s390x, b1 linux/386");
    }

    #[test]
    fn what_docker_has_no_place_for() {
        let subject = Descriptor::new(media_type::OCI_MANIFEST, digest("c1"));
        let plain = || spec(Form::Docker, true);
        let annotated = Index { annotations: annotations("k", "v"), ..index(&entries("a1 linux/386")) };
        let artifact = Index { artifact_type: Some("x/y".into()), ..index(&entries("a1 linux/386")) };
        let referring = Index { subject: Some(Box::new(subject.clone())), ..index(&entries("a1 linux/386")) };
        for (given, subject, before, what) in [
            (plain(), None, Index::default(), None),
            (Spec { annotations: annotations("k", "v"), ..plain() }, None, Index::default(), Some("annotations")),
            (Spec { artifact_type: Some("x/y".into()), ..plain() }, None, Index::default(), Some("artifactType")),
            (plain(), Some(subject), Index::default(), Some("subject")),
            (plain(), None, annotated.clone(), Some("annotations")),
            (plain(), None, artifact, Some("artifactType")),
            (plain(), None, referring, Some("subject")),
            (Spec { append: false, ..plain() }, None, annotated, None),
        ] {
            let mut new = entries("b1 linux/amd64");
            new[0].annotations = annotations("of", "an entry");
            let new = Resolved { subject, ..resolved(&new) };
            let before = held(holding(IndexKind::Oci, &before));
            let error = Plan::new(&given, &new, &before).err();
            let expected = what.map(|what| PlanError::NotDockers { target: given.target.clone(), what });
            assert_eq!(error, expected, "{given:?}");
            let oci = Plan::new(&Spec { form: Form::Oci, ..given }, &new, &before).unwrap();
            check(&oci, IndexKind::Oci);
            assert_eq!(oci.index.manifests.last().unwrap().annotations, annotations("of", "an entry"));
        }
    }

    #[test]
    fn an_index_has_at_most_4_mib() {
        let of_length = |length: usize| {
            let given = Spec { annotations: annotations("k", &"x".repeat(length)), ..spec(Form::Oci, false) };
            Plan::new(&given, &resolved(&entries("a1 linux/amd64")), &Held::Unread)
        };
        let most = (4 << 20) - of_length(0).unwrap().bytes.len();
        assert_eq!(of_length(most).unwrap().descriptor.size, 4 << 20);
        let error = of_length(most + 1).unwrap_err();
        assert_eq!(error, PlanError::TooLong { target: "r.io/to:v1".parse().unwrap(), size: (4 << 20) + 1 });
    }

    #[test]
    fn bytes_that_say_the_same_stay_as_they_are() {
        use IndexKind::{Docker, Oci};
        let two = "a1 linux/amd64, a2 linux/386";
        let marked = |index: Index| Index { annotations: annotations("k", "v"), ..index };
        let oci = || holding(Oci, &marked(index(&entries(two))));
        let docker = || holding(Docker, &index(&entries(two)));
        for (given, before, new, same) in [
            (spec(Form::Target, true), docker(), "a1 linux/amd64", true),
            (spec(Form::Target, true), oci(), "a2 linux/386, a1 linux/amd64", true),
            (spec(Form::Auto, true), oci(), "a2 linux/386", true),
            (spec(Form::Docker, true), docker(), two, true),
            (Spec { annotations: annotations("k", "v"), ..spec(Form::Oci, true) }, oci(), two, true),
            (Spec { annotations: annotations("k", "w"), ..spec(Form::Oci, true) }, oci(), two, false),
            (spec(Form::Oci, true), docker(), two, false),
            (spec(Form::Docker, false), docker(), two, false),
            (spec(Form::Target, true), docker(), "b1 linux/amd64", false),
            (spec(Form::Target, true), docker(), "b1 linux/arm", false),
            (spec(Form::Target, true), HeldManifest { is_index: false, ..docker() }, two, false),
        ] {
            let plan = Plan::new(&given, &resolved(&entries(new)), &held(before.clone())).unwrap();
            check(&plan, if plan.descriptor.media_type == Docker.media_type() { Docker } else { Oci });
            let kept = (&plan.bytes, &plan.descriptor) == (&before.bytes, &before.descriptor);
            assert_eq!(kept, same, "{given:?}, {new}");
            let changed = plan.difference.unwrap().changes.iter().any(|change| *change != Change::Unchanged);
            assert!(!same || !changed, "{given:?}, {new}");
        }
    }

    #[test]
    fn attestations_are_kept_or_dropped() {
        let before = holding(IndexKind::Oci, &index(&entries("a1 linux/amd64, a2 linux/386, f1 of a1, f2 of a2")));
        for (attestations, append, expected) in [
            (Attestations::Keep, false, "b1 linux/amd64, e1 of b1"),
            (Attestations::Drop, false, "b1 linux/amd64"),
            (Attestations::Keep, true, "b1 linux/amd64, a2 linux/386, f2 of a2, e1 of b1"),
            (Attestations::Drop, true, "b1 linux/amd64, a2 linux/386"),
        ] {
            let given = Spec { attestations, ..spec(Form::Oci, append) };
            let new = resolved(&entries("e1 of b1, b1 linux/amd64"));
            let plan = Plan::new(&given, &new, &held(before.clone())).unwrap();
            check(&plan, IndexKind::Oci);
            assert_eq!(shown(&plan.index.manifests), expected, "{attestations:?} {append}");
        }
    }

    #[test]
    fn what_makes_no_index() {
        let given = spec(Form::Oci, true);
        let target = given.target.clone();
        let some = held(holding(IndexKind::Oci, &index(&entries("a1 linux/amd64"))));
        let error = Plan::new(&given, &Resolved::default(), &some).unwrap_err();
        assert_eq!(error, PlanError::Empty { target: target.clone() });
        let new = resolved(&entries("a1 linux/amd64, a2 linux/386, a3 linux/amd64, a4 linux/386"));
        let name = |name: &str| format!("r.io/from:{name} ({})", digest(name));
        let clashes =
            vec![(platform("linux/amd64"), name("a1"), name("a3")), (platform("linux/386"), name("a2"), name("a4"))];
        assert_eq!(Plan::new(&given, &new, &some).unwrap_err(), PlanError::SamePlatform { target, clashes });
        for apart in ["a1 linux/arm/v6, a2 linux/arm/v7", "a1 windows/amd64:10.0.1.1, a2 windows/amd64:10.0.2.1"] {
            assert!(Plan::new(&given, &resolved(&entries(apart)), &some).is_ok(), "{apart}");
        }
    }

    #[test]
    fn what_comes_from_where() {
        let given = spec(Form::Oci, true);
        let mut new = resolved(&entries("b1 linux/amd64, b2 linux/arm, b1 linux/arm64, b3 linux/ppc64le, e1 of b1"));
        new.images[1].reference = given.target.with_digest(digest("b2"));
        new.images[3].config = Some(platform("linux/s390x"));
        let mut before = index(&entries("a1 linux/amd64, a2 linux/386"));
        before.manifests[1].media_type = media_type::DOCKER_MANIFEST.into();
        let plan = Plan::new(&given, &new, &held(holding(IndexKind::Oci, &before))).unwrap();
        let tag = |source: &Option<Location>| source.as_ref().map_or("", |source| source.tag().unwrap()).to_owned();
        assert_eq!(plan.sources.iter().map(tag).collect::<Vec<_>>(), ["b1", "", "b2", "b1", "b3", "e1"]);
        let children: Vec<&str> = plan.children.iter().map(|child| name(child.descriptor.digest.as_str())).collect();
        assert_eq!(children, ["b1", "b3", "e1"], "each once, and none that is in the target's repository");
        assert_eq!(plan.children[0].bytes, new.images[0].bytes);
        assert_eq!(plan.children[0].blobs, [new.images[0].manifest.config.clone()]);
        let odd =
            check::other_platforms(&new.images[3..4]).into_iter().chain([Warning::MixedTypes { docker: 1, oci: 4 }]);
        assert_eq!(plan.warnings, odd.collect::<Vec<_>>());
        let replaced = Change::Replaced(digest("a1"));
        let changes = [replaced, Change::Unchanged, Change::Added, Change::Added, Change::Added, Change::Added];
        let difference = Difference { changes: changes.to_vec(), removed: Vec::new() };
        assert_eq!(plan.difference, Some(difference));
        let plan = Plan::new(&Spec { append: false, ..given.clone() }, &new, &held(holding(IndexKind::Oci, &before)));
        assert_eq!(shown(&plan.unwrap().difference.unwrap().removed), "a2 linux/386");
        assert_eq!(Plan::new(&given, &new, &Held::Unread).unwrap().difference, None);
        let nothing = Plan::new(&given, &new, &Held::Nothing).unwrap().difference.unwrap();
        assert_eq!(nothing, Difference { changes: vec![Change::Added; 5], removed: Vec::new() });
    }

    proptest! {
        #[test]
        fn what_was_written_is_planned_again(
            before in any_new_entries(),
            new in any_new_entries(),
            form in proptest::sample::select(vec![Form::Docker, Form::Oci, Form::Auto, Form::Target]),
            kind in proptest::sample::select(vec![IndexKind::Docker, IndexKind::Oci]),
            attestations in proptest::sample::select(vec![Attestations::Keep, Attestations::Drop]),
        ) {
            let given = Spec { attestations, ..spec(form, true) };
            let (new, before) = (resolved(&new), held(holding(kind, &index(&before))));
            let plan = match Plan::new(&given, &new, &before) {
                Ok(plan) => plan,
                Err(error) => {
                    prop_assert_eq!(error, PlanError::Empty { target: given.target });
                    prop_assert!(new.images.is_empty());
                    return Ok(());
                }
            };
            let is_docker = plan.descriptor.media_type == media_type::DOCKER_LIST;
            let kind = if is_docker { IndexKind::Docker } else { IndexKind::Oci };
            check(&plan, kind);
            let read = HeldManifest {
                descriptor: plan.descriptor.clone(),
                bytes: plan.bytes.clone(),
                kind,
                index: plan.index.clone(),
                is_index: true,
                no_platform: None,
            };
            let again = Plan::new(&given, &new, &held(read)).unwrap();
            prop_assert_eq!((&again.descriptor, &again.bytes), (&plan.descriptor, &plan.bytes));
            let Difference { changes, removed } = again.difference.unwrap();
            prop_assert!(removed.is_empty() && changes.iter().all(|change| *change == Change::Unchanged));
        }
    }
}
