//! Selects the entries of an index for some platforms, and reduces an index to them.

use std::collections::{BTreeSet, HashSet};

use serde_json::Value;

use super::index::to_go_json;
use super::known::suggestions;
use super::selection::platform_names;
use super::{Descriptor, Index, Platform, REFERENCE_DIGEST, UntrustedText};

/// The entries of an index for some platforms.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Selected<'p> {
    /// The positions of the entries.
    pub(crate) positions: BTreeSet<usize>,
    /// The platforms for which the index has no image.
    pub(crate) missing: Vec<&'p Platform>,
}

impl Index {
    /// Selects the images for each platform, all other entries for exactly the platform of such an image, and their
    /// attestations. `named` is this index with the platforms from configs. It is used for the platforms that no entry
    /// of this index names.
    pub(crate) fn select<'p>(&self, named: Option<&Self>, wanted: &'p [Platform]) -> Selected<'p> {
        let (mut positions, mut missing) = (BTreeSet::new(), Vec::new());
        for platform in wanted {
            let index = named.filter(|_| self.images_for(platform).is_empty()).unwrap_or(self);
            let images = index.images_for(platform);
            if images.is_empty() {
                missing.push(platform);
            }
            let platforms: HashSet<&Platform> =
                images.into_iter().filter_map(|(_, image)| image.platform.as_ref()).collect();
            positions.extend(index.positions(|entry| {
                !entry.is_attestation() && entry.platform.as_ref().is_some_and(|platform| platforms.contains(platform))
            }));
        }
        let images: HashSet<UntrustedText> = positions
            .iter()
            .filter_map(|position| self.manifests.get(*position))
            .map(|image| image.digest.as_str().into())
            .collect();
        let is_selected = |entry: &Descriptor| {
            let image = entry.annotations.get(REFERENCE_DIGEST);
            entry.is_attestation() && image.is_some_and(|image| images.contains(image))
        };
        positions.extend(self.positions(is_selected));
        Selected { positions, missing }
    }

    fn positions(&self, is_match: impl Fn(&Descriptor) -> bool) -> impl Iterator<Item = usize> {
        self.manifests.iter().enumerate().filter(move |(_, entry)| is_match(entry)).map(|(position, _)| position)
    }

    /// Returns the bytes of this index with only the entries for some platforms, or `None` if every entry is for one of
    /// them. `bytes` are the bytes that this index was parsed from; apart from entries, they keep all their fields.
    ///
    /// Keeps the images for each platform, all other entries for exactly the platform of such an image, and their
    /// attestations, in the order of the index. `named` is this index with the platforms from configs. It is used for
    /// the platforms that no entry of this index names.
    ///
    /// # Errors
    /// The index has no image for some of the platforms. The error lists all of them, and the available platforms.
    pub(crate) fn filter(
        &self,
        bytes: &[u8],
        named: Option<&Self>,
        wanted: &[Platform],
    ) -> Result<Option<Vec<u8>>, String> {
        let Selected { positions: kept, missing } = self.select(named, wanted);
        if !missing.is_empty() {
            let (names, available) = (platform_names(missing.iter().copied()), named.unwrap_or(self).platform_list());
            return Err(format!("no image for {names}; available: {available}{}", suggestions(missing)));
        }
        if kept.len() == self.manifests.len() {
            return Ok(None);
        }
        match keep(bytes, &kept) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) => Err(format!("it cannot be written with fewer entries: {error}")),
        }
    }
}

