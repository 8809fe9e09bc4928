//! A push whose result is checked in the registry: two images of one repository, assembled in another repository under
//! three tags that point at an older index.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use super::faults::{Fault, FaultProxy};
use super::images::{OCI_INDEX, push_image};
use super::scripted_server::ReceivedRequest;
use super::{Outcome, Registry, command};

pub const TAGS: [&str; 3] = ["v1", "v1.2", "latest"];

/// The index that all tags point at before the push.
const OLD_INDEX: &[u8] = br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;

pub struct PushFixture {
    pub registry: Registry,
    layers: [String; 2],
    targets: AtomicUsize,
}

impl PushFixture {
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

    /// Creates a repository in which all tags point at the old index, and returns its name.
    pub fn new_target(&self) -> String {
        let repository = format!("target{:04}", self.targets.fetch_add(1, Ordering::SeqCst));
        for tag in TAGS {
            self.registry.push_manifest(&repository, tag, OCI_INDEX, OLD_INDEX);
        }
        repository
    }

    /// Starts a proxy in front of the registry. Mounting the first layer opens an upload session instead; mounting
    /// the second is refused with HTTP 405.
    pub fn proxy(
        &self,
        choose_fault: impl Fn(&ReceivedRequest) -> Option<Fault> + Send + Sync + 'static,
    ) -> FaultProxy {
        self.proxy_to(&self.registry.host, choose_fault)
    }

    /// Starts the same proxy in front of another server, which is itself in front of the registry.
    pub fn proxy_to(
        &self,
        upstream: &str,
        choose_fault: impl Fn(&ReceivedRequest) -> Option<Fault> + Send + Sync + 'static,
    ) -> FaultProxy {
        let [with_session, refused] = self.layers.clone().map(|digest| format!("?mount={digest}"));
        let rewrite = move |request: &ReceivedRequest| {
            let mut request = request.clone();
            if let Some(at) = request.line.find(&with_session) {
                request.line.truncate(at);
            }
            request
        };
        FaultProxy::in_front_of_host(upstream, rewrite, move |request| {
            let not_mounted = || Fault::CannedResponse(405, Vec::new(), "");
            choose_fault(request).or_else(|| request.line.contains(&refused).then(not_mounted))
        })
    }

    /// Checks that each tag points at the old index or at a complete new one, and that the program reported each tag
    /// correctly.
    pub fn check(&self, repository: &str, outcome: &Outcome) -> Result<(), String> {
        self.check_except(repository, outcome, &[])
    }

    /// Does the checks of [`Self::check`], but lets the program report the `uncertain` tags as
    /// "not known".
    pub fn check_except(&self, repository: &str, outcome: &Outcome, uncertain: &[&str]) -> Result<(), String> {
        let moved = self.moved_tags(repository)?;
        let reported = |state: &str| -> Vec<usize> {
            let line = outcome.stderr.lines().rev().find(|line| line.contains("written: ") || line.contains("known: "));
            let parts = line.unwrap_or_default().trim().split("; ");
            let tags = parts.filter_map(|part| part.strip_prefix(state)?.strip_prefix(": ")).collect::<String>();
            (0..TAGS.len()).filter(|at| tags.split(", ").any(|tag| tag.ends_with(&format!(":{}", TAGS[*at])))).collect()
        };
        if outcome.exit == 0 {
            let success = moved == [true; 3] && outcome.stdout.starts_with("Digest: sha256:");
            return if success { Ok(()) } else { Err(format!("it reported success, but moved {moved:?}")) };
        }
        let written = reported("written");
        let unwritten = if outcome.stderr.contains("no tag was written") || outcome.stderr.contains("cannot assemble") {
            vec![0, 1, 2]
        } else {
            reported("not written")
        };
        let unknown = reported("not known");
        if unknown.iter().any(|at| !uncertain.contains(&TAGS[*at])) {
            return Err(format!("it reported a known state as not known: moved {moved:?}"));
        }
        let is_correct = written.iter().all(|at| moved[*at]) && unwritten.iter().all(|at| !moved[*at]);
        if !is_correct || written.len() + unwritten.len() + unknown.len() != TAGS.len() {
            return Err(format!("its report does not match the registry: moved {moved:?}"));
        }
        if outcome.stdout.is_empty() && outcome.stderr.contains("error: ") {
            Ok(())
        } else {
            Err("it did not report the failure on stderr only".into())
        }
    }

    /// Returns which tags point at the new index. Fails if a tag points at any other manifest, or if the index is
    /// incomplete.
    pub fn moved_tags(&self, repository: &str) -> Result<[bool; 3], String> {
        let mut moved = [false; 3];
        for (moved, tag) in moved.iter_mut().zip(TAGS) {
            let stored = self.registry.manifest(repository, tag).ok_or(format!("{tag} is gone"))?;
            if stored.bytes == OLD_INDEX {
                continue;
            }
            *moved = true;
            let index: Value = serde_json::from_slice(&stored.bytes).map_err(|_| format!("{tag} is not a manifest"))?;
            let children = index["manifests"].as_array().ok_or(format!("{tag} is not an index"))?;
            if children.len() != 2 {
                return Err(format!("{tag} has {} children", children.len()));
            }
            for child in children {
                self.check_complete(repository, child["digest"].as_str().unwrap())?;
            }
        }
        Ok(moved)
    }

    fn check_complete(&self, repository: &str, digest: &str) -> Result<(), String> {
        let child = self.registry.manifest(repository, digest).ok_or(format!("child {digest} is missing"))?;
        let manifest: Value = serde_json::from_slice(&child.bytes).unwrap();
        let blobs = [&manifest["config"], &manifest["layers"][0]];
        let missing =
            blobs.into_iter().find(|blob| !self.registry.has_blob(repository, blob["digest"].as_str().unwrap()));
        missing.map_or(Ok(()), |blob| Err(format!("{blob} of child {digest} is missing")))
    }
}

/// Returns a command that pushes the two images of [`PushFixture`] to all [`TAGS`] of a repository, through `host`.
pub fn push_command(host: &str, repository: &str, more: &[&str]) -> Command {
    let (template, target) = (format!("{host}/parts:ARCH"), format!("{host}/{repository}:{}", TAGS[0]));
    let tags = TAGS[1..].join(",");
    let push = ["--plain-http", "push", "from-args", "--platforms", "linux/amd64,linux/arm64", "--tags", &tags];
    let args = [&push[..], &["--template", &template, "--target", &target], more].concat();
    command(&std::env::temp_dir(), &args)
}
