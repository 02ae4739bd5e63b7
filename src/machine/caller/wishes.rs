//! Nodes that grant free workers alone are told how many calls wait for their credit.
//!
//! A wish is told once, again when twice as many wait, and after a while; and taken back when nothing
//! waits any more, so that what was wished for goes to another caller.

use std::time::Duration;

use super::Caller;
use super::nodes::{Node, NodeId, NodeState};
use super::slots::Line;
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
        let nodes = self.nodes.iter().enumerate();
        let mut wishes = nodes.filter(|(_, node)| node.wishes());
        let (index, waiting) = wishes.find_map(|(index, node)| {
            let waiting = self.waiting_for(index, node);
            let is_due = match node.wished {
                0 => waiting > 0 && node.is_used_up(),
                _ if waiting == 0 => true,
                wished => waiting >= wished.saturating_mul(2) && node.is_used_up(),
            };
            is_due.then_some((index, waiting))
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

    /// The calls that wait and may go to this node: what was granted for others would lie idle.
    fn waiting_for(&self, index: usize, node: &Node) -> u32 {
        let own = self.slots.waiting(Line::Only(index as u32));
        let any = match node.weight {
            0 => 0,
            _ => self.slots.waiting_in_all() - self.slots.waiting_for_one(),
        };
        u32::try_from(own + any).unwrap_or(u32::MAX)
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
