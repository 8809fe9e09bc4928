//! Checks the entries of an index against each other and against their images' configs. Does no I/O.

use std::collections::{HashMap, HashSet};

use super::verifier::Node;
use super::{ImagePart, Problem};
use crate::image::{COMPRESSION, Digest, ImageManifest, Platform, REFERENCE_DIGEST, UntrustedText, media_type};

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
        platform: Platform { variant: platform.normalized_variant().into(), ..platform.clone() },
        compressions: compressions.map(|(key, value)| (key.clone(), value.clone())).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Descriptor, REFERENCE_TYPE};

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
