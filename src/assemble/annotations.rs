//! Annotations of an index and its entries beyond those of the spec's sources. Does no I/O.

use std::sync::Arc;

use super::existing::Existing;
use super::source::SourceImage;
use crate::image::{Annotations, Descriptor, Index};
use crate::spec::Spec;

/// Returns the entries with the annotations that the spec adds for their platforms. A platform means the entries that
/// [`Index::select`] selects for it.
pub(super) fn annotated(spec: &Spec, entries: Vec<Descriptor>) -> Vec<Descriptor> {
    let mut index = Index { manifests: entries, ..Index::default() };
    for annotation in &spec.entry_annotations {
        let platform = annotation.platform.as_slice();
        let selected = (!platform.is_empty()).then(|| index.select(None, platform).positions);
        let is_wanted = |position: usize| selected.as_ref().is_none_or(|positions| positions.contains(&position));
        for (position, entry) in index.manifests.iter_mut().enumerate() {
            if is_wanted(position) && !entry.is_attestation() {
                entry.annotations.insert(annotation.key.clone(), annotation.value.clone());
            }
        }
    }
    index.manifests
}

/// Returns the annotations that a Docker manifest list leaves out: shared labels, overridden by those of the spec.
/// Without the keys of the spec's own annotations. An index that is appended to has images whose labels are not known,
/// so labels add nothing to it.
pub(super) fn optional(spec: &Spec, images: &[SourceImage], existing: &Existing) -> Annotations {
    let has_others = spec.append && existing.manifest().is_some();
    let from_labels = spec.annotations_from_labels && !has_others;
    let mut annotations = if from_labels { shared_labels(images) } else { Annotations::new() };
    annotations.extend(spec.optional_annotations.clone());
    annotations.retain(|key, _| !spec.annotations.contains_key(key));
    annotations
}

/// Returns the labels that all images have with the same value. Artifacts have no labels and do not count.
fn shared_labels(images: &[SourceImage]) -> Annotations {
    let mut configs = images.iter().filter_map(|image| image.labels.as_ref());
    let Some(first) = configs.next() else { return Annotations::new() };
    let mut shared = Annotations::clone(first);
    for labels in configs.filter(|labels| !Arc::ptr_eq(labels, first)) {
        shared.retain(|key, value| labels.get(key) == Some(value));
    }
    shared
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assemble::merge::tests::entries;
    use crate::assemble::plan::tests::image;
    use crate::spec::Form;

    fn annotations(text: &str) -> Annotations {
        let pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
        pairs.map(|(key, value)| (key.into(), value.into())).collect()
    }

    fn images(labels: &[Option<&str>]) -> Vec<SourceImage> {
        let entries = entries("a1 linux/amd64, a2 linux/arm64, a3 linux/s390x");
        let labeled = |(entry, labels): (Descriptor, &Option<&str>)| SourceImage {
            labels: labels.map(|labels| Arc::new(annotations(labels))),
            ..image(entry)
        };
        entries.into_iter().zip(labels).map(labeled).collect()
    }

    #[test]
    fn labels_that_all_images_share_become_annotations() {
        for (labels, expected) in [
            (&[Some("a=1 b=2"), Some("a=1 b=2")][..], "a=1 b=2"),
            (&[Some("a=1 b=2"), Some("a=1 b=3"), Some("a=1 b=2")], "a=1"),
            (&[Some("a=1"), Some("b=1")], ""),
            (&[Some("a=1"), None], "a=1"),
            (&[None, None], ""),
            (&[], ""),
        ] {
            assert_eq!(shared_labels(&images(labels)), annotations(expected), "{labels:?}");
        }
    }

    #[test]
    fn annotations_of_the_spec_override_optional_ones_and_labels() {
        let mut spec = Spec::new("r.io/app:v1", Form::Oci, &["r.io/app:a"]).unwrap();
        spec.annotations = annotations("a=spec");
        spec.optional_annotations = annotations("a=optional b=optional");
        let images = images(&[Some("a=label b=label c=label")]);
        assert_eq!(optional(&spec, &images, &Existing::Missing), annotations("b=optional"));
        spec.annotations_from_labels = true;
        assert_eq!(optional(&spec, &images, &Existing::Missing), annotations("b=optional c=label"));
    }

    #[test]
    fn entry_annotations_apply_to_their_platform_or_all_images() {
        let mut spec = Spec::new("r.io/app:v1", Form::Oci, &["r.io/app:a"]).unwrap();
        let annotation = |platform: Option<&str>, key: &str| crate::spec::EntryAnnotation {
            platform: platform.map(|platform| platform.parse().unwrap()),
            key: key.into(),
            value: "x".into(),
        };
        spec.entry_annotations = vec![annotation(None, "all"), annotation(Some("linux/arm64"), "arm")];
        for (images, expected) in [
            ("a1 linux/amd64, a2 linux/arm64", &["all=x", "all=x arm=x"][..]),
            ("a1 linux/arm64/v8", &["all=x arm=x"]),
            ("a1 linux/arm64/v8, a2 linux/arm64", &["all=x", "all=x arm=x"]),
            ("a1 linux/arm64/v9, a2 linux/arm64/v8", &["all=x", "all=x arm=x"]),
            ("a1 linux/arm64, f1 of a1", &["all=x arm=x", ""]),
        ] {
            let before = entries(images);
            let added = annotated(&spec, before.clone());
            for ((entry, before), expected) in added.iter().zip(before).zip(expected) {
                let mut expected = annotations(expected);
                expected.extend(before.annotations);
                assert_eq!(entry.annotations, expected, "{images}");
            }
        }
    }
}
