//! The edits of the simulated writers. They are the real ones; because they are pure, their results are cached for
//! all schedules of a test, which makes planning cheap.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::super::super::addition::Addition;
use super::super::super::existing::{Existing, ExistingManifest};
use super::super::super::merge::Chosen;
use super::super::super::merge::tests::{entries, index};
use super::super::super::plan::Plan;
use super::super::super::plan::tests::image;
use super::super::super::plan_error::PlanError;
use super::super::super::remove::Removal;
use super::super::super::resolve::Resolved;
use super::super::Edit;
use super::bugs::Bug;
use crate::image::{Descriptor, Digest, Index, IndexKind, Location, Manifest, index_bytes, parse_manifest};
use crate::spec::{Form, Spec};

pub const PLATFORMS: [&str; 5] = ["linux/amd64", "linux/arm64", "linux/s390x", "linux/riscv64", "linux/386"];

/// The version of the image for each platform, if the index lists one.
pub type Versions = [Option<u8>; PLATFORMS.len()];

/// What a writer changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    /// Adds images.
    Append(Versions),
    /// Removes the image for a platform. The version is the one that the writer saw first.
    Remove { platform: usize, version: u8, by_digest: bool },
    /// Replaces the index without looking at it, as a push without `--append`.
    Replace(Versions),
}

/// An index that was written to the registry.
#[derive(Clone)]
pub struct Content {
    pub existing: Existing,
    pub versions: Versions,
    /// Whether the index lists each image once.
    pub is_distinct: bool,
}

/// The maximum number of results of each kind, which limits the memory of long runs.
const MAX_CACHED: usize = 10_000;

type Key = (Change, Option<Digest>);

/// The results of edits, by the edit and the digest of the index that it changes.
pub struct EditCache {
    pub target: Location,
    plans: Mutex<HashMap<Key, Result<Plan, PlanError>>>,
    unchanged: Mutex<HashMap<Key, Result<Plan, PlanError>>>,
    applied: Mutex<HashMap<(Key, Option<Digest>), bool>>,
    contents: Mutex<HashMap<Digest, Content>>,
}

pub fn digest_of(platform: usize, version: u8) -> Digest {
    descriptor(platform, version).digest
}

fn descriptor(platform: usize, version: u8) -> Descriptor {
    entries(&format!("{version}a{platform} {}", PLATFORMS[platform])).remove(0)
}

fn descriptors(versions: &Versions) -> Vec<Descriptor> {
    let versions = versions.iter().enumerate();
    versions.filter_map(|(platform, version)| Some(descriptor(platform, (*version)?))).collect()
}

/// Describes an index: `amd64:1 arm64:2`.
pub fn shown(versions: &Versions) -> String {
    let name = |platform: usize| PLATFORMS[platform].trim_start_matches("linux/");
    let images = versions.iter().enumerate().filter_map(|(at, version)| Some(format!("{}:{}", name(at), (*version)?)));
    images.collect::<Vec<_>>().join(" ")
}

impl EditCache {
    pub fn new() -> Self {
        let target = "r.io/whole:v1".parse().unwrap();
        let (plans, unchanged, applied, contents) = <_>::default();
        Self { target, plans, unchanged, applied, contents }
    }

    /// Returns the index that lists these images, and its bytes.
    pub fn index_of(&self, versions: &Versions) -> (Descriptor, Bytes) {
        let bytes = Bytes::from(index_bytes(IndexKind::Oci, &index(&descriptors(versions))).unwrap());
        let descriptor = Descriptor::new(IndexKind::Oci.media_type(), Digest::sha256(&bytes));
        (Descriptor { size: bytes.len() as u64, ..descriptor }, bytes)
    }

    /// Parses an index that is written, so that it can be read.
    pub fn add_content(&self, descriptor: &Descriptor, bytes: &Bytes) {
        let mut contents = self.contents.lock().unwrap();
        contents.entry(descriptor.digest.clone()).or_insert_with(|| Content::new(descriptor, bytes));
    }

    pub fn content(&self, digest: &Digest) -> Content {
        self.contents.lock().unwrap()[digest].clone()
    }

