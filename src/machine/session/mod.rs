//! The replier's view of one caller: what it admits, what runs, how the session ends.
//!
//! ```text
//!            arrive ──► waits ──start──► runs ──finish──► answered
//!              │          │ cancel, expired, stopped
//!              ▼          ▼
//!        refused (No)   refused (No)
//! ```
//!
//! Every call that is admitted is answered, a cancelled or a one-way call too: the answer is what
//! gives the caller its credit back. Only a second call under an identifier that is still in use is
//! passed over, since the first one's answer goes under it.
//!
//! The drain: [`Session::drain`] says bye to the caller, which answers bye and sends nothing more.
//! What crossed with it still runs, until [`Session::stop`]. Once both have said it and nothing is
//! left, the session is quiet.
//!
//! # Invariants
//!
//! 1. No more than the window's calls are held. (test `a_call_over_the_window_is_refused_as_not_run`)
//! 2. A call is started at most once, and never once it was refused.
//!    (test `a_cancelled_call_that_has_not_started_never_runs`)
//! 3. A ticket is good for one call. (test `a_ticket_of_a_finished_call_is_no_good`)

mod table;

use std::collections::VecDeque;
use std::time::Duration;

use table::{Entry, State, Table};

use super::credit::Credit;
use super::time::Time;
use super::window::{Window, WindowLimits};

/// What a session may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimits {
    /// The window of a caller that has said hello.
    pub window: WindowLimits,
    /// The fixed window of one that has not. Default one call, 64 MiB.
    pub implicit: Credit,
}

impl Default for SessionLimits {
    fn default() -> SessionLimits {
        SessionLimits {
            window: WindowLimits::default(),
            implicit: Credit::new(1, 64 << 20),
        }
    }
}

/// A range of versions of the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Versions {
    /// The newest one spoken.
    pub newest: u8,
    /// The oldest one spoken.
    pub oldest: u8,
}

/// What a welcome says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// The version that both speak.
    pub version: u8,
    /// The first window.
    pub credit: Credit,
}

/// Why a hello is not welcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HelloRefused {
    /// No version is spoken by both.
    Versions {
        /// What this end speaks.
        ours: Versions,
        /// What the caller speaks.
        theirs: Versions,
    },
    /// The replier is about to leave.
    Draining,
}

/// A call that came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Its identifier, chosen by the caller.
    pub id: u64,
    /// What tells its return path from others of the same peer; 0 in a session.
    pub via: u64,
    /// The size of its body and blobs.
    pub bytes: u64,
    /// When it is of no more use.
    pub deadline: Time,
    /// Whether its caller says that the window holds it back.
    pub used_up: bool,
}

/// A call that was admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket {
    index: u32,
    generation: u32,
}

/// What becomes of a call that came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admit {
    /// It is to run.
    Run(Ticket),
    /// It is answered with an error, not having run.
    Refused(Refusal, Option<Credit>),
    /// One of this identifier is there already. It is dropped and counted; nothing is answered,
    /// since the answer would be taken for the other one's.
    Duplicate,
}

/// Why a call is not run. Such a call has not run and will not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// The caller is over its window.
    Overrun,
    /// The caller has said bye before.
    AfterBye,
    /// The replier is leaving.
    Draining,
    /// Its deadline had passed.
    Expired,
    /// Its caller has cancelled it.
    Cancelled,
}

/// What a worker does with a call that it took up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Runs it.
    Run,
    /// Answers it with an error, not having run it. The ticket is spent.
    Refused(Refusal, Option<Credit>),
    /// Nothing: there is no such call, as its caller is gone.
    Gone,
}

/// What a cancellation meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// A call that has not started. Whoever starts it is told not to; or it is answered at once by
    /// [`Session::refuse`].
    Waiting(Ticket),
    /// A call that runs: its handler can see it.
    Running(Ticket),
    /// None: it has been answered, or never came.
    Unknown,
}

/// What goes with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finish {
    /// The window to tell.
    pub credit: Option<Credit>,
    /// How long the call had waited for a worker.
    pub queued: Duration,
    /// How long it ran.
    pub ran: Duration,
}

