use std::cell::RefCell;
use std::collections::HashSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, ValueEnum};

use super::batch::{BatchItem, BatchRunner, Mode, Reporter};
use super::console::Console;
use super::credentials::Registries;
use super::delete_tags::DeleteTags;
use super::duration::age;
use super::exit_status::ExitStatus;
use super::failure::Failure;
use super::output::CommandOutput;
use super::parts::DocumentParts;
use super::progress::Activity;
use super::references::{NamedLocation, locations, repository};
use super::render::{Body, DeletedJson, Either, NotDeletedJson, PlanText, deleted_line, deleted_text};
use super::session::Session;
use crate::delete::{self, DeleteOptions, Deleted, TagOrder, TagRules};
use crate::image::{Digest, Timestamp};
use crate::store::Store;

/// Delete tags, or manifests with all their tags
#[derive(Debug, Args)]
#[command(
    after_help = "Deletes only the tag if the registry supports that. Many registries do not:\nthen, and for a digest, the manifest and all its tags are deleted, which\nrequires --yes if the manifest has other tags or is part of an index. The\nimages of an index are not deleted.\n\n--tags deletes the tags of one repository that match a pattern with * and ?.\n--keep N keeps the newest N of them: by version, where 1.2.0-rc.1 precedes\n1.2.0, or with --sort time by the created date of the image. Tags that are not\nversions, such as latest or commit hashes, require --sort time. --older-than\n30d (12h, 2w) also keeps the tags of younger images and of images of unknown\nage. With both, a tag is deleted only if both allow it. Tags of signatures and\nreferrers (sha256-...) stay, unless a pattern starts with sha256-.\n\nIf the registry deletes only whole manifests, --tags keeps a tag if another\nremaining tag has the same digest or a remaining index lists its image, also\nwith --yes. Registries do not list untagged manifests, so they are neither\nfound nor deleted. The images of a deleted index stay until the registry's\ngarbage collection.\n\nExample:\n  manifest-tool delete --dry-run registry.example/app:pr-17\n  manifest-tool delete registry.example/app:pr-17\n  manifest-tool delete --tags 'v*' --keep 10 --dry-run registry.example/app\n  manifest-tool delete --tags '*' --keep 10 --sort time --older-than 30d \\\n      --dry-run registry.example/app"
)]
pub(super) struct Delete {
    /// Images or indexes to delete; with --tags, a repository
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    /// Delete the tags that match, such as 'pr-*'
    #[arg(long, num_args = 1, value_delimiter = ',', value_name = "PATTERN")]
    tags: Vec<String>,
    /// Keep the newest N tags that match
    #[arg(long, value_name = "N", requires = "tags")]
    keep: Option<usize>,
    /// What makes a tag newer for --keep
    #[arg(long, value_enum, value_name = "version|time", requires = "keep", hide_possible_values = true)]
    sort: Option<KeepOrder>,
    /// Keep tags of images younger than this, such as 30d
    #[arg(long, value_name = "AGE", requires = "tags", value_parser = age)]
    older_than: Option<Duration>,
    /// Delete the manifest and all its tags if necessary
    #[arg(long)]
    yes: bool,
    /// Show what would be deleted, without deleting
    #[arg(long)]
    dry_run: bool,
}

/// The order of `--sort`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum KeepOrder {
    Version,
    Time,
}

impl Delete {
    pub(super) fn run(self, session: &Session) -> Result<CommandOutput, Failure> {
        if self.tags.is_empty() { self.delete_references(session) } else { self.tag_deletion()?.run(session) }
    }

    /// Checks the flags of `--tags`.
    fn tag_deletion(self) -> Result<DeleteTags, Failure> {
        let location = repository(&self.images)?;
        let name = self.images.into_iter().next().unwrap_or_default();
        let before =
            |age| time_before(age).ok_or_else(|| Failure::new("the system clock is wrong: cannot compute ages"));
        let rules = TagRules {
            patterns: self.tags,
            keep: self.keep.unwrap_or_default(),
            order: match self.sort {
                Some(KeepOrder::Time) => TagOrder::Time,
                _ => TagOrder::Version,
            },
            created_before: self.older_than.map(before).transpose()?,
        };
        Ok(DeleteTags { name, location, rules, dry_run: self.dry_run })
    }

    fn delete_references(self, session: &Session) -> Result<CommandOutput, Failure> {
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

/// Returns the point in time this long ago; an age is at most 100 years.
fn time_before(age: Duration) -> Option<Timestamp> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_unix_seconds(seconds(now) - seconds(age))
}

/// Refuses a reference that has no tag or digest, or both.
fn check(NamedLocation { name, location }: &NamedLocation) -> Result<(), Failure> {
    if let Some(layout) = location.layout().filter(|layout| !layout.transport.is_oci()) {
        let transport = layout.transport;
        return Err(Failure::usage(format!(
            "{name}: delete works on registries, oci: and oci-archive:, not on {transport}:"
        )));
    }
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
