//! Pushes a small image for each of three platforms, built from the files in `examples/hello`. It stands in for a
//! build.
//!
//! `cargo run --example push_hello -- HOST:PORT` pushes `HOST:PORT/hello:v1-ARCH`, for ARCH amd64, arm64 and armv7.
#![allow(clippy::print_stdout, reason = "a program")]

use std::error::Error;
use std::path::Path;

use manifest_tool::image::{Descriptor, Digest, Reference, media_type};
use manifest_tool::registry::{Client, ClientConfig};
use serde_json::json;

const LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";

fn main() -> Result<(), Box<dyn Error>> {
    push_to(&std::env::args().nth(1).ok_or("usage: push_hello HOST:PORT")?)
}

pub(crate) fn push_to(registry: &str) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let client = Client::new(ClientConfig::default());
    for (name, architecture, variant) in
        [("amd64", "amd64", None), ("arm64", "arm64", Some("v8")), ("armv7", "arm", Some("v7"))]
    {
        let reference: Reference = format!("{registry}/hello:v1-{name}").parse()?;
        runtime.block_on(push_image(&client, &reference, name, architecture, variant))?;
        println!("pushed {reference}");
    }
    Ok(())
}

async fn push_image(
    client: &Client,
    reference: &Reference,
    name: &str,
    architecture: &str,
    variant: Option<&str>,
) -> Result<(), Box<dyn Error>> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/hello").join(name).join("hello");
    let content = std::fs::read(file)?;
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o755);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, "bin/hello", content.as_slice())?;
    let layer = archive.into_inner()?;

    let mut config = json!({
        "architecture": architecture,
        "os": "linux",
        "config": {"Cmd": ["/bin/hello"]},
        "rootfs": {"type": "layers", "diff_ids": [Digest::sha256(&layer)]},
    });
    if let (Some(variant), Some(fields)) = (variant, config.as_object_mut()) {
        fields.insert("variant".into(), json!(variant));
    }
    let layer = client.push_blob(reference, LAYER, layer.into()).await?;
    let config = client.push_blob(reference, media_type::DOCKER_CONFIG, config.to_string().into()).await?;
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media_type::DOCKER_MANIFEST, "config": config, "layers": [layer],
    });
    let bytes = bytes::Bytes::from(serde_json::to_vec_pretty(&manifest)?);
    let descriptor =
        Descriptor { size: bytes.len() as u64, ..Descriptor::new(media_type::DOCKER_MANIFEST, Digest::sha256(&bytes)) };
    client.push_manifest(reference, &descriptor, &bytes).await?;
    Ok(())
}