/// What has come of the calls of a session. The sum of the ends is `arrived` less `held`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct SessionStats {
    /// Calls that came in.
    pub arrived: u64,
    /// Calls finished after they had run.
    pub finished: u64,
    /// Refused: over the window.
    pub overruns: u64,
    /// Refused: after the caller's bye, or while leaving.
    pub draining: u64,
    /// Refused: the deadline had passed.
    pub expired: u64,
    /// Refused: cancelled before they started.
    pub cancelled: u64,
    /// Refused by the shell, as for a full queue.
    pub turned_away: u64,
    /// Passed over: the identifier was in use.
    pub duplicates: u64,
    /// Given up because the caller is gone.
    pub abandoned: u64,
    /// Cancellations of calls that are not known.
    pub cancels_unknown: u64,
    /// Calls held now.
    pub held: u32,
}

/// Cancels of unknown calls that are kept. Those of calls that had been answered are among them,
/// and come to nothing: an identifier is not used again.
const EARLY_MAX: usize = 16;

/// One caller's session.
#[derive(Debug, Clone)]
pub struct Session {
    limits: SessionLimits,
    window: Option<Window>,
    version: u8,
    table: Table,
    flight: Credit,
    /// Calls that were cancelled and not known, the latest: several threads may receive, and one
    /// that has a cancel may be ahead of another that has the call.
    cancelled_early: VecDeque<(u64, u64)>,
    draining: bool,
    stopped: bool,
    bye_said: bool,
    bye_heard: bool,
    stats: SessionStats,
}

impl Session {
    /// A peer that has said nothing yet.
    pub fn new(limits: SessionLimits) -> Session {
        Session {
            limits,
            window: None,
            version: 0,
            table: Table::default(),
            flight: Credit::default(),
            cancelled_early: VecDeque::new(),
            draining: false,
            stopped: false,
            bye_said: false,
            bye_heard: false,
            stats: SessionStats::default(),
        }
    }

    /// The caller says hello. A second hello is answered like the first.
    ///
    /// # Errors
    ///
    /// If no version is common, or the replier is leaving. The session stays as it was.
    pub fn hello(&mut self, ours: Versions, theirs: Versions) -> Result<Terms, HelloRefused> {
        if self.draining {
            return Err(HelloRefused::Draining);
        }
        let version = ours.newest.min(theirs.newest);
        if version < ours.oldest || version < theirs.oldest {
            return Err(HelloRefused::Versions { ours, theirs });
        }
        self.version = version;
        let window = self
            .window
            .get_or_insert_with(|| Window::new(self.limits.window));
        let credit = window.tell();
        Ok(Terms { version, credit })
    }

    /// The version spoken; 0 before a hello.
    pub fn version(&self) -> u8 {
        self.version
    }

    /// Whether the caller has said hello.
    pub fn is_greeted(&self) -> bool {
        self.window.is_some()
    }

    /// A call comes in.
    pub fn arrive(&mut self, now: Time, call: Arrival) -> Admit {
        self.stats.arrived += 1;
        if let Some(window) = &mut self.window {
            window.arrived(call.used_up);
        }
        if self.table.find(call.id, call.via).is_some() {
            self.stats.duplicates += 1;
            return Admit::Duplicate;
        }
        let refusal = if self.bye_heard {
            Some(Refusal::AfterBye)
        } else if self.stopped {
            Some(Refusal::Draining)
        } else if !self.has_room(call.bytes) {
            Some(Refusal::Overrun)
        } else if call.deadline <= now {
            Some(Refusal::Expired)
        } else if self.was_cancelled(call.id, call.via) {
            Some(Refusal::Cancelled)
        } else {
            None
        };
        if let Some(refusal) = refusal {
            self.count(refusal);
            return Admit::Refused(refusal, self.credit_of_refusal());
        }
        self.flight.add(call.bytes);
        self.stats.held += 1;
        let entry = Entry::new(call.id, call.via, call.bytes, call.deadline, now);
        Admit::Run(self.table.keep(entry))
    }

