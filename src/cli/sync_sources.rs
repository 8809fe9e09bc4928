//! The repositories and layouts that a sync reads, and their lists of tags.

use std::path::{Path, PathBuf};

use futures_util::stream::{self, StreamExt as _};

use super::failure::Failure;
use crate::image::{LayoutReference, Location, Transport, UntrustedText};
use crate::store::{self, Store};
use crate::sync::{FolderName, RepositoryRules, SyncRules, repository_path};

/// The file that every image of `dir:` has.
const DIR_MANIFEST: &str = "manifest.json";
/// The file that every layout has.
const LAYOUT_FILE: &str = "oci-layout";
/// The folder of a layout's content. It contains no other layout.
const CONTENT_FOLDER: &str = "blobs";
/// The maximum depth of layouts below a folder.
const MAX_DEPTH: usize = 32;
/// The maximum number of lists that are read concurrently.
const CONCURRENCY: usize = 16;

/// The tags of a source, if its rules need them.
pub(super) struct TagListing<'r> {
    pub(super) rules: &'r RepositoryRules,
    pub(super) tags: Result<Vec<UntrustedText>, store::Error>,
}

/// Returns the rules for a repository, an image, a layout, or a folder of layouts: all tags of each.
///
/// # Errors
/// A folder cannot be read, or has no layout.
pub(super) fn rules_of(from: &Location) -> Result<SyncRules, Failure> {
    let repositories = match from {
        Location::Registry(_) => vec![RepositoryRules::of_location(from, None)],
        Location::Layout(layout) if layout.transport.is_docker() => {
            let why = "is neither a registry nor oci: nor dir:; use copy";
            return Err(Failure::usage(format!("\"{layout}\" {why}")));
        }
        Location::Layout(layout) if layout.transport == Transport::Dir => dirs_below(layout)?,
        Location::Layout(layout)
            if layout.transport.is_archive_file() || from.tag().is_some() || from.digest().is_some() =>
        {
            vec![RepositoryRules::of_location(from, Some(base_name(layout)?))]
        }
        Location::Layout(layout) if is_layout(Path::new(&layout.path)) => {
            vec![RepositoryRules::of_location(from, Some(base_name(layout)?))]
        }
        Location::Layout(layout) => layouts_below(layout)?,
    };
    Ok(SyncRules { repositories, ..SyncRules::default() })
}

/// Whether a folder is a layout.
pub(super) fn is_layout(folder: &Path) -> bool {
    folder.join(LAYOUT_FILE).is_file()
}

/// Returns the path of the repository that a layout stands for, by the last component of its own path.
fn base_name(layout: &LayoutReference) -> Result<String, Failure> {
    let resolved = std::fs::canonicalize(&layout.path).unwrap_or_else(|_| layout.path.clone().into());
    let name = if layout.transport.is_archive_file() { resolved.file_stem() } else { resolved.file_name() };
    let name = name.and_then(|name| name.to_str()).map(str::to_owned);
    let name = name.map(|name| repository_path(&name));
    name.ok_or_else(|| Failure::usage(format!("\"{layout}\" has no name for a repository")))
}

/// Finds the layouts below a folder, sorted by path.
fn layouts_below(root: &LayoutReference) -> Result<Vec<RepositoryRules>, Failure> {
    let mut found = Vec::new();
    let mut unvisited = vec![(String::new(), 0)];
    while let Some((path, depth)) = unvisited.pop() {
        let folder = match path.as_str() {
            "" => PathBuf::from(&root.path),
            path => Path::new(&root.path).join(path),
        };
        let is_layout = depth > 0 && is_layout(&folder);
        if is_layout {
            found.push(path.clone());
        }
        for name in subfolders(&folder)? {
            if depth < MAX_DEPTH && !(is_layout && name == CONTENT_FOLDER) {
                unvisited.push((if path.is_empty() { name } else { format!("{path}/{name}") }, depth + 1));
            }
        }
    }
    if found.is_empty() {
        return Err(Failure::new(format!("{root} contains no layout: no folder below it has a file {LAYOUT_FILE}")));
    }
    found.sort_unstable();
    let rules = |path: String| {
        let layout = LayoutReference { path: format!("{}/{path}", root.path.trim_end_matches('/')), ..root.clone() };
        RepositoryRules::of_location(&Location::Layout(layout), Some(repository_path(&path)))
    };
    Ok(found.into_iter().map(rules).collect())
}

/// Finds the images of `dir:` below a folder, or the one in it. Their names are those that `skopeo sync` gives them.
fn dirs_below(root: &LayoutReference) -> Result<Vec<RepositoryRules>, Failure> {
    let mut found = Vec::new();
    let mut unvisited = vec![(root.path.trim_end_matches('/').to_owned(), 0)];
    while let Some((path, depth)) = unvisited.pop() {
        if Path::new(&path).join(DIR_MANIFEST).is_file() {
            found.push(path);
        } else if depth < MAX_DEPTH {
            let folders = subfolders(Path::new(&path))?;
            unvisited.extend(folders.into_iter().map(|name| (format!("{path}/{name}"), depth + 1)));
        }
    }
    if found.is_empty() {
        return Err(Failure::new(format!("{root} contains no image: no folder below it has a file {DIR_MANIFEST}")));
    }
    found.sort_unstable();
    let rules = |path: String| {
        let below = path.strip_prefix(root.path.trim_end_matches('/')).unwrap_or(&path).trim_start_matches('/');
        let name = if below.is_empty() { path.rsplit('/').next().unwrap_or(&path) } else { below };
        let FolderName { path: repository, digest, .. } = FolderName::parse(name);
        let image = LayoutReference { path, digest, ..root.clone() };
        RepositoryRules::of_location(&Location::Layout(image), Some(repository))
    };
    Ok(found.into_iter().map(rules).collect())
}

/// Returns the names of the folders in a folder. Symbolic links are not followed. A name that is not UTF-8 cannot be
/// that of a repository.
fn subfolders(folder: &Path) -> Result<Vec<String>, Failure> {
    let unreadable = |error: std::io::Error| {
        let folder = UntrustedText::from(folder.to_string_lossy().into_owned());
        Failure::new(format!("cannot read {folder}: {error}"))
    };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if entry.file_type().map_err(unreadable)?.is_dir() {
            names.extend(entry.file_name().into_string());
        }
    }
    Ok(names)
}

/// Lists the tags of the sources whose rules need them, or of all.
pub(super) async fn list<'r>(store: &Store, all: &'r [RepositoryRules], needs_all: bool) -> Vec<TagListing<'r>> {
    let list = async |rules: &'r RepositoryRules| {
        let tags = match needs_all || rules.need_list() {
            true => store.tags(&rules.repository, usize::MAX).await,
            false => Ok(Vec::new()),
        };
        TagListing { rules, tags }
    };
    stream::iter(all).map(list).buffered(CONCURRENCY).collect().await
}
