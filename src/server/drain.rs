//! The end of a server: callers are told, what is here is run, what is left is answered `No`.
//!
//! ```text
//! stop ──► draining ── nothing is left ─────────────────────────────────┐
//!          listeners closed, bye to callers;                            ▼
//!          what waits or comes from them still runs                  closed: answers written,
//!              │ the time is up                                      threads gone
//!              ▼                                                        ▲
//!          stopping: what waits is answered UNAVAILABLE, `No`; ─────────┘
//!          handlers see themselves cancelled, for GRACE
//! ```
//!
//! # Invariants
//!
//! 1. A drain ends by its deadline, GRACE, and the linger time. (test
//!    `a_drain_ends_by_its_deadline_whatever_handlers_do`)
//! 2. What waits is run or answered `No`. (tests `a_drain_runs_what_waits`,
//!    `what_waits_beyond_the_drains_deadline_is_answered_no`)
//! 3. A stream runs on until the drain's deadline, and is told then. (test
//!    `a_drain_lets_streams_run_on_and_cuts_what_is_left`)
//! 4. A connection is closed once its caller has said bye, or at the deadline. (test
//!    `a_drain_waits_for_every_callers_bye`)
//! 5. A drain that is over in time has every answer with the socket before that is closed, and waits
//!    for those that found no room there. (tests `dropping_a_server_drains_it`,
//!    `a_drain_waits_for_answers_that_found_no_room`)
//! 6. Whatever could not be written is in the report. (test
//!    `a_drain_reports_answers_that_found_no_room_until_its_end`)

use std::sync::Arc;
use std::time::{Duration, Instant};

use brokerless_patterns::{Message, Unsent};
use parking_lot::{Condvar, Mutex};

use super::call::Work;
use super::owed::Note;
use super::serve::{Phase, Shared, leaving};
use super::session::Session;
use super::stats::Count;
use super::stream::Over;
use crate::wire::encode_bye;

/// What handlers that run beyond the deadline are given to see it, and callers to read the last
/// answers.
const GRACE: Duration = Duration::from_millis(250);
/// How often it is looked whether anything is left, at least and at most.
const LOOKS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));
/// What threads that have nothing to do any more are given to go.
const PARTING: Duration = Duration::from_secs(1);

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct DrainReport {
    /// How long it took.
    pub took: Duration,
    /// Callers that were told to send no more.
    pub told: usize,
    /// Of these, those that had neither agreed nor gone at the end.
    pub unheard: usize,
    /// Calls answered meanwhile after they had run.
    pub finished: u64,
    /// Calls that waited at the deadline and were answered that they have not run.
    pub refused: u64,
    /// Calls whose handlers ran on when the server was closed: their callers do not know whether
    /// they ran.
    pub running: u64,
    /// Answers, and what else callers were to be told, that could not be written.
    pub unsent: usize,
    /// Answers that found no room meanwhile, and of which callers were told instead.
    pub cut_down: u64,
    /// Calls that carry items which were cut off at the deadline.
    pub streams: u64,
}

impl DrainReport {
    /// Whether every call was answered with what its handler gave, and every answer written.
    pub fn is_clean(&self) -> bool {
        self.refused == 0
            && self.running == 0
            && self.unsent == 0
            && self.cut_down == 0
            && self.streams == 0
    }
}

#[derive(Debug, Default)]
struct State {
    begun: bool,
    deadline: Option<Instant>,
    report: Option<DrainReport>,
    threads: usize,
}

/// The drain of one server.
#[derive(Debug, Default)]
pub(super) struct Drain {
    state: Mutex<State>,
    news: Condvar,
}

impl Drain {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Something may have ended: whoever waits for that looks again.
    pub(super) fn moved(&self, phase: Phase) {
        if phase >= Phase::Draining {
            drop(self.state.lock());
            self.news.notify_all();
        }
    }

    /// What is left of the drain, in microseconds.
    pub(super) fn left_us(&self, now: Instant) -> u64 {
        let deadline = self.state.lock().deadline;
        let left = deadline.map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        u64::try_from(left.as_micros()).unwrap_or(u64::MAX)
    }

    /// A thread of the server begins.
    pub(super) fn enlist(&self) {
        self.state.lock().threads += 1;
    }

    /// One has ended.
    pub(super) fn dismiss(&self) {
        self.state.lock().threads -= 1;
        self.news.notify_all();
    }

    /// Waits until the server has ended.
    pub(super) fn wait(&self) -> DrainReport {
        let mut state = self.state.lock();
        loop {
            if let Some(report) = state.report {
                return report;
            }
            self.news.wait(&mut state);
        }
    }

    /// Waits until `done`, looking again whenever something has moved; false at the deadline.
    fn until(&self, deadline: Instant, mut done: impl FnMut() -> bool) -> bool {
        let (least, most) = LOOKS;
        loop {
            let looked = Instant::now();
            if done() {
                return true;
            }
            let now = Instant::now();
            if now >= deadline {
                return false;
            }
            let mut state = self.state.lock();
            self.news.wait_until(&mut state, deadline.min(now + most));
            // Many calls may end at once; one look is enough for all of them.
            let next = deadline.min(looked + least);
            while Instant::now() < next {
                self.news.wait_until(&mut state, next);
            }
        }
    }
}

