//! The thread that looks after an engine while nobody waits.
//!
//! ```text
//!            nudge                        nobody led for a tick
//! parked  ----------> ticking, 1 ms  ------------------------------> leading
//!    ^                  |     ^                                         |
//!    +------------------+     +-----------------------------------------+
//!     a user leads, or there          a user wants to lead
//!     is nothing to do
//! ```
//!
//! While calls come and go it ticks, so that a call never pays for waking it; when a thread has
//! been leading for a while, or nothing is left to drive, it parks. While it leads it is asleep
//! in the kernel like any leader: an idle process has no wake-ups.
//!
//! At each tick it writes what was corked and forgotten, fills channels that have room again, and
//! hands a lead that nobody took to a follower: the watch over threads that said they would soon
//! be back.
//!
//! # Invariants
//!
//! 1. What was there to do before a nudge is seen before it parks, or it is woken. (loom test
//!    `a_nudge_is_never_lost`)
//! 2. A poll that is left to it is ended when its time has come. (loom test
//!    `a_watched_poll_is_ended_in_time`)
//! 3. What is held back while it leads ends its sleep. (loom test
//!    `what_is_held_back_ends_the_stewards_lead`; test
//!    `the_last_messages_of_a_flood_go_out_though_nobody_waits`)
//! 4. A signal that came late does not keep it from parking. (test
//!    `what_was_signalled_late_is_forgotten`)

use std::sync::{OnceLock, Weak};
use std::time::{Duration, Instant};

use super::lead::Watch;
use super::shared::Shared;
use super::sync::{Arc, AtomicBool, AtomicU32, AtomicU64, Ordering};
use super::waiter::{LEAVE, READY, Waiter};

/// The time between two looks.
pub(crate) const TICK: Duration = Duration::from_millis(1);
/// Looks without anything new after which it parks.
const QUIET_MAX: u32 = 5;

const PARKED: u32 = 0;
const AWAKE: u32 = 1;

/// How to reach the steward.
#[derive(Debug)]
pub(crate) struct Steward {
    state: AtomicU32,
    waiter: OnceLock<Arc<Waiter>>,
    /// When it looks next by itself, while it is parked.
    parked_until: AtomicU64,
    /// It leads: it sleeps in the kernel, and has no ticks.
    leads: AtomicBool,
}

impl Steward {
    pub(crate) fn new() -> Self {
        // Awake until its thread has begun: nobody has to wake it before.
        Steward {
            state: AtomicU32::new(AWAKE),
            waiter: OnceLock::new(),
            parked_until: AtomicU64::new(0),
            leads: AtomicBool::new(false),
        }
    }

    /// Makes sure that the steward looks within a tick.
    pub(crate) fn nudge(&self) {
        if self.state.load(Ordering::SeqCst) == PARKED
            && self.state.swap(AWAKE, Ordering::SeqCst) == PARKED
            && let Some(waiter) = self.waiter.get()
        {
            waiter.signal(READY);
        }
    }

    /// Makes sure that what has been held back is written within a tick: a steward that leads
    /// gives the lead up for one.
    pub(crate) fn held_back(&self) {
        self.nudge();
        if self.leads.load(Ordering::SeqCst)
            && let Some(waiter) = self.waiter.get()
        {
            waiter.signal(LEAVE);
        }
    }

    /// Notes whether the steward leads; it looks what has been held back afterwards.
    pub(super) fn set_leads(&self, leads: bool) {
        self.leads.store(leads, Ordering::SeqCst);
    }

    /// Makes sure that the steward looks by then, counted from the engine's beginning: it looks
    /// at each tick, or is parked until a time that it has told.
    pub(crate) fn watch_until(&self, until: u64) {
        if until < self.parked_until.load(Ordering::SeqCst) {
            self.nudge();
        }
    }

