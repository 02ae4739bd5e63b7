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
//! 3. No thread is kept telling for others: after so many it hands on to the next that comes. (test
//!    `whoever_tells_hands_on_to_the_next_after_so_many`)
//!
//! # Not here
//!
//! Who is granted what (`machine::IdleQueue`).

use std::time::Duration;

use brokerless_patterns::Message;
use parking_lot::{Condvar, Mutex};

use super::answer::Report;
use super::call::Target;
use super::owed::Note;
use super::serve::Shared;
use super::session::Session;
use super::stats::Count;
use crate::machine::{Credit, IdleQueue};
use crate::status::Status;
use crate::wire::{Version, encode_credit};

/// What one thread tells, at most, while another is there to go on.
const TELLS_MOST: u32 = 64;
/// How long that one waits to take over: for what is being told. It may be the same thread, further
/// down.
const TAKE_OVER: Duration = Duration::from_millis(1);

/// Which thread tells: one at a time, and each in its turn.
#[derive(Debug, Default)]
struct Teller {
    state: Mutex<Telling>,
    handed_on: Condvar,
}

#[derive(Debug, Default)]
struct Telling {
    is_told: bool,
    /// How much by the thread that tells now.
    told: u32,
    /// Another waits to go on.
    has_heir: bool,
}

impl Teller {
    /// Whether this thread tells from now on. If not, another does, and comes by whatever is news now.
    fn begins(&self) -> bool {
        let mut state = self.state.lock();
        if state.is_told {
            if state.told < TELLS_MOST || state.has_heir {
                return false;
            }
            state.has_heir = true;
            self.handed_on.wait_for(&mut state, TAKE_OVER);
            state.has_heir = false;
            if state.is_told {
                return false;
            }
        }
        state.is_told = true;
        state.told = 0;
        true
    }

    /// Something was told. Whether this thread goes on: if not, another has taken over.
    fn goes_on(&self) -> bool {
        let mut state = self.state.lock();
        state.told = state.told.saturating_add(1);
        if state.told < TELLS_MOST || !state.has_heir {
            return true;
        }
        state.is_told = false;
        self.handed_on.notify_one();
        false
    }

    /// There is no more.
    fn ends(&self) {
        self.state.lock().is_told = false;
        self.handed_on.notify_one();
    }
}

/// The free workers, and who tells of them.
pub(super) struct Pull {
    queue: Mutex<IdleQueue>,
    /// Who tells callers of their shares.
    teller: Teller,
    bytes: u64,
}

impl Pull {
    /// So many workers; bytes that a caller may have in flight.
    pub(super) fn new(workers: u32, bytes: u64) -> Pull {
        Pull {
            queue: Mutex::new(IdleQueue::new(workers)),
            teller: Teller::default(),
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
        while pull.teller.begins() {
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
                if !pull.teller.goes_on() {
                    return;
                }
            }
            pull.teller.ends();
            // News that came between the last look and the end found somebody telling.
            if !pull.queue.lock().has_news() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_tells_hands_on_to_the_next_after_so_many() {
        let teller = Teller::default();
        assert!(teller.begins());
        for _ in 1..TELLS_MOST {
            assert!(!teller.begins(), "it has only begun");
            assert!(teller.goes_on());
        }
        // Nobody else is there: it goes on, however much that is.
        assert!((0..1000).all(|_| teller.goes_on()));
        // Further down the same thread may come by here: it waits for itself for a moment only.
        assert!(!teller.begins());
        assert!(teller.goes_on());
        std::thread::scope(|scope| {
            let heir = scope.spawn(|| while !teller.begins() {});
            while teller.goes_on() {
                std::thread::yield_now();
            }
            heir.join().expect("it takes over");
        });
        // It is the heir that tells now, and it has only begun.
        assert!(!teller.begins());
        assert!(teller.goes_on());
        teller.ends();
        assert!(teller.begins(), "nobody tells");
    }

    #[test]
    fn whoever_waits_to_go_on_begins_where_there_is_no_more() {
        let teller = Teller::default();
        assert!(teller.begins());
        (0..TELLS_MOST).for_each(|_| drop(teller.goes_on()));
        std::thread::scope(|scope| {
            let heir = scope.spawn(|| while !teller.begins() {});
            teller.ends();
            heir.join().expect("it takes over");
        });
        assert!(!teller.begins());
    }
}
