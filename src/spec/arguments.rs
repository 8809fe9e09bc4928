//! Collects the problems of command-line arguments.

use std::collections::HashSet;

use super::annotation::{Level, leveled, parse_annotations};
use super::model::{EntryAnnotation, Form, Spec, check_append, docker_has_no};
use super::problem::{MAX_PROBLEMS, Mistake, Problem, SpecError};
use super::target::{ExtraTags, Target, extra_tag, location, targets};
use crate::image::{Annotations, Location};

/// Maximum number of annotations with levels. Each is compared with every entry of the index.
const MAX_ANNOTATIONS: usize = 1_000;

/// The problems and warnings of a command line.
#[derive(Default)]
pub(super) struct Arguments {
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl Arguments {
    pub(super) fn note(&mut self, mistake: impl Into<Mistake>) {
        self.problem(mistake.into().at("", None));
    }

    pub(super) fn problem(&mut self, problem: Problem) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(problem);
        }
    }

    pub(super) fn has_problems_of_files(&self) -> bool {
        self.problems.iter().any(|problem| !problem.file.is_empty())
    }

    pub(super) fn checked<T>(&mut self, result: Result<T, impl Into<Mistake>>) -> Option<T> {
        result.map_err(|mistake| self.note(mistake)).ok()
    }

    pub(super) fn warn(&mut self, messages: impl IntoIterator<Item = String>) {
        let remaining = MAX_PROBLEMS.saturating_sub(self.warnings.len());
        self.warnings.extend(messages.into_iter().map(Problem::of_arguments).take(remaining));
    }

    /// Parses references and extra tags, and combines them into targets; empty if one is invalid.
    pub(super) fn targets(&mut self, references: &[&str], tags: &[String]) -> Vec<Target> {
        let parsed: Vec<Location> =
            references.iter().filter_map(|reference| self.checked(location(reference))).collect();
        let tags = self.tags(tags);
        if parsed.len() < references.len() {
            return Vec::new();
        }
        targets(parsed, tags).unwrap_or_else(|problems| {
            problems.into_iter().for_each(|(_, problem)| self.note(problem));
            Vec::new()
        })
    }

    fn tags(&mut self, texts: &[String]) -> ExtraTags {
        let (mut tags, mut seen) = (ExtraTags::default(), HashSet::new());
        for text in texts.iter().map(|text| text.trim()) {
            match (self.checked(extra_tag(text)), seen.insert(text)) {
                (None, _) => tags.has_invalid = true,
                (Some(tag), true) => tags.tags.push(tag),
                (Some(_), false) => self.warn([format!("tag \"{text}\" is given twice")]),
            }
        }
        tags
    }

    /// Parses the annotations of a command line: those of the index and those of entries.
    pub(super) fn annotations(&mut self, plain: &[String], leveled: &[String]) -> (Annotations, Vec<EntryAnnotation>) {
        let plain = parse_annotations(plain).map_err(|error| error.to_string());
        let mut annotations = self.checked(plain).unwrap_or_default();
        let (of_index, of_entries) = self.leveled(leveled);
        annotations.extend(of_index);
        (annotations, of_entries)
    }

    /// Parses annotations with levels. Warns about the levels that a push cannot write.
    fn leveled(&mut self, texts: &[String]) -> (Annotations, Vec<EntryAnnotation>) {
        let (index, entries, ignored) = self.parse_leveled(texts);
        if ignored > 0 {
            let (are, s) = if ignored == 1 { ("is", "") } else { ("are", "s") };
            self.warn([format!(
                "{ignored} annotation{s} of level manifest or index-descriptor {are} ignored: a push does not change \
                 images; use the level index or manifest-descriptor"
            )]);
        }
        (index, entries)
    }

    /// Parses annotations with levels, and counts those that a push cannot write.
    pub(super) fn parse_leveled(&mut self, texts: &[String]) -> (Annotations, Vec<EntryAnnotation>, usize) {
        let (mut index, mut entries, mut ignored) = (Annotations::new(), Vec::new(), 0);
        if texts.len() > MAX_ANNOTATIONS {
            self.note(format!("{} annotations are more than {MAX_ANNOTATIONS}", texts.len()));
            return (index, entries, ignored);
        }
        for text in texts {
            let Some((levels, key, value)) = self.checked(leveled(text)) else { continue };
            for level in levels {
                match level {
                    Level::Index => {
                        index.insert(key.into(), value.into());
                    }
                    Level::Entries(platform) => {
                        entries.push(EntryAnnotation { platform, key: key.into(), value: value.into() });
                    }
                    Level::Unwritable => ignored += 1,
                }
            }
        }
        (index, entries, ignored)
    }

    /// Checks the targets of a spec that appends.
    pub(super) fn check_append<'t>(&mut self, targets: impl IntoIterator<Item = &'t Target>) {
        for target in targets {
            self.checked(check_append(&target.location));
        }
    }

    /// Checks that a Docker manifest list gets no annotations.
    pub(super) fn check_annotations(&mut self, form: Form, annotations: &Annotations, from_labels: bool) {
        for (key, is_set) in [("annotations", !annotations.is_empty()), ("annotations from labels", from_labels)] {
            if form == Form::Docker && is_set {
                self.note(docker_has_no(key));
            }
        }
    }

    /// Returns the spec with the warnings, or all problems; with `strict`, warnings are problems. A `spec` of `None` has
    /// been reported.
    pub(super) fn finish(self, spec: Option<Spec>, strict: bool) -> Result<Spec, SpecError> {
        let Self { mut problems, mut warnings } = self;
        if strict {
            problems.append(&mut warnings);
        }
        match spec {
            Some(spec) if problems.is_empty() => Ok(Spec { warnings, ..spec }),
            _ => Err(SpecError { problems, warnings }),
        }
    }
}
