//! How a thread waits for a socket: leading or following.
//!
//! A thread knows how long it was busy between waits. One that comes back soon leaves the lead
//! free when it goes, and holds its answers back while more messages are at hand; one that takes
//! long hands the lead to the next thread, and its answers leave at once. The steward mends what
//! was guessed wrong.

use std::cell::{Cell, RefCell};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::shared::Shared;
use super::waiter::{READY, WaitList, Waiter};

/// A thread busy for less than this between waits is expected back soon.
const SOON: Duration = Duration::from_micros(50);

thread_local! {
    static THREAD: ThreadState = const {
        ThreadState {
            waiters: RefCell::new(Vec::new()),
            corks: Cell::new(false),
            busy_ns: Cell::new(u64::MAX),
            since: Cell::new(None),
            taken: Cell::new(0),
        }
    };
}

struct ThreadState {
    /// One waiter for each engine that this thread has waited with.
    waiters: RefCell<Vec<(Weak<Shared>, Arc<Waiter>)>>,
    /// Whether what this thread sends may be held back: it will wait again before long.
    corks: Cell<bool>,
    /// Time spent on a message between waits, averaged.
    busy_ns: Cell<u64>,
    /// When the last wait ended.
    since: Cell<Option<Instant>>,
    /// Messages taken since.
    taken: Cell<u32>,
}

/// Whether this thread's sends may be held back until it waits again.
pub(crate) fn corks() -> bool {
    THREAD.with(|thread| thread.corks.get())
}

/// Notes that this thread took a message without waiting, and whether more are at hand.
pub(crate) fn took(more: bool) {
    THREAD.with(|thread| {
        thread.taken.set(thread.taken.get().saturating_add(1));
        thread
            .corks
            .set(more && thread.busy_ns.get() < SOON.as_nanos() as u64);
    });
}

impl ThreadState {
    fn waiter(&self, shared: &Arc<Shared>) -> Arc<Waiter> {
        let mut waiters = self.waiters.borrow_mut();
        if let Some((_, waiter)) = waiters
            .iter()
            .find(|(engine, _)| std::ptr::eq(engine.as_ptr(), Arc::as_ptr(shared)))
        {
            return waiter.clone();
        }
        waiters.retain(|(engine, _)| engine.strong_count() > 0);
        let waiter = shared.waiter();
        waiters.push((Arc::downgrade(shared), waiter.clone()));
        waiter
    }

    /// The thread is about to wait: how long did a message take it?
    fn learn(&self, now: Instant) {
        self.corks.set(false);
        if let Some(since) = self.since.take() {
            let busy =
                now.duration_since(since).as_nanos() as u64 / u64::from(self.taken.get().max(1));
            let known = self.busy_ns.get();
            // A quarter of the way towards what was seen; the first time, all of it.
            let average = if known == u64::MAX {
                busy
            } else {
                known - known / 4 + busy / 4
            };
            self.busy_ns.set(average);
        }
    }

    fn back_soon(&self) -> bool {
        self.busy_ns.get() < SOON.as_nanos() as u64
    }
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
    THREAD.with(|thread| {
        let mut now = Instant::now();
        thread.learn(now);
        shared.flush_corked();
        let waiter = thread.waiter(shared);
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
                    lead(shared, &waiter, deadline, thread.back_soon());
                    found = ready();
                }
            }
            if !over {
                if drives {
                    drive_or_follow(shared, &waiter, deadline, thread.back_soon());
                } else {
                    waiter.park(deadline);
                }
                now = Instant::now();
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
        thread.since.set(Some(now));
        thread.taken.set(0);
        result
    })
}

fn drive_or_follow(
    shared: &Arc<Shared>,
    waiter: &Arc<Waiter>,
    deadline: Option<Instant>,
    back_soon: bool,
) {
    let mut leads = shared.lead.enter(waiter);
    if !leads {
        waiter.park(deadline);
        leads = shared.lead.withdraw(waiter);
    }
    if leads {
        lead(shared, waiter, deadline, back_soon);
    }
}

fn lead(shared: &Arc<Shared>, waiter: &Waiter, deadline: Option<Instant>, back_soon: bool) {
    if !waiter.has(READY) {
        shared.drive(waiter, deadline);
    }
    if shared.lead.leave(!back_soon) {
        shared.steward.nudge();
    }
}
