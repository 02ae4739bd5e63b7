//! Weights that follow what nodes report: what one answers, for what that takes of it.
//!
//! The weight of a node is calls a second, divided by its utilisation, to which errors add: so
//! nodes are used evenly, whatever their size, and one that fails much gets less (gRFC A58). Turns
//! are taken by earliest deadline first, at rates that are taken over once a period, off the pick.
//!
//! A report without calls or without utilisation says nothing. A node is not believed before it has
//! reported for the time of blackout, nor after its last report has expired; each time that it comes
//! up it begins anew. Who has no weight gets the mean of those that have. While fewer than two have
//! one, it is plain round-robin. The pool's own weights say nothing here, except 0.
//!
//! # Invariants
//!
//! 1. The weight is the published formula. (test `the_weight_is_the_published_formula`)
//! 2. Blackout, expiry and coming up again make a weight unknown. (tests
//!    `a_node_is_not_believed_before_the_blackout_is_over`, `a_weight_expires`,
//!    `who_comes_up_again_begins_anew`)

use std::time::Duration;

use super::Nanos;
use super::members::Members;
use super::nodes::{Load, Nodes};
use super::pick::{Ask, Pick};
use super::random::Random;
use super::rotate::RoundRobin;
use super::schedule::Schedule;

/// See the options of [`Policy::dynamic`](super::Policy::dynamic).
#[derive(Debug, Clone)]
pub(super) struct DynamicOptions {
    pub(super) blackout: Duration,
    pub(super) expiry: Duration,
    pub(super) period: Duration,
    pub(super) penalty: f64,
}

