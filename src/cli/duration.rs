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
        _ => {
            let meant = nearest(text).map(|meant| format!("; did you mean \"{meant}\"?")).unwrap_or_default();
            return Err(format!("expected a time such as 30s, 500ms, 2m or 1h{meant}"));
        }
    };
    match Duration::try_from_secs_f64(seconds) {
        Ok(time) if !time.is_zero() && time <= LONGEST => Ok(time),
        _ => Err("the time must be more than 0 and at most 365 days".into()),
    }
}

/// The longest accepted age.
const LONGEST_AGE: Duration = Duration::from_secs(36_500 * 24 * 3600);

/// Parses the age of an image, such as `30d`, `2w` or `12h`. Requires a unit, and does not accept `m`: it could mean
/// minutes or months, and a wrong guess deletes images.
pub(super) fn age(text: &str) -> Result<Duration, String> {
    if let Some(hours) = hours(text) {
        return in_range(hours).ok_or_else(|| "the age must be more than 0 and at most 36500 days".into());
    }
    let meant = nearest_age(text).map(|meant| format!("; did you mean \"{meant}\"?"));
    match meant {
        None if text.strip_suffix('m').is_some_and(|number| number.parse::<f64>().is_ok()) => {
            Err("m could mean minutes or months; give the age in hours, days or weeks".into())
        }
        meant => Err(format!("expected an age such as 30d, 2w or 12h{}", meant.unwrap_or_default())),
    }
}

/// Parses the hours of an age.
fn hours(text: &str) -> Option<f64> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number: f64 = text.strip_suffix(unit)?.parse().ok()?;
    match unit {
        "h" => Some(number),
        "d" => Some(number * 24.0),
        "w" => Some(number * 168.0),
        _ => None,
    }
}

fn in_range(hours: f64) -> Option<Duration> {
    let age = Duration::try_from_secs_f64(hours * 3600.0).ok()?;
    (!age.is_zero() && age <= LONGEST_AGE).then_some(age)
}

/// Returns the age that was probably meant by a number with the name of a unit, such as `30 days`.
fn nearest_age(text: &str) -> Option<String> {
    let text = text.trim().to_lowercase();
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number = text.strip_suffix(unit)?;
    let unit = match unit.trim() {
        "h" | "hr" | "hrs" | "hour" | "hours" => "h",
        "" | "d" | "day" | "days" => "d",
        "w" | "week" | "weeks" => "w",
        _ => return None,
    };
    Some(format!("{number}{unit}")).filter(|meant| hours(meant).and_then(in_range).is_some())
}

/// Returns the duration that was probably meant by text in another form, such as `10sec`, `5 min` or `1h30`.
fn nearest(text: &str) -> Option<String> {
    let text = text.trim_matches(|c: char| c.is_whitespace() || "\"'`".contains(c)).to_lowercase().replace(',', ".");
    if text.len() > 40 {
        return None;
    }
    let (mut total, mut last, mut rest) = (0.0, None, text.as_str());
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at_checked(digits)?;
        let after = after.trim_start();
        let letters = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(letters)?;
        let milliseconds = milliseconds(unit, last)?;
        total += number.parse::<f64>().ok()? * milliseconds;
        (last, rest) = (Some(milliseconds), after.trim_start());
    }
    let units = [("h", 3_600_000.0), ("m", 60_000.0), ("s", 1_000.0), ("ms", 1.0)];
    let (unit, length) = units.into_iter().find(|(_, length)| total % length == 0.0)?;
    Some(format!("{}{unit}", total / length)).filter(|meant| duration(meant).is_ok())
}

/// Returns the milliseconds of a unit. A number without a unit has the next smaller one, as in `1h30`.
fn milliseconds(unit: &str, last: Option<f64>) -> Option<f64> {
    match unit {
        "ms" | "msec" | "msecs" | "millis" | "millisecond" | "milliseconds" => Some(1.0),
        "s" | "sec" | "secs" | "second" | "seconds" => Some(1_000.0),
        "m" | "min" | "mins" | "minute" | "minutes" => Some(60_000.0),
        "h" | "hr" | "hrs" | "hour" | "hours" => Some(3_600_000.0),
        "d" | "day" | "days" => Some(86_400_000.0),
        "" => last.filter(|last| *last == 3_600_000.0 || *last == 60_000.0).map(|last| last / 60.0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_in_another_form_gets_a_suggestion() {
        for (text, meant) in [
            ("10sec", Some("10s")),
            ("1min", Some("1m")),
            ("5 m", Some("5m")),
            ("30S", Some("30s")),
            ("2 hours", Some("2h")),
            ("1d", Some("24h")),
            ("1h30", Some("90m")),
            ("1h30m", Some("90m")),
            ("1h 30m 5s", Some("5405s")),
            ("10m30s", Some("630s")),
            ("1m30", Some("90s")),
            ("1,5m", Some("90s")),
            ("500 msec", Some("500ms")),
            ("\"30s\"", Some("30s")),
            ("ten", None),
            ("-5", None),
            ("5 x", None),
            ("0sec", None),
            ("9999999d", None),
            ("1:30", None),
            ("", None),
        ] {
            assert_eq!(nearest(text).as_deref(), meant, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_suggestion_is_a_duration(text in ".*|([0-9.]{1,6}|s|sec|min|m|h|d|ms| |,){0,6}") {
            if let Some(meant) = nearest(&text) {
                proptest::prop_assert!(duration(&meant).is_ok(), "{}", meant);
            }
        }
    }

    #[test]
    fn ages_need_a_unit_of_hours_days_or_weeks() {
        for (text, hours) in [("30d", 720), ("2w", 336), ("12h", 12), ("1.5d", 36), ("36500d", 876_000)] {
            assert_eq!(age(text).map(|age| age.as_secs()), Ok(hours * 3600), "{text}");
        }
        for (text, part) in [
            ("30", "did you mean \"30d\"?"),
            ("30 days", "did you mean \"30d\"?"),
            ("2 Weeks", "did you mean \"2w\"?"),
            ("6m", "minutes or months"),
            ("30s", "expected an age such as 30d"),
            ("1 month", "expected an age such as 30d"),
            ("", "expected an age"),
            ("d", "expected an age"),
            ("-1d", "expected an age"),
            ("0d", "more than 0"),
            ("36501d", "at most 36500 days"),
        ] {
            assert!(age(text).unwrap_err().contains(part), "{text}: {:?}", age(text));
        }
        assert!(!age("1 month").unwrap_err().contains("did you mean"));
    }

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
