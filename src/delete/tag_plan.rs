//! Plans which tags of a repository are deleted. Does no I/O, except for [`plan_tags`], which reads the tags first.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use super::error::{Error, NotVersions};
use super::tag_list::{ListedTag, TagList};
use super::tag_rules::{KeepReason, TagRules};
use super::uses::Uses;
use crate::image::{Digest, Location, TagPatterns, UntrustedText, compare_versions, subject_of_tag};
use crate::store::Store;

/// The maximum number of tags, and of indexes, that a plan names as the uses of a manifest.
const MAX_NAMED: usize = 10;

/// Which tags of a repository are deleted, and which stay. [`TagDeletion`](super::TagDeletion) carries it out.
#[derive(Debug)]
#[non_exhaustive]
pub struct TagPlan {
    /// The repository or layout.
    pub repository: Location,
    /// The tags to delete, in the order of deletion: the oldest first, but the tag of an index before the tags of the
    /// images that it lists.
    pub deletions: Vec<PlannedDeletion>,
    /// The tags that match a pattern but stay, the oldest first.
    pub kept: Vec<KeptTag>,
    list: TagList,
}

/// A tag to delete.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlannedDeletion {
    /// The tag.
    pub tag: UntrustedText,
    /// The manifest that it points at.
    pub digest: Digest,
    /// The remaining tags that point at the same manifest or at an index that lists it, at most 10 each. If there are
    /// any, the manifest must stay: the tag is deleted only if the registry can delete only the tag.
    pub remaining_uses: Uses,
}

/// A tag that matches a pattern but stays.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeptTag {
    /// The tag.
    pub tag: UntrustedText,
    /// The manifest that it points at.
    pub digest: Digest,
    /// Why it stays.
    pub reason: KeepReason,
}

/// A tag with referrers or signatures of a manifest that no remaining tag uses.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OrphanedTag {
    /// The tag, such as `sha256-HEX.sig`.
    pub tag: UntrustedText,
    /// The manifest that its content refers to.
    pub subject: Digest,
}

/// Reads all tags of a repository, and plans which to delete. Each tag is read once, and the date of its image only if
/// the rules need it. The plan is made of what the tags point at now: deleting it later may be wrong.
///
/// ```
/// use manifest_tool::delete::{TagRules, plan_tags};
/// use manifest_tool::registry::{Client, ClientConfig};
/// use manifest_tool::store::Store;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Store::new(Client::new(ClientConfig::default()));
/// let rules = TagRules { patterns: vec!["pr-*".into()], ..TagRules::default() };
/// let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// let plan = runtime.block_on(plan_tags(&store, &"oci:examples/layouts/amd64".parse()?, &rules));
/// assert!(plan.is_err(), "the layout has no such name");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The list of tags or a tag cannot be read, a pattern matches no tag, or the rules keep the newest versions and a
/// matching tag is not a version.
pub async fn plan_tags(store: &Store, repository: &Location, rules: &TagRules) -> Result<TagPlan, Error> {
    let (repository, patterns) = (repository.without_name(), TagPatterns::new(&rules.patterns));
    let is_dated = |tag: &str| rules.need_dates() && patterns.selects(tag);
    let list = TagList::read(store, &repository, is_dated).await?;
    plan(repository, list, rules)
}

/// Reads all tags of a repository, and plans to delete those that `is_kept` does not select. Tags that store referrers or
/// signatures of other manifests stay. Like [`plan_tags`], each tag is read once.
///
/// # Errors
/// The list of tags or a tag cannot be read.
pub async fn plan_tags_except(
    store: &Store,
    repository: &Location,
    is_kept: impl Fn(&str) -> bool,
) -> Result<TagPlan, Error> {
    let repository = repository.without_name();
    let list = TagList::read(store, &repository, |_| false).await?;
    let is_deleted = |tag: &&ListedTag| !is_kept(&tag.tag) && subject_of_tag(&tag.tag).is_none();
    let mut deleted: Vec<&ListedTag> = list.tags.iter().filter(is_deleted).collect();
    deleted.sort_by(|one, other| compare_versions(&one.tag, &other.tag));
    let deletions = deletions(&list, &deleted);
    Ok(TagPlan { repository, deletions, kept: Vec::new(), list })
}

/// Plans which tags of a list to delete.
fn plan(repository: Location, list: TagList, rules: &TagRules) -> Result<TagPlan, Error> {
    let patterns = TagPatterns::new(&rules.patterns);
    patterns.check(&repository, list.tags.iter().map(|tag| &tag.tag))?;
    let mut candidates: Vec<&ListedTag> = list.tags.iter().filter(|tag| patterns.selects(&tag.tag)).collect();
    candidates.sort_by(|one, other| rules.compare(one, other));
    let not_versions = |tags| Error::NotVersions(Box::new(NotVersions { repository: repository.clone(), tags }));
    let reasons = rules.decide(&candidates).map_err(not_versions)?;
    let (mut deleted, mut kept) = (Vec::new(), Vec::new());
    for (tag, reason) in candidates.into_iter().zip(reasons) {
        match reason {
            Some(reason) => kept.push(keep(tag, reason)),
            None => deleted.push(tag),
        }
    }
    let referrers = list.tags.iter().filter(|tag| patterns.matches(&tag.tag) && !patterns.selects(&tag.tag));
    kept.extend(referrers.map(|tag| keep(tag, KeepReason::Referrers)));
    let deletions = deletions(&list, &deleted);
    Ok(TagPlan { repository, deletions, kept, list })
}

