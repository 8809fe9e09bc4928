use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::time::SystemTime;

use super::config_text::created_text;
use super::painter::{Colour, Painter};
use super::quantity::size_text;
use crate::image::{
    Annotations, ConfigDetails, Descriptor, Digest, Index, Platform, REFERENCE_DIGEST, Schema1Image, one_line,
};
use crate::inspect::{Child, Content, Image, Inspection};

/// Options for the text of `inspect`.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct Shown {
    /// Whether to colour the text.
    pub colour: Colour,
    /// Show the size of each layer, and the total.
    pub layers: bool,
    /// Show annotations, if present.
    pub annotations: bool,
    /// The current time, if the text is for a person at a terminal: sizes have units, and `details` are shown.
    pub now: Option<SystemTime>,
}

/// The details in the config of an image, or why the config cannot be used.
pub(in crate::cli) type Details = Result<ConfigDetails, String>;

/// Returns the text of `inspect`. Unless it is for a terminal, it equals the output of 2.2.1 byte for byte, except for
/// parts that only this program shows. `name` is the reference as the user wrote it, and `details` are those of the image,
/// or of each entry of the index.
#[must_use]
pub(in crate::cli) fn inspection_text(
    name: &str,
    inspection: &Inspection,
    details: &[Option<Details>],
    shown: Shown,
) -> String {
    let mut text = Text { out: String::new(), p: Painter(shown.colour), shown, details };
    // Writing to a String cannot fail.
    let _ = match &inspection.content {
        Content::Image(image) => text.write_image(name, inspection, image),
        Content::Index(index, children) => text.write_index(name, inspection, index, children),
        Content::Schema1(image) => text.write_schema_1(name, inspection, image),
    };
    text.out
}

struct Text<'d> {
    out: String,
    p: Painter,
    shown: Shown,
    details: &'d [Option<Details>],
}

