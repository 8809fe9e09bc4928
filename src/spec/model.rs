use std::collections::HashSet;

use super::memory::{PER_PLATFORM, PER_SOURCE, PER_VALUE};
use super::placeholders::lower_case_placeholders;
use super::problem::{Hint, Mistake, Problem, ProblemKind, SpecError};
use super::target::{self, ExtraTags, Target, targets};
use crate::image::{
    Annotations, Digest, Location, Platform, UntrustedText, is_known_platform, known_variants, unsupported,
};

/// A validated spec of an index.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Spec {
    /// The first target.
    pub target: Target,
    /// Further targets, usually in other repositories. The same index is pushed to all of them.
    pub more_targets: Vec<Target>,
    /// Form of the index.
    pub form: Form,
    /// Start from the existing index of the target.
    pub append: bool,
    /// Annotations of the index. Empty for [`Form::Docker`].
    pub annotations: Annotations,
    /// Annotations that a Docker manifest list leaves out with a warning. [`Self::annotations`] override them.
    pub optional_annotations: Annotations,
    /// Add the labels that all images share as annotations, with the lowest priority. A Docker manifest list leaves them
    /// out with a warning.
    pub annotations_from_labels: bool,
    /// Annotations of entries, by platform; applied after the annotations of sources.
    pub entry_annotations: Vec<EntryAnnotation>,
    /// Artifact type of the index. `None` for [`Form::Docker`].
    pub artifact_type: Option<UntrustedText>,
    /// Manifest that the index refers to, in the target's repository or layout. `None` for [`Form::Docker`].
    pub subject: Option<Location>,
    /// Whether the index includes attestations.
    pub attestations: Attestations,
    /// Platforms to select from sources that are indexes; each must be offered by a source. Empty for all.
    pub select: Vec<Platform>,
    /// Images to include in the index, in order. Never empty.
    pub sources: Vec<Source>,
    /// The template of the sources, if any.
    pub template: Option<String>,
    /// Warnings about probable mistakes in the spec.
    pub warnings: Vec<Problem>,
}

/// An image, or an index of images, to include in an index.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Source {
    /// Location of the image. Has a tag or a digest, except for a layout with a single image.
    pub location: Location,
    /// Platform from the spec. Empty fields are filled from the image's config.
    pub platform: Platform,
    /// Annotations of its entry, or of all its entries if it is an index.
    pub annotations: Annotations,
    /// Platforms to select if it is an index, all of which it must offer. Empty for those of [`Spec::select`].
    pub select: Vec<Platform>,
}

/// An annotation of the entries for a platform, or of all entries except attestations.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EntryAnnotation {
    /// The platform, which an entry must have. `None` for all entries.
    pub platform: Option<Platform>,
    /// The annotation's key.
    pub key: UntrustedText,
    /// The annotation's value.
    pub value: UntrustedText,
}

/// The requested form of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// Docker manifest list.
    Docker,
    /// OCI image index.
    Oci,
    /// Docker manifest list if every image has a Docker manifest, otherwise OCI image index.
    Auto,
    /// The form of the target's existing index, or Docker manifest list if the target does not exist.
    Target,
    /// The form of the target's existing index, or [`Self::Auto`] if the target does not exist.
    TargetOrAuto,
}

/// Whether an index includes the attestations of its images.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Attestations {
    /// Include the attestations.
    #[default]
    Keep,
    /// Leave out the attestations.
    Drop,
}

/// The values for [`Form`] in a spec and on the command line.
pub(super) const FORMS: &[&str] = &["docker", "oci", "auto"];
/// The values for [`Attestations`].
pub(super) const ATTESTATIONS: &[&str] = &["keep", "drop"];

/// The error for text that is not a [`Form`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {}{}", FORMS.join(", "), meant.iter().map(|meant| format!("; did you mean \"{meant}\"?")).collect::<String>())]
pub struct FormError {
    meant: Option<&'static str>,
}

impl FormError {
    /// Returns the form that was probably meant.
    #[must_use]
    pub fn suggestion(&self) -> Option<&str> {
        self.meant
    }
}

impl From<FormError> for Mistake {
    fn from(error: FormError) -> Self {
        Mistake::from(format!("expected {}", FORMS.join(", "))).or_meant(error.suggestion())
    }
}

impl std::str::FromStr for Form {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        match text {
            "docker" => Ok(Self::Docker),
            "oci" => Ok(Self::Oci),
            "auto" => Ok(Self::Auto),
            _ => Err(FormError { meant: nearest_form(text) }),
        }
    }
}

