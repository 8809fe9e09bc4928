//! Signing in to registries.

pub(crate) mod ask;
pub(crate) mod challenge;
pub(crate) mod credentials;
mod denials;
mod realm;
pub(crate) mod scopes;
pub(crate) mod sign_in;
mod token;
mod token_cache;
pub(crate) mod visitor_tokens;
