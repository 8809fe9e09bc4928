use proptest::prelude::*;

use super::*;
use crate::image::{REFERENCE_TYPE, media_type};

/// Returns a digest that [`name`] shortens to `name`, which must be hexadecimal.
pub fn digest(name: &str) -> Digest {
    Digest::parse(&format!("sha256:{name:0>64}")).unwrap()
}

pub fn name(digest: &str) -> &str {
    digest.trim_start_matches("sha256:").trim_start_matches('0')
}

/// Parses `OS/ARCH[/VARIANT][:OS.VERSION][ [OS.FEATURES]]`, the display format of platforms.
pub fn platform(text: &str) -> Platform {
    let (text, features) = text.split_once(" [").unwrap_or((text, "]"));
    let (name, version) = text.split_once(':').unwrap_or((text, ""));
    let os_features = features.trim_end_matches(']').split_whitespace().map(UntrustedText::from).collect();
    Platform { os_version: version.into(), os_features, ..name.parse().unwrap() }
}

/// Parses images and attestations: `a1 linux/arm64, a2 windows/amd64:10.0.1.2 [f g], a3, f1 of a1`.
pub fn entries(text: &str) -> Vec<Descriptor> {
    let entry = |text: &str| {
        let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
        let mut entry = Descriptor::new(media_type::OCI_MANIFEST, digest(name));
        let shown = match rest.strip_prefix("of ") {
            Some(image) => {
                entry.annotations.insert(REFERENCE_TYPE.into(), "attestation-manifest".into());
                entry.annotations.insert(REFERENCE_DIGEST.into(), digest(image).as_str().into());
                "unknown/unknown"
            }
            None => rest,
        };
        entry.platform = (!shown.is_empty()).then(|| platform(shown));
        entry
    };
    text.split(", ").filter(|text| !text.is_empty()).map(entry).collect()
}

/// Formats entries in the syntax of [`entries`].
pub fn shown(entries: &[Descriptor]) -> String {
    let show = |entry: &Descriptor| {
        let entry_name = name(entry.digest.as_str());
        match (entry.annotations.get(REFERENCE_DIGEST), &entry.platform) {
            (Some(image), _) => format!("{entry_name} of {}", name(image)),
            (None, Some(platform)) => format!("{entry_name} {platform}"),
            (None, None) => entry_name.to_owned(),
        }
    };
    entries.iter().map(show).collect::<Vec<_>>().join(", ")
}

pub fn index(entries: &[Descriptor]) -> Index {
    Index { manifests: entries.to_vec(), ..Index::default() }
}

/// Generates up to eight images and attestations in any order, including attestations of missing images.
pub fn any_entries() -> impl Strategy<Value = Vec<Descriptor>> {
    let platforms: &[&str] = &[
        "linux/amd64",
        "linux/amd64/v3",
        "linux/arm",
        "linux/arm/v7",
        "linux/arm64",
        "linux/arm64/v8",
        "windows/amd64",
        "windows/amd64:10.0.17763.1",
        "windows/amd64:10.0.20348.1",
        "windows/amd64:10.0.20348.2",
        "windows/amd64:10.0.20348.2 [win32k]",
    ];
    let image = ("[ab][1-5]", proptest::sample::select(platforms).prop_map(str::to_owned));
    let image = image.prop_map(|(name, platform)| format!("{name} {platform}"));
    let attestation = ("[ef]", "[ab][1-5]").prop_map(|(name, image)| format!("{name}{image} of {image}"));
    let texts = proptest::collection::vec(prop_oneof![3 => image, 2 => attestation], 0..9);
    texts.prop_map(|texts| entries(&texts.join(", ")))
}

/// Generates entries like [`any_entries`], without two images for exactly the same platform.
fn any_distinct_entries() -> impl Strategy<Value = Vec<Descriptor>> {
    any_entries().prop_map(|all| {
        let is_first = |at: usize, entry: &Descriptor| !all[..at].iter().any(|old| old.platform == entry.platform);
        let kept = all.iter().enumerate().filter(|(at, entry)| entry.is_attestation() || is_first(*at, entry));
        kept.map(|(_, entry)| entry.clone()).collect()
    })
}

/// Generates entries like [`any_entries`], with only one image per platform.
pub fn any_new_entries() -> impl Strategy<Value = Vec<Descriptor>> {
    any_entries().prop_map(|all| {
        let is_first = |at: usize, entry: &Descriptor| !all[..at].iter().any(|old| is_same_platform(old, entry));
        let kept = all.iter().enumerate().filter(|(at, entry)| entry.is_attestation() || is_first(*at, entry));
        kept.map(|(_, entry)| entry.clone()).collect()
    })
}

