use std::fmt::{self, Display, Write as _};

use crate::image::{Descriptor, Index, REFERENCE_DIGEST};
use crate::inspect::{Child, Content, Image, Inspection};

/// Whether text is coloured: for a person at a terminal, never in a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// Bold colours by ANSI escapes.
    Always,
    /// Plain text.
    Never,
}

struct Painter(Colour);

impl Painter {
    fn paint(&self, code: u8, value: impl Display) -> String {
        let value: String = value.to_string().chars().filter(|c| !c.is_control()).collect();
        match self.0 {
            Colour::Always => format!("\x1b[1;{code}m{value}\x1b[0m"),
            Colour::Never => value,
        }
    }
    fn red(&self, value: impl Display) -> String {
        self.paint(31, value)
    }
    fn green(&self, value: impl Display) -> String {
        self.paint(32, value)
    }
    fn yellow(&self, value: impl Display) -> String {
        self.paint(33, value)
    }
    fn blue(&self, value: impl Display) -> String {
        self.paint(34, value)
    }
}

/// The text of `inspect`, to the byte that of 2.2.1. `name` is the reference as the user wrote it.
#[must_use]
pub fn inspection_text(name: &str, inspection: &Inspection, colour: Colour) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = match &inspection.content {
        Content::Image(image) => write_image(&mut out, &Painter(colour), name, inspection, image),
        Content::Index(index, children) => write_index(&mut out, &Painter(colour), name, inspection, index, children),
    };
    out
}

fn write_image(out: &mut String, p: &Painter, name: &str, inspection: &Inspection, image: &Image) -> fmt::Result {
    let platform = image.platform();
    writeln!(out, "Name: {} (Type: {})", p.green(name), p.green(&inspection.descriptor.media_type))?;
    writeln!(out, "      Digest: {}", p.yellow(&inspection.descriptor.digest))?;
    writeln!(out, "        Size: {}", p.blue(inspection.descriptor.size))?;
    writeln!(out, "          OS: {}", p.green(platform.os))?;
    writeln!(out, "        Arch: {}", p.green(platform.architecture))?;
    writeln!(out, "    # Layers: {}", p.red(image.manifest.layers.len()))?;
    for (number, layer) in (1..).zip(&image.manifest.layers) {
        writeln!(out, "      layer {}: digest = {}", p.red(format!("{number:02}")), p.yellow(&layer.digest))?;
    }
    Ok(())
}

fn write_index(
    out: &mut String,
    p: &Painter,
    name: &str,
    inspection: &Inspection,
    index: &Index,
    children: &[Child],
) -> fmt::Result {
    let total = index.manifests.len();
    let attestations = index.manifests.iter().filter(|entry| entry.is_attestation()).count();
    let images = total - attestations;
    let plural = |count: usize| if count > 1 { "s" } else { "" };
    writeln!(out, "Name:   {} (Type: {})", p.green(name), p.green(&inspection.descriptor.media_type))?;
    writeln!(out, "Digest: {}", p.yellow(&inspection.descriptor.digest))?;
    writeln!(
        out,
        " * Contains {} manifest references ({} image{}, {} attestation{}):",
        p.red(total),
        p.red(images),
        plural(images),
        p.red(attestations),
        plural(attestations)
    )?;
    for (number, (entry, child)) in (1..).zip(index.manifests.iter().zip(children)) {
        write_entry(out, p, number, entry, child)?;
    }
    Ok(())
}

fn write_entry(out: &mut String, p: &Painter, n: usize, entry: &Descriptor, child: &Child) -> fmt::Result {
    let note = if entry.is_attestation() { " (vnd.docker.reference.type=attestation-manifest)" } else { "" };
    let note = if note.is_empty() { String::new() } else { p.green(note) };
    writeln!(out, "[{n}]     Type: {}{note}", p.green(&entry.media_type))?;
    writeln!(out, "[{n}]   Digest: {}", p.yellow(&entry.digest))?;
    writeln!(out, "[{n}]   Length: {}", p.blue(entry.size))?;
    let Child::Image(image, _) = child else {
        // 2.2.1's words.
        return writeln!(
            out,
            "Unknown media type for further display: {}",
            Painter(Colour::Never).green(&entry.media_type)
        );
    };
    if entry.is_attestation() {
        let of = entry.annotations.get(REFERENCE_DIGEST).map(String::as_str).unwrap_or_default();
        return writeln!(out, "[{n}]       >>> Attestation for digest: {}\n", p.yellow(of));
    }
    writeln!(out, "[{n}] Platform:")?;
    match &entry.platform {
        Some(platform) => {
            writeln!(out, "[{n}]    -      OS: {}", p.green(&platform.os))?;
            if !platform.os_version.is_empty() {
                writeln!(out, "[{n}]    - OS Vers: {}", p.green(&platform.os_version))?;
            }
            if !platform.os_features.is_empty() {
                writeln!(out, "[{n}]    - OS Feat: {}", p.green(format!("[{}]", platform.os_features.join(" "))))?;
            }
            writeln!(out, "[{n}]    -    Arch: {}", p.green(&platform.architecture))?;
            if !platform.variant.is_empty() {
                writeln!(out, "[{n}]    - Variant: {}", p.green(&platform.variant))?;
            }
        }
        None => writeln!(out, "[{n}]    -      (no platform specified)")?,
    }
    writeln!(out, "[{n}] # Layers: {}", p.red(image.manifest.layers.len()))?;
    for (number, layer) in (1..).zip(&image.manifest.layers) {
        writeln!(out, "     layer {}: digest = {}", p.red(format!("{number:02}")), p.yellow(&layer.digest))?;
        writeln!(out, "                 type = {}", p.green(&layer.media_type))?;
    }
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Digest, Manifest, parse_manifest};

    #[test]
    fn colours_are_bold_and_a_server_cannot_send_its_own() {
        let body = br#"{"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"x\u001b[2Jy","digest":"DIGEST","size":7}]}"#;
        let digest = Digest::sha256(b"");
        let body = String::from_utf8_lossy(body).replace("DIGEST", digest.as_str());
        let Ok((Manifest::Index(index), media_type)) = parse_manifest(body.as_bytes(), "") else { panic!("an index") };
        let inspection = Inspection {
            descriptor: Descriptor::new(&media_type, digest.clone()),
            bytes: body.into(),
            content: Content::Index(index, vec![Child::Other]),
        };
        let text = inspection_text("a:1", &inspection, Colour::Always);
        assert!(text.starts_with("Name:   \x1b[1;32ma:1\x1b[0m (Type: "), "{text:?}");
        assert!(text.contains("[1]     Type: \x1b[1;32mx[2Jy\x1b[0m\n"), "{text:?}");
        assert!(!inspection_text("a:1", &inspection, Colour::Never).contains('\x1b'));
    }
}
