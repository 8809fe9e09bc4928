use std::collections::HashSet;

use super::memory::{PER_SOURCE, PER_VALUE};
use super::placeholders::lower_case_placeholders;
use super::problem::{Hint, Mistake, Problem, SpecError};
use crate::image::{
    Annotations, Digest, Location, Platform, UntrustedText, check_tag, is_known_platform, known_variants, unsupported,
};

/// One index to assemble.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Spec {
    /// Where the index goes; has a tag and no digest. Of a target without a tag, the first of the extra tags is taken.
    pub target: Location,
    /// Push the index by digest before its tags, as 2.2.1 does where the target has no tag.
    pub by_digest: bool,
    /// Further tags of the target's repository, without the target's own.
    pub tags: Vec<String>,
    /// The form of the index.
    pub form: Form,
    /// Start from what the target holds.
    pub append: bool,
    /// Annotations of the index; empty for [`Form::Docker`].
    pub annotations: Annotations,
    /// What the index is, where it is an artifact; not for [`Form::Docker`].
    pub artifact_type: Option<UntrustedText>,
    /// The manifest that the index refers to, in the target's repository or layout; not for [`Form::Docker`].
    pub subject: Option<Location>,
    /// Whether attestations go into the index.
    pub attestations: Attestations,
    /// What goes into the index, in this order. Never empty.
    pub sources: Vec<Source>,
    /// The template that sources were made from.
    pub template: Option<String>,
    /// What is probably a mistake in it.
    pub warnings: Vec<Problem>,
}

/// One image (or index) to put into the index.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Source {
    /// Where it is; has a tag or a digest, except for a layout with a single image.
    pub location: Location,
    /// What the user said of its platform; empty fields are filled from the image's config.
    pub platform: Platform,
    /// Annotations of its entry, or entries where it is an index.
    pub annotations: Annotations,
}

/// Which of the two forms an index is to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// Docker manifest list.
    Docker,
    /// OCI image index.
    Oci,
    /// Docker's where every image is Docker's, else OCI's.
    Auto,
    /// That of what the target holds; Docker's where it holds nothing.
    Target,
}

/// Whether attestations that came with an image go into the index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Attestations {
    /// They do.
    #[default]
    Keep,
    /// The index has none.
    Drop,
}

/// The words for [`Form`] in a spec and on the command line.
pub(super) const FORMS: &[&str] = &["docker", "oci", "auto"];
/// The words for [`Attestations`].
pub(super) const ATTESTATIONS: &[&str] = &["keep", "drop"];

/// A word that names no [`Form`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {}", FORMS.join(", "))]
pub struct FormError;

impl std::str::FromStr for Form {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        match text {
            "docker" => Ok(Self::Docker),
            "oci" => Ok(Self::Oci),
            "auto" => Ok(Self::Auto),
            _ => Err(FormError),
        }
    }
}

impl std::fmt::Display for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Docker => "docker",
            Self::Oci => "oci",
            Self::Auto => "auto",
            Self::Target => "target",
        })
    }
}

impl Form {
    /// Defaults to Docker's, as in 2.2.1, unless the target has a form already.
    pub(super) fn unless_given(given: Option<Self>, append: bool) -> Self {
        given.unwrap_or(if append { Self::Target } else { Self::Docker })
    }
}

impl Source {
    pub(super) fn of(location: Location, platform: Platform) -> Self {
        Self { location, platform, annotations: Annotations::new() }
    }
}

impl Spec {
    /// An index of these images. Everything else, such as annotations and platforms, is set in the fields.
    ///
    /// # Errors
    /// Everything that is wrong with the references.
    ///
    /// ```
    /// use manifest_tool::spec::{Form, Spec};
    /// let mut spec = Spec::new("r.io/app:v1", Form::Oci, &["r.io/app:v1-amd64", "r.io/app:v1-arm64"])?;
    /// spec.tags.push("latest".into());
    /// spec.annotations.insert("org.opencontainers.image.title".into(), "app".into());
    /// let error = Spec::new("r.io/app", Form::Oci, &["r.io/app:v1-amd64"]).unwrap_err();
    /// assert!(error.to_string().contains("has no tag"));
    /// # Ok::<(), manifest_tool::spec::SpecError>(())
    /// ```
    pub fn new(target: &str, form: Form, sources: &[&str]) -> Result<Self, SpecError> {
        let mut problems = Vec::new();
        let mut note = |message: String| problems.push(Problem::of_arguments(message));
        let target = self::target(target).and_then(|target| Ok(tagged(target, Vec::new())?.0));
        let target = target.map_err(&mut note).ok();
        if sources.is_empty() {
            note("no images given".into());
        }
        let images = sources.iter().filter_map(|text| source(text).map_err(&mut note).ok());
        let sources = images.map(|location| Source::of(location, Platform::default())).collect();
        match target {
            Some(target) if problems.is_empty() => Ok(Self::of(target, form, sources)),
            _ => Err(SpecError::new(problems)),
        }
    }

    /// With nothing but what every spec has.
    pub(super) fn of(target: Location, form: Form, sources: Vec<Source>) -> Self {
        Self {
            target,
            by_digest: false,
            tags: Vec::new(),
            form,
            append: false,
            annotations: Annotations::new(),
            artifact_type: None,
            subject: None,
            attestations: Attestations::Keep,
            sources,
            template: None,
            warnings: Vec::new(),
        }
    }

