//! What the threads of a server share, and a call from its start to its answer.
//!
//! ```text
//!  receive.rs: a message -> an envelope -> a call       (one that carries items: stream/)
//!       |  inline, or a seat is free                no seat, or a named pool
//!       v                                           v
//!      begin ── execute ── finish          enqueue ... run_work: begin ── execute ── finish
//!                  └ Outcome::Later ... finish, by whoever holds the call
//! ```
//!
//! No lock is held while a handler runs or an answer is sent.
//!
//! # Invariants
//!
//! 1. A panic ends its call with `INTERNAL`, and nothing else. (test
//!    `a_panic_is_an_error_and_its_worker_lives_on`)
//! 2. A call whose deadline has passed, or that was cancelled, is not begun. (tests
//!    `a_call_whose_deadline_passed_in_the_queue_is_not_run`,
//!    `a_cancelled_call_that_waits_is_never_run`)
//!
//! # Not here
//!
//! What is done where there is no room for an answer (`owed.rs`).

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use brokerless_patterns::{Engine, Message, Router};
use parking_lot::Mutex;

use super::answer::{self, Report};
use super::call::{Call, Job, Live, Target, Work};
use super::drain::Drain;
use super::intercept::{Calling, Handler, Interceptor, Next};
use super::load::{Rates, Utilisation, is_unwell};
use super::methods::{Method, Methods, Place};
use super::pass::Fallback;
use super::pool::{Pool, Pushed, Seat, Waiting};
use super::pull::Pull;
use super::session::{Session, Sessions};
use super::stats::{Count, Counts};
use super::stream::{Over, Stream, Watch};
use crate::builtin::Health;
use crate::deadline::Scope;
use crate::machine::{self, Flow, LoadTracker, Refusal, SessionLimits, Start, Ticket, Time};
use crate::service::{Outcome, Request};
use crate::status::Status;
use crate::values::Ran;

/// Of inline methods that have proved to be quick, one run of so many is timed: to look at the
/// clock takes as long as they do.
const SAMPLED: u64 = 8;
thread_local! {
    /// When the last quick inline call ended, by its method's mean; or the wait for the one at hand.
    static KNOWN: Cell<Option<Moment>> = const { Cell::new(None) };
}

/// When a caller that is over its window is told to come again.
pub(super) const OVERRUN_REST: Duration = Duration::from_millis(1);

/// One moment by both clocks: each is worked out once for a call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) instant: Instant,
    pub(super) time: Time,
}

impl Moment {
    fn after(self, wait: Duration) -> Moment {
        Moment {
            instant: self.instant + wait,
            time: self.time.after(wait),
        }
    }
}

/// What a server is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Serving,
    /// It runs what it has, and sends callers away.
    Draining,
    /// Its time is up: nothing is begun any more.
    Stopping,
    Stopped,
}

/// What belongs to one engine.
pub(super) struct Group {
    pub(super) engine: Engine,
    pub(super) router: Router,
    pub(super) pool: Pool<Ticket, Work>,
    pub(super) load: Mutex<LoadTracker>,
    pub(super) rates: Rates,
}

/// What a server was told.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) name: String,
    pub(super) blob_bytes_max: u64,
    pub(super) call_bytes_max: u64,
    pub(super) drain_timeout: Duration,
    /// How long a plain call may take, which names no deadline.
    pub(super) plain_timeout: Duration,
    /// Of callers that are directly connected.
    pub(super) direct: SessionLimits,
    /// Of devices that stand between, before they have said more.
    pub(super) through_device: SessionLimits,
    /// What of a stream's items is un-taken at most.
    pub(super) stream: Flow,
    /// How long a stream waits for an item, or for room for one, where its method does not say.
    pub(super) item_timeout: Duration,
}

/// What a call took, as its worker knows it.
pub(super) enum Spent {
    /// A handler ran for so long.
    Call(Duration),
    /// Workers spent so much on it, between other things.
    Stream(Duration),
}

/// Calls in flight; and beside them, in the upper half, those that are in flight no more, and whose
/// answers are on their way to the socket.
#[derive(Debug, Default)]
pub(super) struct InFlight(AtomicU64);

impl InFlight {
    const ENDS: u64 = 1 << 32;

