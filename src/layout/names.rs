//! Finds the images of a layout by name.

use std::collections::{HashMap, HashSet};

use super::error::Error;
use super::{CONTAINERD_NAME, REF_NAME};
use crate::image::{
    Annotations, Descriptor, Digest, Index, LayoutReference, Reference, Transport, UntrustedText, familiar,
};

/// The names of an image that is written.
pub(super) struct Names {
    /// The short name, `org.opencontainers.image.ref.name`.
    short: Option<String>,
    /// The full reference, `io.containerd.image.name`, by which containerd and Docker name what they load.
    full: Option<Reference>,
    /// Whether an image replaces the one with the same full reference, rather than the same short name.
    by_full: bool,
}

impl Names {
    /// Returns the names for a location, of an image that is `known_as` a reference.
    pub(super) fn of(at: &LayoutReference, known_as: Option<&Reference>) -> Self {
        let full = match at.transport {
            // containerd does not read folders.
            Transport::Oci | Transport::Dir => None,
            _ => at.docker_reference().or_else(|| known_as.cloned()),
        };
        let tag = full.as_ref().and_then(Reference::tag).map(str::to_owned);
        match at.transport.is_docker() {
            true => Self { short: tag, full, by_full: true },
            false => Self { short: at.name.clone(), full, by_full: false },
        }
    }

    /// Returns the annotation that tells images apart, and its value.
    pub(super) fn key(&self) -> Option<(&'static str, String)> {
        match self.by_full {
            true => self.full.as_ref().map(|full| (CONTAINERD_NAME, full.to_string())),
            false => self.short.clone().map(|short| (REF_NAME, short)),
        }
    }

    /// Names an entry of `index.json`.
    pub(super) fn write(&self, annotations: &mut Annotations) {
        for (key, name) in
            [(REF_NAME, self.short.clone()), (CONTAINERD_NAME, self.full.as_ref().map(Reference::to_string))]
        {
            annotations.remove(key);
            if let Some(name) = name {
                annotations.insert(key.into(), name.into());
            }
        }
    }
}

/// Finds an image by name or digest. Without either, there must be exactly one.
pub(super) fn find(index: &Index, at: &LayoutReference) -> Result<Descriptor, Error> {
    if at.transport.has_no_names() && at.name.is_some() {
        return Err(Error::missing(at, format!("an image of {}: has no name", at.transport)));
    }
    let mut entries: Vec<&Descriptor> = match (&at.digest, &at.name) {
        (Some(digest), _) => index.manifests.iter().filter(|entry| entry.digest == *digest).collect(),
        (None, Some(_)) if at.docker_position().is_some() => at_position(index, at).into_iter().collect(),
        (None, Some(name)) => named(index, at, name),
        (None, None) => index.manifests.iter().collect(),
    };
    // Prefer the only named entry: referrers are listed without a name.
    let is_named = |entry: &&Descriptor| entry.annotations.contains_key(REF_NAME);
    if !at.transport.is_docker() && at.digest.is_none() && entries.iter().filter(|entry| is_named(entry)).count() == 1 {
        entries.retain(is_named);
    }
    entries.dedup_by(|a, b| a.digest == b.digest);
    let kind = kind(at.transport);
    match (entries.as_slice(), &at.digest) {
        ([only], _) => Ok((*only).clone()),
        // `index.json` does not list the children of an index.
        ([], Some(digest)) => Ok(Descriptor::new("", digest.clone())),
        ([], None) => Err(Error::missing(at, format!("not found in the {kind}; {}", list(index)))),
        (several, _) if at.name.is_some() => {
            Err(Error::new(at, format!("the {kind} has several images with this name; {}", ways(several))))
        }
        _ => Err(Error::new(at, format!("the {kind} holds several images; choose one by name; {}", list(index)))),
    }
}

/// Returns the word for what holds the images.
pub(super) fn kind(transport: Transport) -> &'static str {
    match transport {
        Transport::Oci | Transport::OciArchive => "layout",
        Transport::Dir => "folder",
        Transport::DockerArchive => "archive",
        Transport::DockerDaemon => "engine",
    }
}

