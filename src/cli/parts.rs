use std::io;

use serde::Serialize;

use super::failure::Failure;

/// The maximum memory of the parts of a document, in bytes. They stay in memory because a document is printed at the
/// end.
const MAX_MEMORY: usize = 64 << 20;
/// An upper bound for the memory of a part, as a multiple of the length of its JSON: a string has a header and an
/// allocation, and an absent value takes space too.
const MEMORY_PER_BYTE: usize = 3;

/// The parts of the JSON document of a command that processes many items. Limits their memory, because the content
/// comes from registries.
#[derive(Debug)]
pub(super) struct DocumentParts<T> {
    parts: Vec<T>,
    memory: usize,
    is_collected: bool,
}

impl<T: Serialize> DocumentParts<T> {
    /// Creates an empty collection, which drops all parts unless the run produces a document.
    pub(super) fn collect_if(is_collected: bool) -> Self {
        Self { parts: Vec::new(), memory: 0, is_collected }
    }

    /// Adds a part if the run produces a document.
    ///
    /// # Errors
    /// Together with this part, the parts take more than 64 MiB of memory.
    pub(super) fn push(&mut self, part: impl FnOnce() -> T) -> Result<(), Failure> {
        if !self.is_collected {
            return Ok(());
        }
        let part = part();
        self.memory += memory_of(&part);
        if self.memory > MAX_MEMORY {
            let limit = MAX_MEMORY >> 20;
            return Err(Failure::new(format!(
                "the JSON document of this run takes more than {limit} MiB of memory; give fewer references per run"
            )));
        }
        self.parts.push(part);
        Ok(())
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.parts.iter_mut()
    }

    pub(super) fn into_vec(self) -> Vec<T> {
        self.parts
    }
}

/// Estimates the memory of a part in bytes.
fn memory_of(part: &impl Serialize) -> usize {
    let mut length = Length(0);
    // Counting bytes cannot fail; a part that cannot be serialized fails when the document is written.
    let _ = serde_json::to_writer(&mut length, part);
    length.0 * MEMORY_PER_BYTE
}

/// A writer that counts bytes.
struct Length(usize);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn pushing_parts_fails_above_64_mib() {
        let mut parts = DocumentParts::collect_if(true);
        let part = json!({"reference": "r.io/app:v1", "entries": vec![json!({"digest": "x".repeat(71)}); 10_000]});
        let fits = MAX_MEMORY / memory_of(&part);
        assert!((10..100).contains(&fits), "{fits}");
        for _ in 0..fits {
            parts.push(|| part.clone()).unwrap();
        }
        assert!(parts.push(|| part).unwrap_err().to_string().contains("more than 64 MiB"));
        assert_eq!(parts.into_vec().len(), fits);
    }

    #[test]
    fn parts_are_not_created_without_a_document() {
        let mut parts = DocumentParts::<Value>::collect_if(false);
        parts.push(|| panic!("must not be called")).unwrap();
        assert!(parts.into_vec().is_empty());
    }
}