fn keep(tag: &ListedTag, reason: KeepReason) -> KeptTag {
    KeptTag { tag: tag.tag.clone(), digest: tag.digest.clone(), reason }
}

/// Returns the deletions of these tags, with the remaining uses of their manifests, in the order in which they are
/// carried out: if the tag of an index stays after all, the images that it lists must still exist.
fn deletions(list: &TagList, deleted: &[&ListedTag]) -> Vec<PlannedDeletion> {
    let names: HashSet<&UntrustedText> = deleted.iter().map(|tag| &tag.tag).collect();
    let digests: HashSet<&Digest> = deleted.iter().map(|tag| &tag.digest).collect();
    let remaining = list.tags.iter().filter(|tag| !names.contains(&tag.tag));
    let uses = uses_of(list, &digests, remaining);
    let mut ordered: Vec<(usize, &ListedTag)> = Vec::new();
    for tag in deleted {
        let listed = list.listed_by(&tag.digest);
        ordered.push((listed.iter().filter(|digest| digests.contains(*digest)).count(), tag));
    }
    // An index lists more of the digests than each of its nested indexes.
    ordered.sort_by_key(|(count, _)| Reverse(*count));
    let deletion = |tag: &ListedTag| PlannedDeletion {
        tag: tag.tag.clone(),
        digest: tag.digest.clone(),
        remaining_uses: uses.get(&tag.digest).cloned().unwrap_or_default(),
    };
    ordered.into_iter().map(|(_, tag)| deletion(tag)).collect()
}

/// Returns how these tags use some manifests.
fn uses_of<'l>(
    list: &'l TagList,
    digests: &HashSet<&Digest>,
    tags: impl Iterator<Item = &'l ListedTag>,
) -> HashMap<&'l Digest, Uses> {
    let mut by_digest: HashMap<&Digest, Vec<&UntrustedText>> = HashMap::new();
    tags.for_each(|tag| by_digest.entry(&tag.digest).or_default().push(&tag.tag));
    let mut roots: Vec<(&Digest, Vec<&UntrustedText>)> = by_digest.into_iter().collect();
    roots.iter_mut().for_each(|(_, names)| names.sort_unstable());
    roots.sort_unstable_by_key(|(_, names)| names.first().copied());
    let mut uses: HashMap<&Digest, Uses> = HashMap::new();
    let add = |to: &mut Vec<UntrustedText>, names: &[&UntrustedText]| {
        to.extend(names.iter().take(MAX_NAMED.saturating_sub(to.len())).map(|name| (*name).clone()));
    };
    for (root, names) in &roots {
        if digests.contains(root) {
            add(&mut uses.entry(root).or_default().tags, names);
        }
        for digest in list.listed_by(root).into_iter().filter(|digest| digests.contains(digest)) {
            add(&mut uses.entry(digest).or_default().held_by, names);
        }
    }
    uses
}

impl TagPlan {
    /// Returns the tags with referrers or signatures of manifests that only deleted tags use. `is_deleted` selects the
    /// tags that were deleted. These tags are not deleted.
    pub fn orphaned_tags(&self, is_deleted: impl Fn(&str) -> bool) -> Vec<OrphanedTag> {
        let tags = &self.list.tags;
        let (deleted, remaining): (Vec<&ListedTag>, Vec<&ListedTag>) =
            tags.iter().partition(|tag| is_deleted(tag.tag.as_str()));
        let remaining_digests = self.reached_from(&remaining);
        let subjects = self.reached_from(&deleted).into_iter().filter(|digest| !remaining_digests.contains(digest));
        let subjects: HashMap<String, &Digest> = subjects.map(|digest| (digest.referrers_tag(), digest)).collect();
        let orphaned = |tag: &&ListedTag| {
            let subject = *subjects.get(subject_of_tag(&tag.tag)?)?;
            Some(OrphanedTag { tag: tag.tag.clone(), subject: subject.clone() })
        };
        remaining.iter().filter_map(orphaned).collect()
    }

    /// Returns the manifests that these tags point at, and those that their indexes list.
    fn reached_from<'l>(&'l self, tags: &[&'l ListedTag]) -> HashSet<&'l Digest> {
        let mut reached = HashSet::new();
        for tag in tags {
            if reached.insert(&tag.digest) {
                reached.extend(self.list.listed_by(&tag.digest));
            }
        }
        reached
    }

    /// Returns the manifests that an index lists, directly and in nested indexes.
    pub(super) fn listed_by(&self, index: &Digest) -> HashSet<&Digest> {
        self.list.listed_by(index)
    }
}

#[cfg(test)]
mod tests;
