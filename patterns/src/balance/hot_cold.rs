//! Hot-cold: the fastest of those that are not full, by the last reports of a few nodes.
//!
//! The rule is Prequal's (Wydrowski and others, 2024). A pool holds the last reports of up to
//! [`POOL`] nodes, each for up to a second. Who has more in flight than [`HOT`] of the reports of
//! late is hot. If any is cold, the cold one of the least latency is picked; else the one with the
//! least in flight; any node while there are fewer than two reports.
//!
//! Other than there, reports ride on answers, and questions cost at most a hundredth of what calls
//! cost; so one call of [`ANYWHERE`] goes to any node, and a report counts for one call,
//! or where all nodes have a place in the pool until it is too old, with each call sent there counted
//! in.
//!
//! A node that fails fast looks fast: one of which more than [`FAILING`] of the calls of late have
//! failed is hot, behind all others, until half of that is forgotten in three seconds.
//!
//! # Invariants
//!
//! 1. The coldest and fastest is picked by the published rule. (test
//!    `the_fastest_of_the_cold_is_picked_and_else_the_least_busy`)
//! 2. A report counts for a second. (test `a_report_counts_for_a_second`)
//! 3. Who fails fast is not preferred. (test `failing_fast_is_not_being_fast`)

use std::time::Duration;

use super::members::Members;
use super::nodes::Nodes;
use super::pick::{Ask, Pick};
use super::{Load, Nanos};

/// Nodes in the pool.
const POOL: usize = 16;
/// A report is too old after this.
const AGE: Nanos = 1_000_000_000;
/// It counts for so many calls, where there are more nodes than reports.
const USES: u32 = 1;
/// The share of reports that are not above where hot begins.
const HOT: f64 = 0.84;
/// By so many reports it is reckoned where that is.
const REPORTS: usize = 64;
/// One call of so many goes anywhere.
const ANYWHERE: usize = 64;
/// The share of failures from which a node is hot, whatever it reports.
const FAILING: f64 = 0.2;
/// What a failure takes of what is left of a good name.
const FAILURE: f64 = 0.25;
/// Half of that is back after this, in nanoseconds.
const FORGIVEN: f64 = 3e9;
/// What a question costs, about, and the share of what calls cost that questions may cost.
const QUESTION: f64 = 10_000.0;
const QUESTIONS: f64 = 0.01;

#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    node: usize,
    in_flight: u32,
    latency_us: u32,
    at: Nanos,
    /// Calls sent there since.
    uses: u32,
}

#[derive(Debug, Clone, Copy, Default)]
struct Failures {
    share: f64,
    at: Nanos,
}

