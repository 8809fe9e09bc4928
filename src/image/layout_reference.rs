use std::fmt;

use super::{Digest, Reference, Transport, one_line, visible};

/// An image outside of a registry, or a whole layout: its [`Transport`], a path, and a name or a digest.
///
/// The first `:` after the transport ends the path, except for `dir:`, which has no names. A digest (`@sha256:...`) may
/// replace the name. For `docker-daemon:`, the path is the reference in Docker's engine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LayoutReference {
    /// How the image is stored.
    pub transport: Transport,
    /// Path of the folder or archive, as the user wrote it; `-` for an archive on standard input or output. For
    /// `docker-daemon:`, a reference.
    pub path: String,
    /// Value of `org.opencontainers.image.ref.name` in `index.json`. In a Docker archive, a reference, or the position
    /// of the image as `@0`.
    pub name: Option<String>,
    /// Digest of the manifest.
    pub digest: Option<Digest>,
}

impl LayoutReference {
    /// Parses the text after the transport.
    pub(super) fn parse(transport: Transport, rest: &str) -> Result<Self, String> {
        if rest.len() > MAX_LENGTH || rest.chars().any(char::is_control) {
            return Err("path and name must have at most 4096 bytes and no control characters".into());
        }
        let (rest, digest) = match rest.rsplit_once('@') {
            Some((rest, digest)) if digest.starts_with("sha256:") || digest.starts_with("sha512:") => {
                let digest = Digest::parse(digest).map_err(|_| "the digest after \"@\" is invalid")?;
                (rest, Some(digest))
            }
            _ => (rest, None),
        };
        let (path, name) = if transport.has_no_names() { (rest, None) } else { split_name(rest) };
        if path.is_empty() {
            return Err("it has no path".into());
        }
        match (transport, name) {
            (_, Some("")) => return Err("the name after the path is empty".into()),
            (Transport::DockerArchive, Some(name)) if position(name).is_none() => check_docker_name(name)?,
            (Transport::DockerDaemon, _) if Digest::parse(path).is_err() => check_docker_name(path)?,
            _ => {}
        }
        Ok(Self { transport, path: path.to_owned(), name: name.map(str::to_owned), digest })
    }

    /// Returns the whole layout or folder, without name and digest.
    #[must_use]
    pub fn without_name(&self) -> Self {
        Self { name: None, digest: None, ..self.clone() }
    }

    /// Returns the image with this name or tag. In a Docker archive, a tag replaces that of the name. Where images have no
    /// names, the result does not exist.
    pub(crate) fn with_name(&self, name: &str) -> Self {
        let reference = self.name.as_deref().and_then(|name| name.parse::<Reference>().ok());
        let name = match (self.transport, reference) {
            (Transport::DockerArchive, Some(reference)) if !name.contains(['/', ':']) => {
                familiar(&reference.with_tag(name))
            }
            _ => name.to_owned(),
        };
        Self { name: Some(name), digest: None, ..self.clone() }
    }

    /// Returns whether the archive is standard input or output.
    pub(crate) fn is_stream(&self) -> bool {
        self.transport.is_archive_file() && self.path == "-"
    }

    /// Returns the reference, with a tag, by which Docker and containerd know the image; `None` if the location does not
    /// say it.
    pub(crate) fn docker_reference(&self) -> Option<Reference> {
        let text = match self.transport {
            // An ID is not a name.
            Transport::DockerDaemon => Some(self.path.as_str()).filter(|path| Digest::parse(path).is_err()),
            Transport::DockerArchive => self.name.as_deref(),
            // A name without a slash is a tag.
            Transport::Oci | Transport::OciArchive => self.name.as_deref().filter(|name| name.contains('/')),
            Transport::Dir => None,
        };
        tagged(text?)
    }

    /// Returns the position of an image in a Docker archive, if it is chosen by that.
    pub(crate) fn docker_position(&self) -> Option<usize> {
        self.name.as_deref().filter(|_| self.transport == Transport::DockerArchive).and_then(position)
    }

    fn write(&self, f: &mut impl fmt::Write, path: &str, name: Option<&str>) -> fmt::Result {
        write!(f, "{}:{path}", self.transport)?;
        if let Some(name) = name {
            write!(f, ":{name}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }

    /// Writes the exact text, including control characters.
    pub(super) fn write_exact(&self, f: &mut impl fmt::Write) -> fmt::Result {
        self.write(f, &self.path, self.name.as_deref())
    }
}

/// Writes one line of visible characters for messages, because names may come from a layout and paths from a spec.
impl fmt::Display for LayoutReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, &visible(&self.path), self.name.as_deref().map(one_line).as_deref())
    }
}