    /// A worker takes up a call.
    pub fn start(&mut self, now: Time, ticket: Ticket) -> Start {
        let stopped = self.stopped;
        let Some(entry) = self.table.get_mut(ticket) else {
            return Start::Gone;
        };
        if entry.state != State::Waits {
            return Start::Gone;
        }
        let refusal = if entry.cancelled {
            Some(Refusal::Cancelled)
        } else if entry.deadline <= now {
            Some(Refusal::Expired)
        } else if stopped {
            Some(Refusal::Draining)
        } else {
            None
        };
        let Some(refusal) = refusal else {
            entry.state = State::Runs;
            entry.started = now;
            return Start::Run;
        };
        if !planted!(RefusalStaysHeld) {
            self.release(ticket);
        }
        self.count(refusal);
        Start::Refused(refusal, self.credit_of_refusal())
    }

    /// A call that ran is answered. None if its caller is gone: there is nobody to answer.
    pub fn finish(&mut self, now: Time, ticket: Ticket) -> Option<Finish> {
        self.finish_after(now, ticket, None)
    }

    #[inline]
    fn finish_after(
        &mut self,
        now: Time,
        ticket: Ticket,
        busy: Option<Duration>,
    ) -> Option<Finish> {
        let entry = self.release(ticket)?;
        self.stats.finished += 1;
        let queued = entry.started.since(entry.arrived);
        let ran = busy.unwrap_or_else(|| now.since(entry.started));
        let window = self.window.as_mut();
        let credit = window.and_then(|window| window.finished(now, queued, ran, entry.bytes));
        Some(Finish {
            credit,
            queued,
            ran,
        })
    }

    /// As [`finish`](Self::finish), for one that lasted longer than its caller waited for anything:
    /// what it kept workers busy for is what it ran.
    pub fn finish_stream(&mut self, now: Time, ticket: Ticket, busy: Duration) -> Option<Finish> {
        self.finish_after(now, ticket, Some(busy))
    }

    /// A call that was admitted is answered without having run. `full`: because a queue was, so that
    /// the window shrinks. None if it has started, or its caller is gone.
    pub fn refuse(&mut self, now: Time, ticket: Ticket, full: bool) -> Option<Finish> {
        if self.table.get_mut(ticket)?.state != State::Waits && !planted!(CancelDropsRunning) {
            return None;
        }
        let entry = self.release(ticket)?;
        if entry.cancelled {
            self.stats.cancelled += 1;
        } else {
            self.stats.turned_away += 1;
        }
        let credit = match &mut self.window {
            Some(window) if full => window.overloaded(now),
            Some(window) => window.refused(),
            None => None,
        };
        Some(Finish {
            credit,
            queued: now.since(entry.arrived),
            ran: Duration::ZERO,
        })
    }

    /// A call that was taken up to be passed on was not, as there is no room for it: as one that
    /// waits and finds a queue full, so that the window shrinks. None if its caller is gone.
    pub fn turn_back(&mut self, now: Time, ticket: Ticket) -> Option<Finish> {
        let entry = self.release(ticket)?;
        self.stats.turned_away += 1;
        let window = self.window.as_mut();
        Some(Finish {
            credit: window.and_then(|window| window.overloaded(now)),
            queued: now.since(entry.arrived),
            ran: Duration::ZERO,
        })
    }

    /// The caller cancels a call.
    pub fn cancel(&mut self, id: u64, via: u64) -> Cancelled {
        let Some(ticket) = self.table.find(id, via) else {
            self.stats.cancels_unknown += 1;
            if self.cancelled_early.len() == EARLY_MAX {
                self.cancelled_early.pop_front();
            }
            self.cancelled_early.push_back((id, via));
            return Cancelled::Unknown;
        };
        match self.table.get_mut(ticket) {
            Some(entry) => {
                entry.cancelled = true;
                match entry.state {
                    State::Runs if !planted!(CancelDropsRunning) => Cancelled::Running(ticket),
                    State::Runs => Cancelled::Waiting(ticket),
                    State::Waits | State::Free => Cancelled::Waiting(ticket),
                }
            }
            None => Cancelled::Unknown,
        }
    }

    fn was_cancelled(&mut self, id: u64, via: u64) -> bool {
        let at = self
            .cancelled_early
            .iter()
            .position(|early| *early == (id, via));
        at.and_then(|at| self.cancelled_early.remove(at)).is_some()
    }

    /// Whether a call's caller has cancelled it, or is gone.
    pub fn is_cancelled(&self, ticket: Ticket) -> bool {
        self.table.get(ticket).is_none_or(|entry| entry.cancelled)
    }

