//! Decides which requests are retried, and when. Pure: time and randomness are passed in.
//!
//! Every request of this client may be repeated: reads, mounts, uploads of blobs under their digest, and manifests
//! under their digest or tag.

use std::time::{Duration, SystemTime};

/// How often a request is retried, and how long to wait before each retry.
///
/// A request is retried after a response of 408, 429, 500, 502, 503 or 504, and if no response was received. The first
/// wait is 250 ms, and each further one twice as long; each is shortened at random by up to half. If the registry
/// requests a longer wait, that is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The maximum number of retries of a request. Defaults to 5.
    pub retries: u32,
    /// The longest wait before a retry, regardless of what a registry requests. Defaults to 60 s.
    pub max_wait: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { retries: 5, max_wait: Duration::from_secs(60) }
    }
}

/// The first wait if the registry requests none; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(250);

impl RetryPolicy {
    /// Returns the wait after failure number `failed` (from 1), or `None` to give up. `requested` is the minimum that
    /// the registry requests. `chance` (0 to 1) shortens the growing back-off by up to half, so that clients that
    /// failed together do not retry together.
    pub(crate) fn wait(&self, failed: u32, requested: Option<Duration>, chance: f64) -> Option<Duration> {
        if failed > self.retries {
            return None;
        }
        let backoff = FIRST_WAIT.saturating_mul(2u32.saturating_pow(failed.saturating_sub(1)));
        let backoff = backoff.mul_f64(1.0 - chance.clamp(0.0, 1.0) / 2.0);
        Some(requested.unwrap_or_default().max(backoff).min(self.max_wait))
    }
}

/// Whether a response with this status is retried: the server failed or is overloaded.
pub(crate) fn is_transient(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
}

/// Whether all requests to the host wait, not only this one.
pub(crate) fn pauses_host(status: u16) -> bool {
    matches!(status, 429 | 503)
}

/// Longer requested waits are shortened to this, in seconds; `max_wait` caps them further.
const YEAR: f64 = 365.0 * 24.0 * 3600.0;

/// Returns the wait that a registry requests: `Retry-After` in seconds or as a date (RFC 9110, section 10.2.3), else
/// GHCR's text in the body, such as `retry-after: 12.5ms, allowed: 44000/minute`.
pub(crate) fn requested_wait(header: Option<&str>, body: &[u8], now: SystemTime) -> Option<Duration> {
    if let Some(header) = header.map(str::trim) {
        if let Ok(seconds) = header.parse::<f64>() {
            return seconds_of(seconds);
        }
        if let Ok(date) = httpdate::parse_http_date(header) {
            return Some(date.duration_since(now).unwrap_or_default());
        }
    }
    let text = String::from_utf8_lossy(body.get(..4096).unwrap_or(body)).to_ascii_lowercase();
    let (_, after) = text.split_once("retry-after:")?;
    go_duration(after.trim_start())
}

/// Parses a duration in Go's format: `12.5ms`, `1m2s`.
fn go_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut seconds = None;
    loop {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (digits, tail) = rest.split_at(number);
        let Ok(value) = digits.parse::<f64>() else { break };
        let units = [
            ("ms", 1e-3),
            ("us", 1e-6),
            ("\u{b5}s", 1e-6),
            ("\u{3bc}s", 1e-6),
            ("ns", 1e-9),
            ("h", 3600.0),
            ("m", 60.0),
            ("s", 1.0),
        ];
        let Some((unit, scale)) = units.into_iter().find(|(unit, _)| tail.starts_with(unit)) else { break };
        seconds = Some(seconds.unwrap_or(0.0) + value * scale);
        rest = tail.strip_prefix(unit).unwrap_or_default();
    }
    seconds_of(seconds?)
}

