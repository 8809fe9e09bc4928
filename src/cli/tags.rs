use clap::Args;

use super::batch::Reporter;
use super::console::Console;
use super::credentials::Registries;
use super::exit_status::ExitStatus;
use super::failure::Failure;
use super::output::CommandOutput;
use super::parts::DocumentParts;
use super::progress::Activity;
use super::read_batch;
use super::references::NamedLocation;
use super::render::{Body, QueryJson, TagsEntryJson, tag_text};
use super::session::Session;
use crate::image::{Location, Platform, UntrustedText};
use crate::query::{self, Query};
use crate::store::Store;

/// List the tags of a repository, or the names in an OCI layout
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  manifest-tool tags --platforms registry.example/app")]
pub(super) struct Tags {
    /// Repository without a tag, oci:FOLDER or oci-archive:FILE
    repository: String,
    /// List at most N tags, in the registry's order
    #[arg(long, value_name = "N", default_value_t = usize::MAX, hide_default_value = true)]
    limit: usize,
    /// Show the platforms of each tag
    #[arg(long)]
    platforms: bool,
}

impl Tags {
    pub(super) fn run(self, session: &Session) -> Result<CommandOutput, Failure> {
        let at: Location = self.repository.parse().map_err(Failure::usage)?;
        if at.tag().is_some() || at.digest().is_some() {
            let repository = &self.repository;
            return Err(Failure::usage(format!("\"{repository}\" has a tag or digest; give only the repository")));
        }
        let console = &*session.console;
        let client = session.client(&Registries::read([&at]))?;
        let store = Store::new(client.clone());
        let mut reporter = TagsReporter { console, width: 0, parts: DocumentParts::collect_if(console.is_json()) };
        let activity = Some(Activity::new("reading the tags of", &at, "tags"));
        let listed = session.block_on(&client, activity, async {
            let tags = store.tags(&at, self.limit).await?;
            if !self.platforms {
                return reporter.list(tags);
            }
            reporter.width = tags.iter().map(|tag| tag_text(tag).chars().count()).max().unwrap_or_default();
            let item =
                |tag: &UntrustedText| NamedLocation { name: tag.as_str().to_owned(), location: at.with_tag(tag) };
            let items: Vec<NamedLocation> = tags.iter().map(item).collect();
            let query = async |item: &NamedLocation| query::query(&store, &item.location).await;
            read_batch::runner(&store, session).run(&items, query, &mut reporter).await
        });
        let body = Body::Tags { repository: self.repository, tags: reporter.parts.into_vec() };
        CommandOutput::document(console, body, listed.map(|()| ExitStatus::Done))
    }
}

struct TagsReporter<'a> {
    console: &'a Console,
    /// The length of the longest tag in characters.
    width: usize,
    parts: DocumentParts<TagsEntryJson>,
}

impl TagsReporter<'_> {
    /// Reports tags without their platforms.
    fn list(&mut self, tags: Vec<UntrustedText>) -> Result<(), Failure> {
        if !self.console.is_json() {
            let lines: String = tags.iter().map(|tag| tag_text(tag) + "\n").collect();
            return self.console.data_for_reader(lines);
        }
        tags.into_iter().try_for_each(|tag| self.parts.push(|| TagsEntryJson::Listed { tag }))
    }
}

/// Reports the platforms of tags. The name of an item is its tag.
impl Reporter for TagsReporter<'_> {
    type Item = NamedLocation;
    type Report = Query;

    fn report(&mut self, item: &NamedLocation, result: Result<Query, &Failure>) -> Result<(), Failure> {
        let (tag, reference) = (item.name.as_str(), || item.location.clone());
        match result {
            Ok(query) if !self.console.is_json() => {
                let names: Vec<String> = query.platforms.iter().map(Platform::to_string).collect();
                let width = self.width;
                self.console.data_for_reader(format!("{:<width$} {}\n", tag_text(tag), names.join(", ")))
            }
            Ok(query) => self.parts.push(|| {
                let query = Box::new(QueryJson::new(reference(), &query, None));
                TagsEntryJson::Queried { tag: tag.into(), query }
            }),
            Err(failure) => self.parts.push(|| TagsEntryJson::Failed {
                tag: tag.into(),
                reference: reference(),
                error: failure.error(),
            }),
        }
    }
}
