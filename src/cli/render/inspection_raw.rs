use serde_json::{Map, Value, json};

use super::escape::escaped;
use crate::image::to_go_json;
use crate::inspect::{Child, Content, Image, Inspection};

/// Returns the JSON of `inspect --raw`: an image's manifest with name, digest, os and architecture, or an index with
/// the manifests of its children. With `expand_config`, replaces the config descriptor in each manifest with the config
/// itself.
///
/// # Errors
/// A manifest or config is not a JSON object.
pub(in crate::cli) fn inspection_json(
    name: &str,
    inspection: &Inspection,
    expand_config: bool,
) -> Result<String, serde_json::Error> {
    let mut out = Map::new();
    out.insert("name".into(), json!(name));
    out.insert("digest".into(), json!(inspection.descriptor.digest));
    match &inspection.content {
        Content::Image(image) => {
            let platform = image.platform();
            for (key, value) in [("os", platform.os), ("architecture", platform.architecture)] {
                if !value.is_empty() {
                    out.insert(key.into(), json!(value));
                }
            }
            out.extend(without_own(manifest(&inspection.bytes, image, expand_config)?));
        }
        Content::Schema1(_) => out.extend(without_own(serde_json::from_slice(&inspection.bytes)?)),
        Content::Index(index, children) => {
            let mut index_json: Map<String, Value> = serde_json::from_slice(&inspection.bytes)?;
            let entries = index.manifests.iter().zip(children).map(|(entry, child)| match child {
                Child::Image(image, bytes) => manifest(bytes, image, expand_config).map(Value::Object),
                Child::Other => serde_json::to_value(entry),
            });
            index_json.insert("manifests".into(), entries.collect::<Result<_, _>>()?);
            out.extend(without_own(index_json));
        }
    }
    Ok(escaped(&String::from_utf8_lossy(&to_go_json(&out, "    ")?)))
}

/// Returns a manifest without the fields that this program sets.
fn without_own(mut manifest: Map<String, Value>) -> Map<String, Value> {
    manifest.retain(|key, _| key != "name" && key != "digest");
    manifest
}

fn manifest(bytes: &[u8], image: &Image, expand_config: bool) -> Result<Map<String, Value>, serde_json::Error> {
    let mut manifest: Map<String, Value> = serde_json::from_slice(bytes)?;
    if let Some(config) = image.config.as_ref().filter(|_| expand_config) {
        manifest.insert("config".into(), serde_json::from_slice(config)?);
    }
    Ok(manifest)
}
