//! Durations as a user writes them.

use std::time::Duration;

/// How they are written, for those who wrote something else.
pub(crate) const DURATION: &str =
    "a duration is a whole number and a unit of ms, s, m or h, such as 500ms or 5s";

/// A whole number with a unit.
pub(crate) fn duration(given: &str) -> Option<Duration> {
    let digits = given.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.trim_end().parse().ok()?;
    let ms = match &given[digits.len()..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "" if number == 0 => 1,
        _ => return None,
    };
    number.checked_mul(ms).map(Duration::from_millis)
}
