//! Calls that are kept while nothing is passed on.
//!
//! # Invariants
//!
//! 1. What is kept is sent in the order in which it came. (test
//!    `a_paused_proxy_keeps_calls_and_sends_them_when_it_resumes`)
//! 2. What is still kept when the next pause begins stays, though another thread was about to send
//!    it. (test `a_pause_within_a_resume_keeps_what_is_left`)
//! 3. A proxy that leaves is not paused, whoever was about to pause it. (test
//!    `a_proxy_that_leaves_is_not_paused_by_another_thread`)

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::core::Core;
use super::leg::Leg;
use crate::service::Passing;

/// Calls that are kept, while there is a pause.
#[derive(Default)]
pub(super) struct Pause {
    /// For a look without the lock.
    paused: AtomicBool,
    state: Mutex<State<Arc<Leg>>>,
}

struct State<L> {
    paused: bool,
    kept: VecDeque<L>,
}

impl<L> Default for State<L> {
    fn default() -> Self {
        State {
            paused: false,
            kept: VecDeque::new(),
        }
    }
}

impl<L> State<L> {
    /// The next one that is to be sent.
    fn next(&mut self) -> Option<L> {
        match self.paused {
            true => None,
            false => self.kept.pop_front(),
        }
    }
}

impl Pause {
    /// Keeps a call, if there is a pause; gives it back if there is none. An error where there is no
    /// room for it.
    pub(super) fn keep(
        &self,
        leg: &Arc<Leg>,
        call: Passing,
        most: usize,
    ) -> Option<Result<Passing, ()>> {
        if !self.paused.load(Ordering::SeqCst) {
            return Some(Ok(call));
        }
        let mut state = self.state.lock();
        if !state.paused {
            return Some(Ok(call));
        }
        if state.kept.len() >= most {
            // Those that have been given up meanwhile are of no account.
            state.kept.retain(|leg| leg.is_kept());
        }
        if state.kept.len() >= most {
            return Some(Err(()));
        }
        if let Err(call) = leg.keep(call) {
            return Some(Ok(call));
        }
        state.kept.push_back(leg.clone());
        None
    }

    /// Begins a pause, unless that may not be. Looked at within the lock: whoever leaves says so
    /// first, and then ends what pause there is.
    fn begin(&self, is_leaving: impl FnOnce() -> bool) {
        let mut state = self.state.lock();
        if !is_leaving() {
            self.set(&mut state, true);
        }
    }

    fn end(&self) {
        self.set(&mut self.state.lock(), false);
    }

    fn set(&self, state: &mut State<Arc<Leg>>, paused: bool) {
        state.paused = paused;
        self.paused.store(paused, Ordering::SeqCst);
    }
}

impl Core {
    pub(super) fn pause(&self) {
        self.pause.begin(|| self.is_leaving());
    }

    pub(super) fn resume(&self) {
        self.pause.end();
        loop {
            let next = self.pause.state.lock().next();
            let Some(leg) = next else { return };
            leg.send_kept();
        }
    }

    pub(super) fn is_paused(&self) -> bool {
        self.pause.paused.load(Ordering::SeqCst)
    }

    /// Calls that are kept.
    pub(super) fn kept(&self) -> usize {
        let state = self.pause.state.lock();
        state.kept.iter().filter(|leg| leg.is_kept()).count()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_pause_within_a_resume_keeps_what_is_left() {
        let mut state = State {
            paused: true,
            kept: VecDeque::from([1, 2, 3]),
        };
        assert_eq!(state.next(), None);
        state.paused = false;
        assert_eq!(state.next(), Some(1));
        state.paused = true;
        state.kept.push_back(4);
        assert_eq!(state.next(), None);
        state.paused = false;
        let rest: Vec<i32> = std::iter::from_fn(|| state.next()).collect();
        assert_eq!(rest, [2, 3, 4]);
    }

    #[test]
    fn a_proxy_that_leaves_is_not_paused_by_another_thread() {
        let core = Core::new(String::new(), 4, 16, 1024, Vec::new());
        let (left, leaves) = crossbeam_channel::bounded(1);
        let leave = || {
            core.leave();
            let _ = left.send(());
        };
        std::thread::scope(|scope| {
            core.pause.begin(|| {
                let is_leaving = core.is_leaving();
                scope.spawn(leave);
                // It has to wait for this pause: else this one would be the last.
                let done = leaves.recv_timeout(Duration::from_millis(100));
                assert!(done.is_err());
                is_leaving
            });
        });
        assert!(core.is_leaving() && !core.is_paused());
    }
}
