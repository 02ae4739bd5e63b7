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
//! A leader that only reads for another makes way for it: where one thread is woken by it time and
//! again, has quickly done what it was woken for and waits again, the leader leaves the lead to that
//! thread and follows. From then on that thread reads for itself, and nobody has to be woken.
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
//! 5. A lead that is left to one thread is led by it, or by another if it does not come. (loom test
//!    `a_lead_that_is_left_to_one_is_led_by_it_or_by_another`; test
//!    `a_leader_makes_way_for_one_that_it_always_wakes`)

use std::collections::VecDeque;

use super::sync::{Arc, AtomicBool, Mutex, MutexGuard, Ordering};
use super::waiter::{LEAD, LEAVE, READY, Waiter};

/// A leader makes way for a thread that it has woken so many times, and no other in between.
const OFTEN: u32 = if cfg!(loom) { 1 } else { 8 };

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
    regular: Regular,
    /// The one that the leader makes way for.
    successor: Option<Arc<Waiter>>,
    /// Nobody leads, and this thread is about to.
    heir: Option<Arc<Waiter>>,
}

/// The follower that came last, and how often in a row within one term. Its address will do: another
/// one that has it later makes the leader give way too early, and no more.
#[derive(Debug, Default)]
struct Regular {
    address: usize,
    term: u64,
    times: u32,
}

impl State {
    fn begins(&mut self, holder: Holder) {
        self.holder = holder;
        self.terms += 1;
        (self.successor, self.heir) = (None, None);
    }

    /// Whether nobody leads, and the lead is not left to another thread.
    fn is_free_for(&self, waiter: &Arc<Waiter>) -> bool {
        let free = |heir: &Arc<Waiter>| Arc::ptr_eq(heir, waiter);
        self.holder == Holder::Nobody && self.heir.as_ref().is_none_or(free)
    }

    /// A thread follows, and will soon follow again: the leader makes way if that is often so.
    fn comes_again(&mut self, waiter: &Arc<Waiter>) {
        let (address, term) = (Arc::as_ptr(waiter).addr(), self.terms);
        let last = &mut self.regular;
        if (last.address, last.term) != (address, term) {
            *last = Regular {
                address,
                term,
                times: 0,
            };
        }
        last.times += 1;
        let known = |known: &Arc<Waiter>| Arc::ptr_eq(known, waiter);
        if last.times > OFTEN && !self.successor.as_ref().is_some_and(known) {
            self.successor = Some(waiter.clone());
        }
    }

    /// Whether this one follows, or has just been woken.
    fn is_near(&self, waiter: &Arc<Waiter>) -> bool {
        waiter.has(READY) || self.follows(waiter).is_some()
    }

    fn follows(&self, waiter: &Arc<Waiter>) -> Option<usize> {
        self.followers
            .iter()
            .position(|other| Arc::ptr_eq(other, waiter))
    }
}

