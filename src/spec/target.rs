//! Targets of an index: references, each with the tags beside it.

use std::collections::{HashMap, HashSet};
use std::fmt;

use super::problem::Mistake;
use crate::image::{LayoutReference, Location, check_tag, nearest_tag, without_user};

/// A tag that an index is pushed to, with extra tags in the same repository or layout.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Target {
    /// Location to push the index to. It has no digest, and always has a tag or name if its transport has names: a target
    /// without a tag gets the first extra tag.
    pub location: Location,
    /// Push the index by digest before its tags, as 2.2.1 does for a target without a tag.
    pub by_digest: bool,
    /// Extra tags in the target's repository, without the target's own tag.
    pub tags: Vec<String>,
}

impl Target {
    /// Returns the target, followed by its extra tags.
    pub fn locations(&self) -> impl Iterator<Item = Location> {
        std::iter::once(self.location.clone()).chain(self.tags.iter().map(|tag| self.location.with_tag(tag)))
    }
}

impl From<Location> for Target {
    fn from(location: Location) -> Self {
        Self { location, by_digest: false, tags: Vec::new() }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.location.fmt(f)
    }
}

/// An extra tag: a bare tag for every target, or a reference.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum ExtraTag {
    Bare(String),
    Reference(Location),
}

/// Parses an extra tag. A bare tag has neither `/` nor `:`, so anything with one of them is a reference.
pub(super) fn extra_tag(text: &str) -> Result<ExtraTag, Mistake> {
    if !text.contains(['/', ':']) {
        let mistake = |reason| Mistake::from(format!("invalid tag \"{text}\": {reason}")).or_meant(nearest_tag(text));
        check_tag(text).map_err(mistake)?;
        return Ok(ExtraTag::Bare(text.to_owned()));
    }
    let location = location(text).map_err(|mistake| {
        // A tag with a slash, such as the name of a branch, is not valid as a reference either.
        mistake.with_prefix(&format!("invalid tag \"{}\": ", without_user(text))).or_meant(nearest_tag(text))
    })?;
    match location.tag() {
        Some(_) => Ok(ExtraTag::Reference(location)),
        None => Err(format!("invalid tag \"{text}\": a reference needs a tag of its own").into()),
    }
}

/// Parses the reference of a target, which must not have a digest.
pub(super) fn location(text: &str) -> Result<Location, Mistake> {
    let location: Location = text.parse::<Location>()?;
    match location.digest() {
        Some(_) => {
            Err(format!("target \"{text}\" has a digest; use a tag, because the push determines the digest").into())
        }
        None => match location.layout() {
            Some(layout) if layout.transport.is_docker() => {
                let why = "which holds images of one platform; write an index to a registry or oci-archive:";
                Err(format!("target \"{text}\" is {}:, {why}", layout.transport).into())
            }
            _ => Ok(location),
        },
    }
}

/// Maximum number of tags of several targets. Every bare tag is written beside every target, so that a small spec could
/// otherwise name billions.
const MAX_TAGS: usize = 100_000;

/// The extra tags of a spec.
#[derive(Debug, Default)]
pub(super) struct ExtraTags {
    /// The valid ones, without duplicates.
    pub(super) tags: Vec<ExtraTag>,
    /// Whether others are invalid and have been reported.
    pub(super) has_invalid: bool,
}

