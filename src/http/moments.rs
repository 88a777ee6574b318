//! Moments as clients write them: ISO 8601, with an offset or, as some libraries do, without one, which is UTC.

use serde::{Deserialize, Deserializer, de};
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

/// None: it is no moment.
pub fn moment(text: &str) -> Option<OffsetDateTime> {
    let format =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second][optional [.[subsecond digits:1+]]]");
    let naive = || PrimitiveDateTime::parse(text, format).ok().map(PrimitiveDateTime::assume_utc);
    OffsetDateTime::parse(text, &Rfc3339).ok().or_else(naive)
}

/// A moment, or null.
pub fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<OffsetDateTime>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    moment(&text).map(Some).ok_or_else(|| de::Error::custom("must be a moment, as 2026-01-31T12:00:00Z"))
}

/// [`optional`] in a field that may be absent, which is told from null.
pub fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<OffsetDateTime>>, D::Error> {
    optional(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_without_an_offset_is_utc() {
        let is = moment("2026-01-31T12:00:00Z");
        assert!(is.is_some());
        for text in ["2026-01-31T12:00:00", "2026-01-31T12:00:00.000000", "2026-01-31T13:00:00+01:00"] {
            assert_eq!(moment(text), is, "{text}");
        }
        assert_eq!(moment("2026-01-31T12:00:00.25"), moment("2026-01-31T12:00:00.250Z"));
        for bad in ["", "soon", "2026-01-31", "2026-02-30T00:00:00", "2026-01-31T12:00", "2026-01-31T12:00:00 "] {
            assert_eq!(moment(bad), None, "{bad:?}");
        }
    }
}
