//! How a thread waits for a socket: leading or following.
//!
//! What the thread did between waits, and how it paces itself, is learned in `pace.rs`.
//!
//! # Invariants
//!
//! 1. A wake is used by the thread that it reaches, or passed on: as long as there is something
//!    to take and somebody waits for it, one who waits is on the way. (loom tests
//!    `a_wake_is_used_or_passed_on`, `readers_that_run_are_woken_first_and_nobody_is_forgotten`)

use std::cell::RefCell;
use std::sync::{Arc, Weak};
use std::time::Instant;

use super::lead::Lead;
use super::pace;
use super::patience;
use super::shared::Shared;
use super::waiter::{READY, WaitList, Waiter};

thread_local! {
    /// One waiter for each engine that this thread has waited with.
    static WAITERS: RefCell<Vec<(Weak<Shared>, Arc<Waiter>)>> = const { RefCell::new(Vec::new()) };
}

fn waiter(shared: &Arc<Shared>) -> Arc<Waiter> {
    let known = WAITERS.try_with(|waiters| {
        let mut waiters = waiters.borrow_mut();
        let ours = |engine: &Weak<Shared>| std::ptr::eq(engine.as_ptr(), Arc::as_ptr(shared));
        if let Some((_, waiter)) = waiters.iter().find(|(engine, _)| ours(engine)) {
            return waiter.clone();
        }
        waiters.retain(|(engine, _)| engine.strong_count() > 0);
        let waiter = shared.waiter();
        waiters.push((Arc::downgrade(shared), waiter.clone()));
        waiter
    });
    // At the end of its thread one for this wait alone.
    known.unwrap_or_else(|_| shared.waiter())
}

/// What a waiting thread does for its engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drives {
    /// Nothing: what it waits for comes from within the process.
    Nothing,
    /// It leads, if nobody does.
    Engine,
    /// As `Engine`; and nothing but the engine's connections brings what it waits for. So if there
    /// is a single one, the thread may wait in that one's own receive call.
    Connections,
}

impl Drives {
    /// The engine, if there is something to drive.
    pub(crate) fn engine_if(needed: bool) -> Self {
        if needed {
            Drives::Engine
        } else {
            Drives::Nothing
        }
    }
}

/// Waits until `ready` gives something, or the deadline has come: then nothing.
///
/// `lists` name what is waited for; whoever changes it wakes a thread of each.
pub(crate) fn wait<T>(
    shared: &Arc<Shared>,
    lists: &[&WaitList],
    drives: Drives,
    deadline: Option<Instant>,
    ready: impl FnMut() -> Option<T>,
) -> Option<T> {
    shared.flush_corked();
    wait_among(shared, lists, drives, deadline, || false, ready)
}

/// As [`wait`], but what is held back stays so unless this thread leads; and while `others` are
/// about to wait, the lead is left to them.
pub(crate) fn wait_among<T>(
    shared: &Arc<Shared>,
    lists: &[&WaitList],
    drives: Drives,
    deadline: Option<Instant>,
    others: impl Fn() -> bool,
    ready: impl FnMut() -> Option<T>,
) -> Option<T> {
    let mut now = Instant::now();
    let outlook = pace::waits(now);
    let hand_on = || !(outlook.back_soon || others());
    let leads = drives != Drives::Nothing;
    let alone = drives == Drives::Connections;
    let waiter = waiter(shared);
    let over = |now| deadline.is_some_and(|deadline| deadline <= now);
    let result = until(&waiter, lists, over(now), ready, |is_over| {
        let drive = |now| shared.drive(&waiter, deadline, now, Some(outlook), alone);
        let free;
        (now, free) = if !is_over && leads {
            let returns = outlook.back_soon;
            lead_or_follow(
                &shared.lead,
                &waiter,
                deadline,
                returns,
                hand_on,
                now,
                drive,
            )
        } else if !is_over {
            if !patience::linger_within(&waiter, READY, now, deadline) {
                waiter.park(deadline);
            }
            (Instant::now(), false)
        } else if leads && shared.lead.try_enter() {
            // No time to wait, but enough to look what the kernel has.
            lead(&shared.lead, &waiter, hand_on, now, drive)
        } else {
            (now, false)
        };
        if free {
            shared.steward.nudge();
        }
        over(now)
    });
    pace::waited(now);
    result
}

/// Looks, and pauses, until `ready` gives something or the time is `over`. `pause` is told
/// whether it is, and says so afterwards.
pub(super) fn until<T>(
    waiter: &Arc<Waiter>,
    lists: &[&WaitList],
    mut over: bool,
    mut ready: impl FnMut() -> Option<T>,
    mut pause: impl FnMut(bool) -> bool,
) -> Option<T> {
    loop {
        waiter.take(READY);
        for list in lists {
            list.join(waiter);
        }
        let mut found = ready();
        if found.is_none() {
            over = pause(over);
            if let [list] = lists {
                // Off the list before the last look: a wake that came until now is used by it,
                // and none comes after.
                list.leave(waiter);
                found = ready();
                if over || found.is_some() {
                    return found;
                }
                continue;
            }
            found = ready();
        }
        let done = over || found.is_some();
        for list in lists {
            // A wake that came after the last look, or for another list, is another's.
            if !list.leave(waiter) && done {
                list.wake(1);
            }
        }
        if done {
            return found;
        }
    }
}

/// Leads if nobody does, else waits to be woken or handed the lead. Gives the time afterwards,
/// and whether nobody leads. `returns` as for [`Lead::enter`].
pub(super) fn lead_or_follow(
    state: &Lead,
    waiter: &Arc<Waiter>,
    deadline: Option<Instant>,
    returns: bool,
    hand_on: impl FnOnce() -> bool,
    mut now: Instant,
    drive: impl FnOnce(Instant) -> Instant,
) -> (Instant, bool) {
    if !state.enter(waiter, returns) {
        waiter.park(deadline);
        now = Instant::now();
        if !state.withdraw(waiter) {
            return (now, false);
        }
    }
    lead(state, waiter, hand_on, now, drive)
}

fn lead(
    state: &Lead,
    waiter: &Waiter,
    hand_on: impl FnOnce() -> bool,
    mut now: Instant,
    drive: impl FnOnce(Instant) -> Instant,
) -> (Instant, bool) {
    if !waiter.has(READY) {
        now = drive(now);
    }
    (now, state.leave(hand_on()))
}
