//! Signing in to registries.

pub(crate) mod challenge;
pub(crate) mod credentials;
mod denials;
mod realm;
pub(crate) mod scopes;
pub(crate) mod sign_in;
mod state;
mod token;
mod token_cache;
mod token_service;
pub(crate) mod visitor_tokens;
