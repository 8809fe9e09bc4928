use super::console::Console;
use super::failure::Failure;
use super::progress::Activity;
use super::references::NamedLocation;
use super::render::{plural, referrers_text};
use crate::image::{Location, TagPatterns, UntrustedText, compare_versions};
use crate::store::Store;

/// What `verify` checks.
pub(super) enum VerifyTargets {
    References(Vec<NamedLocation>),
    /// The tags of a repository that match patterns.
    Tags {
        repository: Location,
        patterns: Vec<String>,
    },
}

impl VerifyTargets {
    /// Returns the locations that the command names.
    pub(super) fn locations(&self) -> Vec<&Location> {
        match self {
            Self::References(items) => items.iter().map(|item| &item.location).collect(),
            Self::Tags { repository, .. } => vec![repository],
        }
    }

    pub(super) fn activity(&self) -> Activity {
        match self {
            Self::References(items) => {
                let names: Vec<String> = items.iter().map(|item| item.name.clone()).collect();
                Activity::of_references("verifying", &names)
            }
            Self::Tags { repository, .. } => Activity::new("verifying the tags of", repository, "tags"),
        }
    }

    /// Returns the references to verify: all that are given, or the matching tags, ordered by version.
    ///
    /// # Errors
    /// The tags cannot be listed, a pattern matches none, or only tags of referrers and signatures match.
    pub(super) async fn items(&self, store: &Store, console: &Console) -> Result<Vec<NamedLocation>, Failure> {
        let (repository, patterns) = match self {
            Self::References(items) => return Ok(items.clone()),
            Self::Tags { repository, patterns } => (repository, TagPatterns::new(patterns)),
        };
        let tags = store.tags(repository, usize::MAX).await?;
        patterns.check(repository, tags.iter())?;
        let (mut selected, others): (Vec<UntrustedText>, Vec<UntrustedText>) =
            tags.into_iter().filter(|tag| patterns.matches(tag)).partition(|tag| patterns.selects(tag));
        let count = others.len();
        if selected.is_empty() {
            let why = format!("it has only {count} matching tag{}: {}", plural(count), referrers_text());
            return Err(Failure::new(format!("no tag of {repository} is verified: {why}")));
        }
        if count > 0 {
            console.note(format_args!("{count} tag{} not verified: {}", plural(count), referrers_text()));
        }
        selected.sort_by(|one, other| compare_versions(one, other));
        selected.dedup();
        let item = |tag: &UntrustedText| {
            let location = repository.with_tag(tag);
            NamedLocation { name: location.to_string(), location }
        };
        Ok(selected.iter().map(item).collect())
    }
}
