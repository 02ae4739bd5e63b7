//! How a thread waits for a socket: leading or following.
//!
//! What the thread did between waits, and how it paces itself, is learned in `pace.rs`.

use std::cell::RefCell;
use std::sync::{Arc, Weak};
use std::time::Instant;

use super::pace;
use super::shared::Shared;
use super::waiter::{READY, WaitList, Waiter};

thread_local! {
    /// One waiter for each engine that this thread has waited with.
    static WAITERS: RefCell<Vec<(Weak<Shared>, Arc<Waiter>)>> = const { RefCell::new(Vec::new()) };
}

fn waiter(shared: &Arc<Shared>) -> Arc<Waiter> {
    WAITERS.with_borrow_mut(|waiters| {
        let ours = |engine: &Weak<Shared>| std::ptr::eq(engine.as_ptr(), Arc::as_ptr(shared));
        if let Some((_, waiter)) = waiters.iter().find(|(engine, _)| ours(engine)) {
            return waiter.clone();
        }
        waiters.retain(|(engine, _)| engine.strong_count() > 0);
        let waiter = shared.waiter();
        waiters.push((Arc::downgrade(shared), waiter.clone()));
        waiter
    })
}

/// Waits until `ready` gives something, or the deadline has come: then nothing.
///
/// `lists` name what is waited for; whoever changes it wakes a thread of each. A thread that
/// `drives` takes the lead of the engine if it is free.
pub(crate) fn wait<T>(
    shared: &Arc<Shared>,
    lists: &[&WaitList],
    drives: bool,
    deadline: Option<Instant>,
    mut ready: impl FnMut() -> Option<T>,
) -> Option<T> {
    let mut now = Instant::now();
    let back_soon = pace::waits(now);
    shared.flush_corked();
    let waiter = waiter(shared);
    let result = loop {
        waiter.take(READY);
        for list in lists {
            list.join(&waiter);
        }
        let mut woken = false;
        let mut found = ready();
        let mut over = found.is_some() || deadline.is_some_and(|deadline| deadline <= now);
        if found.is_none() && over && drives {
            // No time to wait, but enough to look what the kernel has.
            if shared.lead.try_enter() {
                now = lead(shared, &waiter, deadline, now, back_soon);
                found = ready();
            }
        }
        if !over {
            now = if drives {
                drive_or_follow(shared, &waiter, deadline, now, back_soon)
            } else {
                waiter.park(deadline);
                Instant::now()
            };
            woken = waiter.take(READY) != 0;
            found = ready();
            over = found.is_some() || deadline.is_some_and(|deadline| deadline <= now);
        }
        for list in lists {
            // A signal that came after the last look, or for another list, is another's.
            if !list.leave(&waiter) && over && (!woken || lists.len() > 1) {
                list.wake(1);
            }
        }
        if over {
            break found;
        }
    };
    pace::waited(now);
    result
}

/// Waits until the waiter has a signal or the deadline has come; gives the time then.
fn drive_or_follow(
    shared: &Arc<Shared>,
    waiter: &Arc<Waiter>,
    deadline: Option<Instant>,
    mut now: Instant,
    back_soon: bool,
) -> Instant {
    if !shared.lead.enter(waiter) {
        waiter.park(deadline);
        now = Instant::now();
        if !shared.lead.withdraw(waiter) {
            return now;
        }
    }
    lead(shared, waiter, deadline, now, back_soon)
}

fn lead(
    shared: &Arc<Shared>,
    waiter: &Waiter,
    deadline: Option<Instant>,
    mut now: Instant,
    back_soon: bool,
) -> Instant {
    if !waiter.has(READY) {
        now = shared.drive(waiter, deadline, now, true);
    }
    if shared.lead.leave(!back_soon) {
        shared.steward.nudge();
    }
    now
}
