//! What a registry does with images for several platforms, found out by trying.

mod check;
mod forms;
mod repository;
mod samples;
mod tags;
mod ways;

use crate::event::{Check, Event, Need, Verdict};
use crate::image::{Digest, Reference};
use crate::registry::{Client, ErrorKind};
use crate::store::{Error, Store};
use check::Found;
use samples::Sample;

/// How to try.
#[derive(Debug, Clone, Default)]
pub struct ProbeOptions {
    /// No other repository than that of the images, as where an account has one alone.
    pub one_repository: bool,
    /// What was pushed stays.
    pub keep: bool,
}

/// What was found out about a registry.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Report {
    /// Everything that was tried, in order.
    pub checks: Vec<Check>,
    /// Manifests of the trial that could not be deleted.
    pub left: Vec<Digest>,
}

impl Report {
    /// Whether the registry does all that manifest-tool needs.
    #[must_use]
    pub fn is_enough(&self) -> bool {
        let passed = |check: &&Check| check.verdict == Verdict::Pass;
        let needed = |need| self.checks.iter().filter(move |check| check.need == need);
        needed(Need::Yes).all(|check| passed(&check)) && needed(Need::OneOf).any(|check| passed(&check))
    }
}

/// A trial that is under way.
struct Probe<'c> {
    client: &'c Client,
    repository: Reference,
    /// Part of every tag and every manifest of this trial, so that nothing of anyone else's is written or deleted.
    id: String,
    samples: Vec<Sample>,
    /// Manifests that were pushed, in order.
    pushed: Vec<Digest>,
    /// Tags that were written, by which registries may have to be asked to let go of a manifest.
    tags: Vec<String>,
    /// Those of them that were read back, which have to be listed.
    seen: Vec<String>,
    /// How many tags the repository has, where that was told.
    count: usize,
    /// A blob that was mounted into another repository.
    mounted: Option<(Reference, Digest)>,
    report: Report,
}

/// Tries out the registry of some images, in their repository: new images are made of their layers, and put into
/// indexes of every kind. Each check is reported as [`Event::Checked`] when it is done.
///
/// # Errors
/// The images cannot be read, or the run was to end. What the registry does not do is not an error.
pub async fn probe(store: &Store, images: &[Reference], options: &ProbeOptions) -> Result<Report, Error> {
    let Some(first) = images.first() else { return Ok(Report::default()) };
    let mut probe = Probe {
        client: store.client(),
        repository: first.without_name(),
        id: std::iter::repeat_with(|| fastrand::alphanumeric().to_ascii_lowercase()).take(8).collect(),
        samples: Vec::new(),
        pushed: Vec::new(),
        tags: Vec::new(),
        seen: Vec::new(),
        count: 0,
        mounted: None,
        report: Report::default(),
    };
    store.client().will_push(&probe.repository);
    let tried = probe.all(images, options).await;
    if !options.keep {
        probe.clean().await;
    }
    tried.map(|()| probe.report)
}

impl Probe<'_> {
    async fn all(&mut self, images: &[Reference], options: &ProbeOptions) -> Result<(), Error> {
        use Need::{No, OneOf, Yes};
        let client = self.client;
        let note = |report: &mut Report, name, need, found: Found| {
            let check = Check { name, need, verdict: found.verdict, reason: found.reason };
            client.events().emit(&Event::Checked(check.clone()));
            report.checks.push(check);
        };
        let found = self.images(images).await?;
        let is_good = found.verdict == Verdict::Pass;
        note(&mut self.report, "images", Yes, found);
        if !is_good {
            return Ok(());
        }
        macro_rules! checks {
            ($($need:ident $name:literal $check:expr;)*) => {$(
                let found = match $check.await {
                    Err(error) if matches!(error.kind, ErrorKind::Stopped(_)) => return Err(error.into()),
                    Err(error) => Found::fail(error.to_string()),
                    Ok(found) => found,
                };
                note(&mut self.report, $name, $need, found);
            )*};
        }
        checks! {
            OneOf "Docker manifest list" self.docker_list();
            OneOf "OCI index" self.oci_index();
            No "OCI index of Docker images" self.docker_in_oci();
            No "Docker list of OCI images" self.oci_in_docker();
            No "annotations of the index" self.index_annotations();
            No "annotations of entries" self.entry_annotations();
            No "index in an index" self.nested();
            No "attestations" self.attestations();
            No "artifact type" self.artifact_type();
            No "subject" self.subject();
            No "referrers" self.referrers();
            Yes "further tags" self.further_tags();
            Yes "same tag again" self.same_tag();
            No "tag that moves" self.moved_tag();
            Yes "read after write" self.read_after_write();
            No "several tags at once" self.several_tags();
            No "missing image" self.missing_image();
            No "HEAD" self.head();
            No "mount" self.mount(options.one_repository);
            No "list of tags" self.tag_list();
            No "list in pages" self.tag_pages();
            No "error bodies" self.error_bodies();
            No "rate limit" self.rate_limit();
            No "deleting a tag" self.delete_tag();
            No "deleting a manifest" self.delete_manifest();
        }
        Ok(())
    }
}