/// Combines references and extra tags into targets. A bare tag is written beside every reference; references in one
/// repository share it. A tag that is itself a reference is added to the target in its repository, or becomes a target
/// of its own.
///
/// # Errors
/// A reference is given twice, or has no tag and gets none from the extra tags. Each error has the position of the
/// reference in `references`. A missing tag is not reported if the tags for it are invalid.
pub(super) fn targets(references: Vec<Location>, tags: ExtraTags) -> Result<Vec<Target>, Vec<(usize, String)>> {
    let ExtraTags { tags, has_invalid } = tags;
    let (count, lacks_tags) = (references.len(), has_invalid && tags.is_empty());
    if count > 1 && count.saturating_mul(tags.len()) > MAX_TAGS {
        return Err(vec![(0, format!("{count} targets with {} tags each are more than {MAX_TAGS} tags", tags.len()))]);
    }
    let mut builder = Builder::default();
    let twice = |(at, reference)| builder.add_target(reference).then_some(at);
    let twice: Vec<usize> = references.into_iter().enumerate().filter_map(twice).collect();
    let Builder { targets, .. } = &builder;
    let message = |at: &usize| Some((*at, format!("target {} is given twice", targets.get(*at)?)));
    let mut problems: Vec<(usize, String)> = twice.iter().filter_map(message).collect();
    if tags.iter().any(|tag| matches!(tag, ExtraTag::Bare(_))) {
        let unnamed = builder.targets.iter().enumerate().filter(|(_, target)| has_no_names(&target.location));
        problems.extend(unnamed.map(|(at, target)| (at, format!("target {target} cannot have tags: it has no names"))));
    }
    for tag in tags {
        match tag {
            ExtraTag::Bare(tag) => (0..count).for_each(|at| builder.add_tag(at, &tag)),
            ExtraTag::Reference(reference) => builder.add_reference(reference),
        }
    }
    let mut targets = builder.targets;
    for (at, target) in targets.iter_mut().enumerate() {
        problems.extend(take_tag(target).err().filter(|_| !lacks_tags).map(|problem| (at, problem)));
    }
    if problems.is_empty() && !has_invalid { Ok(targets) } else { Err(problems) }
}

#[derive(Default)]
struct Builder {
    targets: Vec<Target>,
    /// All targets and tags.
    seen: HashSet<Location>,
    /// The position of the first target in each repository or layout.
    first: HashMap<Location, usize>,
}

impl Builder {
    /// Adds a target, and returns whether it was given before.
    fn add_target(&mut self, location: Location) -> bool {
        let is_new = self.seen.insert(key(&location));
        self.first.entry(key(&location.without_name())).or_insert(self.targets.len());
        self.targets.push(location.into());
        !is_new
    }

    fn add_tag(&mut self, at: usize, tag: &str) {
        if let Some(target) = self.targets.get_mut(at)
            && self.seen.insert(key(&target.location.with_tag(tag)))
        {
            target.tags.push(tag.to_owned());
        }
    }

    fn add_reference(&mut self, reference: Location) {
        match (self.first.get(&key(&reference.without_name())), reference.tag()) {
            (Some(at), Some(tag)) => self.add_tag(*at, tag),
            _ => {
                self.add_target(reference);
            }
        }
    }
}

/// Returns a location for comparisons: `oci:./out` is `oci:out`.
fn key(location: &Location) -> Location {
    match location {
        Location::Registry(_) => location.clone(),
        Location::Layout(layout) => {
            let parts: Vec<&str> = layout.path.split('/').filter(|part| *part != ".").collect();
            Location::Layout(LayoutReference { path: parts.join("/"), ..layout.clone() })
        }
    }
}

/// Whether a location holds one image without a name, as `dir:` does.
fn has_no_names(location: &Location) -> bool {
    location.layout().is_some_and(|layout| layout.transport.has_no_names())
}

