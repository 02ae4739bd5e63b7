//! What the threads of one engine share.
//!
//! Connections and listeners are found by token: an index, and a generation so that an event for
//! one that has gone is not taken for its successor's.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use std::collections::HashMap;

use parking_lot::Mutex;

use super::alarm::{NEVER, Nap};
use super::conn::Conn;
use super::dial::Dialer;
use super::driver::Driver;
use super::lead::Lead;
use super::listen::Listening;
use super::owner::Owner;
use super::pipe::Pipe;
use super::poller::Poller;
use super::steward::{self, Steward};
use super::timers::{Timer, Timers};
use super::waiter::{Alarm, Waiter};

/// What a token stands for.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    Conn(Arc<Conn>),
    Listening(Arc<Listening>),
}

#[derive(Debug, Default)]
struct Table {
    slots: Vec<(u32, Option<Source>)>,
    free: Vec<u32>,
    conns: usize,
}

/// No token of a connection: there is none, or several.
const NOT_ONE: u64 = u64::MAX;

impl Table {
    fn reserve(&mut self) -> u64 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push((0, None));
            (self.slots.len() - 1) as u32
        });
        u64::from(self.slots[index as usize].0) << 32 | u64::from(index)
    }

    fn slot(&mut self, token: u64) -> Option<&mut Option<Source>> {
        let (generation, source) = self.slots.get_mut(token as u32 as usize)?;
        (u64::from(*generation) == token >> 32).then_some(source)
    }

    /// Puts a source into its reserved place.
    fn put(&mut self, token: u64, source: Source) {
        if let Some(slot) = self.slot(token) {
            let conn = matches!(source, Source::Conn(_));
            *slot = Some(source);
            self.conns += usize::from(conn);
        }
    }

    /// The token of the only connection, or `NOT_ONE`.
    fn lone(&self) -> u64 {
        if self.conns != 1 {
            return NOT_ONE;
        }
        let conn = |source: &Option<Source>| matches!(source, Some(Source::Conn(_)));
        let index = self.slots.iter().position(|(_, source)| conn(source));
        index.map_or(NOT_ONE, |index| {
            u64::from(self.slots[index].0) << 32 | index as u64
        })
    }

    fn remove(&mut self, token: u64) -> Option<Source> {
        let source = self.slot(token)?.take();
        self.conns -= usize::from(matches!(source, Some(Source::Conn(_))));
        let index = token as u32;
        // The last generation is left out: the alarm's token would be of it.
        let slot = &mut self.slots[index as usize];
        slot.0 = (slot.0 + 1) % u32::MAX;
        self.free.push(index);
        source
    }
}

/// The state of one engine.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) poller: Arc<Poller>,
    pub(crate) lead: Lead,
    pub(crate) driver: Mutex<Driver>,
    pub(crate) steward: Steward,
    /// The engine's beginning; times in atomics count from here.
    pub(crate) origin: Instant,
    table: Mutex<Table>,
    links: AtomicUsize,
    /// The token of the only connection, or `NOT_ONE`.
    lone: AtomicU64,
    timers: Mutex<Timers>,
    nap: Nap,
    dialers: Mutex<HashMap<u64, Arc<Dialer>>>,
    /// The work that `nap` knows of.
    condemned: Mutex<Vec<u64>>,
    corked: Mutex<Vec<Arc<Pipe>>>,
    any_corked: AtomicBool,
    pumps: Mutex<Vec<std::sync::Weak<dyn Owner>>>,
    stopped: AtomicBool,
}

impl std::fmt::Debug for dyn Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Owner")
    }
}

impl Shared {
    pub(crate) fn new() -> io::Result<Arc<Self>> {
        Ok(Arc::new(Shared {
            poller: Arc::new(Poller::new()?),
            lead: Lead::new(),
            driver: Mutex::new(Driver::new()),
            steward: Steward::new(),
            origin: Instant::now(),
            table: Mutex::default(),
            links: AtomicUsize::new(0),
            lone: AtomicU64::new(NOT_ONE),
            timers: Mutex::default(),
            nap: Nap::new(),
            dialers: Mutex::default(),
            condemned: Mutex::default(),
            corked: Mutex::default(),
            any_corked: AtomicBool::new(false),
            pumps: Mutex::default(),
            stopped: AtomicBool::new(false),
        }))
    }