/// Splits a path from the name of an image.
fn split_name(rest: &str) -> (&str, Option<&str>) {
    let drive = if has_drive(rest) { 2 } else { 0 };
    let colon = rest.match_indices(':').map(|(at, _)| at).find(|at| *at >= drive);
    match colon.and_then(|at| rest.split_at_checked(at)) {
        Some((path, name)) => (path, name.strip_prefix(':')),
        None => (rest, None),
    }
}

/// Returns whether a path starts with a Windows drive, `C:\folder` or `C:/folder`. This is also safe on other systems,
/// because no name starts with a slash.
fn has_drive(path: &str) -> bool {
    matches!(path.as_bytes(), [letter, b':', b'\\' | b'/', ..] if letter.is_ascii_alphabetic())
}

/// Parses the position of an image in a Docker archive, such as `@0`.
fn position(name: &str) -> Option<usize> {
    name.strip_prefix('@').filter(|digits| digits.bytes().all(|b| b.is_ascii_digit())).and_then(|n| n.parse().ok())
}

fn check_docker_name(name: &str) -> Result<(), String> {
    match name.parse::<Reference>() {
        Ok(reference) if reference.digest().is_none() => Ok(()),
        Ok(_) => Err(format!("\"{}\" has a digest; Docker names images by tag", one_line(name))),
        Err(error) => Err(format!("\"{}\" is not a reference: {}", one_line(name), error.reason())),
    }
}

/// Parses a reference; without a tag, Docker's default is `latest`.
fn tagged(text: &str) -> Option<Reference> {
    let reference: Reference = text.parse().ok()?;
    Some(if reference.manifest_name().is_none() { reference.with_tag("latest") } else { reference })
}

/// Returns a reference as Docker shows it: without the registry and `library/` of Docker Hub.
pub(crate) fn familiar(reference: &Reference) -> String {
    let text = reference.to_string();
    let short = text.strip_prefix("docker.io/library/").or_else(|| text.strip_prefix("docker.io/"));
    short.unwrap_or(&text).to_owned()
}

/// Maximum length of path and name, as for paths on Linux, in bytes.
const MAX_LENGTH: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Location;

    fn layout(text: &str) -> LayoutReference {
        text.parse::<Location>().unwrap().layout().unwrap().clone()
    }

    #[test]
    fn docker_and_containerd_know_an_image_by_its_full_reference() {
        for (text, expected) in [
            ("docker-archive:a.tar:app", Some("docker.io/library/app:latest")),
            ("docker-archive:a.tar:r.io/app:v1", Some("r.io/app:v1")),
            ("docker-archive:a.tar", None),
            ("docker-archive:a.tar:@0", None),
            ("docker-daemon:team/app:v1", Some("docker.io/team/app:v1")),
            ("oci-archive:a.tar:r.io/app:v1", Some("r.io/app:v1")),
            ("oci-archive:a.tar:v1", None),
            (&format!("docker-daemon:{}", Digest::sha256(b"")), None),
            ("dir:a", None),
        ] {
            let reference = layout(text).docker_reference().map(|reference| reference.to_string());
            assert_eq!(reference.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_tag_in_a_docker_archive_keeps_the_repository() {
        for (text, tag, expected) in [
            ("docker-archive:a.tar:app:v1", "v2", "docker-archive:a.tar:app:v2"),
            ("docker-archive:a.tar:r.io/app", "v2", "docker-archive:a.tar:r.io/app:v2"),
            ("docker-archive:a.tar", "app:v2", "docker-archive:a.tar:app:v2"),
            ("oci:a:v1", "v2", "oci:a:v2"),
        ] {
            assert_eq!(layout(text).with_name(tag).to_string(), expected, "{text}");
        }
    }

    #[test]
    fn an_image_in_a_docker_archive_is_chosen_by_its_position() {
        assert_eq!(layout("docker-archive:a.tar:@12").docker_position(), Some(12));
        assert_eq!(layout("docker-archive:a.tar:app").docker_position(), None);
        assert_eq!(layout("oci-archive:a.tar:@12").docker_position(), None);
    }
}
