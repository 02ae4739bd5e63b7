//! Policies that others have published, to hold ours against: C3 and Prequal, as their papers have
//! them, reasonably tuned for each table.
//!
//! - C3 (Suresh and others, 2015): score R - 1/mu + q^3/mu with q = 1 + ours x callers + the queue that
//!   was reported; means with a weight of 0.9 for the newest, reports on answers. Its rate control
//!   is left out: callers here never wait.
//! - Prequal (Wydrowski and others, 2024): three questions a call to any of those that the call could
//!   go to; a pool of reports, each for a second and for so many calls; hot above the 0.84 quantile
//!   of what is in flight; each call takes the oldest or the worst out, by turns; what is sent to a
//!   node counts in its report. The latency in a report is the median of calls that met about as many
//!   as there are now.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use brokerless_patterns::balance::{Load, Nanos, Random};

use crate::kernel::{Brain, Order, S, View};

/// C3's weight of the newest value.
const NEWEST: f64 = 0.9;
/// Prequal's questions for a call.
const QUESTIONS: usize = 3;
/// How many reports are below where hot begins.
const HOT: f64 = 0.84;
/// The delta of its rule for how often a report is used.
const DELTA: f64 = 1.0;

#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    response: f64,
    run: f64,
    queue: f64,
    ours: f64,
}

/// C3 for one of so many callers.
pub(crate) struct C3 {
    random: Random,
    seen: Vec<Seen>,
    callers: f64,
}

impl C3 {
    pub(crate) fn new(seed: u64, servers: usize, callers: usize) -> C3 {
        C3 {
            random: Random::new(seed),
            seen: vec![Seen::default(); servers],
            callers: callers as f64,
        }
    }

    fn score(&self, server: usize) -> f64 {
        let seen = &self.seen[server];
        if seen.run == 0.0 {
            // Unheard of: first, by what is on its way there.
            return seen.ours - 1e15;
        }
        let queue = 1.0 + seen.ours * self.callers + seen.queue;
        seen.response - seen.run + queue.powi(3) * seen.run
    }
}

impl Brain for C3 {
    fn pick(&mut self, view: &View<'_>) -> Option<usize> {
        let servers = self.seen.len();
        let first = self.random.below(servers);
        let order = (0..servers).map(|at| (first + at) % servers);
        let able = order.filter(|server| (view.able)(*server));
        able.min_by(|one, other| self.score(*one).total_cmp(&self.score(*other)))
    }

    fn sent(&mut self, _: Nanos, server: usize) {
        self.seen[server].ours += 1.0;
    }

    fn replied(&mut self, _: Nanos, server: usize, took: Nanos, load: &Load) {
        let seen = &mut self.seen[server];
        seen.ours -= 1.0;
        let is_first = seen.run == 0.0;
        let mix = |mean: &mut f64, value: f64| {
            *mean += (value - *mean) * if is_first { 1.0 } else { NEWEST };
        };
        mix(&mut seen.response, took as f64);
        mix(&mut seen.queue, f64::from(load.in_flight));
        mix(&mut seen.run, f64::from(load.run_us) * 1000.0);
    }

    fn lapsed(&mut self, _: Nanos, server: usize) {
        self.seen[server].ours -= 1.0;
    }
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    server: usize,
    in_flight: u32,
    latency_us: u32,
    at: Nanos,
    uses: f64,
}

/// Prequal for one caller.
pub(crate) struct Prequal {
    random: Random,
    servers: usize,
    /// Reports in the pool.
    most: usize,
    pool: Vec<Entry>,
    /// How often a report is used.
    uses: f64,
    removes: bool,
    is_turn_of_oldest: bool,
    in_flight: VecDeque<u32>,
}

impl Prequal {
    /// As published: a pool of 16 of the servers.
    pub(crate) fn new(seed: u64, servers: usize) -> Prequal {
        let most = 16.0;
        let left = (1.0 - most / servers as f64) * QUESTIONS as f64 - 1.0;
        Prequal {
            random: Random::new(seed),
            servers,
            most: 16,
            pool: Vec::new(),
            uses: ((1.0 + DELTA) / left).max(1.0),
            removes: true,
            is_turn_of_oldest: false,
            in_flight: VecDeque::new(),
        }
    }

    /// Where a call has few servers to go to: a pool of all, so that those few are in it.
    pub(crate) fn of_few(seed: u64, servers: usize) -> Prequal {
        Prequal {
            most: servers,
            uses: f64::MAX,
            removes: false,
            ..Prequal::new(seed, servers)
        }
    }

    fn hot_above(&self) -> u32 {
        let mut sorted: Vec<u32> = self.in_flight.iter().copied().collect();
        sorted.sort_unstable();
        let at = (sorted.len().saturating_sub(1) as f64 * HOT) as usize;
        sorted.get(at).copied().unwrap_or(0)
    }

