//! The memory that a run may use for what it reads.
//!
//! Each body has a limit of its own (a manifest 8 MiB, a page of tags 8 MiB), but their sum has none: an index may list
//! thousands of manifests, a repository may have thousands of pages. Whatever is read is therefore charged to one budget
//! for as long as it is kept, and a run that would exceed it ends with an error instead of filling the machine's memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

/// Bytes that a run may keep of what it reads, parsed JSON included (see [`json_cost`]): about three times what an index
/// of 500 images of 50 layers takes. The process as a whole stays below 300 MB.
pub(crate) const LIMIT: usize = 96 << 20;

/// Bytes that an element of a JSON document takes in memory besides its text: a string's header and the allocator's
/// overhead, or its share of a map's node.
const PER_ELEMENT: usize = 96;
/// Bytes that a JSON object takes besides its elements: a descriptor has 270, most of them empty.
const PER_OBJECT: usize = 320;

/// A limit for the memory that several readers share. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Budget(Arc<Account>);

#[derive(Debug)]
struct Account {
    limit: usize,
    used: AtomicUsize,
}

/// A part of a [`Budget`] that is in use; dropping it gives that part back.
#[derive(Debug)]
pub(crate) struct Charge {
    account: Arc<Account>,
    bytes: usize,
}

/// The error of a read that does not fit into the memory that the run may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it does not fit into the {} MiB of memory that a run may use for what it reads", .limit >> 20)]
pub(crate) struct OverLimit {
    /// Bytes.
    pub(crate) limit: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(LIMIT)
    }
}

impl Budget {
    fn new(limit: usize) -> Self {
        Self(Arc::new(Account { limit, used: AtomicUsize::new(0) }))
    }

    /// A charge of nothing, which can grow.
    pub(crate) fn open(&self) -> Charge {
        Charge { account: Arc::clone(&self.0), bytes: 0 }
    }

    /// Whether half of it is in use: time to finish something before the next thing is begun.
    pub(crate) fn is_half_used(&self) -> bool {
        self.0.used.load(Ordering::Relaxed) > self.0.limit / 2
    }
}

impl Charge {
    /// Takes more of the budget.
    ///
    /// # Errors
    /// The budget has less than that left. The charge does not change.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), OverLimit> {
        let Account { limit, used } = &*self.account;
        let add = |used: usize| used.checked_add(bytes).filter(|sum| sum <= limit);
        used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).map_err(|_| OverLimit { limit: *limit })?;
        self.bytes += bytes;
        Ok(())
    }

    /// Takes what a document takes, as it is and parsed.
    ///
    /// # Errors
    /// The budget has less than that left. The charge does not change.
    pub(crate) fn grow_by_document(&mut self, text: &[u8]) -> Result<(), OverLimit> {
        self.grow(text.len().saturating_add(json_cost(text)))
    }

    /// Ties the charge to content, so that it is given back when the last copy of the content is dropped. What a JSON
    /// document takes when it is parsed is charged as well, before it is parsed.
    ///
    /// # Errors
    /// The budget has less than that left.
    pub(crate) fn keep(mut self, content: Vec<u8>) -> Result<Bytes, OverLimit> {
        self.grow(json_cost(&content))?;
        Ok(Bytes::from_owner(Charged { content, _charge: self }))
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.account.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

struct Charged {
    content: Vec<u8>,
    _charge: Charge,
}

impl AsRef<[u8]> for Charged {
    fn as_ref(&self) -> &[u8] {
        &self.content
    }
}

/// About how many bytes a JSON document takes in memory when it is parsed, besides its text. Counts what separates and
/// opens elements, strings included: an estimate that is too high for prose is of no harm.
fn json_cost(text: &[u8]) -> usize {
    let is_json =
        text.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|first| matches!(first, b'{' | b'['));
    if !is_json {
        return 0;
    }
    text.iter().fold(0, |sum, byte| {
        sum + match byte {
            b',' | b'[' => PER_ELEMENT,
            b'{' => PER_OBJECT,
            _ => 0,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_shared_and_given_back() {
        let budget = Budget::new(100);
        let (mut one, mut other) = (budget.open(), budget.clone().open());
        assert_eq!((one.grow(40), budget.is_half_used()), (Ok(()), false));
        assert_eq!((other.grow(60), budget.is_half_used()), (Ok(()), true));
        assert_eq!(one.grow(1), Err(OverLimit { limit: 100 }));
        assert_eq!(one.grow(usize::MAX), Err(OverLimit { limit: 100 }));
        drop(other);
        assert_eq!(one.grow(60), Ok(()), "a charge that failed took nothing");
    }

    #[test]
    fn content_is_charged_until_its_last_copy_is_dropped() {
        let budget = Budget::new(10_000);
        let mut charge = budget.open();
        charge.grow(4_000).unwrap();
        let content = charge.keep(vec![0; 4_000]).unwrap();
        let part = content.slice(..1);
        drop(content);
        assert!(budget.open().grow(7_000).is_err());
        drop(part);
        assert!(budget.open().grow(7_000).is_ok());
    }

    #[test]
    fn documents_are_charged_by_their_elements() {
        for (text, cost) in [
            ("", 0),
            ("tar,tar,tar", 0),
            ("{}", PER_OBJECT),
            (r#" {"a":"b"}"#, PER_OBJECT),
            (r#"["a","b","c"]"#, 3 * PER_ELEMENT),
            (r#"[{"a":1,"b":2},{}]"#, 3 * PER_ELEMENT + 2 * PER_OBJECT),
        ] {
            assert_eq!(json_cost(text.as_bytes()), cost, "{text}");
        }
        let many = format!("[{}]", "0,".repeat(1_000));
        assert!(Budget::new(10_000).open().keep(many.into_bytes()).is_err());
    }
}
