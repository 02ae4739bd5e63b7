//! A random subset: some of the nodes, others for each caller.
//!
//! By rendezvous (Thaler and Ravishankar, 1996): each node has a number that comes of its id and of
//! the caller's seed, and the callers' nodes are those with the least. So a node more or less
//! changes one of them at most, and every node has about as many callers.
//!
//! Whether a node is up changes nothing; only while all of a subset are down, others are picked,
//! any of them.
//!
//! # Invariants
//!
//! 1. A node more or less changes one at most. (test `a_node_more_or_less_changes_one_at_most`)

use std::sync::Arc;

use super::Nanos;
use super::members::Members;
use super::nodes::Nodes;
use super::pick::{Ask, Pick, tell_inner};
use super::policy::Policy;
use super::random::{Random, mix};

pub(super) struct Subset {
    seed: u64,
    size: usize,
    /// Everyone that has a weight, in order; the first of them are the subset.
    order: Vec<(u64, usize)>,
    policy: Box<dyn Pick>,
    /// By number: whether a node is of the subset.
    chosen: Vec<bool>,
    /// Of the subset, and of all others, those that are up.
    inside: Members,
    outside: Members,
}

impl Subset {
    pub(super) fn new(inner: &Arc<Policy>, size: usize, random: &mut Random) -> Subset {
        Subset {
            seed: random.next_u64(),
            size,
            order: Vec::new(),
            policy: inner.make(random),
            chosen: Vec::new(),
            inside: Members::new(),
            outside: Members::new(),
        }
    }

    /// The policy, if it is told of this node.
    fn policy_of(&mut self, node: usize) -> Option<&mut (dyn Pick + 'static)> {
        let is_inside = self.chosen.get(node).is_some_and(|chosen| *chosen);
        is_inside.then_some(&mut *self.policy)
    }

    fn choose(&mut self, nodes: &Nodes, node: usize) {
        if self.chosen.len() <= node {
            self.chosen.resize(node + 1, false);
        }
        self.chosen[node] = true;
        self.outside.leave(node);
        self.inside.update(nodes, node);
        self.policy.joined(nodes, node);
    }

    fn dismiss(&mut self, nodes: &Nodes, node: usize) {
        self.chosen[node] = false;
        self.inside.leave(node);
        self.policy.left(nodes, node);
    }

    fn take_in(&mut self, nodes: &Nodes, node: usize, rank: u64) {
        let at = self.order.partition_point(|other| *other < (rank, node));
        self.order.insert(at, (rank, node));
        if at < self.size {
            if let Some((_, out)) = self.order.get(self.size).copied() {
                self.dismiss(nodes, out);
                self.outside.update(nodes, out);
            }
            self.choose(nodes, node);
        } else {
            self.outside.update(nodes, node);
        }
    }

    fn take_out(&mut self, nodes: &Nodes, at: usize) {
        let (_, node) = self.order.remove(at);
        if at >= self.size {
            self.outside.leave(node);
            return;
        }
        self.dismiss(nodes, node);
        if let Some((_, next)) = self.order.get(self.size - 1).copied() {
            self.choose(nodes, next);
        }
    }
}

impl Pick for Subset {
    fn pick(&mut self, ask: &mut Ask<'_>) -> Option<usize> {
        if self.inside.is_empty() {
            return self.outside.any(ask);
        }
        self.policy.pick(ask)
    }

    fn joined(&mut self, nodes: &Nodes, node: usize) {
        self.changed(nodes, node);
    }

    fn changed(&mut self, nodes: &Nodes, node: usize) {
        let facts = nodes.facts(node).filter(|facts| facts.weight > 0);
        let rank = facts.map(|facts| {
            let id = if facts.id == 0 { node as u64 } else { facts.id };
            mix(self.seed ^ mix(id))
        });
        let at = self.order.iter().position(|(_, other)| *other == node);
        match (at, rank) {
            (Some(at), Some(rank)) if self.order[at].0 == rank => {
                if at < self.size {
                    self.inside.update(nodes, node);
                    self.policy.changed(nodes, node);
                } else {
                    self.outside.update(nodes, node);
                }
            }
            (at, rank) => {
                if let Some(at) = at {
                    self.take_out(nodes, at);
                }
                if let Some(rank) = rank {
                    self.take_in(nodes, node, rank);
                }
            }
        }
    }

    fn left(&mut self, nodes: &Nodes, node: usize) {
        if let Some(at) = self.order.iter().position(|(_, other)| *other == node) {
            self.take_out(nodes, at);
        }
    }

    fn sent(&mut self, nodes: &Nodes, now: Nanos, node: usize) {
        if let Some(policy) = self.policy_of(node) {
            policy.sent(nodes, now, node);
        }
    }

    fn measured(&mut self, nodes: &Nodes, node: usize) {
        if let Some(policy) = self.policy_of(node) {
            policy.measured(nodes, node);
        }
    }

    tell_inner!(self, node => self.policy_of(node));

    fn wonders(&mut self, ask: &mut Ask<'_>) -> Option<usize> {
        self.policy.wonders(ask)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::testing::Pool;
    use super::super::{Facts, Policy};

    fn pool(size: usize, nodes: u64, seed: u64) -> Pool {
        let policy = Policy::round_robin().within_subset(size);
        let facts = (0..nodes).map(|node| Facts::default().id(1000 + node));
        Pool::seeded(&policy, facts, seed)
    }

    fn subset(pool: &mut Pool) -> BTreeSet<usize> {
        pool.picks(100).into_iter().collect()
    }

    #[test]
    fn a_node_more_or_less_changes_one_at_most() {
        for seed in 0..20 {
            let mut pool = pool(10, 100, seed);
            let mut before = subset(&mut pool);
            assert_eq!(before.len(), 10);
            for node in 0..100 {
                if node % 3 == 0 {
                    pool.balancer.remove(node);
                } else {
                    pool.join(100 + node, Facts::default().id(7 * node as u64));
                }
                let after = subset(&mut pool);
                assert_eq!(after.len(), 10);
                assert!(before.difference(&after).count() <= 1);
                before = after;
            }
        }
    }

    #[test]
    fn the_same_caller_has_the_same_subset_whatever_the_order() {
        let expected = subset(&mut pool(5, 50, 3));
        let mut other = Pool::seeded(&Policy::round_robin().within_subset(5), [], 3);
        for node in (0..50).rev() {
            other.join(node, Facts::default().id(1000 + node as u64));
        }
        assert_eq!(subset(&mut other), expected);
    }

    #[test]
    fn every_node_has_about_as_many_callers() {
        let mut callers = [0; 20];
        for seed in 0..2000 {
            subset(&mut pool(4, 20, seed))
                .iter()
                .for_each(|node| callers[*node] += 1);
        }
        // 400 each, and three times the deviation.
        assert!(
            callers.iter().all(|count| (340..460).contains(count)),
            "{callers:?}"
        );
    }

    #[test]
    fn while_all_of_it_are_down_others_are_picked() {
        let mut pool = pool(3, 10, 1);
        let inside = subset(&mut pool);
        inside.iter().for_each(|node| pool.up(*node, false));
        assert_eq!(subset(&mut pool).intersection(&inside).count(), 0);
        let first = *inside.first().unwrap();
        pool.up(first, true);
        assert_eq!(subset(&mut pool), BTreeSet::from([first]));
        // One that only lacks credit is waited for.
        assert_eq!(pool.pick_of(&|node| node != first), None);
    }
}
