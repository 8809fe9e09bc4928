use proptest::prelude::*;

use super::*;
use crate::image::{REFERENCE_TYPE, media_type};

/// A digest that is shown as `name`, some hexadecimal digits.
pub fn digest(name: &str) -> Digest {
    Digest::parse(&format!("sha256:{name:0>64}")).unwrap()
}

pub fn name(digest: &str) -> &str {
    digest.trim_start_matches("sha256:").trim_start_matches('0')
}

/// `OS/ARCH[/VARIANT][:OS.VERSION][ [OS.FEATURES]]`, as platforms are shown.
pub fn platform(text: &str) -> Platform {
    let (text, features) = text.split_once(" [").unwrap_or((text, "]"));
    let (name, version) = text.split_once(':').unwrap_or((text, ""));
    let os_features = features.trim_end_matches(']').split_whitespace().map(UntrustedText::from).collect();
    Platform { os_version: version.into(), os_features, ..name.parse().unwrap() }
}

/// Images and attestations: `a1 linux/arm64, a2 windows/amd64:10.0.1.2 [f g], a3, f1 of a1`.
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

/// The other way round.
pub fn shown(entries: &[Descriptor]) -> String {
    let show = |entry: &Descriptor| {
        let name_of = name(entry.digest.as_str());
        match (entry.annotations.get(REFERENCE_DIGEST), &entry.platform) {
            (Some(image), _) => format!("{name_of} of {}", name(image)),
            (None, Some(platform)) => format!("{name_of} {platform}"),
            (None, None) => name_of.to_owned(),
        }
    };
    entries.iter().map(show).collect::<Vec<_>>().join(", ")
}

pub fn index(entries: &[Descriptor]) -> Index {
    Index { manifests: entries.to_vec(), ..Index::default() }
}

/// Up to eight images and attestations in any order, among them attestations of images that are not there.
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

/// The same, with no two images for exactly one platform.
fn any_distinct_entries() -> impl Strategy<Value = Vec<Descriptor>> {
    any_entries().prop_map(|all| {
        let is_first = |at: usize, entry: &Descriptor| !all[..at].iter().any(|old| old.platform == entry.platform);
        let kept = all.iter().enumerate().filter(|(at, entry)| entry.is_attestation() || is_first(*at, entry));
        kept.map(|(_, entry)| entry.clone()).collect()
    })
}

/// The same, with one image for each platform.
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

/// Images first, then attestations, each once, of these images alone.
fn check_order(entries: &[Descriptor]) {
    let (images, attestations) = entries.split_at(images(entries).len());
    let mut seen = HashSet::new();
    for entry in attestations {
        let of = &entry.annotations[REFERENCE_DIGEST];
        assert!(entry.is_attestation() && seen.insert(&entry.digest), "{}", shown(entries));
        assert!(images.iter().any(|image| image.digest.as_str() == of), "{}", shown(entries));
    }
}

fn check_append(existing: &str, new: &str, expected: &str) {
    let new_index = index(&entries(new));
    let appended = append(&index(&entries(existing)), &new_index);
    assert_eq!(shown(&appended.manifests), expected, "{existing} + {new}");
    assert_eq!(append(&appended, &new_index), appended, "{existing} + {new}, again");
}

