//! Checks the entries of an index against each other and against their images' configs. Does no I/O.

use std::collections::{HashMap, HashSet};

use super::node::Node;
use super::{ImagePart, Problem};
use crate::image::{
    COMPRESSION, Digest, ImageManifest, Manifest, Platform, REFERENCE_DIGEST, UntrustedText, media_type,
};

/// Checks the entries of every index that was read.
pub(super) fn entries(nodes: &mut [Node]) {
    let images: HashSet<(Option<usize>, String)> = nodes
        .iter()
        .filter(|node| !node.entry.is_attestation())
        .map(|node| (node.parent, node.entry.digest.to_string()))
        .collect();
    let mut first: HashMap<Choice, Digest> = HashMap::new();
    for node in nodes {
        let mut problems = Vec::new();
        if node.entry.is_attestation() {
            let image = node.entry.annotations.get(REFERENCE_DIGEST).cloned();
            if image.as_ref().is_none_or(|image| !images.contains(&(node.parent, image.to_string()))) {
                problems.push(Problem::Dangling { image });
            }
        } else {
            if let (Some(entry), Some(config)) = (&node.entry.platform, &node.config)
                && !entry.agrees_with(config)
            {
                let (entry, config) = (Box::new(entry.clone()), Box::new(config.clone()));
                problems.push(Problem::Platform { entry, config });
            }
            if let Some(choice) = choice(node) {
                let other = first.entry(choice).or_insert_with(|| node.entry.digest.clone());
                if *other != node.entry.digest {
                    problems.push(Problem::Ambiguous { other: other.clone() });
                }
            }
        }
        node.problems.extend(problems.into_iter().map(|problem| (ImagePart::Manifest, problem)));
    }
}

/// Compares the platforms of all images with the required ones. Adds the differences to the root, the first node. An
/// image whose platform is neither in its entry nor in its config is not counted.
pub(super) fn platforms(nodes: &mut [Node], required: &[Platform]) {
    let present: Vec<&Platform> = nodes.iter().filter(|node| node.is_image()).filter_map(named_platform).collect();
    let without = |platforms: &[&Platform], others: &[&Platform]| -> Vec<Platform> {
        let mut seen: HashSet<Platform> = others.iter().map(|other| normalized(other)).collect();
        let rest = platforms.iter().filter(|platform| seen.insert(normalized(platform)));
        rest.map(|platform| without_version(platform)).collect()
    };
    let required: Vec<&Platform> = required.iter().collect();
    let extra = without(&present, &required);
    // An image that was not read may be for a required platform.
    let missing = if is_complete(nodes) { without(&required, &present) } else { Vec::new() };
    if let Some(root) = nodes.first_mut().filter(|_| !missing.is_empty() || !extra.is_empty()) {
        root.problems.push((ImagePart::Manifest, Problem::Platforms { missing, extra }));
    }
}

/// Returns the platform of an image: that of its entry, or that of its config if the entry has none.
fn named_platform(node: &Node) -> Option<&Platform> {
    let is_named = |platform: &&Platform| !platform.is_empty();
    node.entry.platform.as_ref().filter(is_named).or(node.config.as_ref().filter(is_named))
}

/// Returns a platform with only os and architecture, and the variant unless it is the architecture's default.
fn normalized(platform: &Platform) -> Platform {
    without_version(platform).normalized()
}

fn without_version(platform: &Platform) -> Platform {
    let Platform { os, architecture, variant, .. } = platform.clone();
    Platform { os, architecture, variant, ..Platform::default() }
}

/// Whether the platforms of all images are known. They are not if an index or a config could not be read.
fn is_complete(nodes: &[Node]) -> bool {
    let mut entries: HashMap<usize, usize> = HashMap::new();
    for parent in nodes.iter().filter_map(|node| node.parent) {
        *entries.entry(parent).or_default() += 1;
    }
    nodes.iter().enumerate().all(|(position, node)| match node.fetched.as_ref().map(|fetched| &fetched.manifest) {
        Some(Manifest::Index(index)) => entries.get(&position).copied().unwrap_or(0) == index.manifests.len(),
        _ if media_type::is_index(&node.entry.media_type) => false,
        _ => !node.is_image() || named_platform(node).is_some() || node.config.is_some(),
    })
}

