use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::tag_plan::{PlannedDeletion, TagPlan};
use super::tag_rules::KeepReason;
use super::uses::Uses;
use crate::image::{Digest, Location, UntrustedText};
use crate::store::{Error, Store};

/// Carries out a [`TagPlan`], one tag at a time. Call [`delete`](Self::delete) for the deletions of the plan in their
/// order.
///
/// Deletes only the tags if the registry can. If it refuses the first of them, deletes manifests with all their tags: a
/// manifest only if the plan deletes every tag that points at it, and no remaining index lists it. A tag that could not
/// be deleted, or stays for that reason, counts as remaining. Once a tag is found moved, no further manifest is deleted.
///
/// Looks at each tag again just before it is deleted. Other clients can still change the repository between that look
/// and the deletion, and can push a tag that uses a manifest after the plan was made: registries have no conditional
/// deletion.
///
/// ```no_run
/// use manifest_tool::delete::{DeletionOutcome, TagDeletion, TagRules, plan_tags};
/// use manifest_tool::registry::{Client, ClientConfig};
/// use manifest_tool::store::Store;
///
/// # async fn clean() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Store::new(Client::new(ClientConfig::default()));
/// let rules = TagRules { patterns: vec!["v*".into()], keep: 10, ..TagRules::default() };
/// let plan = plan_tags(&store, &"registry.example/app".parse()?, &rules).await?;
/// let deletion = TagDeletion::new(&store, &plan);
/// for planned in &plan.deletions {
///     match deletion.delete(planned).await? {
///         DeletionOutcome::Kept(reason) => println!("{} stays: {reason:?}", planned.tag),
///         _ => println!("{} is deleted", planned.tag),
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct TagDeletion<'p> {
    store: Store,
    plan: &'p TagPlan,
    /// The tags to delete, by the manifest that they point at.
    tags: HashMap<&'p Digest, Vec<&'p UntrustedText>>,
    state: Mutex<State>,
}

/// How a planned deletion ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeletionOutcome {
    /// The tag was deleted, or does not exist any more.
    Tag,
    /// The manifest was deleted with all its tags, now or with an earlier tag of the plan.
    Manifest,
    /// The tag stays.
    Kept(KeepReason),
}

/// What the registry has shown to support, and what was deleted so far.
#[derive(Default)]
struct State {
    /// Whether the registry has deleted a tag.
    deletes_tags: bool,
    /// Whether the registry has refused to delete only a tag.
    refuses_tags: bool,
    /// Why the registry cannot delete manifests.
    refusal: Option<Error>,
    /// The first tag that was found moved. Another client is then changing the repository, and may use any manifest of
    /// the plan, so no further manifest is deleted.
    moved: Option<KeepReason>,
    /// The deleted manifests.
    deleted: HashSet<Digest>,
    /// The uses of the plan's manifests by tags that should have been deleted but stay.
    remaining: HashMap<Digest, Uses>,
}

/// Where a tag points now, compared with the plan.
enum Position {
    Unchanged,
    Moved(Digest),
    Gone,
}

impl<'p> TagDeletion<'p> {
    /// Prepares the deletions of a plan.
    #[must_use]
    pub fn new(store: &Store, plan: &'p TagPlan) -> Self {
        let mut tags: HashMap<&Digest, Vec<&UntrustedText>> = HashMap::new();
        plan.deletions.iter().for_each(|planned| tags.entry(&planned.digest).or_default().push(&planned.tag));
        Self { store: store.clone(), plan, tags, state: Mutex::default() }
    }

    /// Carries out one deletion of the plan.
    ///
    /// # Errors
    /// The registry or layout failed, or refused the request. The tag stays.
    pub async fn delete(&self, planned: &PlannedDeletion) -> Result<DeletionOutcome, Error> {
        let outcome = self.try_delete(planned).await;
        match &outcome {
            Ok(DeletionOutcome::Tag | DeletionOutcome::Manifest) => {}
            Ok(DeletionOutcome::Kept(reason @ KeepReason::Moved { tag, .. })) => {
                self.retain(planned, *tag != planned.tag);
                self.state().moved.get_or_insert_with(|| reason.clone());
            }
            _ => self.retain(planned, true),
        }
        outcome
    }

