use clap::Args;
use futures_util::future::try_join_all;
use serde_json::json;

use super::credentials::Registries;
use super::documents::Documents;
use super::failure::Failure;
use super::many::{Came, Many, Moved, not_begun};
use super::results::{Files, Results, pretty, take_back_archives};
use super::{Global, print, talk};
use crate::copy::{self, CopyOptions, CopyRequest};
use crate::image::{Location, Platform, UntrustedText, check_tag};
use crate::output;
use crate::store::{PublishReport, Run, Store};

/// Tags on their way at once: enough that none waits for the round trips of another.
const TAGS: usize = 8;

/// Copy an image, or an index with all its images, byte for byte
#[derive(Debug, Args)]
#[command(
    after_help = "A place is HOST/REPOSITORY:TAG, oci:FOLDER[:NAME] or oci-archive:FILE[:NAME].\n\nExample:\n  manifest-tool copy staging.example/app:v1 registry.example/app:v1 --tags latest\n  manifest-tool copy --tags 'v1.*' --dry-run staging.example/app registry.example/app"
)]
pub(super) struct Copy {
    /// Image or index; with --tags, a repository
    #[arg(value_name = "SRC")]
    from: String,
    /// Where it goes; without a tag, under that of SRC
    #[arg(value_name = "DST")]
    to: String,
    /// Only the image of this platform, out of an index
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<String>,
    /// What refers to it as well: signatures, SBOMs, attestations
    #[arg(long)]
    referrers: bool,
    /// Further tags at DST; where SRC is a repository, the tags of it to copy, in which * and ? stand for others
    #[arg(long, value_delimiter = ',', value_name = "TAG")]
    tags: Vec<String>,
    /// Tell what would be copied
    #[arg(long)]
    dry_run: bool,
    /// Return only when every tag reads back with the digest
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    files: Files,
    /// Show no progress on a terminal
    #[arg(long)]
    no_progress: bool,
}

impl Copy {
    pub(super) fn run(self, global: &Global) -> Result<Results, Failure> {
        let (from, to) = (location(&self.from)?, location(&self.to)?);
        // A repository stands for tags of it.
        let many = from.reference().is_some() && from.tag().is_none() && from.digest().is_none();
        self.check(&from, &to, many)?;
        let platform = self.platform.as_deref().map(platform).transpose()?;
        let options = CopyOptions { platform, referrers: self.referrers, wait: self.wait, dry_run: self.dry_run };
        let files = self.files.begin(self.dry_run)?;
        let client = global.client(&Registries::written([&to]).and_read([&from]))?;
        let store = Store::new(client.clone());
        let show = !self.no_progress && !global.quiet && !self.dry_run;
        let mut told = Told {
            keeps: global.is_json() || self.files.wants_metadata(),
            prints: !global.is_json(),
            ..Told::default()
        };
        let outcome = global.block_on(&client, async {
            let pairs = self.pairs(&store, from, to, many).await?;
            if pairs.len() > 1 && self.files.wants_digest() {
                return Err(Failure::usage("--digest-file is for one image or index, and there are several tags"));
            }
            if self.dry_run {
                return foresee(&store, &pairs, &options, &mut told).await;
            }
            let shown = show.then_some((pairs.len(), "tags"));
            talk::with_progress(shown, copy_all(global, &store, &pairs, &options, &mut told)).await
        });
        if outcome.is_err() && !self.dry_run {
            take_back_archives(told.documents.parts_mut());
        }
        let document = told.documents.into_document("copy", json!({"dryRun": self.dry_run}), "copies");
        outcome.map_err(|failure| failure.with_document(document.clone()))?;
        files.end(&document, told.digest.as_deref())?;
        Ok(if global.is_json() { pretty(&document) } else { String::new() }.into())
    }

    /// What makes no sense, whatever the registries hold.
    fn check(&self, from: &Location, to: &Location, many: bool) -> Result<(), Failure> {
        let (source, target) = (&self.from, &self.to);
        let named = |location: &Location| location.tag().is_some() || location.digest().is_some();
        if many && self.tags.is_empty() {
            let hint = "name a tag, or choose tags of it with --tags 'v1.*'";
            return Err(Failure::usage(format!("source \"{source}\" has no tag or digest; {hint}")));
        }
        if many && named(to) {
            let why = "with a repository as source the tags stay as they are";
            return Err(Failure::usage(format!("target \"{target}\" has a tag or digest; {why}")));
        }
        if many {
            return Ok(());
        }
        if from.reference().is_none() && from.tag().is_none() && to.reference().is_some() && !named(to) {
            return Err(Failure::usage(format!("target \"{target}\" has no tag, and the source has none either")));
        }
        self.tags.iter().try_for_each(|tag| {
            let shown = || UntrustedText::from(tag.as_str());
            check_tag(tag).map_err(|reason| Failure::usage(format!("invalid tag \"{}\": {reason}", shown())))
        })
    }

