use std::fmt;

use crate::image::{Digest, LayoutReference, Location, Reference, Transport};

/// Replaces the `/` between the components of a repository in the name of its layout's folder. No repository has this
/// character. A folder per component would not do: the layout of `team/app` cannot contain the layout of `team/app/tools`.
const SEPARATOR: &str = "+";

/// Returns the path of the repository that a layout stands for. `folder` is the path of the layout below the folder of a
/// sync.
pub(crate) fn repository_path(folder: &str) -> String {
    folder.replace(SEPARATOR, "/")
}

/// An image that the name of a folder of `dir:` stands for, as `skopeo sync` names it: `REPOSITORY:TAG` or
/// `REPOSITORY@DIGEST`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FolderName {
    /// The path of the repository. A `_` replaces the `:` before a port, which a repository cannot contain.
    pub(crate) path: String,
    pub(super) tag: Option<String>,
    pub(crate) digest: Option<Digest>,
}

impl FolderName {
    /// Parses the path of a folder below that of a sync.
    pub(crate) fn parse(name: &str) -> Self {
        let (folders, image) = name.rsplit_once('/').unwrap_or(("", name));
        let (image, tag, digest) = match (image.split_once('@'), image.rsplit_once(':')) {
            (Some((image, digest)), _) => (image, None, Digest::parse(digest).ok()),
            (None, Some((image, tag))) => (image, Some(tag.to_owned()), None),
            (None, None) => (image, None, None),
        };
        let path = format!("{}/{image}", folders.replace(':', "_"));
        Self { path: path.trim_start_matches('/').to_owned(), tag, digest }
    }
}

/// Where a sync writes: below a prefix of repositories in a registry, or below a folder that gets one layout per
/// repository, or one folder of `dir:` per image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SyncTarget {
    /// A registry, with or without the first components of a repository.
    Registry(String),
    /// The path of a folder.
    Folder(String),
    /// The path of a folder that gets a folder of `dir:` for each image, `REPOSITORY:TAG`, as `skopeo sync` writes it.
    Dirs(String),
}

impl SyncTarget {
    /// Parses a target: `HOST[/PATH]`, `oci:FOLDER` or `dir:FOLDER`.
    ///
    /// # Errors
    /// The text is neither, or names a single image.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let prefix = text.strip_prefix("docker://").unwrap_or(text).trim_end_matches('/');
        let parsed = text.parse::<Location>();
        match &parsed {
            Ok(Location::Layout(LayoutReference { transport, .. })) if transport.is_written_whole() => {
                return Err(format!(
                    "\"{text}\" is {transport}:, which cannot hold several repositories; use oci:FOLDER or dir:FOLDER"
                ));
            }
            Ok(Location::Layout(LayoutReference { transport, name: None, digest: None, path })) => {
                let folder = path.trim_end_matches('/');
                let folder = if folder.is_empty() { path.clone() } else { folder.to_owned() };
                return Ok(if *transport == Transport::Dir { Self::Dirs(folder) } else { Self::Folder(folder) });
            }
            Ok(location @ Location::Layout(_)) => {
                let meant = location.without_name();
                return Err(format!("\"{text}\" has a name; the target is a folder, such as \"{meant}\""));
            }
            Ok(Location::Registry(_)) | Err(_) => {}
        }
        match (format!("{prefix}/x").parse::<Reference>(), parsed) {
            (Ok(_), _) => Ok(Self::Registry(prefix.to_owned())),
            (Err(_), Ok(Location::Registry(reference))) => {
                let meant = reference.without_name();
                Err(format!(
                    "\"{text}\" has a tag or digest; the target is a prefix of repositories, such as \"{meant}\""
                ))
            }
            (Err(_), Err(error)) => Err(error.to_string()),
            (Err(error), Ok(Location::Layout(_))) => Err(error.to_string()),
        }
    }

    /// Returns the repository or layout for a source. `path` is the path of the source; without `is_scoped`, only its
    /// last component counts.
    ///
    /// # Errors
    /// A registry or a folder cannot have a repository of this name.
    pub(crate) fn repository(&self, path: &str, is_scoped: bool) -> Result<Location, String> {
        let path = if is_scoped { path } else { path.rsplit('/').next().unwrap_or(path) };
        match self {
            Self::Registry(prefix) => {
                let repository = format!("{prefix}/{path}").parse::<Reference>().map_err(|error| error.to_string())?;
                match (repository.tag(), repository.digest()) {
                    (None, None) => Ok(repository.into()),
                    _ => Err(format!("\"{path}\" cannot be part of a repository's name")),
                }
            }
            Self::Folder(folder) => {
                let name = path.replace('/', SEPARATOR);
                if matches!(name.as_str(), "" | "." | "..") || name.contains(':') {
                    return Err(format!("\"{path}\" cannot be the name of a layout"));
                }
                let path = format!("{}/{name}", folder.trim_end_matches('/'));
                Ok(layout(Transport::Oci, path))
            }
            Self::Dirs(folder) => {
                if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
                    return Err(format!("\"{path}\" cannot be the name of a folder"));
                }
                Ok(layout(Transport::Dir, format!("{}/{path}", folder.trim_end_matches('/'))))
            }
        }
    }

    /// Returns a repository below the target, for its registry. `None` for a folder.
    pub(crate) fn example(&self) -> Option<Location> {
        match self {
            Self::Registry(prefix) => format!("{prefix}/x").parse().ok(),
            Self::Folder(_) | Self::Dirs(_) => None,
        }
    }
}

