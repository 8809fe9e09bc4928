//! The form of a spec, as types: what keys there are, and the JSON Schema of them for editors.

// Nothing is ever made of these types; they are the description.
#![allow(dead_code, reason = "read by schemars alone")]

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use crate::image::{known_architectures, known_systems, known_variants};

/// An index of manifest-tool: one for each YAML document
#[derive(JsonSchema)]
#[schemars(rename = "Spec", rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = own_keys, transform = sources, transform = tagged)]
struct SpecKeys {
    /// Reference of the index: HOST/REPOSITORY:TAG, oci:FOLDER:NAME or oci-archive:FILE:NAME; `tags` may name its tag
    image: Target,
    /// Further tags of the index
    tags: Option<Tags>,
    /// Form of the index; --type counts more. If neither is given docker, or with `append` what the target is
    r#type: Option<Form>,
    /// Start from what the target holds: an entry for the same platform is replaced, the others stay
    append: Option<Flag>,
    /// Annotations of the index (OCI only)
    annotations: Option<BTreeMap<String, Scalar>>,
    /// What the index is, where it is an artifact: a media type (OCI only)
    artifact_type: Option<MediaType>,
    /// Manifest in the target's repository that the index refers to: a reference or a digest (OCI only)
    subject: Option<Text>,
    /// Whether attestations that came with an image go into the index
    attestations: Option<Attestations>,
    /// Platforms to fill the template with
    platforms: Option<PlatformNames>,
    /// Reference of the images of `platforms`; OS, ARCH and VARIANT in it stand for the platform's
    template: Option<Text>,
    /// Images to put into the index, after those of `platforms`
    manifests: Option<Vec<Entry>>,
}

/// An image, or an index whose images are taken
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields, transform = own_keys)]
struct Entry {
    /// Reference of the image, with a tag or a digest
    image: Source,
    /// What the image runs on; what is left out comes from the image's config
    platform: Option<PlatformKeys>,
    /// Annotations of the entry
    annotations: Option<BTreeMap<String, Scalar>>,
}

/// What an image runs on
#[derive(JsonSchema)]
#[schemars(rename = "Platform", deny_unknown_fields, transform = own_keys, transform = spellings)]
struct PlatformKeys {
    /// Architecture in Go's spelling
    architecture: Option<Architecture>,
    /// Operating system in Go's spelling
    os: Option<System>,
    /// Variant of the CPU, such as v7 of arm
    variant: Option<Variant>,
    /// Another spelling of os.version
    osversion: Option<Scalar>,
    /// Version of Windows
    #[schemars(rename = "os.version")]
    os_version: Option<Scalar>,
    /// Another spelling of os.features
    osfeatures: Option<Vec<Scalar>>,
    /// Features that Windows must have
    #[schemars(rename = "os.features")]
    os_features: Option<Vec<Scalar>>,
}

/// A key of the spec, and what is known of it.
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

/// Where a variable stands, all is possible.
const VARIABLE: &str = r"(^|[^$])\$\{[A-Za-z_][A-Za-z0-9_]*\}";
/// A word before the first colon that stands for no host.
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

/// One of these, or nothing, which leaves it open; a number is another spelling of itself.
fn open_to(words: &[&str]) -> Schema {
    let numbers = words.iter().filter_map(|word| word.parse::<u64>().ok()).map(Value::from);
    let words: Vec<Value> = words.iter().map(|word| Value::from(*word)).chain(numbers).collect();
    json_schema!({"anyOf": [{"enum": words}, {"enum": ["", null]}, {"type": "string", "pattern": VARIABLE}]})
}

/// `OS/ARCH[/VARIANT]`, of those that are known.
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
    // 1.10 and 1.1 are one number, and two tags.
    Tags => json_schema!({"type": "array", "items": {"anyOf": [
        {"type": "number", "minimum": 0}, {"type": "boolean"}, text(TAG)
    ]}});
    PlatformNames => json_schema!({"type": "array", "minItems": 1, "items": platform_name()});
    Form => one_of(super::model::FORMS);
    Attestations => one_of(super::model::ATTESTATIONS);
    Architecture => open_to(&known_architectures());
    System => open_to(&known_systems());
    Variant => open_to(&known_variants());
}

/// Keys that start with `x-` are the user's own.
fn own_keys(schema: &mut Schema) {
    schema.insert("patternProperties".into(), serde_json::json!({"^x-": true}));
}

/// One spelling of a key is enough.
fn spellings(schema: &mut Schema) {
    let both = |key: &str| serde_json::json!({"not": {"required": [format!("os.{key}"), format!("os{key}")]}});
    schema.insert("allOf".into(), serde_json::json!([both("version"), both("features")]));
}

/// Without `tags` the target must have a tag.
fn tagged(schema: &mut Schema) {
    let tags = serde_json::json!({"required": ["tags"], "properties": {"tags": {"type": "array", "minItems": 1}}});
    let image = text(&format!(r"{}:{TAG}|{LAYOUT}:(?!.*@sha(256|512):).+", repository()));
    schema.insert("if".into(), tags);
    schema.insert("else".into(), serde_json::json!({"properties": {"image": image}}));
}

/// There must be at least one source, and nothing that is half said.
fn sources(schema: &mut Schema) {
    for (key, kind) in [("platforms", "array"), ("template", "string")] {
        if let Some(property) = schema.get_mut("properties").and_then(|properties| properties.get_mut(key)) {
            property["type"] = kind.into(); // and not nothing
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

/// The JSON Schema (draft 2020-12) of a spec.
///
/// It says what an editor can know: references and platforms that agree with one another are checked by [`from_yaml`].
///
/// [`from_yaml`]: super::from_yaml
#[must_use]
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.meta_schema = META.map(Cow::Borrowed));
    let mut schema = settings.into_generator().into_root_schema_for::<SpecKeys>().to_value();
    // What it is comes first.
    let mut out = serde_json::Map::new();
    for key in ["$schema", "title", "description"] {
        out.extend(schema.as_object_mut().and_then(|keys| keys.shift_remove_entry(key)));
    }
    out.extend(schema.as_object().cloned().unwrap_or_default());
    Value::Object(out)
}

const META: Option<&str> = Some("https://json-schema.org/draft/2020-12/schema");

/// The keys of a type.
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
