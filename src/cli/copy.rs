use clap::Args;

use super::copy_batch::CopyBatch;
use super::failure::Failure;
use super::output::CommandOutput;
use super::result_files::OutputFiles;
use super::session::Session;
use crate::copy::CopyOptions;
use crate::image::{Location, Platform, UntrustedText, check_tag};

/// Copy an image, or an index with all its images, byte for byte
#[derive(Debug, Args)]
#[command(
    after_help = "A place is HOST/REPOSITORY:TAG, oci:FOLDER[:NAME] or oci-archive:FILE[:NAME].\n\nExample:\n  manifest-tool copy staging.example/app:v1 registry.example/app:v1 --tags latest\n  manifest-tool copy --tags 'v1.*' --dry-run staging.example/app registry.example/app"
)]
pub(super) struct Copy {
    /// Image or index; with --tags, a repository
    #[arg(value_name = "SRC")]
    from: String,
    /// Where it goes; without a tag, under that of SRC
    #[arg(value_name = "DST")]
    to: String,
    /// Only the image of this platform, out of an index
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<String>,
    /// What refers to it as well: signatures, SBOMs, attestations
    #[arg(long)]
    referrers: bool,
    /// Further tags at DST; where SRC is a repository, the tags of it to copy, in which * and ? stand for others
    #[arg(long, value_delimiter = ',', value_name = "TAG")]
    tags: Vec<String>,
    /// Tell what would be copied
    #[arg(long)]
    dry_run: bool,
    /// Return only when every tag reads back with the digest
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    files: OutputFiles,
    /// Show no progress on a terminal
    #[arg(long)]
    no_progress: bool,
}

impl Copy {
    pub(super) fn run(self, session: &Session) -> Result<CommandOutput, Failure> {
        self.batch()?.run(session)
    }

    /// Checks the references and flags against each other.
    fn batch(self) -> Result<CopyBatch, Failure> {
        let (from, to) = (location(&self.from)?, location(&self.to)?);
        let is_repository = from.reference().is_some() && from.tag().is_none() && from.digest().is_none();
        self.check(&from, &to, is_repository)?;
        let platform = self.platform.as_deref().map(platform).transpose()?;
        Ok(CopyBatch {
            from,
            to,
            is_repository,
            tags: self.tags,
            options: CopyOptions { platform, referrers: self.referrers, wait: self.wait, dry_run: self.dry_run },
            files: self.files,
            shows_progress: !self.no_progress && !self.dry_run,
        })
    }

    /// Refuses references and tags that make no sense, whatever the registries hold.
    fn check(&self, from: &Location, to: &Location, is_repository: bool) -> Result<(), Failure> {
        let (source, target) = (&self.from, &self.to);
        let named = |location: &Location| location.tag().is_some() || location.digest().is_some();
        if is_repository && self.tags.is_empty() {
            let hint = "name a tag, or choose tags of it with --tags 'v1.*'";
            return Err(Failure::usage(format!("source \"{source}\" has no tag or digest; {hint}")));
        }
        if is_repository && named(to) {
            let why = "with a repository as source the tags stay as they are";
            return Err(Failure::usage(format!("target \"{target}\" has a tag or digest; {why}")));
        }
        if is_repository {
            return Ok(());
        }
        if from.reference().is_none() && from.tag().is_none() && to.reference().is_some() && !named(to) {
            return Err(Failure::usage(format!("target \"{target}\" has no tag, and the source has none either")));
        }
        self.tags.iter().try_for_each(|tag| {
            let shown = || UntrustedText::from(tag.as_str());
            check_tag(tag).map_err(|reason| Failure::usage(format!("invalid tag \"{}\": {reason}", shown())))
        })
    }
}

fn location(text: &str) -> Result<Location, Failure> {
    text.parse().map_err(Failure::usage)
}

fn platform(text: &str) -> Result<Platform, Failure> {
    text.parse().map_err(Failure::usage)
}
