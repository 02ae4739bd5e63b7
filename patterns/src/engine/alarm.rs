//! Until when the leader's poll may sleep, and who has to end it.
//!
//! Timers are armed and work is left by any thread, while the leader may be about to poll. Each
//! side writes its own word first and reads the other's second, so that at least one of the two
//! sees the other:
//!
//! ```text
//! leader: begin                          arming thread
//! 1. note until when it polls            1. note the time of the timer
//! 2. look at the timers again            2. the poll goes on for longer: ring
//! ```
//!
//! Between [`Nap::begin`] and [`Nap::end`] the kernel is asked once: each time uses up the alarm.
//!
//! Times are nanoseconds since the engine's beginning.
//!
//! # Invariants
//!
//! 1. A poll never sleeps past a timer, nor while there is work. (loom test
//!    `a_poll_never_sleeps_past_a_timer_or_work`)
//! 2. What is noted of a poll is the time at which it has to end, whoever ends it: the kernel, or
//!    the steward. (loom test `a_watched_poll_is_ended_in_time`)
//! 3. Without a poll under way nobody rings. (test `nobody_rings_for_a_leader_that_is_awake`)

use super::sync::{AtomicBool, AtomicU64, Ordering};

/// No timer is armed; polling without end.
pub(crate) const NEVER: u64 = u64::MAX;
/// Not polling.
const AWAKE: u64 = 0;

/// What the leader of one engine is woken by.
#[derive(Debug)]
pub(crate) struct Nap {
    next_timer: AtomicU64,
    /// When the current poll ends by itself.
    until: AtomicU64,
    work: AtomicBool,
}

impl Nap {
    pub(crate) fn new() -> Self {
        Nap {
            next_timer: AtomicU64::new(NEVER),
            until: AtomicU64::new(AWAKE),
            work: AtomicBool::new(false),
        }
    }

    /// When the next timer is due.
    pub(crate) fn next_timer(&self) -> u64 {
        self.next_timer.load(Ordering::SeqCst)
    }

    /// Notes when the next timer is due. Called with the timers locked.
    pub(crate) fn set_next_timer(&self, due: u64) {
        self.next_timer.store(due, Ordering::SeqCst);
    }

    /// Whether a poll is under way that has to be ended for a timer just noted.
    pub(crate) fn sleeps_past(&self, due: u64) -> bool {
        due < self.until.load(Ordering::SeqCst)
    }

    /// Notes that there is work for the leader; true if a poll has to be ended for it.
    pub(crate) fn leave_work(&self) -> bool {
        self.work.store(true, Ordering::SeqCst);
        self.until.load(Ordering::SeqCst) != AWAKE
    }

    /// Whether there is work, which the caller does now.
    pub(crate) fn take_work(&self) -> bool {
        // A look first: to write would cost each turn a shared cache line. The leader alone takes.
        let work = self.work.load(Ordering::SeqCst);
        if work {
            self.work.store(false, Ordering::SeqCst);
        }
        work
    }

    /// The leader is about to poll, at most until `deadline`; gives the time at which the poll
    /// has to end. Nothing if there is work: then it must not sleep at all.
    pub(crate) fn begin(&self, deadline: u64) -> Option<u64> {
        let planned = deadline.min(self.next_timer());
        self.until.store(planned, Ordering::SeqCst);
        // Whoever armed a timer or left work in between has not rung.
        let until = planned.min(self.next_timer());
        if until < planned {
            // Who ends the poll goes by what is noted.
            self.until.store(until, Ordering::SeqCst);
        }
        (!self.work.load(Ordering::SeqCst)).then_some(until)
    }

    /// When the poll under way has to end: never, if there is none.
    pub(crate) fn ends(&self) -> u64 {
        match self.until.load(Ordering::SeqCst) {
            AWAKE => NEVER,
            until => until,
        }
    }

    /// The poll has ended.
    pub(crate) fn end(&self) {
        self.until.store(AWAKE, Ordering::SeqCst);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn nobody_rings_for_a_leader_that_is_awake() {
        let nap = Nap::new();
        nap.set_next_timer(7);
        assert!(!nap.sleeps_past(7) && !nap.leave_work(), "before");
        assert_eq!(nap.begin(NEVER), None, "there is work");
        assert!(nap.take_work() && !nap.take_work());
        assert_eq!((nap.begin(NEVER), nap.ends()), (Some(7), 7));
        assert!(nap.sleeps_past(6) && !nap.sleeps_past(7) && nap.leave_work());
        nap.end();
        assert!(!nap.sleeps_past(6) && !nap.leave_work(), "after");
        assert_eq!(nap.ends(), NEVER);
    }
}
