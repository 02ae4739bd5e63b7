//! The virtual world of one seed: the clock, what is to happen, and the faults.
//!
//! Two phases. In the first one anything may happen, and what must never happen is watched for. Then
//! everything heals: whatever is asked from then on has to be answered, every call has to end, and
//! nothing may be left over.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use crate::calling::Host;
use crate::doses::{Doses, Kind, MS, SILENCE_MAX, TICK};
use crate::ledger::{Key, Ledger};
use crate::network::{Connection, End, Message, Packet};
use crate::random::{Random, mix};
use crate::replying::Replier;
use crate::scattering::Scattering;
use crate::streams::Streams;

/// Events after which a seed is taken to run in a circle.
const EVENTS_MAX: u64 = 30_000_000;

/// What happens next. Processes go with their incarnation: what was meant for one that has died
/// happens to nobody.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Event {
    /// A caller's program makes some calls.
    Burst(usize, u32),
    /// A caller's program has waited for a call until its deadline.
    Expire(usize, u32, Key),
    /// A caller's program gives a call up.
    Cancel(usize, u32, Key),
    /// A caller's timers.
    Timers(usize, u32),
    /// A scatter's time has come, or its program cancels it.
    Scatter(usize, u32, usize, bool),
    /// A caller connects one of its nodes.
    Dial(usize, u32, usize),
    /// A caller's process starts.
    StartCaller(usize),
    /// A replier's handler is done.
    Done(usize, u32, u64),
    /// A replier's process is told to leave.
    Drain(usize, u32),
    /// The drain's deadline; then that of the process.
    DrainStop(usize, u32, bool),
    /// A replier's process starts.
    StartReplier(usize),
    /// The first message of a connection arrives.
    Deliver(usize, End),
    /// An end finds its connection lost.
    Lost(usize, End),
    /// A message comes out of a device.
    Device(Packet),
    /// A program of a side of a stream goes on.
    Step(End, Key, u64),
    /// A thread of a replier hears a message of a stream, later than others.
    Late(usize, u32, Message),
    /// Faults are drawn.
    Tick,
    /// Faults end.
    Heal,
}

struct Due {
    at: u64,
    order: u64,
    event: Event,
}

impl PartialEq for Due {
    fn eq(&self, other: &Due) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Due) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Due) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// What a seed came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Of everything that happened.
    pub(crate) hash: u64,
    pub(crate) calls: u64,
    pub(crate) replied: u64,
    pub(crate) events: u64,
    pub(crate) streams: u64,
    pub(crate) items: u64,
    pub(crate) violations: Vec<String>,
}

pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) random: Random,
    pub(crate) doses: Doses,
    pub(crate) callers: Vec<Host>,
    pub(crate) repliers: Vec<Replier>,
    pub(crate) connections: Vec<Connection>,
    pub(crate) partitions: BTreeSet<(usize, usize)>,
    pub(crate) ledger: Ledger,
    pub(crate) scattering: Scattering,
    pub(crate) streams: Streams,
    pub(crate) healed: bool,
    trace: bool,
    hash: u64,
    order: u64,
    events: BinaryHeap<Reverse<Due>>,
    happened: u64,
    rolling: usize,
}

/// Says what happens, where a trace is asked for.
macro_rules! trace {
    ($world:expr, $($what:tt)*) => {
        if $world.is_traced() {
            $world.say(format!($($what)*));
        }
    };
}
pub(crate) use trace;

impl World {
    pub(crate) fn new(seed: u64, trace: bool) -> World {
        let mut random = Random::new(seed);
        let doses = Doses::draw(&mut random);
        let mut world = World {
            now: 0,
            random,
            callers: Vec::new(),
            repliers: Vec::new(),
            connections: Vec::new(),
            partitions: BTreeSet::new(),
            ledger: Ledger::default(),
            scattering: Scattering::default(),
            streams: Streams::default(),
            healed: false,
            trace,
            hash: seed,
            order: 0,
            events: BinaryHeap::new(),
            happened: 0,
            rolling: 0,
            doses,
        };
        trace!(world, "{:?}", world.doses);
        world.populate();
        world
    }

