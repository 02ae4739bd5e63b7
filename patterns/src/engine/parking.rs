//! Where threads sleep.
//!
//! On Linux up to 32 threads share one futex word, each with a bit of its own, so that one system
//! call wakes all that are to be woken together ([`gather`]). To wake them one by one takes a call
//! each, and each may be given the processor at once, before the next is woken. Elsewhere a thread
//! is parked by the standard library.
//!
//! ```text
//! sleeping thread                     waking thread
//! says that it sleeps
//! reads the word, looks if awake      sets what wakes it, sees that it sleeps
//! sleeps if the word is as read <---- changes the word, wakes its bit
//! ```
//!
//! # Invariants
//!
//! 1. Who is woken after it has said that it sleeps does not go on sleeping. (tests
//!    `threads_that_are_woken_together_all_wake`, `a_spot_that_is_woken_before_it_sleeps_does_not`)
//! 2. What is gathered within something that is gathered waits for the outer end. (test
//!    `what_is_gathered_within_waits_for_the_outer_end`)
//! 3. A thread can wake others while its thread-locals go. (test
//!    `what_a_thread_drops_at_its_end_can_wake_others`)

#[cfg(not(all(target_os = "linux", not(all(test, loom)))))]
mod alone {
    use std::time::Instant;

    use crate::counters;
    use crate::engine::sync::{Thread, current, park};

    /// The calling thread's place to sleep.
    pub(crate) struct Spot(Thread);

    impl Spot {
        pub(crate) fn new() -> Self {
            Spot(current())
        }

        pub(crate) fn doze(&self, is_awake: impl Fn() -> bool, deadline: Option<Instant>) {
            if !is_awake() {
                counters::system_call();
                park(deadline);
            }
        }

        pub(crate) fn wake(&self) {
            counters::system_call();
            self.0.unpark();
        }
    }

    pub(crate) fn gather<R>(run: impl FnOnce() -> R) -> R {
        run()
    }
}

#[cfg(all(target_os = "linux", not(all(test, loom))))]
mod shared {
    use std::cell::RefCell;
    use std::num::NonZeroU32;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::{Arc, Weak};
    use std::time::Instant;

    use parking_lot::Mutex;
    use rustix::thread::futex;
    use rustix::time::{ClockId, Timespec, clock_gettime};

    use crate::counters;

    const FLAGS: futex::Flags = futex::Flags::PRIVATE;

    /// A word that up to 32 threads sleep on.
    struct Lot {
        word: AtomicU32,
        taken: AtomicU32,
    }

    static LOTS: Mutex<Vec<Weak<Lot>>> = Mutex::new(Vec::new());

    /// One thread's place to sleep.
    pub(crate) struct Spot {
        lot: Arc<Lot>,
        bit: NonZeroU32,
    }

    /// Who is to be woken at the end, while something is gathered.
    struct Gathered {
        active: bool,
        lots: Vec<(Arc<Lot>, u32)>,
    }

    thread_local! {
        static GATHERED: RefCell<Gathered> = const {
            RefCell::new(Gathered { active: false, lots: Vec::new() })
        };
    }

    impl Lot {
        fn take(&self) -> Option<NonZeroU32> {
            let mut taken = self.taken.load(Ordering::Relaxed);
            loop {
                let bit = NonZeroU32::new(!taken & taken.wrapping_add(1))?;
                let now = taken | bit.get();
                match self.taken.compare_exchange_weak(
                    taken,
                    now,
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                ) {
                    Ok(_) => return Some(bit),
                    Err(other) => taken = other,
                }
            }
        }

        fn wake(&self, bits: u32) {
            let Some(bits) = NonZeroU32::new(bits) else {
                return;
            };
            self.word.fetch_add(1, Ordering::SeqCst);
            counters::system_call();
            // Nobody may sleep any more: then there is nobody to wake.
            let _ = futex::wake_bitset(&self.word, FLAGS, i32::MAX as u32, bits);
        }
    }

    impl Spot {
        pub(crate) fn new() -> Self {
            let mut lots = LOTS.lock();
            lots.retain(|lot| lot.strong_count() > 0);
            for lot in lots.iter().filter_map(Weak::upgrade) {
                if let Some(bit) = lot.take() {
                    return Spot { lot, bit };
                }
            }
            let lot = Arc::new(Lot {
                word: AtomicU32::new(0),
                taken: AtomicU32::new(1),
            });
            lots.push(Arc::downgrade(&lot));
            Spot {
                lot,
                bit: NonZeroU32::MIN,
            }
        }

        /// Sleeps until it is woken, or the deadline has come, unless `is_awake` says that it was
        /// woken since it said that it sleeps. May return early.
        pub(crate) fn doze(&self, is_awake: impl Fn() -> bool, deadline: Option<Instant>) {
            let seen = self.lot.word.load(Ordering::SeqCst);
            if is_awake() {
                return;
            }
            let until = deadline.map(|deadline| {
                let left = deadline.saturating_duration_since(Instant::now());
                let now = clock_gettime(ClockId::Monotonic);
                let nanos = now.tv_nsec + i64::from(left.subsec_nanos());
                let seconds = i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
                Timespec {
                    tv_sec: now
                        .tv_sec
                        .saturating_add(seconds)
                        .saturating_add(nanos / 1_000_000_000),
                    tv_nsec: nanos % 1_000_000_000,
                }
            });
            counters::system_call();
            // Woken, late, interrupted, or the word has changed: the caller looks in any case.
            let _ = futex::wait_bitset(&self.lot.word, FLAGS, seen, until.as_ref(), self.bit);
        }

