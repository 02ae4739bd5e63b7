//! A balancer with nodes that are up, for the tests of policies.

use std::time::Duration;

use super::{Balancer, Facts, Load, Nanos, Policy};

pub(super) const MS: Nanos = 1_000_000;
pub(super) const SECOND: Nanos = 1000 * MS;

pub(super) struct Pool {
    pub(super) balancer: Balancer,
    pub(super) now: Nanos,
}

impl Pool {
    /// Nodes of these weights, without a slow start.
    pub(super) fn of(policy: &Policy, weights: impl IntoIterator<Item = usize>) -> Pool {
        Pool::with(
            policy,
            weights
                .into_iter()
                .map(|weight| Facts::weight(weight as u32)),
        )
    }

    /// Nodes of these facts, without a slow start.
    pub(super) fn with(policy: &Policy, facts: impl IntoIterator<Item = Facts>) -> Pool {
        Pool::seeded(policy, facts, 1)
    }

    pub(super) fn seeded(
        policy: &Policy,
        facts: impl IntoIterator<Item = Facts>,
        seed: u64,
    ) -> Pool {
        let policy = policy.clone().slow_start(Duration::ZERO);
        let mut pool = Pool {
            balancer: Balancer::new(&policy, seed).unwrap(),
            now: 0,
        };
        for (node, facts) in facts.into_iter().enumerate() {
            pool.join(node, facts);
        }
        pool
    }

    pub(super) fn join(&mut self, node: usize, facts: Facts) {
        self.balancer.add(self.now, node, facts);
        self.up(node, true);
    }

    pub(super) fn up(&mut self, node: usize, up: bool) {
        self.balancer.set_up(self.now, node, up);
    }

    /// Who is picked, with nothing sent there.
    pub(super) fn pick(&mut self) -> Option<usize> {
        self.pick_of(&|_| true)
    }

    pub(super) fn pick_of(&mut self, able: &dyn Fn(usize) -> bool) -> Option<usize> {
        self.balancer.pick(self.now, None, able)
    }

    pub(super) fn picks(&mut self, picks: usize) -> Vec<usize> {
        (0..picks).filter_map(|_| self.pick()).collect()
    }

    /// How often each node gets one of so many calls that are answered at once.
    pub(super) fn counts(&mut self, calls: usize) -> Vec<usize> {
        let mut counts = vec![0; self.balancer.nodes().bound()];
        for _ in 0..calls {
            counts[self.call(Duration::from_millis(1)).unwrap()] += 1;
        }
        counts
    }

    /// A call that takes so long, and of which the answer reports nothing.
    pub(super) fn call(&mut self, took: Duration) -> Option<usize> {
        let node = self.pick()?;
        self.send(node);
        self.reply(node, took);
        Some(node)
    }

    pub(super) fn send(&mut self, node: usize) {
        self.balancer.sent(self.now, node);
    }

    pub(super) fn reply(&mut self, node: usize, took: Duration) {
        self.balancer.replied(self.now, node, took, None);
    }

    pub(super) fn report(&mut self, node: usize, load: Load) {
        self.balancer.sent(self.now, node);
        let took = Duration::from_millis(1);
        self.balancer.replied(self.now, node, took, Some(&load));
    }

    /// Each node has its weight's share of calls answered at once, within `off` of that share.
    #[track_caller]
    pub(super) fn assert_shares(&mut self, calls: usize, off: f64) {
        let counts = self.counts(calls);
        let nodes = self.balancer.nodes();
        let total: f64 = nodes.iter().map(|node| f64::from(nodes.weight(node))).sum();
        for node in nodes.iter() {
            let share = f64::from(nodes.weight(node)) / total;
            let got = counts[node] as f64 / calls as f64;
            assert!(
                (got / share - 1.0).abs() <= off,
                "node {node} of share {share} got {got}"
            );
        }
    }
}