/// The lead of one engine.
#[derive(Debug)]
pub(crate) struct Lead {
    state: Mutex<State>,
    /// There may be one that the leader makes way for.
    pressed: AtomicBool,
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
                regular: Regular::default(),
                successor: None,
                heir: None,
            }),
            pressed: AtomicBool::new(false),
        }
    }

    /// Takes the lead, or joins those who follow. The steward is asked to make place. `returns` if
    /// the thread is expected to wait again soon after what it waits for has come.
    pub(crate) fn enter(&self, waiter: &Arc<Waiter>, returns: bool) -> bool {
        let mut state = self.state.lock();
        if state.is_free_for(waiter) {
            state.begins(Holder::User);
            return true;
        }
        // The signal of an earlier hand-over may have come after the lead itself had been taken.
        waiter.take(LEAD);
        state.followers.push_back(waiter.clone());
        match (state.holder, state.steward.clone()) {
            (Holder::Steward, Some(steward)) => {
                drop(state);
                steward.signal(LEAVE);
            }
            (Holder::User, _) if returns => {
                state.comes_again(waiter);
                if state.successor.is_some() {
                    self.pressed.store(true, Ordering::Relaxed);
                }
            }
            _ => {}
        }
        false
    }

    /// Takes the lead if nobody has it.
    pub(crate) fn try_enter(&self) -> bool {
        let mut state = self.state.lock();
        let free = state.holder == Holder::Nobody;
        if free {
            state.begins(Holder::User);
        }
        free
    }

    /// Takes the thread off the followers; true if it had been handed the lead, and holds it.
    pub(crate) fn withdraw(&self, waiter: &Arc<Waiter>) -> bool {
        let mut state = self.state.lock();
        match state.follows(waiter) {
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

    /// Whether the one that leads has only read for another lately, and leaves the lead to it.
    pub(crate) fn makes_way(&self) -> bool {
        self.pressed.load(Ordering::Relaxed) && {
            let state = self.state.lock();
            let successor = state.successor.as_ref();
            self.pressed.store(successor.is_some(), Ordering::Relaxed);
            successor.is_some_and(|waiter| state.is_near(waiter))
        }
    }

    /// Gives the lead up: to the one that it makes way for; or to a follower, if it shall be handed
    /// on and there is one, else to nobody. True if nobody leads now.
    pub(crate) fn leave(&self, hand_on: bool) -> bool {
        let mut state = self.state.lock();
        debug_assert_ne!(state.holder, Holder::Nobody);
        let successor = state.successor.take();
        let successor = successor.filter(|waiter| state.is_near(waiter));
        state.holder = Holder::Nobody;
        state.steward = None;
        let handed = match successor {
            // It is awake, and looks for the lead when it waits again.
            Some(heir) if heir.has(READY) => {
                state.heir = Some(heir);
                false
            }
            Some(heir) => match state.follows(&heir) {
                Some(index) => Self::hand_to(state, index),
                None => false,
            },
            None => hand_on && Self::hand_to(state, 0),
        };
        !handed
    }

    /// Hands a lead that nobody has to whoever waits for it.
    pub(crate) fn offer(&self) {
        let state = self.state.lock();
        if state.holder == Holder::Nobody {
            Self::hand_to(state, 0);
        }
    }

    /// Hands the lead to this one of those that follow, if there is such a one.
    fn hand_to(mut state: MutexGuard<'_, State>, index: usize) -> bool {
        let Some(next) = state.followers.remove(index) else {
            return false;
        };
        state.begins(Holder::User);
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
                    Self::hand_to(state, 0);
                    Watch::Idle
                } else if wanted {
                    state.holder = Holder::Steward;
                    (state.successor, state.heir) = (None, None);
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

    fn waiters<const N: usize>() -> [Arc<Waiter>; N] {
        [(); N].map(|()| Arc::new(Waiter::new(Arc::new(Silent))))
    }

    /// The thread follows, and is woken for something.
    fn is_woken(lead: &Lead, waiter: &Arc<Waiter>, returns: bool) {
        waiter.take(READY);
        assert!(!lead.enter(waiter, returns));
        waiter.signal(READY);
        assert!(!lead.withdraw(waiter));
    }

    #[test]
    fn a_leader_makes_way_for_one_that_it_always_wakes() {
        let lead = Lead::new();
        let [reader, busy] = waiters();
        assert!(lead.enter(&reader, false));
        for _ in 0..OFTEN {
            is_woken(&lead, &busy, true);
            assert!(!lead.makes_way());
        }
        is_woken(&lead, &busy, true);
        assert!(lead.makes_way());
        assert!(lead.leave(true), "it is awake, and finds it free");
        assert!(!lead.enter(&reader, false), "it is left to the other");
        assert!(lead.enter(&busy, true));
        assert!(!lead.makes_way(), "a term of its own");
    }

    #[test]
    fn a_lead_is_handed_to_the_one_that_waits_again_already() {
        let lead = Lead::new();
        let [reader, idle, busy] = waiters();
        assert!(lead.enter(&reader, false));
        assert!(!lead.enter(&idle, false));
        (0..OFTEN).for_each(|_| is_woken(&lead, &busy, true));
        busy.take(READY);
        assert!(!lead.enter(&busy, true));
        assert!(lead.makes_way());
        assert!(!lead.leave(false), "whatever else is to be done");
        assert!(lead.withdraw(&busy) && !lead.withdraw(&idle));
    }

    #[test]
    fn no_way_is_made_for_several_or_for_those_that_take_their_time() {
        let lead = Lead::new();
        let [reader, one, two] = waiters();
        assert!(lead.enter(&reader, false));
        for _ in 0..2 * OFTEN {
            is_woken(&lead, &one, true);
            is_woken(&lead, &two, true);
        }
        (0..2 * OFTEN).for_each(|_| is_woken(&lead, &two, false));
        assert!(!lead.makes_way());
    }

    #[test]
    fn one_that_does_not_come_back_keeps_nobody_from_the_lead() {
        let lead = Lead::new();
        let [reader, busy, steward] = waiters();
        assert!(lead.enter(&reader, false));
        (0..=OFTEN).for_each(|_| is_woken(&lead, &busy, true));
        assert!(lead.leave(false) && !lead.enter(&reader, false));
        let looks = [(); 2].map(|()| lead.watch(&steward, true));
        assert_eq!(looks, [Watch::Busy, Watch::Idle]);
        assert!(lead.withdraw(&reader), "the steward has handed it on");
        assert!(lead.leave(false) && lead.enter(&reader, false));
    }
}
