use std::fmt;

use serde::{Serialize, Serializer};

use super::nearest_reference::without_user;
use super::transport::{is_other_transport, of_layout, of_registry_url, translated};
use super::{Digest, Reference, ReferenceError, UntrustedText, one_line, visible};

/// The location of an image in a registry or in a local OCI image layout, in skopeo's syntax.
///
/// A registry location is `HOST/REPOSITORY:TAG`, optionally with the prefix `docker://`. A layout is
/// `oci:FOLDER[:NAME]` or `oci-archive:FILE[:NAME]`, where a digest (`@sha256:...`) may replace the name. The first `:`
/// ends the path.
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
    /// An image in a layout, or a whole layout.
    Layout(LayoutReference),
}

/// An image in a layout, or a whole layout.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LayoutReference {
    /// Whether the layout is a tar archive rather than a folder.
    pub archive: bool,
    /// Path of the folder or archive, as the user wrote it.
    pub path: String,
    /// Value of `org.opencontainers.image.ref.name` in `index.json`.
    pub name: Option<String>,
    /// Digest of the manifest.
    pub digest: Option<Digest>,
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
    /// [`check_tag`](super::check_tag).
    #[must_use]
    pub fn with_tag(&self, tag: &str) -> Self {
        match self {
            Self::Registry(reference) => Self::Registry(reference.with_tag(tag)),
            Self::Layout(layout) => {
                Self::Layout(LayoutReference { name: Some(tag.to_owned()), digest: None, ..layout.clone() })
            }
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

/// Writes one line of visible characters for messages, because names may come from a layout and paths from a spec.
impl fmt::Display for LayoutReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, &visible(&self.path), self.name.as_deref().map(one_line).as_deref())
    }
}

impl LayoutReference {
    fn write(&self, f: &mut impl fmt::Write, path: &str, name: Option<&str>) -> fmt::Result {
        write!(f, "{}:{path}", if self.archive { "oci-archive" } else { "oci" })?;
        if let Some(name) = name {
            write!(f, ":{name}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// Serializes the exact text, including control characters.
impl Serialize for Location {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Registry(reference) => serializer.collect_str(reference),
            Self::Layout(layout) => {
                let mut exact = String::new();
                layout.write(&mut exact, &layout.path, layout.name.as_deref()).map_err(serde::ser::Error::custom)?;
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
    let layout = |archive, rest| {
        let parsed = parse_layout(archive, rest).map(Location::Layout);
        parsed.map_err(|reason| format!("invalid layout \"{}\": {reason}", shortened(text)).into())
    };
    if let Some(meant) = text.strip_prefix("oci:").and_then(of_registry_url) {
        let message = format!("invalid reference \"{}\": leave out the \"oci://\"", shortened(text));
        return Err(Invalid { message, meant: Some(meant.to_owned()) });
    }
    match text.split_once(':') {
        Some(("oci", rest)) if !is_port(rest) => layout(false, rest),
        Some(("oci-archive", rest)) if !is_port(rest) => layout(true, rest),
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
                let meant = of_layout(text).or_else(|| error.suggestion().map(str::to_owned));
                Invalid { message: format!("{}{supported}", error.message()), meant }
            })
        }
    }
}

/// The supported forms, for messages about an unsupported path or transport.
const SUPPORTED: &str = "an image is HOST/REPOSITORY:TAG, oci:FOLDER or oci-archive:FILE";

/// Returns whether text starts with a port, as in `oci:5000/app:v1` for a host named `oci`. For a folder named like a
/// port, users write `oci:./5000/app`.
fn is_port(rest: &str) -> bool {
    let port = rest.split('/').next().unwrap_or_default();
    rest.contains('/') && port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok()
}

fn parse_layout(archive: bool, rest: &str) -> Result<LayoutReference, &'static str> {
    if rest.len() > MAX_LENGTH || rest.chars().any(char::is_control) {
        return Err("path and name must have at most 4096 bytes and no control characters");
    }
    let (rest, digest) = match rest.rsplit_once('@') {
        Some((rest, digest)) if digest.starts_with("sha256:") || digest.starts_with("sha512:") => {
            let digest = Digest::parse(digest).map_err(|_| "the digest after \"@\" is invalid")?;
            (rest, Some(digest))
        }
        _ => (rest, None),
    };
    let drive = if has_drive(rest) { 2 } else { 0 };
    let colon = rest.match_indices(':').map(|(at, _)| at).find(|at| *at >= drive);
    let (path, name) = match colon.and_then(|at| rest.split_at_checked(at)) {
        Some((path, name)) => (path, name.strip_prefix(':')),
        None => (rest, None),
    };
    if path.is_empty() {
        return Err("it has no path");
    }
    if name == Some("") {
        return Err("the name after the path is empty");
    }
    Ok(LayoutReference { archive, path: path.to_owned(), name: name.map(str::to_owned), digest })
}

/// Returns whether a path starts with a Windows drive, `C:\folder` or `C:/folder`. This is also safe on other systems,
/// because no name starts with a slash.
fn has_drive(path: &str) -> bool {
    matches!(path.as_bytes(), [letter, b':', b'\\' | b'/', ..] if letter.is_ascii_alphabetic())
}

/// Maximum length of path and name, as for paths on Linux, in bytes.
const MAX_LENGTH: usize = 4096;

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
            ("/tmp/x", "oci:FOLDER or oci-archive:FILE"),
            ("~/x", "oci:FOLDER or oci-archive:FILE"),
            ("dir:/tmp/x", "the transport dir: is not supported; an image is HOST/REPOSITORY:TAG, oci:FOLDER"),
            ("dir:x", "the transport dir: is not supported"),
            ("docker-archive:x", "the transport docker-archive: is not supported"),
            ("docker-archive:x.tar:app:v1", "the transport docker-archive: is not supported"),
            ("docker-daemon:app:v1", "the transport docker-daemon: is not supported"),
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
            ("dir:x", None),
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
        fn a_displayed_location_is_parsed_unchanged(text in "(oci:|oci-archive:|docker://)?[a-z0-9./:@]{0,20}") {
            if let Ok(location) = text.parse::<Location>() {
                proptest::prop_assert_eq!(location.to_string().parse::<Location>(), Ok(location));
            }
        }
    }
}