    async fn try_delete(&self, planned: &PlannedDeletion) -> Result<DeletionOutcome, Error> {
        if self.state().deleted.contains(&planned.digest) {
            return Ok(DeletionOutcome::Manifest);
        }
        if self.state().refuses_tags {
            // Neither needs a request.
            if let Some(uses) = self.remaining_uses(planned) {
                return Ok(DeletionOutcome::Kept(KeepReason::Used(uses)));
            }
            if let Some(refusal) = self.state().refusal.clone() {
                return Err(refusal);
            }
        }
        match self.position(&planned.tag, &planned.digest).await? {
            Position::Unchanged => {}
            Position::Moved(to) => {
                return Ok(DeletionOutcome::Kept(KeepReason::Moved { tag: planned.tag.clone(), to }));
            }
            Position::Gone => {
                // A registry whose reads lag may answer so for a tag that exists, so the images of its index stay.
                if !self.state().deletes_tags {
                    self.retain(planned, false);
                }
                return Ok(DeletionOutcome::Tag);
            }
        }
        if self.state().refuses_tags {
            return self.delete_manifest(planned).await;
        }
        match self.store.delete(&self.plan.repository.with_tag(&planned.tag)).await {
            Ok(()) => {
                self.state().deletes_tags = true;
                Ok(DeletionOutcome::Tag)
            }
            // A registry that has deleted a tag refuses this one for another reason.
            Err(error) if error.is_unsupported() && !self.state().deletes_tags => {
                self.state().refuses_tags = true;
                self.delete_manifest(planned).await
            }
            Err(error) => Err(error),
        }
    }

    /// Deletes a manifest, and with it all its tags, unless a remaining tag uses it.
    async fn delete_manifest(&self, planned: &PlannedDeletion) -> Result<DeletionOutcome, Error> {
        if let Some(uses) = self.remaining_uses(planned) {
            return Ok(DeletionOutcome::Kept(KeepReason::Used(uses)));
        }
        if let Some(moved) = self.state().moved.clone() {
            return Ok(DeletionOutcome::Kept(moved));
        }
        let tags = self.tags.get(&planned.digest).into_iter().flatten().copied();
        for tag in tags.filter(|tag| **tag != planned.tag) {
            if let Position::Moved(to) = self.position(tag, &planned.digest).await? {
                return Ok(DeletionOutcome::Kept(KeepReason::Moved { tag: tag.clone(), to }));
            }
        }
        match self.store.delete(&self.plan.repository.with_digest(planned.digest.clone())).await {
            Ok(()) => {
                self.state().deleted.insert(planned.digest.clone());
                Ok(DeletionOutcome::Manifest)
            }
            Err(error) => {
                if error.is_unsupported() {
                    self.state().refusal.get_or_insert_with(|| error.clone());
                }
                Err(error)
            }
        }
    }

    /// Returns the remaining tags and indexes that use the manifest of a planned deletion.
    fn remaining_uses(&self, planned: &PlannedDeletion) -> Option<Uses> {
        let planned_uses = Some(&planned.remaining_uses).filter(|uses| !uses.is_empty()).cloned();
        planned_uses.or_else(|| self.state().remaining.get(&planned.digest).cloned())
    }

    /// Returns where a tag points now. A tag of a layout is not looked at: it is deleted under a lock.
    async fn position(&self, tag: &str, planned: &Digest) -> Result<Position, Error> {
        let at = self.plan.repository.with_tag(tag);
        if let Location::Layout(_) = at {
            return Ok(Position::Unchanged);
        }
        match self.store.digest(&at).await {
            Ok(digest) if digest == *planned => Ok(Position::Unchanged),
            // The registry names the digests of tags with another algorithm, so the content is compared.
            Ok(digest) if digest.algorithm() != planned.algorithm() => {
                let digest = self.store.fetch_manifest(&at).await?.descriptor.digest;
                Ok(if digest == *planned { Position::Unchanged } else { Position::Moved(digest) })
            }
            Ok(digest) => Ok(Position::Moved(digest)),
            Err(error) if error.is_missing() => Ok(Position::Gone),
            Err(error) => Err(error),
        }
    }

    /// Records that the manifests that the index of a planned deletion lists stay, and its own manifest if the tag still
    /// points at it.
    fn retain(&self, planned: &PlannedDeletion, is_tagged: bool) {
        let listed = self.plan.listed_by(&planned.digest);
        let listed = listed.into_iter().filter(|digest| self.tags.contains_key(digest));
        let mut state = self.state();
        if is_tagged {
            state.remaining.entry(planned.digest.clone()).or_default().tags.push(planned.tag.clone());
        }
        for digest in listed {
            state.remaining.entry(digest.clone()).or_default().held_by.push(planned.tag.clone());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
