use super::check::CheckOutcome;
use super::report::{Probe, ProbeOptions, ProbeReport};
use crate::event::{Check, Event, Need, Verdict};
use crate::image::Reference;
use crate::registry::ErrorKind;
use crate::store::{Error, Store};

/// Tests the registry of the images, in their repository. Pushes new images made from their layers, and indexes of
/// every kind. Reports each finished check as [`Event::Checked`].
///
/// # Errors
/// The images cannot be read, or the run was stopped. A missing feature of the registry is not an error.
pub async fn probe(store: &Store, images: &[Reference], options: &ProbeOptions) -> Result<ProbeReport, Error> {
    let Some(first) = images.first() else { return Ok(ProbeReport::default()) };
    let mut probe = Probe {
        client: store.client(),
        repository: first.without_name(),
        id: std::iter::repeat_with(|| fastrand::alphanumeric().to_ascii_lowercase()).take(8).collect(),
        samples: Vec::new(),
        pushed: Vec::new(),
        tags: Vec::new(),
        readable_tags: Vec::new(),
        tag_count: 0,
        mounted: None,
        report: ProbeReport::default(),
    };
    let _intent = store.client().will_push(&probe.repository);
    let result = probe.run_checks(images, options).await;
    if !options.keep {
        probe.clean_up().await;
    }
    result.map(|()| probe.report)
}

impl Probe<'_> {
    async fn run_checks(&mut self, images: &[Reference], options: &ProbeOptions) -> Result<(), Error> {
        use Need::{No, OneOf, Yes};
        let client = self.client;
        let record = |report: &mut ProbeReport, name, need, outcome: CheckOutcome| {
            let check = Check { name, need, verdict: outcome.verdict, reason: outcome.reason };
            client.events().emit(&Event::Checked(check.clone()));
            report.checks.push(check);
        };
        let outcome = self.push_samples(images).await?;
        let is_pass = outcome.verdict == Verdict::Pass;
        record(&mut self.report, "images", Yes, outcome);
        if !is_pass {
            return Ok(());
        }
        macro_rules! checks {
            ($($need:ident $name:literal $check:expr;)*) => {$(
                let outcome = match $check.await {
                    Err(error) if matches!(error.kind, ErrorKind::Stopped(_)) => return Err(error.into()),
                    Err(error) => CheckOutcome::fail(error.to_string()),
                    Ok(outcome) => outcome,
                };
                record(&mut self.report, $name, $need, outcome);
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
