use std::collections::{HashMap, HashSet};

use serde_saphyr::Spanned;

use super::documents::documents;
use super::keys::{Keys, Level};
use super::memory::{PER_PLATFORM, PER_SOURCE, PER_VALUE};
use super::model::{
    ATTESTATIONS, Attestations, Form, Source, Spec, check_append, docker_has_no, selected, source, subject,
};
use super::nearest::{expected_word, nearest_flag};
use super::node::Node;
use super::problem::{Mistake, SpecError};
use super::reader::Reader;
use super::request::YamlRequest;
use super::target::{ExtraTags, Target, extra_tag, location, targets};
use super::template::{missing_placeholders, source_for};
use crate::image::{self, Annotations, Location, Platform, UntrustedText, odd_pair};

/// A position in the file.
type At = serde_saphyr::Location;

const NO_ENTRIES: &str = "\"manifests\" is empty: an index needs at least one image";

/// Parses the specs of a file, one per YAML document.
///
/// # Errors
/// The file is not valid YAML or a spec is invalid. The error lists all problems with line and column.
pub fn from_yaml(request: &YamlRequest<'_>) -> Result<Vec<Spec>, SpecError> {
    let roots = documents(request.text, request.file)?;
    let mut reader = Reader::new(request);
    let specs: Vec<Spec> = roots.iter().filter_map(|root| reader.spec(root)).collect();
    let Reader { mut problems, mut warnings, .. } = reader;
    if problems.is_empty() {
        return Ok(specs);
    }
    problems.sort_by_key(|problem| problem.at);
    warnings.sort_by_key(|warning| warning.at);
    Err(SpecError { problems, warnings })
}