fn layout(transport: Transport, path: String) -> Location {
    Location::Layout(LayoutReference { transport, path, name: None, digest: None })
}

impl fmt::Display for SyncTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(prefix) => f.write_str(prefix),
            Self::Folder(folder) => write!(f, "oci:{folder}"),
            Self::Dirs(folder) => write!(f, "dir:{folder}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_prefix_of_repositories_or_a_folder() {
        let registry = |prefix: &str| Ok(SyncTarget::Registry(prefix.into()));
        let folder = |path: &str| Ok(SyncTarget::Folder(path.into()));
        for (text, parsed) in [
            ("r.io/mirror", registry("r.io/mirror")),
            ("docker://r.io/mirror/", registry("r.io/mirror")),
            ("r.io", registry("r.io")),
            ("localhost:5000", registry("localhost:5000")),
            ("localhost:5000/", registry("localhost:5000")),
            ("oci:mirror", folder("mirror")),
            ("oci:./a/b/", folder("./a/b")),
            ("oci:/", folder("/")),
            ("dir:mirror/", Ok(SyncTarget::Dirs("mirror".into()))),
        ] {
            assert_eq!(SyncTarget::parse(text), parsed, "{text}");
        }
        for (text, reason) in [
            ("r.io/mirror:v1", "has a tag or digest; the target is a prefix of repositories, such as \"r.io/mirror\""),
            ("oci:mirror:v1", "has a name; the target is a folder, such as \"oci:mirror\""),
            ("oci-archive:a.tar", "is oci-archive:, which cannot hold several repositories; use oci:FOLDER"),
            ("./mirror", "an image is HOST/REPOSITORY:TAG, oci:FOLDER"),
            ("R.io/Mirror", "repository names are lowercase"),
            ("", "empty"),
        ] {
            let error = SyncTarget::parse(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn a_folder_of_dir_is_named_after_its_image() {
        let digest = Digest::sha256(b"");
        let by_digest = format!("q.io/app@{digest}");
        for (name, path, tag, digest) in [
            ("app:v1", "app", Some("v1"), None),
            ("q.io:5000/team/app:v1", "q.io_5000/team/app", Some("v1"), None),
            (&by_digest, "q.io/app", None, Some(digest)),
            ("app", "app", None, None),
            ("app@x", "app", None, None),
        ] {
            let expected = FolderName { path: path.into(), tag: tag.map(str::to_owned), digest };
            assert_eq!(FolderName::parse(name), expected, "{name}");
        }
    }

    #[test]
    fn a_repository_keeps_its_last_component_or_its_whole_path() {
        let at = |target: &str, path: &str, is_scoped: bool| {
            let repository = SyncTarget::parse(target).unwrap().repository(path, is_scoped);
            repository.map(|repository| repository.to_string())
        };
        let ok = |text: &str| Ok(text.to_owned());
        for (target, path, is_scoped, expected) in [
            ("r.io/mirror", "quay.io/team/app", false, ok("r.io/mirror/app")),
            ("r.io/mirror", "quay.io/team/app", true, ok("r.io/mirror/quay.io/team/app")),
            ("r.io/mirror", "localhost_5000/app", true, ok("r.io/mirror/localhost_5000/app")),
            ("localhost:5000", "quay.io/team/app", false, ok("localhost:5000/app")),
            ("docker.io", "quay.io/app", false, ok("docker.io/library/app")),
            ("oci:mirror", "quay.io/team/app", false, ok("oci:mirror/app")),
            ("oci:mirror", "localhost_5000/team/app", true, ok("oci:mirror/localhost_5000+team+app")),
            ("oci:/", "q.io/blobs", false, ok("oci:/blobs")),
            ("dir:mirror", "quay.io/team/app", true, ok("dir:mirror/quay.io/team/app")),
        ] {
            assert_eq!(at(target, path, is_scoped), expected, "{target} {path}");
        }
        for (target, path, reason) in [
            ("r.io/mirror", "[__1]_5000/app", "may have only a-z and 0-9"),
            ("r.io/mirror", "app:v1", "\"app:v1\" cannot be part of a repository's name"),
            ("r.io/mirror", "my app", "may have only"),
            ("oci:mirror", "..", "\"..\" cannot be the name of a layout"),
            ("dir:mirror", "a/../b", "\"a/../b\" cannot be the name of a folder"),
            ("oci:mirror", "", "\"\" cannot be the name of a layout"),
        ] {
            let error = at(target, path, true).unwrap_err();
            assert!(error.contains(reason), "{target} {path}: {error}");
        }
    }
}