fn images(entries: &[Descriptor]) -> Vec<Descriptor> {
    entries.iter().filter(|entry| !entry.is_attestation()).cloned().collect()
}

/// Checks that images come first, then attestations of only these images, each once.
fn check_order(entries: &[Descriptor]) {
    let (images, attestations) = entries.split_at(images(entries).len());
    let mut seen = HashSet::new();
    for entry in attestations {
        let image_digest = &entry.annotations[REFERENCE_DIGEST];
        assert!(entry.is_attestation() && seen.insert(&entry.digest), "{}", shown(entries));
        assert!(images.iter().any(|image| image.digest.as_str() == image_digest), "{}", shown(entries));
    }
}

fn check_append(existing: &str, new: &str, expected: &str) {
    let new_index = index(&entries(new));
    let appended = append(&index(&entries(existing)), &new_index);
    assert_eq!(shown(&appended.manifests), expected, "{existing} + {new}");
    assert_eq!(append(&appended, &new_index), appended, "{existing} + {new}, again");
}

#[test]
fn append_replaces_images_for_the_same_platform() {
    for (existing, new, expected) in [
        ("", "a1 linux/arm64, a2 linux/amd64", "a1 linux/arm64, a2 linux/amd64"),
        (
            "a1 linux/amd64, a2 linux/arm64, a3 linux/s390x",
            "b2 linux/arm64/v8",
            "a1 linux/amd64, b2 linux/arm64/v8, a3 linux/s390x",
        ),
        ("a1 linux/arm64/v8, a2 linux/386", "b1 linux/arm64", "b1 linux/arm64, a2 linux/386"),
        ("a1 linux/arm/v6", "b1 linux/arm/v7", "a1 linux/arm/v6, b1 linux/arm/v7"),
        ("a1 linux/arm", "b1 linux/arm/v7", "b1 linux/arm/v7"),
        ("a1 linux/arm", "b1 linux/arm/v6", "a1 linux/arm, b1 linux/arm/v6"),
        ("a1 linux/arm, a2 linux/arm/v7", "b1 linux/arm/v7", "a1 linux/arm, b1 linux/arm/v7"),
        ("a1 linux/arm/v7, a2 linux/arm", "b1 linux/arm", "a1 linux/arm/v7, b1 linux/arm"),
        ("a1 linux/amd64, a2 linux/amd64/v3", "b1 linux/amd64/v1", "b1 linux/amd64/v1, a2 linux/amd64/v3"),
        ("a1 linux/amd64", "b1 freebsd/amd64", "a1 linux/amd64, b1 freebsd/amd64"),
        (
            "a1 linux/amd64, a2 linux/386",
            "b3 linux/s390x, b2 linux/386, b4 linux/arm",
            "a1 linux/amd64, b2 linux/386, b3 linux/s390x, b4 linux/arm",
        ),
        (
            "a1 windows/amd64:10.0.17763.9, a2 windows/amd64:10.0.20348.9",
            "b1 windows/amd64:10.0.17763.10",
            "b1 windows/amd64:10.0.17763.10, a2 windows/amd64:10.0.20348.9",
        ),
        ("a1 windows/amd64:10.0.1.9", "b1 windows/amd64", "a1 windows/amd64:10.0.1.9, b1 windows/amd64"),
        (
            "a1 windows/amd64:10.0.1.9 [win32k]",
            "b1 windows/amd64:10.0.1.9",
            "a1 windows/amd64:10.0.1.9 [win32k], b1 windows/amd64:10.0.1.9",
        ),
        ("a1 linux/amd64:1.2.3.4", "b1 linux/amd64:1.2.3.5", "a1 linux/amd64:1.2.3.4, b1 linux/amd64:1.2.3.5"),
        ("a1, a2 linux/386", "b1 linux/386", "a1, b1 linux/386"),
        ("a1, a2 linux/386", "a1 linux/amd64", "a1 linux/amd64, a2 linux/386"),
        (
            "a1 linux/amd64",
            "b1 linux/arm64, b2 linux/arm64/v8, b3 linux/386",
            "a1 linux/amd64, b1 linux/arm64, b2 linux/arm64/v8, b3 linux/386",
        ),
        ("a1 linux/arm64/v8", "b1 linux/arm64, b2 linux/arm64/v8", "b2 linux/arm64/v8, b1 linux/arm64"),
        (
            "a1 linux/arm64, a2 linux/amd64, a3 linux/arm64/v8",
            "b1 linux/arm64/v8",
            "a1 linux/arm64, a2 linux/amd64, b1 linux/arm64/v8",
        ),
        ("a1 linux/amd64, a2 linux/386", "a1 linux/amd64", "a1 linux/amd64, a2 linux/386"),
    ] {
        check_append(existing, new, expected);
    }
}

