use std::sync::Arc;

use clap::Args;

use super::batch::{BatchRunner, Mode, Reporter};
use super::console::Console;
use super::credentials::Registries;
use super::exit_status::ExitStatus;
use super::failure::Failure;
use super::key_files::signing_key;
use super::output::CommandOutput;
use super::parts::DocumentParts;
use super::progress::Activity;
use super::references::{NamedLocation, locations};
use super::render::{Body, SignedJson, SigningResult, sign_text, signed_line};
use super::session::Session;
use crate::image::{Reference, Transport};
use crate::sign::{self, SignOptions, SignReport, SignRequest, SignatureForm};
use crate::signature::SigningKey;
use crate::store::Store;

/// Sign images and indexes with a private key, like `cosign sign`
#[derive(Debug, Args)]
#[command(
    after_help = "Resolves each reference once, and signs that digest. Writes a Sigstore bundle\nthat refers to it, as cosign 3 does; --sig-tag writes the tag sha256-....sig\ninstead, which cosign 1 and 2, Podman, CRI-O and skopeo read. A manifest\nthat has a valid signature by the key in that form is left unchanged.\n\n--key is a PEM file: cosign.key, or a private key by openssl genpkey. The\npassword of an encrypted one is read from COSIGN_PASSWORD or the terminal.\nNothing is written to a transparency log, so that cosign verify needs\n--insecure-ignore-tlog or --private-infrastructure besides --key. For P-384\nkeys, it also needs --signature-digest-algorithm sha384; Podman, CRI-O and\nskopeo accept no signatures by them.\n\nExample:\n  manifest-tool sign --key cosign.key registry.example/app:v1\n  manifest-tool sign --key cosign.key --recursive --sig-tag \\\n      registry.example/app:v1"
)]
pub(super) struct Sign {
    /// Images or indexes to sign
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    /// Sign with this private key
    #[arg(long, value_name = "FILE")]
    key: String,
    /// Also sign each image of an index, before the index
    #[arg(long)]
    recursive: bool,
    /// Write the tag sha256-....sig, as cosign 1 and 2 do
    #[arg(long)]
    sig_tag: bool,
    /// Sign for this repository, to which it is copied later
    #[arg(long, value_name = "REPOSITORY", requires = "sig_tag")]
    signed_as: Option<Reference>,
    /// Show what would be signed, without writing
    #[arg(long)]
    dry_run: bool,
    /// Hide the progress display
    #[arg(long)]
    no_progress: bool,
}

impl Sign {
    pub(super) fn run(self, session: &Session) -> Result<CommandOutput, Failure> {
        let items = locations(&self.images)?;
        items.iter().try_for_each(check)?;
        let key = Arc::new(signing_key(&self.key)?);
        let options = SignOptions {
            recursive: self.recursive,
            form: if self.sig_tag { SignatureForm::Tag } else { SignatureForm::Bundle },
            signed_as: self.signed_as,
            dry_run: self.dry_run,
        };
        let client = session.client(&Registries::written(items.iter().map(|item| &item.location)))?;
        let store = Store::new(client.clone());
        let activity = Activity::of_references("signing", &self.images).dry(self.dry_run);
        let activity = Some(activity).filter(|_| !self.no_progress);
        let mut reporter = SignReporter::new(&session.console, self.dry_run);
        let signing = sign_all(&store, &items, &key, &options, &mut reporter);
        let signed = session.block_on(&client, activity, signing);
        let body = Body::Sign { dry_run: self.dry_run, images: reporter.parts.into_vec() };
        CommandOutput::document(&session.console, body, signed.map(|()| ExitStatus::Done))
    }
}

/// Refuses a place that cannot hold signatures, or is written as a whole.
fn check(NamedLocation { name, location }: &NamedLocation) -> Result<(), Failure> {
    match location.layout().map(|layout| layout.transport) {
        None | Some(Transport::Oci) => Ok(()),
        Some(transport) => {
            Err(Failure::usage(format!("{name}: sign works on registries and oci:, not on {transport}:")))
        }
    }
}

async fn sign_all(
    store: &Store,
    items: &[NamedLocation],
    key: &Arc<SigningKey>,
    options: &SignOptions,
    reporter: &mut SignReporter<'_>,
) -> Result<(), Failure> {
    let sign = async |item: &NamedLocation| {
        let request = SignRequest { reference: item.location.clone(), key: Arc::clone(key) };
        sign::sign(store, &request, options).await
    };
    let mode = Mode::Read { failed: "were not signed" };
    // One after another, so that a manifest that several references share is signed once.
    let runner = BatchRunner { store, console: reporter.console, concurrency: 1, mode };
    runner.run(items, sign, reporter).await
}

struct SignReporter<'a> {
    console: &'a Console,
    is_dry: bool,
    parts: DocumentParts<SigningResult>,
}

impl<'a> SignReporter<'a> {
    fn new(console: &'a Console, is_dry: bool) -> Self {
        Self { console, is_dry, parts: DocumentParts::collect_if(console.is_json()) }
    }
}

impl Reporter for SignReporter<'_> {
    type Item = NamedLocation;
    type Report = SignReport;

    fn report(&mut self, item: &NamedLocation, result: Result<SignReport, &Failure>) -> Result<(), Failure> {
        let report = match result {
            Ok(report) => report,
            Err(failure) => return self.parts.push(|| failure.part_of_sign(&item.name)),
        };
        if !self.console.is_json() {
            self.console.data(sign_text(&item.location, &report.manifests))?;
        }
        if !self.is_dry {
            self.console.item(|| signed_line(&item.location, &report));
        }
        self.parts.push(|| SigningResult::Signed(SignedJson::new(&item.name, &report.manifests)))
    }

    fn has_changed(&self, report: &SignReport) -> bool {
        report.has_written()
    }
}