    pub(super) fn begins(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// One is in flight no more, as whoever hears its answer finds; says how many are left.
    pub(super) fn ends(&self) -> u32 {
        let before = self.0.fetch_add(Self::ENDS - 1, Ordering::SeqCst);
        (before as u32).saturating_sub(1)
    }

    /// Its answer is with the socket.
    fn ended(&self) {
        self.0.fetch_sub(Self::ENDS, Ordering::SeqCst);
    }

    /// Those in flight.
    pub(super) fn calls(&self) -> u64 {
        u64::from(self.0.load(Ordering::Relaxed) as u32)
    }

    /// Whether nothing is in flight, and every answer is with the socket.
    pub(super) fn is_over(&self) -> bool {
        self.0.load(Ordering::SeqCst) == 0
    }
}

/// What all threads of a server share.
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) origin: Instant,
    pub(super) methods: Methods,
    /// Takes up the calls of all other methods.
    pub(super) fallback: Option<Arc<dyn Fallback>>,
    pub(super) interceptors: Vec<Arc<dyn Interceptor>>,
    pub(super) groups: Vec<Group>,
    pub(super) named: Vec<Pool<Ticket, Work>>,
    pub(super) sessions: Arc<Sessions>,
    pub(super) counts: Arc<Counts>,
    /// Time limits of streams.
    pub(super) watch: Watch<Arc<Stream>>,
    pub(super) in_flight: InFlight,
    phase: AtomicU8,
    pub(super) me: Weak<Shared>,
    /// A thread looks after callers that are owed something.
    pub(super) owing: AtomicBool,
    pub(super) drain: Drain,
    pub(super) health: Health,
    /// The free workers, if calls are taken for those alone.
    pub(super) pull: Option<Pull>,
    pub(super) utilisation: Utilisation,
}

