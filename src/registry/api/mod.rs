//! The requests of the distribution-spec, as methods of [`Client`](super::Client).

mod blobs;
pub(crate) mod link;
mod lists;
mod login;
mod manifests;
mod push;
mod push_tags;
mod raw_request;
mod stream;
mod uploads;

pub(crate) use blobs::{BlobInfo, blob_name};
pub use lists::TagList;
pub(crate) use push::Guard;
pub(crate) use push_tags::{MAX_TAGS, TagState, TagsPushed};
pub(crate) use raw_request::{RawRequest, RawResponse, Verb};
pub(crate) use stream::BlobStream;
pub(crate) use uploads::{MountOutcome, UploadSession};