    /// The replier is leaving. Whether bye is to be said to this caller now.
    pub fn drain(&mut self) -> bool {
        self.draining = true;
        if planted!(ByeNeverSaid) {
            return false;
        }
        let say = self.is_greeted() && !self.bye_said;
        self.bye_said |= say;
        say
    }

    /// The drain's deadline: nothing more is admitted or started.
    pub fn stop(&mut self) {
        self.draining = true;
        self.stopped = true;
    }

    /// The caller says bye: it sends no more calls.
    pub fn bye(&mut self) {
        self.bye_heard = true;
    }

    /// The caller is gone. How many of its calls are given up; those that run see themselves
    /// cancelled.
    pub fn gone(&mut self) -> u32 {
        let held = self.stats.held;
        for ticket in self.table.all() {
            self.release(ticket);
            self.stats.abandoned += 1;
        }
        self.bye_heard = true;
        held
    }

    /// Nothing is held, and the caller sends nothing more or never said hello: the replier may leave.
    pub fn is_quiet(&self) -> bool {
        self.stats.held == 0 && (planted!(QuietTooEarly) || self.bye_heard || !self.is_greeted())
    }

    /// What is in flight, by this end's account.
    pub fn in_flight(&self) -> Credit {
        self.flight
    }

    /// The window granted now.
    pub fn credit(&self) -> Credit {
        let window = self.window.as_ref();
        window.map_or(self.limits.implicit, Window::current)
    }

    /// The counts.
    pub fn stats(&self) -> SessionStats {
        self.stats
    }

    fn has_room(&self, bytes: u64) -> bool {
        match &self.window {
            Some(window) => window.admits(self.flight, bytes),
            None => self.limits.implicit.admits(self.flight, bytes),
        }
    }

    fn count(&mut self, refusal: Refusal) {
        match refusal {
            Refusal::Overrun => self.stats.overruns += 1,
            Refusal::AfterBye | Refusal::Draining => self.stats.draining += 1,
            Refusal::Expired => self.stats.expired += u64::from(!planted!(RefusalUncounted)),
            Refusal::Cancelled => self.stats.cancelled += 1,
        }
    }

    fn credit_of_refusal(&mut self) -> Option<Credit> {
        self.window.as_mut().and_then(Window::refused)
    }

