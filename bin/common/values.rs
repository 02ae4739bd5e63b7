//! Values of flags and of the file, each read by one function: places, durations, counts.

use std::str::FromStr;
use std::time::Duration;

use brokerless::patterns::device::{Place, PlaceError};

use super::duration::{DURATION, duration};

/// An endpoint, to bind or to connect to.
pub(crate) fn place(given: &str) -> Result<Place, String> {
    given
        .trim()
        .parse()
        .map_err(|error: PlaceError| error.to_string())
}

/// How long the end may take.
pub(crate) fn linger(given: &str) -> Result<Duration, String> {
    let linger = duration(given).ok_or(DURATION)?;
    if linger > Duration::from_secs(24 * 3600) {
        return Err("it is at most 24h".into());
    }
    Ok(linger)
}

/// The time between two lines of statistics.
pub(crate) fn interval(given: &str) -> Result<Duration, String> {
    let interval = duration(given).ok_or(DURATION)?;
    let (least, most) = (Duration::from_millis(100), Duration::from_secs(3600));
    if interval < least || interval > most {
        return Err("it is 100ms to 1h".into());
    }
    Ok(interval)
}

/// A number of things.
pub(crate) fn count<N: FromStr + From<u8> + PartialOrd>(given: &str) -> Result<N, String> {
    let count = given.parse().ok().filter(|count| *count >= N::from(1));
    count.ok_or_else(|| "it is a whole number from 1".to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::size::size;
    use super::*;

    #[test]
    fn durations_have_units() {
        for (given, ms) in [
            ("0", 0),
            ("0s", 0),
            ("500ms", 500),
            ("5s", 5_000),
            ("5 s", 5_000),
            ("2m", 120_000),
            ("1h", 3_600_000),
        ] {
            assert_eq!(linger(given), Ok(Duration::from_millis(ms)), "{given}");
        }
        for bad in [
            "",
            "5",
            "s",
            "-1s",
            "1.5s",
            "5 parsecs",
            "99999999999999999999s",
            "5é",
        ] {
            let error = linger(bad).expect_err(bad);
            assert!(error.contains("such as"), "{error}");
        }
        assert!(linger("25h").is_err());
        assert!(interval("1s").is_ok() && interval("100ms").is_ok());
        assert!(interval("99ms").is_err() && interval("0").is_err() && interval("2h").is_err());
    }

    #[test]
    fn sizes_and_counts_are_whole() {
        assert_eq!(size("64MiB"), Ok(64 << 20));
        assert_eq!(size("1000"), Ok(1000));
        assert_eq!(size("2 kB"), Ok(2000));
        for bad in ["", "0", "MB", "1.5MB", "99999999999GiB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
        assert_eq!(count("7"), Ok(7u64));
        for bad in ["", "0", "-1", "7.5", "many"] {
            assert!(count::<u64>(bad).is_err(), "{bad}");
        }
    }
}
