use futures_util::stream::{self, StreamExt as _};

use super::{Child, Content, Inspection};
use crate::image::{ConfigDetails, Descriptor, Location, media_type};
use crate::store::{Error, Store};

/// The maximum number of configs read concurrently. Each takes memory until its details are parsed.
const MAX_CONCURRENT: usize = 16;

/// Reads the details in the config of each image: one for an image, or one for each entry of an index. `None` for
/// attestations, artifacts and other entries without an image config. The inner error says why a config cannot be used.
///
/// # Errors
/// The run was stopped.
pub(crate) async fn config_details<'i>(
    store: &Store,
    reference: &Location,
    inspection: &'i Inspection,
) -> Result<Vec<Option<Result<ConfigDetails, String>>>, Error> {
    let configs: Vec<Option<&'i Descriptor>> = match &inspection.content {
        // The config of a single image was read with its manifest.
        Content::Image(image) => return Ok(vec![image.config.as_deref().map(parse)]),
        Content::Schema1(_) => return Ok(Vec::new()),
        Content::Index(index, children) => {
            let config = |(entry, child): (&Descriptor, &'i Child)| match child {
                Child::Image(image, _) if !entry.is_annotated_as_attestation() => Some(&image.manifest.config),
                _ => None,
            };
            index.manifests.iter().zip(children).map(config).collect()
        }
    };
    let read = async |position: usize| {
        let config = configs.get(position).copied().flatten();
        let Some(config) = config.filter(|config| media_type::is_config(&config.media_type)) else { return Ok(None) };
        match store.fetch_config(reference, config).await {
            Ok(bytes) => Ok(Some(parse(&bytes))),
            Err(error) if error.is_stopped() => Err(error),
            Err(error) => Ok(Some(Err(format!("cannot be read: {}", error.reason())))),
        }
    };
    let details: Vec<_> = stream::iter(0..configs.len()).map(read).buffered(MAX_CONCURRENT).collect().await;
    details.into_iter().collect()
}

fn parse(bytes: &[u8]) -> Result<ConfigDetails, String> {
    ConfigDetails::parse(bytes).map_err(|error| format!("not valid: {error}"))
}
