//! The replying processes: a shell around [`Session`], with workers and a bounded queue.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use brokerless::machine::{
    Admit, Again, Arrival, Cancelled, Credit, Load, LoadTracker, Ran, Refusal, Session,
    SessionLimits, Start, Ticket, Time, Versions, WindowLimits,
};

use crate::doses::{Doses, Kind, MS};
use crate::ledger::Key;
use crate::network::{Call, End, Message, Packet};
use crate::pulling::Pulling;
use crate::random::mix;
use crate::world::{Event, World, trace};

/// Whom a session is with: the caller at the other end of a connection, or those behind the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum With {
    Connection(usize),
    Device,
}

/// A call that was admitted.
#[derive(Debug, Clone, Copy)]
struct Job {
    with: With,
    ticket: Ticket,
    call: Call,
    deadline: u64,
    /// Behind the device, who asked.
    caller: usize,
    incarnation: u32,
}

/// What a handler makes of a call: a function of the call's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plan {
    Reply,
    Fail,
    /// This replier knows no such method.
    Unknown,
    /// The handler makes a call of its own.
    Nested,
}

pub(crate) struct Replier {
    pub(crate) alive: bool,
    pub(crate) incarnation: u32,
    pub(crate) stopped_until: u64,
    limits: SessionLimits,
    sessions: BTreeMap<With, Session>,
    queue: VecDeque<Job>,
    running: BTreeMap<u64, Job>,
    /// Calls with items: between their turns they have no worker.
    streaming: BTreeMap<u64, Job>,
    jobs: u64,
    draining: bool,
    load: LoadTracker,
    /// It grants free workers alone.
    pub(crate) pulling: Option<Pulling>,
}

impl Replier {
    pub(crate) fn dead(doses: &Doses, pulls: bool) -> Replier {
        let max = Credit::new(doses.window_max, 64 << 20);
        let own = WindowLimits {
            start: Credit::new(doses.window_start.min(doses.window_max), 4 << 20),
            max,
            delay_target: Duration::from_millis(5),
        };
        let window = if pulls { Pulling::window() } else { own };
        Replier {
            alive: false,
            incarnation: 0,
            stopped_until: 0,
            limits: SessionLimits {
                window,
                implicit: Credit::new(64, 64 << 20),
            },
            sessions: BTreeMap::new(),
            queue: VecDeque::new(),
            running: BTreeMap::new(),
            streaming: BTreeMap::new(),
            jobs: 0,
            draining: false,
            load: LoadTracker::new(doses.workers),
            pulling: pulls.then(|| Pulling::new(doses.workers)),
        }
    }

    pub(crate) fn session(&mut self, with: With) -> Option<&mut Session> {
        self.sessions.get_mut(&with)
    }

    pub(crate) fn load(&self) -> Load {
        self.load.report()
    }
}

const VERSIONS: Versions = Versions {
    newest: 2,
    oldest: 1,
};

impl World {
    fn time(&self) -> Time {
        Time::from_nanos(self.now)
    }

    pub(crate) fn start_replier(&mut self, replier: usize) {
        trace!(self, "replier {replier} starts");
        let mut process = Replier::dead(&self.doses, self.pulls(replier));
        process.alive = true;
        process.incarnation = self.repliers[replier].incarnation + 1;
        let session = Session::new(process.limits);
        process.sessions.insert(With::Device, session);
        self.repliers[replier] = process;
        for caller in 0..self.callers.len() {
            if self.callers[caller].lives_in == Some(replier) {
                self.start_caller(caller);
            }
        }
    }

    pub(crate) fn crash_replier(&mut self, replier: usize) {
        trace!(self, "replier {replier} crashes");
        self.end_replier(replier, false);
    }

    /// The process is gone: its connections end, those of what lived in it too.
    fn end_replier(&mut self, replier: usize, flushed: bool) {
        self.check_sessions(replier);
        self.repliers[replier].alive = false;
        self.streams.gone(End::Replier, replier);
        for connection in 0..self.connections.len() {
            if self.connections[connection].replier == replier
                && !self.connections[connection].is_over()
            {
                self.close_end(connection, End::Replier);
                let flushed = flushed.then_some(End::Replier);
                self.break_connection(connection, flushed);
            }
        }
        for caller in 0..self.callers.len() {
            if self.callers[caller].lives_in == Some(replier) && self.callers[caller].alive {
                self.crash_caller(caller);
            }
        }
    }

