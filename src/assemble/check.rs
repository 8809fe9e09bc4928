//! Finds likely mistakes in an index that can still be pushed. Does no I/O.

use std::collections::{HashMap, HashSet};

use super::source::SourceImage;
use crate::event::Warning;
use crate::image::{Descriptor, Digest, IndexKind, Location, Platform, UntrustedText, media_type, odd_pair};
use crate::spec::{Source, Spec};

/// Returns warnings about the sources of a spec.
pub(super) fn check_sources(spec: &Spec, images: &[SourceImage]) -> Vec<Warning> {
    let mut in_index: HashMap<&Location, Vec<&Platform>> = HashMap::new();
    for image in images.iter().filter(|image| image.from_index) {
        in_index.entry(&image.source).or_default().extend(&image.entry.platform);
    }
    let warning = |source: &Source| {
        let (given, images) = (&source.platform, in_index.get(&source.location)?);
        let matches_given = |image: &Platform| {
            // A field that the spec leaves empty matches any image.
            let or_of_image = |given: &UntrustedText, image: &UntrustedText| {
                if given.is_empty() { image.clone() } else { given.clone() }
            };
            let wanted = Platform {
                os: or_of_image(&given.os, &image.os),
                architecture: or_of_image(&given.architecture, &image.architecture),
                variant: given.variant.clone(),
                ..Platform::default()
            };
            image.matches(&wanted)
        };
        let has_others = !images.iter().all(|image| matches_given(image));
        has_others.then(|| Warning::PlatformOfIndex {
            source: Box::new(source.location.clone()),
            given: Box::new(given.clone()),
            images: images.iter().map(|image| (*image).clone()).collect(),
        })
    };
    let nested = images.iter().filter(|image| media_type::is_index(&image.entry.media_type));
    let nested = nested.map(|image| Warning::NestedIndex {
        source: Box::new(image.source.clone()),
        digest: image.entry.digest.clone(),
    });
    spec.sources.iter().filter_map(warning).chain(nested).chain(not_selected(spec, images)).collect()
}

/// Returns warnings about images for platforms that the spec does not select.
fn not_selected<'i>(spec: &'i Spec, images: &'i [SourceImage]) -> impl Iterator<Item = Warning> + 'i {
    let is_selected = |platform: &Platform| spec.select.iter().any(|selected| platform.matches(selected));
    let images = images.iter().filter(|image| !spec.select.is_empty() && !image.from_index);
    images.filter_map(move |image| {
        let platform = image.entry.platform.as_ref().filter(|platform| !is_selected(platform))?;
        Some(Warning::NotSelected { source: Box::new(image.source.clone()), platform: Box::new(platform.clone()) })
    })
}

/// Returns warnings about the images of a spec.
pub(super) fn check_images(spec: &Spec, images: &[SourceImage], kind: IndexKind) -> Vec<Warning> {
    let mut warnings = other_platforms(images);
    warnings.extend(odd_pairs(spec, images));
    warnings.extend(same_images(images));
    let oci = images.iter().filter(|image| image.entry.media_type == media_type::OCI_MANIFEST).count();
    if kind == IndexKind::Docker && oci > 0 {
        warnings.push(Warning::OciInDockerList { oci });
    }
    warnings
}

/// Returns warnings about images whose configs declare an unlikely platform. A platform in the spec was reported with
/// the spec, and the platforms in an index are passed on unchecked.
fn odd_pairs<'i>(spec: &'i Spec, images: &'i [SourceImage]) -> impl Iterator<Item = Warning> + 'i {
    let with_os = spec.sources.iter().filter(|source| !source.platform.os.is_empty());
    let with_os: HashSet<&Location> = with_os.map(|source| &source.location).collect();
    let is_given = move |image: &&SourceImage| image.from_index || with_os.contains(&image.source);
    images.iter().filter(move |image| !is_given(image)).filter_map(|image| {
        let reason = odd_pair(image.entry.platform.as_ref()?)?;
        Some(Warning::OddPlatform { source: Box::new(image.source.clone()), reason })
    })
}

/// Returns warnings about images that are listed for several platforms. If one reference in the spec causes that, the
/// spec's own warnings already report it.
fn same_images(images: &[SourceImage]) -> Vec<Warning> {
    let mut by_digest: HashMap<&Digest, Vec<&SourceImage>> = HashMap::new();
    for image in images {
        by_digest.entry(&image.entry.digest).or_default().push(image);
    }
    let warning = |image: &SourceImage| {
        let same = by_digest.remove(&image.entry.digest)?;
        let is_one_source = same.iter().all(|other| other.source == image.source && !other.from_index);
        let mut platforms: Vec<Platform> = same.iter().filter_map(|image| image.entry.platform.clone()).collect();
        platforms.dedup();
        let (digest, is_odd) = (image.entry.digest.clone(), platforms.len() > 1 && !is_one_source);
        is_odd.then_some(Warning::SameImage { digest, platforms })
    };
    images.iter().filter_map(warning).collect()
}