    fn remove(&mut self, hot_above: u32) {
        self.is_turn_of_oldest = !self.is_turn_of_oldest;
        let all = 0..self.pool.len();
        let pool = &self.pool;
        let at = if self.is_turn_of_oldest {
            all.min_by_key(|at| pool[*at].at)
        } else if pool.iter().any(|entry| entry.in_flight > hot_above) {
            all.max_by_key(|at| pool[*at].in_flight)
        } else {
            all.max_by_key(|at| pool[*at].latency_us)
        };
        if let Some(at) = at {
            self.pool.swap_remove(at);
        }
    }
}

impl Brain for Prequal {
    fn pick(&mut self, view: &View<'_>) -> Option<usize> {
        self.pool.retain(|entry| view.now - entry.at < S);
        let hot_above = self.hot_above();
        let able = |at: &usize| (view.able)(self.pool[*at].server);
        let able: Vec<usize> = (0..self.pool.len()).filter(able).collect();
        let picked = if able.len() < 2 {
            let servers: Vec<usize> = (0..self.servers).filter(|it| (view.able)(*it)).collect();
            servers.get(self.random.below(servers.len())).copied()
        } else {
            let rank = |at: &usize| {
                let entry = &self.pool[*at];
                let is_hot = entry.in_flight > hot_above;
                let cost = if is_hot {
                    entry.in_flight
                } else {
                    entry.latency_us
                };
                (is_hot, cost)
            };
            let best = able.into_iter().min_by_key(rank)?;
            let entry = &mut self.pool[best];
            let server = entry.server;
            entry.in_flight += 1;
            entry.uses -= 1.0;
            if entry.uses <= 0.0 {
                self.pool.swap_remove(best);
            }
            Some(server)
        };
        if self.removes && self.pool.len() >= self.most {
            self.remove(hot_above);
        }
        picked
    }

    fn probes(&mut self, view: &View<'_>, ask: &mut Vec<usize>) {
        let mut able: Vec<usize> = (0..self.servers).filter(|it| (view.able)(*it)).collect();
        for _ in 0..QUESTIONS.min(able.len()) {
            ask.push(able.swap_remove(self.random.below(able.len())));
        }
    }

    fn told(&mut self, now: Nanos, server: usize, _: Nanos, load: &Load) {
        if self.in_flight.len() >= 64 {
            self.in_flight.pop_front();
        }
        self.in_flight.push_back(load.in_flight);
        let some = self.uses.fract();
        let uses = self.uses.floor() + f64::from(u8::from(self.random.unit() < some));
        let entry = Entry {
            server,
            in_flight: load.in_flight,
            latency_us: load.latency_us,
            at: now,
            uses,
        };
        if let Some(same) = self.pool.iter_mut().find(|entry| entry.server == server) {
            *same = entry;
            return;
        }
        if self.pool.len() >= self.most {
            let oldest = (0..self.pool.len()).min_by_key(|at| self.pool[*at].at);
            oldest.map(|at| self.pool.swap_remove(at));
        }
        self.pool.push(entry);
    }
}

/// One that knows the queue, what is on its way there, and the speed of each server as they are.
pub(crate) struct Knowing {
    random: Random,
    /// Calls sent to each server, by all callers.
    sent: Rc<RefCell<Vec<u64>>>,
}

impl Knowing {
    /// For each of so many callers.
    pub(crate) fn all(callers: usize, servers: usize) -> Vec<Box<dyn Brain>> {
        let sent = Rc::new(RefCell::new(vec![0; servers]));
        let brains = (0..callers as u64).map(|seed| {
            let (random, sent) = (Random::new(seed), sent.clone());
            Box::new(Knowing { random, sent }) as Box<dyn Brain>
        });
        brains.collect()
    }

    /// How long a mean call would take there, by turns of its cost.
    fn time(&self, view: &View<'_>, at: usize) -> f64 {
        let server = &view.servers[at];
        let coming = self.sent.borrow()[at] - server.hits;
        let there = (server.in_flight() as u64 + coming + 1) as f64;
        let wait = match server.order {
            Order::Fifo { slots } => 1.0 + (there / slots as f64 - 1.0).max(0.0),
            Order::Shared { cores } => (there / cores).max(1.0),
        };
        wait / server.speed()
    }
}

impl Brain for Knowing {
    fn pick(&mut self, view: &View<'_>) -> Option<usize> {
        let servers = view.servers.len();
        let first = self.random.below(servers);
        let order = (0..servers).map(|at| (first + at) % servers);
        let able = order.filter(|server| (view.able)(*server));
        let timed = able.map(|server| (self.time(view, server), server));
        let least = timed.min_by(|one, other| one.0.total_cmp(&other.0));
        least.map(|(_, server)| server)
    }

    fn sent(&mut self, _: Nanos, server: usize) {
        self.sent.borrow_mut()[server] += 1;
    }
}