impl Failures {
    fn share(&self, now: Nanos) -> f64 {
        if self.share == 0.0 {
            return 0.0;
        }
        self.share * (-(now.saturating_sub(self.at) as f64) / FORGIVEN).exp2()
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct HotCold {
    members: Members,
    pool: Vec<Entry>,
    /// What was in flight at the last reports, in order of time and in order of size.
    latest: Vec<u32>,
    latest_at: usize,
    sorted: Vec<u32>,
    failures: Vec<Failures>,
    questions: f64,
    took: f64,
}

impl HotCold {
    pub(super) fn new() -> HotCold {
        HotCold {
            pool: Vec::with_capacity(POOL),
            latest: Vec::with_capacity(REPORTS),
            sorted: Vec::with_capacity(REPORTS),
            ..HotCold::default()
        }
    }

    /// Above this a node is hot.
    fn hot_above(&self) -> u32 {
        let at = (self.sorted.len().saturating_sub(1) as f64 * HOT) as usize;
        self.sorted.get(at).copied().unwrap_or(u32::MAX)
    }

    fn is_failing(&self, now: Nanos, node: usize) -> bool {
        let failures = self.failures.get(node);
        failures.is_some_and(|failures| failures.share(now) > FAILING)
    }

    fn forget(&mut self, node: usize) {
        self.pool.retain(|entry| entry.node != node);
    }

    fn learn(&mut self, now: Nanos, node: usize, load: &Load) {
        if !self.members.contains(node) {
            return;
        }
        // A latency of nothing is none that was said.
        let usual = (self.took / 1000.0) as u32;
        let entry = Entry {
            node,
            in_flight: load.in_flight,
            latency_us: if load.latency_us == 0 {
                usual
            } else {
                load.latency_us
            },
            at: now,
            uses: 0,
        };
        let same = self.pool.iter().position(|entry| entry.node == node);
        let oldest = || (0..self.pool.len()).min_by_key(|at| self.pool[*at].at);
        match same.or_else(|| oldest().filter(|_| self.pool.len() >= POOL)) {
            Some(at) => self.pool[at] = entry,
            None => self.pool.push(entry),
        }
        if self.latest.len() < REPORTS {
            self.latest.push(load.in_flight);
        } else {
            let before = std::mem::replace(&mut self.latest[self.latest_at], load.in_flight);
            self.latest_at = (self.latest_at + 1) % REPORTS;
            if let Ok(at) = self.sorted.binary_search(&before) {
                self.sorted.remove(at);
            }
        }
        let at = self.sorted.partition_point(|other| *other < load.in_flight);
        self.sorted.insert(at, load.in_flight);
    }
}

impl Pick for HotCold {
    fn joined(&mut self, nodes: &Nodes, node: usize) {
        if self.failures.len() <= node {
            self.failures.resize(node + 1, Failures::default());
        }
        self.failures[node] = Failures::default();
        self.members.update(nodes, node);
    }

    fn changed(&mut self, nodes: &Nodes, node: usize) {
        self.members.update(nodes, node);
        if !self.members.contains(node) {
            self.forget(node);
        }
    }

    fn left(&mut self, _: &Nodes, node: usize) {
        self.members.leave(node);
        self.forget(node);
    }

    fn pick(&mut self, ask: &mut Ask<'_>) -> Option<usize> {
        let now = ask.now;
        self.pool.retain(|entry| now.saturating_sub(entry.at) < AGE);
        if ask.random.below(ANYWHERE) == 0 {
            return self.members.any(ask);
        }
        let hot_above = self.hot_above();
        let warming = ask.nodes.has_warming();
        let mut seen = 0;
        let mut best: Option<(bool, u32, usize)> = None;
        for entry in &self.pool {
            if !ask.is_able(entry.node) || (warming && ask.spares(entry.node)) {
                continue;
            }
            seen += 1;
            let is_failing = self.is_failing(now, entry.node);
            let is_hot = is_failing || entry.in_flight > hot_above;
            let cost = match (is_hot, is_failing) {
                (_, true) => u32::MAX,
                (true, false) => entry.in_flight,
                (false, false) => entry.latency_us,
            };
            if best.is_none_or(|(hot, least, _)| (is_hot, cost) < (hot, least)) {
                best = Some((is_hot, cost, entry.node));
            }
        }
        match best {
            Some((_, _, node)) if seen >= 2 => Some(node),
            _ => self.members.any(ask),
        }
    }

    fn sent(&mut self, _: &Nodes, _: Nanos, node: usize) {
        if let Some(at) = self.pool.iter().position(|entry| entry.node == node) {
            let entry = &mut self.pool[at];
            entry.in_flight = entry.in_flight.saturating_add(1);
            entry.uses += 1;
            if entry.uses >= USES && self.members.len() > POOL {
                self.pool.swap_remove(at);
            }
        }
        self.questions += (self.took * QUESTIONS / QUESTION).min(1.0);
        self.questions = self.questions.min(2.0);
    }

    fn replied(&mut self, _: &Nodes, now: Nanos, node: usize, took: Duration, load: Option<&Load>) {
        let took = took.as_nanos() as f64;
        self.took += (took - self.took) / if self.took == 0.0 { 1.0 } else { 64.0 };
        if let Some(failures) = self.failures.get_mut(node) {
            failures.share *= 1.0 - FAILURE;
        }
        if let Some(load) = load {
            self.learn(now, node, load);
        }
    }

    fn failed(&mut self, _: &Nodes, now: Nanos, node: usize, _: Duration, load: Option<&Load>) {
        if let Some(failures) = self.failures.get_mut(node) {
            let share = failures.share(now);
            let share = share + (1.0 - share) * FAILURE;
            *failures = Failures { share, at: now };
        }
        if let Some(load) = load {
            self.learn(now, node, load);
        }
    }

    fn reported(&mut self, _: &Nodes, now: Nanos, node: usize, load: &Load) {
        self.learn(now, node, load);
    }

    fn wonders(&mut self, ask: &mut Ask<'_>) -> Option<usize> {
        if self.questions < 1.0 {
            return None;
        }
        self.questions -= 1.0;
        self.members.any(ask)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Policy;
    use super::super::testing::{MS, Pool, SECOND};
    use super::*;

    fn load(in_flight: u32, latency_us: u32) -> Load {
        Load {
            in_flight,
            latency_us,
            ..Load::default()
        }
    }

    fn most(pool: &mut Pool, picks: usize) -> usize {
        let mut counts = [0; 32];
        for node in pool.picks(picks) {
            counts[node] += 1;
        }
        let most = (0..32).max_by_key(|node| counts[*node]).unwrap();
        assert!(counts[most] > picks * 8 / 10, "{counts:?}");
        most
    }

    #[test]
    fn the_fastest_of_the_cold_is_picked_and_else_the_least_busy() {
        let mut pool = Pool::of(&Policy::hot_cold(), [1; 6]);
        for node in 0..5 {
            pool.balancer.reported(0, node, load(3, 1000 + node as u32));
        }
        // The fastest of all, but with more in flight than 84 % of the others.
        pool.balancer.reported(0, 5, load(9, 10));
        assert_eq!(most(&mut pool, 1000), 0);
        pool.balancer.reported(0, 3, load(3, 900));
        assert_eq!(most(&mut pool, 1000), 3);
        // All hot, by what is sent there: the least in flight.
        for node in 0..6 {
            (0..20 - node).for_each(|_| pool.send(node));
        }
        assert_eq!(most(&mut pool, 1000), 4);
    }

    #[test]
    fn a_report_counts_for_a_second() {
        let mut pool = Pool::of(&Policy::hot_cold(), [1; 4]);
        pool.balancer.reported(0, 1, load(1, 10));
        pool.balancer.reported(500 * MS, 2, load(1, 20));
        pool.balancer.reported(600 * MS, 3, load(1, 30));
        pool.now = 999 * MS;
        assert_eq!(most(&mut pool, 1000), 1);
        pool.now = SECOND;
        assert_eq!(most(&mut pool, 1000), 2);
        // One report is not enough to go by: any.
        pool.now = 1550 * MS;
        let picks = pool.picks(4000);
        for node in 0..4 {
            let share = picks.iter().filter(|pick| **pick == node).count();
            assert!((800..1200).contains(&share), "{node}: {share}");
        }
    }

    #[test]
    fn failing_fast_is_not_being_fast() {
        let mut pool = Pool::of(&Policy::hot_cold(), [1; 4]);
        let mut failed = 0;
        for call in 0..4000 {
            pool.now = call * MS;
            let node = pool.pick().unwrap();
            pool.send(node);
            let (now, balancer) = (pool.now, &mut pool.balancer);
            if node == 0 {
                failed += 1;
                balancer.failed(now, node, Duration::from_micros(10), Some(&load(0, 10)));
            } else {
                balancer.replied(now, node, Duration::from_millis(20), Some(&load(2, 20_000)));
            }
        }
        assert!(failed < 80, "{failed} of 4000 went to who fails");
    }

    #[test]
    fn all_of_the_pool_come_and_go_and_absurd_reports_do_no_harm() {
        let mut pool = Pool::of(&Policy::hot_cold(), [1; 20]);
        for round in 0..2000u64 {
            pool.now = round * MS;
            let node = (round % 20) as usize;
            let (in_flight, latency) = [(0, 0), (u32::MAX, u32::MAX), (7, 1)][round as usize % 3];
            pool.balancer
                .reported(pool.now, node, load(in_flight, latency));
            pool.up(5, round % 2 == 0);
            let picked = pool.pick().unwrap();
            assert!(picked != 5 || round % 2 == 0);
            pool.send(picked);
            pool.reply(picked, Duration::from_micros(10));
        }
        for node in 0..20 {
            pool.balancer.remove(node);
        }
        assert_eq!(pool.pick(), None);
        assert_eq!(pool.balancer.wonders(pool.now, &|_| true), None);
    }
}
