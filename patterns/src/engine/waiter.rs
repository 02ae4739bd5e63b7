//! A thread that waits, and how to wake it.
//!
//! A waiting thread is in one of three places: running, parked, or in the kernel's poll as the
//! leader. Whoever has something for it sets a bit; only the one who finds the thread parked or
//! polling pays a system call to wake it.
//!
//! ```text
//! waiting thread                         waking thread
//! set PARKED, see no bit                 set READY, see PARKED
//! park  <------------------------------- unpark
//! or: see the bit, do not park           or: see nothing, no call
//! ```
//!
//! # Invariants
//!
//! 1. A bit set before or during a wait ends it. (loom test `a_signal_is_never_lost`)
//! 2. The same bit set twice wakes once. (test `a_second_signal_costs_nothing`)

use std::fmt;
use std::time::Instant;

use crate::counters;

use super::pace;
use super::sync::{Arc, AtomicU32, Mutex, Ordering, Thread, current, park};

/// There may be something for the thread: a message, room, or the end.
pub(crate) const READY: u32 = 1;
/// The lead has been handed to the thread.
pub(crate) const LEAD: u32 = 2;
/// The steward is asked to give the lead up.
pub(crate) const LEAVE: u32 = 4;
const PARKED: u32 = 8;
const POLLING: u32 = 16;

/// Ends the kernel's poll of the thread that leads.
pub(crate) trait Alarm: Send + Sync {
    /// Makes the current or the next poll return at once.
    fn ring(&self);
}

/// One thread's place to wait, for one engine.
pub(crate) struct Waiter {
    state: AtomicU32,
    thread: Thread,
    alarm: Arc<dyn Alarm>,
}

impl Waiter {
    /// The calling thread's.
    pub(crate) fn new(alarm: Arc<dyn Alarm>) -> Self {
        Waiter {
            state: AtomicU32::new(0),
            thread: current(),
            alarm,
        }
    }

    /// Sets the bit, and wakes the thread where it waits for it.
    pub(crate) fn signal(&self, bit: u32) {
        let before = self.state.fetch_or(bit, Ordering::SeqCst);
        if before & bit != 0 {
            return;
        }
        if before & PARKED != 0 {
            counters::system_call();
            self.thread.unpark();
        } else if before & POLLING != 0 {
            self.alarm.ring();
        }
    }

    /// Whether one of these bits is set.
    pub(crate) fn has(&self, bits: u32) -> bool {
        self.state.load(Ordering::SeqCst) & bits != 0
    }

    /// Clears these bits; gives those that were set.
    pub(crate) fn take(&self, bits: u32) -> u32 {
        self.state.fetch_and(!bits, Ordering::SeqCst) & bits
    }

    /// Parks until a bit is set or the deadline has come. May return early.
    pub(crate) fn park(&self, deadline: Option<Instant>) {
        let before = self.state.fetch_or(PARKED, Ordering::SeqCst);
        if before & (READY | LEAD | LEAVE) == 0 {
            counters::system_call();
            park(deadline);
        }
        self.state.fetch_and(!PARKED, Ordering::SeqCst);
    }

    /// Marks the thread as polling while `poll` runs; `poll` hears whether it may block.
    pub(crate) fn polling<R>(&self, poll: impl FnOnce(bool) -> R) -> R {
        let before = self.state.fetch_or(POLLING, Ordering::SeqCst);
        let result = poll(before & (READY | LEAVE) == 0);
        self.state.fetch_and(!POLLING, Ordering::SeqCst);
        result
    }
}

impl fmt::Debug for Waiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Waiter({:?}, {:?})", self.thread.id(), self.state)
    }
}

/// Threads that wait for one thing: a message of a socket, or room in it.
#[derive(Debug, Default)]
pub(crate) struct WaitList {
    /// Each with the number of its thread.
    waiting: Mutex<Vec<(usize, Arc<Waiter>)>>,
    count: AtomicU32,
}

impl WaitList {
    /// Adds the thread. It looks again for what it waits for before it waits.
    pub(crate) fn join(&self, waiter: &Arc<Waiter>) {
        let mut waiting = self.waiting.lock();
        waiting.push((pace::thread(), waiter.clone()));
        self.count.store(waiting.len() as u32, Ordering::SeqCst);
    }