    fn since_origin(&self, at: Instant) -> u64 {
        (at.saturating_duration_since(self.origin).as_nanos() as u64).clamp(1, NEVER - 1)
    }

    /// A time as it is kept in atomics; no time is one that never comes.
    fn ticks(&self, at: Option<Instant>) -> u64 {
        at.map_or(NEVER, |at| self.since_origin(at))
    }

    /// The time that was kept so.
    pub(crate) fn instant(&self, ticks: u64) -> Option<Instant> {
        (ticks != NEVER).then(|| self.origin + Duration::from_nanos(ticks))
    }

    /// A waiter for the calling thread.
    pub(crate) fn waiter(&self) -> Arc<Waiter> {
        Arc::new(Waiter::new(self.poller.clone()))
    }

    // Connections and listeners.

    /// Makes what `make` makes known under a token of its own.
    pub(crate) fn enrol<T>(&self, make: impl FnOnce(u64) -> (T, Source)) -> T {
        let token = self.table.lock().reserve();
        let (made, source) = make(token);
        {
            let mut table = self.table.lock();
            table.put(token, source);
            self.lone.store(table.lone(), Ordering::Relaxed);
        }
        self.links.fetch_add(1, Ordering::SeqCst);
        made
    }

    /// What the token stands for, if it is still there.
    pub(crate) fn source(&self, token: u64) -> Option<Source> {
        self.table.lock().slot(token)?.clone()
    }

    pub(crate) fn conn(&self, token: u64) -> Option<Arc<Conn>> {
        match self.source(token)? {
            Source::Conn(conn) => Some(conn),
            Source::Listening(_) => None,
        }
    }

    /// The only connection of the engine, if there is just one.
    pub(super) fn lone_conn(&self) -> Option<Arc<Conn>> {
        match self.lone.load(Ordering::Relaxed) {
            NOT_ONE => None,
            token => self.conn(token),
        }
    }