#[test]
fn append_keeps_attestations_only_with_their_image() {
    for (existing, new, expected) in [
        (
            "a1 linux/amd64, f1 of a1, a2 linux/arm64, f2 of a2",
            "b1 linux/amd64, e1 of b1",
            "b1 linux/amd64, a2 linux/arm64, f2 of a2, e1 of b1",
        ),
        (
            "a1 linux/amd64, a2 linux/386, f1 of a1, f2 of a2",
            "b1 linux/amd64",
            "b1 linux/amd64, a2 linux/386, f2 of a2",
        ),
        ("a1 linux/amd64, f1 of a1", "b1 linux/386, e1 of b1", "a1 linux/amd64, b1 linux/386, f1 of a1, e1 of b1"),
        ("a1 linux/amd64, f1 of a1", "a1 linux/amd64, f1 of a1", "a1 linux/amd64, f1 of a1"),
        ("a1 linux/amd64, f1 of a1", "a1 linux/amd64", "a1 linux/amd64, f1 of a1"),
        ("a1 linux/amd64, f1 of a1", "a1 linux/amd64, f2 of a1", "a1 linux/amd64, f2 of a1"),
        ("f1 of a1, a1 linux/amd64, a2 linux/386", "a1 linux/amd64", "f1 of a1, a1 linux/amd64, a2 linux/386"),
        ("a1 linux/amd64, f1 of a9", "b1 linux/386, e1 of b9", "a1 linux/amd64, b1 linux/386"),
        ("a1 linux/amd64, f1 of a1", "b1 linux/386, e1 of f1, e2 of a1", "a1 linux/amd64, b1 linux/386, e2 of a1"),
        ("a1 linux/arm/v6, a1 linux/arm/v7, f1 of a1", "b1 linux/arm/v6", "b1 linux/arm/v6, a1 linux/arm/v7, f1 of a1"),
    ] {
        check_append(existing, new, expected);
    }
}

#[test]
fn append_prefers_index_fields_of_the_new_index() {
    let subject = |name| Some(Box::new(Descriptor::new(media_type::OCI_MANIFEST, digest(name))));
    let with_fields = |pairs: &[(&str, &str)], artifact_type: Option<&str>, subject, manifests| Index {
        annotations: pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
        artifact_type: artifact_type.map(UntrustedText::from),
        subject,
        manifests: entries(manifests),
    };
    let existing = with_fields(&[("a", "1"), ("b", "2")], Some("x/old"), subject("c1"), "a1 linux/amd64, a2 linux/386");
    let without_fields = with_fields(&[], None, None, "b1 linux/amd64");
    let new = with_fields(&[("b", "3"), ("c", "")], Some("x/new"), subject("c2"), "b1 linux/amd64");
    let manifests = "b1 linux/amd64, a2 linux/386";
    assert_eq!(append(&existing, &without_fields), Index { manifests: entries(manifests), ..existing.clone() });
    let expected = with_fields(&[("a", "1"), ("b", "3"), ("c", "")], Some("x/new"), subject("c2"), manifests);
    assert_eq!(append(&existing, &new), expected);
    assert_eq!(append(&without_fields, &new), new);
    let without_one = remove(&existing, &[Selector::Digest(digest("a1"))]).unwrap();
    assert_eq!(without_one, Index { manifests: entries("a2 linux/386"), ..existing });
}

/// Removes entries like a run does: chooses and removes them, then checks that a second removal has no effect.
fn remove(existing: &Index, selectors: &[Selector]) -> Result<Index, Vec<String>> {
    let chosen = choose(existing, existing, selectors);
    let chosen = chosen.map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    let remaining = without(existing, &chosen).ok_or_else(|| vec!["no image would be left".to_owned()])?;
    assert_eq!(without(&remaining, &chosen).as_ref(), Some(&remaining), "second removal");
    Ok(remaining)
}

