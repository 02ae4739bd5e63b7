//! The clock, the events in their order, and the way of a call.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use brokerless_patterns::balance::{Load, Nanos, Random};

use super::S;
use super::brain::{Brain, View};
use super::server::{Server, Times};
use super::setup::{Arrivals, Cost, Ended, Log, Replicas, Source, exponential};

/// Something that a scenario does at a time of its own.
type Act = Box<dyn FnOnce(&mut World)>;

/// All of it.
pub(crate) struct World {
    pub(crate) now: Nanos,
    pub(crate) servers: Vec<Server>,
    pub(crate) sources: Vec<Source>,
    pub(crate) cost: Cost,
    pub(crate) log: Log,
    /// Calls that one caller may have at one server; more wait with the caller. One that was given
    /// up counts until the server answers it, or is known to be gone.
    pub(crate) credit: Option<u32>,
    /// A server passes over what waits there beyond its deadline.
    pub(crate) heeds_deadlines: bool,
    /// Questions about load that went without a call.
    pub(crate) probes: u64,
    random: Random,
    /// Apart from the other, so that arrivals and costs are the same whatever fails.
    chance: Random,
    callers: Vec<Caller>,
    /// By caller, the way to each server.
    delays: Vec<Vec<Nanos>>,
    on_the_way: Vec<u32>,
    jobs: Vec<Job>,
    free: Vec<u32>,
    acts: Vec<Option<Act>>,
    planned: BinaryHeap<Reverse<Planned>>,
    sequence: u64,
    ask: Vec<usize>,
}

struct Caller {
    brain: Box<dyn Brain>,
    up: Vec<bool>,
    /// Calls that count against the credit, by server.
    taken: Vec<u32>,
    waiting: VecDeque<u32>,
}

/// Where a call may go.
#[derive(Debug, Clone, Copy)]
enum Able {
    All,
    InARow { first: u16, count: u16 },
    Three([u16; 3]),
}

impl Able {
    fn has(self, server: usize, servers: usize) -> bool {
        match self {
            Able::All => true,
            Able::InARow { first, count } => {
                (server + servers - usize::from(first)) % servers < usize::from(count)
            }
            Able::Three(three) => three.iter().any(|one| usize::from(*one) == server),
        }
    }
}

/// A call, or a question about load.
#[derive(Debug, Clone, Copy)]
struct Job {
    caller: u32,
    server: u32,
    source: u32,
    /// Another for each job under this number.
    generation: u32,
    born: Nanos,
    sent: Nanos,
    reached: Nanos,
    started: Nanos,
    deadline: Nanos,
    cost: f64,
    /// How many others it met at the server.
    met: u32,
    able: Able,
    load: Load,
    is_probe: bool,
    is_sent: bool,
    failed: bool,
    /// Nothing of it is at a server or on its way.
    is_through: bool,
    /// The caller has its end.
    has_ended: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Due { source: u32 },
    Reach { job: u32 },
    Done { server: u32, turn: u32 },
    Answer { job: u32 },
    Late { job: u32, generation: u32 },
    Act { act: u32 },
}

/// By time; at the same time by when it was planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Planned {
    at: Nanos,
    sequence: u64,
    event: Event,
}

impl World {
    /// No callers yet.
    pub(crate) fn new(seed: u64, servers: Vec<Server>, cost: Cost) -> World {
        World {
            now: 0,
            log: Log::new(servers.len()),
            on_the_way: vec![0; servers.len()],
            servers,
            sources: Vec::new(),
            cost,
            credit: None,
            heeds_deadlines: true,
            probes: 0,
            random: Random::new(seed),
            chance: Random::new(!seed),
            callers: Vec::new(),
            delays: Vec::new(),
            jobs: Vec::new(),
            free: Vec::new(),
            acts: Vec::new(),
            planned: BinaryHeap::new(),
            sequence: 0,
            ask: Vec::new(),
        }
    }

    /// A caller, and how long its messages take to each server; the answers take as long.
    pub(crate) fn add_caller(&mut self, brain: Box<dyn Brain>, delays: Vec<Nanos>) {
        assert_eq!(delays.len(), self.servers.len(), "a way to each server");
        self.delays.push(delays);
        self.callers.push(Caller {
            brain,
            up: vec![true; self.servers.len()],
            taken: vec![0; self.servers.len()],
            waiting: VecDeque::new(),
        });
    }

