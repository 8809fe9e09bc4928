use serde_saphyr::{Location, Spanned};

use super::memory::{MAX_MEMORY, PER_VALUE};
use super::node::{Node, spelled};
use super::problem::{Hint, Mistake, Problem};
use super::request::YamlRequest;
use super::variables;

/// Reads the parts of a file, and collects what is wrong with them.
pub(super) struct Reader<'a> {
    pub(super) request: &'a YamlRequest<'a>,
    pub(super) problems: Vec<Problem>,
    /// What is probably a mistake.
    pub(super) warnings: Vec<Problem>,
    /// Bytes of memory that what is read may still take.
    left: usize,
}

/// Problems, and warnings, that are reported for one file.
const MAX_PROBLEMS: usize = 1_000;

impl<'a> Reader<'a> {
    pub(super) fn new(request: &'a YamlRequest<'a>) -> Self {
        Self { request, problems: Vec::new(), warnings: Vec::new(), left: MAX_MEMORY }
    }
}

impl Reader<'_> {
    /// Takes `bytes` of the memory that specs may use. Returns false, and notes the problem once, if too little is left.
    pub(super) fn has_room(&mut self, at: Location, bytes: usize) -> bool {
        match self.left.checked_sub(bytes) {
            Some(left) => self.left = left,
            None if self.left == 0 => return false,
            None => {
                self.left = 0;
                self.note(at, format!("what the file stands for takes more than {} MiB of memory", MAX_MEMORY >> 20));
                return false;
            }
        }
        true
    }

    pub(super) fn note(&mut self, at: Location, mistake: impl Into<Mistake>) {
        if self.problems.len() < MAX_PROBLEMS {
            let problem = self.problem(at, mistake);
            self.problems.push(problem);
        }
    }

    /// Adds a warning; with [`YamlRequest::strict`], a problem.
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

    /// The value of a good part; the problem of a bad one is noted where it is.
    pub(super) fn checked<T>(&mut self, at: Location, result: Result<T, impl Into<Mistake>>) -> Option<T> {
        result.map_err(|mistake| self.note(at, mistake)).ok()
    }

    /// The scalar of a key, read as what it is to be.
    pub(super) fn read<T>(
        &mut self,
        node: &Spanned<Node>,
        key: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.scalar(node, key)?;
        let unfilled = self.request.variables.is_none() && text.contains("${");
        let hint = unfilled.then_some(Hint::FillVariables);
        self.checked(node.referenced, read(&text).map_err(|message| Mistake { message: message.into(), hint }))
    }

    /// The scalars of a list with their places. An item that is null is dropped, as in 2.2.1, with a warning.
    pub(super) fn scalars(&mut self, node: &Spanned<Node>, key: &str) -> Vec<(String, Location)> {
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

    /// A key as it is spelled in the file; a null key is `null`. A list or mapping is reported.
    pub(super) fn key(&mut self, node: &Spanned<Node>) -> Option<String> {
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

    /// A scalar as it is spelled in the file, with its variables filled; null is empty, as in Go's YAML.
    pub(super) fn scalar(&mut self, node: &Spanned<Node>, key: &str) -> Option<String> {
        let text = self.written(node, key)?;
        self.filled(node.referenced, &text)
    }

    /// A text with its variables filled, where that is wanted.
    pub(super) fn filled(&mut self, at: Location, text: &str) -> Option<String> {
        let filled = match self.request.variables {
            Some(lookup) => self.checked(at, variables::fill(text, lookup))?,
            None => text.to_owned(),
        };
        self.has_room(at, filled.len() + PER_VALUE).then_some(filled)
    }

    /// A scalar as it is spelled in the file.
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

/// YAML 1.1, which Go reads, takes U+2028 and U+2029 for line breaks: blanks around one that is written out in a
/// quoted or plain scalar do not count. YAML 1.2, which is read here, takes them for ordinary characters.
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
