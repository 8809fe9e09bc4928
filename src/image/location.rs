use std::fmt;

use serde::{Serialize, Serializer};

use super::layout_reference::familiar;
use super::nearest_reference::without_user;
use super::other_transports::{is_other_transport, meant_transport, of_registry_url, translated};
use super::{Digest, LayoutReference, Reference, ReferenceError, Transport, UntrustedText};

/// The location of an image in a registry or outside of one, in skopeo's syntax.
///
/// A registry location is `HOST/REPOSITORY:TAG`, optionally with the prefix `docker://`. Every other location begins
/// with its [`Transport`], as in `oci:FOLDER[:NAME]` or `docker-archive:FILE[:REF]`; see [`LayoutReference`].
///
/// ```
/// use manifest_tool::image::Location;
/// let layout: Location = "oci:build/amd64:v1".parse()?;
/// assert_eq!((layout.tag(), layout.to_string()), (Some("v1"), "oci:build/amd64:v1".to_owned()));
/// # Ok::<(), manifest_tool::image::LocationError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Location {
    /// An image or repository in a registry.
    Registry(Reference),
    /// An image outside of a registry, or a whole layout.
    Layout(LayoutReference),
}

/// The error for text that is not a location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocationError {
    message: UntrustedText,
    meant: Option<UntrustedText>,
}

impl LocationError {
    /// Returns the message without the suggestion.
    #[must_use]
    pub fn message(&self) -> &str {
        self.message.as_str()
    }

    /// Returns the location that was probably meant.
    #[must_use]
    pub fn suggestion(&self) -> Option<&UntrustedText> {
        self.meant.as_ref()
    }
}

impl fmt::Display for LocationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message.fmt(f)?;
        self.meant.iter().try_for_each(|meant| write!(f, "; did you mean \"{meant}\"?"))
    }
}

impl std::error::Error for LocationError {}

impl Location {
    /// Returns the reference of a registry location.
    #[must_use]
    pub fn reference(&self) -> Option<&Reference> {
        match self {
            Self::Registry(reference) => Some(reference),
            Self::Layout(_) => None,
        }
    }

    /// Returns the location outside of a registry.
    #[must_use]
    pub fn layout(&self) -> Option<&LayoutReference> {
        match self {
            Self::Registry(_) => None,
            Self::Layout(layout) => Some(layout),
        }
    }

    /// Returns the reference, with a tag, by which Docker knows the image; `None` if the location does not say it.
    pub(crate) fn docker_reference(&self) -> Option<Reference> {
        match self {
            Self::Registry(reference) => reference.tag().map(|tag| reference.without_name().with_tag(tag)),
            Self::Layout(layout) => layout.docker_reference(),
        }
    }

    /// Names an image in a Docker archive after its source, if that has a reference.
    pub(crate) fn named_like(&self, source: &Self) -> Self {
        match (self, source.docker_reference()) {
            (Self::Layout(layout), Some(reference)) if layout.transport.is_docker() => {
                Self::Layout(layout.with_name(&familiar(&reference)))
            }
            _ => self.clone(),
        }
    }

    /// Whether a target is written as a whole, at the end of a run; see [`Transport::is_written_whole`].
    #[must_use]
    pub fn is_written_whole(&self) -> bool {
        self.layout().is_some_and(|layout| layout.transport.is_written_whole())
    }

    /// Returns the tag, or the name in a layout.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        match self {
            Self::Registry(reference) => reference.tag(),
            Self::Layout(layout) => layout.name.as_deref(),
        }
    }

    /// Returns the digest, if any.
    #[must_use]
    pub fn digest(&self) -> Option<&Digest> {
        match self {
            Self::Registry(reference) => reference.digest(),
            Self::Layout(layout) => layout.digest.as_ref(),
        }
    }

    /// Returns a location by digest in this repository or layout.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        match self {
            Self::Registry(reference) => Self::Registry(reference.with_digest(digest)),
            Self::Layout(layout) => {
                Self::Layout(LayoutReference { name: None, digest: Some(digest), ..layout.clone() })
            }
        }
    }

    /// Returns a location by tag in this repository or layout. The tag must have passed
    /// [`check_tag`](super::check_tag). Images without names (`dir:`, `docker-daemon:`) have no tags, so the result does not exist.
    #[must_use]
    pub fn with_tag(&self, tag: &str) -> Self {
        match self {
            Self::Registry(reference) => Self::Registry(reference.with_tag(tag)),
            Self::Layout(layout) => Self::Layout(layout.with_name(tag)),
        }
    }

    /// Returns the location without tag, name and digest.
    #[must_use]
    pub fn without_name(&self) -> Self {
        match self {
            Self::Registry(reference) => Self::Registry(reference.without_name()),
            Self::Layout(layout) => Self::Layout(LayoutReference { name: None, digest: None, ..layout.clone() }),
        }
    }

    /// Returns whether both are in the same repository or layout.
    #[must_use]
    pub fn same_repository(&self, other: &Self) -> bool {
        self.without_name() == other.without_name()
    }
}

