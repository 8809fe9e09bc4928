use clap::Args;

use super::batch::{BatchRunner, Reporter, fail_all};
use super::console::Console;
use super::credentials::Registries;
use super::exit_status::ExitStatus;
use super::failure::Failure;
#[cfg(feature = "openpgp")]
use super::key_files::keyrings;
use super::key_files::public_keys;
use super::output::CommandOutput;
use super::parts::DocumentParts;
use super::platform_arg::platform;
use super::read_batch;
use super::references::{NamedLocation, locations, repository};
use super::render::{Body, Either, VerificationJson, plural, verification_text};
use super::session::Session;
use super::verify_targets::VerifyTargets;
use crate::image::{Platform, Reference, UntrustedText, media_type};
use crate::registry::StopReason;
use crate::store::Store;
use crate::verify::{Verification, Verifier, VerifyOptions};

/// Check that images and indexes are complete and match their digests
#[derive(Debug, Args)]
#[command(
    after_help = "Reports every problem, and exits with code 5 if there are any. On a terminal,\nit also shows each image on stderr as soon as it is checked.\n\n--platforms also reports missing and additional platforms. --referrer reports\nimages without an SBOM or other artifact of that type.\n\n--key reports the index and each image without a valid signature by one of the\nkeys, as cosign and sign make them: in cosign's .sig tag, in a Sigstore bundle,\nor beside the image in dir:. Signatures by certificates (keyless) do not count.\nA signature that names a repository must name that of the image, or that of\n--signed-as if it was copied from there. --signatures lists the signatures.\n\n--tags verifies the tags of one repository that match a pattern with * and ?,\nexcept tags of signatures and referrers (sha256-...), which need a pattern that\nstarts with sha256-. Content that tags share is checked once.\n\nExample:\n  manifest-tool verify registry.example/app:v1\n  manifest-tool verify --layers oci-archive:app.tar\n  manifest-tool verify --platforms linux/amd64,linux/arm64 \\\n      registry.example/app:v2\n  manifest-tool verify --referrer application/spdx+json registry.example/app:v2\n  manifest-tool verify --key cosign.pub registry.example/app:v2\n  manifest-tool verify --tags 'v1*' registry.example/app"
)]
pub(super) struct Verify {
    /// Images or indexes to verify; with --tags, a repository
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    /// Verify the tags that match, such as 'v1.*'
    #[arg(long, num_args = 1, value_delimiter = ',', value_name = "PATTERN")]
    tags: Vec<String>,
    /// Check every layer's digests, compressed and uncompressed
    #[arg(long)]
    layers: bool,
    /// Require exactly these (comma-separated)
    #[arg(long, num_args = 1, value_delimiter = ',', value_name = "OS/ARCH[/VARIANT]", value_parser = platform(), hide_possible_values = true)]
    platforms: Vec<Platform>,
    /// Require one per image (repeatable)
    #[arg(long, value_name = "ARTIFACT-TYPE", value_parser = artifact_type)]
    referrer: Vec<UntrustedText>,
    /// List the signatures of the index and each image
    #[arg(long)]
    signatures: bool,
    /// Require a valid signature by one of these public keys (repeatable)
    #[arg(long, value_name = "FILE")]
    key: Vec<String>,
    /// Also accept a signature in dir: by an OpenPGP key (repeatable)
    #[cfg(feature = "openpgp")]
    #[arg(long, value_name = "FILE")]
    openpgp_key: Vec<String>,
    /// Accept signatures of this repository, from which it was copied
    #[arg(long, value_name = "REPOSITORY")]
    signed_as: Option<Reference>,
    /// Hide the progress display
    #[arg(long)]
    no_progress: bool,
}

impl Verify {
    pub(super) fn run(self, session: &Session) -> Result<CommandOutput, Failure> {
        let console = &*session.console;
        let targets = self.targets()?;
        let keys = public_keys(&self.key)?;
        #[cfg(feature = "openpgp")]
        let openpgp_keys = keyrings(&self.openpgp_key)?;
        #[cfg(feature = "openpgp")]
        let has_key = !keys.is_empty() || !openpgp_keys.is_empty();
        #[cfg(not(feature = "openpgp"))]
        let has_key = !keys.is_empty();
        if self.signed_as.is_some() && !has_key {
            return Err(Failure::usage("--signed-as needs --key: it is the repository that signatures must name"));
        }
        let client = session.client(&Registries::read(targets.locations()))?;
        let store = Store::new(client.clone());
        let options = VerifyOptions {
            layers: self.layers,
            platforms: self.platforms,
            referrers: self.referrer,
            signatures: self.signatures,
            keys,
            #[cfg(feature = "openpgp")]
            openpgp_keys,
            signed_as: self.signed_as.map(|repository| repository.without_name()),
        };
        let verifier = Verifier::new(&store, &options);
        let mut reporter = VerifyReporter::new(console, self.signatures);
        if !self.no_progress {
            console.show_checks();
        }
        let verify = async |item: &NamedLocation| verifier.verify(&item.location).await;
        let activity = Some(targets.activity()).filter(|_| !self.no_progress);
        let runner: BatchRunner<'_> = read_batch::runner(&store, session);
        let mut total = 0;
        let verified = session.block_on(&client, activity, async {
            let items = targets.items(&store, console).await?;
            total = items.len();
            if total > 1 {
                console.name_targets();
            }
            runner.run(&items, verify, &mut reporter).await
        });
        let summarizes = matches!(targets, VerifyTargets::Tags { .. }) && total > 0;
        reporter.end(verified, total, summarizes, client.cancel_token().reason())
    }

