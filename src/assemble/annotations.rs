//! Annotations of an index and its entries beyond those of the spec's sources. Does no I/O.

use std::sync::Arc;

use super::source::SourceImage;
use crate::image::{Annotations, Descriptor};
use crate::spec::Spec;

/// Returns an entry with the annotations that the spec adds for its platform.
pub(super) fn annotated(spec: &Spec, entry: &Descriptor) -> Descriptor {
    let mut entry = entry.clone();
    if entry.is_attestation() {
        return entry;
    }
    for annotation in &spec.entry_annotations {
        let is_wanted = match (&annotation.platform, &entry.platform) {
            (None, _) => true,
            (Some(wanted), Some(platform)) => platform.matches(wanted),
            (Some(_), None) => false,
        };
        if is_wanted {
            entry.annotations.insert(annotation.key.clone(), annotation.value.clone());
        }
    }
    entry
}

/// Returns the annotations that a Docker manifest list leaves out: shared labels, overridden by those of the spec.
/// Without the keys of the spec's own annotations.
pub(super) fn optional(spec: &Spec, images: &[SourceImage]) -> Annotations {
    let mut annotations = if spec.annotations_from_labels { shared_labels(images) } else { Annotations::new() };
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
        assert_eq!(optional(&spec, &images), annotations("b=optional"));
        spec.annotations_from_labels = true;
        assert_eq!(optional(&spec, &images), annotations("b=optional c=label"));
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
        for (entry, expected) in
            [("a1 linux/amd64", "all=x"), ("a1 linux/arm64", "all=x arm=x"), ("a1 linux/arm64/v8", "all=x arm=x")]
        {
            assert_eq!(annotated(&spec, &entries(entry)[0]).annotations, annotations(expected), "{entry}");
        }
        let attestation = &entries("a1 linux/amd64, f1 of a1")[1];
        assert_eq!(annotated(&spec, attestation), *attestation);
    }
}
