//! Specs from a list of images and from what builders wrote about them.

use std::collections::{HashMap, HashSet};

use super::arguments::Arguments;
use super::digests::{self, DigestFile};
use super::metadata::{BuiltImage, Metadata, MetadataFile};
use super::model::{EntryAnnotation, Form, Source, Spec, selected, source};
use super::problem::{Hint, Mistake, Problem, SpecError};
use super::target::Target;
use crate::image::{Annotations, Digest, Location, Platform, without_user};

/// Arguments for a spec, as `push from-images` takes them.
#[derive(Debug, Clone, Default)]
pub struct ImagesRequest<'a> {
    /// References of the index.
    pub targets: &'a [String],
    /// Extra tags: bare tags for every target, and references.
    pub tags: &'a [String],
    /// Images to include.
    pub images: &'a [ImageArgument],
    /// Files that builders wrote, whose images follow those of [`Self::images`].
    pub metadata: &'a [MetadataFile<'a>],
    /// Files of digests, whose images come last.
    pub digests: &'a [DigestFile],
    /// Problems of files that could not be read, to report with the others.
    pub unreadable: &'a [Problem],
    /// Platforms to select from images that are indexes, each as `OS/ARCH[/VARIANT]`. Empty for all.
    pub platforms: &'a [String],
    /// Annotations of the index, each as `KEY=VALUE`.
    pub annotations: &'a [String],
    /// Annotations with a level; see [`TemplateRequest::leveled_annotations`](super::TemplateRequest).
    pub leveled_annotations: &'a [String],
    /// Add the labels that all images share as annotations of the index. Defaults to false.
    pub annotations_from_labels: bool,
    /// Form of the index. Defaults to [`Form::Auto`], or to [`Form::TargetOrAuto`] with `append`.
    pub form: Option<Form>,
    /// Start from the existing index of the target. Defaults to false.
    pub append: bool,
    /// Treat warnings as errors. Defaults to false.
    pub strict: bool,
}

/// An image: a reference, or a digest in the repository of the first target.
#[derive(Debug, Clone, Default)]
pub struct ImageArgument {
    /// The image as the user wrote it.
    pub text: String,
    /// Name of the file that lists it and its line, from 1. `None` for an argument.
    pub at: Option<(String, u64)>,
}

/// Creates a spec from a list of images.
///
/// # Errors
/// An argument or a file is invalid. The error lists all problems and, with [`ImagesRequest::strict`], the warnings.
///
/// ```
/// use manifest_tool::spec::{ImageArgument, ImagesRequest, from_images};
/// let images = ["r.io/app:v1-amd64", "r.io/app:v1-arm64"].map(|text| ImageArgument { text: text.into(), at: None });
/// let targets = ["r.io/app:v1".to_owned()];
/// let spec = from_images(&ImagesRequest { targets: &targets, images: &images, ..ImagesRequest::default() })?;
/// assert_eq!(spec.sources.len(), 2);
/// # Ok::<(), manifest_tool::spec::SpecError>(())
/// ```
pub fn from_images(request: &ImagesRequest<'_>) -> Result<Spec, SpecError> {
    let mut arguments = Arguments::default();
    request.unreadable.iter().for_each(|problem| arguments.problem(problem.clone()));
    let metadata = read_metadata(&mut arguments, request);
    let references: Vec<&str> = request.targets.iter().map(String::as_str).collect();
    let tags = [request.tags, &metadata.tags].concat();
    let targets = arguments.targets(&references, &tags);
    if references.is_empty() && tags.iter().all(|tag| !tag.contains(['/', ':'])) {
        arguments.note(Mistake::with_hint("no target given", Hint::NameTarget));
    }
    let sources = sources(&mut arguments, request, &metadata, &targets);
    let mut select: Vec<Platform> = Vec::new();
    for text in request.platforms {
        let platform = arguments.checked(selected(text));
        select.extend(platform.filter(|platform| !select.contains(platform)));
    }
    let (annotations, mut entry_annotations) = arguments.annotations(request.annotations, request.leveled_annotations);
    let (optional_annotations, of_metadata) = annotations_of_metadata(&mut arguments, request, metadata);
    entry_annotations.extend(of_metadata);
    let default = if request.append { Form::TargetOrAuto } else { Form::Auto };
    let form = request.form.unwrap_or(default);
    arguments.check_annotations(form, &annotations, request.annotations_from_labels);
    if request.append {
        arguments.check_append(&targets);
    }
    // A new command has no need to push by digest first, as 2.2.1 does.
    let mut targets = targets.into_iter().map(|target| Target { by_digest: false, ..target });
    let spec = targets.next().map(|target| Spec {
        more_targets: targets.collect(),
        append: request.append,
        annotations,
        optional_annotations,
        annotations_from_labels: request.annotations_from_labels,
        entry_annotations,
        select,
        ..Spec::with_defaults(target, form, sources)
    });
    arguments.finish(spec, request.strict)
}