    /// Calls from now on.
    pub(crate) fn add_source(&mut self, source: Source) {
        let number = self.sources.len() as u32;
        let (arrivals, now) = (source.arrivals, self.now);
        self.sources.push(source);
        match arrivals {
            Arrivals::Poisson { .. } => self.plan_next(number),
            Arrivals::Closed { threads, .. } => {
                (0..threads).for_each(|_| self.plan(now, Event::Due { source: number }));
            }
        }
    }

    /// Does something then; it may plan more of it.
    pub(crate) fn at(&mut self, at: Nanos, act: impl FnOnce(&mut World) + 'static) {
        let number = self.acts.len() as u32;
        self.acts.push(Some(Box::new(act)));
        self.plan(at.max(self.now), Event::Act { act: number });
    }

    /// What runs there goes on at another speed.
    pub(crate) fn set_speed(&mut self, server: usize, speed: f64) {
        let now = self.now;
        self.servers[server].set_speed(now, speed);
        self.plan_done(server);
    }

    /// What runs there shares so many cores from now on.
    pub(crate) fn set_cores(&mut self, server: usize, cores: f64) {
        let now = self.now;
        self.servers[server].set_cores(now, cores);
        self.plan_done(server);
    }

    /// The server is gone with all that is there, and nothing reaches it; callers are not told.
    pub(crate) fn lose(&mut self, server: usize) {
        self.servers[server].lost = true;
        for job in self.servers[server].clear() {
            self.through(job);
        }
    }

    /// It is there again, with nothing.
    pub(crate) fn find(&mut self, server: usize) {
        self.servers[server].lost = false;
    }

    /// A caller finds out that a server can be reached, or not: its calls there have failed.
    pub(crate) fn set_up(&mut self, caller: usize, server: usize, up: bool) {
        self.callers[caller].up[server] = up;
        self.callers[caller].brain.set_up(self.now, server, up);
        if !up {
            let there = |job: &Job| {
                (job.caller, job.server) == (caller as u32, server as u32)
                    && job.is_sent
                    && !job.has_ended
            };
            let lost = (0..self.jobs.len() as u32).filter(|job| there(&self.jobs[*job as usize]));
            let lost: Vec<u32> = lost.collect();
            self.callers[caller].taken[server] = 0;
            lost.into_iter().for_each(|job| self.lapse(job));
        }
        self.retry(caller);
    }

    /// How many callers there are.
    pub(crate) fn callers(&self) -> usize {
        self.callers.len()
    }

