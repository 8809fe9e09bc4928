use proptest::prelude::*;

use super::super::merge::tests::{any_new_entries, digest, entries, index, name, platform, shown};
use super::*;
use crate::image::{Annotations, Manifest, parse_manifest};
use crate::spec::Attestations;

/// Returns a fetched image, whose source tag is the name of its digest.
pub fn image(entry: Descriptor) -> SourceImage {
    let source: Location = format!("r.io/from:{}", name(entry.digest.as_str())).parse().unwrap();
    let config = Descriptor::new(media_type::OCI_CONFIG, Digest::sha256(entry.digest.as_str().as_bytes()));
    let manifest = SourceManifest {
        location: source.with_digest(entry.digest.clone()),
        descriptor: entry.clone(),
        bytes: Bytes::from(entry.digest.to_string()),
        blobs: [config.clone()].into(),
    };
    SourceImage { source, manifest, entry, config, config_platform: None, labels: None, from_index: false }
}

fn resolved(entries: &[Descriptor]) -> Resolved {
    let (attestations, images): (Vec<SourceImage>, Vec<SourceImage>) =
        entries.iter().cloned().map(image).partition(|image| image.entry.is_attestation());
    Resolved { images, attestations, ..Resolved::default() }
}

fn planned(spec: &Spec, resolved: &Resolved, existing: &Existing) -> Result<Plan, PlanError> {
    let children: Vec<SourceManifest> = resolved.all().map(|image| image.manifest.clone()).collect();
    Plan::new(spec, &spec.target.location, resolved, &children, existing)
}

fn spec(form: Form, append: bool) -> Spec {
    let spec = Spec::new("r.io/to:v1", form, &["r.io/from:v1"]).unwrap();
    Spec { append, sources: Vec::new(), ..spec }
}

fn annotations(key: &str, value: &str) -> Annotations {
    Annotations::from([(key.into(), value.into())])
}

/// Returns an existing index, formatted on one line as by another program.
fn existing_index(kind: IndexKind, index: &Index) -> ExistingManifest {
    let written: serde_json::Value = serde_json::from_slice(&index_bytes(kind, index).unwrap()).unwrap();
    let bytes = Bytes::from(written.to_string());
    let descriptor = Descriptor::new(kind.media_type(), Digest::sha256(&bytes));
    let descriptor = Descriptor { size: bytes.len() as u64, ..descriptor };
    ExistingManifest { descriptor, bytes, kind, index: index.clone(), is_index: true, no_platform: None }
}

fn existing(manifest: ExistingManifest) -> Existing {
    Existing::Manifest(Box::new(manifest))
}

/// Checks that the bytes of a plan match its digest and size, and parse to its index.
fn check(plan: &Plan, kind: IndexKind) {
    let (manifest, media_type) = parse_manifest(&plan.bytes, "").unwrap();
    let Manifest::Index(read) = manifest else { panic!("an index") };
    assert_eq!((&read, media_type.as_str()), (&plan.index(), kind.media_type()));
    assert_eq!((&*plan.descriptor.media_type, plan.descriptor.size), (kind.media_type(), plan.bytes.len() as u64));
    assert!(plan.descriptor.digest.matches(&plan.bytes));
}

#[test]
fn the_form_of_the_spec_chooses_docker_or_oci() {
    use IndexKind::{Docker, Oci};
    let typed = |kind, image: &Descriptor| {
        let media_type = if kind == Docker { media_type::DOCKER_MANIFEST } else { media_type::OCI_MANIFEST };
        Descriptor { media_type: media_type.into(), ..image.clone() }
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
        let before = before.map(|kind| existing_index(kind, &index(&[typed(kind, &all[0])])));
        let new = [typed(images[0], &all[1]), typed(images[1], &all[2])];
        let plan = planned(&spec(form, append), &resolved(&new), &before.map_or(Existing::Missing, existing)).unwrap();
        check(&plan, kind);
    }
    let image = typed(Oci, &entries("a1 linux/s390x")[0]);
    let one = ExistingManifest { is_index: false, ..existing_index(Oci, &index(&[image])) };
    let plan = planned(&spec(Form::Target, true), &resolved(&entries("b1 linux/386")), &existing(one)).unwrap();
    check(&plan, Oci);
    assert_eq!(shown(&plan.index().manifests), "a1 linux/s390x, b1 linux/386");
}

