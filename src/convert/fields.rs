//! The fields of JSON objects: their order, and those that Docker's format does not have.

use serde_json::{Map, Number, Value};

use super::{Format, Obstacle, Remedy};
use crate::image::{Digest, UntrustedText, to_compact_go_json};

pub(super) type Object = Map<String, Value>;

/// The maximum number of annotation keys in a message.
const MAX_KEYS: usize = 3;

/// Parses a manifest to rewrite it.
///
/// # Errors
/// It would not be the same after it is written: it has invalid text or numbers, or numbers that are not exact.
pub(super) fn parse(digest: &Digest, bytes: &[u8]) -> Result<Object, Vec<Obstacle>> {
    let object: Object = serde_json::from_slice(bytes).map_err(|error| unwritable(digest, &error.to_string()))?;
    match object.values().find_map(inexact_number) {
        Some(number) => Err(unwritable(digest, &format!("the number {number} is not an integer of 64 bits"))),
        None => Ok(object),
    }
}

/// Writes a manifest in the form of Go programs.
pub(super) fn write(digest: &Digest, object: &Object) -> Result<Vec<u8>, Vec<Obstacle>> {
    to_compact_go_json(object).map_err(|error| unwritable(digest, &error.to_string()))
}

fn unwritable(digest: &Digest, reason: &str) -> Vec<Obstacle> {
    let reason = format!("its JSON cannot be rewritten: {reason}").into();
    vec![Obstacle { manifest: digest.clone(), reason, remedy: None }]
}

/// Returns a number that may be written with other digits than it was read.
fn inexact_number(value: &Value) -> Option<&Number> {
    match value {
        Value::Number(number) => Some(number).filter(|number| number.is_f64()),
        Value::Array(items) => items.iter().find_map(inexact_number),
        Value::Object(fields) => fields.values().find_map(inexact_number),
        Value::Null | Value::Bool(_) | Value::String(_) => None,
    }
}

/// Moves the known fields of an object to the front, in the order in which Go programs write them.
pub(super) fn reorder(object: &mut Object, order: &[&str]) {
    let mut rest = std::mem::take(object);
    for name in order {
        if let Some((name, value)) = rest.shift_remove_entry(*name) {
            object.insert(name, value);
        }
    }
    object.append(&mut rest);
}

/// Removes the annotations of a descriptor whose keys are unwanted.
pub(super) fn remove_annotations(descriptor: &mut Object, is_unwanted: impl Fn(&str) -> bool) {
    let Some(annotations) = descriptor.get_mut("annotations").and_then(Value::as_object_mut) else { return };
    let before = annotations.len();
    annotations.retain(|key, _| !is_unwanted(key));
    if annotations.is_empty() && before > 0 {
        descriptor.shift_remove("annotations");
    }
}

/// Whether a field holds nothing, so that leaving it out loses nothing.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Removes the fields that Docker's format does not have. Reports those that hold something.
pub(super) struct DockerFields<'d> {
    /// The manifest that the object belongs to.
    pub(super) manifest: &'d Digest,
    pub(super) drops_annotations: bool,
    pub(super) obstacles: &'d mut Vec<Obstacle>,
}

impl DockerFields<'_> {
    /// Keeps the fields of `known` in an object, in this order. `part` names the object in messages.
    pub(super) fn keep(&mut self, object: &mut Object, known: &[&str], part: &str) {
        reorder(object, known);
        // The embedded content of a descriptor is stored elsewhere as well.
        let mut lost: Vec<(String, Value)> = Vec::new();
        object.retain(|name, value| {
            let is_known = known.contains(&name.as_str());
            if !is_known && name != "data" && !is_empty(value) {
                lost.push((name.clone(), std::mem::take(value)));
            }
            is_known
        });
        for (name, value) in lost {
            match (name.as_str(), value) {
                ("annotations", _) if self.drops_annotations => {}
                ("annotations", value) => {
                    self.add(format!("{part} has annotations: {}", keys(&value)), Some(Remedy::DropAnnotations))
                }
                (name, _) => self.add(format!("{part} has {name}"), None),
            }
        }
    }

    pub(super) fn add(&mut self, reason: String, remedy: Option<Remedy>) {
        self.obstacles.push(Obstacle { manifest: self.manifest.clone(), reason: UntrustedText::from(reason), remedy });
    }
}

fn keys(annotations: &Value) -> String {
    let Value::Object(annotations) = annotations else { return "not an object".into() };
    let mut names: Vec<&str> = annotations.keys().take(MAX_KEYS).map(String::as_str).collect();
    let rest = format!("and {} more", annotations.len().saturating_sub(MAX_KEYS));
    if annotations.len() > MAX_KEYS {
        names.push(&rest);
    }
    names.join(", ")
}

/// The order of a platform's fields.
pub(super) const PLATFORM_FIELDS: [&str; 5] = ["architecture", "os", "os.version", "os.features", "variant"];

/// Returns the order of a descriptor's fields in a format.
pub(super) fn descriptor_fields(format: Format) -> &'static [&'static str] {
    match format {
        Format::Docker => &["mediaType", "size", "digest", "urls"],
        Format::Oci => &["mediaType", "digest", "size", "urls", "annotations", "data", "platform", "artifactType"],
    }
}
