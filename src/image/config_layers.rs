//! The part of an image config that describes its layers.

use serde::Deserialize;

use super::config::parse_config;
use super::manifest::ImageConfig;
use super::platform::Platform;

/// The platform and the layers in a config (OCI image-spec, "Image Configuration").
pub(crate) struct ConfigLayers {
    pub(crate) platform: Platform,
    /// The uncompressed digest of each layer. Plain strings, because they are only compared and never requested.
    pub(crate) diff_ids: Vec<String>,
}

#[derive(Default, Deserialize)]
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

impl ConfigLayers {
    /// # Errors
    /// The config is not a JSON object, or a value has the wrong type.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let ConfigFields { config, rootfs } = parse_config(bytes)?;
        Ok(Self { platform: config.platform, diff_ids: rootfs.unwrap_or_default().diff_ids.unwrap_or_default() })
    }
}