/// Returns warnings about images whose configs declare a different platform from their entries.
pub(super) fn other_platforms(images: &[SourceImage]) -> Vec<Warning> {
    let differs = |image: &&SourceImage| match (&image.entry.platform, &image.config_platform) {
        (Some(entry), Some(config)) => !entry.agrees_with(config),
        _ => false,
    };
    let warning = |image: &SourceImage| Warning::OtherPlatform {
        source: Box::new(image.source.clone()),
        digest: image.entry.digest.clone(),
        entry: Box::new(image.entry.platform.clone().unwrap_or_default()),
        config: Box::new(image.config_platform.clone().unwrap_or_default()),
    };
    images.iter().filter(differs).map(warning).collect()
}

/// Returns warnings about the entries of an index, including the existing entries of the target.
pub(super) fn check_entries(entries: &[Descriptor]) -> Vec<Warning> {
    let images = || entries.iter().filter(|entry| !entry.is_attestation());
    let mut warnings = Vec::new();
    let lacks_version = |platform: &Platform| platform.os == "windows" && platform.os_version.is_empty();
    let windows: Vec<Digest> = images()
        .filter(|entry| entry.platform.as_ref().is_some_and(lacks_version))
        .map(|entry| entry.digest.clone())
        .collect();
    if windows.len() > 1 {
        warnings.push(Warning::NoWindowsVersion { digests: windows });
    }
    let count = |kind: &str| images().filter(|entry| entry.media_type == kind).count();
    let (docker, oci) = (count(media_type::DOCKER_MANIFEST), count(media_type::OCI_MANIFEST));
    if docker > 0 && oci > 0 {
        warnings.push(Warning::MixedTypes { docker, oci });
    }
    warnings.extend(spelled_twice(entries));
    warnings
}

