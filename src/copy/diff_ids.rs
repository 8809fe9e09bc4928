use crate::image::{ConfigLayers, Platform, UntrustedText};

/// Returns the uncompressed digests in the config of an image, one for each layer (OCI image-spec, "Image
/// Configuration", `rootfs`). Returns `None` for the config of an artifact that only borrows the media type: it names
/// neither a platform nor layers.
///
/// # Errors
/// The config is not valid, or has not one digest for each of `layers`.
pub(super) fn diff_ids(config: &[u8], layers: usize) -> Result<Option<Vec<String>>, UntrustedText> {
    let ConfigLayers { platform, diff_ids } =
        ConfigLayers::parse(config).map_err(|error| UntrustedText::from(format!("not valid: {error}")))?;
    if platform == Platform::default() && diff_ids.is_empty() {
        return Ok(None);
    }
    if diff_ids.len() != layers {
        let count = diff_ids.len();
        return Err(format!("it has {count} layers (diff_ids), but the manifest has {layers}").into());
    }
    Ok(Some(diff_ids))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_must_have_one_diff_id_for_each_layer() {
        for (config, layers, expected) in [
            (r#"{"rootfs":{"diff_ids":["a","b"]}}"#, 2, Ok(Some(2))),
            (r#"{"os":"linux"}"#, 0, Ok(Some(0))),
            ("{}", 1, Ok(None)),
            (r#"{"os":"linux","rootfs":null}"#, 1, Err("it has 0 layers (diff_ids), but the manifest has 1")),
            (r#"{"rootfs":{"diff_ids":["a"]}}"#, 2, Err("it has 1 layers (diff_ids), but the manifest has 2")),
            (r#"{"rootfs":{"diff_ids":[1]}}"#, 1, Err("not valid")),
            ("[]", 0, Err("not valid")),
        ] {
            match (diff_ids(config.as_bytes(), layers), expected) {
                (Ok(read), Ok(count)) => assert_eq!(read.map(|ids| ids.len()), count, "{config}"),
                (Err(error), Err(part)) => assert!(error.contains(part), "{config}: {error}"),
                (read, _) => panic!("{config}: {read:?}"),
            }
        }
    }
}
