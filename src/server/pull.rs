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
//! 2. Callers take turns at free workers. (test `callers_take_turns_at_free_workers`)
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
use crate::status::Status;
use crate::wire::{Version, encode_credit};

/// The free workers, and who tells of them.
pub(super) struct Pull {
    queue: Mutex<IdleQueue>,
    /// A thread tells callers of their shares.
    telling: AtomicBool,
    bytes: u64,
}

impl Pull {
    /// So many workers; bytes that a caller may have in flight.
    pub(super) fn new(workers: u32, bytes: u64) -> Pull {
        Pull {
            queue: Mutex::new(IdleQueue::new(workers)),
            telling: AtomicBool::new(false),
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
    /// The first window of a caller: in this mode what it is granted, instead of its own.
    pub(super) fn first_window(&self, session: &Session, own: Credit) -> Credit {
        match &self.pull {
            Some(pull) => {
                let calls = pull.queue.lock().join(session.id());
                if session.is_gone() {
                    // Whoever saw its end may have looked before it had joined.
                    self.parts(session.id());
                }
                pull.share(session, calls)
            }
            None => own,
        }
    }

    /// What rides on an answer: in this mode nothing, as shares are told by themselves.
    pub(super) fn riding(&self, credit: Option<Credit>) -> Option<Credit> {
        credit.filter(|_| self.pull.is_none())
    }

    /// Whether there is a worker for a call of this session, and from now on it is taken.
    pub(super) fn takes(&self, session: &Session) -> bool {
        let Some(pull) = &self.pull else {
            return true;
        };
        if session.version() >= Some(Version::Two) {
            return pull.queue.lock().take(session.id());
        }
        let now = self.time(std::time::Instant::now());
        let taken = pull.queue.lock().take_or_wish(now, session.id());
        self.tell_shares(pull);
        taken
    }

    /// A call that was taken has ended.
    pub(super) fn gives_back(&self, session: &Session) {
        if let Some(pull) = &self.pull {
            let now = self.time(std::time::Instant::now());
            pull.queue.lock().give_back(now, session.id());
            self.tell_shares(pull);
        }
    }

    /// A caller says how many of its calls wait for credit.
    pub(super) fn wishes(&self, session: &Session, calls: u32) {
        let Some(pull) = &self.pull else {
            return self.counts.one(Count::Unexpected);
        };
        let now = self.time(std::time::Instant::now());
        pull.queue.lock().wish(now, session.id(), calls);
        self.tell_shares(pull);
    }

    /// A caller is gone.
    pub(super) fn parts(&self, caller: u64) {
        if let Some(pull) = &self.pull {
            let now = self.time(std::time::Instant::now());
            pull.queue.lock().leave(now, caller);
            self.tell_shares(pull);
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
        if let Some(pull) = &self.pull {
            // What it was told may have been lost, or have overtaken its welcome.
            pull.queue.lock().tell_again(session.id());
            self.tell_shares(pull);
        }
    }

    /// Tells each caller whose share is another. One thread at a time, so that what is told last is
    /// what holds.
    fn tell_shares(&self, pull: &Pull) {
        while !pull.telling.swap(true, Ordering::SeqCst) {
            loop {
                let news = pull.queue.lock().next_news();
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
            pull.telling.store(false, Ordering::SeqCst);
            // News that came between the last look and the store found somebody telling.
            if !pull.queue.lock().has_news() {
                return;
            }
        }
    }
}
