//! What a registry says in the body of an error.

use serde::Deserialize;

use crate::image::{UntrustedText, one_line};

/// One entry of the registry's error body (distribution-spec, "Error Codes").
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RegistryMessage {
    /// The error code, such as `MANIFEST_UNKNOWN`; may be empty.
    pub code: UntrustedText,
    /// The registry's words; may be empty.
    pub message: UntrustedText,
}

/// Reads an error body in any form that is seen: `{"errors":[{"code","message"}]}`, `{"message"}`, the XML of storage
/// services, a page, plain text.
pub(super) fn registry_messages(body: &[u8]) -> Vec<RegistryMessage> {
    let mut messages = match serde_json::from_slice::<Body>(body) {
        Ok(body) => body.messages(),
        // The words of storage services, to which registries redirect.
        Err(_) if !element(body, "Code").is_empty() => {
            vec![RegistryMessage { code: element(body, "Code"), message: element(body, "Message") }]
        }
        // A page of a proxy or web server: its title says more than its first line.
        Err(_) if !element(body, "title").is_empty() => vec![RegistryMessage::plain(element(body, "title"))],
        Err(_) => {
            let line = String::from_utf8_lossy(body.get(..200).unwrap_or(body)).into_owned();
            vec![RegistryMessage::plain(one_line(line.lines().next().unwrap_or_default()).into())]
        }
    };
    messages.retain(|message| *message != RegistryMessage::default());
    messages
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    errors: Vec<MessageEntry>,
    #[serde(default)]
    message: serde_json::Value,
    #[serde(default)]
    details: serde_json::Value,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct MessageEntry {
    code: serde_json::Value,
    message: serde_json::Value,
}

/// Entries of an error body that are read at most.
const MAX_MESSAGES: usize = 20;

impl Body {
    fn messages(&self) -> Vec<RegistryMessage> {
        let text = |value: &serde_json::Value| UntrustedText::from(value.as_str().map(one_line).unwrap_or_default());
        if self.errors.is_empty() {
            let message = [text(&self.message), text(&self.details)].into_iter().find(|text| !text.is_empty());
            return vec![RegistryMessage::plain(message.unwrap_or_default())];
        }
        let entries = self.errors.iter().take(MAX_MESSAGES);
        entries.map(|entry| RegistryMessage { code: text(&entry.code), message: text(&entry.message) }).collect()
    }
}

impl RegistryMessage {
    /// A message without a code.
    fn plain(message: UntrustedText) -> Self {
        Self { code: UntrustedText::default(), message }
    }
}

/// The text of an XML element, if it is there.
fn element(body: &[u8], name: &str) -> UntrustedText {
    let text = String::from_utf8_lossy(body.get(..2000).unwrap_or(body)).into_owned();
    let behind = text.split_once(&format!("<{name}>")).map(|(_, behind)| behind);
    let inside = behind.and_then(|behind| behind.split_once(&format!("</{name}>")));
    inside.map(|(inside, _)| one_line(inside)).unwrap_or_default().into()
}