    fn populate(&mut self) {
        for replier in 0..self.doses.repliers {
            let pulls = self.random.chance(self.doses.pull);
            let dead = Replier::dead(&self.doses, pulls);
            self.repliers.push(dead);
            self.start_replier(replier);
        }
        for _ in 0..self.doses.callers {
            let nodes = (0..self.doses.repliers).collect();
            self.callers.push(Host::dead(None, nodes));
        }
        if self.doses.nested {
            // Towards higher numbers only: in a circle, handlers would wait for one another.
            for replier in 0..self.doses.repliers - 1 {
                let nodes = (replier + 1..self.doses.repliers).collect();
                self.callers.push(Host::dead(Some(replier), nodes));
            }
        }
        for caller in 0..self.callers.len() {
            self.start_caller(caller);
        }
        self.push(TICK, Event::Tick);
        let heal_at = self.doses.heal_at;
        self.push(heal_at, Event::Heal);
    }

    /// Lives through the seed.
    pub(crate) fn run(mut self) -> Verdict {
        while let Some(Reverse(due)) = self.events.pop() {
            if due.at > self.doses.over_at || !self.ledger.violations.is_empty() {
                break;
            }
            self.now = due.at;
            self.happened += 1;
            if self.happened > EVENTS_MAX {
                let now = self.now;
                self.ledger.violated(now, "events go round in a circle");
                break;
            }
            self.happen(due.event);
        }
        if self.ledger.violations.is_empty() {
            self.settle();
        }
        self.note(self.ledger.replied);
        Verdict {
            hash: self.hash,
            calls: self.ledger.records.len() as u64,
            replied: self.ledger.replied,
            events: self.happened,
            streams: self.ledger.streams,
            items: self.ledger.items,
            violations: self.ledger.violations,
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Burst(caller, incarnation) => {
                if self.reaches_caller(caller, incarnation, event) {
                    self.burst(caller);
                }
            }
            Event::Expire(caller, incarnation, key) => {
                if self.reaches_caller(caller, incarnation, event) {
                    self.give_up(caller, key, true);
                }
            }
            Event::Cancel(caller, incarnation, key) => {
                if self.reaches_caller(caller, incarnation, event) {
                    self.give_up(caller, key, false);
                }
            }
            Event::Timers(caller, incarnation) => {
                if self.reaches_caller(caller, incarnation, event) {
                    self.timers(caller);
                }
            }
            Event::Scatter(caller, incarnation, number, cancel) => {
                if self.reaches_caller(caller, incarnation, event) {
                    self.scatter_wakes(caller, number, cancel);
                }
            }
            Event::Dial(caller, incarnation, place) => {
                if self.reaches_caller(caller, incarnation, event) {
                    self.dial(caller, place);
                }
            }
            Event::StartCaller(caller) => self.start_caller(caller),
            Event::Done(replier, incarnation, job) => {
                if self.reaches_replier(replier, incarnation, event) {
                    self.done(replier, job);
                }
            }
            Event::Drain(replier, incarnation) => {
                if self.reaches_replier(replier, incarnation, event) {
                    self.drain(replier);
                }
            }
            Event::DrainStop(replier, incarnation, last) => {
                if self.reaches_replier(replier, incarnation, event) {
                    self.drain_stop(replier, last);
                }
            }
            Event::StartReplier(replier) => self.start_replier(replier),
            Event::Deliver(connection, end) => self.deliver(connection, end),
            Event::Lost(connection, end) => self.lost(connection, end),
            Event::Device(packet) => self.device(packet),
            Event::Step(side, key, turn) => {
                let Some((process, incarnation)) = self.streams.process(side, key, turn) else {
                    return;
                };
                let reaches = match side {
                    End::Caller => self.reaches_caller(process, incarnation, event),
                    End::Replier => self.reaches_replier(process, incarnation, event),
                };
                if reaches {
                    self.stream_step(side, key);
                }
            }
            Event::Late(connection, incarnation, message) => {
                let replier = self.connections[connection].replier;
                if self.reaches_replier(replier, incarnation, event) {
                    self.stream_hears(End::Replier, connection, message);
                }
            }
            Event::Tick => self.tick(),
            Event::Heal => self.heal(),
        }
    }

    // ---- the clock ---------------------------------------------------------------------------

