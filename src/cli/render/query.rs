use serde::Serialize;

use super::descriptor::DescriptorJson;
use crate::image::{Platform, visible};
use crate::query::Query;

/// The platforms of a reference.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct QueryJson<R = String> {
    reference: R,
    #[serde(flatten)]
    descriptor: DescriptorJson,
    index: bool,
    platforms: Vec<Platform>,
    /// Whether the reference has an image for `--platform`. Absent without that flag.
    #[serde(skip_serializing_if = "Option::is_none")]
    offered: Option<bool>,
}

impl<R> QueryJson<R> {
    pub(in crate::cli) fn new(reference: R, query: &Query, offered: Option<bool>) -> Self {
        let (index, platforms) = (query.is_index, query.platforms.clone());
        Self { reference, descriptor: (&query.descriptor).into(), index, platforms, offered }
    }
}

/// Returns the text of `query`, which equals the output of mquery byte for byte. `name` is the reference as the user
/// wrote it.
#[must_use]
pub(in crate::cli) fn query_text(name: &str, query: &Query) -> String {
    let platforms = query.platforms.iter().map(platform_text);
    let (list, platforms) = if query.is_index {
        (
            "Yes",
            " * Supported platforms:\n".to_owned()
                + &platforms.map(|name| format!("   - {name}\n")).collect::<String>(),
        )
    } else {
        ("No", platforms.map(|name| format!(" * Supports: {name}\n")).collect())
    };
    let (digest, kind) = (&query.descriptor.digest, &query.descriptor.media_type);
    let name = visible(name);
    format!("Image: {name} (digest: {digest})\n * Manifest List: {list} (Image type: {kind})\n{platforms}\n")
}

fn platform_text(platform: &Platform) -> String {
    let Platform { os, architecture, variant, os_version, .. } = platform;
    let variant = if variant.is_empty() { String::new() } else { format!("/{variant}") };
    let version = if os == "windows" && !os_version.is_empty() { format!(":{os_version}") } else { String::new() };
    format!("{os}/{architecture}{variant}{version}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Descriptor, Digest, media_type};

    #[test]
    fn query_prints_what_mquery_prints() {
        let platform = |name: &str, version: &str| Platform { os_version: version.into(), ..name.parse().unwrap() };
        let query = |kind, is_index, platforms| Query {
            descriptor: Descriptor::new(kind, Digest::sha256(b"")),
            is_index,
            platforms,
        };
        let list = vec![
            platform("linux/amd64", "6.1"),
            platform("linux/arm/v7", ""),
            platform("windows/amd64", "10.0.20348.9"),
            platform("windows/arm64", ""),
        ];
        let digest = Digest::sha256(b"");
        assert_eq!(
            query_text("a:1", &query(media_type::DOCKER_LIST, true, list)),
            format!(
                "Image: a:1 (digest: {digest})\n * Manifest List: Yes (Image type: {})\n * Supported platforms:\n   - \
                 linux/amd64\n   - linux/arm/v7\n   - windows/amd64:10.0.20348.9\n   - windows/arm64\n\n",
                media_type::DOCKER_LIST
            )
        );
        assert_eq!(
            query_text("a:1", &query(media_type::OCI_MANIFEST, false, vec![platform("linux/arm64/v8", "")])),
            format!(
                "Image: a:1 (digest: {digest})\n * Manifest List: No (Image type: {})\n * Supports: linux/arm64/v8\n\n",
                media_type::OCI_MANIFEST
            )
        );
    }
}