impl Reader<'_> {
    /// Reads `image` and `targets`, with their positions.
    fn references(&mut self, root: &Spanned<Node>, keys: &Keys<'_>) -> Vec<(Option<Location>, At)> {
        let mut references = Vec::new();
        if let Some(node) = keys.get("image") {
            references.push((self.read(node, "image", location), node.referenced));
        }
        if let Some(node) = keys.get("targets") {
            for (text, at) in self.scalars(node, "targets") {
                references.push((self.checked(at, location(&text)), at));
            }
        }
        if references.is_empty() && keys.get("targets").is_some() {
            self.note(root.referenced, "\"targets\" is empty: the references of the index to push");
        } else if references.is_empty() {
            self.note(root.referenced, "\"image\" is missing: the reference of the index to push");
        }
        references
    }

    /// Combines the references and extra tags into targets; empty if one is invalid.
    fn targets(&mut self, references: Vec<(Option<Location>, At)>, keys: &Keys<'_>) -> Vec<Target> {
        let tags = keys.get("tags").map(|node| self.tags(node)).unwrap_or_default();
        let positions: Vec<At> = references.iter().map(|(_, at)| *at).collect();
        let Some(parsed) = references.into_iter().map(|(location, _)| location).collect::<Option<Vec<_>>>() else {
            return Vec::new();
        };
        let bytes = parsed.len().saturating_mul(PER_SOURCE + tags.tags.len().saturating_mul(PER_VALUE));
        if positions.first().is_some_and(|at| !self.reserve(*at, bytes)) {
            return Vec::new();
        }
        targets(parsed, tags).unwrap_or_else(|problems| {
            for (position, problem) in problems {
                let at = positions.get(position).or(positions.first());
                at.into_iter().for_each(|at| self.note(*at, problem.clone()));
            }
            Vec::new()
        })
    }

    /// Reads whether to append to the target, and the form of the index.
    fn append_and_form(
        &mut self,
        root: &Spanned<Node>,
        keys: &Keys<'_>,
        references: &[(Option<Location>, At)],
    ) -> (bool, Form) {
        let append = keys.filled("append").and_then(|node| self.read(node, "append", flag)).unwrap_or_default();
        let append = append || self.request.append;
        for target in references.iter().filter_map(|(target, _)| target.as_ref()).filter(|_| append) {
            self.checked(root.referenced, check_append(target));
        }
        let form = |text: &str| word("type", text, text.parse::<Form>());
        let declared = keys.filled("type").and_then(|node| self.read(node, "type", form));
        (append, Form::or_default(self.request.form.or(declared), append))
    }

    fn spec(&mut self, root: &Spanned<Node>) -> Option<Spec> {
        let first_warning = self.warnings.len();
        let keys = self.keys(root, Level::Spec)?;
        let references = self.references(root, &keys);
        let first = references.first().and_then(|(first, _)| first.clone());
        let (append, form) = self.append_and_form(root, &keys, &references);
        let targets = self.targets(references, &keys);
        let attestations = keys.filled("attestations").and_then(|node| self.read(node, "attestations", attestations));
        let annotations = keys.get("annotations").map(|node| self.annotations(node)).unwrap_or_default();
        let artifact_type = keys.filled("artifactType").and_then(|node| self.read(node, "artifactType", media_type));
        let subject = keys.filled("subject").and_then(|node| {
            let first = first.as_ref()?;
            self.read(node, "subject", |text| subject(text, first))
        });
        let labels = keys.filled("annotationsFrom").and_then(|node| self.read(node, "annotationsFrom", from_labels));
        if form == Form::Docker && self.request.annotations_from_labels && labels.is_none() {
            self.note(root.referenced, docker_has_no("annotations from labels"));
        }
        if form == Form::Docker {
            let oci_only = [
                ("annotations", !annotations.is_empty()),
                ("annotationsFrom", labels.is_some()),
                ("artifactType", artifact_type.is_some()),
                ("subject", subject.is_some()),
            ];
            let present =
                oci_only.into_iter().filter_map(|(key, is_set)| keys.get(key).filter(|_| is_set).zip(Some(key)));
            present.for_each(|(node, key)| self.note(node.referenced, docker_has_no(key)));
        }
        let sources = self.sources(root, &keys);
        let mut targets = targets.into_iter();
        let target = targets.next()?;
        let template = keys.filled("template").and_then(|node| self.written(node, "template"));
        let mut warnings = self.warnings.get(first_warning..).unwrap_or_default().to_vec();
        warnings.sort_by_key(|warning| warning.at);
        Some(Spec {
            more_targets: targets.collect(),
            append,
            annotations,
            annotations_from_labels: labels.is_some() || self.request.annotations_from_labels,
            artifact_type,
            subject,
            attestations: attestations.unwrap_or_default(),
            template,
            warnings,
            ..Spec::with_defaults(target, form, sources)
        })
    }

    /// Reads the extra tags. Drops duplicates with a warning.
    fn tags(&mut self, node: &Spanned<Node>) -> ExtraTags {
        let (mut tags, mut seen, problems) = (ExtraTags::default(), HashSet::new(), self.problems.len());
        for (text, at) in self.scalars(node, "tags") {
            let Some(tag) = self.checked(at, extra_tag(&text)) else { continue };
            if seen.insert(tag.clone()) {
                tags.tags.push(tag);
            } else {
                self.warn(at, format!("tag \"{text}\" is given twice"));
            }
        }
        tags.has_invalid = self.problems.len() > problems;
        tags
    }

    /// Reads the sources: the images of the template, then the entries.
    fn sources(&mut self, root: &Spanned<Node>, keys: &Keys<'_>) -> Vec<Source> {
        let mut sources = Vec::new();
        match (keys.get("platforms"), keys.get("template")) {
            (Some(platforms), Some(template_node)) => {
                let names = self.scalars(platforms, "platforms");
                if names.is_empty() {
                    self.note(platforms.referenced, "\"platforms\" is empty");
                }
                let template = self.written(template_node, "template").unwrap_or_default();
                for (name, at) in names {
                    let source = self.checked(at, source_for(&name, &template, self.request.variables));
                    if let Some(warning) = source.as_ref().and_then(|source| odd_pair(&source.platform)) {
                        self.warn(at, warning);
                    }
                    sources.extend(source.filter(|_| self.reserve(at, PER_SOURCE + template.len())));
                }
                for warning in missing_placeholders(&template, &sources) {
                    self.warn(template_node.referenced, warning);
                }
            }
            (Some(node), None) => self.note(node.referenced, "\"platforms\" needs a \"template\""),
            (None, Some(node)) => self.note(node.referenced, "\"template\" needs \"platforms\""),
            (None, None) => {}
        }
        let is_templated = keys.get("platforms").is_some() || keys.get("template").is_some();
        match keys.get("manifests") {
            Some(node @ Spanned { value: Node::List(entries), .. }) => {
                sources.extend(self.entries(entries));
                if entries.iter().all(is_null) && !is_templated {
                    self.note(node.referenced, NO_ENTRIES);
                }
            }
            Some(Spanned { value: Node::Null, .. }) | None if is_templated => {}
            Some(node @ Spanned { value: Node::Null, .. }) => self.note(node.referenced, NO_ENTRIES),
            Some(node) => self.note(node.referenced, "\"manifests\" must be a list of entries with \"image\""),
            None => self.note(root.referenced, "\"manifests\" is missing: the list of images to put into the index"),
        }
        sources
    }

    /// Reads the sources of `manifests`. Drops null entries, such as a bare dash, with a warning, as 2.2.1 does.
    fn entries(&mut self, entries: &[Spanned<Node>]) -> Vec<Source> {
        let mut sources: Vec<Source> = Vec::new();
        let mut platforms: HashMap<Location, (Platform, HashSet<Platform>)> = HashMap::new();
        for node in entries {
            if is_null(node) {
                self.warn(node.referenced, "an empty entry of \"manifests\" is dropped");
                continue;
            }
            let Some(source) = self.entry(node) else { continue };
            let Source { location, platform, .. } = &source;
            let new = || (platform.clone(), HashSet::new());
            let (first, others) = platforms.entry(location.clone()).or_insert_with(new);
            if platform != first && others.insert(platform.clone()) {
                let message = format!("{location} is given for two platforms, {} and {}", name(first), name(platform));
                self.warn(node.referenced, message);
            }
            sources.push(source);
        }
        sources
    }

    fn entry(&mut self, node: &Spanned<Node>) -> Option<Source> {
        let keys = self.keys(node, Level::Entry)?;
        let platform = keys.get("platform").map(|node| self.platform(node)).unwrap_or_default();
        let annotations = keys.get("annotations").map(|node| self.annotations(node)).unwrap_or_default();
        let select = keys.get("select").map(|node| self.select(node)).unwrap_or_default();
        let Some(image) = keys.get("image") else {
            self.note(node.referenced, "\"image\" is missing: the reference of the image to put into the index");
            return None;
        };
        let location = self.read(image, "image", source)?;
        if !self.reserve(node.referenced, PER_SOURCE) {
            return None;
        }
        Some(Source { annotations, select, ..Source::new(location, platform) })
    }

    /// Reads the platforms to select from an entry's index.
    fn select(&mut self, node: &Spanned<Node>) -> Vec<Platform> {
        let platforms = self.scalars(node, "select");
        if platforms.is_empty() && !is_null(node) {
            self.note(node.referenced, "\"select\" is empty");
        }
        let mut selected_platforms = Vec::new();
        for (text, at) in platforms {
            let Some(platform) = self.checked(at, selected(&text)) else { continue };
            if !self.reserve(at, PER_PLATFORM) {
                break;
            }
            if !selected_platforms.contains(&platform) {
                selected_platforms.push(platform);
            }
        }
        selected_platforms
    }

    fn platform(&mut self, node: &Spanned<Node>) -> Platform {
        let mut platform = Platform::default();
        if matches!(node.value, Node::Null) {
            return platform;
        }
        let keys = self.keys(node, Level::Platform).unwrap_or_default();
        for (one, other) in [("os.version", "osversion"), ("os.features", "osfeatures")] {
            if let (Some(one_node), Some(other_node)) = (keys.get(one), keys.get(other)) {
                let second = [one_node, other_node]
                    .into_iter()
                    .max_by_key(|node| (node.referenced.line(), node.referenced.column()));
                let at = second.map_or(node.referenced, |node| node.referenced);
                self.note(at, format!("\"{one}\" is given twice, in both spellings"));
            }
        }
        for (key, value) in keys.0 {
            let field = match key.as_str() {
                "architecture" => &mut platform.architecture,
                "os" => &mut platform.os,
                "variant" => &mut platform.variant,
                "osversion" | "os.version" => &mut platform.os_version,
                _ => {
                    platform.os_features = self.scalars(value, &key).into_iter().map(|(text, _)| text.into()).collect();
                    continue;
                }
            };
            if let Some(text) = self.scalar(value, &key) {
                *field = text.into();
            }
        }
        if let Some(warning) = odd_pair(&platform) {
            self.warn(node.referenced, warning);
        }
        platform
    }

    fn annotations(&mut self, node: &Spanned<Node>) -> Annotations {
        let mut annotations = Annotations::new();
        match &node.value {
            Node::Null => {}
            Node::Map(entries) => {
                for (key, value) in entries {
                    if is_null(key) {
                        self.warn(key.referenced, "an annotation without a key is dropped");
                        continue;
                    }
                    let Some(spelled) = self.key(key) else { continue };
                    let name = self.filled(key.referenced, &spelled);
                    if let (Some(name), Some(text)) = (name, self.scalar(value, &spelled))
                        && annotations.insert(name.as_str().into(), text.into()).is_some()
                    {
                        self.note(key.referenced, format!("annotation \"{name}\" is given twice"));
                    }
                }
            }
            _ => self.note(node.referenced, "\"annotations\" must be a mapping of keys to values"),
        }
        annotations
    }
}