    pub(crate) fn replier_loses(&mut self, connection: usize) {
        let replier = self.connections[connection].replier;
        let with = With::Connection(connection);
        let process = &mut self.repliers[replier];
        if let Some(mut session) = process.sessions.remove(&with) {
            let given_up = session.gone();
            trace!(self, "replier {replier} gives up {given_up} calls");
            self.check_session(replier, &session);
        }
        self.parts(replier, with);
        self.end_streams(replier, |job| job.with == with);
        self.leave_if_quiet(replier);
    }

    pub(crate) fn replier_hears(&mut self, connection: usize, message: Message) {
        let replier = self.connections[connection].replier;
        let with = With::Connection(connection);
        match message {
            Message::Hello => {
                let process = &mut self.repliers[replier];
                let mut session = Session::new(process.limits);
                if process.draining {
                    session.drain();
                }
                let terms = session.hello(VERSIONS, VERSIONS);
                process.sessions.insert(with, session);
                let answer = match terms {
                    Ok(terms) => {
                        let window = self.first_window(replier, with, terms.credit);
                        Message::Welcome(window, self.pulls(replier))
                    }
                    Err(_) => Message::NotWelcome,
                };
                self.send(connection, End::Caller, answer);
            }
            Message::Call(call) => {
                let via = 0;
                self.arrive(replier, with, via, call, (0, 0));
            }
            Message::Cancel(id) => self.cancel_at(replier, with, 0, id.wire()),
            Message::Bye => {
                if let Some(session) = self.repliers[replier].sessions.get_mut(&with) {
                    session.bye();
                }
            }
            Message::Items(..) | Message::Window(..) | Message::Stop(..) => {
                if self.random.chance(self.doses.disorder) {
                    let incarnation = self.repliers[replier].incarnation;
                    let wait = self.random.between(0, 3 * MS);
                    self.push_in(wait, Event::Late(connection, incarnation, message));
                } else {
                    self.stream_hears(End::Replier, connection, message);
                }
            }
            Message::Wish(calls) => self.wish_comes(replier, with, calls),
            Message::Welcome(..)
            | Message::NotWelcome
            | Message::Credit(_)
            | Message::Reply { .. }
            | Message::Error { .. } => {}
        }
        self.leave_if_quiet(replier);
    }

    pub(crate) fn replier_hears_device(&mut self, packet: Packet) {
        let via = (packet.caller as u64 + 1) << 32 | u64::from(packet.incarnation);
        let (replier, with) = (packet.replier, With::Device);
        match packet.message {
            Message::Call(call) => {
                let from = (packet.caller, packet.incarnation);
                self.arrive(replier, with, via, call, from);
            }
            Message::Cancel(id) => self.cancel_at(replier, with, via, id.wire()),
            _ => {}
        }
        self.leave_if_quiet(replier);
    }

    fn arrive(
        &mut self,
        replier: usize,
        with: With,
        via: u64,
        call: Call,
        (caller, incarnation): (usize, u32),
    ) {
        let now = self.time();
        let (workers, queue_max) = (self.doses.workers, self.doses.queue_max);
        if self.repliers[replier].session(with).is_none() {
            return;
        }
        if !self.takes(replier, with, &call) {
            self.is_busy(replier, with, call, (caller, incarnation));
            return;
        }
        let process = &mut self.repliers[replier];
        let Some(session) = process.sessions.get_mut(&with) else {
            return;
        };
        let deadline = self.now.saturating_add(call.left);
        let arrival = Arrival {
            id: call.id.wire(),
            via,
            bytes: call.bytes,
            deadline: Time::from_nanos(deadline),
            used_up: call.used_up,
        };
        let admit = session.arrive(now, arrival);
        let held = session.in_flight();
        let max = process.limits.window.max;
        let greeted = session.is_greeted();
        if let Admit::Run(ticket) = admit
            && call.beside
        {
            self.answer_beside(replier, (with, ticket), call, (caller, incarnation));
            return;
        }
        if let Admit::Run(ticket) = admit
            && self.plan(replier, call.key) == Plan::Unknown
        {
            self.know_nothing(replier, with, ticket, call, (caller, incarnation));
            return;
        }
        let process = &mut self.repliers[replier];
        let Some(session) = process.sessions.get_mut(&with) else {
            return;
        };
        let job = |ticket| Job {
            with,
            ticket,
            call,
            deadline,
            caller,
            incarnation,
        };
        match admit {
            Admit::Run(ticket) => {
                process.load.arrived();
                if process.running.len() < workers {
                    self.start(replier, job(ticket));
                } else if process.pulling.is_some() {
                    let what = format!("call {} waits for a worker of one that pulls", call.key);
                    self.ledger.violated(self.now, what);
                } else if process.queue.len() < queue_max {
                    process.queue.push_back(job(ticket));
                } else {
                    process.load.refused();
                    let finish = session.refuse(now, ticket, true);
                    self.gives_back(replier, with, &call);
                    if let Some(finish) = finish {
                        let wait = (mix(call.key).is_multiple_of(4)).then_some(2 * MS);
                        let (ran, again) = (Ran::No, Again::Later);
                        self.fail(replier, &job(ticket), ran, again, wait, finish.credit);
                    }
                }
            }
            Admit::Refused(refusal, credit) => {
                self.gives_back(replier, with, &call);
                self.refuse(replier, with, call, refusal, credit, (caller, incarnation));
            }
            Admit::Duplicate => {
                self.gives_back(replier, with, &call);
                if with != With::Device {
                    let what = format!("call {} comes twice over one connection", call.key);
                    self.ledger.violated(self.now, what);
                }
            }
        }
        if greeted && held.calls > max.calls {
            let what = format!("replier {replier} holds {held:?} of one caller, at most {max:?}");
            self.ledger.violated(self.now, what);
        }
    }

