use std::path::{Path, PathBuf};

use clap::Args;

use super::failure::Failure;
use super::input_text::{InputError, read_text};
use super::output::CommandOutput;
use super::render::{ProblemReport, Rule, STDIN};
use super::result_files::OutputFiles;
use super::run_report::ReportFlags;
use super::session::Session;
use super::shard::{Shard, shard};
use super::side_flags::SideFlags;
use super::sync_batch::SyncBatch;
use super::sync_sources;
use crate::image::{Location, UntrustedText};
use crate::sync::{self, SyncRules, SyncTarget};

/// The maximum size of a sync file, in bytes.
const MAX_LENGTH: u64 = 1 << 20;

/// Mirror repositories: copy the selected tags that changed
#[derive(Debug, Args)]
#[command(
    after_help = "FILE is a YAML file in the form of skopeo sync: for each registry, \"images\",\n\"images-by-tag-regex\" and \"images-by-semver\" select tags, and \"exclude\" leaves\nout those that match a regular expression. SRC is a repository, an image,\noci:FOLDER (a layout or a folder of layouts) or dir:FOLDER, as skopeo sync\nwrites it.\n\nA repository keeps the last component of its path below DST; with --scoped, its\nregistry and its whole path. oci:FOLDER gets one layout per repository, which\nsync can copy back. A tag that DST has with the same digest takes one request to\neach registry.\n\n--delete deletes the tags of the written repositories at DST that no source has,\nif every tag was copied. Tags of signatures and referrers (sha256-...) stay. If\nthe registry deletes only whole manifests, a tag stays if another remaining tag\nhas the same digest or a remaining index lists its image.\n\nExample:\n  manifest-tool sync --dry-run sync.yaml registry.example/mirror\n  manifest-tool sync --scoped staging.example/app registry.example/mirror\n  manifest-tool sync staging.example/app oci:mirror"
)]
pub(super) struct Sync {
    /// YAML file (- for stdin), repository, image, oci:FOLDER or dir:FOLDER
    #[arg(value_name = "FILE|SRC")]
    from: String,
    /// Prefix of repositories in a registry, oci:FOLDER or dir:FOLDER
    #[arg(value_name = "DST")]
    to: String,
    /// Keep registry and path of each source below DST
    #[arg(long)]
    scoped: bool,
    /// Copy whole indexes: the default, as for skopeo
    #[arg(long, short)]
    all: bool,
    /// Delete tags at DST that no source has
    #[arg(long, conflicts_with = "shard")]
    delete: bool,
    /// Show what would be written, without writing
    #[arg(long)]
    dry_run: bool,
    /// Continue after a tag has failed: the default
    #[arg(long, conflicts_with = "fail_fast")]
    keep_going: bool,
    /// Start no further tags after one has failed
    #[arg(long)]
    fail_fast: bool,
    /// Copy only this part of the tags, e.g. 2/5
    #[arg(long, value_name = "PART/PARTS", value_parser = shard)]
    shard: Option<Shard>,
    #[command(flatten)]
    report: ReportFlags,
    /// Also write the JSON document to FILE on success
    #[arg(long, value_name = "FILE")]
    metadata_file: Option<PathBuf>,
    /// Hide the progress display
    #[arg(long)]
    no_progress: bool,
    #[command(flatten)]
    sides: SideFlags,
}

impl Sync {
    pub(super) fn run(self, session: &Session) -> Result<CommandOutput, Failure> {
        let target = SyncTarget::parse(&self.to).map_err(Failure::usage)?;
        let rules = self.rules(session)?;
        if let SyncTarget::Folder(folder) = &target
            && sync_sources::is_layout(Path::new(folder))
        {
            let why = "is a layout itself; name the folder above it";
            return Err(Failure::usage(format!("target \"{}\" {why}", UntrustedText::from(self.to))));
        }
        if self.delete && matches!(target, SyncTarget::Dirs(_)) {
            return Err(Failure::usage("--delete needs a target in a registry or oci:, not dir:"));
        }
        let (finished, report) = self.report.open(self.dry_run)?;
        let batch = SyncBatch {
            rules,
            target,
            is_scoped: self.scoped,
            deletes: self.delete,
            dry_run: self.dry_run,
            fail_fast: self.fail_fast,
            shard: self.shard,
            report,
            finished,
            files: OutputFiles::of_metadata(self.metadata_file),
            shows_progress: !self.no_progress,
            sides: self.sides,
        };
        batch.run(session)
    }

    fn rules(&self, session: &Session) -> Result<SyncRules, Failure> {
        if !is_file(&self.from) {
            return sync_sources::rules_of(&self.from.parse::<Location>().map_err(Failure::usage)?);
        }
        if (session.global.password_stdin || self.sides.use_stdin()) && self.from == "-" {
            return Err(Failure::usage("standard input cannot provide both the file and the password"));
        }
        read_rules(&self.from)
    }
}

/// Whether the first argument names a file of rules: standard input, a name that ends like one of YAML, or an existing
/// file. A transport makes it a reference.
fn is_file(from: &str) -> bool {
    let transports = ["docker://", "oci:", "oci-archive:", "docker-archive:", "dir:", "docker-daemon:"];
    let has_transport = transports.iter().any(|transport| from.starts_with(transport));
    let has_yaml_name = [".yaml", ".yml"].iter().any(|end| from.to_ascii_lowercase().ends_with(end));
    !has_transport && (from == "-" || has_yaml_name || Path::new(from).is_file())
}

fn read_rules(file: &str) -> Result<SyncRules, Failure> {
    let name = UntrustedText::from(if file == "-" { STDIN } else { file });
    let text = match read_text(file, MAX_LENGTH) {
        Ok((text, _)) => text,
        Err(error) => {
            let message = match error {
                InputError::Unreadable(error) => format!("cannot read {name}: {error}"),
                InputError::TooLong => format!("cannot read {name}: it is longer than {} MiB", MAX_LENGTH >> 20),
                InputError::NotText => format!("{name} is not UTF-8 text"),
            };
            return Err(Failure::of_problems(vec![ProblemReport::new(Rule::UnreadableFile, message).of_file(&name)]));
        }
    };
    let rules = sync::from_yaml(&text, &name);
    rules.map_err(|error| Failure::of_problems(error.problems.iter().map(ProblemReport::from).collect()))
}
