//! What other threads want of a device's loop, and where it is.
//!
//! ```text
//! Ready --run--> Running <--resume, pause--> Paused
//!                   |                          |
//!                   +------- terminate --------+--> Draining --> Ended
//! ```
//!
//! # Invariants
//!
//! 1. Once pausing has returned, nothing passes. (test `nothing_passes_while_it_is_paused`)
//! 2. A device that was told to end does not run on. (test `an_end_outranks_all_else`)

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::engine::waiter::WaitList;

/// Where a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum State {
    /// Made, not yet run.
    Ready,
    /// Passing messages on.
    Running,
    /// Connected, and passing nothing on.
    Paused,
    /// Ending: passing on what is left.
    Draining,
    /// Done.
    Ended,
}

impl State {
    const ALL: [State; 5] = [
        State::Ready,
        State::Running,
        State::Paused,
        State::Draining,
        State::Ended,
    ];

    /// Its name: `running`.
    pub fn name(self) -> &'static str {
        match self {
            State::Ready => "ready",
            State::Running => "running",
            State::Paused => "paused",
            State::Draining => "draining",
            State::Ended => "ended",
        }
    }

    fn of(number: u8) -> State {
        Self::ALL[usize::from(number).min(Self::ALL.len() - 1)]
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is wanted and what is, with the threads that wait for either.
#[derive(Debug)]
pub(super) struct Steering {
    wanted: AtomicU8,
    is: Mutex<State>,
    changed: Condvar,
    /// The loop, while it waits.
    waiting: WaitList,
}

impl Steering {
    pub(super) fn new() -> Self {
        Steering {
            wanted: AtomicU8::new(State::Running as u8),
            is: Mutex::new(State::Ready),
            changed: Condvar::new(),
            waiting: WaitList::default(),
        }
    }

    /// What the loop has to do: run, pause or drain.
    pub(super) fn wanted(&self) -> State {
        State::of(self.wanted.load(Ordering::SeqCst))
    }

    pub(super) fn waiting(&self) -> &WaitList {
        &self.waiting
    }

    /// Wants something else, unless the end is wanted already; true if it is wanted now.
    pub(super) fn want(&self, state: State) -> bool {
        let highest = |now: u8| (State::of(now) < State::Draining).then_some(state as u8);
        let changed = self
            .wanted
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, highest);
        self.waiting.wake(usize::MAX);
        changed.is_ok()
    }

    /// The loop has come to this.
    pub(super) fn becomes(&self, state: State) {
        *self.is.lock() = state;
        self.changed.notify_all();
    }

    pub(super) fn state(&self) -> State {
        *self.is.lock()
    }

    /// Waits until the loop, if it runs, has come to this or to its end.
    pub(super) fn wait_until(&self, state: State, timeout: Duration) -> bool {
        let deadline = Instant::now().checked_add(timeout);
        let mut is = self.is.lock();
        while *is != state && *is != State::Ready && *is < State::Draining {
            let late = match deadline {
                Some(deadline) => self.changed.wait_until(&mut is, deadline).timed_out(),
                None => {
                    self.changed.wait(&mut is);
                    false
                }
            };
            if late {
                return false;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_outranks_all_else() {
        let steering = Steering::new();
        assert_eq!(steering.wanted(), State::Running);
        assert!(steering.want(State::Paused));
        assert!(steering.want(State::Draining));
        for other in [State::Running, State::Paused, State::Draining] {
            assert!(!steering.want(other));
            assert_eq!(steering.wanted(), State::Draining);
        }
    }

    #[test]
    fn a_state_is_what_its_number_says() {
        for state in State::ALL {
            assert_eq!(State::of(state as u8), state);
        }
    }

    #[test]
    fn nobody_waits_for_a_loop_that_does_not_run() {
        let steering = Steering::new();
        assert!(steering.wait_until(State::Paused, Duration::from_secs(60)));
        steering.becomes(State::Running);
        assert!(!steering.wait_until(State::Paused, Duration::from_millis(1)));
        steering.becomes(State::Ended);
        assert!(steering.wait_until(State::Paused, Duration::from_secs(60)));
    }
}