/// Returns the form that was probably meant by a name in another program, or by a typo.
fn nearest_form(text: &str) -> Option<&'static str> {
    if text.len() > 40 {
        return None;
    }
    let name: String = text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    match name.as_str() {
        "v2" | "v2s2" | "list" | "manifestlist" => Some("docker"),
        "index" | "imageindex" | "v1" => Some("oci"),
        name if name.starts_with("docker") => Some("docker"),
        name if name.starts_with("oci") => Some("oci"),
        name => {
            let is_typo = |form: &&&str| strsim::osa_distance(name, form) <= form.len() / 3;
            FORMS.iter().find(is_typo).copied()
        }
    }
}

impl std::fmt::Display for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Docker => "docker",
            Self::Oci => "oci",
            Self::Auto => "auto",
            Self::Target | Self::TargetOrAuto => "target",
        })
    }
}

impl Form {
    /// Returns the requested form. Defaults to the target's form with `append`, and otherwise to Docker, as in 2.2.1.
    pub(super) fn or_default(requested: Option<Self>, append: bool) -> Self {
        requested.unwrap_or(if append { Self::Target } else { Self::Docker })
    }
}

impl Source {
    pub(super) fn new(location: Location, platform: Platform) -> Self {
        Self { location, platform, annotations: Annotations::new(), select: Vec::new() }
    }
}

impl Spec {
    /// Creates a spec of an index of these images. Set annotations, platforms and other properties in the fields.
    ///
    /// # Errors
    /// A reference is invalid. The error lists all problems.
    ///
    /// ```
    /// use manifest_tool::spec::{Form, Spec};
    /// let mut spec = Spec::new("r.io/app:v1", Form::Oci, &["r.io/app:v1-amd64", "r.io/app:v1-arm64"])?;
    /// spec.target.tags.push("latest".into());
    /// spec.annotations.insert("org.opencontainers.image.title".into(), "app".into());
    /// let error = Spec::new("r.io/app", Form::Oci, &["r.io/app:v1-amd64"]).unwrap_err();
    /// assert!(error.to_string().contains("has no tag"));
    /// # Ok::<(), manifest_tool::spec::SpecError>(())
    /// ```
    pub fn new(target: &str, form: Form, sources: &[&str]) -> Result<Self, SpecError> {
        let mut problems = Vec::new();
        let mut note = |mistake: Mistake| problems.push(mistake.at("", None));
        let location = target::location(target).map_err(&mut note).ok();
        let targets = targets(Vec::from_iter(location), ExtraTags::default()).unwrap_or_else(|problems| {
            problems.into_iter().for_each(|(_, problem)| note(problem.into()));
            Vec::new()
        });
        let target = targets.into_iter().next();
        if sources.is_empty() {
            note("no images given".into());
        }
        let images = sources.iter().filter_map(|text| source(text).map_err(&mut note).ok());
        let sources = images.map(|location| Source::new(location, Platform::default())).collect();
        match target {
            Some(target) if problems.is_empty() => Ok(Self::with_defaults(target, form, sources)),
            _ => Err(SpecError::new(problems)),
        }
    }

    /// Creates a spec with defaults for everything else.
    pub(super) fn with_defaults(target: Target, form: Form, sources: Vec<Source>) -> Self {
        Self {
            target,
            more_targets: Vec::new(),
            form,
            append: false,
            annotations: Annotations::new(),
            optional_annotations: Annotations::new(),
            annotations_from_labels: false,
            entry_annotations: Vec::new(),
            artifact_type: None,
            subject: None,
            attestations: Attestations::Keep,
            select: Vec::new(),
            sources,
            template: None,
            warnings: Vec::new(),
        }
    }

    /// Estimates the memory of the spec, in bytes.
    #[cfg(feature = "cli")]
    #[must_use]
    pub(crate) fn memory(&self) -> usize {
        let of_index = [&self.annotations, &self.optional_annotations];
        let annotations = self.sources.iter().map(|source| &source.annotations).chain(of_index);
        let pairs = annotations.flatten().map(|(key, value)| key.len() + value.len() + 2 * PER_VALUE);
        let tags = self.targets().flat_map(|target| &target.tags).map(|tag| tag.len() + PER_VALUE);
        let warnings = self.warnings.iter().map(|warning| warning.file.len() + warning.message.len() + PER_VALUE);
        let selected = self.sources.iter().map(|source| &source.select).chain([&self.select]);
        let selected: usize = selected.map(Vec::len).sum();
        let locations = 1 + self.more_targets.len() + self.sources.len();
        PER_SOURCE * locations + PER_PLATFORM * selected + pairs.chain(tags).chain(warnings).sum::<usize>()
    }

