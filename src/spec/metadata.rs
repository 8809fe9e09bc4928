//! Reads what builders write about the images that they pushed: metadata of `docker buildx build` and `docker buildx
//! bake`, the JSON of `docker/metadata-action`, and descriptors.

use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;
use serde_json::value::RawValue;
use wildmatch::WildMatch;

use super::problem::Problem;
use crate::image::{Annotations, Digest, Location, LocationError, Platform, UntrustedText, media_type};

/// A file that a builder wrote.
#[derive(Debug, Clone, Copy)]
pub struct MetadataFile<'a> {
    /// Name of the file, for messages.
    pub name: &'a str,
    /// Pattern with the wildcards `*` and `?` that selects targets of a bake file. `None` for all.
    pub pattern: Option<&'a str>,
    /// Content of the file: JSON, or several JSON values after one another.
    pub text: &'a [u8],
}

/// The content of a metadata file.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Metadata {
    pub(super) images: Vec<BuiltImage>,
    /// References and tags, from `docker/metadata-action`.
    pub(super) tags: Vec<String>,
    /// Labels, from `docker/metadata-action`.
    pub(super) labels: Annotations,
    /// Annotations with their levels, from `docker/metadata-action`.
    pub(super) annotations: Vec<String>,
    /// Bake targets that built no image.
    pub(super) without_image: Vec<String>,
}

/// An image that a builder pushed.
#[derive(Debug, PartialEq)]
pub(super) struct BuiltImage {
    pub(super) digest: Digest,
    /// Repositories that the image was pushed to. Empty if the file names none.
    pub(super) repositories: Vec<Location>,
    /// Platform, from a descriptor.
    pub(super) platform: Platform,
    /// Annotations, from a descriptor.
    pub(super) annotations: Annotations,
}

const EXPECTED: &str = "expected the file of docker buildx build or bake --metadata-file (\"containerimage.digest\"), the \
                        JSON of docker/metadata-action (\"tags\", \"labels\", \"annotations\"), or a descriptor \
                        (\"mediaType\", \"digest\", \"size\")";

const DIGEST: &str = "containerimage.digest";
const NAME: &str = "image.name";
/// Maximum number of names of an image.
const MAX_NAMES: usize = 1_000;

