//! Describes the keys of a spec as types, and derives the JSON Schema for editors from them.

// These types are never constructed. They only describe the schema.
#![allow(dead_code, reason = "read only by schemars")]

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use crate::image::{known_architectures, known_systems, known_variants};

/// Spec of an index for manifest-tool; each YAML document describes one index
#[derive(JsonSchema)]
#[schemars(rename = "Spec", rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = user_keys, transform = sources, transform = tagged, transform = targeted)]
struct SpecKeys {
    /// Reference of the index: HOST/REPOSITORY:TAG, oci:FOLDER:NAME or oci-archive:FILE:NAME; `tags` can supply the tag
    image: Target,
    /// Further references of the index, usually in other repositories; `tags` are written beside each
    targets: Option<Vec<Target>>,
    /// Extra tags of the index, or references of further tags
    tags: Option<Tags>,
    /// Form of the index; --type overrides it. Defaults to docker, or with `append` to the form of the target
    r#type: Option<Form>,
    /// Start from the target's existing index: replace entries for the same platform and keep the others
    append: Option<Flag>,
    /// Annotations of the index (OCI only)
    annotations: Option<BTreeMap<String, Scalar>>,
    /// Add the labels that all images share as annotations of the index (OCI only)
    annotations_from: Option<AnnotationsFrom>,
    /// Artifact type of the index: a media type (OCI only)
    artifact_type: Option<MediaType>,
    /// Manifest in the target's repository that the index refers to: a reference or a digest (OCI only)
    subject: Option<Text>,
    /// Whether to include the attestations of the images in the index
    attestations: Option<Attestations>,
    /// Platforms for which to fill the template
    platforms: Option<PlatformNames>,
    /// Reference of the images of `platforms`; OS, ARCH and VARIANT are replaced by the parts of the platform
    template: Option<Text>,
    /// Images to include in the index, after those of `platforms`
    manifests: Option<Vec<Entry>>,
}

/// An image, or an index whose images are included
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields, transform = user_keys)]
struct Entry {
    /// Reference of the image, with a tag or a digest
    image: Source,
    /// Platform of the image; missing fields come from the image's config
    platform: Option<PlatformKeys>,
    /// Annotations of the entry
    annotations: Option<BTreeMap<String, Scalar>>,
    /// Platforms to select, if the image is an index; by default, all
    select: Option<PlatformNames>,
}

/// Platform of an image
#[derive(JsonSchema)]
#[schemars(rename = "Platform", deny_unknown_fields, transform = user_keys, transform = aliases)]
struct PlatformKeys {
    /// Architecture in Go's spelling
    architecture: Option<Architecture>,
    /// Operating system in Go's spelling
    os: Option<System>,
    /// CPU variant, such as v7 for arm
    variant: Option<Variant>,
    /// Alias of os.version
    osversion: Option<Scalar>,
    /// Version of Windows
    #[schemars(rename = "os.version")]
    os_version: Option<Scalar>,
    /// Alias of os.features
    osfeatures: Option<Vec<Scalar>>,
    /// Required features of Windows
    #[schemars(rename = "os.features")]
    os_features: Option<Vec<Scalar>>,
}

/// Defines types with handwritten schemas.
macro_rules! described {
    ($($name:ident => $schema:expr;)*) => {$(
        struct $name;

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    )*};
}

/// A text with a variable, whose value is unknown.
const VARIABLE: &str = r"(^|[^$])\$\{[A-Za-z_][A-Za-z0-9_]*\}";
/// Excludes references that start with a layout transport instead of a host.
const NO_LAYOUT: &str = r"(?!oci(-archive)?:(?![0-9]+/))";
const HOST: &str = r"([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?/";
const PATH: &str = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*";
const TAG: &str = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}";
const DIGEST: &str = r"@sha(256:[0-9a-f]{64}|512:[0-9a-f]{128})";
const LAYOUT: &str = r"oci(-archive)?:[^:]+";
const MEDIA_TYPE: &str = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}";

fn repository() -> String {
    format!("{NO_LAYOUT}(docker://)?({HOST})?{PATH}(/{PATH})*")
}

fn text(pattern: &str) -> Schema {
    json_schema!({"type": "string", "anyOf": [{"pattern": format!("^({pattern})$")}, {"pattern": VARIABLE}]})
}

fn one_of(words: &[&str]) -> Schema {
    json_schema!({"anyOf": [{"enum": words}, {"type": "string", "pattern": VARIABLE}]})
}

/// One of these words, or an empty value for the default. Words that are numbers may be unquoted.
fn one_of_or_empty(words: &[&str]) -> Schema {
    let numbers = words.iter().filter_map(|word| word.parse::<u64>().ok()).map(Value::from);
    let words: Vec<Value> = words.iter().map(|word| Value::from(*word)).chain(numbers).collect();
    json_schema!({"anyOf": [{"enum": words}, {"enum": ["", null]}, {"type": "string", "pattern": VARIABLE}]})
}

/// `OS/ARCH[/VARIANT]` with known names.
fn platform_name() -> Schema {
    let any = |words: Vec<&str>| words.join("|");
    let (systems, architectures) = (any(known_systems()), any(known_architectures()));
    text(&format!(r"\s*({systems})/({architectures})(/({})?)?\s*", any(known_variants())))
}

