//! Round-robin: each node in turn.

use super::nodes::Nodes;
use super::pick::{Ask, Pick};

/// Each in turn; who is not able is passed over, and nobody gets two turns for that. The first is
/// any, so that many callers do not begin with the same node.
#[derive(Debug, Clone, Default)]
pub(super) struct RoundRobin {
    ring: Vec<usize>,
    /// Whose turn it is; none before the first pick.
    next: Option<usize>,
}

impl RoundRobin {
    /// No nodes yet.
    pub(super) fn new() -> RoundRobin {
        RoundRobin::default()
    }

    fn take_out(&mut self, node: usize) {
        if let Some(at) = self.ring.iter().position(|&other| other == node) {
            self.ring.remove(at);
            if let Some(next) = &mut self.next
                && at < *next
            {
                *next -= 1;
            }
        }
    }
}

impl Pick for RoundRobin {
    fn joined(&mut self, nodes: &Nodes, node: usize) {
        self.changed(nodes, node);
    }

    fn changed(&mut self, nodes: &Nodes, node: usize) {
        if !nodes.is_up(node) || nodes.weight(node) == 0 {
            self.take_out(node);
        } else if !self.ring.contains(&node) {
            self.ring.push(node);
        }
    }

    fn left(&mut self, _: &Nodes, node: usize) {
        self.take_out(node);
    }

    fn pick(&mut self, ask: &mut Ask<'_>) -> Option<usize> {
        let count = self.ring.len();
        let first = match self.next {
            Some(next) => next,
            None => ask.random.below(count),
        };
        let mut at = first;
        for _ in 0..count {
            at = if at < count { at } else { 0 };
            let node = self.ring[at];
            at += 1;
            if ask.is_able(node) {
                self.next = Some(at);
                return Some(node);
            }
        }
        None
    }
}