    pub(crate) fn push(&mut self, at: u64, event: Event) {
        self.order += 1;
        self.events.push(Reverse(Due {
            at: at.max(self.now),
            order: self.order,
            event,
        }));
    }

    pub(crate) fn push_in(&mut self, wait: u64, event: Event) {
        self.push(self.now + wait, event);
    }

    /// Whether this process is there and goes on; a stopped one meets the event once it goes on.
    fn reaches_caller(&mut self, caller: usize, incarnation: u32, event: Event) -> bool {
        let host = &self.callers[caller];
        if !host.alive || host.incarnation != incarnation {
            return false;
        }
        let until = self.caller_stopped_until(caller);
        self.goes_on(until, event)
    }

    fn reaches_replier(&mut self, replier: usize, incarnation: u32, event: Event) -> bool {
        let process = &self.repliers[replier];
        if !process.alive || process.incarnation != incarnation {
            return false;
        }
        let until = process.stopped_until;
        self.goes_on(until, event)
    }

    fn goes_on(&mut self, stopped_until: u64, event: Event) -> bool {
        let goes_on = stopped_until <= self.now;
        if !goes_on {
            self.push(stopped_until, event);
        }
        goes_on
    }

    pub(crate) fn caller_stopped_until(&self, caller: usize) -> u64 {
        let host = &self.callers[caller];
        match host.lives_in {
            Some(replier) => self.repliers[replier].stopped_until,
            None => host.stopped_until,
        }
    }

    // ---- the network -------------------------------------------------------------------------

    pub(crate) fn delay(&mut self) -> u64 {
        let (low, high) = self.doses.delay;
        self.random.between(low, high)
    }

    pub(crate) fn send(&mut self, connection: usize, to: End, message: Message) {
        trace!(self, "connection {connection}: to {to:?}: {message:?}");
        self.ledger.traffic.sent += 1;
        let arrives = self.now + self.delay();
        let link = &mut self.connections[connection];
        if link.broken || !link.to(to).open {
            self.ledger.traffic.dropped += 1;
            return;
        }
        let stream = link.to(to);
        stream.last = arrives.max(stream.last);
        let at = stream.last;
        stream.queue.push_back((at, message));
        if !stream.scheduled {
            stream.scheduled = true;
            self.push(at, Event::Deliver(connection, to));
        }
    }

    fn deliver(&mut self, connection: usize, end: End) {
        let now = self.now;
        let link = &self.connections[connection];
        let stopped_until = match end {
            End::Caller => self.caller_stopped_until(link.caller),
            End::Replier => self.repliers[link.replier].stopped_until,
        };
        let mut wait = stopped_until.max(link.clogged_until);
        if self.partitions.contains(&(link.caller, link.replier)) && !link.broken {
            wait = wait.max(now + TICK);
        }
        let stream = self.connections[connection].to(end);
        stream.scheduled = false;
        let Some(&(at, message)) = stream.queue.front() else {
            return;
        };
        let wait = wait.max(at);
        if wait > now {
            stream.scheduled = true;
            self.push(wait, Event::Deliver(connection, end));
            return;
        }
        stream.queue.pop_front();
        if let Some(&(at, _)) = stream.queue.front() {
            stream.scheduled = true;
            self.push(at, Event::Deliver(connection, end));
        }
        self.ledger.traffic.delivered += 1;
        match end {
            End::Caller => self.caller_hears(connection, message),
            End::Replier => self.replier_hears(connection, message),
        }
    }

    /// Breaks a connection. Of what is on its way some still arrives; `flushed` is the end all of
    /// whose bytes do.
    pub(crate) fn break_connection(&mut self, connection: usize, flushed: Option<End>) {
        if self.connections[connection].broken {
            return;
        }
        trace!(self, "connection {connection} breaks");
        self.connections[connection].broken = true;
        self.connections[connection].clogged_until = 0;
        for end in [End::Caller, End::Replier] {
            let held = self.connections[connection].to(end).queue.len() as u64;
            let keeps = match flushed {
                Some(from) if from == end.other() => held,
                _ => self.random.between(0, held + 1),
            };
            let stream = self.connections[connection].to(end);
            let lost = stream.queue.split_off(keeps as usize).len() as u64;
            self.ledger.traffic.dropped += lost;
            let last = stream.queue.back().map_or(self.now, |(at, _)| *at);
            let wait = self.random.between(0, 10 * MS);
            self.push(last.max(self.now) + wait, Event::Lost(connection, end));
        }
    }

