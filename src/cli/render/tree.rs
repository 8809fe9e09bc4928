//! The text of `inspect --tree`.

use std::time::SystemTime;

use super::painter::Painter;
use super::quantity::{age_text, size_text};
use crate::image::{Digest, Platform, UntrustedText, media_type, one_line};
use crate::inspect::{NodeKind, TreeNode};
use crate::store::SignatureKind;

/// The width to which a long artifact type is shortened, in characters.
const MAX_WIDTH: usize = 100;
/// The minimum length of a shortened artifact type.
const MIN_TYPE: usize = 20;
/// The word for a signature of an unknown format.
const SIGNATURE: &str = "signature";

/// The characters that connect the lines of a tree.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct Branches {
    middle: &'static str,
    last: &'static str,
    line: &'static str,
}

impl Branches {
    pub(in crate::cli) const UNICODE: Self = Self { middle: "├─ ", last: "└─ ", line: "│  " };
    pub(in crate::cli) const ASCII: Self = Self { middle: "|- ", last: "`- ", line: "|  " };

    /// Returns the characters for a locale: the value of the first of `LC_ALL`, `LC_CTYPE` and `LANG` that is set.
    pub(in crate::cli) fn for_locale(locale: Option<&str>) -> Self {
        let is_utf8 = |locale: &str| locale.to_ascii_lowercase().replace('-', "").contains("utf8");
        if locale.is_none_or(is_utf8) { Self::UNICODE } else { Self::ASCII }
    }
}

/// How to write a tree.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct TreeStyle {
    pub(in crate::cli) painter: Painter,
    pub(in crate::cli) branches: Branches,
    pub(in crate::cli) now: SystemTime,
}

/// Returns the text of `inspect --tree`, one line per manifest. `name` is the reference as the user wrote it.
#[must_use]
pub(in crate::cli) fn tree_text(name: &str, root: &TreeNode, style: TreeStyle) -> String {
    let platform = root.descriptor.platform.as_ref().filter(|platform| !platform.is_empty());
    let mut parts = vec![Part::Name(one_line(name))];
    parts.extend(platform.map(|platform| Part::Name(platform.to_string())));
    parts.extend(kind_parts(root));
    let mut out = style.line("", parts, root);
    style.write_children(&mut out, "", root);
    out
}

/// A part of a line.
enum Part {
    Name(String),
    Plain(String),
    /// A media type, which may be shortened. Holds whether it is in parentheses.
    Type(String, bool),
    Digest(String),
    Size(String),
    Problem(String),
}

impl TreeStyle {
    fn write_children(self, out: &mut String, prefix: &str, node: &TreeNode) {
        let Branches { middle, last, line } = self.branches;
        let count = node.children.len() + usize::from(node.omitted > 0);
        for (number, child) in (1..).zip(&node.children) {
            let (branch, below) = if number == count { (last, "   ") } else { (middle, line) };
            let mut parts = name_parts(child);
            parts.extend(kind_parts(child));
            out.push_str(&self.line(&format!("{prefix}{branch}"), parts, child));
            self.write_children(out, &format!("{prefix}{below}"), child);
        }
        if node.omitted > 0 {
            let text = format!("{} more, not read: the limit of manifests or levels is reached", node.omitted);
            out.push_str(&format!("{prefix}{last}{}\n", self.painter.red(text)));
        }
    }

    /// Returns the line of a node: its parts, then digest, size, age, predicate types and problems.
    fn line(self, prefix: &str, mut parts: Vec<Part>, node: &TreeNode) -> String {
        parts.push(Part::Digest(node.descriptor.digest.short().to_owned()));
        parts.extend(node.size.map(|size| Part::Size(size_text(size))));
        if let Some(created) = node.created {
            let age = age_text(created, self.now);
            parts.push(Part::Plain(age.unwrap_or_else(|| format!("created {}", created.date()))));
        }
        let shows_predicates = matches!(node.kind, NodeKind::Attestation { .. }) && !node.predicate_types.is_empty();
        parts.extend(shows_predicates.then(|| Part::Plain(predicates(&node.predicate_types))));
        if let Some(error) = &node.error {
            let what = if node.size.is_some() { "config " } else { "" };
            let problem = match error.is_missing_content() {
                true => format!("{what}missing"),
                false => format!("{what}cannot be read: {}", error.reason()),
            };
            parts.push(Part::Problem(one_line(&problem)));
        }
        if let Some(error) = &node.referrers_error {
            parts.push(Part::Problem(one_line(&format!("referrers cannot be read: {}", error.reason()))));
        }
        let width: usize = parts.iter().map(Part::width).sum();
        let mut excess = (prefix.chars().count() + width).saturating_sub(MAX_WIDTH + 2);
        let parts: Vec<String> = parts.into_iter().map(|part| self.paint(part, &mut excess)).collect();
        format!("{prefix}{}\n", parts.join("  ").replace("  (", " ("))
    }

