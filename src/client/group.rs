//! Where one thread waits for whichever of many calls ends first, or for news of another kind.
//!
//! ```text
//! waiting thread                     whoever leads the engine
//! next: nothing is ready             Slot::complete ── push, wake
//!   └─ gate.wait (leads) <────────────────┘
//! next: the ends in the order in which they came
//! ```
//!
//! # Invariants
//!
//! 1. The thread is woken once for all that come while it sleeps, and never for what comes while
//!    it runs. (test `one_wake_is_for_all_that_came`)
//! 2. What came first is given first. (same test)

use std::collections::VecDeque;
use std::fmt;

use brokerless_patterns::tap::Gate;
use parking_lot::Mutex;

#[derive(Debug, Default)]
struct State {
    /// Places of those that have ended, in that order.
    ready: VecDeque<u32>,
    /// The thread is about to sleep, or asleep.
    awaited: bool,
    news: bool,
}

/// What there is for the thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// The call at this place has ended.
    End(u32),
    /// The bell was rung.
    News,
}

impl State {
    fn take(&mut self) -> Option<Next> {
        if std::mem::take(&mut self.news) {
            return Some(Next::News);
        }
        self.ready.pop_front().map(Next::End)
    }
}

/// Calls that one thread waits for together.
#[derive(Default)]
pub(crate) struct Group {
    state: Mutex<State>,
    pub(super) gate: Gate,
}

impl Group {
    /// The call at this place has ended; `put` puts the end into its slot, and hears whether the
    /// thread is woken for it.
    pub(super) fn ended(&self, at: u32, put: impl FnOnce(bool)) {
        let woken = {
            let mut state = self.state.lock();
            let woken = std::mem::take(&mut state.awaited);
            put(woken);
            state.ready.push_back(at);
            woken
        };
        if woken {
            self.gate.wake(1);
        }
    }

    /// Wakes the thread: there is news, which it knows how to find.
    pub(crate) fn ring(&self) {
        let woken = {
            let mut state = self.state.lock();
            state.news = true;
            std::mem::take(&mut state.awaited)
        };
        if woken {
            self.gate.wake(1);
        }
    }

    /// What there is. If nothing, the thread is about to sleep.
    pub(super) fn next_or_await(&self) -> Option<Next> {
        let mut state = self.state.lock();
        let next = state.take();
        state.awaited = next.is_none();
        next
    }

    /// What there is. If nothing, the thread does not sleep any more.
    pub(super) fn next(&self) -> Option<Next> {
        let mut state = self.state.lock();
        state.awaited = false;
        state.take()
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.state.lock().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(group: &Group, at: u32) -> bool {
        let mut woken = false;
        group.ended(at, |it| woken = it);
        woken
    }

    #[test]
    fn one_wake_is_for_all_that_came() {
        let group = Group::default();
        assert!(!ended(&group, 7), "nobody sleeps");
        assert_eq!(group.next_or_await(), Some(Next::End(7)));
        assert!(!ended(&group, 3), "it has found something");
        assert_eq!(group.next(), Some(Next::End(3)));
        assert_eq!(group.next_or_await(), None);
        assert!(ended(&group, 5));
        assert!(!ended(&group, 4) && !ended(&group, 6), "woken already");
        for at in [5, 4, 6] {
            assert_eq!(group.next_or_await(), Some(Next::End(at)));
        }
        assert_eq!(group.next_or_await(), None);
        assert_eq!(group.next(), None);
        assert!(!ended(&group, 1), "it sleeps no longer");
    }

    #[test]
    fn news_is_told_once_and_before_ends() {
        let group = Group::default();
        assert!(!ended(&group, 1));
        group.ring();
        group.ring();
        assert_eq!(group.next_or_await(), Some(Next::News));
        assert_eq!(group.next_or_await(), Some(Next::End(1)));
        assert_eq!(group.next_or_await(), None);
    }
}
