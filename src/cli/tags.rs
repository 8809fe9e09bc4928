use clap::{Args, ValueEnum};

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
use super::render::{Body, ErrorJson, QueryJson, TagsEntryJson, tag_text};
use super::session::Session;
use crate::image::{Location, Platform, TagPatterns, Timestamp, UntrustedText, compare_versions, newest_versions};
use crate::query::{self, Query};
use crate::store::Store;

/// List the tags of a repository, or the names in an OCI layout
#[derive(Debug, Args)]
#[command(
    after_help = "--sort version and --sort time list the newest tag last. Versions compare by\ntheir numbers, a pre-release (1.2.0-rc.1) precedes its release, and tags that\nare not versions follow. --sort time reads the created date in the config of\neach image, or of the first image of an index: 2 or 3 requests per tag. Tags\nwithout a date come first.\n\nWith --sort version or --sort time, --limit keeps the newest tags.\n\nExample:\n  manifest-tool tags --platforms registry.example/app\n  manifest-tool tags --sort version --filter 'v1.*' --limit 5 registry.example/app"
)]
pub(super) struct Tags {
    /// Repository without a tag, oci:FOLDER or oci-archive:FILE
    repository: String,
    /// List at most N tags, after --filter and --sort
    #[arg(long, value_name = "N", default_value_t = usize::MAX, hide_default_value = true)]
    limit: usize,
    /// Show the platforms of each tag
    #[arg(long)]
    platforms: bool,
    /// Order, with the newest tag last
    #[arg(long, value_enum, value_name = "version|time|registry", default_value_t = TagOrder::Registry, hide_possible_values = true)]
    sort: TagOrder,
    /// List only tags that match, such as 'v1.*'
    #[arg(long, num_args = 1, value_delimiter = ',', value_name = "PATTERN")]
    filter: Vec<String>,
}

/// The order of `--sort`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TagOrder {
    Version,
    Time,
    Registry,
}

impl Tags {
    pub(super) fn run(self, session: &Session) -> Result<CommandOutput, Failure> {
        let at: Location = self.repository.parse().map_err(Failure::usage)?;
        if at.tag().is_some() || at.digest().is_some() {
            let repository = &self.repository;
            let meant = at.without_name();
            return Err(Failure::usage(format!(
                "\"{repository}\" has a tag or digest; give only the repository; did you mean \"{meant}\"?"
            )));
        }
        let console = &*session.console;
        let client = session.client(&Registries::read([&at]))?;
        let store = Store::new(client.clone());
        let mut reporter = TagsReporter { console, width: 0, parts: DocumentParts::collect_if(console.is_json()) };
        let activity = Some(Activity::new("reading the tags of", &at, "tags"));
        let listed = session.block_on(&client, activity, async {
            let tags = self.selected(&store, &at, console).await?;
            let item =
                |tag: &UntrustedText| NamedLocation { name: tag.as_str().to_owned(), location: at.with_tag(tag) };
            let items: Vec<NamedLocation> = tags.iter().map(item).collect();
            let runner = read_batch::runner(&store, session);
            if self.sort == TagOrder::Time {
                let mut dates = DatesReporter { shows_platforms: self.platforms, tags: Vec::new() };
                let query = async |item: &NamedLocation| match self.platforms {
                    true => query::query_created(&store, &item.location).await.map(|(query, date)| (Some(query), date)),
                    false => query::created(&store, &item.location).await.map(|date| (None, date)),
                };
                let read = runner.run(&items, query, &mut dates).await;
                // The dates are incomplete if the run was stopped.
                if client.cancel_token().reason().is_some() {
                    return read;
                }
                return dates.list(self.limit, &mut reporter).and(read);
            }
            if !self.platforms {
                return reporter.list(tags);
            }
            reporter.set_width(tags.iter().map(UntrustedText::as_str));
            let query = async |item: &NamedLocation| query::query(&store, &item.location).await;
            runner.run(&items, query, &mut reporter).await
        });
        let body = Body::Tags { repository: self.repository, tags: reporter.parts.into_vec() };
        CommandOutput::document(console, body, listed.map(|()| ExitStatus::Done))
    }

    /// Lists the tags that match `--filter`, in the order of `--sort` except for `time`, which needs their dates. Applies
    /// `--limit` likewise.
    async fn selected(&self, store: &Store, at: &Location, console: &Console) -> Result<Vec<UntrustedText>, Failure> {
        let is_plain = self.sort == TagOrder::Registry && self.filter.is_empty();
        let mut tags = store.tags(at, if is_plain { self.limit } else { usize::MAX }).await?;
        if !self.filter.is_empty() {
            let patterns = TagPatterns::new(&self.filter);
            for pattern in patterns.unmatched(&tags) {
                console.note(format_args!("no tag matches {}", UntrustedText::from(pattern)));
            }
            tags.retain(|tag| patterns.matches(tag));
        }
        match self.sort {
            TagOrder::Registry => tags.truncate(self.limit),
            TagOrder::Version => {
                tags.sort_by(|one, other| compare_versions(one, other));
                tags = newest_versions(tags, self.limit);
            }
            TagOrder::Time => {}
        }
        Ok(tags)
    }
}