impl MetadataFile<'_> {
    /// Reads the file.
    pub(super) fn read(&self) -> Result<Metadata, Box<Problem>> {
        let problem = |message: String| Box::new(Problem { file: self.name.into(), ..Problem::of_arguments(message) });
        let mut metadata = Metadata::default();
        let (mut is_empty, mut has_values) = (true, false);
        for value in serde_json::Deserializer::from_slice(self.text).into_iter::<&RawValue>() {
            let value = value.map_err(|error| problem(format!("not valid JSON: {error}; {EXPECTED}")))?;
            is_empty = false;
            let values: Vec<&RawValue> = serde_json::from_str(value.get()).unwrap_or_else(|_| vec![value]);
            for value in values {
                has_values = true;
                self.add(&mut metadata, value).map_err(problem)?;
            }
        }
        match (is_empty, has_values) {
            (true, _) => Err(problem(format!("it is empty; {EXPECTED}"))),
            (false, false) => Err(problem(format!("it is an empty list; {EXPECTED}"))),
            (false, true) => Ok(metadata),
        }
    }

    /// Adds the content of a JSON value.
    fn add(&self, metadata: &mut Metadata, value: &RawValue) -> Result<(), String> {
        let keys: Keys<'_> = serde_json::from_str(value.get()).map_err(|_| format!("unknown content; {EXPECTED}"))?;
        let starts_with = |key: &str, start: char| keys.get(key).is_some_and(|value| value.get().starts_with(start));
        let targets = targets(&keys);
        if self.pattern.is_some() {
            return self.add_targets(metadata, &targets);
        }
        if is_build(&keys) || (targets.is_empty() && keys.keys().any(is_of_buildx)) {
            metadata.images.push(built_image(&keys)?);
        } else if starts_with("digest", '"') && keys.contains_key("mediaType") {
            metadata.images.push(described_image(value)?);
        } else if starts_with("tags", '[') || starts_with("annotations", '[') {
            add_action(metadata, value)?;
        } else {
            self.add_targets(metadata, &targets)?;
        }
        Ok(())
    }

    /// Adds the images of bake targets.
    fn add_targets(&self, metadata: &mut Metadata, targets: &[(&String, Keys<'_>)]) -> Result<(), String> {
        let pattern = self.pattern;
        let names = || targets.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        let is_bake = targets.iter().any(|(_, keys)| is_build(keys));
        if pattern == Some("") {
            return Err("the pattern after # is empty; expected FILE#PATTERN, such as bake.json#web-*".into());
        }
        if !is_bake && pattern.is_some() && targets.is_empty() {
            return Err("it has no bake targets to select from".into());
        }
        if !is_bake {
            return Err(match targets.iter().any(|(_, keys)| keys.keys().any(is_of_buildx)) {
                true => format!("no target has a \"{DIGEST}\": push the images (targets: {})", names()),
                false => format!("unknown content; {EXPECTED}"),
            });
        }
        let is_selected = |name: &str| pattern.is_none_or(|pattern| WildMatch::new(pattern).matches(name));
        let selected: Vec<_> = targets.iter().filter(|(name, _)| is_selected(name)).collect();
        if let (Some(pattern), true) = (pattern, selected.is_empty()) {
            return Err(format!("no target matches {pattern}; its targets: {}", names()));
        }
        let mut images = Vec::new();
        for (name, keys) in selected {
            if is_build(keys) {
                images.push((*name, built_image(keys).map_err(|reason| format!("target {name}: {reason}"))?));
            } else if pattern.is_some() {
                return Err(format!("target {name} has no \"{DIGEST}\": it built no image"));
            } else {
                metadata.without_image.push((*name).clone());
            }
        }
        if pattern.is_none() {
            check_repositories(&images)?;
        }
        metadata.images.extend(images.into_iter().map(|(_, image)| image));
        Ok(())
    }
}

/// The values of an object, unparsed: a file may hold much that is not needed, such as the provenance of a build.
type Keys<'a> = BTreeMap<String, &'a RawValue>;

/// Returns the objects of a bake file by target.
fn targets<'k, 'a>(keys: &'k Keys<'a>) -> Vec<(&'k String, Keys<'a>)> {
    let targets = keys.iter().filter(|(name, _)| !is_of_buildx(name));
    targets.filter_map(|(name, value)| Some((name, serde_json::from_str(value.get()).ok()?))).collect()
}

/// Whether a key is one that buildx writes about a build, and not the name of a target.
#[allow(clippy::ptr_arg, reason = "used as a predicate for keys")]
fn is_of_buildx(key: &String) -> bool {
    key.starts_with("buildx.build.") || key.starts_with("containerimage.")
}

/// Whether an object describes a pushed image, or should.
fn is_build(keys: &Keys<'_>) -> bool {
    [DIGEST, NAME, "containerimage.descriptor"].iter().any(|key| keys.contains_key(*key))
}

/// Checks that the targets of a bake file have a repository in common. If not, they are different images.
fn check_repositories(images: &[(&String, BuiltImage)]) -> Result<(), String> {
    let named = || images.iter().filter(|(_, image)| !image.repositories.is_empty());
    let mut sets = named().map(|(_, image)| image.repositories.iter().collect::<HashSet<_>>());
    let Some(first) = sets.next() else { return Ok(()) };
    let common = sets.fold(first, |common, set| common.intersection(&set).copied().collect());
    if !common.is_empty() {
        return Ok(());
    }
    let listed = named().map(|(name, image)| {
        let repositories: Vec<String> = image.repositories.iter().map(ToString::to_string).collect();
        format!("{name} ({})", repositories.join(", "))
    });
    Err(format!(
        "its targets were pushed to different repositories; select those of one image with FILE#PATTERN: {}",
        listed.collect::<Vec<_>>().join(", ")
    ))
}

/// Reads the metadata of a build.
fn built_image(keys: &Keys<'_>) -> Result<BuiltImage, String> {
    let text = |key: &str| match keys.get(key).map(|value| serde_json::from_str::<Option<String>>(value.get())) {
        Some(Ok(text)) => Ok(text),
        Some(Err(_)) => Err(format!("\"{key}\" is not a text")),
        None => Ok(None),
    };
    let digest = text(DIGEST)?.ok_or_else(|| format!("it has no \"{DIGEST}\": push the image"))?;
    let digest = Digest::parse(&digest).map_err(|error| format!("\"{DIGEST}\" is invalid: {error}"))?;
    let names = text(NAME)?.unwrap_or_default();
    if names.split(',').count() > MAX_NAMES {
        return Err(format!("\"{NAME}\" has more than {MAX_NAMES} names"));
    }
    let mut repositories: Vec<Location> = Vec::new();
    for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let location: Location =
            name.parse().map_err(|error: LocationError| format!("\"{NAME}\" is invalid: {error}"))?;
        let repository = location.without_name();
        if !repositories.contains(&repository) {
            repositories.push(repository);
        }
    }
    Ok(BuiltImage { digest, repositories, platform: Platform::default(), annotations: Annotations::new() })
}

