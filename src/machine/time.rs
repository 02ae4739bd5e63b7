//! The time that machines are given: nanoseconds since an origin that their shell chose.

use std::time::Duration;

/// A moment, in nanoseconds since the shell's origin. Never wall-clock time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// The origin.
    pub const ZERO: Time = Time(0);
    /// Later than everything: the deadline of what has none.
    pub const NEVER: Time = Time(u64::MAX);

    /// So many nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Time {
        Time(nanos)
    }

    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// This much later; [`Time::NEVER`] where that is out of range.
    pub fn after(self, wait: Duration) -> Time {
        Time(self.0.saturating_add(nanos(wait)))
    }

    /// How long ago `earlier` was; zero if it is yet to come.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// A duration in nanoseconds; the most that there is where it does not fit.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_saturates_at_both_ends() {
        let at = Time::from_nanos(5);
        assert_eq!(at.after(Duration::MAX), Time::NEVER);
        assert_eq!(Time::ZERO.since(at), Duration::ZERO);
        assert_eq!(at.after(Duration::from_nanos(7)).since(at).as_nanos(), 7);
    }
}
