//! Parses `Retry-After`: the first line is the header value, the rest is the body. No wait may exceed the policy's cap.

#![no_main]

use std::time::{Duration, SystemTime};

use libfuzzer_sys::fuzz_target;
use manifest_tool::registry::RetryPolicy;
use manifest_tool::registry::fuzzing::{requested_wait, wait};

fuzz_target!(|bytes: &[u8]| {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let (first, body) = bytes.split_at(end);
    let header = String::from_utf8_lossy(first);
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let policy = RetryPolicy::default();
    for header in [Some(&*header), None] {
        let asked = requested_wait(header, body, now);
        for failed in 0..=policy.retries {
            let time = wait(policy, failed, asked, 0.5).expect("attempts are left");
            assert!(time <= policy.max_wait);
            assert!(asked.is_none_or(|asked| time >= asked.min(policy.max_wait)));
        }
        assert_eq!(wait(policy, policy.retries + 1, asked, 0.5), None);
        // A valid header takes precedence over the body.
        if header.is_some() && requested_wait(header, b"", now).is_some() {
            assert_eq!(asked, requested_wait(header, b"", now));
        }
    }
    if let Ok(seconds) = header.parse::<u16>() {
        assert_eq!(requested_wait(Some(&header), body, now), Some(Duration::from_secs(seconds.into())));
    }
});