    pub(crate) fn forget(&self, token: u64) {
        let gone = {
            let mut table = self.table.lock();
            let gone = table.remove(token);
            self.lone.store(table.lone(), Ordering::Relaxed);
            gone
        };
        if gone.is_some() {
            self.links.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Whether there is anything to poll for.
    pub(crate) fn has_links(&self) -> bool {
        self.links.load(Ordering::SeqCst) > 0 || self.nap.next_timer() != NEVER
    }

    /// Whether something is left that only the steward would do.
    pub(crate) fn has_work(&self) -> bool {
        self.has_corked() || self.is_stopped() || (self.lead.is_free() && self.has_links())
    }

    pub(crate) fn add_dialer(&self, dialer: &Arc<Dialer>) {
        self.dialers.lock().insert(dialer.id, dialer.clone());
    }

    pub(crate) fn dialer(&self, id: u64) -> Option<Arc<Dialer>> {
        self.dialers.lock().get(&id).cloned()
    }

    pub(crate) fn remove_dialer(&self, id: u64) {
        self.dialers.lock().remove(&id);
    }

    // Timers.

    /// Arms a timer; a poll that would sleep past it is ended.
    pub(crate) fn arm(&self, at: Instant, timer: Timer) {
        let mut timers = self.timers.lock();
        if !timers.arm(at, timer) {
            return;
        }
        let due = self.since_origin(at);
        self.nap.set_next_timer(due);
        drop(timers);
        if self.nap.sleeps_past(due) {
            self.poller.ring();
        }
        self.steward.nudge();
    }

    /// Takes a timer that is due.
    pub(crate) fn pop_timer(&self, now: Instant) -> Option<Timer> {
        if self.since_origin(now) < self.nap.next_timer() {
            return None;
        }
        let mut timers = self.timers.lock();
        let timer = timers.pop(now);
        let next = timers.next().map_or(NEVER, |next| self.since_origin(next));
        self.nap.set_next_timer(next);
        timer
    }

    /// Notes that the leader is about to poll, at most until `deadline`; gives the longest that
    /// the poll itself may take. `watched` if the steward is not the one who polls: then it ends a
    /// long poll in time, and the kernel is spared the timer.
    pub(crate) fn begin_poll(
        &self,
        deadline: Option<Instant>,
        now: Instant,
        watched: bool,
    ) -> Option<Duration> {
        let Some(until) = self.nap.begin(self.ticks(deadline)) else {
            return Some(Duration::ZERO);
        };
        if until == NEVER {
            return None;
        }
        let left = Duration::from_nanos(until.saturating_sub(self.since_origin(now)));
        if watched && left > steward::TICK * 3 {
            self.steward.watch_until(until);
            return None;
        }
        Some(left)
    }

    pub(crate) fn end_poll(&self) {
        self.nap.end();
    }

    /// The steward's look at the current poll: ends it if it has lasted long enough, else says
    /// when it will have: never, if there is no poll, or it need not end.
    pub(crate) fn look_at_poll(&self) -> u64 {
        let ends = self.nap.ends();
        if ends == NEVER || ends > self.since_origin(Instant::now()) {
            return ends;
        }
        self.poller.ring();
        NEVER
    }

    // Work left for the leader and the steward.

    /// The connection has failed while it was written to; the leader takes it down.
    pub(crate) fn condemn(&self, token: u64) {
        self.condemned.lock().push(token);
        if self.nap.leave_work() {
            self.poller.ring();
        }
        self.steward.nudge();
    }

    pub(crate) fn take_condemned(&self) -> Vec<u64> {
        if !self.nap.take_work() {
            return Vec::new();
        }
        std::mem::take(&mut self.condemned.lock())
    }

    /// The pipe has been corked: it is flushed before anybody blocks, and by the steward.
    pub(crate) fn cork(&self, pipe: Arc<Pipe>) {
        self.corked.lock().push(pipe);
        self.any_corked.store(true, Ordering::SeqCst);
        self.steward.held_back();
    }

    pub(crate) fn has_corked(&self) -> bool {
        self.any_corked.load(Ordering::SeqCst)
    }

    /// Writes what was corked.
    pub(crate) fn flush_corked(&self) {
        // A look first: to write the flag would cost each wait a shared cache line.
        if !self.has_corked() || !self.any_corked.swap(false, Ordering::SeqCst) {
            return;
        }
        let mut corked = std::mem::take(&mut *self.corked.lock());
        for pipe in corked.drain(..) {
            pipe.flush();
        }
        let mut current = self.corked.lock();
        if current.capacity() == 0 {
            *current = corked; // its space serves again
        }
    }

    /// The socket's channel is full; the steward tries again.
    pub(crate) fn pump_later(&self, owner: std::sync::Weak<dyn Owner>) {
        {
            let mut pumps = self.pumps.lock();
            if !pumps.iter().any(|other| other.ptr_eq(&owner)) {
                pumps.push(owner);
            }
        }
        self.steward.recall();
    }

    /// Moves messages on to the channels that had been full; true if some still are.
    pub(crate) fn pump(&self) -> bool {
        let waiting = std::mem::take(&mut *self.pumps.lock());
        let still: Vec<_> = waiting
            .into_iter()
            .filter(|owner| owner.upgrade().is_some_and(|owner| owner.pump()))
            .collect();
        let mut pumps = self.pumps.lock();
        for owner in still {
            // It may have been asked for anew meanwhile.
            if !pumps.iter().any(|other| other.ptr_eq(&owner)) {
                pumps.push(owner);
            }
        }
        !pumps.is_empty()
    }

    /// Sockets whose channels are full.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn pumps(&self) -> usize {
        self.pumps.lock().len()
    }

    // The end.

    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.steward.recall();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }
}
