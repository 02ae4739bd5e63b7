//! Nodes that grant free workers alone are told how many calls wait for their credit.
//!
//! A wish is told once, again when twice as many wait, and after a while; and taken back when nothing
//! waits any more, so that what was wished for goes to another caller.
//!
//! Calls that take no worker wait for none: such a node takes them at once.
//!
//! # Invariants
//!
//! 1. A call that takes no worker passes by those that wait for one, and takes no credit for good. (test
//!    `a_call_that_takes_no_worker_waits_for_none`)

use std::time::Duration;

use super::nodes::{Node, NodeId, NodeState};
use super::slots::Line;
use super::timers::Timer;
use super::{Caller, Sending};
use crate::machine::credit::Credit;
use crate::machine::time::Time;

/// A wish that has come to nothing for so long is told again.
const AGAIN: Duration = Duration::from_millis(100);
/// Calls that take no worker and wait, of which a node is looked for at a time: those of a node that is
/// not there are not in the way of the others.
const LOOKS: usize = 16;

impl Node {
    fn wishes(&self) -> bool {
        self.used && self.pulls && self.state == NodeState::Up
    }

    /// Whether it takes a call that takes no worker. Its bytes fit beside those of the others.
    fn takes_beside(&self, bytes: u64) -> bool {
        let window = Credit::new(u32::MAX, self.credit.bytes);
        self.wishes() && self.paused.is_none() && window.admits(self.flight, bytes)
    }
}

impl<T> Caller<T> {
    /// A node that takes a call of so many bytes which takes no worker, where none has granted it; of
    /// these the least busy.
    pub(super) fn pick_beside(&self, only: Option<NodeId>, bytes: u64) -> Option<usize> {
        if !self.some_pull || planted!(BesideWaits) {
            return None;
        }
        let nodes = self.nodes.iter().enumerate();
        let able = |(index, node): &(usize, &Node)| match only {
            Some(only) => only.index() == *index && only.generation == node.generation,
            None => node.weight > 0,
        };
        let able = nodes
            .filter(|(_, node)| node.takes_beside(bytes))
            .filter(able);
        let least = able.min_by_key(|(_, node)| node.flight.calls)?;
        Some(least.0)
    }

    /// The next of the calls that take no worker.
    pub(super) fn next_beside(&mut self, now: Time) -> Option<Sending> {
        let mut next = self.slots.first(Line::Beside);
        for _ in 0..LOOKS {
            let id = next?;
            next = self.slots.after(id);
            let slot = self.slots.get(id)?;
            let (only, key, bytes) = (slot.only, slot.key, slot.bytes);
            let picked = match only {
                Some(only) => {
                    let node = self.node(only).filter(|node| node.takes(bytes));
                    node.map(|_| only.index())
                }
                None => self.pick(now, key, bytes, 0),
            };
            if let Some(node) = picked.or_else(|| self.pick_beside(only, bytes)) {
                return Some(self.send(now, id, node));
            }
        }
        None
    }

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
            // What takes no worker wishes for none.
            _ => {
                let others = self.slots.waiting_for_one() + self.slots.waiting(Line::Beside);
                self.slots.waiting_in_all() - others
            }
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

#[cfg(test)]
mod tests {
    use super::super::tests::{ask, pool};
    use super::super::{Answered, Ask, Submitted};
    use super::*;

    const NOW: Time = Time::ZERO;

    fn beside(only: Option<NodeId>) -> Ask {
        Ask {
            beside: true,
            only,
            ..ask()
        }
    }

    #[test]
    fn a_call_that_takes_no_worker_waits_for_none() {
        let (mut caller, nodes) = pool(2, 1);
        for node in &nodes {
            assert!(matches!(caller.submit(NOW, ask(), 0), Submitted::Send(_)));
            caller.pulls(*node, true);
        }
        assert!(matches!(caller.submit(NOW, ask(), 1), Submitted::Waits(_)));
        for only in [None, Some(nodes[1])] {
            let Submitted::Send(sending) = caller.submit(NOW, beside(only), 2) else {
                panic!("it waits");
            };
            assert!(only.is_none_or(|only| only == sending.node));
            assert_eq!(caller.node_stats(sending.node).unwrap().in_flight.calls, 2);
            assert_eq!(
                caller.next_send(NOW),
                None,
                "there is no worker for the other"
            );
            let told = Answered::default();
            assert_eq!(caller.reply(NOW, sending.node, sending.id, told), Some(2));
            assert_eq!(caller.next_send(NOW), None, "nor is there now");
        }
        assert_eq!(caller.next_wish(NOW).map(|(_, calls)| calls), Some(1));
        // One that came before its node did goes as soon as that is there.
        caller.lost(NOW, nodes[1]);
        while caller.next_ended().is_some() {}
        let waits = caller.submit(NOW, beside(Some(nodes[1])), 3);
        assert!(matches!(waits, Submitted::Waits(_)));
        assert_eq!(caller.next_send(NOW), None);
        caller.connected(NOW, nodes[1]);
        caller.welcome(NOW, nodes[1], Credit::new(0, 1000));
        caller.pulls(nodes[1], true);
        let sending = caller.next_send(NOW).expect("it is there");
        assert_eq!(sending.node, nodes[1]);
        assert_eq!(caller.next_send(NOW), None);
    }
}
