//! Reads the platform and labels in image configs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::resolve_error::SourceReason;
use super::source::unusable;
use crate::image::{Annotations, ConfigLabels, Descriptor, Digest, ImageConfig, Location, Platform, parse_config};
use crate::single_flight::SingleFlight;
use crate::spec::is_annotation;
use crate::store::Store;

/// What an index needs from an image's config.
#[derive(Debug, Clone)]
pub(super) struct ConfigFields {
    pub(super) platform: Platform,
    /// The labels, if they were requested.
    pub(super) labels: Option<Arc<Annotations>>,
}

/// The fields of configs, by repository, digest and whether labels are read, for all indexes of a run.
#[derive(Default)]
pub(super) struct Configs {
    fields: SingleFlight<(Location, Digest, bool), ConfigFields, SourceReason>,
    /// Total bytes of the labels.
    label_bytes: AtomicUsize,
}

impl Configs {
    /// Returns the fields of a config, with its labels if `with_labels`.
    pub(super) async fn get(
        &self,
        store: &Store,
        source: &Location,
        config: &Descriptor,
        with_labels: bool,
    ) -> Result<ConfigFields, SourceReason> {
        let key = (source.without_name(), config.digest.clone(), with_labels);
        let fetch = async {
            let bytes = store.fetch_config(source, config).await?;
            let platform = parse_platform(source, config, &bytes)?;
            let labels = if with_labels { Some(Arc::new(self.labels(source, config, &bytes)?)) } else { None };
            Ok(ConfigFields { platform, labels })
        };
        self.fields.get_with(&key, |_| true, SourceReason::is_shareable, fetch).await
    }

    /// Parses the labels in a config, and counts their bytes.
    fn labels(&self, source: &Location, config: &Descriptor, bytes: &[u8]) -> Result<Annotations, SourceReason> {
        let (labels, size) = parse_labels(source, config, bytes)?;
        if self.label_bytes.fetch_add(size, Ordering::Relaxed) + size > MAX_ALL_LABELS {
            return Err(unusable(format!("{source}: the labels of all images have more than {MAX_ALL_LABELS} bytes")));
        }
        Ok(labels)
    }
}

/// Reads the platform in a config.
pub(super) async fn config_platform(
    store: &Store,
    source: &Location,
    config: &Descriptor,
) -> Result<Platform, SourceReason> {
    parse_platform(source, config, &store.fetch_config(source, config).await?)
}

fn parse_platform(source: &Location, config: &Descriptor, bytes: &[u8]) -> Result<Platform, SourceReason> {
    let config: ImageConfig = parse_config(bytes).map_err(|error| invalid_config(source, config, &error))?;
    let Platform { architecture, os, os_version, os_features, variant } = &config.platform;
    let fields = [architecture, os, os_version, variant].into_iter().chain(os_features);
    if os_features.len() > MAX_FEATURES || fields.into_iter().any(|field| field.len() > MAX_FIELD) {
        return Err(unusable(format!("{source}: the platform in its config is too long")));
    }
    Ok(config.platform)
}

/// Parses the labels that may become annotations of an index. Also returns their size in bytes.
fn parse_labels(source: &Location, config: &Descriptor, bytes: &[u8]) -> Result<(Annotations, usize), SourceReason> {
    let parsed: ConfigLabels = parse_config(bytes).map_err(|error| invalid_config(source, config, &error))?;
    let mut labels = parsed.into_labels();
    labels.retain(|label, _| is_annotation(label));
    let size: usize = labels.iter().map(|(label, value)| label.len() + value.len()).sum();
    if size > MAX_LABELS {
        return Err(unusable(format!("{source}: the labels in its config have {size} bytes, more than {MAX_LABELS}")));
    }
    Ok((labels, size))
}

fn invalid_config(source: &Location, config: &Descriptor, error: &serde_json::Error) -> SourceReason {
    unusable(format!("{source}: its config {} is not valid: {error}", config.digest))
}

/// Maximum total bytes of the labels in a config that become annotations. Limited because labels are kept for the whole
/// run.
const MAX_LABELS: usize = 64 << 10;
/// Maximum total bytes of labels in a run.
const MAX_ALL_LABELS: usize = 32 << 20;
/// Maximum bytes of a field of a platform in a config. Limited because platforms are kept for the whole run.
const MAX_FIELD: usize = 256;
/// Maximum entries of `os.features` in a config.
const MAX_FEATURES: usize = 64;