impl Text<'_> {
    fn write_image(&mut self, name: &str, inspection: &Inspection, image: &Image) -> fmt::Result {
        let Self { out, p, .. } = self;
        let platform = image.platform();
        writeln!(out, "Name: {} (Type: {})", p.green(name), p.green(&inspection.descriptor.media_type))?;
        writeln!(out, "      Digest: {}", p.yellow(&inspection.descriptor.digest))?;
        writeln!(out, "        Size: {}", p.blue(self.shown.size(inspection.descriptor.size)))?;
        writeln!(out, "          OS: {}", p.green(platform.os))?;
        writeln!(out, "        Arch: {}", p.green(platform.architecture))?;
        self.write_annotations(" Annotations:", "      ", &image.manifest.annotations)?;
        self.write_details(0, ["     Created:", "      Labels:", "      Config:"], "      ")?;
        let Self { out, p, .. } = self;
        writeln!(out, "    # Layers: {}", p.red(image.manifest.layers.len()))?;
        for (number, layer) in (1..).zip(&image.manifest.layers) {
            writeln!(out, "      layer {}: digest = {}", p.red(format!("{number:02}")), p.yellow(&layer.digest))?;
            if self.shown.layers {
                writeln!(out, "                  size = {}", p.blue(self.shown.size(layer.size)))?;
            }
        }
        if self.shown.layers {
            writeln!(out, "       Total: {}", p.blue(self.shown.total(&image.manifest.layers)))?;
        }
        Ok(())
    }

    fn write_schema_1(&mut self, name: &str, inspection: &Inspection, image: &Schema1Image) -> fmt::Result {
        let Self { out, p, shown, .. } = self;
        writeln!(out, "Name: {} (Type: {})", p.green(name), p.green(&inspection.descriptor.media_type))?;
        writeln!(out, "      Digest: {}", p.yellow(&inspection.descriptor.digest))?;
        writeln!(out, "        Size: {}", p.blue(shown.size(inspection.descriptor.size)))?;
        writeln!(out, "          OS: {}", p.green(&image.platform.os))?;
        writeln!(out, "        Arch: {}", p.green(&image.platform.architecture))?;
        if let Some(created) = &image.created {
            writeln!(out, "     Created: {}", p.green(created))?;
        }
        let layers = image.layers();
        writeln!(out, "    # Layers: {}", p.red(layers.len()))?;
        for (number, layer) in (1..).zip(layers) {
            writeln!(out, "      layer {}: digest = {}", p.red(format!("{number:02}")), p.yellow(layer))?;
        }
        writeln!(out, "     History:")?;
        for step in &image.history {
            let created = step.created.as_ref().map_or("(no date)", |created| created.as_str());
            let command = step.created_by.as_ref().map_or("(no command)", |command| command.as_str());
            writeln!(out, "      - {} {}", p.green(one_line(created)), one_line(command))?;
        }
        Ok(())
    }

    fn write_index(&mut self, name: &str, inspection: &Inspection, index: &Index, children: &[Child]) -> fmt::Result {
        let Self { out, p, .. } = self;
        let total = index.manifests.len();
        let attestations = index.manifests.iter().filter(|entry| entry.is_annotated_as_attestation()).count();
        let images = total - attestations;
        let plural = |count: usize| if count > 1 { "s" } else { "" };
        writeln!(out, "Name:   {} (Type: {})", p.green(name), p.green(&inspection.descriptor.media_type))?;
        writeln!(out, "Digest: {}", p.yellow(&inspection.descriptor.digest))?;
        self.write_annotations(" * Annotations:", "   ", &index.annotations)?;
        let Self { out, p, .. } = self;
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
            self.write_entry(number, entry, child)?;
        }
        if self.shown.layers {
            let images = children.iter().filter_map(|child| match child {
                Child::Image(image, _) => Some(&image.manifest.layers),
                Child::Other => None,
            });
            let layers: Vec<Descriptor> = images.flatten().cloned().collect();
            writeln!(self.out, " * Total: {}", self.p.blue(self.shown.total(&layers)))?;
        }
        Ok(())
    }

    fn write_annotations(&mut self, title: &str, indent: &str, all: &Annotations) -> fmt::Result {
        let Self { out, p, shown, .. } = self;
        if all.is_empty() || !shown.annotations {
            return Ok(());
        }
        writeln!(out, "{title}")?;
        all.iter().try_for_each(|(key, value)| writeln!(out, "{indent}- {} = {}", p.green(key), p.green(value)))
    }

    /// Writes the creation date and the labels of the image at a position, or why its config cannot be used. `titles` are
    /// those of the date, the labels and the reason.
    fn write_details(&mut self, position: usize, titles: [&str; 3], indent: &str) -> fmt::Result {
        let Self { out, p, shown, details } = self;
        let [created, labels, config] = titles;
        let Some(now) = shown.now else { return Ok(()) };
        let Some(details) = details.get(position).and_then(Option::as_ref) else { return Ok(()) };
        let details = match details {
            Ok(details) => details,
            Err(reason) => return writeln!(out, "{config} {}", p.red(one_line(reason))),
        };
        if let Some(date) = created_text(details, now) {
            writeln!(out, "{created} {}", p.green(date))?;
        }
        if details.labels.items.is_empty() {
            return Ok(());
        }
        writeln!(out, "{labels}")?;
        for (key, value) in &details.labels.items {
            writeln!(out, "{indent}- {} = {}", p.green(key), p.green(value))?;
        }
        match details.labels.dropped {
            0 => Ok(()),
            dropped => writeln!(out, "{indent}- ({dropped} more)"),
        }
    }

    fn write_entry(&mut self, n: usize, entry: &Descriptor, child: &Child) -> fmt::Result {
        let Self { out, p, .. } = self;
        let note =
            if entry.is_annotated_as_attestation() { " (vnd.docker.reference.type=attestation-manifest)" } else { "" };
        let note = if note.is_empty() { String::new() } else { p.green(note) };
        writeln!(out, "[{n}]     Type: {}{note}", p.green(&entry.media_type))?;
        writeln!(out, "[{n}]   Digest: {}", p.yellow(&entry.digest))?;
        writeln!(out, "[{n}]   Length: {}", p.blue(self.shown.size(entry.size)))?;
        self.write_annotations(&format!("[{n}] Annotations:"), &format!("[{n}]    "), &entry.annotations)?;
        let Self { out, p, .. } = self;
        let Child::Image(image, _) = child else {
            // The wording of 2.2.1.
            return writeln!(
                out,
                "Unknown media type for further display: {}",
                Painter(Colour::Never).green(&entry.media_type)
            );
        };
        if entry.is_annotated_as_attestation() {
            let subject = entry.annotations.get(REFERENCE_DIGEST).cloned().unwrap_or_default();
            return writeln!(out, "[{n}]       >>> Attestation for digest: {}\n", p.yellow(subject));
        }
        writeln!(out, "[{n}] Platform:")?;
        if let Some(platform) = &entry.platform {
            self.write_platform(n, platform)?;
        } else {
            writeln!(out, "[{n}]    -      (no platform specified)")?;
        }
        let titles = ["Created:", " Labels:", " Config:"].map(|title| format!("[{n}]  {title}"));
        self.write_details(n - 1, titles.each_ref().map(String::as_str), &format!("[{n}]    "))?;
        self.write_layers(n, &image.manifest.layers)?;
        writeln!(self.out)
    }

    fn write_layers(&mut self, n: usize, layers: &[Descriptor]) -> fmt::Result {
        let Self { out, p, .. } = self;
        writeln!(out, "[{n}] # Layers: {}", p.red(layers.len()))?;
        for (number, layer) in (1..).zip(layers) {
            writeln!(out, "     layer {}: digest = {}", p.red(format!("{number:02}")), p.yellow(&layer.digest))?;
            writeln!(out, "                 type = {}", p.green(&layer.media_type))?;
            if self.shown.layers {
                writeln!(out, "                 size = {}", p.blue(self.shown.size(layer.size)))?;
            }
        }
        if self.shown.layers {
            writeln!(out, "[{n}]    Total: {}", p.blue(self.shown.total(layers)))?;
        }
        Ok(())
    }

    fn write_platform(&mut self, n: usize, platform: &Platform) -> fmt::Result {
        let Self { out, p, .. } = self;
        writeln!(out, "[{n}]    -      OS: {}", p.green(&platform.os))?;
        if !platform.os_version.is_empty() {
            writeln!(out, "[{n}]    - OS Vers: {}", p.green(&platform.os_version))?;
        }
        if !platform.os_features.is_empty() {
            writeln!(out, "[{n}]    - OS Feat: {}", p.green(features(platform)))?;
        }
        writeln!(out, "[{n}]    -    Arch: {}", p.green(&platform.architecture))?;
        if !platform.variant.is_empty() {
            writeln!(out, "[{n}]    - Variant: {}", p.green(&platform.variant))?;
        }
        Ok(())
    }
}

