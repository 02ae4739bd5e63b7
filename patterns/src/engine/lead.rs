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
//! A thread that leads for want of something better to do leads idly: it makes place for one that is
//! quick with what it waits for, which else would be woken for each message. One that is slow is
//! woken: to change places would cost more.
//!
//! # Invariants
//!
//! 1. At most one thread leads. (loom test `two_threads_never_lead`)
//! 2. A lead that was handed to a follower is led by it or handed on by it: whoever is off the
//!    list of followers without having withdrawn holds the lead. (loom test
//!    `a_lead_handed_over_is_never_dropped`)
//! 3. A lead that is offered is led by one who waits, or nobody waits. (loom test
//!    `a_lead_that_is_offered_is_led_by_one_or_left_free`)
//! 4. A thread that leads idly makes place for one that is quick. (tests
//!    `who_leads_idly_makes_place`, `followers_of_their_own_lead_before_idle_ones`)
//! 5. What is left of an earlier hand-over does not keep a follower from parking. (loom test
//!    `a_lead_handed_over_is_never_dropped`)

use std::collections::VecDeque;

use super::sync::{Arc, Mutex};
use super::waiter::{LEAD, LEAVE, READY, Waiter};

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

/// How a thread waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Zeal {
    /// For want of something better to do.
    Idle,
    /// For something of its own.
    Own,
    /// The same, and it will be back soon.
    Quick,
}

#[derive(Debug)]
struct Follower {
    waiter: Arc<Waiter>,
    idle: bool,
}

#[derive(Debug)]
struct State {
    holder: Holder,
    followers: VecDeque<Follower>,
    /// The leader, if it leads idly.
    idler: Option<Arc<Waiter>>,
    /// It was asked to make place.
    claimed: bool,
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
                idler: None,
                claimed: false,
                steward: None,
                terms: 0,
                seen: 0,
            }),
        }
    }

    /// Takes the lead, or joins those who follow. The steward is asked to make place; and so is a
    /// thread that leads idly, for a quick one.
    pub(crate) fn enter(&self, waiter: &Arc<Waiter>, zeal: Zeal) -> bool {
        let idle = zeal == Zeal::Idle;
        let mut state = self.state.lock();
        if state.holder == Holder::Nobody {
            state.holder = Holder::User;
            state.terms += 1;
            if idle {
                state.idler = Some(waiter.clone());
            }
            return true;
        }
        // The signal of an earlier hand-over may have come after the lead itself had been taken.
        waiter.take(LEAD);
        let waiter = waiter.clone();
        state.followers.push_back(Follower { waiter, idle });
        if let (Holder::Steward, Some(steward)) = (state.holder, state.steward.clone()) {
            drop(state);
            steward.signal(LEAVE);
        } else if zeal == Zeal::Quick
            && let Some(idler) = state.idler.take()
        {
            state.claimed = true;
            drop(state);
            // It looks for what it waits for, and leaves the lead meanwhile.
            idler.signal(READY);
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
            .position(|other| Arc::ptr_eq(&other.waiter, waiter))
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
        state.idler = None;
        if !(std::mem::take(&mut state.claimed) || hand_on) {
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
        let own = state.followers.iter().position(|follower| !follower.idle);
        let Some(next) = state.followers.remove(own.unwrap_or(0)) else {
            return false;
        };
        state.holder = Holder::User;
        state.terms += 1;
        if next.idle {
            state.idler = Some(next.waiter.clone());
        }
        drop(state);
        next.waiter.signal(LEAD);
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

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::engine::waiter::Alarm;

    struct Silent;

    impl Alarm for Silent {
        fn ring(&self) {}
    }

    fn waiter() -> Arc<Waiter> {
        Arc::new(Waiter::new(Arc::new(Silent)))
    }

    #[test]
    fn who_leads_idly_makes_place() {
        let lead = Lead::new();
        let [idler, other, slow, own] = [(); 4].map(|()| waiter());
        assert!(lead.enter(&idler, Zeal::Idle));
        assert!(!lead.enter(&other, Zeal::Idle));
        assert!(!lead.enter(&slow, Zeal::Own));
        assert!(!idler.has(READY), "for a slow one it does not");
        assert!(!lead.withdraw(&slow));
        assert!(!lead.enter(&own, Zeal::Quick));
        assert!(idler.has(READY));
        // It would have left the lead free.
        assert!(!lead.leave(false));
        assert!(own.has(LEAD) && !other.has(LEAD));
        assert!(lead.withdraw(&own));
        // Its own leader is asked for nothing.
        assert!(!lead.enter(&idler, Zeal::Quick) && !own.has(READY));
        lead.withdraw(&idler);
        assert!(lead.leave(false), "and leaves it free as ever");
    }

    #[test]
    fn followers_of_their_own_lead_before_idle_ones() {
        let lead = Lead::new();
        let [first, second, third, fourth] = [(); 4].map(|()| waiter());
        assert!(lead.enter(&first, Zeal::Own));
        assert!(!lead.enter(&second, Zeal::Idle) && !lead.enter(&third, Zeal::Own));
        assert!(!lead.leave(true));
        assert!(third.has(LEAD) && lead.withdraw(&third));
        assert!(!lead.leave(true));
        assert!(second.has(LEAD) && lead.withdraw(&second));
        // Who was handed the lead makes place, too.
        assert!(!lead.enter(&fourth, Zeal::Quick) && second.has(READY));
    }
}
