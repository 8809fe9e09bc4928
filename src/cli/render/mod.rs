//! Renders results: text in the format of manifest-tool 2.2.1, plans of dry runs, and JSON.
//!
//! Rendering produces a complete value or string before anything is printed, so that an error leaves no partial output
//! on stdout.

mod annotation;
mod checked;
mod config_text;
mod copy;
mod delete;
mod delete_tags;
mod descriptor;
mod digest;
mod document;
mod done;
mod entry;
mod error;
mod escape;
mod index;
mod inspection;
mod inspection_raw;
mod inspection_text;
#[cfg(test)]
mod json_schema;
mod lint;
mod painter;
mod plan;
mod probe;
mod problem;
mod quantity;
mod query;
mod sarif;
mod sign;
mod signatures;
mod sync;
mod tag;
mod tags;
mod tree;
mod verify;
mod words;

pub(super) use annotation::{Severity, problem_annotation, text_annotation};
pub(super) use config_text::config_text;
pub(super) use copy::CopyResult;
pub(super) use delete::{DeletedJson, NotDeletedJson, TakesMoreJson, deleted_text};
pub(super) use delete_tags::{
    DeletedTagJson, KeptTagJson, OrphanedTagJson, deleted_tag_text, kept_lines, orphans_text, reason_text,
    referrers_text,
};
pub(super) use digest::DigestJson;
pub(super) use document::{Body, Document};
pub(super) use done::{copied_line, deleted_line, pushed_line, removed_line, synced_line};
pub(super) use error::{Either, ErrorJson, FailedJson, RunErrorJson};
pub(super) use escape::escaped;
pub(super) use index::{IndexResult, PublishedJson, is_archive};
pub(super) use inspection::InspectionJson;
pub(super) use inspection_raw::inspection_json;
pub(super) use inspection_text::{Details, Shown, inspection_text};
pub(super) use lint::SpecJson;
pub(super) use painter::{Colour, Painter};
pub(super) use plan::PlanText;
pub(super) use probe::{CheckJson, check_text};
pub(super) use problem::{ProblemReport, Rule, STDIN, plan_problems};
pub(super) use quantity::{duration_text, plural};
pub(super) use query::{QueryJson, query_text};
pub(super) use sarif::sarif_log;
pub(super) use sign::{NotSignedJson, SignedJson, SignedManifestJson, SigningResult, sign_text, signed_line};
pub(super) use sync::{SyncResult, TagDeletionsJson};
pub(super) use tags::{TagsEntryJson, tag_text};
pub(super) use tree::{Branches, TreeStyle, tree_text};
pub(super) use verify::{VerificationJson, verification_text};
pub(super) use words::{NOT_VERSIONS_HINT, TAKES_MORE_HINT, assemble_error_text, event_text, plan_reasons};
