use futures_util::stream::{self, StreamExt as _};

use super::credentials::Registries;
use super::failure::Failure;
use super::global::Global;
use crate::image::Location;
use crate::store::{Error, Store};

/// References looked at at once.
const AT_ONCE: usize = 16;

/// Looks at several references, which a user named, and tells of each in the order given.
pub(super) fn look_at<T>(
    global: &Global,
    names: &[String],
    look: impl AsyncFn(&Store, &Location) -> Result<T, Error>,
    tell: impl FnMut(&str, Result<T, &Failure>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let locations = locations(names)?;
    let client = global.client(&Registries::read(locations.iter().map(|(_, location)| location)))?;
    let store = Store::new(client.clone());
    global.block_on(&client, look_at_all(&store, &locations, look, tell))
}

/// The same of references with their names. One that cannot be looked at does not keep the others from it.
pub(super) async fn look_at_all<T>(
    store: &Store,
    locations: &[(String, Location)],
    look: impl AsyncFn(&Store, &Location) -> Result<T, Error>,
    mut tell: impl FnMut(&str, Result<T, &Failure>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let all = stream::iter(locations).map(async |(name, at)| (name, look(store, at).await)).buffered(AT_ONCE);
    let (mut all, mut failed) = (std::pin::pin!(all), Vec::new());
    while let Some((name, found)) = all.next().await {
        match found {
            Ok(found) => tell(name, Ok(found))?,
            Err(error) => {
                let failure = Failure::from(error);
                tell(name, Err(&failure))?;
                failed.push(failure);
            }
        }
    }
    Failure::all(failed, "cannot be looked at", locations.len())
}

/// References that are to be read, with their names.
pub(super) fn locations(names: &[String]) -> Result<Vec<(String, Location)>, Failure> {
    names.iter().map(|name| Ok((name.clone(), location(name)?))).collect()
}

/// In a registry it must have a tag or a digest.
pub(super) fn location(name: &str) -> Result<Location, Failure> {
    let location: Location = name.parse().map_err(|error| Failure::new(format!("{error}")))?;
    if location.reference().is_some_and(|reference| reference.manifest_name().is_none()) {
        return Err(Failure::new(format!(
            "\"{name}\" has no tag or digest; manifest-tool does not default to \"latest\""
        )));
    }
    Ok(location)
}