#[test]
fn append_puts_images_in_the_place_of_those_for_their_platforms() {
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
fn attestations_go_with_their_image() {
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
fn what_an_index_says_of_itself() {
    let subject = |name| Some(Box::new(Descriptor::new(media_type::OCI_MANIFEST, digest(name))));
    let say = |pairs: &[(&str, &str)], artifact_type: Option<&str>, subject, manifests| Index {
        annotations: pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
        artifact_type: artifact_type.map(UntrustedText::from),
        subject,
        manifests: entries(manifests),
    };
    let existing = say(&[("a", "1"), ("b", "2")], Some("x/old"), subject("c1"), "a1 linux/amd64, a2 linux/386");
    let silent = say(&[], None, None, "b1 linux/amd64");
    let given = say(&[("b", "3"), ("c", "")], Some("x/new"), subject("c2"), "b1 linux/amd64");
    let manifests = "b1 linux/amd64, a2 linux/386";
    assert_eq!(append(&existing, &silent), Index { manifests: entries(manifests), ..existing.clone() });
    let expected = say(&[("a", "1"), ("b", "3"), ("c", "")], Some("x/new"), subject("c2"), manifests);
    assert_eq!(append(&existing, &given), expected);
    assert_eq!(append(&silent, &given), given);
    let without_one = take_out(&existing, &[Selector::Digest(digest("a1"))]).unwrap();
    assert_eq!(without_one, Index { manifests: entries("a2 linux/386"), ..existing });
}

/// As a run does it: chosen at the first look, taken out, and found to be gone at the next.
fn take_out(existing: &Index, selectors: &[Selector]) -> Result<Index, Vec<String>> {
    let chosen = choose(existing, existing, selectors);
    let chosen = chosen.map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    let left = without(existing, &chosen).ok_or_else(|| vec!["no image would be left".to_owned()])?;
    assert_eq!(without(&left, &chosen).as_ref(), Some(&left), "again");
    Ok(left)
}

/// Platforms and names of digests, parted by spaces.
fn selectors(text: &str) -> Vec<Selector> {
    let selector = |text: &str| match text.contains('/') {
        true => Selector::Platform(platform(text)),
        false => Selector::Digest(digest(text)),
    };
    text.split_whitespace().map(selector).collect()
}

#[test]
fn what_is_taken_out() {
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
        match (take_out(&index(&entries(existing)), &selectors(out)), expected) {
            (Ok(left), Ok(expected)) => assert_eq!(shown(&left.manifests), expected, "{existing} - {out}"),
            (Err(problems), Err(part)) => assert!(problems[0].contains(part), "{existing} - {out}: {problems:?}"),
            (found, _) => panic!("{existing} - {out}: {found:?}"),
        }
    }
    let problems = take_out(&index(&entries(two)), &selectors("linux/386 a1 b1 linux/arm")).unwrap_err();
    assert_eq!(problems.len(), 3, "all at once: {problems:?}");
    assert!(problems[0].ends_with("; it holds linux/amd64, linux/arm64/v8"), "{problems:?}");
    let error = take_out(&index(&entries(windows)), &selectors("windows/amd64")).unwrap_err();
    assert!(error[0].ends_with(&format!("images for windows/amd64: {}, {}", digest("a1"), digest("a2"))), "{error:?}");
}

/// Once a change was made, what others put in its place is theirs.
#[test]
fn what_stands() {
    let none = Index::default();
    for (before, existing, new, still_applied) in [
        ("", "a1 linux/amd64, b1 linux/arm64", "b1 linux/arm64", true),
        ("", "a1 linux/amd64, c1 linux/arm64/v8", "b1 linux/arm64, f1 of b1", true),
        ("", "a1 linux/amd64", "b1 linux/arm64", false),
        ("", "f1 of b1", "b1 linux/arm64", false),
        ("", "", "f1 of b1", true),
        // What was there before was not put in its place since.
        ("c1 linux/arm64", "c1 linux/arm64, a1 linux/386", "b1 linux/arm64", false),
        ("c1 linux/arm64", "c2 linux/arm64", "b1 linux/arm64", true),
        ("b1 linux/arm64", "b1 linux/arm64", "b1 linux/arm64", true),
        ("", "b1 linux/arm/v6", "b1 linux/arm/v6, b1 linux/arm/v7", false),
    ] {
        let [before, existing, new] = [before, existing, new].map(|text| index(&entries(text)));
        assert_eq!(
            still_holds(&existing, &new, &before),
            still_applied,
            "{} {}",
            shown(&existing.manifests),
            shown(&new.manifests)
        );
    }
    let said = |value: &str, kind: Option<&str>| Index {
        annotations: [("k".into(), value.into())].into(),
        artifact_type: kind.map(UntrustedText::from),
        ..Index::default()
    };
    for (before, existing, new, still_applied) in [
        (none.clone(), said("1", None), said("1", None), true),
        (none.clone(), said("2", None), said("1", None), true),
        (said("2", None), said("2", None), said("1", None), false),
        (said("2", None), said("3", None), said("1", None), true),
        (none.clone(), none.clone(), said("1", None), false),
        (none.clone(), said("1", None), said("1", Some("x/y")), false),
        (none.clone(), said("1", Some("x/z")), said("1", Some("x/y")), true),
        (said("1", Some("x/z")), said("1", Some("x/z")), said("1", Some("x/y")), false),
    ] {
        assert_eq!(still_holds(&existing, &new, &before), still_applied, "{existing:?} {new:?} {before:?}");
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
fn what_was_chosen_and_is_gone() {
    let two = "a1 linux/amd64, f9 of a9, a2 linux/arm64";
    let platform = |text| Chosen::Platform(platform(text), digest("c1"));
    for (existing, chosen, expected) in [
        (two, vec![platform("linux/386"), Chosen::Digest(digest("b1"))], Some(two)),
        (two, vec![platform("linux/arm64/v8")], Some(two)),
        (two, vec![platform("linux/amd64"), platform("linux/386")], Some("a2 linux/arm64")),
        (two, vec![platform("linux/amd64"), Chosen::Digest(digest("a2"))], None),
        ("a2 linux/arm/v7, a3 linux/386", vec![platform("linux/arm")], Some("a2 linux/arm/v7, a3 linux/386")),
    ] {
        let left = without(&index(&entries(existing)), &chosen);
        assert_eq!(left.map(|left| shown(&left.manifests)).as_deref(), expected, "{existing} - {chosen:?}");
    }
}

proptest! {
    #[test]
    fn append_keeps_the_rest_and_changes_nothing_twice(existing in any_entries(), new in any_distinct_entries()) {
        let appended = append(&index(&existing), &index(&new));
        if appended.manifests != existing {
            check_order(&appended.manifests);
        }
        prop_assert_eq!(&append(&appended, &index(&new)), &appended);
        let (old, fresh, now) = (images(&existing), images(&new), images(&appended.manifests));
        prop_assert!(fresh.iter().all(|image| now.contains(image)), "{}", shown(&now));
        // Another variant's spelling gives way only if no entry has exactly the new one.
        let variant = |entry: &Descriptor| entry.platform.as_ref().map(|platform| platform.variant.clone());
        let has_exact = |new: &Descriptor| old.iter().any(|old| old.platform == new.platform);
        let takes = |image: &Descriptor, new: &Descriptor| {
            is_same_platform(image, new) && (variant(image) == variant(new) || !has_exact(new))
        };
        let is_replaced_by = |image: &Descriptor| fresh.iter().any(|new| takes(image, new));
        let kept: Vec<&Descriptor> = old.iter().filter(|image| !is_replaced_by(image)).collect();
        let rest: Vec<&Descriptor> = now.iter().filter(|image| !is_replaced_by(image)).collect();
        prop_assert_eq!(rest, kept);
        prop_assert_eq!(now.len(), fresh.len() + old.iter().filter(|image| !is_replaced_by(image)).count());
        for entry in existing.iter().chain(&new).filter(|entry| entry.is_attestation()) {
            let of = &entry.annotations[REFERENCE_DIGEST];
            let has_image = now.iter().any(|image| image.digest.as_str() == of);
            // An image that comes with attestations of its own has no others.
            let is_of = |new: &Descriptor| new.annotations.get(REFERENCE_DIGEST) == Some(of);
            let is_kept_or_replaced = has_image && (new.contains(entry) || !new.iter().any(is_of));
            prop_assert_eq!(appended.manifests.contains(entry), is_kept_or_replaced, "{}", shown(&appended.manifests));
        }
    }

    #[test]
    fn append_leaves_each_platform_where_it_was(existing in any_new_entries(), new in any_new_entries()) {
        let (old, fresh) = (images(&existing), images(&new));
        let instead = |old: &Descriptor| fresh.iter().find(|new| is_same_platform(old, new)).unwrap_or(old).clone();
        let is_added = |new: &&Descriptor| !old.iter().any(|old| is_same_platform(old, new));
        let expected: Vec<Descriptor> =
            old.iter().map(instead).chain(fresh.iter().filter(is_added).cloned()).collect();
        let appended = append(&index(&existing), &index(&new));
        prop_assert_eq!(shown(&images(&appended.manifests)), shown(&expected));
    }

    #[test]
    fn only_what_is_selected_is_taken_out(
        existing in any_entries(),
        out in "(([ef]?[ab][1-5]|linux/(amd64|arm64|arm)(/v[378])?|windows/amd64) ){1,3}",
    ) {
        let out = selectors(&out);
        let Ok(left) = take_out(&index(&existing), &out) else { return Ok(()) };
        check_order(&left.manifests);
        let (before, after) = (images(&existing), images(&left.manifests));
        let is_for = |entry: &Descriptor, wanted: &Platform| {
            !entry.is_attestation() && entry.platform.as_ref().is_some_and(|own| own.matches(wanted))
        };
        let is_selected = |entry: &Descriptor, selector: &Selector| match selector {
            Selector::Digest(digest) => entry.digest == *digest,
            Selector::Platform(wanted) => is_for(entry, wanted),
        };
        let mut rest = after.iter().peekable();
        let gone: Vec<&Descriptor> = before.iter().filter(|image| rest.next_if_eq(image).is_none()).collect();
        prop_assert!(rest.next().is_none() && !after.is_empty(), "{}", shown(&after));
        let is_wanted = |image: &&Descriptor| out.iter().any(|selector| is_selected(image, selector));
        prop_assert!(gone.iter().all(is_wanted), "{}", shown(&after));
        for selector in &out {
            prop_assert!(existing.iter().any(|entry| is_selected(entry, selector)), "{:?}", selector);
            let is_kept_or_replaced = left.manifests.iter().any(|entry| match selector {
                Selector::Digest(digest) => entry.digest == *digest,
                // Another variant may stay, where one was exactly that.
                Selector::Platform(wanted) => is_for(entry, wanted) && entry.platform.as_ref() == Some(wanted),
            });
            prop_assert!(!is_kept_or_replaced, "{:?}: {}", selector, shown(&left.manifests));
        }
    }
}
