use std::collections::HashSet;

use clap::Args;
use serde_json::{Value, json};

use super::credentials::Registries;
use super::failure::Failure;
use super::results::{Results, pretty};
use super::several::locations;
use super::{Global, print};
use crate::delete::{self, DeleteOptions, Deleted};
use crate::output;
use crate::store::Store;

/// Delete tags where the registry can, or manifests with all their tags
#[derive(Debug, Args)]
#[command(
    after_help = "A tag is deleted alone where the registry does that. Many do not: then, and for a digest, the manifest is deleted with every tag of it, but not without --yes. The images of an index stay.\n\nExample:\n  manifest-tool delete registry.example/app:pr-17\n  manifest-tool delete --yes registry.example/app:pr-17"
)]
pub(super) struct Delete {
    /// Images or indexes, with a tag or a digest
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    /// Delete the manifest, with every tag of it, where the tag alone cannot be deleted
    #[arg(long)]
    yes: bool,
}

impl Delete {
    pub(super) fn run(self, global: &Global) -> Result<Results, Failure> {
        let locations = locations(&self.images)?;
        if let Some((name, _)) = locations.iter().find(|(_, at)| at.tag().is_none() && at.digest().is_none()) {
            return Err(Failure::usage(format!(
                "\"{name}\" has neither a name nor a digest; say what is to be deleted"
            )));
        }
        if let Some((name, _)) = locations.iter().find(|(_, at)| at.tag().is_some() && at.digest().is_some()) {
            return Err(Failure::usage(format!(
                "\"{name}\" has both a tag and a digest; name the one that is to be deleted"
            )));
        }
        let client = global.client(&Registries::written(locations.iter().map(|(_, location)| location)))?;
        let store = Store::new(client.clone());
        let options = DeleteOptions { with_every_tag: self.yes, dry_run: false };
        let mut parts = Vec::new();
        let deleting = async {
            let (mut failed, mut gone) = (Vec::new(), HashSet::new());
            // One after another: one may take the tags of the next, which is then gone as well.
            let known = store.digests(locations.iter().map(|(_, at)| at)).await;
            for ((name, at), known) in locations.iter().zip(known) {
                if let Some(digest) = known.ok().filter(|digest| gone.contains(digest)) {
                    parts.push(part(name, &Deleted { location: at.with_digest(digest.clone()), digest }));
                    continue;
                }
                match delete::delete(&store, at, &options).await {
                    Ok(deleted) => {
                        if deleted.location.tag().is_none() {
                            gone.insert(deleted.digest.clone());
                        }
                        parts.push(part(name, &deleted));
                        if !global.is_json() {
                            print(line(&deleted))?;
                        }
                    }
                    Err(error) => {
                        let (part, failure) = failure(name, error);
                        parts.push(part);
                        failed.push(failure);
                    }
                }
            }
            Failure::all(failed, "are not deleted", locations.len())
        };
        let outcome = global.block_on(&client, deleting);
        let document = output::document("delete", json!({"images": parts}));
        outcome.map_err(|failure| failure.with_document(document.clone()))?;
        Ok(if global.is_json() { pretty(&document) } else { String::new() }.into())
    }
}

fn line(Deleted { location, digest }: &Deleted) -> String {
    match location.tag() {
        Some(_) => format!("Deleted: {location} ({digest})\n"),
        None => format!("Deleted: {location}, with every tag of it\n"),
    }
}

fn part(name: &str, Deleted { location, digest }: &Deleted) -> Value {
    let what = if location.tag().is_some() { "tag" } else { "manifest" };
    json!({"reference": name, "digest": digest, "deleted": what})
}

fn failure(name: &str, error: delete::Error) -> (Value, Failure) {
    let message = error.to_string();
    match error {
        delete::Error::Store(error) => {
            let failure = Failure::from(error);
            (failure.part(name), failure)
        }
        delete::Error::TakesMore(more) => {
            let failure = Failure::new(message)
                .with_hint("--yes deletes it all the same, where the registry deletes manifests".into());
            let mut part = failure.part(name);
            output::merge(&mut part, json!({"digest": more.digest}));
            if let Ok(uses) = more.uses {
                output::merge(&mut part, json!({"tags": uses.tags, "heldBy": uses.held_by}));
            }
            (part, failure)
        }
    }
}
