//! The window of credit that a replier grants one caller.
//!
//! It starts small. While the caller uses it up, each answer adds one call and that call's bytes,
//! so it doubles with each round trip. Calls that wait long for a worker stop that, and where even
//! the least of the waits over an interval is too long, a quarter of the window is taken away: the
//! queue then stands in the caller, where a call can still go elsewhere, be cancelled or expire.
//!
//! "Too long" is the target, or what a call of this caller runs for, whichever is longer: one call
//! that waits for each that runs costs nobody anything.
//!
//! A caller learns of a smaller window only with the answer that tells it, so what it may send until
//! then is still admitted.
//!
//! # Invariants
//!
//! 1. The window never leaves 1 call to its maximum. (test `the_window_stays_within_its_limits`)
//! 2. A caller that keeps to what it was told is never over the window.
//!    (test `a_caller_that_keeps_to_its_window_is_never_refused`)

use std::time::Duration;

use super::credit::Credit;
use super::load::smoothed;
use super::time::{Time, nanos};

/// The stretch of time over which the least wait is taken.
const INTERVAL: u64 = 100_000_000;
/// Answers after a change that tell the window again, since answers may overtake one another on the
/// way out of a server with many threads.
const REPEATS: u32 = 8;
/// Answers after which the window is told again in any case.
const RETELL: u32 = 64;
/// The least window in bytes.
const BYTES_MIN: u64 = 64 * 1024;

/// Where a window starts, and how far it may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowLimits {
    /// The first window. Default 16 calls, 4 MiB.
    pub start: Credit,
    /// The largest one. Default 1,024 calls, 64 MiB.
    pub max: Credit,
    /// How long calls may wait for a worker before the window shrinks. Default 5 ms.
    pub delay_target: Duration,
}

impl Default for WindowLimits {
    fn default() -> WindowLimits {
        WindowLimits {
            start: Credit::new(16, 4 << 20),
            max: Credit::new(1024, 64 << 20),
            delay_target: Duration::from_millis(5),
        }
    }
}

/// The credit of one caller.
#[derive(Debug, Clone)]
pub struct Window {
    max: Credit,
    target: u64,
    current: Credit,
    told: Credit,
    /// What is admitted: the largest window that the caller may still believe in.
    admitted: Credit,
    /// Arrivals until `admitted` comes down to what was told.
    leave: u64,
    /// Answers left that make the window grow.
    growth: u32,
    /// What a call runs for, smoothed.
    ran: u64,
    /// The least wait since `interval_from`; none yet if that is not set.
    interval_from: Option<Time>,
    least: u64,
    /// When the window was last cut because a queue was full.
    cut: Option<Time>,
    repeats: u32,
    since_told: u32,
}

impl Window {
    /// The first window.
    pub fn new(limits: WindowLimits) -> Window {
        let max = limits.max.at_least(Credit::new(1, 1));
        let start = limits.start.at_least(Credit::new(1, 1)).at_most(max);
        Window {
            max,
            target: nanos(limits.delay_target),
            current: start,
            told: start,
            admitted: start,
            leave: 0,
            growth: 0,
            ran: 0,
            interval_from: None,
            least: u64::MAX,
            cut: None,
            repeats: 0,
            since_told: 0,
        }
    }

    /// The window of now.
    pub fn current(&self) -> Credit {
        self.current
    }

    /// The window that the caller is told now, as by a welcome.
    pub fn tell(&mut self) -> Credit {
        self.note_told();
        self.current
    }

    /// Whether a call of `bytes` is within what its caller may send beside what is in `flight`.
    pub fn admits(&self, flight: Credit, bytes: u64) -> bool {
        self.admitted.admits(flight, bytes)
    }

    /// A call came in. `used_up`: its caller says that the window holds it back.
    pub fn arrived(&mut self, used_up: bool) {
        if used_up {
            self.growth = self.current.calls;
        }
        if self.leave > 0 {
            self.leave -= 1;
            if self.leave == 0 {
                self.admitted = self.told;
            }
        }
    }