/// Returns warnings about different images for one platform, spelled with and without its default variant. `verify`
/// calls such an index ambiguous.
fn spelled_twice(entries: &[Descriptor]) -> Vec<Warning> {
    let mut by_platform: HashMap<Platform, Vec<&Descriptor>> = HashMap::new();
    for entry in entries.iter().filter(|entry| !entry.is_attestation()) {
        let Some(platform) = &entry.platform else { continue };
        by_platform.entry(platform.normalized()).or_default().push(entry);
    }
    let warning = |entry: &Descriptor| {
        let same = by_platform.remove(&entry.platform.as_ref()?.normalized())?;
        let (first, others) = same.split_first()?;
        let is_other = |other: &&Descriptor| {
            other.platform != first.platform && other.digest != first.digest && !other.has_other_marks(first)
        };
        let mut platforms = vec![first.platform.clone()?];
        platforms.extend(others.iter().copied().filter(is_other).filter_map(|other| other.platform.clone()));
        (platforms.len() > 1).then_some(Warning::SpelledTwice { platforms })
    };
    entries.iter().filter_map(warning).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::merge::tests::{any_new_entries, digest, entries, platform};
    use super::super::plan::tests::image;
    use super::*;

    fn built_for(platform: &Platform, config: Option<Platform>) -> SourceImage {
        let [descriptor] = &entries("a1")[..] else { panic!("one") };
        let descriptor = Descriptor { platform: Some(platform.clone()), ..descriptor.clone() };
        SourceImage { config_platform: config, ..image(descriptor) }
    }

    #[test]
    fn an_image_whose_config_contradicts_its_entry_is_reported() {
        let part = |os: &str, architecture: &str| Platform {
            os: os.into(),
            architecture: architecture.into(),
            ..Platform::default()
        };
        for (entry, config, odd) in [
            ("linux/amd64", platform("linux/amd64"), false),
            ("linux/amd64", platform("linux/386"), true),
            ("linux/amd64", platform("windows/amd64"), true),
            ("linux/amd64", Platform::default(), false),
            ("linux/amd64", part("linux", ""), false),
            ("linux/amd64", part("", "386"), true),
            ("linux/arm/v7", platform("linux/arm"), false),
            ("linux/arm/v7", platform("linux/arm/v6"), true),
            ("linux/arm", platform("linux/arm/v7"), false),
            ("linux/arm", platform("linux/arm/v6"), true),
            ("linux/amd64", platform("linux/amd64/v1"), false),
            ("linux/amd64", platform("linux/amd64/v3"), true),
            ("linux/arm64", platform("linux/arm64/v8"), false),
            ("linux/arm64/v8", platform("linux/arm64"), false),
            ("linux/arm64/v8", platform("linux/arm64/v9"), true),
            ("windows/amd64:10.0.1.1", platform("windows/amd64"), false),
            ("windows/amd64:10.0.1.1", platform("windows/amd64:10.0.2.1"), true),
        ] {
            let image = built_for(&platform(entry), Some(config.clone()));
            let expected = odd.then(|| Warning::OtherPlatform {
                source: Box::new(image.source.clone()),
                digest: digest("a1"),
                entry: Box::new(platform(entry)),
                config: Box::new(config.clone()),
            });
            assert_eq!(other_platforms(&[image]), Vec::from_iter(expected), "{entry}, {config}");
        }
        let unread = built_for(&platform("linux/amd64"), None);
        let wrong = built_for(&platform("linux/amd64"), Some(platform("linux/386")));
        let warnings = other_platforms(&[unread, wrong.clone(), wrong]);
        let text = format!(
            "r.io/from:a1: its entry is for linux/amd64, but the image's config is for linux/386 ({})",
            digest("a1")
        );
        assert_eq!(warnings.iter().map(Warning::to_string).collect::<Vec<_>>(), [text.clone(), text]);
    }

    #[test]
    fn different_images_for_one_platform_are_reported() {
        for (images, expected) in [
            ("a1 linux/amd64, a2 linux/amd64/v1", Some("linux/amd64 and linux/amd64/v1")),
            ("a1 linux/arm64/v8, a2 linux/386, a3 linux/arm64", Some("linux/arm64/v8 and linux/arm64")),
            ("a1 linux/arm/v7, a2 linux/arm", Some("linux/arm/v7 and linux/arm")),
            ("a1 linux/arm/v6, a2 linux/arm", None),
            ("a1 linux/amd64, a1 linux/amd64/v1", None),
            ("a1 linux/amd64, a2 linux/amd64/v2", None),
            ("a1, a2", None),
        ] {
            let warnings: Vec<String> = check_entries(&entries(images)).iter().map(Warning::to_string).collect();
            let expected = expected.map(|names| format!("{names} are one platform; clients may run either image"));
            assert_eq!(warnings, Vec::from_iter(expected), "{images}");
        }
    }

    #[test]
    fn several_windows_images_without_os_version_are_reported() {
        for (images, odd) in [
            ("a1 windows/amd64", &[][..]),
            ("a1 windows/amd64, a2 windows/arm64", &["a1", "a2"]),
            ("a1 windows/amd64, a2 windows/amd64:10.0.1.1", &[]),
            ("a1 windows/amd64:10.0.1.1, a2 windows/amd64:10.0.2.1", &[]),
            ("a1 windows/amd64 [x], a2 linux/amd64, a3 windows/amd64:10.0.1.1, a4 windows/amd64", &["a1", "a4"]),
            ("a1 linux/amd64, a2 linux/386, a3", &[]),
        ] {
            let digests: Vec<Digest> = odd.iter().map(|name| digest(name)).collect();
            let expected = (!odd.is_empty()).then_some(Warning::NoWindowsVersion { digests });
            assert_eq!(check_entries(&entries(images)), Vec::from_iter(expected), "{images}");
        }
        let text = check_entries(&entries("a1 windows/amd64, a2 windows/arm64"))[0].to_string();
        assert!(text.starts_with("2 Windows entries have no os.version"), "{text}");
        assert!(text.ends_with(&format!("{}, {}", digest("a1"), digest("a2"))), "{text}");
    }

    #[test]
    fn docker_and_oci_images_in_one_index_are_reported() {
        use media_type::{DOCKER_MANIFEST as DOCKER, OCI_MANIFEST as OCI};
        for (types, odd) in [
            ([OCI, OCI, OCI, OCI], None),
            ([DOCKER, DOCKER, DOCKER, DOCKER], None),
            ([DOCKER, OCI, OCI, OCI], Some((1, 2))),
            ([DOCKER, OCI, DOCKER, DOCKER], Some((2, 1))),
            ([DOCKER, DOCKER, DOCKER, OCI], None),
            ([OCI, OCI, OCI, DOCKER], None),
        ] {
            let mut all = entries("a1 linux/amd64, a2 linux/386, a3, f1 of a1");
            all.iter_mut().zip(types).for_each(|(entry, kind)| entry.media_type = kind.into());
            let expected = odd.map(|(docker, oci)| Warning::MixedTypes { docker, oci });
            assert_eq!(check_entries(&all), Vec::from_iter(expected), "{types:?}");
        }
        let text = Warning::MixedTypes { docker: 2, oci: 1 }.to_string();
        assert!(text.starts_with("the index lists 2 Docker and 1 OCI images"), "{text}");
    }

    proptest! {
        #[test]
        fn empty_fields_of_a_config_match_any_entry(entries in any_new_entries(), cleared in [proptest::bool::ANY; 5]) {
            for platform in entries.into_iter().filter_map(|entry| entry.platform) {
                let [os, architecture, variant, version, features] = cleared;
                let clear_if = |is_cleared: bool, field: &str| if is_cleared { "".into() } else { field.into() };
                let config = Platform {
                    os: clear_if(os, &platform.os),
                    architecture: clear_if(architecture, &platform.architecture),
                    variant: clear_if(architecture || variant, &platform.variant),
                    os_version: clear_if(version, &platform.os_version),
                    os_features: platform.os_features.iter().filter(|_| !features).cloned().collect(),
                };
                let image = built_for(&platform, Some(config.clone()));
                prop_assert_eq!(other_platforms(&[image]), [], "{}, {}", platform, config);
            }
        }
    }
}
