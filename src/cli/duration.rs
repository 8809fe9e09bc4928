use std::time::Duration;

/// The longest accepted duration: adding a longer one to a clock may overflow.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// Parses a duration such as `30s`, `500ms`, `2m` or `1h`. A bare number counts seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number = text.strip_suffix(unit).unwrap_or(text).parse::<f64>();
    let seconds = match (number, unit) {
        (Ok(number), "" | "s") => number,
        (Ok(number), "ms") => number / 1e3,
        (Ok(number), "m") => number * 60.0,
        (Ok(number), "h") => number * 3600.0,
        _ => return Err("expected a time such as 30s, 500ms, 2m or 1h".into()),
    };
    match Duration::try_from_secs_f64(seconds) {
        Ok(time) if !time.is_zero() && time <= LONGEST => Ok(time),
        _ => Err("the time must be more than 0 and at most 365 days".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_positive_and_at_most_365_days() {
        for (text, milliseconds) in [
            ("30", Some(30_000)),
            ("30s", Some(30_000)),
            ("1.5m", Some(90_000)),
            ("250ms", Some(250)),
            ("1h", Some(3_600_000)),
        ] {
            assert_eq!(duration(text).ok().map(|time| time.as_millis()), milliseconds, "{text}");
        }
        for text in ["", "s", "-1", "0", "0s", "5d", "1m2s", "1e400", "9999999h", "99999999999999999999", "..", "ten"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
