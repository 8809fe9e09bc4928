use clap::Args;

use super::build_files::BuildFiles;
use super::failure::Failure;
use super::platform_arg::platform_text;
use super::session::Session;
use super::specs::{SpecFlags, warn};
use crate::spec::{self, ImagesRequest, MetadataFile, Spec};

/// Push an index of images given by reference, digest or build files
#[derive(Debug, Args)]
#[command(
    after_help = "SRC is HOST/REPOSITORY:TAG, HOST/REPOSITORY@DIGEST, oci:FOLDER[:NAME],\noci-archive:FILE[:NAME], docker-archive:FILE[:REF], dir:FOLDER,\ndocker-daemon:REF, sha256:... for an image in the first target's\nrepository, or - for a list on standard input, one per line. The type is auto:\ndocker if every image is Docker's, else oci.\n\nExample:\n  manifest-tool push from-images -t registry.example/app:v1 --tags latest \\\n      registry.example/app:v1-amd64 registry.example/app:v1-arm64\n  manifest-tool push from-images -t registry.example/app:v1 --digests digests/"
)]
pub(super) struct FromImages {
    /// Images to include, or - for stdin (at most 16 MiB)
    #[arg(value_name = "SRC")]
    images: Vec<String>,
    /// Push to this reference (repeatable)
    #[arg(long, short, value_name = "REF")]
    target: Vec<String>,
    /// Add tags, or push to more references
    #[arg(long, value_delimiter = ',', value_name = "TAG|REF")]
    tags: Vec<String>,
    /// Select platforms from indexes
    #[arg(long, value_delimiter = ',', value_name = "OS/ARCH[/VARIANT]", value_parser = platform_text(), hide_possible_values = true)]
    platform: Vec<String>,
    /// Include images of a buildx metadata file
    #[arg(long, value_name = "FILE[#TARGETS]")]
    metadata: Vec<String>,
    /// Include digests from a folder's files
    #[arg(long, value_name = "DIR")]
    digests: Vec<String>,
    /// Add index annotations (comma-separated)
    #[arg(long, value_name = "KEY=VALUE")]
    annotations: Vec<String>,
    /// Add one annotation, as docker buildx does
    #[arg(long, value_name = "[LEVEL:]K=V")]
    annotation: Vec<String>,
    /// Skip images that do not exist
    #[arg(long)]
    pub(super) ignore_missing: bool,
}

/// Whether an argument after `--metadata` can only be meant as a file. A reference has a tag or digest.
fn is_missing_file(argument: &str) -> bool {
    argument.ends_with(".json") && !argument.contains([':', '@'])
}

impl FromImages {
    /// Builds the spec that the arguments and files describe.
    /// `is_stdin_used` is whether standard input provides a password.
    pub(super) fn spec(&self, flags: &SpecFlags, is_stdin_used: bool, session: &Session) -> Result<Spec, Failure> {
        let mut files = BuildFiles::new(is_stdin_used);
        self.metadata.iter().for_each(|file| files.read_metadata(file));
        self.digests.iter().for_each(|folder| files.read_digests(folder));
        for image in &self.images {
            match image.as_str() {
                "-" => files.read_list(),
                // The shell expands a pattern after --metadata or --digests to several arguments.
                file if !self.metadata.is_empty() && (BuildFiles::is_file(file) || is_missing_file(file)) => {
                    files.read_metadata(file);
                }
                folder if !self.digests.is_empty() && BuildFiles::is_folder(folder) => files.read_digests(folder),
                file if BuildFiles::is_file(file) => files.misplaced(file, "--metadata"),
                folder if BuildFiles::is_folder(folder) => files.misplaced(folder, "--digests"),
                image => files.add_image(image),
            }
        }
        let BuildFiles { images, metadata, digests, problems, .. } = files;
        let metadata: Vec<MetadataFile<'_>> = metadata.iter().map(|file| file.as_metadata()).collect();
        let spec = spec::from_images(&ImagesRequest {
            targets: &self.target,
            tags: &self.tags,
            images: &images,
            metadata: &metadata,
            digests: &digests,
            unreadable: &problems,
            platforms: &self.platform,
            annotations: &self.annotations,
            leveled_annotations: &self.annotation,
            annotations_from_labels: flags.annotations_from_labels,
            form: flags.form,
            append: flags.append,
            strict: flags.strict,
        });
        spec.map_err(|error| {
            warn(&session.console, error.warnings.iter());
            Failure::of_arguments(&error)
        })
    }
}
