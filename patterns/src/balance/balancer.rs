//! A policy at work: what is known of the nodes, and who picks among them.

use std::time::Duration;

use super::Nanos;
use super::error::PolicyError;
use super::nodes::{Facts, Load, Nodes, WEIGHT_MAX};
use super::pick::{Ask, Pick};
use super::policy::Policy;
use super::random::Random;
use super::slow_start::SlowStart;

/// The nodes of a pool, and the policy that picks among them. What is said of a number that no node
/// has changes nothing.
pub struct Balancer {
    nodes: Nodes,
    policy: Box<dyn Pick>,
    random: Random,
    slow_start: SlowStart,
}

impl Balancer {
    /// No nodes yet. From the same seed it picks the same.
    ///
    /// # Errors
    ///
    /// If an option of the policy is out of its bounds.
    pub fn new(policy: &Policy, seed: u64) -> Result<Balancer, PolicyError> {
        let mut random = Random::new(seed);
        Ok(Balancer {
            nodes: Nodes::default(),
            policy: policy.build(&mut random)?,
            random,
            slow_start: SlowStart::new(policy.warm_up()),
        })
    }

    /// What is known of the nodes.
    pub fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    /// There is a node more, under a number that no other has. It is not up. A weight over
    /// 1,000,000 counts as that.
    pub fn add(&mut self, now: Nanos, node: usize, facts: Facts) {
        let _ = now;
        self.remove(node);
        self.nodes.add(node, bounded(facts));
        self.policy.joined(&self.nodes, node);
    }

    /// A node can be reached and takes calls, or not any more.
    pub fn set_up(&mut self, now: Nanos, node: usize, up: bool) {
        if self.nodes.is_reachable(node) == up || self.nodes.facts(node).is_none() {
            return;
        }
        self.slow_start.set_up(now, node, up);
        self.nodes.set_reachable(node, up);
        self.nodes.set_part(node, self.slow_start.part(node, now));
        self.policy.changed(&self.nodes, node);
        self.heed_silence();
    }

    /// A node does not answer its heartbeats, or is heard again: as long as another can be picked, a
    /// silent one is not. It comes back without a slow start.
    pub fn set_silent(&mut self, node: usize, silent: bool) {
        if self.nodes.set_silent(node, silent) {
            self.spare_silent();
        }
    }

    /// How long it takes to a node and back, without what it does there: none, if that is not known.
    pub fn set_round_trip(&mut self, node: usize, round_trip: Option<Duration>) {
        let nanos = |took: Duration| Nanos::try_from(took.as_nanos()).unwrap_or(Nanos::MAX);
        if self.nodes.set_round_trip(node, round_trip.map(nanos)) {
            self.policy.measured(&self.nodes, node);
        }
    }

    /// After anything that may leave none but silent nodes, or bring another.
    #[inline]
    fn heed_silence(&mut self) {
        if self.nodes.has_silent() {
            self.spare_silent();
        }
    }

    #[cold]
    fn spare_silent(&mut self) {
        let lively = self.nodes.has_lively();
        for node in 0..self.nodes.bound() {
            if self.nodes.spare(node, lively) {
                self.policy.changed(&self.nodes, node);
            }
        }
    }

    /// What the pool says of a node is something else now.
    pub fn set(&mut self, now: Nanos, node: usize, facts: Facts) {
        if self.nodes.facts(node).is_none() {
            return;
        }
        self.nodes.set_facts(node, bounded(facts));
        self.nodes.set_part(node, self.slow_start.part(node, now));
        self.policy.changed(&self.nodes, node);
        self.heed_silence();
    }

    /// A node is gone.
    pub fn remove(&mut self, node: usize) {
        if self.nodes.facts(node).is_none() {
            return;
        }
        if self.nodes.is_reachable(node) {
            self.slow_start.set_up(0, node, false);
        }
        self.policy.left(&self.nodes, node);
        self.nodes.remove(node);
        self.heed_silence();
    }

    /// Which of those that are able gets the next call. `key`: the hash of the call's key.
    pub fn pick(
        &mut self,
        now: Nanos,
        key: Option<u64>,
        able: &dyn Fn(usize) -> bool,
    ) -> Option<usize> {
        if self.slow_start.is_due(now) {
            self.warm_up(now);
        }
        let mut ask = Ask::new(now, &self.nodes, &mut self.random, key, able);
        self.policy.pick(&mut ask)
    }

    fn warm_up(&mut self, now: Nanos) {
        let Balancer {
            nodes,
            policy,
            slow_start,
            ..
        } = self;
        slow_start.step(nodes, now, |nodes, node| policy.changed(nodes, node));
    }

    /// A node whose load is worth a question, although no call goes there.
    pub fn wonders(&mut self, now: Nanos, able: &dyn Fn(usize) -> bool) -> Option<usize> {
        let mut ask = Ask::new(now, &self.nodes, &mut self.random, None, able);
        self.policy.wonders(&mut ask)
    }

    /// A call goes to this node, whoever picked it.
    pub fn sent(&mut self, now: Nanos, node: usize) {
        if self.nodes.facts(node).is_none() {
            return;
        }
        self.nodes.sent(now, node);
        self.policy.sent(&self.nodes, now, node);
    }

    /// What was sent there last may last as long as it likes, such as a stream: how long it goes on
    /// says nothing of the node. Before its end is told, it [ceases](Self::lasted) to.
    pub fn lasts(&mut self, node: usize) {
        self.nodes.set_lasting(node, true);
    }

    /// One that lasted is about to end.
    pub fn lasted(&mut self, node: usize) {
        self.nodes.set_lasting(node, false);
    }

    /// It has replied.
    pub fn replied(&mut self, now: Nanos, node: usize, took: Duration, load: Option<&Load>) {
        if self.nodes.facts(node).is_none() {
            return;
        }
        self.nodes.ended(node);
        self.nodes.heard(now, node, load.copied());
        self.policy.replied(&self.nodes, now, node, took, load);
    }

    /// It has answered with an error that says it is not well.
    pub fn failed(&mut self, now: Nanos, node: usize, took: Duration, load: Option<&Load>) {
        if self.nodes.facts(node).is_none() {
            return;
        }
        self.nodes.ended(node);
        self.nodes.heard(now, node, load.copied());
        self.policy.failed(&self.nodes, now, node, took, load);
    }

    /// A call there has ended without an answer.
    pub fn lapsed(&mut self, now: Nanos, node: usize) {
        if self.nodes.facts(node).is_none() {
            return;
        }
        self.nodes.ended(node);
        self.policy.lapsed(&self.nodes, now, node);
    }

    /// It has told its load, without a call.
    pub fn reported(&mut self, now: Nanos, node: usize, load: Load) {
        if self.nodes.facts(node).is_none() {
            return;
        }
        self.nodes.heard(now, node, Some(load));
        self.policy.reported(&self.nodes, now, node, &load);
    }
}

fn bounded(facts: Facts) -> Facts {
    Facts {
        weight: facts.weight.min(WEIGHT_MAX),
        ..facts
    }
}

impl std::fmt::Debug for Balancer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Balancer")
            .field("nodes", &self.nodes)
            .finish_non_exhaustive()
    }
}