/// Ends a server within this time, on a thread of its own; the first one who asks says how long.
pub(super) fn begin(shared: &Arc<Shared>, within: Duration) {
    {
        let mut state = shared.drain.state.lock();
        if std::mem::replace(&mut state.begun, true) {
            return;
        }
        // At most a day, as the builder has it.
        state.deadline = Some(Instant::now() + within.min(Duration::from_secs(24 * 3600)));
    }
    let own = shared.clone();
    let thread = std::thread::Builder::new().name("bl-drain".to_owned());
    if thread.spawn(move || end(&own)).is_err() {
        end(shared);
    }
}

fn end(shared: &Arc<Shared>) {
    let began = Instant::now();
    let deadline = shared.drain.state.lock().deadline.unwrap_or(began);
    let mut report = DrainReport::default();
    let run_before = ran(shared);
    let lost_before = shared.counts.get(Count::UnsentLost);
    let cut_down_before = shared.counts.get(Count::UnsentFull);
    shared.enter(Phase::Draining);
    shared.health.drain();
    for group in &shared.groups {
        for endpoint in group.router.local_endpoints() {
            // One that is unbound already is what is wanted.
            let _ = group.router.unbind(&endpoint);
        }
    }
    let left = shared.drain.left_us(began);
    for session in shared.sessions.all() {
        let says_bye = session.lock().machine.drain();
        if says_bye {
            report.told += 1;
            shared.tell(&session, Note::Bye, Message::single(encode_bye(left)));
        }
    }
    if !shared.drain.until(deadline, || is_quiet(shared)) {
        (report.refused, report.streams) = give_up(shared);
        shared
            .drain
            .until(Instant::now() + GRACE, || is_quiet(shared));
    }
    let unheard = shared.sessions.all();
    let unheard = unheard.iter().filter(|session| {
        let machine = &session.lock().machine;
        machine.is_greeted() && !machine.is_quiet()
    });
    report.unheard = unheard.count();
    report.finished = ran(shared).saturating_sub(run_before);
    report.running = shared.in_flight.calls();
    close(shared, &mut report);
    let lost = shared.counts.get(Count::UnsentLost) - lost_before;
    report.unsent += usize::try_from(lost).unwrap_or(usize::MAX);
    report.cut_down = shared.counts.get(Count::UnsentFull) - cut_down_before;
    report.took = began.elapsed();
    shared.drain.state.lock().report = Some(report);
    shared.drain.news.notify_all();
}

fn ran(shared: &Shared) -> u64 {
    shared.counts.get(Count::Answered) + shared.counts.get(Count::Failed)
}

/// Whether nothing runs or waits, every answer is with the socket, and no caller may send more.
fn is_quiet(shared: &Shared) -> bool {
    let sessions = shared.sessions.all();
    // In this order: an answer that finds no room is owed before its call is over.
    shared.in_flight.is_over()
        && sessions
            .iter()
            .all(|session| session.lock().machine.is_quiet())
        && sessions.iter().all(|session| is_paid(shared, session))
}

/// Whether a caller is owed nothing, once it has been paid what there is room for.
fn is_paid(shared: &Shared, session: &Session) -> bool {
    if session.has_owed() {
        shared.pay(session);
    }
    !session.has_owed()
}

/// Begins nothing more, answers what waits, and cuts streams off; says how many of each.
fn give_up(shared: &Arc<Shared>) -> (u64, u64) {
    let before = shared.counts.get(Count::Draining);
    // First, so that a handler which sees that it is over, and ends, makes room for nobody.
    for session in shared.sessions.all() {
        session.lock().machine.stop();
    }
    shared.enter(Phase::Stopping);
    let mut streams = 0;
    for session in shared.sessions.all() {
        for stream in session.streams.all() {
            streams += u64::from(shared.cut(&stream, Over::Leaving));
        }
        shared.tell_all_gone(&session, &leaving());
    }
    let default = shared.groups.iter().map(|group| &group.pool);
    for pool in default.chain(&shared.named) {
        for work in pool.remove_all() {
            match work {
                Work::Call(job) => shared.refuse(&job, &leaving(), Count::Draining),
                // A worker drops what is left of it.
                Work::Turn(stream) => shared.offer(&stream),
            }
        }
    }
    (shared.counts.get(Count::Draining) - before, streams)
}

fn close(shared: &Arc<Shared>, report: &mut DrainReport) {
    shared.enter(Phase::Stopped);
    for session in shared.sessions.all() {
        shared.write_off(&session);
    }
    for group in &shared.groups {
        let Unsent { messages, .. } = group.router.close();
        report.unsent += messages;
        group.pool.close();
    }
    for pool in &shared.named {
        pool.close();
    }
    let parting = Instant::now() + PARTING;
    let gone = || shared.drain.state.lock().threads == 0;
    shared.drain.until(parting, gone);
    shared.watch.close();
    // What no worker came to any more. Whoever came late finds nobody, either.
    let default = shared.groups.iter().map(|group| &group.pool);
    for pool in default.chain(&shared.named) {
        for work in pool.remove_all() {
            if let Work::Turn(stream) = work {
                shared.abandon(&stream);
            }
        }
    }
}
