use std::fmt;

use serde::{Serialize, Serializer};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

/// A point in time, such as the creation date of an image. [`Display`](fmt::Display) and serialization write it as RFC
/// 3339 in UTC, with a precision of seconds.
///
/// ```
/// use manifest_tool::image::Timestamp;
/// let created = Timestamp::parse("2026-05-01T12:00:00.123+02:00").unwrap();
/// assert_eq!(created.to_string(), "2026-05-01T10:00:00Z");
/// assert!(Timestamp::parse("yesterday").is_none());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(OffsetDateTime);

/// Dates up to this one, 1980-01-02, do not tell the age of an image.
const FIRST_REAL_DATE: i64 = 315_619_200;

impl Timestamp {
    /// Parses a date and time in the format of RFC 3339, with a year up to 9999. Returns `None` for other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let parsed = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        // The year in UTC may be 10000 or -1.
        let utc = parsed.checked_to_offset(UtcOffset::UTC)?;
        (0..=9999).contains(&utc.year()).then_some(Self(utc))
    }

    /// Returns the point in time this many seconds after 1970-01-01T00:00:00Z, or `None` outside of the years 0 to 9999.
    #[must_use]
    pub fn from_unix_seconds(seconds: i64) -> Option<Self> {
        let time = OffsetDateTime::from_unix_timestamp(seconds).ok()?;
        (0..=9999).contains(&time.year()).then_some(Self(time))
    }

    /// Returns the seconds since 1970-01-01T00:00:00Z; negative before.
    #[must_use]
    pub fn unix_seconds(&self) -> i64 {
        self.0.unix_timestamp()
    }

    /// Returns the date in UTC, such as `2026-05-01`.
    #[must_use]
    pub fn date(&self) -> String {
        let date = self.0.date();
        format!("{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day())
    }

    /// Whether it does not tell the age of an image: reproducible builds set dates to 1970-01-01, or to 1980-01-01, the
    /// earliest date in a ZIP file.
    #[must_use]
    pub fn is_placeholder(&self) -> bool {
        self.unix_seconds() <= FIRST_REAL_DATE
    }

    /// Whether it is Go's zero time or earlier. Builders written in Go write `0001-01-01T00:00:00Z` for an unset date.
    #[must_use]
    pub fn is_unset(&self) -> bool {
        self.0.year() <= 1
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hour, minute, second) = self.0.to_hms();
        write!(f, "{}T{hour:02}:{minute:02}:{second:02}Z", self.date())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_accepts_rfc_3339_only() {
        for (text, shown) in [
            ("2026-05-01T10:11:12Z", Some("2026-05-01T10:11:12Z")),
            ("2026-05-01T10:11:12.123456789Z", Some("2026-05-01T10:11:12Z")),
            ("2026-05-01T01:00:00+02:00", Some("2026-04-30T23:00:00Z")),
            ("1970-01-01T00:00:00Z", Some("1970-01-01T00:00:00Z")),
            ("1969-12-31T23:59:59Z", Some("1969-12-31T23:59:59Z")),
            ("0001-01-01T00:00:00Z", Some("0001-01-01T00:00:00Z")),
            ("0000-01-01T00:00:00Z", Some("0000-01-01T00:00:00Z")),
            ("9999-12-31T23:59:59Z", Some("9999-12-31T23:59:59Z")),
            ("9999-12-31T23:59:59-01:00", None),
            ("0000-01-01T00:00:00+01:00", None),
            ("10000-01-01T00:00:00Z", None),
            ("-0001-01-01T00:00:00Z", None),
            ("2026-02-30T00:00:00Z", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-05-01T25:00:00Z", None),
            ("2026-05-01", None),
            ("2026-05-01 10:11:12", None),
            ("2026-05-01T10:11:12", None),
            ("1714557600", None),
            ("", None),
            ("\u{1b}[31m", None),
        ] {
            assert_eq!(Timestamp::parse(text).map(|time| time.to_string()).as_deref(), shown, "{text}");
        }
    }

    #[test]
    fn timestamps_are_ordered_and_know_unset_dates() {
        let parse = |text| Timestamp::parse(text).unwrap();
        assert!(parse("2026-05-01T12:00:00+02:00") < parse("2026-05-01T11:00:00Z"));
        assert!(parse("0001-01-01T00:00:00Z").is_unset() && !parse("1970-01-01T00:00:00Z").is_unset());
        assert_eq!(parse("1970-01-02T00:00:00Z").unix_seconds(), 86_400);
        assert_eq!(Timestamp::from_unix_seconds(86_400), Some(parse("1970-01-02T00:00:00Z")));
        assert!(Timestamp::from_unix_seconds(i64::MAX).is_none() && Timestamp::from_unix_seconds(1 << 40).is_none());
        for (text, is_placeholder) in [
            ("0001-01-01T00:00:00Z", true),
            ("1970-01-01T00:00:01Z", true),
            ("1980-01-01T00:00:01Z", true),
            ("1980-01-02T00:00:01Z", false),
            ("2026-05-01T00:00:00Z", false),
        ] {
            assert_eq!(parse(text).is_placeholder(), is_placeholder, "{text}");
        }
    }
}