    pub fn versions(&self, digest: Option<&Digest>) -> Versions {
        digest.map(|digest| self.contents.lock().unwrap()[digest].versions).unwrap_or_default()
    }

    pub fn existing(&self, digest: Option<&Digest>) -> Existing {
        digest.map_or(Existing::Missing, |digest| self.content(digest).existing)
    }

    /// Calls `f` with the edit that production code makes for a change.
    fn with_edit<T>(&self, change: Change, f: impl FnOnce(&dyn Edit) -> T) -> T {
        let target = &self.target;
        match change {
            Change::Append(versions) => {
                let spec = Spec::new(&target.to_string(), Form::Oci, &["r.io/whole:part"]).unwrap();
                let spec = Spec { append: true, sources: Vec::new(), ..spec };
                let images = descriptors(&versions).into_iter().map(image).collect();
                let resolved = &Resolved { images, ..Resolved::default() };
                f(&Addition { spec: &spec, target, resolved, children: Vec::new(), strict: false })
            }
            Change::Remove { platform, version, by_digest } => {
                let Descriptor { platform, digest, .. } = descriptor(platform, version);
                let chosen = match platform.filter(|_| !by_digest) {
                    Some(platform) => Chosen::Platform(platform, digest),
                    None => Chosen::Digest(digest),
                };
                f(&Removal { target, chosen: &[chosen] })
            }
            Change::Replace(_) => panic!("a replacement does not converge"),
        }
    }
}

impl Content {
    fn new(descriptor: &Descriptor, bytes: &Bytes) -> Self {
        let Ok((Manifest::Index(index), _)) = parse_manifest(bytes, "") else { panic!("an index") };
        let mut versions = Versions::default();
        for (platform, slot) in versions.iter_mut().enumerate() {
            let lists = |version: &u8| lists(&index, &digest_of(platform, *version));
            *slot = (0..10).find(lists);
        }
        let is_distinct = versions.iter().flatten().count() == index.manifests.len();
        let (descriptor, bytes, kind) = (descriptor.clone(), bytes.clone(), IndexKind::Oci);
        let manifest = ExistingManifest { descriptor, bytes, kind, index, is_index: true, no_platform: None };
        Self { existing: Existing::Manifest(Box::new(manifest)), versions, is_distinct }
    }
}

fn lists(index: &Index, digest: &Digest) -> bool {
    index.manifests.iter().any(|entry| entry.digest == *digest)
}

/// Returns the result for a key from a cache, or computes and adds it. A full cache starts over.
fn cached<K: Eq + Hash, V: Clone>(cache: &Mutex<HashMap<K, V>>, key: K, compute: impl FnOnce() -> V) -> V {
    let mut cache = cache.lock().unwrap();
    if cache.len() >= MAX_CACHED && !cache.contains_key(&key) {
        cache.clear();
    }
    cache.entry(key).or_insert_with(compute).clone()
}

/// The edit of one writer.
pub struct CachedEdit {
    pub edits: Arc<EditCache>,
    pub change: Change,
    pub bug: Option<Bug>,
}

impl CachedEdit {
    fn key(&self, existing: &Existing) -> Key {
        (self.change, existing.digest().cloned())
    }
}

impl Edit for CachedEdit {
    fn plan(&self, existing: &Existing) -> Result<Plan, PlanError> {
        let plan = || self.edits.with_edit(self.change, |edit| edit.plan(existing));
        cached(&self.edits.plans, self.key(existing), plan)
    }

    fn still_applied(&self, existing: &Existing, before: &Existing) -> bool {
        if self.bug == Some(Bug::AnyContentCountsAsApplied) {
            return true;
        }
        let check = || self.edits.with_edit(self.change, |edit| edit.still_applied(existing, before));
        cached(&self.edits.applied, (self.key(existing), before.digest().cloned()), check)
    }

    fn plan_unchanged(&self, existing: &Existing) -> Result<Plan, PlanError> {
        let plan = || self.edits.with_edit(self.change, |edit| edit.plan_unchanged(existing));
        cached(&self.edits.unchanged, self.key(existing), plan)
    }
}