fn features(platform: &Platform) -> String {
    let features: Vec<String> = platform.os_features.iter().map(ToString::to_string).collect();
    format!("[{}]", features.join(" "))
}

impl Shown {
    /// Formats a size in bytes.
    fn size(&self, bytes: u64) -> String {
        if self.now.is_some() { size_text(bytes) } else { bytes.to_string() }
    }

    /// Describes the number of distinct layers and their total size.
    fn total(&self, layers: &[Descriptor]) -> String {
        let distinct: HashMap<&Digest, u64> = layers.iter().map(|layer| (&layer.digest, layer.size)).collect();
        let bytes = distinct.values().fold(0u64, |sum, size| sum.saturating_add(*size));
        let size = if self.now.is_some() { size_text(bytes) } else { format!("{bytes} bytes") };
        let layers = distinct.len();
        format!("{layers} layer{}, {size}", if layers == 1 { "" } else { "s" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Manifest, parse_manifest};

    #[test]
    fn colours_are_bold_and_escapes_from_the_registry_are_removed() {
        let body = br#"{"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"x\u001b[2Jy","digest":"DIGEST","size":7}]}"#;
        let digest = Digest::sha256(b"");
        let body = String::from_utf8_lossy(body).replace("DIGEST", digest.as_str());
        let Ok((Manifest::Index(index), media_type)) = parse_manifest(body.as_bytes(), "") else { panic!("an index") };
        let inspection = Inspection {
            descriptor: Descriptor::new(&media_type, digest.clone()),
            bytes: body.into(),
            content: Content::Index(index, vec![Child::Other]),
            referrers: None,
        };
        let shown = |colour| Shown { colour, layers: false, annotations: false, now: None };
        let text = inspection_text("a:1", &inspection, &[], shown(Colour::Always));
        assert!(text.starts_with("Name:   \x1b[1;32ma:1\x1b[0m (Type: "), "{text:?}");
        assert!(text.contains("[1]     Type: \x1b[1;32mx [2Jy\x1b[0m\n"), "{text:?}");
        assert!(!inspection_text("a:1", &inspection, &[], shown(Colour::Never)).contains('\x1b'));
    }
}
