use std::io::Read as _;

use clap::Args;

use super::batch::Reporter;
use super::console::Console;
use super::failure::Failure;
use super::offers::Offers;
use super::output::CommandOutput;
use super::parts::DocumentParts;
use super::platform_arg::platform;
use super::read_batch;
use super::references::NamedLocation;
use super::render::{Body, DigestJson, Either};
use super::session::Session;
use crate::image::{Digest as Hash, Location, Platform};
use crate::store::Store;

/// Print the digest of a reference or a file
#[derive(Debug, Args)]
#[command(
    after_help = "With --platform, exits with code 3 if an image is not for that platform.\n\nExample:\n  manifest-tool digest registry.example/app:v1\n  manifest-tool digest --platform linux/arm64 registry.example/app:v1\n  manifest-tool digest --file manifest.json"
)]
pub(super) struct Digest {
    /// Images or indexes, with a tag or digest
    #[arg(required_unless_present = "file", value_name = "IMAGE")]
    images: Vec<String>,
    /// Print the digest of this platform's image
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", value_parser = platform(), hide_possible_values = true, conflicts_with = "file")]
    platform: Option<Platform>,
    /// Hash a file, or - for stdin (at most 64 MiB)
    #[arg(long, value_name = "FILE", conflicts_with = "images")]
    file: Option<String>,
}

/// The maximum size of a file to hash, in bytes. Manifests are smaller.
const MAX_LENGTH: u64 = 64 << 20;

impl Digest {
    pub(super) fn run(self, session: &Session) -> Result<CommandOutput, Failure> {
        let console = &*session.console;
        let (parts, offers) = (DocumentParts::collect_if(console.is_json()), Offers::new(self.platform.as_ref()));
        let mut reporter = DigestReporter { console, parts, offers };
        let read = match &self.file {
            Some(file) => hash(file).and_then(|digest| reporter.print(file, Some(digest))),
            None => {
                let digest = async |store: &Store, at: &Location| match &self.platform {
                    Some(platform) => Ok(store.find_image(at, platform).await?.map(|image| image.digest)),
                    None => store.digest(at).await.map(Some),
                };
                read_batch::read(session, &self.images, digest, &mut reporter)
            }
        };
        let DigestReporter { parts, offers, .. } = reporter;
        let status = offers.finish(console);
        CommandOutput::document(console, Body::Digest { images: parts.into_vec() }, read.map(|()| status))
    }
}

struct DigestReporter<'a> {
    console: &'a Console,
    parts: DocumentParts<Either<DigestJson>>,
    offers: Offers<'a>,
}

impl DigestReporter<'_> {
    /// Prints a digest; `None` if the reference has no image for `--platform`.
    fn print(&mut self, name: &str, digest: Option<Hash>) -> Result<(), Failure> {
        match &digest {
            Some(digest) if !self.console.is_json() => self.console.data_for_reader(format!("{digest}\n"))?,
            Some(_) => {}
            None => self.offers.add_lacking(name),
        }
        let offered = self.offers.platform.map(|_| digest.is_some());
        self.parts.push(|| Either::Result(DigestJson { reference: name.to_owned(), digest, offered }))
    }
}

impl Reporter for DigestReporter<'_> {
    type Item = NamedLocation;
    type Report = Option<Hash>;

    fn report(&mut self, item: &NamedLocation, result: Result<Option<Hash>, &Failure>) -> Result<(), Failure> {
        match result {
            Ok(digest) => self.print(&item.name, digest),
            Err(failure) => self.parts.push(|| Either::Failed(failure.part(&item.name))),
        }
    }
}

fn hash(file: &str) -> Result<Hash, Failure> {
    let failed = |error: std::io::Error| Failure::new(format!("cannot read {file}: {error}"));
    let mut bytes = Vec::new();
    if file == "-" {
        std::io::stdin().lock().take(MAX_LENGTH + 1).read_to_end(&mut bytes).map_err(failed)?;
    } else {
        std::fs::File::open(file).map_err(failed)?.take(MAX_LENGTH + 1).read_to_end(&mut bytes).map_err(failed)?;
    }
    if bytes.len() as u64 > MAX_LENGTH {
        return Err(Failure::new(format!("{file} is longer than {MAX_LENGTH} bytes, more than any manifest")));
    }
    Ok(Hash::sha256(&bytes))
}