/// Gives the first extra tag to a target without a tag.
fn take_tag(target: &mut Target) -> Result<(), String> {
    if target.location.tag().is_some() || has_no_names(&target.location) {
        return Ok(());
    }
    if target.tags.is_empty() {
        return Err(format!("target \"{target}\" has no tag; manifest-tool does not default to \"latest\""));
    }
    target.location = target.location.with_tag(&target.tags.remove(0));
    target.by_digest = true;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(references: &[&str], tags: &[&str]) -> Result<Vec<String>, Vec<(usize, String)>> {
        let references = references.iter().map(|text| location(text).unwrap()).collect();
        let tags = tags.iter().map(|text| extra_tag(text).unwrap()).collect();
        let shown = |target: &Target| {
            let names: Vec<String> = target.locations().map(|location| location.to_string()).collect();
            format!("{}{}", names.join(" "), if target.by_digest { " by digest" } else { "" })
        };
        Ok(targets(references, ExtraTags { tags, has_invalid: false })?.iter().map(shown).collect())
    }

    #[test]
    fn bare_tags_are_written_beside_every_target_and_references_where_they_are() {
        for (references, tags, expected) in [
            (&["r.io/a:1"][..], &[][..], &["r.io/a:1"][..]),
            (&["r.io/a:1"], &["1", "2"], &["r.io/a:1 r.io/a:2"]),
            (&["r.io/a:1", "s.io/a:1"], &["2"], &["r.io/a:1 r.io/a:2", "s.io/a:1 s.io/a:2"]),
            (&["r.io/a:1"], &["r.io/a:2", "s.io/a:3", "s.io/a:4"], &["r.io/a:1 r.io/a:2", "s.io/a:3 s.io/a:4"]),
            (&["r.io/a:1"], &["s.io/a:3", "2"], &["r.io/a:1 r.io/a:2", "s.io/a:3"]),
            (&["r.io/a:1"], &["r.io/a:1"], &["r.io/a:1"]),
            (&["r.io/a:1", "r.io/a:2"], &["2", "3"], &["r.io/a:1 r.io/a:3", "r.io/a:2"]),
            (&["r.io/a"], &["1", "2"], &["r.io/a:1 r.io/a:2 by digest"]),
            (&["r.io/a", "s.io/a:0"], &["1"], &["r.io/a:1 by digest", "s.io/a:0 s.io/a:1"]),
            (&[], &["r.io/a:1", "r.io/a:2"], &["r.io/a:1 r.io/a:2"]),
            (&["oci:dir:1"], &["2"], &["oci:dir:1 oci:dir:2"]),
            (&["dir:out"], &[], &["dir:out"]),
        ] {
            let expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
            assert_eq!(build(references, tags), Ok(expected), "{references:?} {tags:?}");
        }
    }

    #[test]
    fn a_target_without_a_tag_or_given_twice_is_refused() {
        let no_tag = "target \"r.io/a\" has no tag; manifest-tool does not default to \"latest\"";
        for (references, tags, expected) in [
            (&["r.io/a"][..], &[][..], vec![(0, no_tag)]),
            (&["s.io/a:1", "r.io/a"], &["s.io/a:2"], vec![(1, no_tag)]),
            (&["r.io/a:1", "r.io/a:1"], &[], vec![(1, "target r.io/a:1 is given twice")]),
            (&["dir:out"], &["1"], vec![(0, "target dir:out cannot have tags: it has no names")]),
            (&["oci:out:1", "oci:./out:1"], &[], vec![(1, "target oci:./out:1 is given twice")]),
        ] {
            let expected = expected.into_iter().map(|(at, text)| (at, text.to_owned())).collect();
            assert_eq!(build(references, tags), Err(expected), "{references:?} {tags:?}");
        }
    }

    #[test]
    fn a_tag_with_a_slash_or_colon_is_a_reference() {
        for (text, expected) in [
            ("v1", Ok(ExtraTag::Bare("v1".into()))),
            ("r.io/a:v1", Ok(ExtraTag::Reference("r.io/a:v1".parse().unwrap()))),
            ("a:v1", Ok(ExtraTag::Reference("docker.io/library/a:v1".parse().unwrap()))),
            ("r.io/a", Err("invalid tag \"r.io/a\": a reference needs a tag of its own")),
            ("r.io/A:v1", Err("invalid tag \"r.io/A:v1\": ")),
            ("-x", Err("invalid tag \"-x\": ")),
        ] {
            match (extra_tag(text), expected) {
                (Ok(tag), Ok(expected)) => assert_eq!(tag, expected, "{text}"),
                (Err(mistake), Err(start)) => assert!(mistake.message.as_str().starts_with(start), "{mistake:?}"),
                (tag, _) => panic!("{text}: {tag:?}"),
            }
        }
    }
}
