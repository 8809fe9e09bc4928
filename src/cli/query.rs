use clap::Args;
use serde_json::json;

use super::documents::Documents;
use super::exit_status::ExitStatus;
use super::failure::Failure;
use super::results::{Results, pretty};
use super::several::look_at;
use super::talk::say;
use super::{Global, print_for_reader};
use crate::image::{Platform, suggestion};
use crate::{output, query};

/// Show what platforms images are for
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  manifest-tool query registry.example/app:v1\n  manifest-tool query --platform linux/arm64 registry.example/app:v1 && echo offered"
)]
pub(super) struct Query {
    /// Images or indexes, with a tag or a digest
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    /// Exit code 3 when one of them has no image for this platform
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,
}

impl Query {
    pub(super) fn run(self, global: &Global) -> Result<Results, Failure> {
        let (mut documents, mut lacking) = (Documents::default(), Vec::new());
        let looked = look_at(global, &self.images, query::query, |name, found| match &found {
            Ok(found) => {
                let offered = self.platform.as_ref().map(|wanted| found.offers(wanted));
                lacking.extend((offered == Some(false)).then(|| name.to_owned()));
                if !global.is_json() {
                    return print_for_reader(output::query_text(name, found));
                }
                let mut part = output::query_json(name, found);
                if let Some(offered) = offered {
                    output::merge(&mut part, json!({"offered": offered}));
                }
                documents.push(part)
            }
            Err(failure) => documents.push(failure.part(name)),
        });
        if let (Some(wanted), false) = (&self.platform, lacking.is_empty() || global.quiet) {
            say(format_args!("not for {wanted}: {}{}", lacking.join(", "), suggestion(wanted)));
        }
        let document = documents.into_document("query", json!({}), "images");
        looked.map_err(|failure| failure.with_document(document.clone()))?;
        let text = if global.is_json() { pretty(&document) } else { String::new() };
        Ok(Results { text, status: if lacking.is_empty() { ExitStatus::Done } else { ExitStatus::NotOffered } })
    }
}
