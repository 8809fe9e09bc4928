use std::time::SystemTime;

use super::painter::Painter;
use super::quantity::date_text;
use crate::image::{ConfigDetails, Limited, UntrustedText, visible};

/// Returns the text of `inspect --config` on a terminal. Values that are not set are left out.
#[must_use]
pub(in crate::cli) fn config_text(details: &ConfigDetails, painter: Painter, now: SystemTime) -> String {
    let text = |text: &Option<UntrustedText>| text.as_ref().map(ToString::to_string);
    let platform = Some(&details.platform).filter(|platform| !platform.is_empty());
    let rows = [
        ("Created", created_text(details, now)),
        ("Platform", platform.map(ToString::to_string)),
        ("Layers", Some(details.layers.to_string())),
        ("Entrypoint", words(&details.entrypoint)),
        ("Cmd", words(&details.cmd)),
        ("User", text(&details.user)),
        ("WorkingDir", text(&details.working_dir)),
        ("ExposedPorts", items(&details.exposed_ports)),
        ("Volumes", items(&details.volumes)),
        ("StopSignal", text(&details.stop_signal)),
    ];
    let mut out = String::new();
    for (name, value) in rows {
        if let Some(value) = value {
            out += &format!("{:<13} {}\n", format!("{name}:"), painter.green(value));
        }
    }
    let env = details.env.items.iter().map(|variable| painter.green(variable));
    let labels = details.labels.items.iter();
    let labels = labels.map(|(key, value)| format!("{} = {}", painter.green(key), painter.green(value)));
    out + &block("Env", env, details.env.dropped) + &block("Labels", labels, details.labels.dropped)
}

/// Returns the creation date with its age. An invalid date is quoted.
pub(super) fn created_text(details: &ConfigDetails, now: SystemTime) -> Option<String> {
    let written = details.created.as_ref()?;
    let date = details.created().map(|created| date_text(created, now));
    Some(date.unwrap_or_else(|| format!("\"{written}\" (not a valid date)")))
}

/// Returns a list of lines with a title; empty without lines.
fn block(title: &str, lines: impl Iterator<Item = String>, dropped: usize) -> String {
    let more = (dropped > 0).then(|| format!("({dropped} more)"));
    let lines: String = lines.chain(more).map(|line| format!("  {line}\n")).collect();
    if lines.is_empty() { lines } else { format!("{title}:\n{lines}") }
}

/// Formats a command line as a JSON list, as in a Dockerfile. `None` if it is empty.
fn words(list: &Limited<Vec<UntrustedText>>) -> Option<String> {
    let words = list.items.iter().map(|word| serde_json::Value::from(visible(word)).to_string());
    let more = (list.dropped > 0).then(|| format!("({} more)", list.dropped));
    let words: Vec<String> = words.chain(more).collect();
    (!words.is_empty()).then(|| format!("[{}]", words.join(", ")))
}

fn items(list: &Limited<Vec<UntrustedText>>) -> Option<String> {
    let more = (list.dropped > 0).then(|| format!("({} more)", list.dropped));
    let items: Vec<String> = list.items.iter().map(ToString::to_string).chain(more).collect();
    (!items.is_empty()).then(|| items.join(", "))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use indoc::indoc;
    use serde_json::json;

    use super::super::painter::Colour;
    use super::*;

    fn text(config: &serde_json::Value) -> String {
        let details = ConfigDetails::parse(config.to_string().as_bytes()).unwrap();
        config_text(&details, Painter(Colour::Never), UNIX_EPOCH + Duration::from_secs(1_777_888_000))
    }

    #[test]
    fn config_text_lists_what_is_set() {
        let config = json!({
            "created": "2026-05-01T00:00:00Z", "os": "linux", "architecture": "arm", "variant": "v7",
            "config": {"User": "app", "WorkingDir": "/srv", "Entrypoint": ["/bin/app", "-x \"y\""], "Cmd": [],
                "Env": ["PATH=/bin", "A=b"], "ExposedPorts": {"80/tcp": {}, "443/tcp": {}}, "Volumes": {"/data": {}},
                "StopSignal": "SIGTERM", "Labels": {"b": "2", "a": "1"}},
            "rootfs": {"diff_ids": ["x", "y"]},
        });
        let expected = indoc! {r#"
            Created:      2026-05-01T00:00:00Z (3 days ago)
            Platform:     linux/arm/v7
            Layers:       2
            Entrypoint:   ["/bin/app", "-x \"y\""]
            User:         app
            WorkingDir:   /srv
            ExposedPorts: 80/tcp, 443/tcp
            Volumes:      /data
            StopSignal:   SIGTERM
            Env:
              PATH=/bin
              A=b
            Labels:
              a = 1
              b = 2
        "#};
        assert_eq!(text(&config), expected);
        assert_eq!(text(&json!({})), "Layers:       0\n");
    }

    #[test]
    fn hostile_values_stay_on_their_line() {
        let config = json!({
            "created": "\u{1b}[2Jsoon\n", "os": "linux\nUser: root", "architecture": "x\u{202e}y",
            "config": {"Labels": {"a\nb": "c\r\nd", "n": 7}, "Env": ["A=\u{1b}[31m"], "Cmd": ["a\u{7}\nb"],
                "User": "error: x"},
        });
        let expected = indoc! {r#"
            Created:      "[2Jsoon" (not a valid date)
            Platform:     linux User: root/x y
            Layers:       0
            Cmd:          ["a b"]
            User:         "error: x"
            Env:
              A= [31m
            Labels:
              a b = c d
              n = 7
        "#};
        assert_eq!(text(&config), expected);
    }
}