    fn targets(&self) -> Result<VerifyTargets, Failure> {
        if self.tags.is_empty() {
            return Ok(VerifyTargets::References(locations(&self.images)?));
        }
        let repository = repository(&self.images)?;
        Ok(VerifyTargets::Tags { repository, patterns: self.tags.clone() })
    }
}

fn artifact_type(text: &str) -> Result<UntrustedText, String> {
    match media_type::is_well_formed(text) {
        true => Ok(text.into()),
        false => Err("expected an artifact type, such as application/spdx+json".into()),
    }
}

struct VerifyReporter<'a> {
    console: &'a Console,
    parts: DocumentParts<Either<VerificationJson>>,
    counts: VerifyCounts,
    lists_signatures: bool,
    /// The failures of references with parts that could not be checked.
    unchecked: Vec<(String, Failure)>,
}

/// The numbers of references with each result.
#[derive(Default)]
struct VerifyCounts {
    sound: usize,
    unsound: usize,
    /// Without a finding, but with parts that could not be checked.
    unchecked: usize,
    unreadable: usize,
}

impl VerifyCounts {
    fn summary(&self) -> String {
        let Self { sound, unsound, unchecked, unreadable } = self;
        let total = sound + unsound + unchecked + unreadable;
        let plural = plural(total);
        format!(
            "{total} tag{plural}: {sound} sound, {unsound} unsound, {unchecked} not wholly checked, {unreadable} unreadable"
        )
    }
}

impl<'a> VerifyReporter<'a> {
    fn new(console: &'a Console, lists_signatures: bool) -> Self {
        let parts = DocumentParts::collect_if(console.is_json());
        Self { console, parts, counts: VerifyCounts::default(), lists_signatures, unchecked: Vec::new() }
    }

    /// Combines the results of all references into the output of the command. Prints a summary if `summarizes`.
    fn end(
        self,
        verified: Result<(), Failure>,
        total: usize,
        summarizes: bool,
        stopped: Option<StopReason>,
    ) -> Result<CommandOutput, Failure> {
        let Self { console, parts, counts, unchecked, .. } = self;
        let is_unsound = counts.unsound > 0;
        // Report these even if other references could not be read. Stopping the run also ends checks that wait for a
        // retry, so use the exit status of the stop.
        let checked = fail_all(console, unchecked, "cannot be checked completely", total);
        let result = match (verified, checked.map_err(|failure| failure.stopped(stopped))) {
            (Err(failure), Err(unchecked)) => {
                console.error(&unchecked);
                Err(failure)
            }
            (verified, checked) => verified.and(checked),
        };
        if summarizes {
            console.info(counts.summary());
        }
        let result = match result {
            Ok(()) if is_unsound => Ok(ExitStatus::Unsound),
            Ok(()) => Ok(ExitStatus::Done),
            // A finding is certain even if other parts could not be checked.
            Err(failure) if is_unsound && failure.status() == ExitStatus::Failed => {
                Err(failure.with_status(ExitStatus::Unsound))
            }
            Err(failure) => Err(failure),
        };
        CommandOutput::document(console, Body::Verify { images: parts.into_vec() }, result)
    }
}

impl Reporter for VerifyReporter<'_> {
    type Item = NamedLocation;
    type Report = Verification;

    fn report(&mut self, item: &NamedLocation, result: Result<Verification, &Failure>) -> Result<(), Failure> {
        let name = &item.name;
        let verification = match result {
            Ok(verification) => verification,
            Err(failure) => {
                self.counts.unreadable += 1;
                return self.parts.push(|| Either::Failed(failure.part(name)));
            }
        };
        *match (verification.findings.is_empty(), verification.is_sound()) {
            (false, _) => &mut self.counts.unsound,
            (true, true) => &mut self.counts.sound,
            (true, false) => &mut self.counts.unchecked,
        } += 1;
        let unchecked = Failure::unchecked(name, &verification.unchecked);
        self.unchecked.extend(unchecked.map(|failure| (name.clone(), failure)));
        if !self.console.is_json() {
            self.console.data_for_reader(verification_text(name, &verification, self.lists_signatures))?;
        }
        self.parts.push(|| Either::Result(VerificationJson::new(name, &verification)))
    }
}