    /// An end is gone, or has found out that the other is.
    pub(crate) fn close_end(&mut self, connection: usize, end: End) -> bool {
        let stream = self.connections[connection].to(end);
        let was_open = stream.open;
        stream.open = false;
        let lost = stream.queue.len() as u64;
        stream.queue.clear();
        self.ledger.traffic.dropped += lost;
        was_open
    }

    fn lost(&mut self, connection: usize, end: End) {
        let link = &self.connections[connection];
        let stopped_until = match end {
            End::Caller => self.caller_stopped_until(link.caller),
            End::Replier => self.repliers[link.replier].stopped_until,
        };
        if !self.goes_on(stopped_until, Event::Lost(connection, end)) {
            return;
        }
        if !self.close_end(connection, end) {
            return;
        }
        trace!(self, "connection {connection}: {end:?} finds it lost");
        match end {
            End::Caller => self.caller_loses(connection),
            End::Replier => self.replier_loses(connection),
        }
    }

    pub(crate) fn send_through_device(&mut self, packet: Packet) {
        trace!(self, "device: {packet:?}");
        self.ledger.traffic.sent += 1;
        let copied = !self.healed && self.random.chance(self.doses.duplicate);
        if copied {
            self.ledger.traffic.copied += 1;
            if let Message::Call(call) = packet.message {
                self.ledger.record(call.key).copies += 1;
            }
        }
        for _ in 0..=u32::from(copied) {
            if !self.healed && self.random.chance(self.doses.loss) {
                self.ledger.traffic.dropped += 1;
            } else {
                let wait = self.delay() + self.delay();
                self.push_in(wait, Event::Device(packet));
            }
        }
    }

    fn device(&mut self, packet: Packet) {
        let (there, stopped_until) = match packet.to {
            End::Caller => {
                let host = &self.callers[packet.caller];
                let there = host.alive && host.incarnation == packet.incarnation;
                (there, self.caller_stopped_until(packet.caller))
            }
            End::Replier => {
                let process = &self.repliers[packet.replier];
                (process.alive, process.stopped_until)
            }
        };
        if !there {
            self.ledger.traffic.dropped += 1;
            return;
        }
        if !self.goes_on(stopped_until, Event::Device(packet)) {
            return;
        }
        self.ledger.traffic.delivered += 1;
        match packet.to {
            End::Caller => self.caller_hears_device(packet),
            End::Replier => self.replier_hears_device(packet),
        }
    }

    // ---- faults ------------------------------------------------------------------------------

    fn tick(&mut self) {
        self.push_in(TICK, Event::Tick);
        self.watch_silence();
        if self.healed {
            return;
        }
        if self.doses.kind == Kind::Rolling {
            self.roll();
            return;
        }
        self.faults_of_links();
        self.faults_of_processes();
    }

    fn faults_of_links(&mut self) {
        for connection in 0..self.connections.len() {
            if self.connections[connection].broken {
                continue;
            }
            if self.random.chance(self.doses.clog) {
                let until = self.now + self.random.between(MS, 2 * SILENCE_MAX);
                trace!(self, "connection {connection} is clogged until {until}");
                self.connections[connection].clogged_until = until;
            }
            if self.random.chance(self.doses.cut) {
                self.break_connection(connection, None);
            }
        }
        for caller in 0..self.callers.len() {
            for replier in 0..self.repliers.len() {
                let pair = (caller, replier);
                let parted = self.partitions.contains(&pair);
                let change = if parted {
                    self.doses.heal
                } else {
                    self.doses.partition
                };
                if self.random.chance(change) {
                    trace!(self, "partition of {pair:?}: {}", !parted);
                    match parted {
                        true => self.partitions.remove(&pair),
                        false => self.partitions.insert(pair),
                    };
                }
            }
            if self.random.chance(self.doses.cut) {
                self.device_breaks(caller);
            }
        }
    }

