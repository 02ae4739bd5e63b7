//! Calls that are kept while nothing is passed on.
//!
//! # Invariants
//!
//! 1. What is kept is sent in the order in which it came. (test
//!    `a_paused_proxy_keeps_calls_and_sends_them_when_it_resumes`)

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
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    paused: bool,
    kept: VecDeque<Arc<Leg>>,
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

    fn set(&self, paused: bool) {
        let mut state = self.state.lock();
        state.paused = paused;
        self.paused.store(paused, Ordering::SeqCst);
    }

    fn next(&self) -> Option<Arc<Leg>> {
        self.state.lock().kept.pop_front()
    }
}

impl Core {
    pub(super) fn pause(&self) {
        if !self.is_leaving() {
            self.pause.set(true);
        }
    }

    pub(super) fn resume(&self) {
        self.pause.set(false);
        while let Some(leg) = self.pause.next() {
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