impl Shared {
    pub(super) fn new(
        me: Weak<Shared>,
        settings: Settings,
        (methods, fallback): (Methods, Option<Arc<dyn Fallback>>),
        interceptors: Vec<Arc<dyn Interceptor>>,
        (groups, named, pull): (Vec<Group>, Vec<Pool<Ticket, Work>>, Option<Pull>),
        health: Health,
        (sessions, counts): (Arc<Sessions>, Arc<Counts>),
    ) -> Self {
        Shared {
            settings,
            origin: Instant::now(),
            methods,
            fallback,
            interceptors,
            groups,
            named,
            sessions,
            counts,
            watch: Watch::new(),
            in_flight: InFlight::default(),
            phase: AtomicU8::new(Phase::Serving as u8),
            me,
            owing: AtomicBool::new(false),
            drain: Drain::new(),
            pull,
            health,
            utilisation: Utilisation::default(),
        }
    }

    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::SeqCst) {
            0 => Phase::Serving,
            1 => Phase::Draining,
            2 => Phase::Stopping,
            _ => Phase::Stopped,
        }
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::SeqCst);
    }

    /// Whether nothing is begun any more.
    pub(super) fn is_stopping(&self) -> bool {
        self.phase() >= Phase::Stopping
    }

    pub(super) fn now(&self) -> Moment {
        let instant = Instant::now();
        Moment {
            instant,
            time: self.time(instant),
        }
    }

    pub(super) fn time(&self, now: Instant) -> Time {
        let since = now.saturating_duration_since(self.origin).as_nanos();
        Time::from_nanos(u64::try_from(since).unwrap_or(u64::MAX))
    }

    pub(super) fn group_of(&self, session: &Session) -> Option<&Group> {
        self.groups.get(session.group)
    }

    // Running.

    /// The time, as far as this thread knows it: a quick inline call that was not timed tells what
    /// it is at its end, for the one that follows at once.
    pub(super) fn take_time(&self) -> Moment {
        KNOWN.take().unwrap_or_else(|| self.now())
    }

    /// The thread has waited until then, if that is known.
    pub(super) fn knows_time(&self, waited: Option<Instant>) {
        KNOWN.set(waited.map(|instant| Moment {
            instant,
            time: self.time(instant),
        }));
    }

    /// The thread is about to wait.
    pub(super) fn forget_time() {
        KNOWN.set(None);
    }

    /// Runs a call that has begun, and answers it unless somebody else will.
    pub(super) fn run(
        self: &Arc<Self>,
        session: &Arc<Session>,
        call: &Call,
        message: &Message,
        begun: Moment,
    ) {
        let Some(method) = self.methods.get(call.method) else {
            return;
        };
        if method.info.is_stream() {
            let timeout = method.info.item_timeout;
            let timeout = timeout.unwrap_or(self.settings.item_timeout);
            let stream = Arc::new(Stream::new(
                session.clone(),
                call.clone(),
                method.info,
                self.settings.stream,
                timeout,
            ));
            return self.run_stream(&stream, message, begun.instant);
        }
        let calls = method.calls.fetch_add(1, Ordering::Relaxed);
        let sampled = method.place != Place::Inline
            || calls.is_multiple_of(SAMPLED)
            || !method.learned.is_quick();
        // What is known of the time may be from before the call was read.
        let begun = if sampled { self.now() } else { begun };
        let (outcome, deferred) = self.execute(session, call, message, None, method);
        let (took, ended) = if sampled {
            let ended = self.time(Instant::now());
            let took = ended.since(begun.time);
            method.learned.ran(took);
            (took, ended)
        } else {
            let took = method.learned.mean();
            let ended = begun.after(took);
            KNOWN.set(Some(ended));
            (took, ended.time)
        };
        if !deferred {
            self.finish(session, call, outcome, took, ended);
        }
    }

    /// Runs the handler; also says whether the call is answered by somebody else.
    pub(super) fn execute(
        self: &Arc<Self>,
        session: &Arc<Session>,
        call: &Call,
        message: &Message,
        stream: Option<&Arc<Stream>>,
        method: &Method,
    ) -> (Outcome, bool) {
        let calling = Calling {
            service: &*method.service,
            index: method.index,
        };
        self.execute_as(session, call, message, stream, method, &calling)
    }

    /// The same, for a handler that is called in another way.
    pub(super) fn execute_as(
        self: &Arc<Self>,
        session: &Arc<Session>,
        call: &Call,
        message: &Message,
        stream: Option<&Arc<Stream>>,
        method: &Method,
        handler: &dyn Handler,
    ) -> (Outcome, bool) {
        let live = Live {
            server: self,
            session,
            call,
            stream,
            about: method.about,
            info: method.info,
            deferred: Cell::new(false),
        };
        let (body, blobs) = call.body.of(message);
        let request = Request {
            body,
            blobs,
            encoding: call.encoding,
            running: &live,
        };
        let scope = Scope::enter(call.deadline);
        let next = Next::new(&self.interceptors, handler);
        let result = catch_unwind(AssertUnwindSafe(|| next.run(request)));
        drop(scope);
        let outcome = result.unwrap_or_else(|panic| {
            self.counts.one(Count::Panicked);
            discard(panic);
            let path = method.info.path;
            Outcome::failed(Status::internal(format!("the handler of {path} panicked")))
        });
        (outcome, live.deferred.get())
    }

    /// Takes up what has waited: a call if it is still wanted, or a stream's turn.
    pub(super) fn run_work(self: &Arc<Self>, work: Work, hands_on: bool) {
        let Job {
            session,
            call,
            message,
        } = match work {
            Work::Call(job) => job,
            Work::Turn(stream) => {
                if hands_on {
                    self.hand_on(&stream.session, stream.call.method);
                }
                return self.turn(&stream);
            }
        };
        let now = self.now();
        let start = session.lock().machine.start(now.time, call.ticket);
        match start {
            Start::Run => {
                if hands_on {
                    self.hand_on(&session, call.method);
                }
                self.run(&session, &call, &message, now);
            }
            Start::Refused(refusal, credit) => {
                self.in_flight.ends();
                self.gives_back(&session, call.method);
                self.turn_away(&session, &call.target, refusal, credit);
                self.told();
            }
            Start::Gone => self.ended(&session, &call),
        }
    }

    /// Runs what waits for this seat, until nothing does.
    pub(super) fn run_waiting(self: &Arc<Self>, group: &Group, seat: Seat) {
        while let Some(work) = group.pool.next(seat) {
            self.run_work(work, true);
        }
    }

    /// Lets another thread receive while a slow handler runs.
    pub(super) fn hand_on(&self, session: &Session, method: usize) {
        let slow = self
            .methods
            .get(method)
            .is_some_and(|m| m.learned.is_slow());
        if slow && let Some(group) = self.group_of(session) {
            group.engine.hand_on();
            group.router.share();
        }
    }

    /// Puts a call into its pool's queue; `seats` if the pool's calls run on receiving threads.
    pub(super) fn enqueue(
        self: &Arc<Self>,
        group: &Group,
        pool: &Pool<Ticket, Work>,
        job: Job,
        seats: bool,
    ) {
        let method = self.methods.get(job.call.method);
        let waiting = Waiting {
            caller: job.session.id(),
            id: job.call.ticket,
            bytes: job.message.bytes(),
            quick: method.is_some_and(|method| method.learned.is_quick()),
            job: Work::Call(job),
        };
        let pushed = if seats {
            pool.push(waiting)
        } else {
            pool.give(waiting)
        };
        match pushed {
            Pushed::Queued => {}
            Pushed::Run(work, seat) => {
                self.run_work(work, true);
                self.run_waiting(group, seat);
            }
            Pushed::Full(Work::Call(job)) => {
                let status = self.is_full(pool, &job.call);
                self.refuse(&job, &status, Count::QueueFull);
            }
            Pushed::Closed(Work::Call(job)) => self.refuse(&job, &leaving(), Count::Draining),
            // Turns are added, and never refused.
            Pushed::Full(Work::Turn(_)) | Pushed::Closed(Work::Turn(_)) => {}
        }
    }

    fn is_full(&self, pool: &Pool<Ticket, Work>, call: &Call) -> Status {
        let (name, most) = (pool.name(), pool.queue_max());
        let text = if name.is_empty() {
            format!(
                "the server's queue is full: {most} calls, or its bytes; raise its options queue and queue_bytes, or workers"
            )
        } else {
            format!(
                "the queue of pool {name} is full: {most} calls, or its bytes; raise its options queue and queue_bytes, or threads"
            )
        };
        // By then about half of the queue will have been worked off.
        let method = self.methods.get(call.method);
        let each = method.map_or(Duration::ZERO, |method| method.learned.mean());
        let rounds = u32::try_from(most / pool.seats().max(1) / 2).unwrap_or(u32::MAX);
        let wait = each.saturating_mul(rounds);
        let wait = wait.clamp(Duration::from_millis(1), Duration::from_secs(1));
        Status::resource_exhausted(text).with_retry_after(wait)
    }

    // Ending.

    /// A call has run: answers it.
    pub(super) fn finish(
        &self,
        session: &Session,
        call: &Call,
        outcome: Outcome,
        busy: Duration,
        now: Time,
    ) {
        self.finish_as(session, call, outcome, Spent::Call(busy), now);
    }

    /// The same, for what is not run in one go, too.
    pub(super) fn finish_as(
        &self,
        session: &Session,
        call: &Call,
        outcome: Outcome,
        spent: Spent,
        now: Time,
    ) {
        let finish = {
            let machine = &mut session.lock().machine;
            match spent {
                Spent::Call(_) => machine.finish(now, call.ticket),
                Spent::Stream(busy) => machine.finish_stream(now, call.ticket, busy),
            }
        };
        let in_flight = self.in_flight.ends();
        self.gives_back(session, call.method);
        let Some(finish) = finish else {
            return self.told();
        };
        let load = self.group_of(session).map(|group| {
            let mut load = group.load.lock();
            let (waited, busy) = match spent {
                // A call that is answered later keeps nobody busy meanwhile.
                Spent::Call(busy) => ((finish.queued + finish.ran).saturating_sub(busy), busy),
                // How long a stream lasts says nothing of how fast calls are answered.
                Spent::Stream(busy) => (finish.queued, busy),
            };
            load.arrived();
            load.finished(now, waited, busy, is_unwell(&outcome));
            let mut report = load.report();
            drop(load);
            report.in_flight = in_flight;
            self.utilisation.tell(&mut report);
            if self.groups.len() > 1 {
                let groups = u16::try_from(self.groups.len()).unwrap_or(u16::MAX);
                report.workers = report.workers.saturating_mul(groups);
                group.rates.note(&report);
                let others = self
                    .groups
                    .iter()
                    .filter(|other| !std::ptr::eq(*other, group));
                others.for_each(|other| other.rates.add_to(&mut report));
            }
            report
        });
        let outcome = match answer::too_large(&outcome, &self.settings) {
            Some(status) => Outcome::failed(status),
            None => outcome,
        };
        let ran = self.count(call, &outcome);
        let report = Report::new(load, self.riding(finish.credit));
        self.send_outcome(session, &call.target, outcome, report, ran);
        self.told();
    }

    /// What is to be said of a call that [`ends`](InFlight::ends) is said: a drain may go on.
    pub(super) fn told(&self) {
        self.in_flight.ended();
        self.drain.moved(self.phase());
    }

    /// Counts how a call came out; says whether it ran.
    fn count(&self, call: &Call, outcome: &Outcome) -> Ran {
        if let Outcome::Answer(_) = outcome {
            self.counts.one(Count::Answered);
            return Ran::Yes;
        }
        self.counts.one(Count::Failed);
        if let Some(method) = self.methods.get(call.method) {
            method.failed.fetch_add(1, Ordering::Relaxed);
        }
        match outcome {
            Outcome::Failed { ran, .. } => *ran,
            Outcome::Answer(_) | Outcome::Later => Ran::Yes,
        }
    }

    /// A call that was admitted has ended, and nobody is to be told.
    pub(super) fn ended(&self, session: &Session, call: &Call) {
        self.in_flight.ends();
        self.gives_back(session, call.method);
        self.told();
    }

    /// Refuses a call that waits.
    pub(super) fn refuse(&self, job: &Job, status: &Status, why: Count) {
        let time = self.time(Instant::now());
        let full = why == Count::QueueFull;
        let finish = job
            .session
            .lock()
            .machine
            .refuse(time, job.call.ticket, full);
        self.in_flight.ends();
        self.gives_back(&job.session, job.call.method);
        if let Some(finish) = finish {
            self.counts.one(why);
            let report = Report::new(None, self.riding(finish.credit));
            self.say_no(&job.session, &job.call.target, status, report);
        }
        self.told();
    }

    /// Answers a call that the session's machine refused.
    pub(super) fn turn_away(
        &self,
        session: &Session,
        target: &Target,
        refusal: Refusal,
        credit: Option<machine::Credit>,
    ) {
        let (why, status) = match refusal {
            Refusal::Overrun => (
                Count::Overrun,
                Status::resource_exhausted(
                    "the caller has more in flight than its window allows: wait for an answer first",
                )
                .with_retry_after(OVERRUN_REST),
            ),
            Refusal::AfterBye => (
                Count::Draining,
                Status::unavailable("the caller has said bye: begin a new session"),
            ),
            Refusal::Draining => (Count::Draining, leaving()),
            Refusal::Expired => (
                Count::Expired,
                Status::deadline_exceeded("the deadline passed before the call was begun"),
            ),
            Refusal::Cancelled => (
                Count::Cancelled,
                Status::cancelled("the caller cancelled the call before it was begun"),
            ),
        };
        self.counts.one(why);
        self.say_no(
            session,
            target,
            &status,
            Report::new(None, self.riding(credit)),
        );
    }

    /// Answers a call that has not run and will not.
    pub(super) fn say_no(
        &self,
        session: &Session,
        target: &Target,
        status: &Status,
        report: Report,
    ) {
        let message = answer::error(target, status, Ran::No, None, report);
        self.send_answer(session, target, message, Ran::No);
    }

    // Leaving.

    /// A connection has ended.
    pub(super) fn gone(self: &Arc<Self>, peer: u64) {
        let Some(session) = self.sessions.get(peer) else {
            return;
        };
        session.leave(&self.counts);
        self.tell_all_gone(&session, &Over::Gone.status());
        for stream in session.streams.close() {
            self.cut(&stream, Over::Gone);
        }
        // Once it is counted: whoever sees that nobody is left finds the books balanced.
        self.sessions.remove(peer);
        self.parts(&session);
        let default = self.groups.iter().map(|group| &group.pool);
        for pool in default.chain(&self.named) {
            for work in pool.remove_caller(peer) {
                match work {
                    Work::Call(job) => self.ended(&job.session, &job.call),
                    // A worker drops what is left of it.
                    Work::Turn(stream) => self.offer(&stream),
                }
            }
        }
        self.drain.moved(self.phase());
    }
}

/// Why a server that leaves runs nothing more.
pub(super) fn leaving() -> Status {
    Status::unavailable("the server is leaving: call another one")
}

/// Drops what a handler panicked with, which may panic again.
pub(super) fn discard(panic: Box<dyn Any + Send>) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        std::mem::forget(again);
    }
}