    /// Notes that the steward parks until then; false if there is something to do after all: a
    /// poll that ends sooner, or work.
    pub(super) fn parks(
        &self,
        until: u64,
        poll_ends: impl FnOnce() -> u64,
        work: impl FnOnce() -> bool,
    ) -> bool {
        self.parked_until.store(until, Ordering::SeqCst);
        self.state.store(PARKED, Ordering::SeqCst);
        // Whoever left work before the stores did not nudge.
        let parks = poll_ends() >= until && !work();
        if !parks {
            self.wakes();
        }
        parks
    }

    /// The waiter that nudges go to.
    pub(super) fn employ(&self, waiter: Arc<Waiter>) -> Arc<Waiter> {
        self.waiter.get_or_init(|| waiter).clone()
    }

    pub(super) fn wakes(&self) {
        self.state.store(AWAKE, Ordering::SeqCst);
        self.parked_until.store(0, Ordering::SeqCst);
    }

    /// Has the steward look soon, even if it leads: while it leads it only sleeps.
    pub(crate) fn recall(&self) {
        self.nudge();
        if let Some(waiter) = self.waiter.get() {
            waiter.signal(LEAVE);
        }
    }
}

/// Starts the steward of an engine.
pub(crate) fn start(shared: &Arc<Shared>) -> std::io::Result<()> {
    let weak = Arc::downgrade(shared);
    std::thread::Builder::new()
        .name("brokerless-steward".into())
        .spawn(move || run(&weak))?;
    Ok(())
}

fn run(weak: &Weak<Shared>) {
    let Some(waiter) = weak
        .upgrade()
        .map(|shared| shared.steward.employ(shared.waiter()))
    else {
        return;
    };
    let mut quiet = 0;
    loop {
        let Some(shared) = weak.upgrade() else { return };
        // Late ones too: left set, they would keep it from parking. Then look what they were for.
        waiter.take(READY | LEAVE);
        if shared.is_stopped() {
            return;
        }
        shared.flush_corked();
        let pumping = shared.pump();
        match shared.lead.watch(&waiter, shared.has_links() && !pumping) {
            Watch::Taken => {
                shared.steward.set_leads(true);
                shared.drive(&waiter, None, Instant::now(), None, false);
                shared.steward.set_leads(false);
                shared.lead.leave(true);
                // It has left; whatever it was asked for, a tick is soon enough. To look at once
                // would part what is being gathered.
                waiter.take(LEAVE);
                quiet = 0;
            }
            Watch::Busy => quiet = 0,
            Watch::Led | Watch::Idle if pumping => quiet = 0,
            Watch::Led | Watch::Idle => quiet += 1,
        }
        let poll_ends = shared.look_at_poll();
        if quiet < QUIET_MAX {
            drop(shared);
            waiter.park(Some(Instant::now() + TICK));
        } else if shared
            .steward
            .parks(poll_ends, || shared.look_at_poll(), || shared.has_work())
        {
            let until = shared.instant(poll_ends);
            drop(shared);
            waiter.park(until);
            // One look is enough after a poll that was ended; a nudge means that there is more.
            quiet = if waiter.has(READY | LEAVE) {
                0
            } else {
                QUIET_MAX - 1
            };
            if let Some(shared) = weak.upgrade() {
                shared.steward.wakes();
            }
        } else {
            quiet = 0;
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_was_signalled_late_is_forgotten() {
        let shared = Shared::new().unwrap();
        start(&shared).unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        let until = |done: &dyn Fn() -> bool| {
            while !done() {
                assert!(Instant::now() < deadline);
                std::thread::yield_now();
            }
        };
        let parked = || shared.steward.state.load(Ordering::SeqCst) == PARKED;
        until(&parked);
        // As by a thread that wanted the lead, and has got it meanwhile.
        let waiter = shared.steward.waiter.get().unwrap();
        waiter.signal(LEAVE);
        until(&|| !waiter.has(LEAVE));
        until(&parked);
        shared.stop();
    }
}