/// Returns the bytes of an index with only the entries at some positions.
fn keep(bytes: &[u8], kept: &BTreeSet<usize>) -> Result<Vec<u8>, serde_json::Error> {
    let mut index: Value = serde_json::from_slice(bytes)?;
    if let Some(Value::Array(entries)) = index.get_mut("manifests") {
        let mut positions = 0..;
        entries.retain(|_| positions.next().is_some_and(|position| kept.contains(&position)));
    }
    to_go_json(&index, "  ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::image::{COMPRESSION, Digest, Manifest, REFERENCE_TYPE, media_type, parse_manifest};

    /// Returns an entry. `text` is a platform with an optional OS version, `zstd PLATFORM`, `of NUMBER` for an
    /// attestation of the image at a position, or an empty string for an image without a platform.
    fn entry(position: usize, text: &str) -> Value {
        let digest = |position: usize| Digest::sha256(position.to_string().as_bytes());
        let mut entry = json!({"mediaType": media_type::OCI_MANIFEST, "digest": digest(position), "size": 1});
        if let Some(image) = text.strip_prefix("of ") {
            let image = digest(image.parse().unwrap());
            entry["annotations"] = json!({REFERENCE_TYPE: "attestation-manifest", REFERENCE_DIGEST: image});
            entry["platform"] = json!({"architecture": "unknown", "os": "unknown"});
            return entry;
        }
        if let Some(platform) = text.strip_prefix("zstd ") {
            entry["annotations"] = json!({format!("{COMPRESSION}zstd"): "true"});
            entry["platform"] = serde_json::to_value(platform.parse::<Platform>().unwrap()).unwrap();
        } else if !text.is_empty() {
            let (name, version) = text.split_once(' ').unwrap_or((text, ""));
            let platform = Platform { os_version: version.into(), ..name.parse().unwrap() };
            entry["platform"] = serde_json::to_value(platform).unwrap();
        }
        entry
    }

    fn index_of(entries: &[&str]) -> Value {
        let entries: Vec<Value> = entries.iter().enumerate().map(|(position, text)| entry(position, text)).collect();
        json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": entries})
    }

    fn parsed(bytes: &[u8]) -> Index {
        match parse_manifest(bytes, "") {
            Ok((Manifest::Index(index), _)) => index,
            other => panic!("{other:?}: {}", String::from_utf8_lossy(bytes)),
        }
    }

    fn platforms(text: &str) -> Vec<Platform> {
        text.split(',').map(|platform| platform.parse().unwrap()).collect()
    }

    #[test]
    fn images_for_the_platforms_are_kept_with_twins_and_attestations() {
        for (entries, wanted, kept) in [
            (&["linux/amd64", "linux/arm64", "linux/s390x"][..], "linux/s390x,linux/amd64", &[0, 2][..]),
            (&["linux/amd64", "linux/arm64"], "linux/amd64,linux/arm64", &[0, 1]),
            (&["linux/amd64", "linux/arm64/v8", "linux/386"], "linux/386,linux/arm64", &[1, 2]),
            (&["linux/amd64", "linux/arm64", "of 0", "of 1"], "linux/amd64,linux/amd64", &[0, 2]),
            (&["of 1", "linux/amd64", "linux/arm64", "of 9"], "linux/amd64", &[0, 1]),
            (&["linux/amd64", "zstd linux/amd64", "linux/386", "zstd linux/386"], "linux/386", &[2, 3]),
            (&["zstd linux/amd64", "linux/386"], "linux/amd64", &[0]),
            (&["windows/amd64 10.0.1", "windows/amd64 10.0.2", "linux/amd64"], "windows/amd64", &[0, 1]),
            (&["linux/arm/v5", "linux/arm/v6", "linux/amd64"], "linux/arm", &[0, 1]),
            (&["linux/arm/v6", "linux/arm/v7", "linux/amd64"], "linux/arm", &[1]),
            (&["linux/arm64", "linux/arm64/v8"], "linux/arm64/v8", &[1]),
            (&["linux/amd64", "linux/amd64", "of 0"], "linux/amd64", &[0, 1, 2]),
            (&["unknown/unknown", "of 5", "linux/amd64"], "unknown/unknown", &[0]),
            (&["", "linux/amd64"], "linux/amd64", &[1]),
        ] {
            let index = parsed(index_of(entries).to_string().as_bytes());
            let positions = index.select(None, &platforms(wanted)).positions;
            assert_eq!(Vec::from_iter(positions), kept, "{entries:?} {wanted}");
        }
    }

    #[test]
    fn platforms_from_configs_are_used_only_for_platforms_that_no_entry_names() {
        let index = parsed(index_of(&["", "linux/amd64", "", "of 2"]).to_string().as_bytes());
        let named = parsed(index_of(&["linux/amd64", "linux/amd64", "linux/arm64", "of 2"]).to_string().as_bytes());
        for (wanted, kept) in
            [("linux/amd64", &[1][..]), ("linux/arm64", &[2, 3]), ("linux/arm64,linux/amd64", &[1, 2, 3])]
        {
            let positions = index.select(Some(&named), &platforms(wanted)).positions;
            assert_eq!(Vec::from_iter(positions), kept, "{wanted}");
        }
        let error = index.filter(b"{}", Some(&named), &platforms("linux/386")).unwrap_err();
        assert_eq!(error, "no image for linux/386; available: linux/amd64, linux/amd64, linux/arm64");
    }

    #[test]
    fn the_error_lists_all_missing_and_all_available_platforms() {
        for (entries, wanted, error) in [
            (
                &["linux/amd64", "of 0"][..],
                "linux/386,linux/amd64,linux/s390x",
                "linux/386, linux/s390x; available: linux/amd64",
            ),
            (&[], "linux/386,linux/s390x", "linux/386, linux/s390x; available: none"),
            (
                &["linux/amd64"],
                "linux/x86_64,linux/aarch64",
                "linux/x86_64, linux/aarch64; available: linux/amd64; did you mean linux/amd64, linux/arm64?",
            ),
        ] {
            let bytes = index_of(entries).to_string();
            let result = parsed(bytes.as_bytes()).filter(bytes.as_bytes(), None, &platforms(wanted));
            assert_eq!(result.unwrap_err(), format!("no image for {error}"));
        }
    }

    #[test]
    fn all_fields_stay_and_the_bytes_are_written_as_go_writes_them() {
        let mut index = index_of(&["linux/amd64", "linux/386", "of 0"]);
        index["annotations"] = json!({"z": "<>&", "a": "\u{2028}"});
        index["artifactType"] = "application/x".into();
        index["subject"] = entry(7, "");
        index["x-index"] = json!({"b": [1, 2.5, null], "a": {}});
        index["manifests"][0]["x-entry"] = true.into();
        index["manifests"][0]["platform"]["features"] = json!(["sse4"]);
        let mut expected = index.clone();
        expected["manifests"].as_array_mut().unwrap().remove(1);
        let bytes = index.to_string();
        let parsed_index = parsed(bytes.as_bytes());
        let filtered = parsed_index.filter(bytes.as_bytes(), None, &platforms("linux/amd64")).unwrap().unwrap();
        assert_eq!(filtered, to_go_json(&expected, "  ").unwrap(), "{}", String::from_utf8_lossy(&filtered));
        let text = String::from_utf8(filtered).unwrap();
        assert!(text.contains(r#""z": "\u003c\u003e\u0026""#) && text.ends_with("  }\n}"), "{text}");
        let all = parsed_index.filter(bytes.as_bytes(), None, &platforms("linux/amd64,linux/386"));
        assert_eq!(all, Ok(None), "the bytes stay if every entry is kept");
    }

    #[test]
    fn an_index_with_deeply_nested_fields_is_an_error() {
        let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
        let bytes = index_of(&["linux/amd64", "linux/386"]).to_string().replacen('{', &format!(r#"{{"x":{deep},"#), 1);
        let error = parsed(bytes.as_bytes()).filter(bytes.as_bytes(), None, &platforms("linux/386")).unwrap_err();
        assert!(error.starts_with("it cannot be written with fewer entries: recursion limit"), "{error}");
    }

    const ENTRIES: [&str; 8] = [
        "linux/amd64",
        "linux/arm64",
        "linux/arm64/v8",
        "zstd linux/amd64",
        "windows/amd64 1",
        "windows/amd64 2",
        "of 0",
        "of 1",
    ];

    proptest::proptest! {
        #[test]
        fn a_filtered_index_offers_each_platform_as_the_whole_index_does(
            chosen in proptest::collection::vec(0..ENTRIES.len(), 0..8),
            wanted in proptest::collection::vec(proptest::sample::select(vec![
                "linux/amd64", "linux/arm64", "linux/arm64/v8", "windows/amd64", "linux/386",
            ]), 1..4),
        ) {
            let entries: Vec<&str> = chosen.iter().map(|at| ENTRIES[*at]).collect();
            let (bytes, wanted) = (index_of(&entries).to_string(), platforms(&wanted.join(",")));
            let index = parsed(bytes.as_bytes());
            let digests = |index: &Index, platform: &Platform| -> Vec<Digest> {
                index.images_for(platform).into_iter().map(|(_, image)| image.digest.clone()).collect()
            };
            let missing: Vec<&Platform> =
                wanted.iter().filter(|platform| index.images_for(platform).is_empty()).collect();
            match index.filter(bytes.as_bytes(), None, &wanted) {
                Err(error) => assert!(missing.iter().all(|platform| error.contains(&platform.to_string())), "{error}"),
                Ok(filtered) => {
                    assert!(missing.is_empty(), "{entries:?} {wanted:?}");
                    let filtered = filtered.unwrap_or_else(|| bytes.clone().into_bytes());
                    let kept = parsed(&filtered);
                    for platform in &wanted {
                        assert_eq!(digests(&kept, platform), digests(&index, platform), "{entries:?} {platform}");
                    }
                    let mut rest = index.manifests.iter();
                    assert!(kept.manifests.iter().all(|entry| rest.any(|other| other == entry)), "{entries:?}");
                    for attestation in kept.manifests.iter().filter(|entry| entry.is_attestation()) {
                        let image = &attestation.annotations[REFERENCE_DIGEST];
                        assert!(kept.manifests.iter().any(|entry| entry.digest.as_str() == image.as_str()));
                    }
                    assert_eq!(kept.filter(&filtered, None, &wanted), Ok(None), "filtering twice changes nothing");
                }
            }
        }
    }
}
