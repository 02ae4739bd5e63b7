//! Nodes that grant free workers alone are told how many calls wait for their credit.
//!
//! A wish is told once, again when twice as many wait, and after a while; and taken back when nothing
//! waits any more, so that what was wished for goes to another caller.

use std::time::Duration;

use super::Caller;
use super::nodes::{Node, NodeId, NodeState};
use super::timers::Timer;
use crate::machine::time::Time;

/// A wish that has come to nothing for so long is told again.
const AGAIN: Duration = Duration::from_millis(100);

impl Node {
    fn wishes(&self) -> bool {
        self.used && self.pulls && self.state == NodeState::Up
    }
}

impl<T> Caller<T> {
    /// A node grants free workers alone, or not.
    pub fn pulls(&mut self, node: NodeId, pulls: bool) {
        if let Some(known) = self.node_mut(node) {
            known.pulls = pulls;
            known.wished = 0;
        }
        self.some_pull |= pulls;
    }

    /// Whether nodes may have to be told of calls that wait.
    pub fn some_pull(&self) -> bool {
        self.some_pull
    }

    /// The next node that is to be told how many calls wait for its credit, and that number.
    pub fn next_wish(&mut self, now: Time) -> Option<(NodeId, u32)> {
        if !self.some_pull {
            return None;
        }
        let waiting = u32::try_from(self.slots.waiting_in_all()).unwrap_or(u32::MAX);
        let index = self.nodes.iter().position(|node| {
            node.wishes()
                && match node.wished {
                    0 => waiting > 0 && node.is_used_up(),
                    _ if waiting == 0 => true,
                    wished => waiting >= wished.saturating_mul(2) && node.is_used_up(),
                }
        })?;
        let known = self.nodes.get_mut(index)?;
        known.wished = waiting;
        let node = NodeId {
            index: index as u32,
            generation: known.generation,
        };
        if waiting > 0 && !std::mem::replace(&mut known.wish_armed, true) {
            self.timers.arm(now.after(AGAIN), Timer::Wish(node));
        }
        Some((node, waiting))
    }

    /// Whether a node waits to hear that nothing waits any more.
    pub(super) fn has_wishes(&self) -> bool {
        self.some_pull
            && self
                .nodes
                .iter()
                .any(|node| node.wishes() && node.wished > 0)
    }

    /// A wish may have come to nothing.
    pub(super) fn wish_again(&mut self, node: NodeId) {
        if let Some(known) = self.node_mut(node) {
            known.wish_armed = false;
            known.wished = 0;
        }
    }
}
