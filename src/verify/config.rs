use serde::Deserialize;

use super::Problem;
use crate::image::{ImageConfig, Platform, parse_config};

/// The checked fields of an image config.
pub(super) struct Config {
    pub(super) platform: Platform,
    /// Uncompressed digest of each layer. Plain strings, as they are only compared and never requested.
    pub(super) diff_ids: Vec<String>,
}

#[derive(Deserialize, Default)]
struct RootFs {
    diff_ids: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(expecting = "a JSON object")]
struct ConfigFields {
    #[serde(flatten)]
    config: ImageConfig,
    rootfs: Option<RootFs>,
}

impl Config {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Problem> {
        let fields = parse_config::<ConfigFields>(bytes);
        let ConfigFields { config, rootfs } =
            fields.map_err(|error| Problem::Content(format!("invalid config: {error}").into()))?;
        Ok(Self { platform: config.platform, diff_ids: rootfs.unwrap_or_default().diff_ids.unwrap_or_default() })
    }
}
