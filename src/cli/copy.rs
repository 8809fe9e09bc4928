use clap::Args;

use super::failure::Failure;
use super::many::Many;
use super::{Global, print, talk};
use crate::copy::{self, CopyOptions};
use crate::image::{Location, Platform, check_tag};
use crate::store::{Placed, Report, Step, Store};

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
    /// Show no progress on a terminal
    #[arg(long)]
    no_progress: bool,
}

/// One copy: from where to where, and under which further tags.
struct Pair {
    from: Location,
    to: Location,
    tags: Vec<Location>,
}

impl Copy {
    pub(super) fn run(self, global: &Global) -> Result<String, Failure> {
        let (from, to) = (location(&self.from)?, location(&self.to)?);
        // A repository stands for tags of it.
        let many = from.reference().is_some() && from.tag().is_none() && from.digest().is_none();
        self.check(&from, &to, many)?;
        let platform = self.platform.as_deref().map(platform).transpose()?;
        let options = CopyOptions { platform, referrers: self.referrers, wait: self.wait };
        // Given on the command line, user and password are for the target.
        let client = global.client([&to, &from].into_iter())?;
        let store = Store::new(&client);
        let show = !self.no_progress && !global.quiet && !self.dry_run;
        global.block_on(&client, async {
            let pairs = self.pairs(&store, from, to, many).await?;
            if self.dry_run {
                return tell(&store, &pairs, &options).await;
            }
            let shown = show.then_some((pairs.len(), "tags"));
            talk::with_progress(&store, shown, copy_all(global, &store, &pairs, &options)).await
        })?;
        Ok(String::new())
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
            check_tag(tag).map_err(|reason| Failure::usage(format!("invalid tag \"{tag}\": {reason}")))
        })
    }

    async fn pairs(&self, store: &Store<'_>, from: Location, to: Location, many: bool) -> Result<Vec<Pair>, Failure> {
        if !many {
            let tags = self.tags.iter().map(|tag| to.with_tag(tag)).collect();
            return Ok(vec![Pair { from, to, tags }]);
        }
        let tags = copy::select_tags(store, &from, &self.tags).await?;
        Ok(tags.iter().map(|tag| Pair { from: from.with_tag(tag), to: to.with_tag(tag), tags: Vec::new() }).collect())
    }
}

async fn copy_all(global: &Global, store: &Store<'_>, pairs: &[Pair], options: &CopyOptions) -> Result<(), Failure> {
    let placed = Placed::default();
    let steps = |step: Step| {
        if matches!(step, Step::Left(_)) && !global.quiet {
            talk::say(format_args!("warning: {step}"));
        } else if global.debug {
            talk::say(format_args!("debug: {step}"));
        }
    };
    let one = async |pair: &Pair| copy::copy(store, &placed, &pair.from, &pair.to, &pair.tags, options, &steps).await;
    if let [pair] = pairs {
        let Report { descriptor, .. } = one(pair).await?;
        store.finish().await?;
        return print(&format!("Digest: {} {}\n", descriptor.digest, descriptor.size));
    }
    let many = Many { store, kind: "tags", at_once: TAGS, fail_fast: false, quiet: global.quiet };
    many.run(pairs, |pair| &pair.to, async |pair| Ok(one(pair).await?)).await
}

/// What would be copied, a line each.
async fn tell(store: &Store<'_>, pairs: &[Pair], options: &CopyOptions) -> Result<(), Failure> {
    let places: Vec<_> = pairs.iter().map(|pair| (pair.from.clone(), pair.to.clone())).collect();
    let found = copy::look(store, &places, options).await?;
    for (pair, (found, target)) in pairs.iter().zip(found) {
        let to: Vec<String> = std::iter::once(&target).chain(&pair.tags).map(ToString::to_string).collect();
        print(&format!("{} {} -> {}\n", found.descriptor.digest, pair.from, to.join(", ")))?;
    }
    Ok(())
}

fn location(text: &str) -> Result<Location, Failure> {
    text.parse().map_err(|error: crate::image::LocationError| Failure::usage(error.to_string()))
}

fn platform(text: &str) -> Result<Platform, Failure> {
    text.parse().map_err(Failure::usage)
}