    /// A call is answered, having waited for `queued` and run for `ran`. Gives the window to tell on
    /// this answer, if it is to be told.
    pub fn finished(
        &mut self,
        now: Time,
        queued: Duration,
        ran: Duration,
        bytes: u64,
    ) -> Option<Credit> {
        let queued = nanos(queued);
        self.ran = smoothed(self.ran, nanos(ran));
        let target = self.target.max(self.ran);
        let from = *self.interval_from.get_or_insert(now);
        self.least = self.least.min(queued);
        if nanos(now.since(from)) >= INTERVAL {
            if self.least > target {
                self.shrink(3, 4);
            }
            self.interval_from = None;
            self.least = u64::MAX;
        }
        // A queue that was full a moment ago takes no more than it did.
        let cut = self.cut.is_some_and(|cut| nanos(now.since(cut)) < INTERVAL);
        if queued > target || cut {
            self.growth = 0;
        } else if self.growth > 0 {
            self.growth -= 1;
            let calls = self.current.calls.saturating_add(1);
            let bytes = self.current.bytes.saturating_add(bytes);
            self.current = Credit::new(calls, bytes).at_most(self.max);
        }
        self.news()
    }

    /// A call of this caller found a queue full. Halves the window, at most once in 10 ms, and lets
    /// it rest for an interval.
    pub fn overloaded(&mut self, now: Time) -> Option<Credit> {
        if self
            .cut
            .is_none_or(|cut| nanos(now.since(cut)) >= INTERVAL / 10)
        {
            self.cut = Some(now);
            self.shrink(1, 2);
        }
        self.news()
    }

    /// A call was answered that never ran, for no fault of the window's.
    pub fn refused(&mut self) -> Option<Credit> {
        self.news()
    }

    fn shrink(&mut self, numerator: u32, denominator: u32) {
        let calls = u64::from(self.current.calls) * u64::from(numerator) / u64::from(denominator);
        let bytes = self.current.bytes / u64::from(denominator) * u64::from(numerator);
        let least = Credit::new(1, BYTES_MIN.min(self.max.bytes));
        self.current = Credit::new(calls as u32, bytes)
            .at_least(least)
            .at_most(self.max);
        self.growth = 0;
    }

    fn news(&mut self) -> Option<Credit> {
        self.since_told += 1;
        let (now, told) = (self.current, self.told);
        let changed = now != told;
        let less = now.calls < told.calls || now.bytes < told.bytes;
        let much = now.calls >= told.calls + (told.calls / 8).max(1)
            || now.bytes > told.bytes + told.bytes / 8
            || (changed && now == self.max);
        if less || much {
            self.repeats = REPEATS;
        } else if self.repeats == 0 && self.since_told < RETELL {
            return None;
        }
        self.repeats = self.repeats.saturating_sub(1);
        self.note_told();
        if planted!(TellsTooMuch) {
            return Some(Credit::new(self.current.calls + 1, self.current.bytes));
        }
        Some(self.current)
    }

