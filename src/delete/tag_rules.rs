//! Decides which tags stay. Does no I/O.

use std::cmp::Ordering;
use std::collections::HashSet;

use super::tag_list::{ListedTag, UndatedReason};
use super::uses::Uses;
use crate::image::{Digest, Timestamp, UntrustedText, compare_versions, is_version};

/// Selects the tags of a repository to delete.
#[derive(Debug, Clone, Default)]
pub struct TagRules {
    /// Patterns of the tags to delete: `*` matches any text and `?` matches one character. Tags such as `sha256-HEX` and
    /// `sha256-HEX.sig`, which store referrers and signatures of other manifests, need a pattern that starts with
    /// `sha256-` or `sha512-`.
    pub patterns: Vec<String>,
    /// The number of the newest matching tags to keep. Defaults to 0.
    pub keep: usize,
    /// Which tags are the newest. Defaults to [`TagOrder::Version`].
    pub order: TagOrder,
    /// Delete only tags of images that were created before this time. Defaults to `None`: of any age.
    pub created_before: Option<Timestamp>,
}

/// The order by which [`TagRules::keep`] finds the newest tags.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TagOrder {
    /// By the version that the tag names. Every matching tag must be a version. A pre-release precedes its release.
    #[default]
    Version,
    /// By the created date in the image's config, or in that of the first image of an index. Tags of the same date are
    /// ordered by version.
    Time,
}

/// Why a tag is not deleted although it matches a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeepReason {
    /// It is one of the newest tags; holds [`TagRules::keep`].
    Newest(usize),
    /// Its image was not created before [`TagRules::created_before`].
    Recent(Timestamp),
    /// The age of its image is unknown.
    Undated(UndatedReason),
    /// It stores referrers or signatures of another manifest, and no pattern starts with the prefix of such tags.
    Referrers,
    /// The registry deletes only whole manifests, and other tags or indexes use this one.
    Used(Uses),
    /// A tag with the same digest, or this tag itself, was moved to another manifest during the run.
    Moved {
        /// The tag that was moved.
        tag: UntrustedText,
        /// The manifest that it points at now.
        to: Digest,
    },
}

impl TagRules {
    /// Whether the rules need the dates of the matching tags.
    pub(super) fn need_dates(&self) -> bool {
        self.created_before.is_some() || (self.keep > 0 && self.order == TagOrder::Time)
    }

    /// Returns for each matching tag why it stays, or `None` if it is deleted. Tags of an unknown age are not among the
    /// newest: they stay in addition to these.
    ///
    /// # Errors
    /// Returns the tags that are not versions, if the rules keep the newest versions.
    pub(super) fn decide(&self, tags: &[&ListedTag]) -> Result<Vec<Option<KeepReason>>, Vec<UntrustedText>> {
        let newest = self.newest(tags)?;
        let decide = |(position, tag): (usize, &&ListedTag)| match &tag.created {
            _ if newest.contains(&position) => Some(KeepReason::Newest(self.keep)),
            Some(Err(reason)) => Some(KeepReason::Undated(reason.clone())),
            Some(Ok(created)) => {
                let is_recent = self.created_before.is_some_and(|limit| *created >= limit);
                is_recent.then_some(KeepReason::Recent(*created))
            }
            None if self.need_dates() => Some(KeepReason::Undated(UndatedReason::NoDate)),
            None => None,
        };
        Ok(tags.iter().enumerate().map(decide).collect())
    }

    /// Returns the positions of the newest tags.
    fn newest(&self, tags: &[&ListedTag]) -> Result<HashSet<usize>, Vec<UntrustedText>> {
        if self.keep == 0 {
            return Ok(HashSet::new());
        }
        let is_other = |tag: &&&ListedTag| self.order == TagOrder::Version && !is_version(&tag.tag);
        let others: Vec<UntrustedText> = tags.iter().filter(is_other).map(|tag| tag.tag.clone()).collect();
        if !others.is_empty() {
            return Err(others);
        }
        let is_ordered = |tag: &ListedTag| self.order == TagOrder::Version || matches!(tag.created, Some(Ok(_)));
        let mut ordered: Vec<(usize, &ListedTag)> = tags
            .iter()
            .enumerate()
            .map(|(position, tag)| (position, *tag))
            .filter(|(_, tag)| is_ordered(tag))
            .collect();
        ordered.sort_by(|(_, one), (_, other)| self.compare(other, one));
        Ok(ordered.into_iter().take(self.keep).map(|(position, _)| position).collect())
    }

    /// Compares two tags, the oldest first, and tags without a date before it.
    pub(super) fn compare(&self, one: &ListedTag, other: &ListedTag) -> Ordering {
        let date = |tag: &ListedTag| tag.created.as_ref().and_then(|created| created.as_ref().ok()).copied();
        let by_date = match self.order {
            TagOrder::Version => Ordering::Equal,
            TagOrder::Time => date(one).cmp(&date(other)),
        };
        by_date.then_with(|| compare_versions(&one.tag, &other.tag))
    }
}