impl From<Reference> for Location {
    fn from(reference: Reference) -> Self {
        Self::Registry(reference)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(reference) => reference.fmt(f),
            Self::Layout(layout) => layout.fmt(f),
        }
    }
}

/// Serializes the exact text, including control characters.
impl Serialize for Location {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Registry(reference) => serializer.collect_str(reference),
            Self::Layout(layout) => {
                let mut exact = String::new();
                layout.write_exact(&mut exact).map_err(serde::ser::Error::custom)?;
                serializer.serialize_str(&exact)
            }
        }
    }
}

impl std::str::FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        parse(text).map_err(|Invalid { message, meant }| {
            let meant = meant.filter(|meant| parse(meant).is_ok()).map(UntrustedText::from);
            LocationError { message: message.into(), meant }
        })
    }
}

/// Why text is not a location, and a correction that may not be one either.
struct Invalid {
    message: String,
    meant: Option<String>,
}

impl From<String> for Invalid {
    fn from(message: String) -> Self {
        Self { message, meant: None }
    }
}

fn parse(text: &str) -> Result<Location, Invalid> {
    if let Some(meant) = text.strip_prefix("oci:").and_then(of_registry_url) {
        let message = format!("invalid reference \"{}\": leave out the \"oci://\"", shortened(text));
        return Err(Invalid { message, meant: Some(meant.to_owned()) });
    }
    let transport = text.split_once(':').map(|(word, rest)| (Transport::from_prefix(word), rest));
    if let Some((Some(transport), rest)) = transport
        && !is_port(rest)
    {
        let parsed = LayoutReference::parse(transport, rest).map(Location::Layout);
        let kind = if transport.is_oci() { "layout" } else { "location" };
        return parsed.map_err(|reason| format!("invalid {kind} \"{}\": {reason}", shortened(text)).into());
    }
    match text.split_once(':') {
        Some((transport, rest)) if is_other_transport(transport) && !is_port(rest) => {
            let shown = shortened(text);
            let message = format!("\"{shown}\": the transport {transport}: is not supported; {SUPPORTED}");
            Err(Invalid { message, meant: translated(transport, rest) })
        }
        _ => {
            let reference = text.strip_prefix("docker://").unwrap_or(text).parse();
            reference.map(Location::Registry).map_err(|error: ReferenceError| {
                let is_path = text.starts_with(['/', '.', '~']);
                let supported = if is_path { format!("; {SUPPORTED}") } else { String::new() };
                let meant = meant_transport(text).or_else(|| error.suggestion().map(str::to_owned));
                Invalid { message: format!("{}{supported}", error.message()), meant }
            })
        }
    }
}

/// The supported forms, for messages about an unsupported path or transport.
const SUPPORTED: &str = "an image is HOST/REPOSITORY:TAG, oci:FOLDER, oci-archive:FILE, docker-archive:FILE, dir:FOLDER or docker-daemon:REF";

/// Returns whether text starts with a port, as in `oci:5000/app:v1` for a host named `oci`. For a folder named like a
/// port, users write `oci:./5000/app`.
fn is_port(rest: &str) -> bool {
    let port = rest.split('/').next().unwrap_or_default();
    rest.contains('/') && port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok()
}