    /// There is no such method here.
    fn know_nothing(
        &mut self,
        replier: usize,
        with: With,
        ticket: Ticket,
        call: Call,
        from: (usize, u32),
    ) {
        let now = self.time();
        let session = self.repliers[replier].sessions.get_mut(&with);
        let finish = session.and_then(|session| session.refuse(now, ticket, false));
        self.gives_back(replier, with, &call);
        if let Some(finish) = finish {
            let error = Message::Error {
                id: call.id,
                key: call.key,
                ran: Ran::No,
                again: Again::Elsewhere,
                retry_after: None,
                credit: self.riding(replier, finish.credit),
            };
            self.answer(replier, with, from, error);
        }
    }

    fn start(&mut self, replier: usize, job: Job) {
        let now = self.time();
        let process = &mut self.repliers[replier];
        let start = match process.sessions.get_mut(&job.with) {
            Some(session) => session.start(now, job.ticket),
            None => Start::Gone,
        };
        match start {
            Start::Run => {
                let number = process.jobs;
                process.jobs += 1;
                let incarnation = process.incarnation;
                let key = job.call.key;
                match job.call.stream {
                    Some(_) => process.streaming.insert(number, job),
                    None => process.running.insert(number, job),
                };
                trace!(self, "replier {replier} runs call {key}");
                self.note(key);
                self.ledger.started(self.now, key);
                if let (Some(form), With::Connection(connection)) = (job.call.stream, job.with) {
                    self.stream_begins_there(connection, number, job.call, form);
                } else if self.plan(replier, key) != Plan::Nested
                    || !self.nest(replier, number, job.deadline, key)
                {
                    let wait = mix(key ^ 0x5151) % (self.doses.handler_max + 1);
                    // Some take no time at all, as inline methods do.
                    let wait = if mix(key ^ 0x11).is_multiple_of(4) {
                        0
                    } else {
                        wait
                    };
                    self.push_in(wait, Event::Done(replier, incarnation, number));
                }
            }
            Start::Refused(refusal, credit) => {
                process.load.refused();
                self.gives_back(replier, job.with, &job.call);
                let from = (job.caller, job.incarnation);
                self.refuse(replier, job.with, job.call, refusal, credit, from);
            }
            Start::Gone => {
                process.load.refused();
                self.gives_back(replier, job.with, &job.call);
            }
        }
    }

    fn plan(&self, replier: usize, key: Key) -> Plan {
        let chance = mix(key ^ 0x77) % 100;
        match chance {
            0..5 => Plan::Fail,
            5..8 if replier == 0 && !self.ledger.records[key as usize].must_succeed => {
                Plan::Unknown
            }
            8..30 => Plan::Nested,
            _ => Plan::Reply,
        }
    }

    pub(crate) fn done(&mut self, replier: usize, number: u64) {
        self.done_with(replier, number, false);
    }