    fn faults_of_processes(&mut self) {
        for caller in 0..self.callers.len() {
            if self.callers[caller].lives_in.is_some() || !self.callers[caller].alive {
                continue;
            }
            if self.random.chance(self.doses.stop) {
                let until = self.now + self.random.between(MS, 600 * MS);
                trace!(self, "caller {caller} is stopped until {until}");
                // A stop that is drawn while another lasts does not cut it short.
                let stopped = &mut self.callers[caller].stopped_until;
                *stopped = until.max(*stopped);
            }
            if self.random.chance(self.doses.crash) {
                self.crash_caller(caller);
                let wait = self.random.between(10, 300) * MS;
                self.push_in(wait, Event::StartCaller(caller));
            }
        }
        for replier in 0..self.repliers.len() {
            if !self.repliers[replier].alive {
                continue;
            }
            if self.random.chance(self.doses.stop) {
                let until = self.now + self.random.between(MS, 600 * MS);
                trace!(self, "replier {replier} is stopped until {until}");
                // A stop that is drawn while another lasts does not cut it short.
                let stopped = &mut self.repliers[replier].stopped_until;
                *stopped = until.max(*stopped);
            }
            if self.random.chance(self.doses.crash) {
                self.crash_replier(replier);
                let wait = self.random.between(10, 500) * MS;
                self.push_in(wait, Event::StartReplier(replier));
            } else if self.random.chance(self.doses.drain) {
                let incarnation = self.repliers[replier].incarnation;
                self.push_in(0, Event::Drain(replier, incarnation));
            }
        }
    }

    /// One replier after the other leaves and comes back, each once all of them take calls.
    fn roll(&mut self) {
        let ready = |host: &Host| host.is_ready();
        let calm = self.callers.iter().all(ready) && self.repliers.iter().all(|it| it.alive);
        if calm {
            let replier = self.rolling % self.repliers.len();
            self.rolling += 1;
            let incarnation = self.repliers[replier].incarnation;
            self.push_in(0, Event::Drain(replier, incarnation));
        }
    }

    /// Heartbeats: an end that hears nothing for too long gives its connection up.
    fn watch_silence(&mut self) {
        let now = self.now;
        for connection in 0..self.connections.len() {
            let link = &self.connections[connection];
            if link.broken {
                continue;
            }
            let stalled = link.clogged_until > now
                || self.partitions.contains(&(link.caller, link.replier))
                || self.caller_stopped_until(link.caller) > now
                || self.repliers[link.replier].stopped_until > now;
            let since = link.stalled_since.unwrap_or(now);
            self.connections[connection].stalled_since = stalled.then_some(since);
            if stalled && now - since >= SILENCE_MAX {
                self.break_connection(connection, None);
            }
        }
    }

    fn heal(&mut self) {
        trace!(self, "everything heals");
        self.healed = true;
        self.partitions.clear();
        for link in &mut self.connections {
            link.clogged_until = 0;
        }
    }

    // ---- the end -----------------------------------------------------------------------------

    /// Whether everything has converged: what has not is against the invariants.
    fn settle(&mut self) {
        let now = self.now;
        for key in 0..self.ledger.records.len() {
            let record = &self.ledger.records[key];
            if record.outcome.is_none() && !record.died {
                let what = format!("call {key} of caller {} never ends", record.caller);
                self.ledger.violated(now, what);
            }
        }
        self.settle_scatters();
        self.settle_streams();
        for caller in 0..self.callers.len() {
            self.settle_caller(caller);
        }
        for replier in 0..self.repliers.len() {
            self.settle_replier(replier);
        }
        for connection in &self.connections {
            let held = connection.to_caller.queue.len() + connection.to_replier.queue.len();
            self.ledger.traffic.dropped += held as u64;
        }
        let traffic = self.ledger.traffic;
        if traffic.sent + traffic.copied != traffic.delivered + traffic.dropped {
            self.ledger
                .violated(now, format!("messages do not add up: {traffic:?}"));
        }
    }

    /// Takes note of something for the state's hash.
    pub(crate) fn note(&mut self, what: u64) {
        self.hash = mix(self.hash ^ mix(what ^ self.now));
    }

    pub(crate) fn is_traced(&self) -> bool {
        self.trace
    }

    pub(crate) fn say(&self, what: String) {
        println!("{:>12.3} ms  {what}", self.now as f64 / MS as f64);
    }
}
