//! Parses the error messages in response bodies.

use serde::Deserialize;

use crate::image::{UntrustedText, one_line};

/// One entry of the registry's error body (distribution-spec, "Error Codes").
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RegistryMessage {
    /// The error code, such as `MANIFEST_UNKNOWN`; may be empty.
    pub code: UntrustedText,
    /// The error message; may be empty.
    pub message: UntrustedText,
}

/// Reads an error body in any form seen in practice: `{"errors":[{"code","message"}]}`, `{"message"}`, the XML of
/// storage services, an HTML page, or plain text.
pub(super) fn registry_messages(body: &[u8]) -> Vec<RegistryMessage> {
    let mut messages = match serde_json::from_slice::<Body>(body) {
        Ok(body) => body.messages(),
        // XML of a storage service to which the registry redirected.
        Err(_) if !element(body, "Code").is_empty() => {
            vec![RegistryMessage { code: element(body, "Code"), message: element(body, "Message") }]
        }
        // An HTML page of a proxy or web server: the title is more helpful than the first line.
        Err(_) if !element(body, "title").is_empty() => vec![RegistryMessage::without_code(element(body, "title"))],
        Err(_) => {
            let line = String::from_utf8_lossy(body.get(..200).unwrap_or(body)).into_owned();
            vec![RegistryMessage::without_code(one_line(line.lines().next().unwrap_or_default()).into())]
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

/// Maximum number of entries read from an error body.
const MAX_MESSAGES: usize = 20;

impl Body {
    fn messages(&self) -> Vec<RegistryMessage> {
        let text = |value: &serde_json::Value| UntrustedText::from(value.as_str().map(one_line).unwrap_or_default());
        if self.errors.is_empty() {
            let message = [text(&self.message), text(&self.details)].into_iter().find(|text| !text.is_empty());
            return vec![RegistryMessage::without_code(message.unwrap_or_default())];
        }
        let entries = self.errors.iter().take(MAX_MESSAGES);
        entries.map(|entry| RegistryMessage { code: text(&entry.code), message: text(&entry.message) }).collect()
    }
}

impl RegistryMessage {
    fn without_code(message: UntrustedText) -> Self {
        Self { code: UntrustedText::default(), message }
    }
}

/// Returns the text of the first XML or HTML element with this name, or an empty string.
fn element(body: &[u8], name: &str) -> UntrustedText {
    let text = String::from_utf8_lossy(body.get(..2000).unwrap_or(body)).into_owned();
    let rest = text.split_once(&format!("<{name}>")).map(|(_, rest)| rest);
    let content = rest.and_then(|rest| rest.split_once(&format!("</{name}>")));
    content.map(|(content, _)| one_line(content)).unwrap_or_default().into()
}
