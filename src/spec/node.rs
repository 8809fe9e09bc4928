use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// A YAML node with scalars as written. The key decides how to interpret a scalar, so `386` and `1.10` keep their
/// spelling.
#[derive(Debug)]
pub(crate) enum Node {
    Null,
    Text(String),
    /// A plain scalar that YAML resolves to a number or boolean. Its text is in the source.
    Plain,
    List(Vec<Spanned<Node>>),
    Map(Vec<(Spanned<Node>, Spanned<Node>)>),
}

impl Node {
    /// Corrects scalars that the YAML parser resolves differently from Go's. A plain `nULL` is text, because YAML has
    /// only `null`, `Null`, `NULL` and `~`. A quoted scalar with a tag, such as `!!int '7'`, is text as well.
    pub(super) fn correct(node: &mut Spanned<Self>, source: &str) {
        let spelled = spelled(node, source).unwrap_or_default().trim();
        let text = match &mut node.value {
            Self::Null
                if !matches!(spelled, "" | "~" | "null" | "Null" | "NULL") && !spelled.starts_with(['!', '&']) =>
            {
                spelled.to_owned()
            }
            Self::Plain if spelled.starts_with(['"', '\'']) => match serde_saphyr::from_str(spelled) {
                Ok(text) => text,
                Err(_) => return,
            },
            Self::List(items) => return items.iter_mut().for_each(|item| Self::correct(item, source)),
            Self::Map(entries) => {
                for (key, value) in entries {
                    Self::correct(key, source);
                    Self::correct(value, source);
                }
                return;
            }
            Self::Null | Self::Text(_) | Self::Plain => return,
        };
        node.value = Self::Text(text);
    }
}

/// Returns the source text of a scalar.
pub(super) fn spelled<'s>(node: &Spanned<Node>, source: &'s str) -> Option<&'s str> {
    let span = node.defined.span();
    let from = usize::try_from(span.byte_offset()?).ok()?;
    source.get(from..from.checked_add(usize::try_from(span.byte_len()?).ok()?)?)
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.to_owned()))
    }
    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Plain)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Plain)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Plain)
    }
    fn visit_i128<E>(self, _: i128) -> Result<Node, E> {
        Ok(Node::Plain)
    }
    fn visit_u128<E>(self, _: u128) -> Result<Node, E> {
        Ok(Node::Plain)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Plain)
    }
    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }
    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Map(entries))
    }
}
