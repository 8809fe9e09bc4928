//! Docker's engine: exports and loads images over its API (Docker Engine API, "Images"). Podman's service answers the
//! same requests.

mod engine;
mod host;

pub(crate) use engine::{Engine, Error};