/// Reads a descriptor (OCI image-spec, "Content Descriptors").
fn described_image(value: &RawValue) -> Result<BuiltImage, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct DescriptorKeys {
        media_type: String,
        digest: String,
        platform: Option<Platform>,
        annotations: Option<Annotations>,
    }
    let keys: DescriptorKeys =
        serde_json::from_str(value.get()).map_err(|error| format!("not a valid descriptor: {error}"))?;
    let DescriptorKeys { media_type, digest, platform, annotations } = keys;
    let is_index = media_type::is_index(&media_type);
    if !is_index && !media_type::is_image(&media_type) {
        let media_type = UntrustedText::from(media_type);
        return Err(format!("its descriptor is of type {media_type}, which is neither an image nor an index"));
    }
    let digest = Digest::parse(&digest).map_err(|error| format!("its digest is invalid: {error}"))?;
    // The entries of an index have their own platforms.
    let platform = platform.filter(|_| !is_index).unwrap_or_default();
    Ok(BuiltImage { digest, repositories: Vec::new(), platform, annotations: annotations.unwrap_or_default() })
}

/// Adds the output of `docker/metadata-action`.
fn add_action(metadata: &mut Metadata, value: &RawValue) -> Result<(), String> {
    #[derive(Deserialize)]
    struct ActionKeys {
        #[serde(default)]
        tags: Vec<String>,
        #[serde(default)]
        labels: Annotations,
        #[serde(default)]
        annotations: Vec<String>,
    }
    let keys: ActionKeys = serde_json::from_str(value.get())
        .map_err(|error| format!("not valid JSON of docker/metadata-action: {error}; {EXPECTED}"))?;
    metadata.tags.extend(keys.tags);
    metadata.labels.extend(keys.labels);
    metadata.annotations.extend(keys.annotations);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn read(pattern: Option<&str>, text: &str) -> Result<Metadata, String> {
        let file = MetadataFile { name: "meta.json", pattern, text: text.as_bytes() };
        file.read().map_err(|problem| problem.to_string())
    }

    fn build(name: &str) -> Value {
        json!({
            "buildx.build.ref": "builder/builder0/abc",
            "containerimage.config.digest": format!("sha256:{HEX}"),
            "containerimage.descriptor": {"mediaType": "application/vnd.oci.image.index.v1+json"},
            "containerimage.digest": format!("sha256:{HEX}"),
            "image.name": name,
        })
    }

    /// Returns the repositories of each image.
    fn repositories(metadata: &Metadata) -> Vec<String> {
        let shown = |image: &BuiltImage| {
            assert_eq!(image.digest.as_str(), format!("sha256:{HEX}"));
            image.repositories.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        metadata.images.iter().map(shown).collect()
    }

    #[test]
    fn the_file_of_a_build_names_the_digest_and_the_repositories() {
        for (name, expected) in [
            ("r.io/app", "r.io/app"),
            ("r.io/app:v1,r.io/app:latest,s.io/app:v1", "r.io/app s.io/app"),
            ("user/app:v1", "docker.io/user/app"),
            ("", ""),
        ] {
            assert_eq!(repositories(&read(None, &build(name).to_string()).unwrap()), [expected], "{name}");
        }
        let two = format!("{}\n{}", build("r.io/a"), build("r.io/b"));
        assert_eq!(repositories(&read(None, &two).unwrap()), ["r.io/a", "r.io/b"]);
        let list = json!([build("r.io/a"), build("r.io/b")]).to_string();
        assert_eq!(repositories(&read(None, &list).unwrap()), ["r.io/a", "r.io/b"]);
    }

    #[test]
    fn targets_of_a_bake_file_are_selected_by_pattern() {
        let bake = json!({
            "buildx.build.warnings": [{"vertex": "x"}],
            "web-amd64": build("r.io/web"),
            "web-arm64": build("r.io/web"),
            "db": build("r.io/db"),
            "lint": {"buildx.build.ref": "x"},
        })
        .to_string();
        for (pattern, expected) in [("web-*", &["r.io/web", "r.io/web"][..]), ("d?", &["r.io/db"])] {
            assert_eq!(repositories(&read(Some(pattern), &bake).unwrap()), expected, "{pattern}");
        }
        for (pattern, part) in [
            (Some("api"), "no target matches api; its targets: db, lint, web-amd64, web-arm64"),
            (Some("lint"), "target lint has no \"containerimage.digest\""),
            (None, "FILE#PATTERN: db (r.io/db), web-amd64 (r.io/web), web-arm64 (r.io/web)"),
        ] {
            let error = read(pattern, &bake).unwrap_err();
            assert!(error.starts_with("meta.json: ") && error.contains(part), "{error}");
        }
        let one = json!({"a": build("r.io/web,s.io/web"), "b": build("s.io/web:v1"), "lint": {}}).to_string();
        let metadata = read(None, &one).unwrap();
        assert_eq!(repositories(&metadata), ["r.io/web s.io/web", "s.io/web"]);
        assert_eq!(metadata.without_image, ["lint"]);
        for text in [json!({"a": 1}), build("r.io/web")] {
            let no_targets = read(Some("*"), &text.to_string()).unwrap_err();
            assert!(no_targets.contains("no bake targets"), "{no_targets}");
        }
        assert!(read(Some(""), &bake).unwrap_err().contains("the pattern after # is empty"));
    }

    #[test]
    fn the_json_of_metadata_action_has_tags_labels_and_annotations() {
        let text = json!({
            "tags": ["r.io/app:v1", "r.io/app:latest"],
            "labels": {"org.opencontainers.image.title": "app"},
            "annotations": ["manifest:a=b", "index:a=b"],
        });
        let metadata = read(None, &text.to_string()).unwrap();
        assert_eq!(metadata.tags, ["r.io/app:v1", "r.io/app:latest"]);
        assert_eq!(metadata.labels["org.opencontainers.image.title"].as_str(), "app");
        assert_eq!(metadata.annotations, ["manifest:a=b", "index:a=b"]);
        assert!(metadata.images.is_empty());
    }

    #[test]
    fn a_descriptor_has_its_platform_unless_it_is_of_an_index() {
        for (media_type, expected) in [(media_type::OCI_MANIFEST, "linux/arm64"), (media_type::OCI_INDEX, "/")] {
            let descriptor = json!({
                "mediaType": media_type, "digest": format!("sha256:{HEX}"), "size": 7,
                "platform": {"os": "linux", "architecture": "arm64"}, "annotations": {"a": "b"},
            });
            let metadata = read(None, &descriptor.to_string()).unwrap();
            let [image] = &metadata.images[..] else { panic!("{metadata:?}") };
            assert_eq!((image.platform.to_string().as_str(), image.annotations.len()), (expected, 1));
        }
    }

    #[test]
    fn other_content_is_refused_with_what_was_expected() {
        for (text, part) in [
            ("", "it is empty; expected the file of docker buildx"),
            ("  \n", "it is empty"),
            ("sha256:abc", "not valid JSON"),
            ("{\"a\":", "not valid JSON"),
            ("[]", "it is an empty list; expected"),
            ("7", "unknown content; expected the file of docker buildx"),
            ("[7]", "unknown content"),
            ("{}", "unknown content"),
            ("{\"name\": \"x\"}", "unknown content"),
            ("{\"a\": {\"b\": 1}}", "unknown content"),
            ("{\"image.name\": \"r.io/a\"}", "it has no \"containerimage.digest\""),
            ("{\"containerimage.digest\": 7}", "\"containerimage.digest\" is not a text"),
            ("{\"containerimage.digest\": \"sha256:abc\"}", "\"containerimage.digest\" is invalid"),
            ("{\"buildx.build.ref\": \"x\"}", "it has no \"containerimage.digest\": push the image"),
            ("{\"buildx.build.provenance\": {}}", "it has no \"containerimage.digest\": push the image"),
            ("{\"a\": {\"buildx.build.ref\": \"x\"}}", "no target has a \"containerimage.digest\""),
            ("{\"mediaType\": \"text/plain\", \"digest\": \"sha256:a\"}", "neither an image nor an index"),
            ("{\"tags\": [7]}", "not valid JSON of docker/metadata-action"),
        ] {
            let error = read(None, text).unwrap_err();
            assert!(error.starts_with("meta.json: ") && error.contains(part), "{text}: {error}");
        }
        let name = json!({"containerimage.digest": format!("sha256:{HEX}"), "image.name": "r.io/App"}).to_string();
        assert!(read(None, &name).unwrap_err().contains("\"image.name\" is invalid"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[\\[\\]{}\":,a-z0-9. ]{0,60}") {
            let _ = read(None, &text);
            let _ = read(Some("*"), &text);
        }
    }
}