    fn paint(self, part: Part, excess: &mut usize) -> String {
        let painter = self.painter;
        match part {
            Part::Name(text) => painter.green(text),
            Part::Plain(text) => text,
            Part::Type(text, is_note) => {
                let text = shortened(&text, excess);
                if is_note { format!("({text})") } else { text }
            }
            Part::Digest(text) => painter.yellow(text),
            Part::Size(text) => painter.blue(text),
            Part::Problem(text) => painter.red(text),
        }
    }
}

impl Part {
    /// Returns the width with the separator after the part, in characters.
    fn width(&self) -> usize {
        match self {
            // One of two blanks before the parentheses is dropped.
            Self::Type(text, true) => text.chars().count() + 3,
            Self::Name(text)
            | Self::Plain(text)
            | Self::Type(text, false)
            | Self::Digest(text)
            | Self::Size(text)
            | Self::Problem(text) => text.chars().count() + 2,
        }
    }
}

/// Shortens a type by up to `excess` characters.
fn shortened(text: &str, excess: &mut usize) -> String {
    let length = text.chars().count();
    let kept = length.saturating_sub(*excess + 3).max(MIN_TYPE);
    if *excess == 0 || kept + 3 >= length {
        return text.to_owned();
    }
    *excess = excess.saturating_sub(length - kept - 3);
    text.chars().take(kept).collect::<String>() + "..."
}

/// Returns the platform of a node, or what it is instead.
fn name_parts(node: &TreeNode) -> Vec<Part> {
    let platform = node.descriptor.platform.as_ref().filter(|platform| is_named(platform));
    match &node.kind {
        NodeKind::Index | NodeKind::Image | NodeKind::Other => {
            Vec::from_iter(platform.map(|platform| Part::Name(one_line(&platform.to_string()))))
        }
        NodeKind::Attestation { dangling: None } => vec![Part::Name("attestation".into())],
        NodeKind::Attestation { dangling: Some(image) } => {
            let image = Digest::parse(image).map_or_else(|_| image.to_string(), |digest| digest.short().to_owned());
            vec![Part::Name(format!("attestation of {image}, which is not listed"))]
        }
        NodeKind::Referrer => referrer_parts(node),
        NodeKind::SignatureFile(kind, name) => vec![Part::Name(format!("{} (file {name})", kind.name()))],
        NodeKind::CosignTag(suffix) => {
            let name = match *suffix {
                "sig" => "cosign signature (tag .sig)",
                "att" => "attestation (cosign tag .att)",
                _ => "SBOM (cosign tag .sbom)",
            };
            vec![Part::Name(name.into())]
        }
    }
}

/// Whether a platform is worth showing.
fn is_named(platform: &Platform) -> bool {
    !matches!((platform.os.as_str(), platform.architecture.as_str()), ("", "") | ("unknown", "unknown"))
}

/// Returns what a referrer is, and its artifact type.
fn referrer_parts(node: &TreeNode) -> Vec<Part> {
    let kind = node.artifact_type.as_ref().filter(|kind| !kind.is_empty());
    let predicate = node.predicate_types.first().and_then(|kind| predicate_word(kind));
    let signature = kind.and_then(|kind| SignatureKind::from_artifact_type(kind)).map(SignatureKind::name);
    let is_signature = predicate.is_none_or(|word| word == SIGNATURE);
    if let Some(name) = signature.filter(|_| is_signature) {
        return vec![Part::Name(name.into())];
    }
    let word = predicate.or_else(|| kind.and_then(|kind| artifact_word(kind)));
    match (word, kind) {
        (Some(word), Some(kind)) => vec![Part::Name(word.into()), Part::Type(kind.to_string(), true)],
        (None, Some(kind)) => vec![Part::Type(kind.to_string(), false)],
        (word, None) => vec![Part::Name(word.unwrap_or("referrer").into())],
    }
}