/// Parses platforms and names of digests, separated by spaces.
fn selectors(text: &str) -> Vec<Selector> {
    let selector = |text: &str| match text.contains('/') {
        true => Selector::Platform(platform(text)),
        false => Selector::Digest(digest(text)),
    };
    text.split_whitespace().map(selector).collect()
}

#[test]
fn remove_takes_selected_images_with_their_attestations_or_reports_every_problem() {
    let two = "a1 linux/amd64, a2 linux/arm64/v8, f1 of a1, f2 of a2";
    let arms = "a1 linux/arm, a2 linux/arm/v6, a3 linux/arm/v7";
    let mixed = "f1 of a1, a1 linux/amd64, f2 of a2, a2 linux/386, a3 linux/arm";
    let shared = "a1 linux/arm/v6, a1 linux/arm/v7, f1 of a1";
    let windows = "a1 windows/amd64:10.0.1.1, a2 windows/amd64:10.0.2.1, a3 linux/amd64";
    for (existing, out, expected) in [
        (two, "linux/arm64", Ok("a1 linux/amd64, f1 of a1")),
        (two, "linux/arm64/v8", Ok("a1 linux/amd64, f1 of a1")),
        (two, "linux/amd64", Ok("a2 linux/arm64/v8, f2 of a2")),
        (two, "a1", Ok("a2 linux/arm64/v8, f2 of a2")),
        (two, "f1", Ok("a1 linux/amd64, a2 linux/arm64/v8, f2 of a2")),
        (two, "a1 linux/amd64 f2", Ok("a2 linux/arm64/v8")),
        ("a1 linux/arm64, a2 linux/386", "linux/arm64/v8", Ok("a2 linux/386")),
        ("a1 linux/arm64/v9, a2 linux/arm64/v8", "linux/arm64", Ok("a1 linux/arm64/v9")),
        (mixed, "linux/amd64", Ok("a2 linux/386, a3 linux/arm, f2 of a2")),
        (mixed, "linux/386 a1", Ok("a3 linux/arm")),
        (arms, "linux/arm", Ok("a2 linux/arm/v6, a3 linux/arm/v7")),
        (arms, "linux/arm/v7", Ok("a1 linux/arm, a2 linux/arm/v6")),
        (shared, "linux/arm/v6", Ok("a1 linux/arm/v7, f1 of a1")),
        (shared, "a1", Err("no image would be left")),
        ("a1 linux/arm/v5, a2 linux/arm/v6, a3 linux/386", "linux/arm", Err("2 images for linux/arm:")),
        ("a1 linux/arm/v6, a2 linux/arm/v7, a3 linux/386", "linux/arm", Ok("a1 linux/arm/v6, a3 linux/386")),
        ("a1 linux/arm/v6, a2 linux/arm", "linux/arm/v7", Ok("a1 linux/arm/v6")),
        ("a1 linux/amd64, a2 linux/amd64/v3", "linux/amd64/v1", Ok("a2 linux/amd64/v3")),
        (windows, "windows/amd64", Err("2 images for windows/amd64:")),
        (windows, "a1", Ok("a2 windows/amd64:10.0.2.1, a3 linux/amd64")),
        (arms, "linux/arm/v8", Err("no entry for linux/arm/v8;")),
        (arms, "windows/arm", Err("no entry for windows/arm;")),
        (two, "unknown/unknown", Err("no entry for unknown/unknown;")),
        (two, "b1", Err("no entry with digest sha256:0")),
        (two, "linux/amd64 a2", Err("no image would be left")),
        ("f1 of a1, f2 of a2, a1 linux/amd64, e1 of a9", "linux/amd64", Err("no image would be left")),
    ] {
        match (remove(&index(&entries(existing)), &selectors(out)), expected) {
            (Ok(remaining), Ok(expected)) => assert_eq!(shown(&remaining.manifests), expected, "{existing} - {out}"),
            (Err(problems), Err(part)) => assert!(problems[0].contains(part), "{existing} - {out}: {problems:?}"),
            (result, _) => panic!("{existing} - {out}: {result:?}"),
        }
    }
    let problems = remove(&index(&entries(two)), &selectors("linux/386 a1 b1 linux/arm")).unwrap_err();
    assert_eq!(problems.len(), 3, "every problem is reported: {problems:?}");
    assert!(problems[0].ends_with("; its platforms: linux/amd64, linux/arm64/v8"), "{problems:?}");
    let error = remove(&index(&entries(windows)), &selectors("windows/amd64")).unwrap_err();
    assert!(error[0].ends_with(&format!("images for windows/amd64: {}, {}", digest("a1"), digest("a2"))), "{error:?}");
}

