use std::fmt::Display;

use crate::image::visible;

/// Whether to colour text. Only text on a terminal is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Colour {
    /// Bold colours with ANSI escapes.
    Always,
    /// Plain text.
    Never,
}

/// Colours values, and replaces the control characters in them.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct Painter(pub(in crate::cli) Colour);

impl Painter {
    fn paint(self, code: u8, value: impl Display) -> String {
        let value = visible(&value.to_string());
        match self.0 {
            Colour::Always => format!("\x1b[1;{code}m{value}\x1b[0m"),
            Colour::Never => value,
        }
    }

    pub(super) fn red(self, value: impl Display) -> String {
        self.paint(31, value)
    }

    pub(super) fn green(self, value: impl Display) -> String {
        self.paint(32, value)
    }

    pub(super) fn yellow(self, value: impl Display) -> String {
        self.paint(33, value)
    }

    pub(super) fn blue(self, value: impl Display) -> String {
        self.paint(34, value)
    }
}