/// Reads all metadata files.
fn read_metadata(arguments: &mut Arguments, request: &ImagesRequest<'_>) -> Metadata {
    let mut all = Metadata::default();
    for file in request.metadata {
        match file.read() {
            Ok(Metadata { images, tags, labels, annotations, without_image }) => {
                all.images.extend(images);
                all.tags.extend(tags);
                all.labels.extend(labels);
                all.annotations.extend(annotations);
                let warning = |target: String| format!("{}: target {target} built no image and is left out", file.name);
                arguments.warn(without_image.into_iter().map(warning));
            }
            Err(problem) => arguments.problem(*problem),
        }
    }
    // The tags of `docker/metadata-action` may be given as arguments as well.
    let mut seen: HashSet<String> = request.tags.iter().map(|tag| tag.trim().to_owned()).collect();
    all.tags.retain(|tag| seen.insert(tag.clone()));
    all
}

/// Returns the annotations of metadata files: those of the index, which a Docker manifest list leaves out, and those of
/// entries.
fn annotations_of_metadata(
    arguments: &mut Arguments,
    request: &ImagesRequest<'_>,
    metadata: Metadata,
) -> (Annotations, Vec<EntryAnnotation>) {
    let mut annotations = if request.annotations_from_labels { metadata.labels } else { Annotations::new() };
    annotations.retain(|key, _| is_annotation(key));
    // The build has written the annotations of other levels, which the action prints beside these.
    let (leveled, of_entries, ignored) = arguments.parse_leveled(&metadata.annotations);
    if ignored > 0 && leveled.is_empty() && of_entries.is_empty() {
        arguments.warn(["the annotations of the metadata are for images and not for the index; for the index, \
                         docker/metadata-action needs DOCKER_METADATA_ANNOTATIONS_LEVELS=index"
            .to_owned()]);
    }
    annotations.extend(leveled);
    (annotations, of_entries)
}

/// Whether a label may become an annotation of the index. The name of a layout's entry and the base image describe one
/// image.
pub(crate) fn is_annotation(label: &str) -> bool {
    let is_of_one_image =
        label == "org.opencontainers.image.ref.name" || label.starts_with("org.opencontainers.image.base.");
    !label.is_empty() && !is_of_one_image
}

/// Returns the sources: the arguments, then the images of metadata files, then those of digest files. Each is kept once.
fn sources(
    arguments: &mut Arguments,
    request: &ImagesRequest<'_>,
    metadata: &Metadata,
    targets: &[Target],
) -> Vec<Source> {
    let mut sources = Vec::new();
    for image in request.images {
        match image_source(&image.text, targets) {
            Ok(found) => sources.extend(found),
            Err(mistake) => arguments.problem(problem_of(image, mistake)),
        }
    }
    sources.extend(metadata.images.iter().filter_map(|image| built_source(image, targets)));
    match digests::images(request.digests) {
        Ok(images) => {
            for image in images {
                sources.extend(arguments.checked(image_source(&image, targets)).flatten());
            }
        }
        Err(problems) => problems.into_iter().for_each(|problem| arguments.problem(problem)),
    }
    let is_empty = request.images.len() + metadata.images.len() + request.digests.len() == 0;
    // Images may be missing because a file has been reported.
    if is_empty && request.unreadable.is_empty() && !arguments.has_problems_of_files() {
        arguments.note(Mistake::with_hint("no images given", Hint::NameImages));
    }
    let mut seen: HashMap<Location, usize> = HashMap::new();
    sources.retain(|source: &Source| {
        let count = seen.entry(source.location.clone()).or_default();
        *count += 1;
        if *count == 2 {
            arguments.warn([format!("{} is given twice", source.location)]);
        }
        *count == 1
    });
    sources
}

