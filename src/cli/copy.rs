use clap::Args;

use super::conversion_flags::{ConversionFlags, FormatName};
use super::copy_batch::CopyBatch;
use super::failure::Failure;
use super::if_match::if_match;
use super::output::CommandOutput;
use super::platform_arg::platform;
use super::result_files::OutputFiles;
use super::session::Session;
use super::side_flags::SideFlags;
use super::this_machine::this_machine;
use crate::copy::{CopyOptions, Format};
use crate::image::{Location, Platform, UntrustedText, check_tag, nearest_tag};
use crate::store::IfMatch;

/// Copy an image or an index, byte for byte or converted
#[derive(Debug, Args)]
#[command(
    after_help = "SRC and DST are HOST/REPOSITORY:TAG, oci:FOLDER[:NAME],\noci-archive:FILE[:NAME], docker-archive:FILE[:REF], dir:FOLDER or\ndocker-daemon:REF. FILE may be - for standard input or output.\n\nIf SRC is a repository, --tags selects the tags to copy, with the wildcards *\nand ?. Otherwise it adds tags at DST.\n\n--platform copies one image of an index. With several platforms, it copies an\nindex of only their images and attestations. That index has another digest, so\n--referrers does not copy signatures of the whole index.\n\n--format converts manifests and indexes; configs keep their bytes. --compress\nand --decompress change the layers with another compression, each once, and\ncompare them with the diff_ids in the config.\n\nExample:\n  manifest-tool copy staging.example/app:v1 registry.example/app:v1 --tags 1\n  manifest-tool copy --platform linux/amd64,linux/arm64 \\\n      staging.example/app:v1 registry.example/app:server\n  manifest-tool copy registry.example/app:v1 docker-archive:app.tar\n  manifest-tool copy --format oci --compress zstd:9 \\\n      registry.example/app:v1 registry.example/app:zstd\n  manifest-tool copy --tags 'v1.*' --dry-run \\\n      staging.example/app registry.example/app"
)]
pub(super) struct Copy {
    /// Image or index to copy; with --tags, a repository
    #[arg(value_name = "SRC")]
    from: String,
    /// Destination; without a tag, the tag of SRC is used
    #[arg(value_name = "DST")]
    to: String,
    /// Copy only these (comma-separated)
    #[arg(long, num_args = 1, value_delimiter = ',', value_name = "OS/ARCH[/VARIANT]", value_parser = platform(), hide_possible_values = true)]
    platform: Vec<Platform>,
    /// Also copy signatures, SBOMs, attestations
    #[arg(long)]
    referrers: bool,
    /// Add tags at DST, or select tags of SRC
    #[arg(long, value_delimiter = ',', value_name = "TAG")]
    tags: Vec<String>,
    #[command(flatten)]
    conversion: ConversionFlags,
    /// Show what would be written, without writing
    #[arg(long)]
    dry_run: bool,
    /// Write only if DST matches, else exit code 3
    #[arg(long, value_name = "DIGEST|none", value_parser = if_match)]
    if_match: Option<IfMatch>,
    /// Overwrite no existing tag, else exit code 3
    #[arg(long, conflicts_with = "if_match")]
    no_clobber: bool,
    /// Wait until every tag returns the new digest
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    files: OutputFiles,
    /// Hide the progress display
    #[arg(long)]
    no_progress: bool,
    #[command(flatten)]
    sides: SideFlags,
}

impl Copy {
    pub(super) fn run(self, session: &Session) -> Result<CommandOutput, Failure> {
        self.batch()?.run(session)
    }

    /// Checks that the references and flags are consistent.
    fn batch(self) -> Result<CopyBatch, Failure> {
        let (from, to) = (location(&self.from)?, location(&self.to)?);
        let is_repository = from.reference().is_some() && from.tag().is_none() && from.digest().is_none();
        self.check(&from, &to, is_repository)?;
        let (platforms, dry_run) = (self.platform, self.dry_run);
        Ok(CopyBatch {
            from,
            to,
            is_repository,
            tags: self.tags,
            options: CopyOptions {
                platforms,
                default_platform: Some(this_machine()),
                referrers: self.referrers,
                wait: self.wait,
                if_match: self.if_match,
                no_clobber: self.no_clobber,
                format: self.conversion.format.map(Format::from),
                encoding: self.conversion.encoding(),
                drop_annotations: self.conversion.drop_annotations,
                preserve_digests: self.conversion.preserve_digests,
                dry_run,
            },
            files: self.files,
            sides: self.sides,
            shows_progress: !self.no_progress,
        })
    }

    /// Refuses references and tags that are invalid regardless of the registries' content.
    fn check(&self, from: &Location, to: &Location, is_repository: bool) -> Result<(), Failure> {
        let (source, target) = (&self.from, &self.to);
        let named = |location: &Location| location.tag().is_some() || location.digest().is_some();
        if is_repository && self.tags.is_empty() {
            let hint = "add a tag, or select tags with --tags 'v1.*'";
            return Err(Failure::usage(format!("source \"{source}\" has no tag or digest; {hint}")));
        }
        if is_repository && named(to) {
            let why = "copying a repository keeps the names of its tags";
            return Err(Failure::usage(format!("target \"{target}\" has a tag or digest; {why}")));
        }
        let holds_one = to.layout().is_some_and(|layout| layout.transport.has_no_names());
        if holds_one && (is_repository || !self.tags.is_empty()) {
            return Err(Failure::usage(format!("target \"{target}\" holds one image and cannot have tags")));
        }
        let is_docker = to.layout().is_some_and(|layout| layout.transport.is_docker());
        if is_docker && !is_repository && to.tag().is_none() && !self.tags.is_empty() {
            let hint = format!("name the image: {target}:REPOSITORY:TAG");
            return Err(Failure::usage(format!("--tags needs a repository in the archive; {hint}")));
        }
        if self.no_clobber && !self.dry_run && replaces_archive(to) {
            let why = "exists, and an archive is replaced as a whole; --no-clobber cannot keep what it holds";
            return Err(Failure::usage(format!("target \"{target}\" {why}")));
        }
        if self.conversion.drop_annotations && !matches!(self.conversion.format, Some(FormatName::Docker)) {
            return Err(Failure::usage("--drop-annotations needs --format docker: OCI's format has annotations"));
        }
        if is_repository && matches!(self.if_match, Some(IfMatch::Digest(_))) {
            let why = "--if-match with a digest needs a single target; use --no-clobber for several";
            return Err(Failure::usage(why));
        }
        if is_repository {
            return Ok(());
        }
        if from.reference().is_none() && from.tag().is_none() && to.reference().is_some() && !named(to) {
            return Err(Failure::usage(format!("target \"{target}\" has no tag, and neither has the source")));
        }
        self.tags.iter().try_for_each(|tag| {
            check_tag(tag).map_err(|reason| {
                let meant = nearest_tag(tag).map(|meant| format!("; did you mean \"{meant}\"?")).unwrap_or_default();
                Failure::usage(format!("invalid tag \"{}\": {reason}{meant}", UntrustedText::from(tag.as_str())))
            })
        })
    }
}

/// Whether a target is an archive that exists.
fn replaces_archive(to: &Location) -> bool {
    let Some(layout) = to.layout().filter(|layout| layout.transport.is_written_whole()) else { return false };
    std::path::Path::new(&layout.path).is_file()
}

fn location(text: &str) -> Result<Location, Failure> {
    text.parse().map_err(Failure::usage)
}
