//! Pools of workers: who runs a call, and what waits for whom.
//!
//! ```text
//! default pool   a receiving thread --- seat() ---> runs the call itself
//!                                    \- push() ---> queue ---> next(): a thread that has finished
//! named pool     a receiving thread --- push() ---> queue ---> take(): a parked thread of the pool
//! turn of a stream   any thread --- add() ---> queue; where there is a seat, a thread that
//!                                              receives claims it
//! ```
//!
//! The default pool has a seat for each of its workers, and one more that only calls of methods
//! which have proved quick may take: while slow calls fill the others, a quick one is delayed by
//! quick ones. It has more threads than seats, so that one always receives.
//!
//! Nothing is called or woken under the lock, which is held for some tens of nanoseconds.
//!
//! # Invariants
//!
//! 1. No more calls run at once than there are seats. (test
//!    `no_more_run_at_once_than_there_are_seats`)
//! 2. What is queued is taken by whoever finishes next: a call never waits beside a free seat.
//!    (test `a_job_that_comes_as_a_seat_is_freed_does_not_wait`)
//! 3. The queue is bounded in jobs and in bytes. (test `a_full_queue_gives_the_job_back`)
//! 4. Neither the quick, nor the others, nor turns of streams starve. (tests
//!    `quick_and_slow_ones_take_turns`, `turns_of_streams_hold_up_no_calls`)
//! 5. What is added beside a free seat is claimed by whoever looks next. (test
//!    `what_is_added_beside_a_free_seat_can_be_claimed`)

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Condvar, Mutex};

use super::queue::FairQueue;

/// The right to run one call of the default pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seat {
    /// For any call.
    Any,
    /// For calls of quick methods.
    Quick,
}

/// A call on its way into a queue.
#[derive(Debug)]
pub(super) struct Waiting<K, T> {
    pub(super) caller: u64,
    /// What it is known by among its caller's.
    pub(super) id: K,
    pub(super) bytes: usize,
    /// Its method has proved quick.
    pub(super) quick: bool,
    pub(super) job: T,
}

/// What became of a call that was to be queued.
#[derive(Debug)]
pub(super) enum Pushed<T> {
    Queued,
    /// A seat was freed meanwhile: run it.
    Run(T, Seat),
    /// There is no room.
    Full(T),
    /// The pool has been closed.
    Closed(T),
}

/// A pool at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStats {
    /// Its name; that of the default pool is empty.
    pub name: String,
    /// Handlers that it runs at most at once.
    pub threads: usize,
    /// Handlers that run.
    pub running: usize,
    /// Calls that wait for a thread.
    pub queued: usize,
    /// The most that have waited at once.
    pub queued_most: usize,
    /// Bytes of those that wait.
    pub queued_bytes: usize,
    /// Calls refused since the queue was full.
    pub refused: u64,
}

/// What waits, by kinds that take turns: so that neither of them waits for all of another.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Quick,
    Rest,
    Turn,
}

#[derive(Debug)]
struct State<K, T> {
    running: usize,
    quick_running: bool,
    /// Of quick methods; in a named pool none.
    quick: FairQueue<K, (usize, T)>,
    rest: FairQueue<K, (usize, T)>,
    /// What was added: turns of streams.
    turns: FairQueue<K, (usize, T)>,
    /// Of which kind the last one was.
    last: Kind,
    bytes: usize,
    most: usize,
    refused: u64,
    parked: usize,
    closed: bool,
}

#[derive(Debug)]
pub(super) struct Pool<K, T> {
    name: String,
    seats: usize,
    has_quick_seat: bool,
    queue_max: usize,
    queue_bytes_max: usize,
    state: Mutex<State<K, T>>,
    /// Something was added, and may stand beside a free seat.
    added: AtomicBool,
    news: Condvar,
}

impl<K: Eq, T> State<K, T> {
    /// Calls that wait.
    fn calls(&self) -> usize {
        self.quick.len() + self.rest.len()
    }

    fn queued(&self) -> usize {
        self.calls() + self.turns.len()
    }

    /// The next of the kind whose turn it is.
    fn pop(&mut self, seat: Seat) -> Option<T> {
        if seat == Seat::Quick {
            return self.pop_kind(Kind::Quick);
        }
        let kinds = match self.last {
            Kind::Quick => [Kind::Rest, Kind::Turn, Kind::Quick],
            Kind::Rest => [Kind::Turn, Kind::Quick, Kind::Rest],
            Kind::Turn => [Kind::Quick, Kind::Rest, Kind::Turn],
        };
        kinds.into_iter().find_map(|kind| self.pop_kind(kind))
    }