    /// Takes the thread off; false if it was woken and is off already.
    pub(crate) fn leave(&self, waiter: &Arc<Waiter>) -> bool {
        let mut waiting = self.waiting.lock();
        let Some(index) = waiting
            .iter()
            .position(|(_, other)| Arc::ptr_eq(other, waiter))
        else {
            return false;
        };
        waiting.remove(index);
        self.count.store(waiting.len() as u32, Ordering::SeqCst);
        true
    }

    /// Wakes the calling thread, if it waits here; false if it does not.
    pub(crate) fn wake_own(&self) -> bool {
        let own = pace::thread();
        let mut waiting = self.waiting.lock();
        let Some(at) = waiting.iter().rposition(|(thread, _)| *thread == own) else {
            return false;
        };
        let (_, waiter) = waiting.remove(at);
        self.count.store(waiting.len() as u32, Ordering::SeqCst);
        drop(waiting);
        waiter.signal(READY);
        true
    }

    /// Wakes up to `count` threads. The calling thread comes first, if it waits here too: a leader
    /// keeps its own message, since to wake another one for it is a switch that nobody needs. Then
    /// the one that came last: its caches are warm.
    ///
    /// Those that wait now: one that comes while others are woken has looked for itself. It may be
    /// the very one that was woken first, back already, with nothing left to take.
    pub(crate) fn wake(&self, count: usize) {
        let waiting = self.count.load(Ordering::SeqCst) as usize;
        for _ in 0..count.min(waiting) {
            let next = {
                let mut waiting = self.waiting.lock();
                let own = pace::thread();
                let at = waiting.iter().rposition(|(thread, _)| *thread == own);
                let next = match at {
                    Some(at) => Some(waiting.remove(at)),
                    None => waiting.pop(),
                };
                self.count.store(waiting.len() as u32, Ordering::SeqCst);
                next
            };
            match next {
                Some((_, waiter)) => waiter.signal(READY),
                None => return,
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[derive(Default)]
    struct Rings(AtomicUsize);

    impl Alarm for Rings {
        fn ring(&self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_second_signal_costs_nothing() {
        let rings = Arc::new(Rings::default());
        let waiter = Waiter::new(rings.clone());
        waiter.polling(|may_block| {
            assert!(may_block);
            waiter.signal(READY);
            waiter.signal(READY);
        });
        assert_eq!(rings.0.load(Ordering::SeqCst), 1);
        assert_eq!(waiter.take(READY), READY);
        waiter.signal(READY);
        assert_eq!(
            rings.0.load(Ordering::SeqCst),
            1,
            "a running thread is not rung"
        );
    }

    #[test]
    fn a_poll_after_a_signal_may_not_block() {
        let waiter = Waiter::new(Arc::new(Rings::default()));
        waiter.signal(READY);
        waiter.polling(|may_block| assert!(!may_block));
    }

    #[test]
    fn a_thread_that_delivers_is_woken_before_others_that_came_later() {
        let list = WaitList::default();
        let new = || Arc::new(Waiter::new(Arc::new(Rings::default())));
        let leader = new();
        list.join(&leader);
        let follower = std::thread::scope(|scope| {
            let join = || {
                let follower = new();
                list.join(&follower);
                follower
            };
            scope.spawn(join).join().unwrap()
        });
        list.wake(1);
        assert!(leader.has(READY) && !follower.has(READY));
        assert!(!list.wake_own(), "off the list");
        list.wake(1);
        assert!(follower.has(READY));
        leader.take(READY);
        list.join(&leader);
        assert!(list.wake_own() && leader.has(READY));
    }

    #[test]
    fn one_wake_is_one_thread_the_last_that_came() {
        let list = WaitList::default();
        let waiters = [1, 2].map(|_| Arc::new(Waiter::new(Arc::new(Rings::default()))));
        waiters.iter().for_each(|waiter| list.join(waiter));
        list.wake(1);
        assert!(!waiters[0].has(READY) && waiters[1].has(READY));
        assert!(list.leave(&waiters[0]), "still on the list");
        assert!(!list.leave(&waiters[1]), "off the list since it was woken");
    }
}
