use crate::event::{Event, Warning};

/// An event in the program's words, which may name flags.
pub(crate) fn event_text(event: &Event) -> String {
    match event {
        Event::Warning { warning, .. } => warning_text(warning),
        event => event.to_string(),
    }
}

/// A warning in the program's words.
pub(crate) fn warning_text(warning: &Warning) -> String {
    match warning {
        Warning::OciInDockerList { .. } => format!("{warning}; use --type auto"),
        warning => warning.to_string(),
    }
}