    /// Until nothing is left to happen, or this time.
    pub(crate) fn run(&mut self, until: Nanos) {
        while let Some(Reverse(planned)) = self.planned.peek().copied() {
            if planned.at > until {
                break;
            }
            self.planned.pop();
            self.now = planned.at;
            self.step(planned.event);
        }
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Due { source } => self.due(source),
            Event::Reach { job } => self.reach(job),
            Event::Done { server, turn } => self.done(server as usize, turn),
            Event::Answer { job } => self.answer(job),
            Event::Late { job, generation } => {
                let late = self.jobs[job as usize];
                if late.generation == generation && !late.has_ended {
                    self.lapse(job);
                }
            }
            Event::Act { act } => {
                if let Some(act) = self.acts[act as usize].take() {
                    act(self);
                }
            }
        }
    }

    fn plan(&mut self, at: Nanos, event: Event) {
        let sequence = self.sequence;
        self.sequence += 1;
        self.planned.push(Reverse(Planned {
            at,
            sequence,
            event,
        }));
    }

    fn plan_next(&mut self, number: u32) {
        let source = &self.sources[number as usize];
        if let Arrivals::Poisson { per_s } = source.arrivals {
            let until = source.until;
            let wait = exponential(&mut self.random) * S as f64 / per_s;
            let at = self.now.saturating_add(wait as Nanos);
            if at < until {
                self.plan(at, Event::Due { source: number });
            }
        }
    }

    fn plan_done(&mut self, server: usize) {
        if let Some((at, turn)) = self.servers[server].next_done() {
            let server = server as u32;
            self.plan(at, Event::Done { server, turn });
        }
    }

    fn due(&mut self, number: u32) {
        let source = &self.sources[number as usize];
        if self.now >= source.until {
            return;
        }
        let (callers, replicas) = (source.callers.clone(), source.replicas);
        let deadline = source.deadline.map_or(0, |deadline| self.now + deadline);
        let poisson = matches!(source.arrivals, Arrivals::Poisson { .. });
        let caller = match callers.len() {
            1 => callers.start,
            more => callers.start + self.random.below(more),
        };
        let servers = self.servers.len();
        let able = match replicas {
            Replicas::All => Able::All,
            Replicas::InARow(count) => Able::InARow {
                first: self.random.below(servers) as u16,
                count: count as u16,
            },
            Replicas::AnyThree => Able::Three(self.three(servers)),
        };
        let cost = self.cost.draw(&mut self.random);
        let job = self.new_job(Job {
            caller: caller as u32,
            server: 0,
            source: number,
            generation: 0,
            born: self.now,
            sent: 0,
            reached: 0,
            started: 0,
            deadline,
            cost,
            met: 0,
            able,
            load: Load::default(),
            is_probe: false,
            is_sent: false,
            failed: false,
            is_through: true,
            has_ended: false,
        });
        if deadline > 0 {
            let generation = self.jobs[job as usize].generation;
            self.plan(deadline, Event::Late { job, generation });
        }
        self.dispatch(job);
        self.probe(caller, able);
        if poisson {
            self.plan_next(number);
        }
    }

    /// Sends a call to whom its caller picks; if there is nobody, it waits.
    fn dispatch(&mut self, number: u32) {
        let job = self.jobs[number as usize];
        let caller = job.caller as usize;
        let servers = self.servers.len();
        let Caller {
            brain,
            up,
            taken,
            waiting,
        } = &mut self.callers[caller];
        let credit = self.credit.unwrap_or(u32::MAX);
        let able =
            |server: usize| job.able.has(server, servers) && up[server] && taken[server] < credit;
        let picked = brain.pick(&View {
            now: self.now,
            servers: &self.servers,
            delays: &self.delays[caller],
            on_the_way: &self.on_the_way,
            able: &able,
        });
        let Some(server) = picked else {
            waiting.push_back(number);
            return;
        };
        assert!(able(server), "picked one that cannot take the call");
        taken[server] += 1;
        brain.sent(self.now, server);
        self.on_the_way[server] += 1;
        let job = &mut self.jobs[number as usize];
        job.server = server as u32;
        job.sent = self.now;
        job.is_sent = true;
        job.is_through = false;
        self.carry(caller, server, Event::Reach { job: number });
    }

    /// Something goes from one to the other, either way.
    fn carry(&mut self, caller: usize, server: usize, event: Event) {
        match self.delays[caller][server] {
            0 => self.step(event),
            delay => self.plan(self.now + delay, event),
        }
    }

    /// Any three different ones.
    fn three(&mut self, servers: usize) -> [u16; 3] {
        let mut rest: [usize; 3] = [0; 3];
        for at in 0..3 {
            // A number among those that are left, and then which that is.
            let mut drawn = self.random.below(servers - at);
            rest[..at].sort_unstable();
            for before in &rest[..at] {
                drawn += usize::from(*before <= drawn);
            }
            rest[at] = drawn;
        }
        rest.map(|server| server as u16)
    }

    fn probe(&mut self, caller: usize, among: Able) {
        let servers = self.servers.len();
        let mut ask = std::mem::take(&mut self.ask);
        let Caller { brain, up, .. } = &mut self.callers[caller];
        let view = View {
            now: self.now,
            servers: &self.servers,
            delays: &self.delays[caller],
            on_the_way: &self.on_the_way,
            able: &|server| among.has(server, servers) && up[server],
        };
        brain.probes(&view, &mut ask);
        for server in ask.drain(..) {
            self.probes += 1;
            let job = self.new_job(Job {
                caller: caller as u32,
                server: server as u32,
                source: 0,
                generation: 0,
                born: self.now,
                sent: self.now,
                reached: 0,
                started: 0,
                deadline: 0,
                cost: 0.0,
                met: 0,
                able: Able::All,
                load: Load::default(),
                is_probe: true,
                is_sent: true,
                failed: false,
                is_through: false,
                has_ended: true,
            });
            self.carry(caller, server, Event::Reach { job });
        }
        self.ask = ask;
    }

    fn reach(&mut self, number: u32) {
        let now = self.now;
        let job = &mut self.jobs[number as usize];
        let (caller, server) = (job.caller as usize, job.server as usize);
        let there = &mut self.servers[server];
        if there.lost {
            self.through(number);
        } else if job.is_probe {
            job.load = there.report();
            self.carry(caller, server, Event::Answer { job: number });
        } else {
            job.reached = now;
            job.met = there.in_flight() as u32;
            there.hits += 1;
            if there.has_room() {
                self.start(number);
                self.plan_done(server);
            } else {
                there.enqueue(number);
            }
        }
    }

    fn start(&mut self, number: u32) {
        let job = &mut self.jobs[number as usize];
        let server = &mut self.servers[job.server as usize];
        job.started = self.now;
        let (share, takes) = server.failing;
        job.failed = share > 0.0 && self.chance.unit() < share;
        let cost = match server.fixed {
            _ if job.failed => takes,
            Some(fixed) => fixed,
            None => job.cost * server.slowness,
        };
        server.start(self.now, number, cost);
    }

    fn done(&mut self, server: usize, turn: u32) {
        let Some(number) = self.servers[server].finish(self.now, turn) else {
            return;
        };
        let now = self.now;
        let job = &mut self.jobs[number as usize];
        let there = &mut self.servers[server];
        let times = Times {
            queued: job.started - job.reached,
            ran: now - job.started,
            cost: job.cost,
            met: job.met,
        };
        there.answered(now, times, job.failed);
        // As it is once this one is answered, and before the next is begun.
        job.load = there.report();
        let caller = job.caller as usize;
        while let Some(next) = self.servers[server].dequeue() {
            let deadline = self.jobs[next as usize].deadline;
            if self.heeds_deadlines && deadline > 0 && deadline <= now {
                // It is answered, so that its credit comes back.
                let job = &mut self.jobs[next as usize];
                job.failed = true;
                job.load = self.servers[server].report();
                let caller = job.caller as usize;
                self.carry(caller, server, Event::Answer { job: next });
            } else {
                self.start(next);
            }
        }
        self.plan_done(server);
        self.carry(caller, server, Event::Answer { job: number });
    }

    fn answer(&mut self, number: u32) {
        let job = self.jobs[number as usize];
        let (caller, server) = (job.caller as usize, job.server as usize);
        let took = self.now - job.sent;
        let Caller { brain, taken, .. } = &mut self.callers[caller];
        if job.is_probe {
            brain.told(self.now, server, took, &job.load);
        } else {
            taken[server] = taken[server].saturating_sub(1);
        }
        if !job.has_ended {
            if job.failed {
                brain.failed(self.now, server, took, &job.load);
            } else {
                brain.replied(self.now, server, took, &job.load);
            }
            self.end(number, !job.failed);
        } else if !job.is_probe {
            self.retry(caller);
        }
        self.through(number);
    }

    /// The caller gives a call up.
    fn lapse(&mut self, number: u32) {
        let job = self.jobs[number as usize];
        let caller = &mut self.callers[job.caller as usize];
        if job.is_sent {
            caller.brain.lapsed(self.now, job.server as usize);
        } else {
            caller.waiting.retain(|waiting| *waiting != number);
        }
        self.end(number, false);
    }

    fn end(&mut self, number: u32, fine: bool) {
        let job = &mut self.jobs[number as usize];
        job.has_ended = true;
        let job = *job;
        let caller = job.caller as usize;
        self.log.add(Ended {
            born: job.born,
            took: self.now - job.born,
            caller,
            server: job.is_sent.then_some(job.server as usize),
            fine,
        });
        if job.is_sent {
            self.on_the_way[job.server as usize] -= 1;
        }
        if let Arrivals::Closed { rest, .. } = self.sources[job.source as usize].arrivals {
            let source = job.source;
            self.plan(self.now + rest, Event::Due { source });
        }
        if job.is_through {
            self.release(number);
        }
        self.retry(caller);
    }

    /// Calls that have waited for somebody may go now.
    fn retry(&mut self, caller: usize) {
        for _ in 0..self.callers[caller].waiting.len() {
            if let Some(job) = self.callers[caller].waiting.pop_front() {
                self.dispatch(job);
            }
        }
    }

    /// Nothing of it is anywhere but with its caller.
    fn through(&mut self, number: u32) {
        let job = &mut self.jobs[number as usize];
        job.is_through = true;
        if job.has_ended {
            self.release(number);
        }
    }

    fn new_job(&mut self, job: Job) -> u32 {
        match self.free.pop() {
            Some(number) => {
                let old = &mut self.jobs[number as usize];
                *old = Job {
                    generation: old.generation + 1,
                    ..job
                };
                number
            }
            None => {
                self.jobs.push(job);
                self.jobs.len() as u32 - 1
            }
        }
    }

    fn release(&mut self, number: u32) {
        // Nobody looks at it again, but a deadline that has not passed: it is not late any more.
        self.jobs[number as usize].has_ended = true;
        self.free.push(number);
    }
}
