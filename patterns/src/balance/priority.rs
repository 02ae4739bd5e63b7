//! By priority: those of priority 0 first, others as far as too few of them are healthy.
//!
//! Nodes are good for more than their share: with an overprovision of 1.4, a priority of which 72 %
//! is up still takes everything. Of less it takes 1.4 times what is up, and the next takes the
//! rest, by the same rule. If all together are not good for everything, they share it in
//! proportion (Envoy's rule). Where nobody of a priority is able, the call goes to the next.
//!
//! # Invariants
//!
//! 1. The splits are the published ones. (test `the_splits_are_the_published_ones`)
//! 2. As long as anyone is able, one is found. (test `a_priority_without_an_able_node_falls_to_the_next`)

use std::sync::Arc;

use super::Nanos;
use super::nodes::Nodes;
use super::parts::Parts;
use super::pick::{Ask, Pick, tell_inner};
use super::policy::Policy;
use super::random::Random;

pub(super) struct ByPriority {
    parts: Parts<u8>,
    overprovision: f64,
    /// The first priority first.
    levels: Vec<Level>,
}

/// The part of a priority.
struct Level {
    at: usize,
    priority: u8,
    /// How much of all calls it is good for.
    health: f64,
    /// How much of all calls it and those before it take.
    upto: f64,
}

impl ByPriority {
    pub(super) fn new(inner: &Arc<Policy>, overprovision: f64, random: &mut Random) -> ByPriority {
        ByPriority {
            parts: Parts::new(inner, random),
            overprovision,
            levels: Vec::new(),
        }
    }

    fn split(&mut self) {
        let overprovision = self.overprovision;
        self.levels.clear();
        self.levels
            .extend(self.parts.iter().map(|(at, part)| Level {
                at,
                priority: part.key,
                health: (overprovision * part.up as f64 / part.all.max(1) as f64).min(1.0),
                upto: 0.0,
            }));
        self.levels.sort_unstable_by_key(|level| level.priority);
        let healths = self.levels.iter().map(|level| level.health);
        let total = healths.sum::<f64>().min(1.0);
        let mut taken = 0.0;
        for level in &mut self.levels {
            if total > 0.0 {
                taken = f64::min(taken + level.health / total, 1.0);
            }
            level.upto = taken;
        }
    }
}

impl Pick for ByPriority {
    fn pick(&mut self, ask: &mut Ask<'_>) -> Option<usize> {
        let chance = match self.levels.first() {
            Some(first) if first.upto >= 1.0 => 0.0,
            _ => ask.random.unit(),
        };
        let (levels, parts) = (&self.levels, &mut self.parts);
        let drawn = levels.iter().find(|level| chance < level.upto);
        if let Some(node) = drawn.and_then(|level| parts.pick(level.at, ask)) {
            return Some(node);
        }
        levels.iter().find_map(|level| parts.pick(level.at, ask))
    }

    fn joined(&mut self, nodes: &Nodes, node: usize) {
        self.changed(nodes, node);
    }

    fn changed(&mut self, nodes: &Nodes, node: usize) {
        if let Some(facts) = nodes.facts(node) {
            let priority = facts.priority;
            let is_its = |key: &u8| *key == priority;
            self.parts.changed(nodes, node, is_its, || priority);
            self.split();
        }
    }

    fn left(&mut self, nodes: &Nodes, node: usize) {
        self.parts.left(nodes, node);
        self.split();
    }

    fn sent(&mut self, nodes: &Nodes, now: Nanos, node: usize) {
        if let Some(policy) = self.parts.policy_of(node) {
            policy.sent(nodes, now, node);
        }
    }

    fn measured(&mut self, nodes: &Nodes, node: usize) {
        if let Some(policy) = self.parts.policy_of(node) {
            policy.measured(nodes, node);
        }
    }

    tell_inner!(self, node => self.parts.policy_of(node));

    fn wonders(&mut self, ask: &mut Ask<'_>) -> Option<usize> {
        self.parts.wonders(ask)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Pool;
    use super::super::{Facts, Policy};

    /// Four nodes of each priority, of which so many are up.
    fn pool(policy: &Policy, up: &[usize]) -> Pool {
        let priorities = 0..up.len();
        let facts = priorities.flat_map(|it| vec![Facts::default().priority(it as u8); 4]);
        let mut pool = Pool::with(policy, facts);
        for (priority, up) in up.iter().enumerate() {
            (*up..4).for_each(|node| pool.up(4 * priority + node, false));
        }
        pool
    }

    /// The share of each priority, in hundredths.
    #[track_caller]
    fn assert_split(up: &[usize], expected: &[f64]) {
        let mut pool = pool(&Policy::round_robin().by_priority(), up);
        let mut shares = vec![0.0; up.len()];
        for node in pool.picks(100_000) {
            shares[node / 4] += 1e-3;
        }
        let off = shares
            .iter()
            .zip(expected)
            .any(|(s, e): (&f64, _)| (s - e).abs() > 0.6);
        assert!(!off, "{shares:?}, not {expected:?}");
    }

    #[test]
    fn the_splits_are_the_published_ones() {
        assert_split(&[4, 4], &[100.0, 0.0]);
        assert_split(&[3, 4], &[100.0, 0.0]);
        assert_split(&[2, 4], &[70.0, 30.0]);
        assert_split(&[1, 4], &[35.0, 65.0]);
        assert_split(&[0, 4], &[0.0, 100.0]);
        assert_split(&[1, 1], &[50.0, 50.0]);
        assert_split(&[1, 1, 4], &[35.0, 35.0, 30.0]);
        assert_split(&[1, 4, 4], &[35.0, 65.0, 0.0]);
    }

    #[test]
    fn overprovision_is_what_a_priority_is_good_for() {
        let policy = Policy::round_robin().by_priority().overprovision(1.0);
        let first = pool(&policy, &[2, 4]).picks(10_000);
        let first = first.iter().filter(|node| **node < 4).count();
        assert!(first.abs_diff(5000) < 200, "{first}");
        assert!(Policy::round_robin().overprovision(2.0).validate().is_err());
    }

    #[test]
    fn a_priority_without_an_able_node_falls_to_the_next() {
        let mut pool = pool(&Policy::least_in_flight().by_priority(), &[4, 4, 4]);
        for _ in 0..100 {
            assert!(pool.pick_of(&|node| node >= 4).is_some_and(|node| node < 8));
            assert_eq!(pool.pick_of(&|node| node == 9), Some(9));
            assert_eq!(pool.pick_of(&|node| node == 1), Some(1));
            assert_eq!(pool.pick_of(&|_| false), None);
        }
    }

    #[test]
    fn a_node_may_change_its_priority() {
        let mut pool = pool(&Policy::weighted().by_priority(), &[4, 4]);
        for node in 0..4 {
            pool.balancer.set(0, node, Facts::default().priority(7));
        }
        assert!(pool.picks(100).iter().all(|node| *node >= 4));
        (4..8).for_each(|node| pool.balancer.remove(node));
        assert_eq!(pool.picks(100).len(), 100);
    }
}