described! {
    Target => text(&format!(r"{}(:{TAG})?|{LAYOUT}(:(?!.*@sha(256|512):).+)?", repository()));
    Source => text(&format!(r"{repository}(:{TAG})?{DIGEST}|{repository}:{TAG}|{LAYOUT}(:.+)?", repository = repository()));
    Text => json_schema!({"type": "string", "minLength": 1});
    MediaType => text(MEDIA_TYPE);
    Scalar => json_schema!({"type": ["string", "number", "boolean", "null"]});
    Flag => json_schema!({"anyOf": [{"type": "boolean"}, text("true|True|TRUE|false|False|FALSE")]});
    // Allow any number: 1.10 and 1.1 are the same number but different tags.
    Tags => json_schema!({"type": "array", "items": {"anyOf": [
        {"type": "number", "minimum": 0}, {"type": "boolean"}, text(TAG), text(&reference_tag())
    ]}});
    PlatformNames => json_schema!({"type": "array", "minItems": 1, "items": platform_name()});
    Form => one_of(super::model::FORMS);
    Attestations => one_of(super::model::ATTESTATIONS);
    AnnotationsFrom => one_of(&["labels"]);
    Architecture => one_of_or_empty(&known_architectures());
    System => one_of_or_empty(&known_systems());
    Variant => one_of_or_empty(&known_variants());
}

/// Allows user-defined keys, which start with `x-`.
fn user_keys(schema: &mut Schema) {
    schema.insert("patternProperties".into(), serde_json::json!({"^x-": true}));
}

/// Forbids using a key together with its alias.
fn aliases(schema: &mut Schema) {
    let both = |key: &str| serde_json::json!({"not": {"required": [format!("os.{key}"), format!("os{key}")]}});
    schema.insert("allOf".into(), serde_json::json!([both("version"), both("features")]));
}

/// A reference with a tag and without a digest.
fn reference_tag() -> String {
    format!(r"{}:{TAG}|{LAYOUT}:(?!.*@sha(256|512):).+", repository())
}

/// Requires a tag in each target if `tags` is missing.
fn tagged(schema: &mut Schema) {
    let tags = serde_json::json!({"required": ["tags"], "properties": {"tags": {"type": "array", "minItems": 1}}});
    let target = text(&reference_tag());
    let targets = serde_json::json!({"image": target, "targets": {"items": target}});
    schema.insert("if".into(), tags);
    schema.insert("else".into(), serde_json::json!({"properties": targets}));
}

/// Requires a target.
fn targeted(schema: &mut Schema) {
    let filled =
        serde_json::json!({"required": ["targets"], "properties": {"targets": {"type": "array", "minItems": 1}}});
    let choice = serde_json::json!([{"anyOf": [{"required": ["image"]}, filled]}]);
    schema.insert("allOf".into(), choice);
    schema.remove("required");
}

/// Requires at least one source, and `platforms` and `template` only together.
fn sources(schema: &mut Schema) {
    for (key, kind) in [("platforms", "array"), ("template", "string")] {
        if let Some(property) = schema.get_mut("properties").and_then(|properties| properties.get_mut(key)) {
            property["type"] = kind.into(); // not null
        }
    }
    let filled = serde_json::json!({"type": "array", "minItems": 1});
    let choice = serde_json::json!([
        {"required": ["manifests"], "properties": {"manifests": filled}},
        {"required": ["platforms", "template"]},
    ]);
    schema.insert("anyOf".into(), choice);
    let together = serde_json::json!({"platforms": ["template"], "template": ["platforms"]});
    schema.insert("dependentRequired".into(), together);
}

/// Returns the JSON Schema (draft 2020-12) of a spec.
///
/// The schema covers what an editor can check. [`from_yaml`] also checks how references and platforms fit together.
///
/// [`from_yaml`]: super::from_yaml
#[must_use]
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.meta_schema = META.map(Cow::Borrowed));
    let mut schema = settings.into_generator().into_root_schema_for::<SpecKeys>().to_value();
    // Put the title and description first.
    let mut out = serde_json::Map::new();
    for key in ["$schema", "title", "description"] {
        out.extend(schema.as_object_mut().and_then(|keys| keys.shift_remove_entry(key)));
    }
    out.extend(schema.as_object().cloned().unwrap_or_default());
    Value::Object(out)
}

const META: Option<&str> = Some("https://json-schema.org/draft/2020-12/schema");

/// Returns the keys of a type.
fn keys<T: JsonSchema>() -> Vec<String> {
    let schema = schemars::schema_for!(T);
    let properties = schema.get("properties").and_then(Value::as_object);
    properties.map(|properties| properties.keys().cloned().collect()).unwrap_or_default()
}

/// The keys of a spec.
pub(super) static SPEC_KEYS: LazyLock<Vec<String>> = LazyLock::new(keys::<SpecKeys>);
/// The keys of an entry.
pub(super) static ENTRY_KEYS: LazyLock<Vec<String>> = LazyLock::new(keys::<Entry>);
/// The keys of a platform.
pub(super) static PLATFORM_KEYS: LazyLock<Vec<String>> = LazyLock::new(keys::<PlatformKeys>);