fn is_null(node: &Spanned<Node>) -> bool {
    matches!(node.value, Node::Null)
}

/// Returns the name of an entry's platform for messages.
fn name(platform: &Platform) -> String {
    if *platform == Platform::default() { "that of its config".into() } else { platform.to_string() }
}

fn flag(text: &str) -> Result<bool, Mistake> {
    match text {
        "true" | "True" | "TRUE" => Ok(true),
        "false" | "False" | "FALSE" => Ok(false),
        _ => {
            let message = format!("\"append\" is \"{text}\"; expected true or false");
            Err(Mistake::from(message).or_meant(nearest_flag(text)))
        }
    }
}

fn word<T>(key: &str, text: &str, read: Result<T, impl Into<Mistake>>) -> Result<T, Mistake> {
    read.map_err(|expected| expected.into().with_prefix(&format!("\"{key}\" is \"{text}\"; ")))
}

fn attestations(text: &str) -> Result<Attestations, Mistake> {
    match text {
        "keep" => Ok(Attestations::Keep),
        "drop" => Ok(Attestations::Drop),
        _ => word("attestations", text, Err(expected_word(text, ATTESTATIONS))),
    }
}

fn from_labels(text: &str) -> Result<(), Mistake> {
    match text {
        "labels" => Ok(()),
        _ => word("annotationsFrom", text, Err("expected labels")),
    }
}

fn media_type(text: &str) -> Result<UntrustedText, Mistake> {
    let is_type = image::media_type::is_well_formed(text);
    if is_type {
        Ok(text.into())
    } else {
        Err(format!("\"{text}\" is not a media type, such as application/vnd.example.v1").into())
    }
}

#[cfg(test)]
mod tests;