    /// About how many bytes of memory it takes.
    #[cfg(feature = "cli")]
    #[must_use]
    pub(crate) fn memory(&self) -> usize {
        let annotations = self.sources.iter().map(|source| &source.annotations).chain([&self.annotations]);
        let pairs = annotations.flatten().map(|(key, value)| key.len() + value.len() + 2 * PER_VALUE);
        let tags = self.tags.iter().map(|tag| tag.len() + PER_VALUE);
        let warnings = self.warnings.iter().map(|warning| warning.file.len() + warning.message.len() + PER_VALUE);
        PER_SOURCE * (1 + self.sources.len()) + pairs.chain(tags).chain(warnings).sum::<usize>()
    }

    /// What may be wrong with the template if the images that it names do not exist: placeholders in lower case.
    #[must_use]
    pub fn template_hint(&self) -> Option<String> {
        lower_case_placeholders(self.template.as_deref()?)
    }

    /// The target, then the further tags of it.
    pub fn locations(&self) -> impl Iterator<Item = Location> {
        std::iter::once(self.target.clone()).chain(self.tags.iter().map(|tag| self.target.with_tag(tag)))
    }

    /// What a push would find wrong with the platforms of images. A source that is an index, which has the say over its
    /// platforms, would be pushed: only a registry knows which is one.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut seen: HashSet<&Platform> = HashSet::new();
        for Source { location, platform, .. } in &self.sources {
            let Platform { os, architecture, variant, .. } = platform;
            if !is_possible(platform) {
                faults.push(format!("{location}: {}", unsupported(platform)));
            }
            // What else there may be is the config's to say.
            let is_whole = !os.is_empty() && os != "windows" && !architecture.starts_with("arm");
            if (is_whole || !variant.is_empty()) && !seen.insert(platform) {
                faults.push(format!("{location}: another entry is for platform {platform} as well"));
            }
        }
        faults
    }
}

/// Whether the platform that a spec gives can be one that is known, once a config has filled in what it leaves open.
pub(crate) fn is_possible(platform: &Platform) -> bool {
    let Platform { os, architecture, variant, .. } = platform;
    match (os.is_empty(), architecture.is_empty()) {
        (true, true) => variant.is_empty() || known_variants().contains(&variant.as_str()),
        (false, false) => is_known_platform(platform),
        _ => false,
    }
}

/// Checks the target: it must have no digest.
pub(super) fn target(text: &str) -> Result<Location, String> {
    let location: Location = text.parse().map_err(|error: crate::image::LocationError| error.to_string())?;
    match location.digest() {
        Some(_) => Err(format!("target \"{text}\" has a digest; name a tag instead, the digest is what comes out")),
        None => Ok(location),
    }
}

/// Gives a target without a tag the first of its extra tags.
///
/// # Errors
/// Neither the target nor the extra tags name a tag.
pub(super) fn tagged(target: Location, mut tags: Vec<String>) -> Result<(Location, Vec<String>), String> {
    match (target.tag(), tags.is_empty()) {
        (Some(_), _) => Ok((target, tags)),
        (None, true) => Err(format!("target \"{target}\" has no tag; manifest-tool does not default to \"latest\"")),
        (None, false) => Ok((target.with_tag(&tags.remove(0)), tags)),
    }
}

/// Checks a source: in a registry it must have a tag or a digest.
pub(super) fn source(text: &str) -> Result<Location, String> {
    let location: Location = text.parse().map_err(|error: crate::image::LocationError| error.to_string())?;
    match location.reference() {
        Some(reference) if reference.manifest_name().is_none() => {
            Err(format!("source \"{text}\" has no tag or digest; manifest-tool does not default to \"latest\""))
        }
        _ => Ok(location),
    }
}

/// Checks an extra tag against the grammar.
pub(super) fn check_extra_tag(tag: &str) -> Result<(), String> {
    check_tag(tag).map_err(|reason| format!("invalid tag \"{tag}\": {reason}"))
}

/// Checks the subject: a manifest by tag or digest, in the target's repository.
pub(super) fn subject(text: &str, target: &Location) -> Result<Location, String> {
    if let Ok(digest) = Digest::parse(text) {
        return Ok(target.with_digest(digest));
    }
    let location: Location = text.parse().map_err(|error: crate::image::LocationError| error.to_string())?;
    if location.tag().is_none() && location.digest().is_none() {
        return Err(format!("subject \"{text}\" has no tag or digest"));
    }
    if !location.same_repository(target) {
        return Err(format!(
            "subject \"{text}\" is not where the index goes; a registry lists what refers to it there alone"
        ));
    }
    Ok(location)
}

/// Refuses to append to an archive, which is always rewritten.
pub(super) fn check_append(target: &Location) -> Result<(), String> {
    match target {
        Location::Layout(layout) if layout.archive => {
            Err(format!("{target}: nothing can be appended to an archive, which is written anew; use a folder (oci:)"))
        }
        _ => Ok(()),
    }
}

/// Specs for 2.2.1 name the target's own tag among the extra ones; it is written once.
pub(super) fn without_own(target: &Location, mut tags: Vec<String>) -> Vec<String> {
    tags.retain(|tag| target.tag() != Some(tag));
    tags
}

/// What a Docker manifest list has no place for.
pub(super) fn not_dockers(what: &str) -> Mistake {
    Mistake::with_hint(format!("a Docker manifest list has no {what}"), Hint::UseOciForm(what.to_owned()))
}