        pub(crate) fn wake(&self) {
            // At the end of its thread there is nothing to gather with.
            let gathered = GATHERED.try_with(|gathered| {
                let mut gathered = gathered.borrow_mut();
                if !gathered.active {
                    return false;
                }
                let known = gathered
                    .lots
                    .iter_mut()
                    .find(|(lot, _)| Arc::ptr_eq(lot, &self.lot));
                match known {
                    Some((_, bits)) => *bits |= self.bit.get(),
                    None => gathered.lots.push((self.lot.clone(), self.bit.get())),
                }
                true
            });
            if !gathered.unwrap_or(false) {
                self.lot.wake(self.bit.get());
            }
        }
    }

    impl Drop for Spot {
        fn drop(&mut self) {
            self.lot.taken.fetch_and(!self.bit.get(), Ordering::Relaxed);
        }
    }

    #[cfg(test)]
    pub(crate) fn is_gathering() -> bool {
        GATHERED.with_borrow(|gathered| gathered.active)
    }

    /// Wakes those whom `run` wakes together, at its end.
    pub(crate) fn gather<R>(run: impl FnOnce() -> R) -> R {
        let before = GATHERED
            .try_with(|gathered| std::mem::replace(&mut gathered.borrow_mut().active, true));
        // Within another one the outer one wakes; at the end of its thread each wakes for itself.
        let _wakes = (before == Ok(false)).then(|| Wakes);
        run()
    }

    /// Wakes who was gathered when it goes, be it by a panic.
    struct Wakes;

    impl Drop for Wakes {
        fn drop(&mut self) {
            let mut lots = GATHERED.with_borrow_mut(|gathered| {
                gathered.active = false;
                std::mem::take(&mut gathered.lots)
            });
            for (lot, bits) in lots.drain(..) {
                lot.wake(bits);
            }
            // Its space serves again.
            GATHERED.with_borrow_mut(|gathered| gathered.lots = lots);
        }
    }
}

#[cfg(not(all(target_os = "linux", not(all(test, loom)))))]
pub(crate) use alone::{Spot, gather};
#[cfg(all(target_os = "linux", not(all(test, loom))))]
pub(crate) use shared::{Spot, gather};

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::channel;
    use std::time::{Duration, Instant};

    const LIMIT: Duration = Duration::from_secs(60);

    #[test]
    fn threads_that_are_woken_together_all_wake() {
        // More than share a word.
        const THREADS: usize = 70;
        let awake: Vec<AtomicBool> = (0..THREADS).map(|_| AtomicBool::new(false)).collect();
        let deadline = Instant::now() + LIMIT;
        std::thread::scope(|scope| {
            let (sender, spots) = channel();
            for awake in &awake {
                let sender = sender.clone();
                scope.spawn(move || {
                    let spot = std::sync::Arc::new(Spot::new());
                    sender.send(spot.clone()).unwrap();
                    while !awake.load(Ordering::SeqCst) {
                        spot.doze(|| awake.load(Ordering::SeqCst), Some(deadline));
                        assert!(Instant::now() < deadline, "it slept on");
                    }
                });
            }
            drop(sender);
            let spots: Vec<_> = spots.iter().take(THREADS).collect();
            gather(|| {
                awake
                    .iter()
                    .for_each(|awake| awake.store(true, Ordering::SeqCst));
                spots.iter().for_each(|spot| spot.wake());
            });
        });
        assert!(Instant::now() < deadline);
    }

    #[test]
    fn a_spot_that_is_woken_before_it_sleeps_does_not() {
        let spot = Spot::new();
        spot.wake();
        let begin = Instant::now();
        spot.doze(|| true, Some(begin + LIMIT));
        assert!(begin.elapsed() < LIMIT);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_is_gathered_within_waits_for_the_outer_end() {
        gather(|| {
            gather(|| {});
            assert!(shared::is_gathering(), "the outer one goes on");
        });
        assert!(!shared::is_gathering());
    }

    /// Wakes, and gathers, when it goes.
    struct WakesAtTheEnd(std::sync::Arc<Spot>, std::sync::Arc<AtomicBool>);

    impl Drop for WakesAtTheEnd {
        fn drop(&mut self) {
            self.1.store(true, Ordering::SeqCst);
            gather(|| self.0.wake());
        }
    }

    thread_local! {
        static KEPT: std::cell::RefCell<Option<WakesAtTheEnd>> = const { std::cell::RefCell::new(None) };
    }

    #[test]
    fn what_a_thread_drops_at_its_end_can_wake_others() {
        let spot = std::sync::Arc::new(Spot::new());
        let awake = std::sync::Arc::new(AtomicBool::new(false));
        let kept = WakesAtTheEnd(spot.clone(), awake.clone());
        let thread = std::thread::spawn(move || {
            KEPT.set(Some(kept));
            // Thread-locals go in the opposite order: this one first.
            gather(|| {});
        });
        let deadline = Instant::now() + LIMIT;
        while !awake.load(Ordering::SeqCst) {
            spot.doze(|| awake.load(Ordering::SeqCst), Some(deadline));
            assert!(Instant::now() < deadline, "it slept on");
        }
        assert!(thread.join().is_ok());
    }

    #[test]
    fn a_sleep_ends_at_its_deadline() {
        let begin = Instant::now();
        let deadline = begin + Duration::from_millis(1_020);
        let spot = Spot::new();
        while Instant::now() < deadline {
            spot.doze(|| false, Some(deadline));
            assert!(begin.elapsed() < LIMIT);
        }
    }
}