#[test]
fn a_change_is_lost_only_if_the_content_before_it_returns() {
    let empty = Index::default();
    for (before, existing, new, still_applied) in [
        ("", "a1 linux/amd64, b1 linux/arm64", "b1 linux/arm64", true),
        ("", "a1 linux/amd64, c1 linux/arm64/v8", "b1 linux/arm64, f1 of b1", true),
        ("", "a1 linux/amd64", "b1 linux/arm64", false),
        ("", "f1 of b1", "b1 linux/arm64", false),
        ("", "", "f1 of b1", true),
        // The image from before the change means that the change was lost.
        ("c1 linux/arm64", "c1 linux/arm64, a1 linux/386", "b1 linux/arm64", false),
        ("c1 linux/arm64", "c2 linux/arm64", "b1 linux/arm64", true),
        ("b1 linux/arm64", "b1 linux/arm64", "b1 linux/arm64", true),
        ("", "b1 linux/arm/v6", "b1 linux/arm/v6, b1 linux/arm/v7", false),
    ] {
        let [before, existing, new] = [before, existing, new].map(|text| index(&entries(text)));
        assert_eq!(
            still_contains(&existing, &new, &before),
            still_applied,
            "{} {}",
            shown(&existing.manifests),
            shown(&new.manifests)
        );
    }
    let with_fields = |value: &str, kind: Option<&str>| Index {
        annotations: [("k".into(), value.into())].into(),
        artifact_type: kind.map(UntrustedText::from),
        ..Index::default()
    };
    for (before, existing, new, still_applied) in [
        (empty.clone(), with_fields("1", None), with_fields("1", None), true),
        (empty.clone(), with_fields("2", None), with_fields("1", None), true),
        (with_fields("2", None), with_fields("2", None), with_fields("1", None), false),
        (with_fields("2", None), with_fields("3", None), with_fields("1", None), true),
        (empty.clone(), empty.clone(), with_fields("1", None), false),
        (empty.clone(), with_fields("1", None), with_fields("1", Some("x/y")), false),
        (empty.clone(), with_fields("1", Some("x/z")), with_fields("1", Some("x/y")), true),
        (with_fields("1", Some("x/z")), with_fields("1", Some("x/z")), with_fields("1", Some("x/y")), false),
    ] {
        assert_eq!(still_contains(&existing, &new, &before), still_applied, "{existing:?} {new:?} {before:?}");
    }
    for (existing, still_applied) in [
        ("a1 linux/amd64", true),
        ("a1 linux/amd64, c1 linux/arm64", true),
        ("a1 linux/amd64, b1 linux/arm64", false),
        ("a1 linux/amd64, b1 linux/386", true),
    ] {
        let chosen = [Chosen::Platform(platform("linux/arm64"), digest("b1"))];
        assert_eq!(is_removed(&index(&entries(existing)), &chosen), still_applied, "{existing}");
    }
    assert!(!is_removed(&index(&entries("b1 linux/386")), &[Chosen::Digest(digest("b1"))]));
}

#[test]
fn without_ignores_chosen_entries_that_are_already_removed() {
    let two = "a1 linux/amd64, f9 of a9, a2 linux/arm64";
    let platform = |text| Chosen::Platform(platform(text), digest("c1"));
    for (existing, chosen, expected) in [
        (two, vec![platform("linux/386"), Chosen::Digest(digest("b1"))], Some(two)),
        (two, vec![platform("linux/arm64/v8")], Some(two)),
        (two, vec![platform("linux/amd64"), platform("linux/386")], Some("a2 linux/arm64")),
        (two, vec![platform("linux/amd64"), Chosen::Digest(digest("a2"))], None),
        ("a2 linux/arm/v7, a3 linux/386", vec![platform("linux/arm")], Some("a2 linux/arm/v7, a3 linux/386")),
    ] {
        let remaining = without(&index(&entries(existing)), &chosen);
        let remaining = remaining.map(|index| shown(&index.manifests));
        assert_eq!(remaining.as_deref(), expected, "{existing} - {chosen:?}");
    }
}

