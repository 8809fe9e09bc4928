//! Limits the memory that a run uses for content it reads.
//!
//! Each body has its own limit (a manifest 8 MiB, a page of tags 8 MiB), but an index may list thousands of manifests
//! and a repository may have thousands of pages of tags. So all content is charged to one budget for as long as it is
//! kept, and a run that would exceed the budget fails instead of filling the machine's memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

/// Bytes of content that a run may keep, including parsed JSON (see [`json_cost`]): about three times the size of an
/// index of 500 images of 50 layers. The whole process stays below 300 MB.
pub(crate) const LIMIT: usize = 96 << 20;

/// Bytes of memory per element of a JSON document, in addition to its text: a string's header and the allocator's
/// overhead, or the element's share of a map's node.
const PER_ELEMENT: usize = 96;
/// Bytes of memory per JSON object, in addition to its elements. A descriptor takes 270, and most of its fields are
/// empty.
const PER_OBJECT: usize = 320;

/// A memory limit that several readers share. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Budget(Arc<Account>);

#[derive(Debug)]
struct Account {
    limit: usize,
    used: AtomicUsize,
}

/// A used part of a [`Budget`]; returned to the budget when dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    account: Arc<Account>,
    bytes: usize,
}

/// The error of a read that would exceed the run's memory budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it exceeds the {} MiB of memory that a run may use for content", .limit >> 20)]
pub(crate) struct OverLimit {
    /// The limit in bytes.
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

    /// Returns a charge of 0 bytes.
    pub(crate) fn open(&self) -> Charge {
        Charge { account: Arc::clone(&self.0), bytes: 0 }
    }

    /// Whether more than half of the budget is in use. Callers then finish running work before they start more.
    pub(crate) fn is_half_used(&self) -> bool {
        self.0.used.load(Ordering::Relaxed) > self.0.limit / 2
    }
}

impl Charge {
    /// Charges `bytes` more.
    ///
    /// # Errors
    /// The budget would be exceeded. The charge does not change.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), OverLimit> {
        let Account { limit, used } = &*self.account;
        let add = |used: usize| used.checked_add(bytes).filter(|sum| sum <= limit);
        used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).map_err(|_| OverLimit { limit: *limit })?;
        self.bytes += bytes;
        Ok(())
    }

    /// Charges for a document, both its text and its parsed form.
    ///
    /// # Errors
    /// The budget would be exceeded. The charge does not change.
    pub(crate) fn grow_by_document(&mut self, text: &[u8]) -> Result<(), OverLimit> {
        self.grow(text.len().saturating_add(json_cost(text)))
    }

    /// Binds the charge to `content`, so that it ends when the last clone of the returned [`Bytes`] is dropped. A JSON
    /// document is also charged for its parsed form, before it is parsed.
    ///
    /// # Errors
    /// The budget would be exceeded.
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

/// Estimates the bytes that a parsed JSON document takes, in addition to its text. Counts commas and brackets, even
/// those inside strings: overestimating a document with long texts is harmless.
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
    fn clones_share_a_budget_and_a_dropped_charge_returns_to_it() {
        let budget = Budget::new(100);
        let (mut one, mut other) = (budget.open(), budget.clone().open());
        assert_eq!((one.grow(40), budget.is_half_used()), (Ok(()), false));
        assert_eq!((other.grow(60), budget.is_half_used()), (Ok(()), true));
        assert_eq!(one.grow(1), Err(OverLimit { limit: 100 }));
        assert_eq!(one.grow(usize::MAX), Err(OverLimit { limit: 100 }));
        drop(other);
        assert_eq!(one.grow(60), Ok(()), "a charge that failed does not use the budget");
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
    fn json_is_charged_by_its_elements() {
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
