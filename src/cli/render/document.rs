//! The JSON documents that `--output json` prints, as described in `docs/reference/json-output.md`. While `version` is 1,
//! keys keep their meaning.

use serde::Serialize;

use super::copy::CopyResult;
use super::delete::{DeletedJson, NotDeletedJson};
use super::digest::DigestJson;
use super::error::{Either, RunErrorJson};
use super::index::IndexResult;
use super::inspection::InspectionJson;
use super::lint::SpecJson;
use super::probe::CheckJson;
use super::problem::ProblemReport;
use super::query::QueryJson;
use super::sign::SigningResult;
use super::sync::{SyncResult, TagDeletionsJson};
use super::tags::TagsEntryJson;
use super::verify::VerificationJson;
use crate::image::Digest;

/// The JSON document of a command.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct Document<'b> {
    version: u32,
    command: &'static str,
    #[serde(flatten)]
    body: Option<&'b Body>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<RunErrorJson>,
}

/// The content of a command's document besides version, command name and error.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged, rename_all_fields = "camelCase")]
pub(in crate::cli) enum Body {
    Copy {
        dry_run: bool,
        copies: Vec<CopyResult>,
    },
    Delete {
        dry_run: bool,
        images: Vec<Either<DeletedJson, NotDeletedJson>>,
    },
    DeleteTags {
        dry_run: bool,
        #[serde(flatten)]
        deletions: TagDeletionsJson,
    },
    Digest {
        images: Vec<Either<DigestJson>>,
    },
    Inspect(Box<InspectionJson>),
    Lint {
        specs: Vec<SpecJson>,
        problems: Vec<ProblemReport>,
        warnings: Vec<ProblemReport>,
    },
    Login {
        registry: String,
        username: String,
        stored: String,
        checked: bool,
    },
    Logout {
        registry: String,
        removed: Vec<String>,
    },
    Probe {
        repository: String,
        sufficient: bool,
        checks: Vec<CheckJson>,
        leftover: Vec<Digest>,
    },
    Push {
        dry_run: bool,
        indexes: Vec<IndexResult>,
    },
    Query {
        images: Vec<Either<QueryJson>>,
    },
    Remove {
        dry_run: bool,
        indexes: [IndexResult; 1],
    },
    Sign {
        dry_run: bool,
        images: Vec<SigningResult>,
    },
    Sync {
        dry_run: bool,
        copies: Vec<SyncResult>,
        deletions: Vec<TagDeletionsJson>,
    },
    Tags {
        repository: String,
        tags: Vec<TagsEntryJson>,
    },
    Verify {
        images: Vec<Either<VerificationJson>>,
    },
}

impl<'b> Document<'b> {
    /// Creates the document of a command that failed.
    pub(in crate::cli) fn failed(command: &'static str, body: Option<&'b Body>, error: RunErrorJson) -> Self {
        Self { version: 1, command, body, error: Some(error) }
    }
}

impl<'b> From<&'b Body> for Document<'b> {
    fn from(body: &'b Body) -> Self {
        Self { version: 1, command: body.command(), body: Some(body), error: None }
    }
}

impl Body {
    fn command(&self) -> &'static str {
        match self {
            Self::Copy { .. } => "copy",
            Self::Delete { .. } | Self::DeleteTags { .. } => "delete",
            Self::Digest { .. } => "digest",
            Self::Inspect(_) => "inspect",
            Self::Lint { .. } => "lint",
            Self::Login { .. } => "login",
            Self::Logout { .. } => "logout",
            Self::Probe { .. } => "probe",
            Self::Push { .. } => "push",
            Self::Query { .. } => "query",
            Self::Remove { .. } => "remove",
            Self::Sign { .. } => "sign",
            Self::Sync { .. } => "sync",
            Self::Tags { .. } => "tags",
            Self::Verify { .. } => "verify",
        }
    }
}