/// Returns at most 300 characters of the text, without a user name and a password.
fn shortened(text: &str) -> String {
    without_user(text).chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_locations_are_normalized() {
        let digest = Digest::sha256(b"");
        for (text, normal) in [
            ("a:1", "docker.io/library/a:1".to_owned()),
            ("docker://r.io/a:1", "r.io/a:1".into()),
            ("oci:5000/a:1", "oci:5000/a:1".into()),
            ("dir:5000/a:1", "dir:5000/a:1".into()),
            ("docker:dind", "docker.io/library/docker:dind".into()),
            ("oci:dir", "oci:dir".into()),
            ("oci:./dir/x:v1", "oci:./dir/x:v1".into()),
            ("oci:dir:docker.io/library/a:1", "oci:dir:docker.io/library/a:1".into()),
            ("oci-archive:/tmp/a b.tar:v1", "oci-archive:/tmp/a b.tar:v1".into()),
            (&format!("oci:dir@{digest}"), format!("oci:dir@{digest}")),
            ("dir:/tmp/a:b", "dir:/tmp/a:b".into()),
            ("docker-archive:a.tar:r.io:5000/app:v1", "docker-archive:a.tar:r.io:5000/app:v1".into()),
            ("docker-archive:a.tar:@1", "docker-archive:a.tar:@1".into()),
            ("docker-daemon:app:v1", "docker-daemon:app:v1".into()),
            (&format!("docker-daemon:{digest}"), format!("docker-daemon:{digest}")),
            ("oci:d@x:v1", "oci:d@x:v1".into()),
        ] {
            let location: Location = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(location.to_string(), normal, "{text}");
        }
        assert!("oci:5000/a:1".parse::<Location>().unwrap().reference().is_some(), "a host with a port");
        assert!("oci:5000:v1".parse::<Location>().unwrap().reference().is_none());
    }

    #[test]
    fn a_windows_drive_belongs_to_the_path() {
        for (text, path, name) in [
            (r"oci:C:\build\amd64:v1", r"C:\build\amd64", Some("v1")),
            ("oci-archive:d:/out.tar", "d:/out.tar", None),
            ("oci:C:v1", "C", Some("v1")),
        ] {
            match text.parse() {
                Ok(Location::Layout(layout)) => {
                    assert_eq!((layout.path.as_str(), layout.name.as_deref()), (path, name))
                }
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn invalid_locations_are_rejected_with_a_reason() {
        for (text, reason) in [
            ("oci:dir@sha256:abc", "the digest after \"@\" is invalid"),
            ("oci:", "it has no path"),
            ("oci::v1", "it has no path"),
            ("oci:dir:", "the name after the path is empty"),
            ("oci-archive:a\nb", "no control characters"),
            ("docker://r.io/A:1", "lowercase"),
            ("http://r.io/a:1", "leave out"),
            ("/tmp/x", "oci:FOLDER, oci-archive:FILE, docker-archive:FILE"),
            ("~/x", "dir:FOLDER or docker-daemon:REF"),
            ("dir:", "it has no path"),
            ("docker-archive:x.tar:App:v1", "\"App:v1\" is not a reference"),
            ("docker-archive:x.tar:app@", "is not a reference"),
            ("docker-daemon:", "it has no path"),
            ("docker-daemon:App:v1", "\"App:v1\" is not a reference"),
            ("file:x", "the transport file: is not supported; an image is HOST/REPOSITORY:TAG, oci:FOLDER"),
            ("containers-storage:r.io/app:v1", "the transport containers-storage: is not supported"),
            ("ocidir:folder:v1", "the transport ocidir: is not supported"),
            ("oci-layout://folder:v1", "the transport oci-layout: is not supported"),
            ("docker-image://r.io/app:v1", "the transport docker-image: is not supported"),
        ] {
            let error = text.parse::<Location>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn an_invalid_location_gets_the_one_that_was_meant() {
        for (text, meant) in [
            ("https://r.io/app:v1", Some("r.io/app:v1")),
            ("oci://r.io/app:v1", Some("r.io/app:v1")),
            ("docker-image://r.io/app:v1", Some("r.io/app:v1")),
            ("Docker://r.io/App:v1", Some("r.io/app:v1")),
            ("oci-layout://folder:v1", Some("oci:folder:v1")),
            ("ocidir:folder:v1", Some("oci:folder:v1")),
            ("ociarchive:app.tar:v1", Some("oci-archive:app.tar:v1")),
            ("OCI:out", Some("oci:out")),
            ("OCI-Archive:out.tar", Some("oci-archive:out.tar")),
            ("oci-archve:./out.tar", Some("oci-archive:./out.tar")),
            ("oci:5000/A:v1", Some("oci:5000/a:v1")),
            ("Docker-Archive:out.tar", Some("docker-archive:out.tar")),
            ("docker-deamon:app:v1", Some("docker-daemon:app:v1")),
            ("Dir:out", Some("dir:out")),
            ("tarball:out.tar", Some("docker-archive:out.tar")),
            ("/tmp/x", None),
            ("oci:", None),
        ] {
            let error = text.parse::<Location>().unwrap_err();
            assert_eq!(error.suggestion().map(UntrustedText::as_str), meant, "{text}");
        }
        assert!("oci:///tmp/x:v1".parse::<Location>().is_ok() && "oci://folder/x".parse::<Location>().is_ok());
    }

    #[test]
    fn locations_of_one_layout_share_the_repository() {
        let a: Location = "oci:dir:a".parse().unwrap();
        assert!(a.same_repository(&"oci:dir:b".parse().unwrap()));
        assert!(!a.same_repository(&"oci-archive:dir:a".parse().unwrap()));
        assert_eq!(a.with_tag("c").to_string(), "oci:dir:c");
        assert_eq!(a.with_digest(Digest::sha256(b"")).tag(), None);
    }

    proptest::proptest! {
        #[test]
        fn a_displayed_location_is_parsed_unchanged(text in "(oci:|oci-archive:|docker-archive:|dir:|docker-daemon:|docker://)?[a-z0-9./:@]{0,20}") {
            if let Ok(location) = text.parse::<Location>() {
                proptest::prop_assert_eq!(location.to_string().parse::<Location>(), Ok(location));
            }
        }
    }
}
