use super::batch::{BatchRunner, Mode, Reporter};
use super::credentials::Registries;
use super::failure::Failure;
use super::progress::Activity;
use super::references::{NamedLocation, locations};
use super::session::Session;
use crate::image::Location;
use crate::store::{Error, Store};

/// The maximum number of references read concurrently.
const CONCURRENCY: usize = 16;

/// Reads references that the user named.
///
/// # Errors
/// A reference is invalid, or [`BatchRunner::run`] fails.
pub(super) fn read<R: Reporter<Item = NamedLocation>>(
    session: &Session,
    names: &[String],
    job: impl AsyncFn(&Store, &Location) -> Result<R::Report, Error>,
    reporter: &mut R,
) -> Result<(), Failure> {
    let items = locations(names)?;
    let client = session.client(&Registries::read(items.iter().map(|item| &item.location)))?;
    let store = Store::new(client.clone());
    let job = async |item: &NamedLocation| job(&store, &item.location).await;
    let activity = Activity::of_references("reading", names);
    session.block_on(&client, Some(activity), runner(&store, session).run(&items, job, reporter))
}

/// Returns a runner for a batch that reads references. A failure does not prevent the other references from being read.
pub(super) fn runner<'a>(store: &'a Store, session: &'a Session) -> BatchRunner<'a> {
    let mode = Mode::Read { failed: "cannot be read" };
    BatchRunner { store, console: &session.console, concurrency: CONCURRENCY, mode }
}