#[test]
fn a_docker_list_with_oci_only_fields_is_an_error() {
    let subject = Descriptor::new(media_type::OCI_MANIFEST, digest("c1"));
    let docker = || spec(Form::Docker, true);
    let annotated = Index { annotations: annotations("k", "v"), ..index(&entries("a1 linux/386")) };
    let artifact = Index { artifact_type: Some("x/y".into()), ..index(&entries("a1 linux/386")) };
    let referring = Index { subject: Some(Box::new(subject.clone())), ..index(&entries("a1 linux/386")) };
    for (given, subject, before, field) in [
        (docker(), None, Index::default(), None),
        (Spec { annotations: annotations("k", "v"), ..docker() }, None, Index::default(), Some("annotations")),
        (Spec { artifact_type: Some("x/y".into()), ..docker() }, None, Index::default(), Some("artifactType")),
        (docker(), Some(subject), Index::default(), Some("subject")),
        (docker(), None, annotated.clone(), Some("annotations")),
        (docker(), None, artifact, Some("artifactType")),
        (docker(), None, referring, Some("subject")),
        (Spec { append: false, ..docker() }, None, annotated, None),
    ] {
        let mut new = entries("b1 linux/amd64");
        new[0].annotations = annotations("of", "an entry");
        let new = Resolved { subject, ..resolved(&new) };
        let before = existing(existing_index(IndexKind::Oci, &before));
        let error = planned(&given, &new, &before).err();
        let expected =
            field.map(|field| PlanError::UnsupportedByDocker { target: given.target.location.clone(), field });
        assert_eq!(error, expected, "{given:?}");
        let oci = planned(&Spec { form: Form::Oci, ..given }, &new, &before).unwrap();
        check(&oci, IndexKind::Oci);
        assert_eq!(oci.index().manifests.last().unwrap().annotations, annotations("of", "an entry"));
    }
}

#[test]
fn an_index_larger_than_4_mib_is_an_error() {
    let with_annotation = |length: usize| {
        let given = Spec { annotations: annotations("k", &"x".repeat(length)), ..spec(Form::Oci, false) };
        planned(&given, &resolved(&entries("a1 linux/amd64")), &Existing::Unread)
    };
    let longest = (4 << 20) - with_annotation(0).unwrap().bytes.len();
    assert_eq!(with_annotation(longest).unwrap().descriptor.size, 4 << 20);
    let error = with_annotation(longest + 1).unwrap_err();
    assert_eq!(error, PlanError::TooLong { target: "r.io/to:v1".parse().unwrap(), size: (4 << 20) + 1 });
}

#[test]
fn an_unchanged_index_keeps_its_bytes() {
    use IndexKind::{Docker, Oci};
    let two = "a1 linux/amd64, a2 linux/386";
    let marked = |index: Index| Index { annotations: annotations("k", "v"), ..index };
    let oci = || existing_index(Oci, &marked(index(&entries(two))));
    let docker = || existing_index(Docker, &index(&entries(two)));
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
        (spec(Form::Target, true), ExistingManifest { is_index: false, ..docker() }, two, false),
    ] {
        let plan = planned(&given, &resolved(&entries(new)), &existing(before.clone())).unwrap();
        check(&plan, if plan.descriptor.media_type == Docker.media_type() { Docker } else { Oci });
        let kept = (&plan.bytes, &plan.descriptor) == (&before.bytes, &before.descriptor);
        assert_eq!(kept, same, "{given:?}, {new}");
        let changed = plan.entries.iter().any(|entry| entry.change != Some(Change::Unchanged));
        assert!(!same || !changed, "{given:?}, {new}");
    }
}

#[test]
fn attestations_are_kept_or_dropped() {
    let before = existing_index(IndexKind::Oci, &index(&entries("a1 linux/amd64, a2 linux/386, f1 of a1, f2 of a2")));
    for (attestations, append, expected) in [
        (Attestations::Keep, false, "b1 linux/amd64, e1 of b1"),
        (Attestations::Drop, false, "b1 linux/amd64"),
        (Attestations::Keep, true, "b1 linux/amd64, a2 linux/386, f2 of a2, e1 of b1"),
        (Attestations::Drop, true, "b1 linux/amd64, a2 linux/386"),
    ] {
        let given = Spec { attestations, ..spec(Form::Oci, append) };
        let new = resolved(&entries("e1 of b1, b1 linux/amd64"));
        let plan = planned(&given, &new, &existing(before.clone())).unwrap();
        check(&plan, IndexKind::Oci);
        assert_eq!(shown(&plan.index().manifests), expected, "{attestations:?} {append}");
    }
}

#[test]
fn an_empty_index_or_two_images_for_one_platform_is_an_error() {
    let given = spec(Form::Oci, true);
    let target = given.target.location.clone();
    let some = existing(existing_index(IndexKind::Oci, &index(&entries("a1 linux/amd64"))));
    let error = planned(&given, &Resolved::default(), &some).unwrap_err();
    assert_eq!(error, PlanError::Empty { target: target.clone() });
    let new = resolved(&entries("a1 linux/amd64, a2 linux/386, a3 linux/amd64, a4 linux/386"));
    let name = |name: &str| format!("r.io/from:{name} ({})", digest(name));
    let clashes =
        vec![(platform("linux/amd64"), name("a1"), name("a3")), (platform("linux/386"), name("a2"), name("a4"))];
    assert_eq!(planned(&given, &new, &some).unwrap_err(), PlanError::SamePlatform { target, clashes });
    for distinct in ["a1 linux/arm/v6, a2 linux/arm/v7", "a1 windows/amd64:10.0.1.1, a2 windows/amd64:10.0.2.1"] {
        assert!(planned(&given, &resolved(&entries(distinct)), &some).is_ok(), "{distinct}");
    }
}