    /// Ends streams before their time: they are answered by an error.
    fn end_streams(&mut self, replier: usize, which: impl Fn(&Job) -> bool) {
        let streaming = self.repliers[replier].streaming.iter();
        let found = streaming.filter(|(_, job)| which(job));
        let found: Vec<_> = found.map(|(number, job)| (*number, job.call.key)).collect();
        for (number, key) in found {
            self.stream_is_cut_short(key);
            self.done_with(replier, number, true);
        }
    }

    fn done_with(&mut self, replier: usize, number: u64, cut_short: bool) {
        let now = self.time();
        let process = &mut self.repliers[replier];
        let running = process.running.remove(&number);
        let Some(job) = running.or_else(|| process.streaming.remove(&number)) else {
            return;
        };
        let key = job.call.key;
        let finish = match process.sessions.get_mut(&job.with) {
            Some(session) => session.finish(now, job.ticket),
            None => None,
        };
        self.ledger.record(key).finished += 1;
        self.gives_back(replier, job.with, &job.call);
        let process = &mut self.repliers[replier];
        match finish {
            None => process.load.refused(),
            Some(finish) => {
                process.load.finished(now, finish.queued, finish.ran, false);
                let credit = self.riding(replier, finish.credit);
                match self.plan(replier, key) {
                    _ if cut_short => {
                        self.fail(replier, &job, Ran::Yes, Again::Never, None, credit);
                    }
                    Plan::Reply | Plan::Nested | Plan::Unknown => {
                        let reply = Message::Reply {
                            id: job.call.id,
                            key,
                            load: self.repliers[replier].load.report(),
                            credit,
                        };
                        self.answer(replier, job.with, (job.caller, job.incarnation), reply);
                    }
                    Plan::Fail => {
                        self.fail(replier, &job, Ran::Yes, Again::Never, None, credit);
                    }
                }
            }
        }
        self.feed(replier);
        self.leave_if_quiet(replier);
    }

    /// Gives free workers something to do.
    fn feed(&mut self, replier: usize) {
        while self.repliers[replier].running.len() < self.doses.workers {
            let Some(job) = self.repliers[replier].queue.pop_front() else {
                return;
            };
            self.start(replier, job);
        }
    }

    fn cancel_at(&mut self, replier: usize, with: With, via: u64, id: u64) {
        let now = self.time();
        let Some(session) = self.repliers[replier].sessions.get_mut(&with) else {
            return;
        };
        let ticket = match session.cancel(id, via) {
            Cancelled::Waiting(ticket) => ticket,
            Cancelled::Running(ticket) => {
                // A handler that waits for items or for room is told.
                self.end_streams(replier, |job| job.with == with && job.ticket == ticket);
                return;
            }
            Cancelled::Unknown => return,
        };
        // Some shells look for it in their queue, others leave it to the worker.
        if mix(id).is_multiple_of(2) {
            return;
        }
        let finish = session.refuse(now, ticket, false);
        let queue = &mut self.repliers[replier].queue;
        let found = queue
            .iter()
            .position(|job| job.ticket == ticket && job.with == with);
        if let (Some(finish), Some(index)) = (finish, found)
            && let Some(job) = queue.remove(index)
        {
            self.repliers[replier].load.refused();
            let (ran, again) = (Ran::No, Again::Never);
            self.fail(replier, &job, ran, again, None, finish.credit);
        }
    }

    pub(crate) fn refuse(
        &mut self,
        replier: usize,
        with: With,
        call: Call,
        refusal: Refusal,
        credit: Option<Credit>,
        from: (usize, u32),
    ) {
        let again = match refusal {
            Refusal::Overrun | Refusal::AfterBye | Refusal::Draining => Again::Later,
            _ => Again::Never,
        };
        if matches!(refusal, Refusal::Overrun | Refusal::AfterBye) && with != With::Device {
            let what = format!(
                "call {} is refused: {refusal:?}, to an honest caller",
                call.key
            );
            self.ledger.violated(self.now, what);
        }
        let error = Message::Error {
            id: call.id,
            key: call.key,
            ran: Ran::No,
            again,
            retry_after: None,
            credit: self.riding(replier, credit),
        };
        self.answer(replier, with, from, error);
    }

    fn fail(
        &mut self,
        replier: usize,
        job: &Job,
        ran: Ran,
        again: Again,
        retry_after: Option<u64>,
        credit: Option<Credit>,
    ) {
        let error = Message::Error {
            id: job.call.id,
            key: job.call.key,
            ran,
            again,
            retry_after,
            credit: self.riding(replier, credit),
        };
        self.answer(replier, job.with, (job.caller, job.incarnation), error);
    }

