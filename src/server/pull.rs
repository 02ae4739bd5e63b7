//! Worker-pull: callers are granted what free workers there are, and nothing more.
//!
//! ```text
//!  hello, wish ──► IdleQueue ──► whose share is another ──► credit
//!  call ── takes ──►   ▲                                    one thread at a time tells them, in order
//!  its end ── gives_back
//! ```
//!
//! # Invariants
//!
//! 1. A worker that is busy is given no call, and none waits here. (test
//!    `a_busy_worker_is_never_fed`)
//! 2. Callers take turns at free workers, each with as many calls as it has wished for. (test
//!    `callers_take_turns_at_free_workers`)
//! 3. Who asks for a server's health takes no worker, and is answered while all are busy. (tests
//!    `health_is_told_while_every_worker_is_busy`,
//!    `a_plain_caller_is_told_the_health_while_every_worker_is_busy`)
//! 4. The workers of an engine are granted to those who call there: no others run their calls. (test
//!    `callers_are_granted_the_workers_of_their_engine`)
//!
//! # Not here
//!
//! Who is granted what (`machine::IdleQueue`).

use std::sync::atomic::{AtomicBool, Ordering};

use brokerless_patterns::Message;
use parking_lot::Mutex;

use super::answer::Report;
use super::call::Target;
use super::owed::Note;
use super::serve::Shared;
use super::session::Session;
use super::stats::Count;
use crate::machine::{Credit, IdleQueue};
use crate::service::is_health;
use crate::status::Status;
use crate::wire::{Version, encode_credit};

/// The free workers of each engine, and who tells of them.
pub(super) struct Pull {
    engines: Vec<Idle>,
    bytes: u64,
}

/// The free workers of one engine.
struct Idle {
    queue: Mutex<IdleQueue>,
    /// A thread tells callers of their shares.
    telling: AtomicBool,
}

impl Pull {
    /// So many engines with so many workers each; bytes that a caller may have in flight.
    pub(super) fn new(engines: usize, workers: u32, bytes: u64) -> Pull {
        let idle = |_| Idle {
            queue: Mutex::new(IdleQueue::new(workers)),
            telling: AtomicBool::new(false),
        };
        Pull {
            engines: (0..engines).map(idle).collect(),
            bytes,
        }
    }

    /// What a caller is told of a share. One of version 1 knows no wishes: it tries.
    fn share(&self, session: &Session, calls: u32) -> Credit {
        let least = u32::from(
            session
                .version()
                .is_some_and(|version| version < Version::Two),
        );
        Credit::new(calls.max(least), self.bytes)
    }
}

impl Shared {
    /// The free workers that calls of this session may take, in this mode.
    fn idle(&self, session: &Session) -> Option<&Idle> {
        self.pull.as_ref()?.engines.get(session.group)
    }

    /// The first window of a caller: in this mode what it is granted, instead of its own.
    pub(super) fn first_window(&self, session: &Session, own: Credit) -> Credit {
        match (&self.pull, self.idle(session)) {
            (Some(pull), Some(idle)) => {
                let calls = idle.queue.lock().join(session.id());
                if session.is_gone() {
                    // Whoever saw its end may have looked before it had joined.
                    self.parts(session);
                }
                pull.share(session, calls)
            }
            _ => own,
        }
    }

    /// What rides on an answer: in this mode nothing, as shares are told by themselves.
    pub(super) fn riding(&self, credit: Option<Credit>) -> Option<Credit> {
        credit.filter(|_| self.pull.is_none())
    }

    /// Whether calls of this method take a worker's credit.
    fn takes_worker(&self, method: usize) -> bool {
        let method = self.methods.get(method);
        method.is_none_or(|method| !is_health(method.info.path))
    }

    /// Whether there is a worker for a call of this session and method, and from now on it is taken.
    pub(super) fn takes(&self, session: &Session, method: usize) -> bool {
        let Some(idle) = self.idle(session) else {
            return true;
        };
        if !self.takes_worker(method) {
            return true;
        }
        if session.version() >= Some(Version::Two) {
            return idle.queue.lock().take(session.id());
        }
        let now = self.time(std::time::Instant::now());
        let taken = idle.queue.lock().take_or_wish(now, session.id());
        self.tell_shares(idle);
        taken
    }

    /// A call that was taken has ended.
    pub(super) fn gives_back(&self, session: &Session, method: usize) {
        if let Some(idle) = self.idle(session)
            && self.takes_worker(method)
        {
            let now = self.time(std::time::Instant::now());
            idle.queue.lock().give_back(now, session.id());
            self.tell_shares(idle);
        }
    }

    /// A caller says how many of its calls wait for credit.
    pub(super) fn wishes(&self, session: &Session, calls: u32) {
        let Some(idle) = self.idle(session) else {
            return self.counts.one(Count::Unexpected);
        };
        let now = self.time(std::time::Instant::now());
        idle.queue.lock().wish(now, session.id(), calls);
        self.tell_shares(idle);
    }

    /// A caller is gone.
    pub(super) fn parts(&self, session: &Session) {
        if let Some(idle) = self.idle(session) {
            let now = self.time(std::time::Instant::now());
            idle.queue.lock().leave(now, session.id());
            self.tell_shares(idle);
        }
    }

    /// Refuses a call that crossed with credit that was taken back, or whose caller asked nobody.
    pub(super) fn is_busy(&self, session: &Session, target: &Target) {
        self.counts.one(Count::Overrun);
        let status = Status::resource_exhausted(
            "no worker is free: this server takes a call only where one is; wait for its credit, or call another",
        )
        .with_retry_after(super::serve::OVERRUN_REST);
        self.say_no(session, target, &status, Report::new(None, None));
        if let Some(idle) = self.idle(session) {
            // What it was told may have been lost, or have overtaken its welcome.
            idle.queue.lock().tell_again(session.id());
            self.tell_shares(idle);
        }
    }

    /// Tells each caller whose share is another. One thread at a time, so that what is told last is
    /// what holds.
    fn tell_shares(&self, idle: &Idle) {
        let Some(pull) = &self.pull else { return };
        while !idle.telling.swap(true, Ordering::SeqCst) {
            loop {
                let news = idle.queue.lock().next_news();
                let Some((caller, calls)) = news else {
                    break;
                };
                if let Some(session) = self.sessions.get(caller) {
                    let version = session.version().unwrap_or(Version::NEWEST);
                    let share = pull.share(&session, calls);
                    let frame = encode_credit(share, version);
                    self.tell(&session, Note::Window, Message::single(frame));
                }
            }
            idle.telling.store(false, Ordering::SeqCst);
            // News that came between the last look and the store found somebody telling.
            if !idle.queue.lock().has_news() {
                return;
            }
        }
    }
}