/// Returns the required artifact types that are not among the types of an image's referrers.
pub(super) fn missing_types(required: &[UntrustedText], types: &[UntrustedText]) -> Vec<UntrustedText> {
    let mut missing: Vec<UntrustedText> = Vec::new();
    for kind in required.iter().filter(|kind| !types.contains(kind)) {
        if !missing.contains(kind) {
            missing.push(kind.clone());
        }
    }
    missing
}

/// The properties by which a client selects an image of an index.
#[derive(PartialEq, Eq, Hash)]
struct Choice {
    index: Option<usize>,
    platform: Platform,
    compressions: Vec<(UntrustedText, UntrustedText)>,
}

/// Returns the choice for a node, or `None` if clients never select it: an entry without a platform, or an artifact.
fn choice(node: &Node) -> Option<Choice> {
    let platform = node.platform().filter(|platform| !matches!(platform.os.as_str(), "" | "unknown"))?;
    let is_artifact = |image: &ImageManifest| !media_type::is_config(&image.config.media_type);
    if node.entry.artifact_type.is_some() || node.image().is_some_and(is_artifact) {
        return None;
    }
    let is_compression = |(key, _): &(&UntrustedText, &UntrustedText)| key.starts_with(COMPRESSION);
    let compressions = node.entry.annotations.iter().filter(is_compression);
    Some(Choice {
        index: node.parent,
        platform: platform.normalized(),
        compressions: compressions.map(|(key, value)| (key.clone(), value.clone())).collect(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::image::{Descriptor, Fetched, Index, REFERENCE_TYPE};

    fn platform(text: &str) -> Option<Platform> {
        let (name, version) = text.split_once(' ').unwrap_or((text, ""));
        (!name.is_empty()).then(|| Platform { os_version: version.into(), ..name.parse().unwrap() })
    }

    /// Returns an entry of the index at a position, with the platforms of the entry and of its config.
    fn node(parent: usize, name: &str, entry: &str, config: &str) -> Node {
        let descriptor = Descriptor::new("m", Digest::sha256(name.as_bytes()));
        let descriptor = Descriptor { platform: platform(entry), ..descriptor };
        Node { config: platform(config), ..Node::new(descriptor, Some(parent)) }
    }

    fn attestation(image: Option<&str>) -> Node {
        let mut node = node(0, "attestation", "unknown/unknown", "");
        node.entry.annotations.insert(REFERENCE_TYPE.into(), "attestation-manifest".into());
        if let Some(image) = image {
            node.entry.annotations.insert(REFERENCE_DIGEST.into(), Digest::sha256(image.as_bytes()).to_string().into());
        }
        node
    }

    fn words(mut nodes: Vec<Node>) -> String {
        entries(&mut nodes);
        let words: Vec<&str> =
            nodes.iter().flat_map(|node| &node.problems).map(|(_, problem)| problem.word()).collect();
        words.join(" ")
    }

    #[test]
    fn an_entry_must_agree_with_the_platform_of_its_config() {
        for (entry, config, problem) in [
            ("linux/amd64", "linux/amd64", ""),
            ("linux/amd64", "linux/arm64", "platform"),
            ("linux/amd64", "windows/amd64", "platform"),
            ("linux/arm/v7", "linux/arm/v6", "platform"),
            ("linux/arm/v7", "linux/arm", ""),
            ("linux/arm64", "linux/arm64/v8", ""),
            ("windows/amd64 10.0.1.1", "windows/amd64 10.0.2.1", "platform"),
            ("windows/amd64", "windows/amd64 10.0.2.1", "platform"),
            ("", "linux/amd64", ""),
            ("linux/amd64", "", ""),
        ] {
            assert_eq!(words(vec![node(0, "a", entry, config)]), problem, "{entry} {config}");
        }
    }

    #[test]
    fn two_images_for_one_platform_are_ambiguous() {
        for (one, other, problem) in [
            ("linux/amd64", "linux/amd64", "ambiguous"),
            ("linux/arm64", "linux/arm64/v8", "ambiguous"),
            ("linux/arm/v6", "linux/arm/v7", ""),
            ("linux/arm", "linux/arm/v7", "ambiguous"),
            ("linux/arm", "linux/arm/v6", ""),
            ("linux/amd64", "linux/amd64/v1", "ambiguous"),
            ("linux/amd64", "linux/amd64/v3", ""),
            ("windows/amd64 10.0.1.1", "windows/amd64 10.0.1.2", ""),
            ("unknown/unknown", "unknown/unknown", ""),
            ("", "", ""),
        ] {
            assert_eq!(words(vec![node(0, "a", one, ""), node(0, "b", other, "")]), problem, "{one} {other}");
            assert_eq!(words(vec![node(0, "a", one, ""), node(0, "a", other, "")]), "", "one image, listed twice");
            assert_eq!(words(vec![node(0, "a", one, ""), node(1, "b", other, "")]), "", "two indexes");
        }
        // The config supplies the platform if the entry has none.
        assert_eq!(words(vec![node(0, "a", "", "linux/amd64"), node(0, "b", "linux/amd64", "")]), "ambiguous");
        let (one, mut other) = (node(0, "a", "linux/amd64", ""), node(0, "b", "linux/amd64", ""));
        other.entry.annotations.insert(format!("{COMPRESSION}zstd").into(), "true".into());
        assert_eq!(words(vec![one, other]), "", "another compression");
        let (one, mut other) = (node(0, "a", "linux/amd64", ""), node(0, "b", "linux/amd64", ""));
        other.entry.artifact_type = Some("application/x".into());
        assert_eq!(words(vec![one, other]), "", "an artifact");
    }

    /// Returns the root index and its entries: each an image with the platforms of its entry and of its config,
    /// separated by `;`, an attestation, or an index that was not read.
    fn index_of(entries: &[&str]) -> Vec<Node> {
        let mut children: Vec<Node> = Vec::new();
        for (position, text) in entries.iter().enumerate() {
            let mut child = match *text {
                "attestation" => attestation(Some("0")),
                text => {
                    let (entry, config) = text.split_once(';').unwrap_or((text, ""));
                    let unread = entry == "index" || config == "unread";
                    let (entry, config) = if unread { ("", "") } else { (entry, config) };
                    let child = node(0, &position.to_string(), entry, config);
                    let config = (!unread).then(|| child.config.clone().unwrap_or_default());
                    Node { config, ..child }
                }
            };
            let kind = if *text == "index" { media_type::OCI_INDEX } else { media_type::OCI_MANIFEST };
            child.entry.media_type = kind.into();
            children.push(child);
        }
        let manifests = children.iter().map(|child| child.entry.clone()).collect();
        let descriptor = Descriptor::new(media_type::OCI_INDEX, Digest::sha256(b"root"));
        let manifest = Manifest::Index(Index { manifests, ..Index::default() });
        let fetched = Fetched { bytes: bytes::Bytes::new(), descriptor: descriptor.clone(), manifest };
        let root = Node { fetched: Some(Arc::new(fetched)), ..Node::new(descriptor, None) };
        std::iter::once(root).chain(children).collect()
    }

    fn platforms_finding(mut nodes: Vec<Node>, required: &str) -> String {
        let required: Vec<Platform> = required.split(',').map(|platform| platform.parse().unwrap()).collect();
        platforms(&mut nodes, &required);
        assert!(nodes.iter().skip(1).all(|node| node.problems.is_empty()), "the finding is about the root");
        nodes[0].problems.iter().map(|(_, problem)| format!("{}: {problem}", problem.word())).collect()
    }

    #[test]
    fn the_images_must_be_for_exactly_the_required_platforms() {
        for (entries, required, finding) in [
            (&["linux/amd64", "linux/arm64"][..], "linux/arm64,linux/amd64", ""),
            (&["linux/amd64", "linux/arm64/v8"], "linux/amd64,linux/amd64/v1,linux/arm64", ""),
            (&["linux/amd64", "attestation"], "linux/amd64", ""),
            (&["linux/amd64", "linux/amd64"], "linux/amd64", ""),
            (&["windows/amd64 1", "windows/amd64 2"], "windows/amd64", ""),
            (&[";linux/amd64", "linux/arm64;linux/amd64"], "linux/amd64,linux/arm64", ""),
            (&["linux/amd64", ";"], "linux/amd64", ""),
            (&["linux/amd64"], "linux/amd64,linux/arm64,linux/386", "no image for linux/arm64, linux/386"),
            (
                &["linux/amd64", "linux/arm/v6"],
                "linux/amd64,linux/arm",
                "no image for linux/arm; not required: linux/arm/v6",
            ),
            (
                &["linux/s390x", "linux/amd64", "linux/386", "linux/386"],
                "linux/amd64",
                "not required: linux/s390x, linux/386",
            ),
            (&["windows/amd64 1", "windows/amd64 2", "linux/amd64"], "linux/amd64", "not required: windows/amd64"),
            (&["linux/amd64", "unknown/unknown"], "linux/amd64", "not required: unknown/unknown"),
            (&[], "linux/amd64", "no image for linux/amd64"),
        ] {
            let expected = if finding.is_empty() { String::new() } else { format!("platforms: {finding}") };
            assert_eq!(platforms_finding(index_of(entries), required), expected, "{entries:?} {required}");
        }
    }

    #[test]
    fn no_platform_is_missing_if_an_image_was_not_read() {
        for unread in [";unread", "index"] {
            let nodes = || index_of(&["linux/amd64", unread]);
            assert_eq!(platforms_finding(nodes(), "linux/amd64,linux/arm64"), "", "{unread}");
            assert_eq!(platforms_finding(nodes(), "linux/arm64"), "platforms: not required: linux/amd64", "{unread}");
        }
        let mut cut_off = index_of(&["linux/amd64", "linux/arm64"]);
        cut_off.truncate(2);
        assert_eq!(platforms_finding(cut_off, "linux/amd64,linux/arm64"), "");
    }

    #[test]
    fn the_config_of_a_single_image_names_its_platform() {
        for (config, required, finding) in [
            ("linux/arm64/v8", "linux/arm64", ""),
            ("linux/arm64", "linux/amd64", "platforms: no image for linux/amd64; not required: linux/arm64"),
            ("", "linux/amd64", "platforms: no image for linux/amd64"),
        ] {
            let mut image = Node { parent: None, ..node(0, "image", "", config) };
            image.entry.media_type = media_type::OCI_MANIFEST.into();
            image.config.get_or_insert_default();
            assert_eq!(platforms_finding(vec![image], required), finding, "{config} {required}");
        }
    }

    #[test]
    fn required_types_without_a_referrer_are_missing() {
        for (required, types, missing) in [
            (&["a/x"][..], &["a/x"][..], &[][..]),
            (&["a/x", "a/y"], &["a/y", "a/x", "a/z"], &[]),
            (&["a/x", "a/y", "a/x"], &["a/y"], &["a/x"]),
            (&["a/y", "a/x"], &[], &["a/y", "a/x"]),
            (&["a/x"], &["A/X"], &["a/x"]),
            (&[], &[], &[]),
        ] {
            let texts = |texts: &[&str]| -> Vec<UntrustedText> { texts.iter().map(|text| (*text).into()).collect() };
            assert_eq!(missing_types(&texts(required), &texts(types)), texts(missing), "{required:?} {types:?}");
        }
    }

    #[test]
    fn an_attestation_must_refer_to_an_image_of_its_index() {
        let image = || node(0, "a", "linux/amd64", "");
        for (subject, problem) in [(Some("a"), ""), (Some("b"), "dangling"), (None, "dangling")] {
            assert_eq!(words(vec![image(), attestation(subject)]), problem, "{subject:?}");
        }
        assert_eq!(words(vec![attestation(Some("attestation"))]), "dangling", "an attestation of itself");
        assert_eq!(words(vec![node(1, "a", "linux/amd64", ""), attestation(Some("a"))]), "dangling");
    }
}
