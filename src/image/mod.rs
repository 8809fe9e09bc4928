//! Core types: reference, digest, platform, descriptor, manifest and index.
//!
//! This module does no I/O: it does not read files, the environment or the network.

mod config;
mod config_details;
mod config_layers;
mod descriptor;
mod digest;
mod filter;
mod index;
mod known;
mod layout_reference;
mod location;
mod manifest;
pub mod media_type;
mod names;
mod nearest_reference;
mod null;
mod other_transports;
mod platform;
mod reference;
mod referrers_tag;
mod schema1;
mod selection;
mod tag;
mod tag_order;
mod tag_patterns;
mod timestamp;
mod transport;
mod untrusted;

pub(crate) use config::parse_config;
pub(crate) use config_details::{ConfigDetails, Limited};
pub(crate) use config_layers::ConfigLayers;
pub(crate) use descriptor::COMPRESSION;
pub use descriptor::{Annotations, Descriptor, REFERENCE_DIGEST, REFERENCE_TYPE};
pub use digest::{Digest, DigestError};
pub(crate) use digest::{Hasher, Verifier};
pub use index::{IndexError, IndexKind, index_bytes};
pub(crate) use index::{index_json, to_compact_go_json, to_go_json};
pub(crate) use known::{
    UnsupportedPlatform, is_known_platform, meant, odd_pair, parse_listed, suggestion, unsupported,
};
pub use layout_reference::LayoutReference;
pub(crate) use layout_reference::familiar;
pub use location::{Location, LocationError};
pub(crate) use manifest::ConfigLabels;
pub use manifest::{
    Fetched, ImageConfig, ImageManifest, Index, MAX_CONFIG, MAX_MANIFEST, MAX_MANIFESTS, MAX_NESTING,
    MAX_PUSHED_MANIFEST, Manifest, ManifestError, parse_manifest,
};
pub(crate) use names::{known_architectures, known_systems, known_variants};
pub(crate) use nearest_reference::without_user;
pub use platform::{Platform, PlatformError};
pub use reference::{Reference, ReferenceError};
pub(crate) use referrers_tag::subject_of_tag;
pub(crate) use schema1::{SCHEMA_1_ACCEPT, SCHEMA_1_SIGNED, is_schema_1, looks_like_schema_1};
pub use schema1::{Schema1Image, Schema1Step};
pub(crate) use selection::platform_names;
pub(crate) use tag::nearest_tag;
pub use tag::{TagError, check_tag};
pub(crate) use tag_order::{compare_versions, is_version, newest_versions};
pub use tag_patterns::NoTagMatches;
pub(crate) use tag_patterns::TagPatterns;
pub use timestamp::Timestamp;
pub use transport::Transport;
pub use untrusted::UntrustedText;
pub(crate) use untrusted::{is_control, one_line, starts_command, visible};