/// Returns the type of an index or image.
fn kind_parts(node: &TreeNode) -> Vec<Part> {
    let media_type = node.descriptor.media_type.as_str();
    let word = match (&node.kind, media_type) {
        (NodeKind::Index | NodeKind::Image, media_type::OCI_INDEX) => "OCI index",
        (NodeKind::Index | NodeKind::Image, media_type::DOCKER_LIST) => "Docker manifest list",
        (NodeKind::Index | NodeKind::Image, _) if node.artifact_type.is_some() => "artifact",
        (NodeKind::Index | NodeKind::Image, media_type::DOCKER_MANIFEST) => "Docker image",
        (NodeKind::Index | NodeKind::Image, _) => "OCI image",
        (NodeKind::Other, _) => return vec![Part::Type(node.descriptor.media_type.to_string(), false)],
        _ => return Vec::new(),
    };
    let artifact_type = node.artifact_type.as_ref().map(|kind| Part::Type(kind.to_string(), true));
    std::iter::once(Part::Plain(word.into())).chain(artifact_type).collect()
}

/// Describes the predicate types of an attestation.
fn predicates(types: &[UntrustedText]) -> String {
    let words = types.iter().map(|kind| predicate_word(kind).map_or_else(|| kind.to_string(), str::to_owned));
    let mut words: Vec<String> = words.collect();
    words.dedup();
    one_line(&words.join(", "))
}

/// Returns the usual word for the content of a statement (in-toto, "Predicates").
fn predicate_word(kind: &str) -> Option<&'static str> {
    let words = [
        ("spdx", "SBOM"),
        ("cyclonedx", "SBOM"),
        ("slsa.dev/provenance", "provenance"),
        ("openvex", "VEX"),
        ("attestation/vuln", "vulnerability report"),
        ("attestation/vulns", "vulnerability report"),
        ("cosign/sign", SIGNATURE),
    ];
    word_for(kind, &words)
}

/// Returns the usual word for an artifact type.
fn artifact_word(kind: &str) -> Option<&'static str> {
    let words = [
        ("spdx", "SBOM"),
        ("cyclonedx", "SBOM"),
        ("syft", "SBOM"),
        ("artifact.sbom", "SBOM"),
        ("cosign.simplesigning", SIGNATURE),
        ("in-toto", "attestation"),
        ("dsse.envelope", "attestation"),
        ("openvex", "VEX"),
    ];
    word_for(kind, &words)
}

fn word_for(kind: &str, words: &[(&str, &'static str)]) -> Option<&'static str> {
    let kind = kind.to_ascii_lowercase();
    words.iter().find(|(part, _)| kind.contains(part)).map(|(_, word)| *word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_the_usual_words() {
        for (kind, word) in [
            ("application/vnd.dev.cosign.simplesigning.v1+json", Some("signature")),
            ("application/spdx+json", Some("SBOM")),
            ("application/vnd.CycloneDX+json", Some("SBOM")),
            ("application/vnd.in-toto+json", Some("attestation")),
            ("application/vnd.example", None),
        ] {
            assert_eq!(artifact_word(kind), word, "{kind}");
        }
        for (kind, word) in [
            ("https://spdx.dev/Document", Some("SBOM")),
            ("https://slsa.dev/provenance/v0.2", Some("provenance")),
            ("https://cosign.sigstore.dev/attestation/vuln/v1", Some("vulnerability report")),
            ("https://sigstore.dev/cosign/sign/v1", Some("signature")),
            ("https://example.org/x", None),
        ] {
            assert_eq!(predicate_word(kind), word, "{kind}");
        }
    }

    #[test]
    fn long_types_are_shortened_to_the_width() {
        let text = "application/vnd.dev.cosign.artifact.sig.v1+json";
        for (mut excess, shown) in [
            (0, text),
            (2, "application/vnd.dev.cosign.artifact.sig.v1..."),
            (20, "application/vnd.dev.cosi..."),
            (99, "application/vnd.dev...."),
        ] {
            assert_eq!(shortened(text, &mut excess), shown);
        }
        assert_eq!(shortened("application/x", &mut 50), "application/x");
    }

    #[test]
    fn only_a_locale_that_is_not_utf_8_gets_ascii() {
        for (locale, is_ascii) in [
            (None, false),
            (Some("C.UTF-8"), false),
            (Some("de_DE.utf8"), false),
            (Some("C"), true),
            (Some("en_US.ISO-8859-1"), true),
        ] {
            assert_eq!(Branches::for_locale(locale).middle.is_ascii(), is_ascii, "{locale:?}");
        }
    }
}