fn seconds_of(seconds: f64) -> Option<Duration> {
    (seconds >= 0.0).then(|| Duration::from_secs_f64(seconds.min(YEAR)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_timeouts_rate_limits_and_server_failures_are_transient() {
        for status in [408, 429, 500, 502, 503, 504] {
            assert!(is_transient(status), "{status}");
        }
        for status in [
            200, 201, 202, 204, 301, 304, 307, 400, 401, 403, 404, 405, 409, 410, 411, 412, 413, 415, 416, 422, 501,
            505,
        ] {
            assert!(!is_transient(status), "{status}");
        }
        assert!(pauses_host(429) && pauses_host(503) && !pauses_host(500));
    }

    #[test]
    fn waits_double_up_to_the_maximum() {
        let policy = RetryPolicy { retries: 4, max_wait: Duration::from_secs(1) };
        let waits = |chance: f64| (1..=5).map(|n| Some(policy.wait(n, None, chance)?.as_millis())).collect::<Vec<_>>();
        assert_eq!(waits(0.0), [Some(250), Some(500), Some(1000), Some(1000), None]);
        assert_eq!(waits(1.0), [Some(125), Some(250), Some(500), Some(1000), None]);
        assert_eq!(policy.wait(1, Some(Duration::from_millis(700)), 0.9), Some(Duration::from_millis(700)));
        let short = Some(Duration::from_millis(12));
        assert_eq!(
            policy.wait(1, short, 0.0),
            Some(Duration::from_millis(250)),
            "a shorter requested wait does not replace the back-off"
        );
        assert_eq!(policy.wait(1, Some(Duration::from_secs(3600)), 0.0), Some(Duration::from_secs(1)), "capped");
        assert_eq!(policy.wait(2, Some(Duration::ZERO), 0.0), Some(Duration::from_millis(500)));
        assert_eq!(RetryPolicy { retries: 0, ..policy }.wait(1, None, 0.0), None);
        assert_eq!(policy.wait(u32::MAX, None, f64::NAN), None);
    }

    #[test]
    fn a_requested_wait_is_read_from_the_header_or_the_body() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777); // Sun, 06 Nov 1994 08:49:37 GMT
        for (header, body, milliseconds) in [
            (Some("7"), "", Some(7000)),
            (Some(" 0 "), "", Some(0)),
            (Some("1.5"), "", Some(1500)),
            (Some("Sun, 06 Nov 1994 08:49:47 GMT"), "", Some(10_000)),
            (Some("Sun, 06 Nov 1994 08:00:00 GMT"), "", Some(0)),
            (Some("-1"), "", None),
            (Some("NaN"), "", None),
            (Some("soon"), "", None),
            (None, r#"{"errors":[{"message":"retry-after: 12.5ms, allowed: 44000/minute"}]}"#, Some(12)),
            (None, "Retry-After: 1m2.5s", Some(62_500)),
            (None, "retry-after: 250\u{b5}s", Some(0)),
            (None, "retry-after: 5", None),
            (None, "retry-after: soon", None),
            (None, "", None),
            (Some("soon"), "retry-after: 3s", Some(3000)),
        ] {
            let wait = requested_wait(header, body.as_bytes(), now).map(|wait| wait.as_millis());
            assert_eq!(wait, milliseconds, "{header:?} {body}");
        }
        assert!(requested_wait(Some("1e300"), b"", now).is_some());
    }

    proptest::proptest! {
        #[test]
        fn no_wait_exceeds_the_maximum(
            header in r"[\s\S]*|[-+]?[0-9.e]{0,9}|Sun, 06 Nov [0-9]{4} 0[0-9]:[0-9]{2}:37 GMT",
            body: Vec<u8>,
            duration in r"[\s\S]*|([0-9.]{1,9}(h|m|s|ms|us|µs|μs|ns|))*",
            failed: u32,
            chance: f64,
            number: f64,
            max_wait: std::time::Duration,
        ) {
            let policy = RetryPolicy { retries: u32::MAX, max_wait };
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
            let bodies = [body, format!("retry-after: {duration}").into(), format!("Retry-After: {number}ms").into()];
            for body in &bodies {
                for header in [None, Some(header.as_str()), Some(&number.to_string())] {
                    let requested = requested_wait(header, body, now);
                    assert!(policy.wait(failed, requested, chance).unwrap() <= max_wait);
                    assert_eq!(RetryPolicy { retries: 0, ..policy }.wait(failed.max(1), requested, chance), None);
                }
            }
        }

        #[test]
        fn every_format_of_a_requested_wait_is_understood(seconds in 0u32..31_536_000) {
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
            let requested = Some(Duration::from_secs(seconds.into()));
            let date = httpdate::fmt_http_date(now + Duration::from_secs(seconds.into()));
            let (hours, rest) = (seconds / 3600, seconds % 3600);
            let body = format!("Retry-After: {hours}h{}m{}s, allowed", rest / 60, rest % 60);
            assert_eq!(requested_wait(Some(&seconds.to_string()), b"", now), requested);
            assert_eq!(requested_wait(Some(&date), b"", now), requested);
            assert_eq!(requested_wait(None, body.as_bytes(), now), requested);
        }
    }
}