impl Default for DynamicOptions {
    fn default() -> DynamicOptions {
        DynamicOptions {
            blackout: Duration::from_secs(10),
            expiry: Duration::from_secs(180),
            period: Duration::from_secs(1),
            penalty: 1.0,
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Dynamic {
    options: DynamicOptions,
    members: Members,
    known: Vec<Known>,
    /// Taken while enough have a weight.
    schedule: Schedule,
    /// Taken while not.
    plain: RoundRobin,
    has_weights: bool,
    /// The weight of those that have none.
    mean: f64,
    update_at: Nanos,
}

#[derive(Debug, Clone, Copy, Default)]
struct Known {
    /// As of its last report that says anything.
    weight: f64,
    reported_at: Nanos,
    /// Since when it has reported.
    since: Option<Nanos>,
    /// The rate of its turns.
    rate: f64,
}

impl Dynamic {
    pub(super) fn new(options: &DynamicOptions, random: &mut Random) -> Dynamic {
        Dynamic {
            options: options.clone(),
            members: Members::new(),
            known: Vec::new(),
            schedule: Schedule::new(random),
            plain: RoundRobin::new(),
            has_weights: false,
            mean: 0.0,
            update_at: 0,
        }
    }

    fn note(&mut self, at: Nanos, node: usize, load: &Load) {
        if let Some(known) = self.known.get_mut(node)
            && let Some(weight) = weight_of(load, self.options.penalty)
        {
            known.weight = weight;
            known.reported_at = at;
            known.since.get_or_insert(at);
        }
    }

    /// Takes over the weights of now.
    fn update(&mut self, nodes: &Nodes, now: Nanos) {
        let (mut count, mut sum) = (0u32, 0.0);
        for at in 0..self.members.len() {
            let Some(node) = self.members.get(at) else {
                continue;
            };
            // Reports come without calls, too.
            if let Some(report) = nodes.report(node)
                && report.at > self.known[node].reported_at
            {
                self.note(report.at, node, &report.load);
            }
            let weight = self.usable(now, node);
            self.known[node].rate = weight.unwrap_or(0.0);
            count += u32::from(weight.is_some());
            sum += weight.unwrap_or(0.0);
        }
        if count < 2 {
            self.has_weights = false;
            return self.schedule.clear();
        }
        self.mean = sum / f64::from(count);
        for node in self.members.iter() {
            let known = &mut self.known[node];
            if known.rate == 0.0 {
                known.rate = self.mean;
            }
            self.schedule.join(node, known.rate * warmth(nodes, node));
        }
        self.has_weights = true;
    }

    /// A node's weight, if it has one that can be believed.
    fn usable(&mut self, now: Nanos, node: usize) -> Option<f64> {
        let (blackout, expiry) = (nanos(self.options.blackout), nanos(self.options.expiry));
        let known = &mut self.known[node];
        if now.saturating_sub(known.reported_at) >= expiry {
            known.since = None;
        }
        let since = known.since?;
        (now.saturating_sub(since) >= blackout).then_some(known.weight)
    }
}

fn nanos(time: Duration) -> Nanos {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn weight_of(load: &Load, penalty: f64) -> Option<f64> {
    let (per_s, errors) = (f64::from(load.per_s), f64::from(load.errors_per_s));
    let utilisation = f64::from(load.utilisation_permille) / 1000.0;
    if per_s <= 0.0 || utilisation <= 0.0 {
        return None;
    }
    Some(per_s / (utilisation + errors / per_s * penalty))
}

/// How much of its own weight a node has by now.
fn warmth(nodes: &Nodes, node: usize) -> f64 {
    let full = nodes.facts(node).map_or(0, |facts| facts.weight);
    f64::from(nodes.weight(node)) / (1000.0 * f64::from(full.max(1)))
}

impl Pick for Dynamic {
    fn pick(&mut self, ask: &mut Ask<'_>) -> Option<usize> {
        if !self.has_weights {
            return self.plain.pick(ask);
        }
        let known = &self.known;
        let nodes = ask.nodes;
        let rate = |node: usize| known[node].rate * warmth(nodes, node);
        self.schedule.pick(|node| ask.is_able(node), rate)
    }

    fn joined(&mut self, nodes: &Nodes, node: usize) {
        if self.known.len() <= node {
            self.known.resize(node + 1, Known::default());
        }
        self.known[node] = Known::default();
        self.changed(nodes, node);
    }

    fn changed(&mut self, nodes: &Nodes, node: usize) {
        self.plain.changed(nodes, node);
        let was_in = self.members.contains(node);
        self.members.update(nodes, node);
        if !self.members.contains(node) {
            return self.schedule.leave(node);
        }
        if !was_in {
            self.known[node].since = None;
            self.known[node].rate = self.mean;
        }
        if self.has_weights {
            let rate = self.known[node].rate * warmth(nodes, node);
            self.schedule.join(node, rate);
        }
    }

    fn left(&mut self, nodes: &Nodes, node: usize) {
        self.plain.left(nodes, node);
        self.members.leave(node);
        self.schedule.leave(node);
    }

    fn sent(&mut self, nodes: &Nodes, now: Nanos, _: usize) {
        if now >= self.update_at {
            self.update_at = now.saturating_add(nanos(self.options.period));
            self.update(nodes, now);
        }
    }

    fn replied(&mut self, _: &Nodes, now: Nanos, node: usize, _: Duration, load: Option<&Load>) {
        if let Some(load) = load {
            self.note(now, node, load);
        }
    }

    fn failed(
        &mut self,
        nodes: &Nodes,
        now: Nanos,
        node: usize,
        took: Duration,
        load: Option<&Load>,
    ) {
        self.replied(nodes, now, node, took, load);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::testing::{MS, Pool, SECOND};
    use super::super::{Facts, Load, Nanos, Policy};
    use super::weight_of;

    fn load(per_s: u32, errors_per_s: u32, utilisation_permille: u16) -> Load {
        Load {
            per_s,
            errors_per_s,
            utilisation_permille,
            ..Load::default()
        }
    }

    /// Reports of these nodes each 100 ms for so long.
    fn run(pool: &mut Pool, time: Nanos, loads: &[(usize, Load)]) {
        let end = pool.now + time;
        while pool.now < end {
            pool.now += 100 * MS;
            for (node, load) in loads {
                pool.report(*node, *load);
            }
        }
    }

    fn shares(pool: &mut Pool) -> Vec<f64> {
        let nodes = pool.balancer.nodes().bound();
        let mut shares = vec![0.0; nodes];
        for node in pool.picks(10_000) {
            shares[node] += 1e-4;
        }
        shares
    }

    #[track_caller]
    fn assert_near(found: &[f64], expected: &[f64]) {
        let off = found
            .iter()
            .zip(expected)
            .any(|(f, e)| (f - e).abs() > 0.005);
        assert!(!off, "{found:?}, not {expected:?}");
    }

    #[test]
    fn the_weight_is_the_published_formula() {
        let close = |load: Load, penalty, expected: f64| {
            let found = weight_of(&load, penalty).unwrap();
            assert!((found - expected).abs() < 1e-9, "{found}, not {expected}");
        };
        close(load(100, 0, 500), 1.0, 200.0);
        close(load(100, 10, 500), 1.0, 100.0 / 0.6);
        close(load(100, 10, 500), 2.0, 100.0 / 0.7);
        close(load(100, 10, 500), 0.0, 200.0);
        close(load(100, 0, 2000), 1.0, 50.0);
        // Nothing said: no weight, and not one without end.
        assert_eq!(weight_of(&load(0, 0, 500), 1.0), None);
        assert_eq!(weight_of(&load(0, 5, 500), 1.0), None);
        assert_eq!(weight_of(&load(100, 0, 0), 1.0), None);
    }

    #[test]
    fn shares_are_what_a_node_answers_for_what_it_takes_of_it() {
        let mut pool = Pool::of(&Policy::dynamic(), [1, 1, 1]);
        let loads = [load(100, 0, 500), load(100, 0, 250), load(100, 25, 250)];
        let loads: Vec<_> = loads.into_iter().enumerate().collect();
        run(&mut pool, 12 * SECOND, &loads);
        // Weights 200, 400, 200.
        assert_near(&shares(&mut pool), &[0.25, 0.5, 0.25]);
    }

    #[test]
    fn fewer_than_two_weights_are_plain_round_robin() {
        let mut pool = Pool::of(&Policy::dynamic(), [1, 5, 1]);
        assert_near(&shares(&mut pool), &[0.333, 0.333, 0.333]);
        run(&mut pool, 12 * SECOND, &[(0, load(100, 0, 900))]);
        assert_near(&shares(&mut pool), &[0.333, 0.333, 0.333]);
        let order = pool.picks(6);
        assert_eq!(order[..3], order[3..]);
    }

    #[test]
    fn a_node_without_a_weight_gets_the_mean() {
        let mut pool = Pool::of(&Policy::dynamic(), [1, 1, 1]);
        run(
            &mut pool,
            12 * SECOND,
            &[(0, load(100, 0, 500)), (1, load(300, 0, 500))],
        );
        // Weights 200, 600, and their mean.
        assert_near(&shares(&mut pool), &[1.0 / 6.0, 0.5, 1.0 / 3.0]);
        pool.join(3, Facts::default());
        assert_near(&shares(&mut pool), &[0.125, 0.375, 0.25, 0.25]);
    }

    #[test]
    fn a_node_is_not_believed_before_the_blackout_is_over() {
        let mut pool = Pool::of(&Policy::dynamic(), [1, 1]);
        let loads = [(0, load(100, 0, 500)), (1, load(300, 0, 500))];
        run(&mut pool, 10 * SECOND - 200 * MS, &loads);
        assert_near(&shares(&mut pool), &[0.5, 0.5]);
        run(&mut pool, 1200 * MS, &loads);
        assert_near(&shares(&mut pool), &[0.25, 0.75]);
        let policy = Policy::dynamic().blackout(Duration::ZERO);
        let mut pool = Pool::of(&policy, [1, 1]);
        run(&mut pool, 1200 * MS, &loads);
        assert_near(&shares(&mut pool), &[0.25, 0.75]);
    }

    #[test]
    fn a_weight_expires() {
        let mut pool = Pool::of(&Policy::dynamic(), [1, 1, 1]);
        let loads = [1, 2, 3].map(|weight| load(100 * weight, 0, 500));
        let loads: Vec<_> = loads.into_iter().enumerate().collect();
        run(&mut pool, 12 * SECOND, &loads);
        assert_near(&shares(&mut pool), &[1.0 / 6.0, 1.0 / 3.0, 0.5]);
        // The first says nothing any more: after 3 min it gets the mean of the others.
        run(&mut pool, 178 * SECOND, &loads[1..]);
        assert_near(&shares(&mut pool), &[1.0 / 6.0, 1.0 / 3.0, 0.5]);
        run(&mut pool, 4 * SECOND, &loads[1..]);
        assert_near(&shares(&mut pool), &[1.0 / 3.0, 0.267, 0.4]);
    }

    #[test]
    fn who_comes_up_again_begins_anew() {
        let mut pool = Pool::of(&Policy::dynamic(), [1, 1, 1]);
        let loads = [1, 2, 3].map(|weight| load(100 * weight, 0, 500));
        let loads: Vec<_> = loads.into_iter().enumerate().collect();
        run(&mut pool, 12 * SECOND, &loads);
        pool.up(2, false);
        assert_near(&shares(&mut pool), &[1.0 / 3.0, 2.0 / 3.0, 0.0]);
        pool.up(2, true);
        run(&mut pool, 9 * SECOND, &loads);
        assert_near(&shares(&mut pool), &[0.222, 0.444, 0.333]);
        run(&mut pool, 2 * SECOND, &loads);
        assert_near(&shares(&mut pool), &[1.0 / 6.0, 1.0 / 3.0, 0.5]);
    }

    #[test]
    fn weights_are_taken_over_once_a_period() {
        let policy = Policy::dynamic().blackout(Duration::ZERO);
        let mut pool = Pool::of(&policy, [1, 1]);
        run(
            &mut pool,
            3 * SECOND,
            &[(0, load(100, 0, 500)), (1, load(100, 0, 500))],
        );
        let next = pool.now / SECOND * SECOND + SECOND + 100 * MS;
        let loads = [(0, load(100, 0, 500)), (1, load(300, 0, 500))];
        let left = next - pool.now;
        run(&mut pool, left - 300 * MS, &loads);
        assert_near(&shares(&mut pool), &[0.5, 0.5]);
        run(&mut pool, 400 * MS, &loads);
        assert_near(&shares(&mut pool), &[0.25, 0.75]);
    }

    #[test]
    fn reports_that_come_without_a_call_count() {
        let policy = Policy::dynamic().blackout(Duration::ZERO);
        let mut pool = Pool::of(&policy, [1, 1]);
        for second in 1..4 {
            pool.now = second * SECOND;
            pool.balancer.reported(pool.now, 0, load(100, 0, 500));
            pool.balancer.reported(pool.now, 1, load(300, 0, 500));
            pool.send(0);
        }
        assert_near(&shares(&mut pool), &[0.25, 0.75]);
    }
}