    fn note_told(&mut self) {
        let less =
            self.current.calls < self.admitted.calls || self.current.bytes < self.admitted.bytes;
        if less && self.current != self.told {
            self.leave = u64::from(self.admitted.calls) * 2 + u64::from(RETELL);
        }
        self.admitted = self.admitted.at_least(self.current);
        if planted!(ShrinkHoldsAtOnce) {
            self.admitted = self.current;
        }
        self.told = self.current;
        self.since_told = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(us: u64) -> Time {
        Time::from_nanos(us * 1000)
    }

    /// A round trip: everything that the window allows, answered without a wait.
    fn round(window: &mut Window, now: &mut u64, used_up: bool) {
        let calls = window.current().calls;
        (0..calls).for_each(|_| window.arrived(used_up));
        for _ in 0..calls {
            *now += 10;
            window.finished(at(*now), Duration::ZERO, Duration::from_micros(10), 100);
        }
    }

    #[test]
    fn a_window_doubles_each_round_trip_while_it_is_used_up() {
        let (mut window, mut now) = (Window::new(WindowLimits::default()), 0);
        for calls in [32, 64, 128, 256, 512, 1024, 1024] {
            round(&mut window, &mut now, true);
            assert_eq!(window.current().calls, calls);
        }
    }

    #[test]
    fn a_window_that_is_not_used_up_does_not_grow() {
        let (mut window, mut now) = (Window::new(WindowLimits::default()), 0);
        (0..10).for_each(|_| round(&mut window, &mut now, false));
        assert_eq!(window.current(), WindowLimits::default().start);
    }

    #[test]
    fn a_standing_queue_shrinks_the_window_and_the_caller_is_told() {
        let mut window = Window::new(WindowLimits::default());
        let (wait, mut told) = (Duration::from_millis(50), None);
        for index in 0..1000 {
            window.arrived(true);
            let now = at(index * 1000);
            told = window
                .finished(now, wait, Duration::from_millis(1), 100)
                .or(told);
        }
        assert!(window.current().calls <= 2, "{window:?}");
        assert_eq!(told, Some(window.current()));
    }

    #[test]
    fn calls_that_wait_no_longer_than_they_run_do_not_shrink_it() {
        let mut window = Window::new(WindowLimits::default());
        for index in 0..1000 {
            window.arrived(false);
            let long = Duration::from_millis(50);
            window.finished(at(index * 1000), long, long, 100);
        }
        assert_eq!(window.current(), WindowLimits::default().start);
    }

    proptest! {
        #[test]
        fn the_window_stays_within_its_limits(
            steps in proptest::collection::vec((0u8..3, 0u64..200, 0u64..100, 0u64..1 << 30), 1..500),
        ) {
            let limits = WindowLimits::default();
            let (mut window, mut now) = (Window::new(limits), 0);
            for (kind, wait, ran, bytes) in steps {
                now += wait * 100;
                let (wait, ran) = (Duration::from_millis(wait), Duration::from_millis(ran));
                match kind {
                    0 => window.arrived(true),
                    1 => drop(window.finished(at(now), wait, ran, bytes)),
                    _ => drop(window.overloaded(at(now))),
                }
                let current = window.current();
                prop_assert!((1..=limits.max.calls).contains(&current.calls));
                prop_assert!((1..=limits.max.bytes).contains(&current.bytes));
            }
        }

        /// The caller learns of each window only after a while, as over a connection.
        #[test]
        fn a_caller_that_keeps_to_its_window_is_never_refused(
            steps in proptest::collection::vec((0u8..4, 0u64..60), 1..2000),
        ) {
            let mut window = Window::new(WindowLimits::default());
            let mut known = window.tell();
            let (mut calls, mut held, mut answers) = (Vec::new(), 0, Vec::new());
            let mut flight = Credit::default();
            for (step, (kind, wait)) in steps.into_iter().enumerate() {
                let now = at(step as u64 * 10_000);
                match kind {
                    0 => {
                        while known.admits(flight, 100) {
                            flight.add(100);
                            calls.push(flight.calls >= known.calls);
                        }
                    }
                    1 => for used_up in calls.drain(..) {
                        let there = Credit::new(held, u64::from(held) * 100);
                        window.arrived(used_up);
                        prop_assert!(window.admits(there, 100), "{there:?} in {window:?}");
                        held += 1;
                    },
                    2 => if held > 0 {
                        held -= 1;
                        let wait = Duration::from_millis(wait);
                        answers.push(window.finished(now, wait, Duration::ZERO, 100));
                    },
                    _ => for credit in answers.drain(..) {
                        flight.take(100);
                        known = credit.unwrap_or(known);
                    },
                }
            }
        }
    }
}
