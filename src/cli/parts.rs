use std::io;

use serde::Serialize;

use super::failure::Failure;

/// Bytes of memory that the parts of a document may take. A document is printed whole, in the end.
const MAX_MEMORY: usize = 64 << 20;
/// How much memory a part takes at most, as a multiple of the length of its JSON: a text has a header and an allocation,
/// and an absent value takes room as well.
const MEMORY_PER_BYTE: usize = 3;

/// The parts of the JSON document of a command that processes many items. What each part holds comes from a registry, so
/// their memory is bounded.
#[derive(Debug)]
pub(super) struct DocumentParts<T> {
    parts: Vec<T>,
    memory: usize,
    is_collected: bool,
}

impl<T: Serialize> DocumentParts<T> {
    /// Keeps parts for a document if there will be one.
    pub(super) fn collect_if(is_collected: bool) -> Self {
        Self { parts: Vec::new(), memory: 0, is_collected }
    }

    /// Adds a part, if there will be a document.
    ///
    /// # Errors
    /// With it the parts take more than 64 MiB.
    pub(super) fn push(&mut self, part: impl FnOnce() -> T) -> Result<(), Failure> {
        if !self.is_collected {
            return Ok(());
        }
        let part = part();
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

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.parts.iter_mut()
    }

    pub(super) fn into_vec(self) -> Vec<T> {
        self.parts
    }
}

/// About how many bytes of memory a part takes.
fn memory_of(part: &impl Serialize) -> usize {
    let mut length = Length(0);
    // Counting bytes cannot fail, and a part that is not JSON fails when the document is written.
    let _ = serde_json::to_writer(&mut length, part);
    length.0 * MEMORY_PER_BYTE
}

/// Counts the bytes that are written to it.
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
    fn parts_are_kept_up_to_the_limit_of_memory() {
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
    fn no_part_is_kept_without_a_document() {
        let mut parts = DocumentParts::<Value>::collect_if(false);
        parts.push(|| panic!("not made")).unwrap();
        assert!(parts.into_vec().is_empty());
    }
}
