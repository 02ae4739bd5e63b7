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

use smallvec::SmallVec;

use super::parking::Spot;
use super::sync::{Arc, AtomicU32, Mutex, Ordering};

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
    spot: Spot,
    alarm: Arc<dyn Alarm>,
}

impl Waiter {
    /// The calling thread's.
    pub(crate) fn new(alarm: Arc<dyn Alarm>) -> Self {
        Waiter {
            state: AtomicU32::new(0),
            spot: Spot::new(),
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
            self.spot.wake();
        } else if before & POLLING != 0 {
            self.alarm.ring();
        }
    }

    /// Whether one of these bits is set.
    pub(crate) fn has(&self, bits: u32) -> bool {
        self.state.load(Ordering::SeqCst) & bits != 0
    }

    /// Whether the thread is neither parked nor in a poll: it looks for what it waits for before
    /// it is.
    fn is_running(&self) -> bool {
        self.state.load(Ordering::SeqCst) & (PARKED | POLLING) == 0
    }

    /// Clears these bits; gives those that were set.
    pub(crate) fn take(&self, bits: u32) -> u32 {
        self.state.fetch_and(!bits, Ordering::SeqCst) & bits
    }

    /// Parks until a bit is set or the deadline has come. May return early.
    pub(crate) fn park(&self, deadline: Option<Instant>) {
        let before = self.state.fetch_or(PARKED, Ordering::SeqCst);
        if before & (READY | LEAD | LEAVE) == 0 {
            self.spot.doze(|| self.has(READY | LEAD | LEAVE), deadline);
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
        write!(f, "Waiter({:?})", self.state)
    }
}

/// Threads that wait for one thing: a message of a socket, or room in it.
#[derive(Debug, Default)]
pub(crate) struct WaitList {
    /// As a rule one: then they need no memory of their own.
    waiting: Mutex<SmallVec<[Arc<Waiter>; 1]>>,
    count: AtomicU32,
}

impl WaitList {
    /// Adds the thread. It looks again for what it waits for before it waits.
    pub(crate) fn join(&self, waiter: &Arc<Waiter>) {
        let mut waiting = self.waiting.lock();
        waiting.push(waiter.clone());
        self.count.store(waiting.len() as u32, Ordering::SeqCst);
    }

    /// Takes the thread off; false if it was woken and is off already.
    pub(crate) fn leave(&self, waiter: &Arc<Waiter>) -> bool {
        let mut waiting = self.waiting.lock();
        let Some(index) = waiting.iter().position(|other| Arc::ptr_eq(other, waiter)) else {
            return false;
        };
        waiting.remove(index);
        self.count.store(waiting.len() as u32, Ordering::SeqCst);
        true
    }

    /// Wakes up to `count` threads. First one that is running, as the leader is who has just read
    /// what there is to take: that costs nothing. Then those that came last: their caches are
    /// warm.
    ///
    /// Those that wait now: one that comes while others are woken has looked for itself. It may be
    /// the very one that was woken first, back already, with nothing left to take.
    pub(crate) fn wake(&self, count: usize) {
        let waiting = self.count.load(Ordering::SeqCst) as usize;
        for _ in 0..count.min(waiting) {
            let next = {
                let mut waiting = self.waiting.lock();
                let running = waiting.iter().rposition(|waiter| waiter.is_running());
                let next = match running {
                    Some(index) => Some(waiting.remove(index)),
                    None => waiting.pop(),
                };
                self.count.store(waiting.len() as u32, Ordering::SeqCst);
                next
            };
            match next {
                Some(waiter) => waiter.signal(READY),
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

    fn asleep(waiter: &Waiter) {
        waiter.state.fetch_or(PARKED, Ordering::SeqCst);
    }

    #[test]
    fn one_wake_is_one_thread_the_last_that_came() {
        let list = WaitList::default();
        let waiters = [1, 2].map(|_| Arc::new(Waiter::new(Arc::new(Rings::default()))));
        waiters.iter().for_each(|waiter| list.join(waiter));
        waiters.iter().for_each(|waiter| asleep(waiter));
        list.wake(1);
        assert!(!waiters[0].has(READY) && waiters[1].has(READY));
        assert!(list.leave(&waiters[0]), "still on the list");
        assert!(!list.leave(&waiters[1]), "off the list since it was woken");
    }

    #[test]
    fn a_thread_that_runs_is_woken_before_those_that_sleep() {
        let list = WaitList::default();
        let waiters = [1, 2, 3].map(|_| Arc::new(Waiter::new(Arc::new(Rings::default()))));
        waiters.iter().for_each(|waiter| list.join(waiter));
        asleep(&waiters[0]);
        asleep(&waiters[2]);
        list.wake(1);
        assert!(waiters[1].has(READY));
        assert!(!waiters[0].has(READY) && !waiters[2].has(READY));
    }
}
