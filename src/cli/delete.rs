use std::cell::RefCell;
use std::collections::HashSet;

use clap::Args;

use super::batch::{BatchItem, BatchRunner, Mode, Reporter};
use super::console::Console;
use super::credentials::Registries;
use super::exit_status::ExitStatus;
use super::failure::Failure;
use super::output::CommandOutput;
use super::parts::DocumentParts;
use super::progress::Activity;
use super::references::{NamedLocation, locations};
use super::render::{Body, DeletedJson, Either, NotDeletedJson, PlanText, deleted_line, deleted_text};
use super::session::Session;
use crate::delete::{self, DeleteOptions, Deleted};
use crate::image::Digest;
use crate::store::Store;

/// Delete tags, or manifests with all their tags
#[derive(Debug, Args)]
#[command(
    after_help = "Deletes only the tag if the registry supports that. Many registries do not:\nthen, and for a digest, the manifest and all its tags are deleted, which\nrequires --yes if the manifest has other tags or is part of an index. The\nimages of an index are not deleted.\n\nExample:\n  manifest-tool delete --dry-run registry.example/app:pr-17\n  manifest-tool delete registry.example/app:pr-17"
)]
pub(super) struct Delete {
    /// Images or indexes, with a tag or digest
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    /// Delete the manifest and all its tags if necessary
    #[arg(long)]
    yes: bool,
    /// Show what would be deleted, without deleting
    #[arg(long)]
    dry_run: bool,
}

impl Delete {
    pub(super) fn run(self, session: &Session) -> Result<CommandOutput, Failure> {
        let items = locations(&self.images)?;
        items.iter().try_for_each(check)?;
        let console = &*session.console;
        let client = session.client(&Registries::written(items.iter().map(|item| &item.location)))?;
        let store = Store::new(client.clone());
        let options = DeleteOptions { with_every_tag: self.yes, dry_run: self.dry_run };
        let mut reporter = DeleteReporter::new(console, self.dry_run, items.len());
        let activity = Some(Activity::of_references("deleting", &self.images).dry(self.dry_run));
        let deleted = session.block_on(&client, activity, delete_all(&store, items, &options, &mut reporter));
        reporter.end_plan()?;
        let body = Body::Delete { dry_run: self.dry_run, images: reporter.parts.into_vec() };
        CommandOutput::document(console, body, deleted.map(|()| ExitStatus::Done))
    }
}

/// Refuses a reference that has no tag or digest, or both.
fn check(NamedLocation { name, location }: &NamedLocation) -> Result<(), Failure> {
    match (location.tag(), location.digest()) {
        (None, None) => Err(Failure::usage(format!("\"{name}\" has no tag, name or digest; add the one to delete"))),
        (Some(_), Some(_)) => {
            Err(Failure::usage(format!("\"{name}\" has both a tag and a digest; give only the one to delete")))
        }
        _ => Ok(()),
    }
}

/// A reference to delete.
struct Deletion {
    named: NamedLocation,
    /// The digest before anything was deleted, if it could be read.
    digest: Option<Digest>,
}

impl BatchItem for Deletion {
    fn name(&self) -> String {
        self.named.name.clone()
    }
}

/// How a reference was deleted.
enum Outcome {
    Deleted(Deleted),
    /// An earlier reference had the same manifest, which was deleted with it.
    AlreadyDeleted(Deleted),
}

/// Deletes references sequentially: deleting a manifest may delete the tag of a later reference, which then counts as
/// deleted too.
async fn delete_all(
    store: &Store,
    items: Vec<NamedLocation>,
    options: &DeleteOptions,
    reporter: &mut DeleteReporter<'_>,
) -> Result<(), Failure> {
    let digests = store.digests(items.iter().map(|item| &item.location)).await;
    let items = items.into_iter().zip(digests);
    let items: Vec<Deletion> = items.map(|(named, digest)| Deletion { named, digest: digest.ok() }).collect();
    let deleted_manifests = RefCell::new(HashSet::new());
    let delete = async |item: &Deletion| {
        let location = &item.named.location;
        if let Some(digest) = item
            .digest
            .clone()
            .filter(|digest| deleted_manifests.borrow().contains(&(location.without_name(), digest.clone())))
        {
            return Ok(Outcome::AlreadyDeleted(Deleted {
                location: location.with_digest(digest.clone()),
                digest,
                uses: None,
            }));
        }
        let deleted = delete::delete(store, location, options).await?;
        if deleted.location.tag().is_none() {
            deleted_manifests.borrow_mut().insert((location.without_name(), deleted.digest.clone()));
        }
        Ok::<_, delete::Error>(Outcome::Deleted(deleted))
    };
    let mode = Mode::Read { failed: "were not deleted" };
    let runner = BatchRunner { store, console: reporter.console, concurrency: 1, mode };
    runner.run(&items, delete, reporter).await
}

struct DeleteReporter<'a> {
    console: &'a Console,
    /// The plan, if this is a dry run.
    plan: Option<PlanText>,
    /// Whether the command has a single reference.
    is_only: bool,
    parts: DocumentParts<Either<DeletedJson, NotDeletedJson>>,
}

impl<'a> DeleteReporter<'a> {
    fn new(console: &'a Console, dry_run: bool, count: usize) -> Self {
        let plan = dry_run.then(|| PlanText::new(console.colour()));
        Self { console, plan, is_only: count == 1, parts: DocumentParts::collect_if(console.is_json()) }
    }

    /// Prints the last line of a plan.
    fn end_plan(&self) -> Result<(), Failure> {
        self.plan.as_ref().map_or(Ok(()), |plan| self.print(plan.end()))
    }

    fn print(&self, text: String) -> Result<(), Failure> {
        if self.console.is_json() { Ok(()) } else { self.console.data(text) }
    }
}

impl Reporter for DeleteReporter<'_> {
    type Item = Deletion;
    type Report = Outcome;

    fn report(&mut self, item: &Deletion, result: Result<Outcome, &Failure>) -> Result<(), Failure> {
        let name = &item.named.name;
        match &result {
            Err(failure) => self.parts.push(|| Either::Failed(failure.part_of_delete(name))),
            Ok(Outcome::Deleted(deleted) | Outcome::AlreadyDeleted(deleted)) => {
                self.parts.push(|| Either::Result(DeletedJson::new(name, deleted)))
            }
        }?;
        let deleted = match (result, &mut self.plan) {
            (Ok(Outcome::Deleted(deleted)), _) => deleted,
            (Ok(Outcome::AlreadyDeleted(deleted)), Some(plan)) => {
                let text = plan.repeated_deletion(name, &deleted);
                return self.print(text);
            }
            _ => return Ok(()),
        };
        if self.plan.is_none() {
            let line = || deleted_line(&item.named.location, &deleted);
            if self.is_only { self.console.done(line) } else { self.console.item(line) }
        }
        let text = match &mut self.plan {
            Some(plan) => plan.deletion(name, &deleted),
            None => deleted_text(&deleted),
        };
        self.print(text)
    }
}
