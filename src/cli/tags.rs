use clap::Args;
use serde_json::json;

use super::credentials::Registries;
use super::documents::Documents;
use super::failure::Failure;
use super::results::{Results, pretty};
use super::several::look_at_all;
use super::{Global, print_for_reader};
use crate::image::{Location, Platform};
use crate::store::Store;
use crate::{output, query};

/// List the tags of a repository, or the names in a layout
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  manifest-tool tags --platforms registry.example/app")]
pub(super) struct Tags {
    /// A repository, without a tag; or oci:FOLDER, oci-archive:FILE
    repository: String,
    /// At most this many, in the order of the registry
    #[arg(long, value_name = "N", default_value_t = usize::MAX, hide_default_value = true)]
    limit: usize,
    /// The platforms of each
    #[arg(long)]
    platforms: bool,
}

impl Tags {
    pub(super) fn run(self, global: &Global) -> Result<Results, Failure> {
        let at: Location = self.repository.parse().map_err(Failure::usage)?;
        if at.tag().is_some() || at.digest().is_some() {
            let repository = &self.repository;
            return Err(Failure::usage(format!("\"{repository}\" has a tag or digest; name the repository alone")));
        }
        let client = global.client(&Registries::read([&at]))?;
        let store = Store::new(client.clone());
        let mut documents = Documents::default();
        let listing = async {
            let tags = store.tags(&at, self.limit).await?;
            if !self.platforms {
                if global.is_json() {
                    return tags.iter().try_for_each(|tag| documents.push(json!({"tag": tag})));
                }
                return print_for_reader(tags.iter().map(|tag| output::tag_text(tag) + "\n").collect::<String>());
            }
            let width = tags.iter().map(|tag| output::tag_text(tag).chars().count()).max().unwrap_or_default();
            let locations: Vec<(String, Location)> =
                tags.iter().map(|tag| (tag.as_str().to_owned(), at.with_tag(tag))).collect();
            look_at_all(&store, &locations, query::query, |tag, found| match found {
                Ok(found) if !global.is_json() => {
                    let names: Vec<String> = found.platforms.iter().map(Platform::to_string).collect();
                    let tag = output::tag_text(tag);
                    print_for_reader(format!("{tag:<width$} {}\n", names.join(", ")))
                }
                Ok(found) => {
                    let mut part = json!({"tag": tag});
                    output::merge(&mut part, output::query_json(at.with_tag(tag), &found));
                    documents.push(part)
                }
                Err(failure) => {
                    let mut part = json!({"tag": tag});
                    output::merge(&mut part, failure.part(at.with_tag(tag)));
                    documents.push(part)
                }
            })
            .await
        };
        let listed = global.block_on(&client, listing);
        let document = documents.into_document("tags", json!({"repository": self.repository}), "tags");
        listed.map_err(|failure| failure.with_document(document.clone()))?;
        Ok(if global.is_json() { pretty(&document) } else { String::new() }.into())
    }
}
