use clap::Args;

use super::batch::Reporter;
use super::console::Console;
use super::exit_status::ExitStatus;
use super::failure::Failure;
use super::output::CommandOutput;
use super::parts::DocumentParts;
use super::read_batch;
use super::references::NamedLocation;
use super::render::{Body, Either, QueryJson, query_text};
use super::session::Session;
use crate::image::{Platform, suggestion};
use crate::query;

/// Show the platforms of images
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  manifest-tool query registry.example/app:v1\n  manifest-tool query --platform linux/arm64 registry.example/app:v1 && echo offered"
)]
pub(super) struct Query {
    /// Images or indexes, with a tag or digest
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    /// Exit with code 3 if an image lacks it
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,
}

impl Query {
    pub(super) fn run(self, session: &Session) -> Result<CommandOutput, Failure> {
        let console = &*session.console;
        let platform = self.platform.as_ref();
        let mut reporter = QueryReporter {
            console,
            platform,
            parts: DocumentParts::collect_if(console.is_json()),
            unsupported: Vec::new(),
        };
        let read = read_batch::read(session, &self.images, query::query, &mut reporter);
        let QueryReporter { parts, unsupported, .. } = reporter;
        if let (Some(platform), false) = (platform, unsupported.is_empty()) {
            console.info(format_args!("not for {platform}: {}{}", unsupported.join(", "), suggestion(platform)));
        }
        let status = if unsupported.is_empty() { ExitStatus::Done } else { ExitStatus::NotOffered };
        CommandOutput::document(console, Body::Query { images: parts.into_vec() }, read.map(|()| status))
    }
}

struct QueryReporter<'a> {
    console: &'a Console,
    platform: Option<&'a Platform>,
    parts: DocumentParts<Either<QueryJson>>,
    /// References without an image for the platform.
    unsupported: Vec<String>,
}

impl Reporter for QueryReporter<'_> {
    type Item = NamedLocation;
    type Report = query::Query;

    fn report(&mut self, item: &NamedLocation, result: Result<query::Query, &Failure>) -> Result<(), Failure> {
        let name = &item.name;
        let query = match result {
            Ok(query) => query,
            Err(failure) => return self.parts.push(|| Either::Failed(failure.part(name))),
        };
        let offered = self.platform.map(|platform| query.offers(platform));
        if offered == Some(false) {
            self.unsupported.push(name.clone());
        }
        if !self.console.is_json() {
            self.console.data_for_reader(query_text(name, &query))?;
        }
        self.parts.push(|| Either::Result(QueryJson::new(name.clone(), &query, offered)))
    }
}
