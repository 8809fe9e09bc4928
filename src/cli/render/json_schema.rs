//! The JSON Schema of every document that `--output json` prints, as stored in `docs/output.schema.json`.
//!
//! It is generated from the types that write the documents, so the two cannot differ. The integration tests check each
//! document that they read against it.

use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use super::document::Body;
use super::error::RunErrorJson;
use crate::image::{Digest, Location, Timestamp, UntrustedText};

/// Implements [`JsonSchema`] for a type that is written as a string.
macro_rules! string_schema {
    ($type:ty, $schema:tt) => {
        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

string_schema!(Digest, {"type": "string", "pattern": "^sha(256:[0-9a-f]{64}|512:[0-9a-f]{128})$"});
string_schema!(Location, {"type": "string"});
string_schema!(Timestamp, {"type": "string", "format": "date-time"});
string_schema!(UntrustedText, {"type": "string"});

/// The commands with a document, in the order of the variants of [`Body`]: `delete` has another one with `--tags`.
const COMMANDS: [&str; 16] = [
    "copy", "delete", "delete", "digest", "inspect", "lint", "login", "logout", "probe", "push", "query", "remove",
    "sign", "sync", "tags", "verify",
];

/// The schema: one alternative per command, and one for a command that failed before it had results.
fn schema() -> Value {
    let mut generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let error = generator.subschema_for::<RunErrorJson>();
    let body = Body::json_schema(&mut generator);
    let bodies = body.get("anyOf").and_then(Value::as_array).unwrap();
    assert_eq!(bodies.len(), COMMANDS.len());
    let mut documents: Vec<Value> = COMMANDS
        .iter()
        .zip(bodies)
        .map(
            |(command, body)| json!({"title": command, "properties": {"command": {"const": command}}, "allOf": [body]}),
        )
        .collect();
    documents.push(json!({"title": "failure without results", "required": ["error"], "maxProperties": 3}));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Output of manifest-tool --output json",
        "type": "object",
        "properties": {"version": {"const": 1}, "command": {"type": "string"}, "error": error},
        "required": ["version", "command"],
        "anyOf": documents,
        "$defs": generator.take_definitions(true),
    })
}

#[test]
fn docs_hold_the_schema_of_every_document() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/output.schema.json");
    let generated = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&file, &generated).unwrap();
    }
    let documented = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(documented == generated, "{} is outdated: run the tests with UPDATE_SNAPSHOTS=1", file.display());
}

#[test]
fn a_document_without_its_results_is_invalid() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let document = |command: &str| json!({"version": 1, "command": command, "repository": "r.example/app", "tags": []});
    assert!(validator.is_valid(&document("tags")));
    assert!(!validator.is_valid(&document("push")));
    for key in ["version", "command", "tags"] {
        let mut incomplete = document("tags");
        incomplete.as_object_mut().unwrap().remove(key);
        assert!(!validator.is_valid(&incomplete), "{key}");
    }
    let mut failed = json!({"version": 1, "command": "tags"});
    failed["error"] = json!({"message": "no", "hints": [], "exitCode": 1});
    assert!(validator.is_valid(&failed));
    failed["error"]["hints"] = json!("none");
    assert!(!validator.is_valid(&failed));
}
