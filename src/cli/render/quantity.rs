//! Sizes and durations for people. Output that programs read has exact numbers instead.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::image::Timestamp;

/// Returns the ending of a noun after this number.
#[must_use]
pub(in crate::cli) fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// Formats a size in bytes with a binary unit and one decimal place: `999 bytes`, `57.2 MiB`.
#[must_use]
pub(in crate::cli) fn size_text(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} byte{}", if bytes == 1 { "" } else { "s" });
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = "KiB";
    for next in UNITS.into_iter().skip(1) {
        // 1023.95 would be printed as 1024.0.
        if value < 1023.95 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}

/// Formats a duration with its two largest units: `4 s`, `2 min 5 s`, `3 h 20 min`, `12 days`.
#[must_use]
pub(in crate::cli) fn duration_text(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => with_rest(format!("{minutes} min"), seconds % 60, "s"),
        (0, hours, minutes) => with_rest(format!("{hours} h"), minutes % 60, "min"),
        (1, _, _) => "1 day".into(),
        (days, _, _) => format!("{days} days"),
    }
}

/// Formats the time since a date, such as `3 days`. `None` for a date in the future, and for one that reproducible builds
/// set.
#[must_use]
pub(in crate::cli) fn age_text(created: Timestamp, now: SystemTime) -> Option<String> {
    let now = i64::try_from(now.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()?;
    if created.is_placeholder() {
        return None;
    }
    let age = u64::try_from(now.checked_sub(created.unix_seconds())?).ok()?;
    Some(duration_text(Duration::from_secs(age)))
}

/// Formats a date with its age, such as `2026-05-01T10:00:00Z (3 days ago)`.
#[must_use]
pub(super) fn date_text(created: Timestamp, now: SystemTime) -> String {
    age_text(created, now).map_or(created.to_string(), |age| format!("{created} ({age} ago)"))
}

fn with_rest(text: String, rest: u64, unit: &str) -> String {
    if rest == 0 { text } else { format!("{text} {rest} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_a_unit_and_at_most_one_decimal_place() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (1023, "1023 bytes"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            (59_978_548, "57.2 MiB"),
            (1 << 30, "1.0 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(size_text(bytes), text);
        }
    }

    #[test]
    fn only_past_dates_that_builds_did_not_set_have_an_age() {
        let now = UNIX_EPOCH + Duration::from_secs(1_777_888_000);
        for (created, age, date) in [
            ("2026-05-04T09:46:40Z", Some("0 s"), "2026-05-04T09:46:40Z (0 s ago)"),
            ("2026-05-04T09:46:41Z", None, "2026-05-04T09:46:41Z"),
            ("2026-05-04T11:40:00+02:00", Some("6 min 40 s"), "2026-05-04T09:40:00Z (6 min 40 s ago)"),
            ("2026-05-01T00:00:00Z", Some("3 days"), "2026-05-01T00:00:00Z (3 days ago)"),
            ("9999-12-31T23:59:59Z", None, "9999-12-31T23:59:59Z"),
            ("1970-01-01T00:00:00Z", None, "1970-01-01T00:00:00Z"),
            ("1980-01-01T00:00:01Z", None, "1980-01-01T00:00:01Z"),
            ("1980-01-02T00:00:01Z", Some("16924 days"), "1980-01-02T00:00:01Z (16924 days ago)"),
            ("0000-01-01T00:00:00Z", None, "0000-01-01T00:00:00Z"),
        ] {
            let created = Timestamp::parse(created).unwrap();
            assert_eq!(age_text(created, now).as_deref(), age, "{created}");
            assert_eq!(date_text(created, now), date);
        }
    }

    #[test]
    fn durations_have_their_two_largest_units() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (125, "2 min 5 s"),
            (3600, "1 h"),
            (12_000, "3 h 20 min"),
            (86_400, "1 day"),
            (1_100_000, "12 days"),
        ] {
            assert_eq!(duration_text(Duration::from_secs(seconds)), text);
        }
    }
}
