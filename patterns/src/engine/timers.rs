//! Every timer of the engine, in one table.
//!
//! Timers are not taken back: one that fires for something that is gone, or that has moved its
//! due time, finds that out from its owner's state. So arming is one push, and a busy connection
//! never touches the table.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

/// Heartbeats due within this time of one another fire together.
pub(crate) const HEARTBEAT_GRAIN: Duration = Duration::from_millis(10);

/// What is due. The token names a connection or a listener; the id a dialer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A connection has not finished its handshake.
    Handshake(u64),
    /// A connection's silence is judged, and a PING is sent where it is due.
    Heartbeat(u64),
    /// A connection's silence is judged by the time to live that its peer announced.
    Ttl(u64),
    /// The holder of a contested identity has not answered the PING that tests it.
    Probe(u64),
    /// A dialer tries again.
    Redial(u64),
    /// A listener that ran out of descriptors accepts again.
    Accept(u64),
}

/// The table of what is due.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    due: BinaryHeap<Reverse<(Instant, Timer)>>,
}

impl Timers {
    /// Arms a timer; true if it is now the next one due.
    pub(crate) fn arm(&mut self, at: Instant, timer: Timer) -> bool {
        let next = self.next().is_none_or(|next| at < next);
        self.due.push(Reverse((at, timer)));
        next
    }

    /// When the next timer is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.due.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes a timer that is due.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        self.due.pop().map(|Reverse((_, timer))| timer)
    }
}

/// `at`, moved to the next multiple of [`HEARTBEAT_GRAIN`] after `origin`.
pub(crate) fn grained(at: Instant, origin: Instant) -> Instant {
    let grain = HEARTBEAT_GRAIN.as_nanos();
    let since = at
        .saturating_duration_since(origin)
        .as_nanos()
        .div_ceil(grain)
        * grain;
    origin + Duration::from_nanos(since.min(u64::MAX.into()) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_fire_in_order_and_not_early() {
        let now = Instant::now();
        let later = |ms| now + Duration::from_millis(ms);
        let mut timers = Timers::default();
        assert!(timers.arm(later(20), Timer::Heartbeat(2)));
        assert!(timers.arm(later(10), Timer::Redial(1)));
        assert!(!timers.arm(later(30), Timer::Accept(3)));
        assert_eq!(timers.pop(later(9)), None);
        assert_eq!(timers.pop(later(20)), Some(Timer::Redial(1)));
        assert_eq!(timers.pop(later(20)), Some(Timer::Heartbeat(2)));
        assert_eq!(timers.next(), Some(later(30)));
    }

    #[test]
    fn heartbeats_are_moved_to_the_grain_and_never_forward_in_time() {
        let origin = Instant::now();
        for ms in [0, 1, 9, 10, 11, 1005] {
            let at = origin + Duration::from_millis(ms);
            let moved = grained(at, origin);
            assert!(moved >= at && moved - at < HEARTBEAT_GRAIN);
        }
    }
}
