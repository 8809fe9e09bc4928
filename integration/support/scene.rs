//! A push whose outcome is read back: two images of one repository into another, with two extra tags, all of which
//! pointed at something else before.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use super::faults::{Fault, Faulty};
use super::images::{OCI_INDEX, push_image};
use super::scripted::Asked;
use super::{Outcome, Registry};

pub const TAGS: [&str; 3] = ["v1", "v1.2", "latest"];

/// What the tags point at before.
const OLD: &[u8] = br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;

pub struct Scene {
    pub registry: Registry,
    layers: [String; 2],
    targets: AtomicUsize,
}

impl Scene {
    pub fn new() -> Self {
        let registry = Registry::start();
        let layers = ["amd64", "arm64"].map(|architecture| {
            let image = push_image(&registry, "parts", architecture, architecture);
            let digest = image["digest"].as_str().unwrap();
            let manifest: Value = serde_json::from_slice(&registry.manifest("parts", digest).unwrap().bytes).unwrap();
            manifest["layers"][0]["digest"].as_str().unwrap().to_owned()
        });
        Self { registry, layers, targets: AtomicUsize::new(0) }
    }

    /// A repository that nothing has been pushed to but what its tags point at.
    pub fn new_target(&self) -> String {
        let repository = format!("target{:04}", self.targets.fetch_add(1, Ordering::SeqCst));
        for tag in TAGS {
            self.registry.push_manifest(&repository, tag, OCI_INDEX, OLD);
        }
        repository
    }

    /// Between a client and the registry; one layer is not mounted but a session opened, another's mount is refused.
    pub fn front(&self, pick: impl Fn(&Asked) -> Option<Fault> + Send + Sync + 'static) -> Faulty {
        let [with_session, refused] = self.layers.clone().map(|digest| format!("?mount={digest}"));
        let rewrite = move |asked: &Asked| {
            let mut asked = asked.clone();
            if let Some(at) = asked.line.find(&with_session) {
                asked.line.truncate(at);
            }
            asked
        };
        Faulty::before(&self.registry, rewrite, move |asked| {
            let not_mounted = || Fault::Instead(405, Vec::new(), "");
            pick(asked).or_else(|| asked.line.contains(&refused).then(not_mounted))
        })
    }

    /// Reads back what a push left: each tag points at what it did, or at an index of which everything is there; and
    /// the program told the truth of all of them.
    pub fn check(&self, repository: &str, outcome: &Outcome) -> Result<(), String> {
        self.check_but(repository, outcome, None)
    }

    /// As [`Self::check`], and this tag alone may be told to be not known.
    pub fn check_but(&self, repository: &str, outcome: &Outcome, open: Option<&str>) -> Result<(), String> {
        let moved = self.moved(repository)?;
        let told = |state: &str| -> Vec<usize> {
            let line = outcome.stderr.lines().rev().find(|line| line.contains("written: ") || line.contains("known: "));
            let parts = line.unwrap_or_default().trim().split("; ");
            let tags = parts.filter_map(|part| part.strip_prefix(state)?.strip_prefix(": ")).collect::<String>();
            (0..TAGS.len()).filter(|at| tags.split(", ").any(|tag| tag.ends_with(&format!(":{}", TAGS[*at])))).collect()
        };
        if outcome.exit == 0 {
            let all = moved == [true; 3] && outcome.stdout.starts_with("Digest: sha256:");
            return if all { Ok(()) } else { Err(format!("it said that it is done, and moved {moved:?}")) };
        }
        let written = told("written");
        let unwritten = if outcome.stderr.contains("no tag was written") || outcome.stderr.contains("cannot assemble") {
            vec![0, 1, 2]
        } else {
            told("not written")
        };
        let unknown = told("not known");
        if unknown.iter().any(|at| open != Some(TAGS[*at])) {
            return Err(format!("what it calls not known can be known: moved {moved:?}"));
        }
        let is_true = written.iter().all(|at| moved[*at]) && unwritten.iter().all(|at| !moved[*at]);
        if !is_true || written.len() + unwritten.len() + unknown.len() != TAGS.len() {
            return Err(format!("what it said is not what is so: moved {moved:?}"));
        }
        if outcome.stdout.is_empty() && outcome.stderr.contains("error: ") {
            Ok(())
        } else {
            Err("a failure is told on stderr alone".into())
        }
    }

    /// Which tags point at the new index, whose children are all there. An error where one points at anything else.
    pub fn moved(&self, repository: &str) -> Result<[bool; 3], String> {
        let mut moved = [false; 3];
        for (moved, tag) in moved.iter_mut().zip(TAGS) {
            let found = self.registry.manifest(repository, tag).ok_or(format!("{tag} is gone"))?;
            if found.bytes == OLD {
                continue;
            }
            *moved = true;
            let index: Value = serde_json::from_slice(&found.bytes).map_err(|_| format!("{tag} is no manifest"))?;
            let children = index["manifests"].as_array().ok_or(format!("{tag} is no index"))?;
            if children.len() != 2 {
                return Err(format!("{tag} has {} children", children.len()));
            }
            for child in children {
                self.whole(repository, child["digest"].as_str().unwrap())?;
            }
        }
        Ok(moved)
    }

    fn whole(&self, repository: &str, digest: &str) -> Result<(), String> {
        let child = self.registry.manifest(repository, digest).ok_or(format!("child {digest} is not there"))?;
        let manifest: Value = serde_json::from_slice(&child.bytes).unwrap();
        let blobs = [&manifest["config"], &manifest["layers"][0]];
        let missing =
            blobs.into_iter().find(|blob| !self.registry.has_blob(repository, blob["digest"].as_str().unwrap()));
        missing.map_or(Ok(()), |blob| Err(format!("{blob} of child {digest} is not there")))
    }
}