    fn release(&mut self, ticket: Ticket) -> Option<Entry> {
        let held = self.table.release(ticket)?;
        self.flight.take(held.bytes);
        self.stats.held -= 1;
        Some(held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::ZERO;

    fn greeted() -> Session {
        let mut session = Session::new(SessionLimits::default());
        let versions = Versions {
            newest: 2,
            oldest: 1,
        };
        session.hello(versions, versions).unwrap();
        session
    }

    fn call(id: u64) -> Arrival {
        Arrival {
            id,
            via: 0,
            bytes: 10,
            deadline: Time::NEVER,
            used_up: false,
        }
    }

    fn admitted(session: &mut Session, id: u64) -> Ticket {
        match session.arrive(NOW, call(id)) {
            Admit::Run(ticket) => ticket,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_older_of_both_versions_is_spoken_if_both_do() {
        let mut session = Session::new(SessionLimits::default());
        let ours = Versions {
            newest: 2,
            oldest: 1,
        };
        let terms = session.hello(
            ours,
            Versions {
                newest: 1,
                oldest: 1,
            },
        );
        assert_eq!(terms.map(|terms| terms.version), Ok(1));
        let theirs = Versions {
            newest: 9,
            oldest: 3,
        };
        let refused = Session::new(SessionLimits::default()).hello(ours, theirs);
        assert_eq!(refused, Err(HelloRefused::Versions { ours, theirs }));
    }

    #[test]
    fn a_call_over_the_window_is_refused_as_not_run() {
        let mut session = greeted();
        for id in 0..16 {
            admitted(&mut session, id);
        }
        let admit = session.arrive(NOW, call(16));
        assert!(
            matches!(admit, Admit::Refused(Refusal::Overrun, _)),
            "{admit:?}"
        );
        assert_eq!((session.stats().overruns, session.stats().held), (1, 16));
    }

    #[test]
    fn a_peer_without_a_hello_has_one_call_at_a_time() {
        let mut session = Session::new(SessionLimits::default());
        let ticket = admitted(&mut session, 1);
        assert!(matches!(
            session.arrive(NOW, call(2)),
            Admit::Refused(Refusal::Overrun, None)
        ));
        assert_eq!(session.start(NOW, ticket), Start::Run);
        assert!(session.finish(NOW, ticket).is_some());
        admitted(&mut session, 3);
    }

    #[test]
    fn a_cancelled_call_that_has_not_started_never_runs() {
        let mut session = greeted();
        let ticket = admitted(&mut session, 1);
        assert_eq!(session.cancel(1, 0), Cancelled::Waiting(ticket));
        let start = session.start(NOW, ticket);
        assert!(
            matches!(start, Start::Refused(Refusal::Cancelled, _)),
            "{start:?}"
        );
        assert_eq!(session.start(NOW, ticket), Start::Gone);
        assert_eq!(session.cancel(1, 0), Cancelled::Unknown);
    }

    #[test]
    fn a_cancel_that_overtook_its_call_is_not_forgotten() {
        let mut session = greeted();
        assert_eq!(session.cancel(7, 0), Cancelled::Unknown);
        let call = |id| Arrival {
            id,
            via: 0,
            bytes: 1,
            deadline: Time::NEVER,
            used_up: false,
        };
        let admit = session.arrive(NOW, call(7));
        assert!(
            matches!(admit, Admit::Refused(Refusal::Cancelled, _)),
            "{admit:?}"
        );
        assert!(matches!(session.arrive(NOW, call(8)), Admit::Run(_)));
        for id in 100..10_000 {
            assert_eq!(session.cancel(id, 0), Cancelled::Unknown);
        }
        assert_eq!(session.cancelled_early.len(), EARLY_MAX);
    }

    #[test]
    fn a_ticket_of_a_finished_call_is_no_good() {
        let mut session = greeted();
        let ticket = admitted(&mut session, 1);
        assert_eq!(session.start(NOW, ticket), Start::Run);
        assert_eq!(session.start(NOW, ticket), Start::Gone);
        assert!(session.finish(NOW, ticket).is_some());
        let other = admitted(&mut session, 2);
        assert_ne!(ticket, other);
        assert!(session.finish(NOW, ticket).is_none());
        assert!(session.refuse(NOW, other, true).is_some());
    }

    #[test]
    fn a_second_call_under_one_identifier_is_passed_over() {
        let mut session = greeted();
        admitted(&mut session, 1);
        assert_eq!(session.arrive(NOW, call(1)), Admit::Duplicate);
        let other_path = Arrival { via: 7, ..call(1) };
        assert!(matches!(session.arrive(NOW, other_path), Admit::Run(_)));
        assert_eq!(session.stats().duplicates, 1);
    }

    #[test]
    fn a_drain_is_quiet_once_the_caller_has_said_bye_and_all_is_answered() {
        let mut session = greeted();
        let ticket = admitted(&mut session, 1);
        assert!(session.drain() && !session.drain());
        // Crossed with the bye.
        let crossed = admitted(&mut session, 2);
        session.bye();
        assert!(matches!(
            session.arrive(NOW, call(3)),
            Admit::Refused(Refusal::AfterBye, _)
        ));
        assert_eq!(session.start(NOW, ticket), Start::Run);
        session.stop();
        assert!(matches!(
            session.start(NOW, crossed),
            Start::Refused(Refusal::Draining, _)
        ));
        assert!(!session.is_quiet());
        session.finish(NOW, ticket);
        assert!(session.is_quiet());
    }

    #[test]
    fn a_caller_that_is_gone_leaves_nothing_behind() {
        let mut session = greeted();
        let (waits, runs) = (admitted(&mut session, 1), admitted(&mut session, 2));
        assert_eq!(session.start(NOW, runs), Start::Run);
        assert_eq!(session.gone(), 2);
        assert!(session.is_cancelled(runs));
        assert_eq!(session.start(NOW, waits), Start::Gone);
        assert!(session.finish(NOW, runs).is_none());
        assert_eq!(session.in_flight(), Credit::default());
    }
}
