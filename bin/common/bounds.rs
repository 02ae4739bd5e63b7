//! What a value may be: said once for the flag, the key of the file and the help.
//!
//! # Invariants
//!
//! 1. A value is as it was given, or refused; none is made to fit. (test
//!    `what_is_out_of_bounds_is_refused_with_them`)
//!
//! # Not here
//!
//! Which values there are: the `bounds` of each program.

use std::fmt;
use std::time::Duration;

use super::duration::{DURATION, duration};
use super::size::size;

/// The least and the most, and what is taken where nothing is said.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    unit: Unit,
    pub(crate) least: u64,
    pub(crate) most: u64,
    default: &'static str,
}

/// Of what a value is a number.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Unit {
    Things,
    Bytes,
    Milliseconds,
}

const KIB: u64 = 1 << 10;
pub(crate) const TIB: u64 = 1 << 40;

/// How long the end may take.
pub(crate) const fn linger(default: &'static str) -> Bounds {
    Bounds {
        unit: Unit::Milliseconds,
        least: 0,
        most: 24 * 3_600_000,
        default,
    }
}

/// The time between two lines of statistics.
pub(crate) const STATS: Bounds = Bounds {
    unit: Unit::Milliseconds,
    least: 100,
    most: 3_600_000,
    default: "never",
};

impl Bounds {
    pub(crate) const fn count(least: u64, most: u64, default: &'static str) -> Bounds {
        Bounds {
            unit: Unit::Things,
            least,
            most,
            default,
        }
    }

    pub(crate) const fn size(least: u64, most: u64, default: &'static str) -> Bounds {
        Bounds {
            unit: Unit::Bytes,
            least,
            most,
            default,
        }
    }

    /// Reads a number of things or bytes.
    ///
    /// # Errors
    ///
    /// If it is none, or out of bounds: the rule.
    pub(crate) fn read<N: TryFrom<u64>>(self, given: &str) -> Result<N, String> {
        let number = match self.unit {
            Unit::Bytes => size(given)?,
            Unit::Things => match given.parse::<i128>() {
                Ok(number) => u64::try_from(number).map_err(|_| self.rule())?,
                Err(_) => return Err(format!("it is a whole number, {self}")),
            },
            Unit::Milliseconds => return Err(self.rule()),
        };
        let fits = Some(number).filter(|it| (self.least..=self.most).contains(it));
        let fits = fits.and_then(|number| N::try_from(number).ok());
        fits.ok_or_else(|| self.rule())
    }

    /// Reads a time.
    ///
    /// # Errors
    ///
    /// If it is none, or out of bounds: the rule.
    pub(crate) fn time(self, given: &str) -> Result<Duration, String> {
        let time = duration(given).ok_or(DURATION)?;
        let (least, most) = (self.least, self.most);
        let bounds = Duration::from_millis(least)..=Duration::from_millis(most);
        match bounds.contains(&time) {
            true => Ok(time),
            false => Err(self.rule()),
        }
    }

    /// What a value is held to, for an error.
    pub(crate) fn rule(self) -> String {
        format!("it is {self}")
    }

    /// What the help says of it.
    pub(crate) fn help(self, about: &str) -> String {
        format!("{about}: {self} [default: {}]", self.default)
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |number: u64| match self.unit {
            Unit::Things => number.to_string(),
            Unit::Bytes => in_units(
                number,
                &[
                    (TIB, "TiB"),
                    (1 << 30, "GiB"),
                    (1 << 20, "MiB"),
                    (KIB, "KiB"),
                ],
                "B",
            ),
            Unit::Milliseconds if number == 0 => "0s".to_owned(),
            Unit::Milliseconds => in_units(
                number,
                &[(3_600_000, "h"), (60_000, "m"), (1_000, "s")],
                "ms",
            ),
        };
        write!(f, "{} to {}", shown(self.least), shown(self.most))
    }
}

/// In the largest unit of which it is a whole number.
fn in_units(number: u64, units: &[(u64, &str)], rest: &str) -> String {
    let mut units = units.iter();
    match units.find(|(unit, _)| number >= *unit && number.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{}{name}", number / unit),
        None => format!("{number}{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_bounds_is_refused_with_them() {
        let few = Bounds::count(1, 64, "4");
        assert_eq!(few.read("1"), Ok(1u32));
        assert_eq!(few.read("64"), Ok(64u8));
        for bad in ["0", "65", "-1", "4294967296", "5000000000"] {
            assert_eq!(
                few.read::<u32>(bad),
                Err("it is 1 to 64".to_owned()),
                "{bad}"
            );
        }
        for bad in ["", "7.5", "many"] {
            let rule = "it is a whole number, 1 to 64".to_owned();
            assert_eq!(few.read::<u32>(bad), Err(rule), "{bad}");
        }
        // Nor where the type would not hold it.
        assert!(Bounds::count(0, 1000, "1").read::<u8>("256").is_err());
        let bytes = Bounds::size(KIB, TIB, "64MiB");
        assert_eq!(bytes.read("1KiB"), Ok(1024u64));
        assert_eq!(bytes.read("1TiB"), Ok(TIB));
        for bad in ["1023", "1025GiB"] {
            let rule = "it is 1KiB to 1TiB".to_owned();
            assert_eq!(bytes.read::<u64>(bad), Err(rule), "{bad}");
        }
        let error = bytes.read::<u64>("much").unwrap_err();
        assert!(error.contains("such as 64MiB"), "{error}");
    }

    #[test]
    fn durations_have_units() {
        let linger = linger("10s");
        for (given, ms) in [
            ("0", 0),
            ("0s", 0),
            ("500ms", 500),
            ("5s", 5_000),
            ("5 s", 5_000),
            ("2m", 120_000),
            ("1h", 3_600_000),
        ] {
            assert_eq!(linger.time(given), Ok(Duration::from_millis(ms)), "{given}");
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
            let error = linger.time(bad).expect_err(bad);
            assert!(error.contains("such as"), "{error}");
        }
        assert_eq!(linger.time("25h"), Err("it is 0s to 24h".to_owned()));
        assert!(STATS.time("1s").is_ok() && STATS.time("100ms").is_ok());
        for bad in ["99ms", "0", "2h"] {
            assert_eq!(STATS.time(bad), Err("it is 100ms to 1h".to_owned()));
        }
    }

    #[test]
    fn the_help_has_the_bounds_and_the_default() {
        let bytes = Bounds::size(1, 16 << 20, "16KiB");
        assert_eq!(bytes.help("Bytes"), "Bytes: 1B to 16MiB [default: 16KiB]");
        assert_eq!(STATS.to_string(), "100ms to 1h");
    }
}
