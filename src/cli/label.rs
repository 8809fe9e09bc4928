//! Labels of messages on stderr, coloured on a terminal as clap colours its own.

/// The label at the start of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    Error,
    Warning,
    Hint,
    Note,
}

impl Label {
    /// Returns the label with its colon, in colour if `is_coloured`.
    pub(super) fn text(self, is_coloured: bool) -> String {
        let (text, style) = match self {
            Self::Error => ("error:", "\x1b[1m\x1b[31m"),
            Self::Warning => ("warning:", "\x1b[1m\x1b[33m"),
            Self::Hint => ("hint:", "\x1b[32m"),
            Self::Note => ("note:", "\x1b[1m\x1b[36m"),
        };
        if is_coloured { format!("{style}{text}\x1b[0m") } else { text.to_owned() }
    }
}