    pub(crate) fn answer(
        &mut self,
        replier: usize,
        with: With,
        (caller, incarnation): (usize, u32),
        message: Message,
    ) {
        match with {
            With::Connection(connection) => self.send(connection, End::Caller, message),
            With::Device => self.send_through_device(Packet {
                caller,
                incarnation,
                replier,
                to: End::Caller,
                message,
            }),
        }
    }

    // ---- leaving -----------------------------------------------------------------------------

    pub(crate) fn drain(&mut self, replier: usize) {
        if self.repliers[replier].draining {
            return;
        }
        trace!(self, "replier {replier} drains");
        let process = &mut self.repliers[replier];
        process.draining = true;
        let mut to_tell = Vec::new();
        for (with, session) in &mut process.sessions {
            if session.drain()
                && let With::Connection(connection) = with
            {
                to_tell.push(*connection);
            }
        }
        let incarnation = process.incarnation;
        for connection in to_tell {
            self.send(connection, End::Caller, Message::Bye);
        }
        let timeout = self.doses.drain_timeout;
        self.push_in(timeout, Event::DrainStop(replier, incarnation, false));
        self.push_in(timeout * 2, Event::DrainStop(replier, incarnation, true));
        self.leave_if_quiet(replier);
    }

    pub(crate) fn drain_stop(&mut self, replier: usize, last: bool) {
        trace!(self, "replier {replier} stops");
        if self.doses.kind == Kind::Rolling {
            let what = format!("replier {replier} drains, and does not come to rest by itself");
            self.ledger.violated(self.now, what);
        }
        if last {
            self.leave(replier);
            return;
        }
        for session in self.repliers[replier].sessions.values_mut() {
            session.stop();
        }
        // What waits is answered at once, as not having run.
        while let Some(job) = self.repliers[replier].queue.pop_front() {
            self.start(replier, job);
        }
        self.end_streams(replier, |_| true);
        self.leave_if_quiet(replier);
    }

    fn leave_if_quiet(&mut self, replier: usize) {
        let process = &self.repliers[replier];
        let quiet = process.alive
            && process.draining
            && process.running.is_empty()
            && process.streaming.is_empty()
            && process.sessions.values().all(Session::is_quiet);
        if quiet {
            self.leave(replier);
        }
    }

    fn leave(&mut self, replier: usize) {
        trace!(self, "replier {replier} leaves");
        self.end_replier(replier, true);
        let wait = self.random.between(10, 300) * MS;
        self.push_in(wait, Event::StartReplier(replier));
    }

    // ---- the ledger's look at the machines ---------------------------------------------------

    fn check_sessions(&mut self, replier: usize) {
        let sessions = std::mem::take(&mut self.repliers[replier].sessions);
        for session in sessions.values() {
            self.check_session(replier, session);
        }
        self.repliers[replier].sessions = sessions;
    }

    fn check_session(&mut self, replier: usize, session: &Session) {
        let stats = session.stats();
        let ends = stats.finished
            + stats.overruns
            + stats.draining
            + stats.expired
            + stats.cancelled
            + stats.turned_away
            + stats.duplicates
            + stats.abandoned;
        if stats.arrived != ends + u64::from(stats.held) {
            let what = format!("replier {replier}: calls do not add up: {stats:?}");
            self.ledger.violated(self.now, what);
        }
        self.note(ends);
    }

    pub(crate) fn settle_replier(&mut self, replier: usize) {
        self.check_sessions(replier);
        self.settle_pulling(replier);
        let process = &self.repliers[replier];
        let mut faults = Vec::new();
        if !process.alive {
            faults.push("is not back".to_owned());
        }
        let streaming = !process.streaming.is_empty();
        if !process.running.is_empty() || !process.queue.is_empty() || streaming {
            faults.push("still has calls".to_owned());
        }
        if process.load.report().in_flight != 0 {
            faults.push(format!("reports {:?} at rest", process.load.report()));
        }
        for (with, session) in &process.sessions {
            if session.stats().held != 0 || session.in_flight() != Credit::default() {
                faults.push(format!("{with:?} still holds {:?}", session.stats()));
            }
            let most = self.doses.window_max.max(64);
            let within = (1..=most).contains(&session.credit().calls);
            if !within && process.pulling.is_none() {
                faults.push(format!("{with:?} has a window of {:?}", session.credit()));
            }
        }
        for fault in faults {
            self.ledger
                .violated(self.now, format!("replier {replier} {fault}"));
        }
    }
}