    fn pop_kind(&mut self, kind: Kind) -> Option<T> {
        let popped = match kind {
            Kind::Quick => self.quick.pop(),
            Kind::Rest => self.rest.pop(),
            Kind::Turn => self.turns.pop(),
        }?;
        self.last = kind;
        Some(self.taken(popped))
    }

    fn taken(&mut self, (bytes, job): (usize, T)) -> T {
        self.bytes -= bytes;
        job
    }

    fn free(&mut self, seat: Seat) {
        match seat {
            Seat::Any => self.running -= 1,
            Seat::Quick => self.quick_running = false,
        }
    }
}

impl<K: Eq, T> Pool<K, T> {
    pub(super) fn new(
        name: &str,
        seats: usize,
        has_quick_seat: bool,
        queue_max: usize,
        queue_bytes_max: usize,
    ) -> Self {
        Pool {
            name: name.to_owned(),
            seats,
            has_quick_seat,
            queue_max,
            queue_bytes_max,
            state: Mutex::new(State {
                running: 0,
                quick_running: false,
                quick: FairQueue::new(),
                rest: FairQueue::new(),
                turns: FairQueue::new(),
                last: Kind::Turn,
                bytes: 0,
                most: 0,
                refused: 0,
                parked: 0,
                closed: false,
            }),
            added: AtomicBool::new(false),
            news: Condvar::new(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn seats(&self) -> usize {
        self.seats
    }

    pub(super) fn queue_max(&self) -> usize {
        self.queue_max
    }

    fn free_seat(&self, state: &mut State<K, T>, quick: bool) -> Option<Seat> {
        if state.running < self.seats {
            state.running += 1;
            Some(Seat::Any)
        } else if quick && self.has_quick_seat && !state.quick_running {
            state.quick_running = true;
            Some(Seat::Quick)
        } else {
            None
        }
    }

    /// A seat for a call that has come, if one is free.
    pub(super) fn seat(&self, quick: bool) -> Option<Seat> {
        self.free_seat(&mut self.state.lock(), quick)
    }

    /// Queues a call for which there was no seat.
    pub(super) fn push(&self, waiting: Waiting<K, T>) -> Pushed<T> {
        let mut state = self.state.lock();
        if let Some(seat) = self.free_seat(&mut state, waiting.quick) {
            return Pushed::Run(waiting.job, seat);
        }
        self.enqueue(&mut state, waiting)
    }

    /// Queues a call for the pool's own threads.
    pub(super) fn give(&self, waiting: Waiting<K, T>) -> Pushed<T> {
        let mut state = self.state.lock();
        let pushed = self.enqueue(&mut state, waiting);
        let wakes = state.parked > 0 && matches!(pushed, Pushed::Queued);
        drop(state);
        if wakes {
            self.news.notify_one();
        }
        pushed
    }

    /// Queues what was admitted before, whatever the queue's limits: a turn of a stream, of which
    /// there are as many as calls were let in. A thread that receives is to look for it.
    pub(super) fn add(&self, waiting: Waiting<K, T>) {
        let mut state = self.state.lock();
        state
            .turns
            .push(waiting.caller, waiting.id, (0, waiting.job));
        self.added.store(true, Ordering::SeqCst);
        let wakes = state.parked > 0;
        drop(state);
        if wakes {
            self.news.notify_one();
        }
    }

    /// Something was added that nobody has looked for since.
    #[inline]
    pub(super) fn has_added(&self) -> bool {
        self.added.load(Ordering::SeqCst)
    }

    /// What was added, with a seat for it, if one is free.
    pub(super) fn claim(&self) -> Option<(T, Seat)> {
        let mut state = self.state.lock();
        if state.running < self.seats
            && let Some(job) = state.pop(Seat::Any)
        {
            state.running += 1;
            return Some((job, Seat::Any));
        }
        // Whoever frees a seat looks into the queue.
        self.added.store(false, Ordering::SeqCst);
        None
    }

    fn enqueue(&self, state: &mut State<K, T>, waiting: Waiting<K, T>) -> Pushed<T> {
        if state.closed {
            return Pushed::Closed(waiting.job);
        }
        let queued = state.calls();
        // One call always fits, however large.
        let fits = queued == 0 || state.bytes.saturating_add(waiting.bytes) <= self.queue_bytes_max;
        if queued >= self.queue_max || !fits {
            state.refused += 1;
            return Pushed::Full(waiting.job);
        }
        state.bytes += waiting.bytes;
        state.most = state.most.max(queued + 1);
        let queue = if waiting.quick && self.has_quick_seat {
            &mut state.quick
        } else {
            &mut state.rest
        };
        queue.push(waiting.caller, waiting.id, (waiting.bytes, waiting.job));
        Pushed::Queued
    }

    /// The next call for the seat of one that has ended; the seat is free if there is none.
    pub(super) fn next(&self, seat: Seat) -> Option<T> {
        let mut state = self.state.lock();
        let next = state.pop(seat);
        if next.is_none() {
            state.free(seat);
        }
        next
    }

    /// Waits for a call: for the pool's own threads, which `done` their last one first. Nothing
    /// once the pool has been closed and its queue is empty.
    pub(super) fn take(&self) -> Option<T> {
        let mut state = self.state.lock();
        loop {
            if let Some(job) = state.pop(Seat::Any) {
                state.running += 1;
                return Some(job);
            }
            if state.closed {
                return None;
            }
            state.parked += 1;
            self.news.wait(&mut state);
            state.parked -= 1;
        }
    }

    /// A call that was taken has ended.
    pub(super) fn done(&self) {
        self.state.lock().free(Seat::Any);
    }

    /// Takes a call back that has not begun.
    pub(super) fn remove(&self, caller: u64, id: &K) -> Option<T> {
        let mut state = self.state.lock();
        let removed = state.rest.remove(caller, id);
        let removed = removed.or_else(|| state.quick.remove(caller, id));
        removed.map(|taken| state.taken(taken))
    }

    /// Takes all of a caller's calls back that have not begun, and turns of its streams.
    pub(super) fn remove_caller(&self, caller: u64) -> Vec<T> {
        let mut state = self.state.lock();
        if state.queued() == 0 {
            return Vec::new();
        }
        let mut removed = state.rest.remove_caller(caller);
        removed.extend(state.quick.remove_caller(caller));
        removed.extend(state.turns.remove_caller(caller));
        removed
            .into_iter()
            .map(|taken| state.taken(taken))
            .collect()
    }

    /// Takes all calls back that have not begun, and turns of streams.
    pub(super) fn remove_all(&self) -> Vec<T> {
        let mut state = self.state.lock();
        let mut removed = state.rest.remove_all();
        removed.extend(state.quick.remove_all());
        removed.extend(state.turns.remove_all());
        removed
            .into_iter()
            .map(|taken| state.taken(taken))
            .collect()
    }

    /// Lets no further call in, and the pool's threads go once the queue is empty.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.news.notify_all();
    }

    pub(super) fn stats(&self) -> PoolStats {
        let state = self.state.lock();
        PoolStats {
            name: self.name.clone(),
            threads: self.seats,
            running: state.running + usize::from(state.quick_running),
            queued: state.queued(),
            queued_most: state.most,
            queued_bytes: state.bytes,
            refused: state.refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    fn waiting(caller: u64, id: u64, quick: bool) -> Waiting<u64, u64> {
        Waiting {
            caller,
            id,
            bytes: 10,
            quick,
            job: id,
        }
    }

    fn load(pool: &Pool<u64, u64>) -> (usize, usize) {
        let stats = pool.stats();
        (stats.running, stats.queued)
    }

    fn queued(pushed: Pushed<u64>) -> bool {
        matches!(pushed, Pushed::Queued)
    }

    #[test]
    fn no_more_run_at_once_than_there_are_seats() {
        let pool = Pool::new("", 2, true, 10, 1000);
        assert_eq!(pool.seat(false), Some(Seat::Any));
        assert_eq!(pool.seat(true), Some(Seat::Any));
        assert_eq!(pool.seat(false), None);
        assert_eq!(pool.seat(true), Some(Seat::Quick));
        assert_eq!(pool.seat(true), None);
        assert!(queued(pool.push(waiting(1, 1, true))));
        assert_eq!(load(&pool), (3, 1));
        assert_eq!(pool.next(Seat::Quick), Some(1));
        assert_eq!(pool.next(Seat::Quick), None);
        assert_eq!(pool.next(Seat::Any), None);
        assert_eq!(load(&pool), (1, 0));
    }

    #[test]
    fn a_job_that_comes_as_a_seat_is_freed_does_not_wait() {
        let pool = Pool::new("", 1, true, 10, 1000);
        let seat = pool.seat(false);
        assert_eq!(pool.seat(false), None, "the receiving thread looks");
        assert_eq!(pool.next(Seat::Any), None, "the worker finishes");
        assert_eq!(seat, Some(Seat::Any));
        let pushed = pool.push(waiting(1, 1, false));
        assert!(matches!(pushed, Pushed::Run(1, Seat::Any)), "{pushed:?}");
    }

    #[test]
    fn the_quick_seat_takes_no_slow_call() {
        let pool = Pool::new("", 1, true, 10, 1000);
        assert_eq!(pool.seat(false), Some(Seat::Any));
        assert_eq!(pool.seat(true), Some(Seat::Quick));
        assert!(queued(pool.push(waiting(1, 1, false))));
        assert_eq!(pool.next(Seat::Quick), None);
        assert_eq!(pool.next(Seat::Any), Some(1));
    }

    #[test]
    fn quick_and_slow_ones_take_turns() {
        let pool = Pool::new("", 1, true, 10, 1000);
        assert!(pool.seat(false).is_some() && pool.seat(true).is_some());
        for (id, quick) in [(1, false), (2, false), (11, true), (12, true), (13, true)] {
            assert!(queued(pool.push(waiting(id, id, quick))));
        }
        let order: Vec<u64> = std::iter::from_fn(|| pool.next(Seat::Any)).collect();
        assert_eq!(order, [11, 1, 12, 2, 13]);
    }

    #[test]
    fn turns_of_streams_hold_up_no_calls() {
        let pool = Pool::new("", 1, true, 3, 1000);
        assert!(pool.seat(false).is_some() && pool.seat(true).is_some());
        for id in 0..100 {
            pool.add(waiting(1, id, false));
        }
        for (id, quick) in [(201, false), (202, false), (203, true)] {
            assert!(
                queued(pool.push(waiting(1, id, quick))),
                "they take no room"
            );
        }
        let order: Vec<u64> = std::iter::from_fn(|| pool.next(Seat::Any))
            .take(8)
            .collect();
        assert_eq!(order, [203, 201, 0, 202, 1, 2, 3, 4]);
    }

    #[test]
    fn a_full_queue_gives_the_job_back() {
        let pool = Pool::new("", 1, false, 2, 15);
        assert!(pool.seat(false).is_some());
        assert!(queued(pool.push(waiting(1, 1, false))));
        let pushed = pool.push(waiting(1, 2, false));
        assert!(matches!(pushed, Pushed::Full(2)), "in bytes: {pushed:?}");
        let mut small = waiting(1, 3, false);
        small.bytes = 5;
        assert!(queued(pool.push(small)));
        let pushed = pool.push(Waiting {
            bytes: 0,
            ..waiting(1, 4, false)
        });
        assert!(matches!(pushed, Pushed::Full(4)), "in jobs: {pushed:?}");
        assert_eq!(pool.stats().refused, 2);
        assert_eq!(pool.remove(1, &1), Some(1));
        assert!(queued(pool.push(waiting(1, 5, false))));
        assert_eq!(pool.stats().queued_bytes, 15);
    }

    #[test]
    fn a_parked_thread_is_woken_for_a_job_and_for_the_end() {
        let pool = Arc::new(Pool::new("disk", 1, false, 2, 1000));
        let own = pool.clone();
        let thread = thread::spawn(move || {
            let mut seen = Vec::new();
            while let Some(job) = own.take() {
                seen.push(job);
                own.done();
            }
            seen
        });
        assert!(queued(pool.give(waiting(1, 1, false))));
        while load(&pool) != (0, 0) {
            thread::yield_now();
        }
        assert!(queued(pool.give(waiting(1, 2, false))));
        pool.close();
        assert_eq!(thread.join().ok(), Some(vec![1, 2]));
        let late = pool.give(waiting(1, 3, false));
        assert!(matches!(late, Pushed::Closed(3)), "{late:?}");
    }

    #[test]
    fn what_is_added_beside_a_free_seat_can_be_claimed() {
        let pool = Pool::new("", 1, true, 1, 10);
        for id in 1..=3 {
            pool.add(waiting(1, id, false));
        }
        assert!(pool.has_added(), "beyond the limits of the queue");
        let claimed = pool.claim();
        assert_eq!(claimed, Some((1, Seat::Any)));
        assert_eq!(pool.claim(), None, "the seats are taken");
        assert!(!pool.has_added());
        assert_eq!(pool.next(Seat::Quick), None);
        assert_eq!(pool.next(Seat::Any), Some(2));
        assert_eq!(pool.next(Seat::Any), Some(3));
        assert_eq!(pool.next(Seat::Any), None);
        assert_eq!(load(&pool), (0, 0));
    }

    #[test]
    fn what_a_caller_has_queued_can_be_taken_back() {
        let pool = Pool::new("", 1, true, 10, 1000);
        assert!(pool.seat(false).is_some() && pool.seat(true).is_some());
        for (caller, id, quick) in [(1, 1, false), (1, 2, true), (2, 3, false)] {
            assert!(queued(pool.push(waiting(caller, id, quick))));
        }
        assert_eq!(pool.remove(2, &1), None);
        assert_eq!(pool.remove_caller(1), [1, 2]);
        assert_eq!(pool.remove_all(), [3]);
        assert_eq!(pool.stats().queued_bytes, 0);
    }
}