/// Returns the entries with a name. A short name is preferred to the full name of another image.
fn named<'i>(index: &'i Index, at: &LayoutReference, name: &str) -> Vec<&'i Descriptor> {
    if at.transport.is_docker() {
        let wanted = at.docker_reference().map(|wanted| wanted.to_string());
        let is_wanted = |entry: &&Descriptor| reference(entry, REF_NAME) == wanted;
        return index.manifests.iter().filter(is_wanted).collect();
    }
    let with = |key| {
        let is = |entry: &&Descriptor| entry.annotations.get(key).is_some_and(|value| value == name);
        index.manifests.iter().filter(is).collect::<Vec<_>>()
    };
    Some(with(REF_NAME)).filter(|entries| !entries.is_empty()).unwrap_or_else(|| with(CONTAINERD_NAME))
}

/// Returns the image at a position in a Docker archive. An image with several names counts once.
fn at_position<'i>(index: &'i Index, at: &LayoutReference) -> Option<&'i Descriptor> {
    let mut seen = HashSet::new();
    let mut images = index.manifests.iter().filter(|entry| seen.insert(&entry.digest));
    images.nth(at.docker_position()?)
}

fn reference(entry: &Descriptor, key: &str) -> Option<String> {
    let reference: Reference = entry.annotations.get(key)?.parse().ok()?;
    Some(reference.to_string())
}

/// Replaces each short name by the reference by which Docker knows the image.
pub(super) fn use_references(index: &mut Index) {
    for entry in &mut index.manifests {
        let full = entry.annotations.get(CONTAINERD_NAME).and_then(|name| name.parse::<Reference>().ok());
        if let Some(full) = full {
            entry.annotations.insert(REF_NAME.into(), familiar(&full).into());
        }
    }
}

/// Returns the distinct names by which images are found.
pub(super) fn all(index: &Index) -> Vec<UntrustedText> {
    let (short, mut seen) = (ShortNames::of(index), HashSet::new());
    let names = index.manifests.iter().filter_map(|entry| short.name(entry));
    names.filter(|name| seen.insert(name.as_str())).cloned().collect()
}

/// The images with each short name. Docker saves `app:v1` and `other:v1` with one short name, `v1`.
struct ShortNames<'i>(HashMap<&'i str, HashSet<&'i Digest>>);

impl<'i> ShortNames<'i> {
    fn of(index: &'i Index) -> Self {
        let mut images: HashMap<&str, HashSet<&Digest>> = HashMap::new();
        for entry in &index.manifests {
            if let Some(name) = entry.annotations.get(REF_NAME) {
                images.entry(name.as_str()).or_default().insert(&entry.digest);
            }
        }
        Self(images)
    }

    /// Returns the name that finds only this image, if it has one; else any name.
    fn name<'e>(&self, entry: &'e Descriptor) -> Option<&'e UntrustedText> {
        let [short, full] = [REF_NAME, CONTAINERD_NAME].map(|key| entry.annotations.get(key));
        let is_ambiguous = |name: &UntrustedText| self.0.get(name.as_str()).is_some_and(|images| images.len() > 1);
        match (short, full) {
            (Some(short), Some(full)) if is_ambiguous(short) => Some(full),
            (short, full) => short.or(full),
        }
    }
}

/// The maximum number of images in a message.
const MAX_LISTED: usize = 20;

/// Lists the images for an error message.
fn list(index: &Index) -> String {
    let short = ShortNames::of(index);
    let name = |entry: &Descriptor| match short.name(entry) {
        Some(name) => format!(":{name}"),
        None => format!("@{}", entry.digest),
    };
    let mut names: Vec<String> = index.manifests.iter().take(MAX_LISTED).map(name).collect();
    names.dedup();
    let more = if index.manifests.len() > MAX_LISTED { ", and more" } else { "" };
    if names.is_empty() { "it is empty".into() } else { format!("it holds {}{more}", names.join(", ")) }
}

/// Lists the ways to choose one of several images with one name.
fn ways(entries: &[&Descriptor]) -> String {
    let way = |entry: &&Descriptor| match entry.annotations.get(CONTAINERD_NAME) {
        Some(name) => format!(":{name}"),
        None => format!("@{}", entry.digest),
    };
    let ways: Vec<String> = entries.iter().take(MAX_LISTED).map(way).collect();
    format!("use {}", ways.join(" or "))
}
