use serde::Serialize;

use super::error::FailedJson;
use crate::delete::{Deleted, TakesMore, Uses};
use crate::image::{Digest, UntrustedText};

/// A tag or manifest that was deleted.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct DeletedJson {
    reference: String,
    digest: Digest,
    deleted: DeletedKind,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(in crate::cli) enum DeletedKind {
    Tag,
    Manifest,
}

/// A reference that could not be deleted.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct NotDeletedJson {
    #[serde(flatten)]
    pub(in crate::cli) failed: FailedJson,
    #[serde(flatten)]
    pub(in crate::cli) takes_more: Option<TakesMoreJson>,
}

/// The manifest, and the tags and indexes that use it, which deleting a tag would affect.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct TakesMoreJson {
    digest: Digest,
    #[serde(flatten)]
    uses: Option<UsesJson>,
}

#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct UsesJson {
    tags: Vec<UntrustedText>,
    held_by: Vec<UntrustedText>,
}

impl DeletedJson {
    pub(in crate::cli) fn new(reference: &str, deleted: &Deleted) -> Self {
        Self {
            reference: reference.to_owned(),
            digest: deleted.digest.clone(),
            deleted: if deleted.location.tag().is_some() { DeletedKind::Tag } else { DeletedKind::Manifest },
        }
    }
}

impl From<&TakesMore> for TakesMoreJson {
    fn from(more: &TakesMore) -> Self {
        Self { digest: more.digest.clone(), uses: more.uses.as_ref().ok().map(UsesJson::from) }
    }
}

impl From<&Uses> for UsesJson {
    fn from(uses: &Uses) -> Self {
        Self { tags: uses.tags.clone(), held_by: uses.held_by.clone() }
    }
}

/// Returns the line that `delete` prints.
pub(in crate::cli) fn deleted_text(Deleted { location, digest, .. }: &Deleted) -> String {
    match location.tag() {
        Some(_) => format!("Deleted: {location} ({digest})\n"),
        None => format!("Deleted: {location}, with every tag of it\n"),
    }
}