    async fn pairs(
        &self,
        store: &Store,
        from: Location,
        to: Location,
        many: bool,
    ) -> Result<Vec<CopyRequest>, Failure> {
        if !many {
            let tags = self.tags.iter().map(|tag| to.with_tag(tag)).collect();
            return Ok(vec![CopyRequest { from, to, tags }]);
        }
        let tags = copy::select_tags(store, &from, &self.tags).await?;
        Ok(tags
            .iter()
            .map(|tag| CopyRequest { from: from.with_tag(tag), to: to.with_tag(tag), tags: Vec::new() })
            .collect())
    }
}

/// What is told of copies as they are done, and kept for the document of all.
#[derive(Default)]
struct Told {
    keeps: bool,
    prints: bool,
    documents: Documents,
    digest: Option<String>,
}

impl Moved for PublishReport {
    fn has_moved(&self) -> bool {
        Self::has_moved(self)
    }
}

impl Told {
    /// A line, and a part of the document.
    fn tell(
        &mut self,
        pair: &CopyRequest,
        came: Came<'_, PublishReport>,
        line: impl Fn(&PublishReport) -> String,
    ) -> Result<(), Failure> {
        if self.keeps {
            let mut part = json!({"source": pair.from});
            output::merge(
                &mut part,
                match &came {
                    Came::Done(report) => {
                        let mut part = json!({"reference": report.tags.first().map(|tag| &tag.location)});
                        output::merge(&mut part, output::descriptor_json(&report.descriptor));
                        let tags = output::tags_json(&report.tags);
                        output::merge(&mut part, json!({"changed": report.has_moved(), "tags": tags}));
                        part
                    }
                    Came::Failed(failure) => failure.part_of_copy(&pair.to),
                    Came::NotBegun => not_begun().part_of_copy(&pair.to),
                },
            );
            self.documents.push(part)?;
        }
        let Came::Done(report) = came else { return Ok(()) };
        self.digest = Some(report.descriptor.digest.to_string());
        if self.prints { print(line(report)) } else { Ok(()) }
    }
}

async fn copy_all(
    global: &Global,
    store: &Store,
    pairs: &[CopyRequest],
    options: &CopyOptions,
    told: &mut Told,
) -> Result<(), Failure> {
    let line =
        |PublishReport { descriptor, .. }: &PublishReport| format!("Digest: {} {}", descriptor.digest, descriptor.size);
    if let [pair] = pairs {
        return match copy::copy(store, pair, options).await {
            Ok(report) => told.tell(pair, Came::Done(&report), |report| line(report) + "\n"),
            Err(error) => {
                let failure = Failure::from(error);
                told.tell(pair, Came::Failed(&failure), line).and(Err(failure))
            }
        };
    }
    let run = Run::new(store, false);
    let one = async |pair: &CopyRequest| Ok(copy::copy_in(&run, pair, options).await?);
    let many = Many { run: &run, kind: "tags", done: "done", at_once: TAGS, fail_fast: false, quiet: global.quiet };
    let tell = |pair: &CopyRequest, came: Came<'_, PublishReport>| {
        told.tell(pair, came, |report| format!("{} {}\n", line(report), pair.to))
    };
    many.run(pairs, one, tell).await
}

/// What would be copied, a line each.
async fn foresee(store: &Store, pairs: &[CopyRequest], options: &CopyOptions, told: &mut Told) -> Result<(), Failure> {
    let reports = try_join_all(pairs.iter().map(|pair| copy::copy(store, pair, options))).await?;
    for (pair, report) in pairs.iter().zip(&reports) {
        let line = |report: &PublishReport| {
            let to: Vec<String> = report.tags.iter().map(|tag| tag.location.to_string()).collect();
            format!("{} {} -> {}\n", report.descriptor.digest, pair.from, to.join(", "))
        };
        told.tell(pair, Came::Done(report), line)?;
    }
    Ok(())
}

fn location(text: &str) -> Result<Location, Failure> {
    text.parse().map_err(Failure::usage)
}

fn platform(text: &str) -> Result<Platform, Failure> {
    text.parse().map_err(Failure::usage)
}
