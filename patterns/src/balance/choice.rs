//! The cheapest of a few, where weights are equal; turns by weight over cost, where they are not.
//!
//! Two drawn at random would give a node of weight 0.99 beside two of 0.005 two calls of three: it
//! is one of the two that often. So different weights have turns instead, each at the rate of its
//! weight divided by what it costs now (Envoy's rule): without load they are the weights' shares.

use super::members::Members;
use super::nodes::Nodes;
use super::pick::Ask;
use super::random::Random;
use super::schedule::Schedule;

#[derive(Debug, Clone)]
pub(super) struct Choice {
    members: Members,
    choices: usize,
    /// Of everyone, while weights differ.
    schedule: Schedule,
    differ: bool,
    /// Whose turn is dated anew next.
    dated: usize,
}

impl Choice {
    pub(super) fn new(choices: usize, random: &mut Random) -> Choice {
        Choice {
            members: Members::new(),
            choices,
            schedule: Schedule::new(random),
            differ: false,
            dated: 0,
        }
    }

    /// A node is another than it was, or new. Whether it has come in.
    pub(super) fn changed(
        &mut self,
        nodes: &Nodes,
        node: usize,
        cost: impl Fn(usize) -> f64,
    ) -> bool {
        let before = self.members.len();
        let moved = self.members.update(nodes, node);
        let rate = |node| rate(nodes, node, cost(node));
        self.refresh(nodes, rate);
        if self.differ {
            if !self.members.contains(node) {
                self.schedule.leave(node);
            } else {
                self.schedule.join(node, rate(node));
            }
        }
        moved && self.members.len() > before
    }

    pub(super) fn left(&mut self, nodes: &Nodes, node: usize, cost: impl Fn(usize) -> f64) {
        if self.members.leave(node) {
            self.schedule.leave(node);
            self.refresh(nodes, |node| rate(nodes, node, cost(node)));
        }
    }

    /// Whether weights differ may be another now.
    fn refresh(&mut self, nodes: &Nodes, rate: impl Fn(usize) -> f64) {
        let mut weights = self.members.iter().map(|node| nodes.weight(node));
        let first = weights.next();
        let differ = weights.any(|weight| Some(weight) != first);
        if differ == self.differ {
            return;
        }
        self.differ = differ;
        self.schedule.clear();
        if differ {
            for node in self.members.iter() {
                self.schedule.join(node, rate(node));
            }
        }
    }

    /// What a node costs is another than it was when it had its last turn.
    pub(super) fn costs(&mut self, nodes: &Nodes, node: usize, cost: impl FnOnce() -> f64) {
        if self.differ {
            self.schedule.set_rate(node, rate(nodes, node, cost()));
        }
    }

    /// What nodes cost may be another by time alone: the turn of one is dated anew, and with each pick
    /// that of another.
    pub(super) fn dates(&mut self, nodes: &Nodes, cost: impl FnOnce(usize) -> f64) {
        let next = self.dated + 1;
        self.dated = if next < self.members.len() { next } else { 0 };
        if let Some(node) = self.members.get(self.dated) {
            self.schedule.set_rate(node, rate(nodes, node, cost(node)));
        }
    }

    /// Whether weights differ.
    pub(super) fn has_turns(&self) -> bool {
        self.differ
    }

    pub(super) fn pick(
        &mut self,
        ask: &mut Ask<'_>,
        cost: impl Fn(&Ask<'_>, usize) -> f64,
    ) -> Option<usize> {
        if !self.differ {
            return self.members.least(ask, self.choices, cost);
        }
        let rate = |node| rate(ask.nodes, node, cost(ask, node));
        self.schedule.pick(|node| ask.is_able(node), rate)
    }
}

fn rate(nodes: &Nodes, node: usize, cost: f64) -> f64 {
    f64::from(nodes.weight(node)) / cost
}