/// Collects the dates of tags for `--sort time`.
struct DatesReporter {
    shows_platforms: bool,
    tags: Vec<DatedTag>,
}

/// A tag with its creation date, if known.
struct DatedTag {
    created: Option<Timestamp>,
    item: NamedLocation,
    /// The platforms of the tag, or why it could not be read.
    result: Result<Option<Query>, ErrorJson>,
}

impl Reporter for DatesReporter {
    type Item = NamedLocation;
    type Report = (Option<Query>, Option<Timestamp>);

    fn report(&mut self, item: &NamedLocation, result: Result<Self::Report, &Failure>) -> Result<(), Failure> {
        let (created, result) = match result {
            Ok((query, created)) => (created, Ok(query)),
            Err(failure) => (None, Err(failure.error())),
        };
        self.tags.push(DatedTag { created, item: item.clone(), result });
        Ok(())
    }
}

impl DatesReporter {
    /// Reports the `limit` newest tags, the oldest first. Tags of the same date are ordered by version.
    fn list(self, limit: usize, reporter: &mut TagsReporter<'_>) -> Result<(), Failure> {
        let mut tags = self.tags;
        let by_version = |one: &DatedTag, other: &DatedTag| compare_versions(&one.item.name, &other.item.name);
        tags.sort_by(|one, other| one.created.cmp(&other.created).then_with(|| by_version(one, other)));
        tags.drain(..tags.len().saturating_sub(limit));
        if self.shows_platforms {
            reporter.set_width(tags.iter().map(|tag| tag.item.name.as_str()));
        }
        tags.into_iter().try_for_each(|tag| reporter.dated(tag, self.shows_platforms))
    }
}

struct TagsReporter<'a> {
    console: &'a Console,
    /// The length of the longest tag in characters.
    width: usize,
    parts: DocumentParts<TagsEntryJson>,
}

impl TagsReporter<'_> {
    /// Aligns the platforms of these tags.
    fn set_width<'t>(&mut self, tags: impl Iterator<Item = &'t str>) {
        self.width = tags.map(|tag| tag_text(tag).chars().count()).max().unwrap_or_default();
    }

    /// Reports a tag whose date was read.
    fn dated(&mut self, tag: DatedTag, shows_platforms: bool) -> Result<(), Failure> {
        let DatedTag { created, item, result } = tag;
        match result {
            Ok(Some(query)) => self.queried(&item, query, created),
            Ok(None) => self.listed(item.name.into(), created),
            Err(_) if !self.console.is_json() && !shows_platforms => self.listed(item.name.into(), None),
            Err(error) => self.failed(&item, error),
        }
    }

    fn failed(&mut self, item: &NamedLocation, error: ErrorJson) -> Result<(), Failure> {
        let (tag, reference) = (item.name.as_str().into(), item.location.clone());
        self.parts.push(|| TagsEntryJson::Failed { tag, reference, error })
    }

    fn listed(&mut self, tag: UntrustedText, created: Option<Timestamp>) -> Result<(), Failure> {
        if !self.console.is_json() {
            return self.console.data_for_reader(tag_text(&tag) + "\n");
        }
        self.parts.push(|| TagsEntryJson::Listed { tag, created })
    }

    fn queried(&mut self, item: &NamedLocation, query: Query, created: Option<Timestamp>) -> Result<(), Failure> {
        let tag = item.name.as_str();
        if !self.console.is_json() {
            let names: Vec<String> = query.platforms.iter().map(Platform::to_string).collect();
            let width = self.width;
            return self.console.data_for_reader(format!("{:<width$} {}\n", tag_text(tag), names.join(", ")));
        }
        self.parts.push(|| {
            let query = Box::new(QueryJson::new(item.location.clone(), &query, None));
            TagsEntryJson::Queried { tag: tag.into(), created, query }
        })
    }

    /// Reports tags without their platforms.
    fn list(&mut self, tags: Vec<UntrustedText>) -> Result<(), Failure> {
        if !self.console.is_json() {
            let lines: String = tags.iter().map(|tag| tag_text(tag) + "\n").collect();
            return self.console.data_for_reader(lines);
        }
        tags.into_iter().try_for_each(|tag| self.parts.push(|| TagsEntryJson::Listed { tag, created: None }))
    }
}

/// Reports the platforms of tags. The name of an item is its tag.
impl Reporter for TagsReporter<'_> {
    type Item = NamedLocation;
    type Report = Query;

    fn report(&mut self, item: &NamedLocation, result: Result<Query, &Failure>) -> Result<(), Failure> {
        match result {
            Ok(query) => self.queried(item, query, None),
            Err(failure) => self.failed(item, failure.error()),
        }
    }
}
