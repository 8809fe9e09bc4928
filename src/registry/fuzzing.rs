//! Entry points for the fuzz targets in `fuzz/`. Built only with `--cfg fuzzing`.

use std::time::{Duration, SystemTime};

use url::Url;

use super::api::link;
use super::auth::challenge::{Challenge, parse_challenges};
use super::transport::retry::{self, RetryPolicy};

/// Returns realm, service and scope of a Bearer challenge, or empty strings for Basic.
#[must_use]
pub fn challenge(values: &[&str]) -> Option<[String; 3]> {
    Some(match parse_challenges(values.iter().copied())? {
        Challenge::Basic => Default::default(),
        Challenge::Bearer { realm, service, scope, .. } => [realm, service.unwrap_or_default(), scope],
    })
}

/// Returns the wait that a registry requests in `Retry-After` or in the body.
#[must_use]
pub fn requested_wait(header: Option<&str>, body: &[u8], now: SystemTime) -> Option<Duration> {
    retry::requested_wait(header, body, now)
}

/// Returns the wait before the next retry, given the wait that the registry requested.
#[must_use]
pub fn wait(policy: RetryPolicy, failed: u32, requested: Option<Duration>, chance: f64) -> Option<Duration> {
    policy.wait(failed, requested, chance)
}

/// Returns the next page named by the values of `Link` headers, resolved against `base`.
///
/// # Errors
///
/// Fails if a header is malformed.
pub fn next_page(base: &Url, values: &[&[u8]]) -> Result<Option<Url>, String> {
    link::next_page(base, values.iter().copied())
}
