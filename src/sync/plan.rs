use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

use super::rules::RepositoryRules;
use super::target::{FolderName, SyncTarget};
use crate::image::{LayoutReference, Location, Transport, UntrustedText, check_tag};

/// An image to copy, and its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlannedCopy {
    pub(crate) from: Location,
    /// The target, with the tag, name or digest of the source.
    pub(crate) to: Location,
}

/// Why images cannot be copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PlanProblem {
    /// Two sources have the same target.
    SameTarget {
        /// The target.
        to: Location,
        /// The first source.
        first: Location,
        /// The other source.
        other: Location,
    },
    /// The source and the target are the same image.
    Itself(Location),
    /// The target cannot have the name of the source.
    InvalidName {
        /// The source.
        from: Location,
        /// The reason.
        reason: UntrustedText,
    },
}

impl fmt::Display for PlanProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SameTarget { to, first, other } => {
                write!(f, "{to} would be written twice: from {first} and from {other}")
            }
            Self::Itself(image) => write!(f, "{image} would be copied to itself"),
            Self::InvalidName { from, reason } => write!(f, "cannot copy {from}: {reason}"),
        }
    }
}

/// Returns the target of each image. `images` are the selected images of each repository.
///
/// # Errors
/// Two images have the same target, an image is its own target, or a target cannot have the name of its source.
pub(crate) fn plan<'r>(
    images: impl IntoIterator<Item = (&'r RepositoryRules, Vec<Location>)>,
    target: &SyncTarget,
    is_scoped: bool,
) -> Result<Vec<PlannedCopy>, Vec<PlanProblem>> {
    let (mut copies, mut problems) = (Vec::new(), Vec::new());
    let mut sources: HashMap<Location, Location> = HashMap::new();
    for (rules, images) in images {
        let repository = match target.repository(&rules.path, is_scoped) {
            Ok(repository) => repository,
            Err(reason) => {
                let (from, reason) = (rules.repository.clone(), reason.into());
                problems.push(PlanProblem::InvalidName { from, reason });
                continue;
            }
        };
        for from in images {
            let to = match target_of(&from, &repository) {
                Ok(to) => to,
                Err(reason) => {
                    problems.push(PlanProblem::InvalidName { from, reason });
                    continue;
                }
            };
            match sources.entry(to.clone()) {
                Entry::Occupied(first) if *first.get() == from => {}
                Entry::Occupied(first) => {
                    problems.push(PlanProblem::SameTarget { to, first: first.get().clone(), other: from });
                }
                Entry::Vacant(_) if from == to => problems.push(PlanProblem::Itself(from)),
                Entry::Vacant(vacant) => {
                    vacant.insert(from.clone());
                    copies.push(PlannedCopy { from, to });
                }
            }
        }
    }
    if problems.is_empty() { Ok(copies) } else { Err(problems) }
}

/// Returns the target of an image in a repository or layout.
fn target_of(from: &Location, repository: &Location) -> Result<Location, UntrustedText> {
    let in_folder = match from.layout() {
        Some(layout) if layout.transport == Transport::Dir => Some(FolderName::parse(&layout.path).tag),
        _ => None,
    };
    let tag = match &in_folder {
        Some(None) if from.digest().is_none() => return Err("the name of its folder has no tag, as in app:v1".into()),
        Some(tag) => tag.as_deref(),
        None => from.tag(),
    };
    if let Location::Layout(layout) = repository
        && layout.transport == Transport::Dir
    {
        let name = match (from.digest(), tag) {
            (Some(digest), _) => format!("@{digest}"),
            (None, tag) => format!(":{}", tag.unwrap_or("latest")),
        };
        if name.contains('/') {
            return Err("its name cannot be a part of a folder's name".into());
        }
        return Ok(Location::Layout(LayoutReference { path: format!("{}{name}", layout.path), ..layout.clone() }));
    }
    match (from.digest(), tag) {
        (Some(digest), _) => Ok(repository.with_digest(digest.clone())),
        (None, Some(tag)) => {
            // A layout may have names that are not tags.
            if repository.reference().is_some() {
                let reason = |error| UntrustedText::from(format!("its name is not a tag: {error}"));
                check_tag(tag).map_err(reason)?;
            }
            Ok(repository.with_tag(tag))
        }
        (None, None) => Ok(repository.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Location {
        text.parse().unwrap()
    }

    /// Plans copies of these images, each with the path of its repository. Returns lines.
    fn planned(images: &[(&str, Option<&str>)], target: &str, is_scoped: bool) -> Vec<String> {
        let rules = |(image, path): &(&str, Option<&str>)| {
            let (image, path) = (at(image), path.map(str::to_owned));
            (RepositoryRules::of_location(&image.without_name(), path), vec![image])
        };
        let rules: Vec<_> = images.iter().map(rules).collect();
        let images = rules.iter().map(|(rules, images)| (rules, images.clone()));
        match plan(images, &SyncTarget::parse(target).unwrap(), is_scoped) {
            Ok(copies) => copies.iter().map(|PlannedCopy { from, to }| format!("{from} -> {to}")).collect(),
            Err(problems) => problems.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn every_image_keeps_its_tag_name_or_digest() {
        let digest = crate::image::Digest::sha256(b"");
        let by_digest = format!("q.io/team/app@{digest}");
        let images =
            [("q.io/team/app:v1", None), (by_digest.as_str(), None), ("oci:in/team/tool:v2", Some("team/tool"))];
        let unscoped = [
            "q.io/team/app:v1 -> r.io/m/app:v1".to_owned(),
            format!("{by_digest} -> r.io/m/app@{digest}"),
            "oci:in/team/tool:v2 -> r.io/m/tool:v2".into(),
        ];
        assert_eq!(planned(&images, "r.io/m", false), unscoped);
        let scoped = [
            "q.io/team/app:v1 -> oci:out/q.io+team+app:v1".to_owned(),
            format!("{by_digest} -> oci:out/q.io+team+app@{digest}"),
            "oci:in/team/tool:v2 -> oci:out/team+tool:v2".into(),
        ];
        assert_eq!(planned(&images, "oci:out", true), scoped);
    }

    #[test]
    fn two_sources_of_one_target_are_a_problem_unless_they_are_the_same() {
        let images = [("q.io/a/app:v1", None), ("q.io/b/app:v1", None), ("q.io/b/app:v2", None)];
        let problem = "r.io/app:v1 would be written twice: from q.io/a/app:v1 and from q.io/b/app:v1";
        assert_eq!(planned(&images, "r.io", false), [problem]);
        assert_eq!(planned(&images, "r.io", true).len(), 3);
        assert_eq!(planned(&[images[0], images[0]], "r.io", false).len(), 1);
    }

    #[test]
    fn names_that_the_target_cannot_have_are_problems() {
        for (image, path, target, problem) in [
            ("r.io/m/app:v1", None, "r.io/m", "r.io/m/app:v1 would be copied to itself"),
            (
                "oci:in:a/b:c",
                Some("in"),
                "r.io",
                "cannot copy oci:in:a/b:c: its name is not a tag: a tag may have only",
            ),
            ("oci:In:v1", Some("In"), "r.io", "cannot copy oci:In: "),
        ] {
            let lines = planned(&[(image, path)], target, false);
            assert!(lines.len() == 1 && lines[0].starts_with(problem), "{lines:?}");
        }
        assert_eq!(planned(&[("oci:in:a/b:c", Some("in"))], "oci:out", false), ["oci:in:a/b:c -> oci:out/in:a/b:c"]);
    }
}
