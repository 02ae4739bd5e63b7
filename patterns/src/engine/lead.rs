//! Who leads: the one thread that polls for all.
//!
//! ```text
//!            enter()            leave(hand_on)
//! free  ------------> led  ----------------------> free      nobody wants it, or not yet
//!                      |  <---------------------+
//!                      +------ LEAD signal -----+  a follower leads
//! ```
//!
//! A thread that waits enters; it either leads or follows. Whoever leads gives the lead up when
//! it has what it waited for. If it will soon be back, it leaves the lead free without waking
//! anybody, and the steward looks after it: see `steward.rs`.
//!
//! # Invariants
//!
//! 1. At most one thread leads. (loom test `two_threads_never_lead`)
//! 2. A lead that was handed to a follower is led by it or handed on by it: whoever is off the
//!    list of followers without having withdrawn holds the lead. (loom test
//!    `a_lead_handed_over_is_never_dropped`)
//! 3. A lead that is offered is led by one who waits, or nobody waits. (loom test
//!    `a_lead_that_is_offered_is_led_by_one_or_left_free`)
//! 4. What is left of an earlier hand-over does not keep a follower from parking. (loom test
//!    `a_lead_handed_over_is_never_dropped`)

use std::collections::VecDeque;

use super::sync::{Arc, Mutex};
use super::waiter::{LEAD, LEAVE, Waiter};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    Nobody,
    User,
    Steward,
}

/// What the steward finds when it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watch {
    /// The lead has changed hands since the last look.
    Busy,
    /// The same thread has led since the last look.
    Led,
    /// Nobody leads, and nobody did since the last look; if threads were waiting, one leads now.
    Idle,
    /// Nobody led since the last look: the steward leads now.
    Taken,
}

#[derive(Debug)]
struct State {
    holder: Holder,
    followers: VecDeque<Arc<Waiter>>,
    steward: Option<Arc<Waiter>>,
    /// Times that the lead was taken.
    terms: u64,
    seen: u64,
}

/// The lead of one engine.
#[derive(Debug)]
pub(crate) struct Lead {
    state: Mutex<State>,
}

impl Lead {
    pub(crate) fn new() -> Self {
        Lead {
            state: Mutex::new(State {
                holder: Holder::Nobody,
                followers: VecDeque::new(),
                steward: None,
                terms: 0,
                seen: 0,
            }),
        }
    }

    /// Takes the lead, or joins those who follow. The steward is asked to make place.
    pub(crate) fn enter(&self, waiter: &Arc<Waiter>) -> bool {
        let mut state = self.state.lock();
        if state.holder == Holder::Nobody {
            state.holder = Holder::User;
            state.terms += 1;
            return true;
        }
        // The signal of an earlier hand-over may have come after the lead itself had been taken.
        waiter.take(LEAD);
        state.followers.push_back(waiter.clone());
        if let (Holder::Steward, Some(steward)) = (state.holder, state.steward.clone()) {
            drop(state);
            steward.signal(LEAVE);
        }
        false
    }

    /// Takes the lead if nobody has it.
    pub(crate) fn try_enter(&self) -> bool {
        let mut state = self.state.lock();
        let free = state.holder == Holder::Nobody;
        if free {
            state.holder = Holder::User;
            state.terms += 1;
        }
        free
    }

    /// Takes the thread off the followers; true if it had been handed the lead, and holds it.
    pub(crate) fn withdraw(&self, waiter: &Arc<Waiter>) -> bool {
        let mut state = self.state.lock();
        match state
            .followers
            .iter()
            .position(|other| Arc::ptr_eq(other, waiter))
        {
            Some(index) => {
                state.followers.remove(index);
                false
            }
            None => {
                drop(state);
                waiter.take(LEAD);
                true
            }
        }
    }

    /// Gives the lead up: to a follower, if it shall be handed on and there is one, else to
    /// nobody. True if nobody leads now.
    pub(crate) fn leave(&self, hand_on: bool) -> bool {
        let mut state = self.state.lock();
        debug_assert_ne!(state.holder, Holder::Nobody);
        state.holder = Holder::Nobody;
        state.steward = None;
        if !hand_on {
            return true;
        }
        !Self::hand_on(state)
    }

    /// Hands a lead that nobody has to whoever waits for it.
    pub(crate) fn offer(&self) {
        let state = self.state.lock();
        if state.holder == Holder::Nobody {
            Self::hand_on(state);
        }
    }

    fn hand_on(mut state: super::sync::MutexGuard<'_, State>) -> bool {
        let Some(next) = state.followers.pop_front() else {
            return false;
        };
        state.holder = Holder::User;
        state.terms += 1;
        drop(state);
        next.signal(LEAD);
        true
    }

    /// The steward's look: takes a lead that nobody wants, hands on one that somebody waits for.
    pub(crate) fn watch(&self, steward: &Arc<Waiter>, wanted: bool) -> Watch {
        let mut state = self.state.lock();
        let terms = state.terms;
        let changed = std::mem::replace(&mut state.seen, terms) != terms;
        match (state.holder, changed) {
            (_, true) => Watch::Busy,
            (Holder::Nobody, false) => {
                if !state.followers.is_empty() {
                    Self::hand_on(state);
                    Watch::Idle
                } else if wanted {
                    state.holder = Holder::Steward;
                    state.steward = Some(steward.clone());
                    Watch::Taken
                } else {
                    Watch::Idle
                }
            }
            (_, false) => Watch::Led,
        }
    }

    /// Whether nobody leads.
    pub(crate) fn is_free(&self) -> bool {
        self.state.lock().holder == Holder::Nobody
    }
}