    /// Returns a hint for when the images of the template do not exist: its placeholders may be in lowercase.
    #[must_use]
    pub fn template_hint(&self) -> Option<String> {
        lower_case_placeholders(self.template.as_deref()?)
    }

    /// Returns all targets. Never empty.
    pub fn targets(&self) -> impl Iterator<Item = &Target> + Clone {
        std::iter::once(&self.target).chain(&self.more_targets)
    }

    /// Returns the tags that the index is pushed to: each target, followed by its extra tags.
    pub fn locations(&self) -> impl Iterator<Item = Location> {
        self.targets().flat_map(Target::locations)
    }

    /// Returns the problems that a push would report about the platforms of images. May be wrong for a source that is
    /// itself an index: the platforms in that index count, and only the registry knows which sources are indexes.
    #[must_use]
    pub fn platform_problems(&self) -> Vec<PlatformProblem> {
        let mut problems = Vec::new();
        let mut seen: HashSet<&Platform> = HashSet::new();
        for Source { location, platform, .. } in &self.sources {
            let Platform { os, architecture, variant, .. } = platform;
            if !is_possible(platform) {
                problems.push(PlatformProblem::new(location, unsupported(platform)));
            }
            // If the platform is incomplete, the config may add a variant or an OS version that makes it distinct.
            let is_complete = !os.is_empty() && os != "windows" && !architecture.starts_with("arm");
            if (is_complete || !variant.is_empty()) && !seen.insert(platform) {
                let same = format!("another entry has the same platform {platform}");
                problems.push(PlatformProblem::new(location, same));
            }
        }
        problems
    }
}

/// A problem of the platform of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlatformProblem {
    /// The source.
    pub location: Location,
    /// The problem, without a position. Its message starts with the source.
    pub problem: Problem,
}

impl PlatformProblem {
    fn new(location: &Location, mistake: impl Into<Mistake>) -> Self {
        let Mistake { message, suggestion, .. } = mistake.into();
        let message = format!("{location}: {message}").into();
        let mistake = Mistake { kind: ProblemKind::Platform, message, suggestion, hint: None };
        Self { location: location.clone(), problem: mistake.at("", None) }
    }
}

/// Returns whether the platform of a spec can be a known one after its empty fields are filled from a config.
pub(crate) fn is_possible(platform: &Platform) -> bool {
    let Platform { os, architecture, variant, .. } = platform;
    match (os.is_empty(), architecture.is_empty()) {
        (true, true) => variant.is_empty() || known_variants().contains(&variant.as_str()),
        (false, false) => is_known_platform(platform),
        _ => false,
    }
}

/// Parses a platform to select, which must be one that Go knows.
pub(super) fn selected(text: &str) -> Result<Platform, Mistake> {
    let platform: Platform = text.parse().map_err(|error: crate::image::PlatformError| error.to_string())?;
    if is_possible(&platform) { Ok(platform) } else { Err(unsupported(&platform).into()) }
}

/// Parses a source. In a registry, it must have a tag or a digest.
pub(super) fn source(text: &str) -> Result<Location, Mistake> {
    let location: Location = text.parse::<Location>()?;
    match location.reference() {
        Some(reference) if reference.manifest_name().is_none() => {
            Err(format!("source \"{text}\" has no tag or digest; manifest-tool does not default to \"latest\"").into())
        }
        _ => Ok(location),
    }
}

/// Parses the subject: a manifest by tag or digest, in the target's repository.
pub(super) fn subject(text: &str, target: &Location) -> Result<Location, Mistake> {
    if let Ok(digest) = Digest::parse(text) {
        return Ok(target.with_digest(digest));
    }
    let location: Location = text.parse::<Location>()?;
    if location.tag().is_none() && location.digest().is_none() {
        return Err(format!("subject \"{text}\" has no tag or digest").into());
    }
    if !location.same_repository(target) {
        return Err(format!(
            "subject \"{text}\" is not in the target's repository; registries list referrers per repository"
        )
        .into());
    }
    Ok(location)
}

/// Fails if the target is an archive, because archives are always rewritten.
pub(super) fn check_append(target: &Location) -> Result<(), String> {
    match target.is_written_whole() {
        true => Err(format!("{target}: cannot append to an archive, which is always rewritten; use a folder (oci:)")),
        false => Ok(()),
    }
}

/// Creates the problem of a key that a Docker manifest list cannot have.
pub(super) fn docker_has_no(key: &str) -> Mistake {
    Mistake::with_hint(format!("a Docker manifest list has no {key}"), Hint::UseOciForm(key.to_owned()))
}
