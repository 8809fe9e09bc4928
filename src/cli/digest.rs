use std::io::Read as _;

use clap::Args;

use super::batch::Reporter;
use super::console::Console;
use super::exit_status::ExitStatus;
use super::failure::Failure;
use super::output::CommandOutput;
use super::parts::DocumentParts;
use super::read_batch;
use super::references::NamedLocation;
use super::render::{Body, DigestJson, Either};
use super::session::Session;
use crate::image::Digest as Hash;
use crate::store::Store;

/// Print the digest of a reference or a file
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  manifest-tool digest registry.example/app:v1\n  manifest-tool digest --file manifest.json"
)]
pub(super) struct Digest {
    /// Images or indexes, with a tag or digest
    #[arg(required_unless_present = "file", value_name = "IMAGE")]
    images: Vec<String>,
    /// Hash a file, or - for stdin (at most 64 MiB)
    #[arg(long, value_name = "FILE", conflicts_with = "images")]
    file: Option<String>,
}

/// The maximum size of a file to hash, in bytes. Manifests are smaller.
const MAX_LENGTH: u64 = 64 << 20;

impl Digest {
    pub(super) fn run(self, session: &Session) -> Result<CommandOutput, Failure> {
        let console = &*session.console;
        let mut reporter = DigestReporter { console, parts: DocumentParts::collect_if(console.is_json()) };
        let read = match &self.file {
            Some(file) => hash(file).and_then(|digest| reporter.print(file, digest)),
            None => {
                let digest = async |store: &Store, at: &_| store.digest(at).await;
                read_batch::read(session, &self.images, digest, &mut reporter)
            }
        };
        let body = Body::Digest { images: reporter.parts.into_vec() };
        CommandOutput::document(console, body, read.map(|()| ExitStatus::Done))
    }
}

struct DigestReporter<'a> {
    console: &'a Console,
    parts: DocumentParts<Either<DigestJson>>,
}

impl DigestReporter<'_> {
    fn print(&mut self, name: &str, digest: Hash) -> Result<(), Failure> {
        if !self.console.is_json() {
            self.console.data_for_reader(format!("{digest}\n"))?;
        }
        self.parts.push(|| Either::Result(DigestJson { reference: name.to_owned(), digest }))
    }
}

impl Reporter for DigestReporter<'_> {
    type Item = NamedLocation;
    type Report = Hash;

    fn report(&mut self, item: &NamedLocation, result: Result<Hash, &Failure>) -> Result<(), Failure> {
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
