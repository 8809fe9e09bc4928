use serde_json::Value;

use super::failure::Failure;
use crate::output;

/// Bytes of memory that the parts of a document may take. A document is printed whole, in the end.
const MAX_MEMORY: usize = 64 << 20;
/// Bytes that a value takes besides its text, in a list or by itself.
const PER_VALUE: usize = size_of::<Value>() + 16;
/// Bytes that a key takes besides its text.
const PER_KEY: usize = 64;

/// The parts of the JSON document of a command that looks at many things: what each part holds comes from a registry.
#[derive(Default)]
pub(super) struct Documents {
    parts: Vec<Value>,
    memory: usize,
}

impl Documents {
    /// Adds a part.
    ///
    /// # Errors
    /// With it the parts take more than 64 MiB.
    pub(super) fn push(&mut self, part: Value) -> Result<(), Failure> {
        self.memory += memory_of(&part);
        if self.memory > MAX_MEMORY {
            let limit = MAX_MEMORY >> 20;
            return Err(Failure::new(format!(
                "the JSON document of this run takes more than {limit} MiB of memory, and has no room for the rest; \
                 give fewer references to a run"
            )));
        }
        self.parts.push(part);
        Ok(())
    }

    pub(super) fn parts_mut(&mut self) -> &mut [Value] {
        &mut self.parts
    }

    /// The document of a command, with the parts under `key` behind what else is in it.
    pub(super) fn into_document(self, command: &str, mut others: Value, key: &str) -> Value {
        // Not copied, as `json!` would.
        if let Some(others) = others.as_object_mut() {
            others.insert(key.to_owned(), Value::Array(self.parts));
        }
        output::document(command, others)
    }
}

/// About how many bytes of memory a value takes.
fn memory_of(value: &Value) -> usize {
    let own = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(all) => all.iter().map(memory_of).sum(),
        Value::Object(all) => all.iter().map(|(key, value)| PER_KEY + key.len() + memory_of(value)).sum(),
    };
    PER_VALUE + own
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parts_are_kept_as_long_as_there_is_memory() {
        let mut documents = Documents::default();
        let part = json!({"reference": "r.io/app:v1", "entries": vec![json!({"digest": "x".repeat(71)}); 10_000]});
        let fits = MAX_MEMORY / memory_of(&part);
        assert!((10..100).contains(&fits), "{fits}");
        for _ in 0..fits {
            documents.push(part.clone()).unwrap();
        }
        assert!(documents.push(part).unwrap_err().to_string().contains("more than 64 MiB"));
        assert_eq!(documents.into_document("query", json!({}), "images")["images"].as_array().unwrap().len(), fits);
    }
}
