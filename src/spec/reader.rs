use serde_saphyr::{Location, Spanned};

use super::memory::{MAX_MEMORY, PER_VALUE};
use super::node::{Node, spelled};
use super::problem::{Hint, MAX_PROBLEMS, Mistake, Problem};
use super::request::YamlRequest;
use super::variables;

/// Reads the nodes of a file and collects problems.
pub(crate) struct Reader<'a> {
    pub(super) request: &'a YamlRequest<'a>,
    pub(crate) problems: Vec<Problem>,
    /// Probable mistakes.
    pub(super) warnings: Vec<Problem>,
    /// Remaining memory for specs, in bytes.
    remaining: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(request: &'a YamlRequest<'a>) -> Self {
        Self { request, problems: Vec::new(), warnings: Vec::new(), remaining: MAX_MEMORY }
    }
}

impl Reader<'_> {
    /// Reserves memory for specs. If the limit is exceeded, returns false and reports the problem once.
    pub(super) fn reserve(&mut self, at: Location, bytes: usize) -> bool {
        match self.remaining.checked_sub(bytes) {
            Some(remaining) => self.remaining = remaining,
            None if self.remaining == 0 => return false,
            None => {
                self.remaining = 0;
                self.note(at, format!("the expanded file needs more than {} MiB of memory", MAX_MEMORY >> 20));
                return false;
            }
        }
        true
    }

    /// Adds a problem.
    pub(crate) fn note(&mut self, at: Location, mistake: impl Into<Mistake>) {
        if self.problems.len() < MAX_PROBLEMS {
            let problem = self.problem(at, mistake);
            self.problems.push(problem);
        }
    }

    /// Adds a problem whose suggestion replaces a key.
    pub(crate) fn note_key(&mut self, node: &Spanned<Node>, key: &str, mistake: Mistake) {
        let count = self.problems.len();
        self.note(node.referenced, mistake);
        // A quoted key or an alias has another text at its position.
        let is_there = node.defined == node.referenced && self.spelled(node).is_some_and(|text| text.trim_end() == key);
        if let Some(problem) = self.problems.get_mut(count).filter(|_| is_there) {
            problem.length = u64::try_from(key.chars().count()).ok();
        }
    }

    /// Adds a warning, or a problem with [`YamlRequest::strict`].
    pub(super) fn warn(&mut self, at: Location, mistake: impl Into<Mistake>) {
        if self.request.strict {
            self.note(at, mistake);
        } else if self.warnings.len() < MAX_PROBLEMS {
            let warning = self.problem(at, mistake);
            self.warnings.push(warning);
        }
    }

    fn problem(&self, at: Location, mistake: impl Into<Mistake>) -> Problem {
        mistake.into().at(self.request.file, Some((at.line(), at.column())))
    }

    /// Returns the value, or adds a problem at the position.
    pub(crate) fn checked<T>(&mut self, at: Location, result: Result<T, impl Into<Mistake>>) -> Option<T> {
        result.map_err(|mistake| self.note(at, mistake)).ok()
    }

    /// Reads the scalar of a key and parses it with `read`.
    pub(crate) fn read<T>(
        &mut self,
        node: &Spanned<Node>,
        key: &str,
        read: impl Fn(&str) -> Result<T, Mistake>,
    ) -> Option<T> {
        let text = self.scalar(node, key)?;
        let unfilled = self.request.variables.is_none() && text.contains("${");
        let hint = unfilled.then_some(Hint::FillVariables);
        self.checked(node.referenced, read(&text).map_err(|mistake| Mistake { hint, ..mistake }))
    }

    /// Reads the scalars of a list, with their positions. Drops null items with a warning, as 2.2.1 does.
    pub(crate) fn scalars(&mut self, node: &Spanned<Node>, key: &str) -> Vec<(String, Location)> {
        match &node.value {
            Node::Null => Vec::new(),
            Node::List(items) => {
                let mut scalars = Vec::new();
                for item in items {
                    match item.value {
                        Node::Null => self.warn(item.referenced, format!("an empty item of \"{key}\" is dropped")),
                        _ => scalars.extend(self.scalar(item, key).map(|text| (text, item.referenced))),
                    }
                }
                scalars
            }
            _ => {
                self.note(node.referenced, format!("\"{key}\" must be a list"));
                Vec::new()
            }
        }
    }

    /// Reads a key as written in the file; a null key is `null`. A list or mapping is a problem.
    pub(crate) fn key(&mut self, node: &Spanned<Node>) -> Option<String> {
        match &node.value {
            Node::Null => Some("null".into()),
            Node::Text(text) => Some(text.clone()),
            Node::Plain => Some(self.spelled(node).unwrap_or_default().trim().to_owned()),
            Node::List(_) | Node::Map(_) => {
                self.note(node.referenced, "a key must be a single value, not a list or mapping");
                None
            }
        }
    }

    fn spelled(&self, node: &Spanned<Node>) -> Option<&str> {
        spelled(node, self.request.text)
    }

    /// Reads a scalar as written in the file and expands its variables. Null is empty, as in Go's YAML.
    pub(crate) fn scalar(&mut self, node: &Spanned<Node>, key: &str) -> Option<String> {
        let text = self.written(node, key)?;
        self.filled(node.referenced, &text)
    }

    /// Expands the variables in a text, if the request enables them.
    pub(super) fn filled(&mut self, at: Location, text: &str) -> Option<String> {
        let filled = match self.request.variables {
            Some(lookup) => self.checked(at, variables::fill(text, lookup))?,
            None => text.to_owned(),
        };
        self.reserve(at, filled.len() + PER_VALUE).then_some(filled)
    }

    /// Reads a scalar as written in the file, without expanding variables.
    pub(super) fn written(&mut self, node: &Spanned<Node>, key: &str) -> Option<String> {
        match &node.value {
            Node::Null => Some(String::new()),
            Node::Text(text) => Some(fold_separators(text, self.spelled(node).unwrap_or_default())),
            Node::Plain => {
                let spelled = self.spelled(node).map(|text| text.trim().to_owned());
                if spelled.is_none() {
                    self.note(node.referenced, format!("the value of \"{key}\" cannot be read; put it in quotes"));
                }
                spelled
            }
            Node::List(_) | Node::Map(_) => {
                self.note(node.referenced, format!("\"{key}\" must be a single value, not a list or mapping"));
                None
            }
        }
    }
}

/// Removes blanks around a literal U+2028 or U+2029 in a quoted or plain scalar. These characters are line breaks in
/// YAML 1.1, which Go reads, but ordinary characters in YAML 1.2, which our parser reads.
fn fold_separators(text: &str, spelled: &str) -> String {
    const SEPARATORS: [char; 2] = ['\u{2028}', '\u{2029}'];
    if !spelled.contains(SEPARATORS) || spelled.starts_with(['|', '>']) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    for piece in text.split_inclusive(SEPARATORS) {
        let piece = if out.ends_with(SEPARATORS) { piece.trim_start_matches([' ', '\t']) } else { piece };
        match piece.strip_suffix(SEPARATORS) {
            Some(line) => {
                out.push_str(line.trim_end_matches([' ', '\t']));
                out.extend(piece.chars().last());
            }
            None => out.push_str(piece),
        }
    }
    out
}
