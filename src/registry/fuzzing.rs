//! What the targets in `fuzz/` call in this folder. Built only with `--cfg fuzzing`.

use std::time::{Duration, SystemTime};

use url::Url;

use super::api::link;
use super::auth::challenge::{Challenge, parse_challenges};
use super::transport::retry::{self, RetryPolicy};

/// Realm, service and scope of a Bearer challenge; empty texts for Basic.
#[must_use]
pub fn challenge(values: &[&str]) -> Option<[String; 3]> {
    Some(match parse_challenges(values.iter().copied())? {
        Challenge::Basic => Default::default(),
        Challenge::Bearer { realm, service, scope, .. } => [realm, service.unwrap_or_default(), scope],
    })
}

/// What a registry asks for in `Retry-After` or in the body.
#[must_use]
pub fn asked_wait(header: Option<&str>, body: &[u8], now: SystemTime) -> Option<Duration> {
    retry::asked_wait(header, body, now)
}

/// The wait that comes of it.
#[must_use]
pub fn wait(policy: RetryPolicy, failed: u32, asked: Option<Duration>, chance: f64) -> Option<Duration> {
    policy.wait(failed, asked, chance)
}

/// The next page that the values of `Link` headers name, relative to a URL.
///
/// # Errors
///
/// The headers cannot be read.
pub fn next_page(base: &Url, values: &[&[u8]]) -> Result<Option<Url>, String> {
    link::next_page(base, values.iter().copied())
}