fn problem_of(image: &ImageArgument, mistake: Mistake) -> Problem {
    match &image.at {
        Some((file, line)) => mistake.at(file.as_str(), Some((*line, 1))),
        None => mistake.at("", None),
    }
}

/// Parses an image. A bare digest is in the repository of the first target; `None` if that target is invalid.
fn image_source(text: &str, targets: &[Target]) -> Result<Option<Source>, Mistake> {
    let text = text.trim();
    if text.is_empty() {
        // An image that is left out because a variable is not set would make a wrong index.
        return Err("an image is empty, as from a variable that is not set".into());
    }
    let location = match Digest::parse(text) {
        Ok(digest) => targets.first().map(|target| target.location.with_digest(digest)),
        Err(error) if text.starts_with("sha256:") || text.starts_with("sha512:") => {
            return Err(Mistake::from(error).with_prefix(&format!("image \"{}\": ", without_user(text))));
        }
        Err(_) => Some(source(text)?),
    };
    Ok(location.map(|location| Source::new(location, Platform::default())))
}

/// Returns the source of an image that a builder pushed: from a target's repository if it was pushed there, which avoids
/// a copy, else from a target's registry, else from the first repository. An image without a repository is in
/// that of the first target.
fn built_source(image: &BuiltImage, targets: &[Target]) -> Option<Source> {
    let registry = |location: &Location| location.reference().map(|reference| reference.registry().to_owned());
    let in_repository = |at: &&Location| targets.iter().any(|target| target.location.same_repository(at));
    let in_registry = |at: &&Location| targets.iter().any(|target| registry(&target.location) == registry(at));
    let repositories = &image.repositories;
    let nearest = repositories.iter().find(in_repository).or_else(|| repositories.iter().find(in_registry));
    let repository = nearest.or(repositories.first()).or(targets.first().map(|target| &target.location))?;
    let location = repository.with_digest(image.digest.clone());
    Some(Source { annotations: image.annotations.clone(), ..Source::new(location, image.platform.clone()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(ToString::to_string).collect()
    }

    fn images(texts: &[&str]) -> Vec<ImageArgument> {
        texts.iter().map(|text| ImageArgument { text: (*text).to_owned(), at: None }).collect()
    }

    fn locations(spec: &Spec) -> Vec<String> {
        spec.sources.iter().map(|source| source.location.to_string()).collect()
    }

    #[test]
    fn a_bare_digest_is_in_the_repository_of_the_first_target() {
        let digest = format!("sha256:{HEX}");
        let images = images(&["r.io/a:1", &digest, "oci:dir:x"]);
        for (target, expected) in
            [("r.io/app:v1", format!("r.io/app@{digest}")), ("oci:out:v1", format!("oci:out@{digest}"))]
        {
            let targets = strings(&[target, "s.io/app:v1"]);
            let request = ImagesRequest { targets: &targets, images: &images, ..ImagesRequest::default() };
            let spec = from_images(&request).unwrap();
            assert_eq!(locations(&spec), ["r.io/a:1", &expected, "oci:dir:x"]);
            assert_eq!((spec.form, spec.targets().count()), (Form::Auto, 2));
        }
    }

    #[test]
    fn an_image_given_twice_is_kept_once_with_a_warning() {
        let (targets, images) = (strings(&["r.io/app:v1"]), images(&["r.io/a:1", "r.io/b:1", "r.io/a:1"]));
        let request = ImagesRequest { targets: &targets, images: &images, ..ImagesRequest::default() };
        let spec = from_images(&request).unwrap();
        assert_eq!(locations(&spec), ["r.io/a:1", "r.io/b:1"]);
        assert_eq!(spec.warnings[0].to_string(), "r.io/a:1 is given twice");
        let error = from_images(&ImagesRequest { strict: true, ..request }).unwrap_err();
        assert_eq!(error.to_string(), "r.io/a:1 is given twice");
    }

    #[test]
    fn a_built_image_is_taken_from_where_it_need_not_be_copied() {
        let digest = format!("sha256:{HEX}");
        for (name, expected) in [
            ("s.io/x,r.io/app:1", "r.io/app"),
            ("s.io/x,r.io/y", "r.io/y"),
            ("s.io/x,t.io/y", "s.io/x"),
            ("", "r.io/app"),
        ] {
            let text = format!(r#"{{"containerimage.digest":"{digest}","image.name":"{name}"}}"#);
            let metadata = [MetadataFile { name: "m.json", pattern: None, text: text.as_bytes() }];
            let targets = strings(&["r.io/app:v1"]);
            let request = ImagesRequest { targets: &targets, metadata: &metadata, ..ImagesRequest::default() };
            assert_eq!(locations(&from_images(&request).unwrap()), [format!("{expected}@{digest}")], "{name}");
        }
    }

    #[test]
    fn metadata_action_gives_targets_and_annotations() {
        let text = r#"{"tags":["r.io/app:v1","r.io/app:latest"],"labels":{"a":"label","b":"label",
            "org.opencontainers.image.ref.name":"x","org.opencontainers.image.base.name":"y"},
            "annotations":["manifest:a=x","index:a=annotation","manifest-descriptor:c=d"]}"#;
        let metadata = [MetadataFile { name: "m.json", pattern: None, text: text.as_bytes() }];
        let images = images(&["r.io/a:1"]);
        for (labels, expected) in [(false, &["a=annotation"][..]), (true, &["a=annotation", "b=label"])] {
            let request = ImagesRequest { metadata: &metadata, images: &images, ..ImagesRequest::default() };
            let spec = from_images(&ImagesRequest { annotations_from_labels: labels, ..request }).unwrap();
            let tags: Vec<String> = spec.locations().map(|location| location.to_string()).collect();
            assert_eq!(tags, ["r.io/app:v1", "r.io/app:latest"]);
            let annotations: Vec<String> =
                spec.optional_annotations.iter().map(|(key, value)| format!("{key}={value}")).collect();
            assert_eq!(annotations, expected);
            assert_eq!((spec.entry_annotations.len(), spec.warnings.len()), (1, 0), "{:?}", spec.warnings);
        }
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        let line = |text: &str, line| ImageArgument { text: text.to_owned(), at: Some(("<stdin>".into(), line)) };
        let images = [line("r.io/a", 3), line("sha256:abc", 4), ImageArgument { text: "R".into(), at: None }];
        let metadata = [MetadataFile { name: "m.json", pattern: None, text: b"{}" }];
        let digests = [DigestFile { path: "d/x".into(), name: "x".into(), text: String::new() }];
        let (targets, platforms) = (strings(&["r.io/A:1"]), strings(&["linux", "linux/nope"]));
        let request = ImagesRequest {
            targets: &targets,
            tags: &strings(&["-"]),
            images: &images,
            metadata: &metadata,
            digests: &digests,
            platforms: &platforms,
            annotations: &strings(&["x"]),
            leveled_annotations: &strings(&["y"]),
            ..ImagesRequest::default()
        };
        let lines: Vec<String> = from_images(&request).unwrap_err().lines().collect();
        let starts = [
            "m.json: unknown content",
            "invalid reference \"r.io/A:1\"",
            "invalid tag \"-\"",
            "<stdin>:3:1: source \"r.io/a\" has no tag",
            "<stdin>:4:1: image \"sha256:abc\"",
            "invalid reference \"R\"",
            "d/x: it is neither",
            "invalid platform \"linux\"",
            "linux/nope",
            "invalid annotation \"x\"",
            "invalid annotation \"y\"",
        ];
        assert_eq!(lines.len(), starts.len(), "{lines:#?}");
        for (line, start) in lines.iter().zip(starts) {
            assert!(line.contains(start), "{line}: {start}");
        }
        let nothing = from_images(&ImagesRequest::default()).unwrap_err().to_string();
        assert_eq!(nothing, "no target given\nno images given");
    }
}
