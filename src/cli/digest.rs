use std::io::Read as _;

use clap::Args;
use serde_json::json;

use super::failure::Failure;
use super::results::{Results, pretty};
use super::several::look_at;
use super::{Global, print_for_reader};
use crate::image::Digest as Hash;
use crate::output;
use crate::store::Store;

/// Print the digest that a reference stands for, or that of a file
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  manifest-tool digest registry.example/app:v1\n  manifest-tool digest --file manifest.json"
)]
pub(super) struct Digest {
    /// Images or indexes, with a tag
    #[arg(required_unless_present = "file", value_name = "IMAGE")]
    images: Vec<String>,
    /// Hash a file, such as a manifest; - reads standard input
    #[arg(long, value_name = "FILE", conflicts_with = "images")]
    file: Option<String>,
}

/// No manifest is longer; bytes.
const MAX_LENGTH: u64 = 64 << 20;

impl Digest {
    pub(super) fn run(self, global: &Global) -> Result<Results, Failure> {
        let mut parts = Vec::new();
        let mut tell = |name: &str, found: Result<Hash, &Failure>| {
            match found {
                Ok(digest) if !global.is_json() => return print_for_reader(format!("{digest}\n")),
                Ok(digest) => parts.push(json!({"reference": name, "digest": digest})),
                Err(failure) => parts.push(failure.part(name)),
            }
            Ok(())
        };
        let looked = match &self.file {
            Some(file) => hash(file).and_then(|digest| tell(file, Ok(digest))),
            None => look_at(global, &self.images, async |store: &Store, at| store.digest(at).await, tell),
        };
        let document = output::document("digest", json!({"images": parts}));
        looked.map_err(|failure| failure.with_document(document.clone()))?;
        Ok(if global.is_json() { pretty(&document) } else { String::new() }.into())
    }
}

fn hash(file: &str) -> Result<Hash, Failure> {
    let failed = |error: std::io::Error| Failure::new(format!("cannot read {file}: {error}"));
    let mut bytes = Vec::new();
    if file == "-" {
        std::io::stdin().lock().take(MAX_LENGTH + 1).read_to_end(&mut bytes).map_err(failed)?;
    } else {
        std::fs::File::open(file).map_err(failed)?.take(MAX_LENGTH + 1).read_to_end(&mut bytes).map_err(failed)?;
    }
    if bytes.len() as u64 > MAX_LENGTH {
        return Err(Failure::new(format!("{file} is longer than {MAX_LENGTH} bytes, no manifest is")));
    }
    Ok(Hash::sha256(&bytes))
}