/// Returns the changes of a plan and the number of removed entries.
fn changes(plan: &Plan) -> (Vec<Change>, usize) {
    let changes = plan.entries.iter().map(|entry| entry.change.clone().unwrap()).collect();
    (changes, plan.removed.as_ref().unwrap().len())
}

#[test]
fn entries_name_their_sources_and_changes() {
    let given = spec(Form::Oci, true);
    let mut new = resolved(&entries("b1 linux/amd64, b2 linux/arm, b1 linux/arm64, b3 linux/ppc64le, e1 of b1"));
    new.images[3].config_platform = Some(platform("linux/s390x"));
    let mut before = index(&entries("a1 linux/amd64, a2 linux/386"));
    before.manifests[1].media_type = media_type::DOCKER_MANIFEST.into();
    let before = existing(existing_index(IndexKind::Oci, &before));
    let plan = planned(&given, &new, &before).unwrap();
    let tag = |entry: &PlannedEntry| entry.source.as_ref().map_or("", |source| source.tag().unwrap()).to_owned();
    assert_eq!(plan.entries.iter().map(tag).collect::<Vec<_>>(), ["b1", "", "b2", "b1", "b3", "e1"]);
    let mismatched = check::other_platforms(&new.images[3..4]).into_iter();
    let warnings: Vec<Warning> = mismatched.chain([Warning::MixedTypes { docker: 1, oci: 4 }]).collect();
    assert_eq!(plan.warnings, warnings);
    let replaced = Change::Replaced(digest("a1"));
    let expected = [replaced, Change::Unchanged, Change::Added, Change::Added, Change::Added, Change::Added];
    assert_eq!(changes(&plan), (expected.to_vec(), 0));
    let replacing = planned(&Spec { append: false, ..given.clone() }, &new, &before).unwrap();
    assert_eq!(shown(&replacing.removed.unwrap()), "a2 linux/386");
    let unread = planned(&given, &new, &Existing::Unread).unwrap();
    assert!(unread.removed.is_none() && unread.entries.iter().all(|entry| entry.change.is_none()));
    let first = planned(&given, &new, &Existing::Missing).unwrap();
    assert_eq!(changes(&first), (vec![Change::Added; 5], 0));
}

#[test]
fn dropped_attestations_are_not_children() {
    let given = Spec { attestations: Attestations::Drop, ..spec(Form::Oci, true) };
    let new = resolved(&entries("b1 linux/amd64, b2 linux/arm, e1 of b1"));
    let plan = planned(&given, &new, &Existing::Missing).unwrap();
    let children: Vec<&str> = plan.children.iter().map(|child| name(child.descriptor.digest.as_str())).collect();
    assert_eq!(children, ["b1", "b2"]);
}

proptest! {
    #[test]
    fn planning_a_written_index_again_changes_no_bytes(
        before in any_new_entries(),
        new in any_new_entries(),
        form in proptest::sample::select(vec![Form::Docker, Form::Oci, Form::Auto, Form::Target]),
        kind in proptest::sample::select(vec![IndexKind::Docker, IndexKind::Oci]),
        attestations in proptest::sample::select(vec![Attestations::Keep, Attestations::Drop]),
    ) {
        let given = Spec { attestations, ..spec(form, true) };
        let (new, before) = (resolved(&new), existing(existing_index(kind, &index(&before))));
        let plan = match planned(&given, &new, &before) {
            Ok(plan) => plan,
            Err(error) => {
                prop_assert_eq!(error, PlanError::Empty { target: given.target.location });
                prop_assert!(new.images.is_empty());
                return Ok(());
            }
        };
        let is_docker = plan.descriptor.media_type == media_type::DOCKER_LIST;
        let kind = if is_docker { IndexKind::Docker } else { IndexKind::Oci };
        check(&plan, kind);
        let read = ExistingManifest {
            descriptor: plan.descriptor.clone(),
            bytes: plan.bytes.clone(),
            kind,
            index: plan.index(),
            is_index: true,
            no_platform: None,
        };
        let again = planned(&given, &new, &existing(read)).unwrap();
        prop_assert_eq!((&again.descriptor, &again.bytes), (&plan.descriptor, &plan.bytes));
        prop_assert!(again.removed.unwrap().is_empty());
        prop_assert!(again.entries.iter().all(|entry| entry.change == Some(Change::Unchanged)));
    }
}
