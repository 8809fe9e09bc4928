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
use super::render::{Body, Either, QueryJson, query_text};
use super::session::Session;
use crate::image::Platform;
use crate::query;

/// Show the platforms of images
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  manifest-tool query registry.example/app:v1\n  manifest-tool query --platform linux/arm64 registry.example/app:v1 && echo yes"
)]
pub(super) struct Query {
    /// Images or indexes, with a tag or digest
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    /// Exit with code 3 if an image lacks it
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", value_parser = platform(), hide_possible_values = true)]
    platform: Option<Platform>,
}

impl Query {
    pub(super) fn run(self, session: &Session) -> Result<CommandOutput, Failure> {
        let console = &*session.console;
        let (parts, offers) = (DocumentParts::collect_if(console.is_json()), Offers::new(self.platform.as_ref()));
        let mut reporter = QueryReporter { console, parts, offers };
        let read = read_batch::read(session, &self.images, query::query, &mut reporter);
        let QueryReporter { parts, offers, .. } = reporter;
        let status = offers.finish(console);
        CommandOutput::document(console, Body::Query { images: parts.into_vec() }, read.map(|()| status))
    }
}

struct QueryReporter<'a> {
    console: &'a Console,
    parts: DocumentParts<Either<QueryJson>>,
    offers: Offers<'a>,
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
        let offered = self.offers.platform.map(|platform| query.offers(platform));
        if offered == Some(false) {
            self.offers.add_lacking(name);
        }
        if !self.console.is_json() {
            self.console.data_for_reader(query_text(name, &query))?;
        }
        self.parts.push(|| Either::Result(QueryJson::new(name.clone(), &query, offered)))
    }
}
