//! Preserves fields of an index that this program does not know when the index is changed. Does no I/O.

use serde_json::{Map, Value};

use crate::image::{Descriptor, Index};

/// The unknown fields of an index and its entries.
pub(super) struct UnknownFields {
    index: Map<String, Value>,
    /// Each entry as it was read, with its unknown fields.
    entries: Vec<(Descriptor, EntryFields)>,
}

/// The unknown fields of an entry.
#[derive(Default)]
struct EntryFields {
    entry: Map<String, Value>,
    /// The unknown fields of `platform`, such as `features` in manifest lists that Docker wrote.
    platform: Map<String, Value>,
}

const INDEX_FIELDS: &[&str] = &["schemaVersion", "mediaType", "artifactType", "manifests", "subject", "annotations"];
const ENTRY_FIELDS: &[&str] =
    &["mediaType", "size", "digest", "urls", "annotations", "data", "platform", "artifactType"];
const PLATFORM_FIELDS: &[&str] = &["architecture", "os", "os.version", "os.features", "variant"];

impl UnknownFields {
    /// Finds the unknown fields in the bytes that `index` was read from.
    pub(super) fn parse(bytes: &[u8], index: &Index) -> Self {
        let mut read: Map<String, Value> = serde_json::from_slice(bytes).unwrap_or_default();
        let entries = match read.get_mut("manifests").map(Value::take) {
            Some(Value::Array(entries)) => entries,
            _ => Vec::new(),
        };
        let entry_fields = |value: Value| {
            let Value::Object(mut entry) = value else { return EntryFields::default() };
            let platform = entry.get_mut("platform").map(Value::take);
            let platform = platform.and_then(|platform| platform.as_object().cloned()).unwrap_or_default();
            EntryFields { entry: without(entry, ENTRY_FIELDS), platform: without(platform, PLATFORM_FIELDS) }
        };
        let entries = index.manifests.iter().cloned().zip(entries.into_iter().map(entry_fields)).collect();
        Self { index: without(read, INDEX_FIELDS), entries }
    }

    /// Whether the index has no unknown fields.
    pub(super) fn is_empty(&self) -> bool {
        self.index.is_empty()
            && self.entries.iter().all(|(_, fields)| fields.entry.is_empty() && fields.platform.is_empty())
    }

    /// Adds the unknown fields to `written`, the JSON of an index with these `entries`: the fields of the index, and
    /// those of each entry that is still the same image for the same platform.
    pub(super) fn restore(mut self, written: &mut Value, entries: &[Descriptor]) {
        let Some(written) = written.as_object_mut() else { return };
        if let Some(Value::Array(manifests)) = written.get_mut("manifests") {
            for (value, entry) in manifests.iter_mut().zip(entries) {
                let fields = self.take(entry);
                let Some(value) = value.as_object_mut() else { continue };
                if let Some(platform) = value.get_mut("platform").and_then(Value::as_object_mut) {
                    platform.extend(fields.platform);
                }
                value.extend(fields.entry);
            }
        }
        written.extend(self.index);
    }

    fn take(&mut self, entry: &Descriptor) -> EntryFields {
        let is_same = |old: &Descriptor| {
            old.digest == entry.digest && old.platform == entry.platform && !old.has_other_marks(entry)
        };
        // Remove the match, because the index may list the same entry twice.
        let position = self.entries.iter().position(|(old, _)| is_same(old));
        position.map(|position| self.entries.remove(position).1).unwrap_or_default()
    }
}

fn without(mut fields: Map<String, Value>, known: &[&str]) -> Map<String, Value> {
    fields.retain(|key, _| !known.contains(&key.as_str()));
    fields
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::assemble::merge::tests::{digest, entries};

    #[test]
    fn unknown_fields_stay_with_the_index_and_its_unchanged_entries() {
        let read = json!({
            "schemaVersion": 2, "x-index": {"a": [1]},
            "manifests": [
                {"mediaType": "m", "digest": digest("a1"), "size": 0, "x-entry": true,
                 "platform": {"os": "linux", "architecture": "amd64", "features": ["sse4"]}},
                {"mediaType": "m", "digest": digest("a2"), "size": 0, "x-entry": null},
            ],
        });
        let existing = Index { manifests: entries("a1 linux/amd64, a2"), ..Index::default() };
        let unknown = UnknownFields::parse(read.to_string().as_bytes(), &existing);
        assert!(!unknown.is_empty());
        for (now, expected) in [
            (
                "a1 linux/amd64, a2",
                json!({"manifests": [
                    {"platform": {"os": "linux", "features": ["sse4"]}, "x-entry": true}, {"x-entry": null},
                ], "x-index": {"a": [1]}}),
            ),
            (
                "a2, a1 linux/amd64",
                json!({"manifests": [
                    {"platform": {"os": "linux"}, "x-entry": null},
                    {"x-entry": true},
                ], "x-index": {"a": [1]}}),
            ),
            (
                "b1 linux/amd64, a1 linux/386",
                json!({"manifests": [{"platform": {"os": "linux"}}, {}], "x-index": {"a": [1]}}),
            ),
        ] {
            let unknown = UnknownFields::parse(read.to_string().as_bytes(), &existing);
            let mut written = json!({"manifests": [{"platform": {"os": "linux"}}, {}]});
            unknown.restore(&mut written, &entries(now));
            assert_eq!(written, expected, "{now}");
        }
    }

    #[test]
    fn known_fields_and_invalid_json_have_no_unknown_fields() {
        let existing = Index { manifests: entries("a1 linux/amd64"), ..Index::default() };
        let known = json!({
            "schemaVersion": 2, "mediaType": "m", "artifactType": "a", "subject": {}, "annotations": {},
            "manifests": [{
                "mediaType": "m", "size": 0, "digest": digest("a1"), "urls": [], "annotations": {"x": "y"}, "data": "",
                "artifactType": "a",
                "platform": {"architecture": "amd64", "os": "linux", "os.version": "", "os.features": [], "variant": ""},
            }],
        });
        assert!(UnknownFields::parse(known.to_string().as_bytes(), &existing).is_empty());
        for text in ["", "[]", "{}", r#"{"manifests": 7}"#, r#"{"manifests": [7]}"#] {
            assert!(UnknownFields::parse(text.as_bytes(), &existing).is_empty(), "{text}");
        }
    }
}
