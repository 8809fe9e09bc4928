use super::quantity::size_text;
use crate::event::Event;

/// Describes [`Event::Verified`] in one line. Empty for another event.
#[must_use]
pub(super) fn checked_text(event: &Event) -> String {
    let Event::Verified { digest, platform, is_attestation, blobs, bytes, findings, unchecked, .. } = event else {
        return String::new();
    };
    let name = match platform {
        _ if *is_attestation => "attestation ".to_owned(),
        Some(platform) if !platform.is_empty() => format!("{platform} "),
        _ => String::new(),
    };
    let mut parts = Vec::new();
    if let Some(layers) = blobs.checked_sub(1) {
        let layers = if layers == 0 { String::new() } else { format!(" and {}", counted(layers, "layer")) };
        parts.extend([format!("config{layers}"), size_text(*bytes)]);
    }
    if *findings > 0 {
        parts.push(counted(*findings, "finding"));
    }
    if *unchecked > 0 {
        parts.push(format!("{} could not be checked", counted(*unchecked, "part")));
    }
    let parts = if parts.is_empty() { "manifest".to_owned() } else { parts.join(", ") };
    format!("checked {name}{}: {parts}", digest.short())
}

/// Formats a count with its noun.
pub(super) fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Digest;

    #[test]
    fn checked_text_names_the_image_and_what_was_checked() {
        let text = |platform: &str, is_attestation, blobs, findings, unchecked| {
            checked_text(&Event::Verified {
                target: "r.example/app:v1".parse().unwrap(),
                digest: Digest::sha256(b""),
                platform: platform.parse().ok(),
                is_attestation,
                blobs,
                bytes: 59_978_548,
                findings,
                unchecked,
            })
        };
        for (text, expected) in [
            (text("linux/amd64", false, 4, 0, 0), "linux/amd64 sha256:e3b0c44298fc: config and 3 layers, 57.2 MiB"),
            (text("unknown/unknown", true, 2, 0, 0), "attestation sha256:e3b0c44298fc: config and 1 layer, 57.2 MiB"),
            (text("", false, 1, 1, 0), "sha256:e3b0c44298fc: config, 57.2 MiB, 1 finding"),
            (text("linux/arm/v7", false, 0, 2, 0), "linux/arm/v7 sha256:e3b0c44298fc: 2 findings"),
            (
                text("", false, 2, 0, 2),
                "sha256:e3b0c44298fc: config and 1 layer, 57.2 MiB, 2 parts could not be checked",
            ),
            (text("", false, 0, 0, 0), "sha256:e3b0c44298fc: manifest"),
        ] {
            assert_eq!(text, format!("checked {expected}"));
        }
    }
}
