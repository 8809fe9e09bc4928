//! Reads the nodes of a YAML file, within limits.

use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::{MessageFormatter as _, NonFiniteFloatPolicy, Spanned, UserMessageFormatter};

use super::node::Node;
use super::problem::{Mistake, ProblemKind, SpecError};

/// Maximum number of YAML documents in a file.
const MAX_DOCUMENTS: usize = 100_000;

/// Maximum number of values in a file, which are in memory together: about 7,000 indexes of ten images each.
const MAX_NODES: usize = 250_000;

/// Maximum nesting. A spec needs five levels, and `x-` keys may use the rest. Each level takes tens of kilobytes of
/// stack in a debug build.
const MAX_DEPTH: usize = 32;

/// Parses the YAML documents of a file. Returns the root of each.
///
/// # Errors
/// The text is not valid YAML, has no document, or exceeds a limit.
pub(crate) fn documents(text: &str, file: &str) -> Result<Vec<Spanned<Node>>, SpecError> {
    let unreadable = |at, message| {
        let mistake = Mistake { kind: ProblemKind::Syntax, message, ..Mistake::default() };
        SpecError::new(vec![mistake.at(file, at)])
    };
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_documents: MAX_DOCUMENTS, max_depth: MAX_DEPTH, max_nodes: MAX_NODES, },
        // A tag such as 5e63527 is text, even if the number overflows.
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
    };
    let mut roots: Vec<Spanned<Node>> = serde_saphyr::from_multiple_with_options(text, options).map_err(|broken| {
        let broken = broken.without_snippet();
        let at = broken.location().map(|at| (at.line(), at.column()));
        unreadable(at, yaml_error(broken).into())
    })?;
    if roots.is_empty() {
        return Err(unreadable(None, "it is empty".into()));
    }
    roots.iter_mut().for_each(|root| Node::correct(root, text));
    Ok(roots)
}

/// Describes a YAML error.
fn yaml_error(broken: &serde_saphyr::Error) -> String {
    let serde_saphyr::Error::Budget { breach, .. } = broken else {
        return format!("not valid YAML: {}", UserMessageFormatter.format_message(broken));
    };
    match breach {
        BudgetBreach::Depth { .. } => format!("it is nested deeper than {MAX_DEPTH} levels"),
        BudgetBreach::Documents { .. } => format!("it has more than {MAX_DOCUMENTS} documents"),
        BudgetBreach::Nodes { .. } => {
            format!("it has more than {MAX_NODES} values, counting what aliases repeat; divide it into several files")
        }
        _ => "it is too large, or its aliases expand to too much data".into(),
    }
}