proptest! {
    #[test]
    fn append_keeps_other_entries_and_is_idempotent(existing in any_entries(), new in any_distinct_entries()) {
        let appended = append(&index(&existing), &index(&new));
        if appended.manifests != existing {
            check_order(&appended.manifests);
        }
        prop_assert_eq!(&append(&appended, &index(&new)), &appended);
        let (old, fresh, now) = (images(&existing), images(&new), images(&appended.manifests));
        prop_assert!(fresh.iter().all(|image| now.contains(image)), "{}", shown(&now));
        // An entry with another spelling of the variant is replaced only if no entry has exactly the new platform.
        let variant = |entry: &Descriptor| entry.platform.as_ref().map(|platform| platform.variant.clone());
        let has_exact = |new: &Descriptor| old.iter().any(|old| old.platform == new.platform);
        let replaces = |image: &Descriptor, new: &Descriptor| {
            is_same_platform(image, new) && (variant(image) == variant(new) || !has_exact(new))
        };
        let is_replaced_by = |image: &Descriptor| fresh.iter().any(|new| replaces(image, new));
        let kept: Vec<&Descriptor> = old.iter().filter(|image| !is_replaced_by(image)).collect();
        let rest: Vec<&Descriptor> = now.iter().filter(|image| !is_replaced_by(image)).collect();
        prop_assert_eq!(rest, kept);
        prop_assert_eq!(now.len(), fresh.len() + old.iter().filter(|image| !is_replaced_by(image)).count());
        for entry in existing.iter().chain(&new).filter(|entry| entry.is_attestation()) {
            let image_digest = &entry.annotations[REFERENCE_DIGEST];
            let has_image = now.iter().any(|image| image.digest.as_str() == image_digest);
            // New attestations of an image replace all its old ones.
            let has_same_image = |new: &Descriptor| new.annotations.get(REFERENCE_DIGEST) == Some(image_digest);
            let is_kept = has_image && (new.contains(entry) || !new.iter().any(has_same_image));
            prop_assert_eq!(appended.manifests.contains(entry), is_kept, "{}", shown(&appended.manifests));
        }
    }

    #[test]
    fn append_keeps_the_order_of_platforms(existing in any_new_entries(), new in any_new_entries()) {
        let (old, fresh) = (images(&existing), images(&new));
        let replaced = |old: &Descriptor| fresh.iter().find(|new| is_same_platform(old, new)).unwrap_or(old).clone();
        let is_added = |new: &&Descriptor| !old.iter().any(|old| is_same_platform(old, new));
        let expected: Vec<Descriptor> =
            old.iter().map(replaced).chain(fresh.iter().filter(is_added).cloned()).collect();
        let appended = append(&index(&existing), &index(&new));
        prop_assert_eq!(shown(&images(&appended.manifests)), shown(&expected));
    }

    #[test]
    fn remove_takes_only_selected_images(
        existing in any_entries(),
        out in "(([ef]?[ab][1-5]|linux/(amd64|arm64|arm)(/v[378])?|windows/amd64) ){1,3}",
    ) {
        let out = selectors(&out);
        let Ok(remaining) = remove(&index(&existing), &out) else { return Ok(()) };
        check_order(&remaining.manifests);
        let (before, after) = (images(&existing), images(&remaining.manifests));
        let is_for = |entry: &Descriptor, wanted: &Platform| {
            !entry.is_attestation() && entry.platform.as_ref().is_some_and(|platform| platform.matches(wanted))
        };
        let is_selected = |entry: &Descriptor, selector: &Selector| match selector {
            Selector::Digest(digest) => entry.digest == *digest,
            Selector::Platform(wanted) => is_for(entry, wanted),
        };
        let mut rest = after.iter().peekable();
        let removed: Vec<&Descriptor> = before.iter().filter(|image| rest.next_if_eq(image).is_none()).collect();
        prop_assert!(rest.next().is_none() && !after.is_empty(), "{}", shown(&after));
        let is_expected = |image: &&Descriptor| out.iter().any(|selector| is_selected(image, selector));
        prop_assert!(removed.iter().all(is_expected), "{}", shown(&after));
        for selector in &out {
            prop_assert!(existing.iter().any(|entry| is_selected(entry, selector)), "{:?}", selector);
            let is_kept = remaining.manifests.iter().any(|entry| match selector {
                Selector::Digest(digest) => entry.digest == *digest,
                // An entry for another variant may stay if an entry had exactly the selected platform.
                Selector::Platform(wanted) => is_for(entry, wanted) && entry.platform.as_ref() == Some(wanted),
            });
            prop_assert!(!is_kept, "{:?}: {}", selector, shown(&remaining.manifests));
        }
    }
}
