//! The nodes of a pool, as one caller sees them.

use std::sync::Arc;
use std::time::Duration;

use brokerless_patterns::balance::{Nodes, Place};

use super::probes::Curiosity;
use crate::machine::credit::Credit;
use crate::machine::load::{Load, smoothed};
use crate::machine::time::{Time, nanos};

/// A node of the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId {
    pub(super) index: u32,
    pub(super) generation: u32,
}

impl NodeId {
    /// A small number, which another node may get once this one has left the pool.
    pub fn index(self) -> usize {
        self.index as usize
    }
}

/// How a node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NodeState {
    /// A connection is being made, or the welcome awaited: there is hope.
    Connecting,
    /// The last attempt to connect failed; more follow.
    Failed,
    /// It takes calls.
    Up,
    /// It has said bye: it answers what it has, and takes no more.
    Draining,
    /// It is taken out of the pool, and answers what it has.
    Leaving,
}

/// What the policy and the credit know of a node.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeStats {
    /// Which one.
    pub node: NodeId,
    /// How it stands.
    pub state: NodeState,
    /// Its weight.
    pub weight: u32,
    /// Its weight of now, in thousandths: less than that while it warms up.
    pub weight_now: u32,
    /// Its priority.
    pub priority: u8,
    /// Where it is.
    pub place: Option<Arc<Place>>,
    /// Whether it is behind a device: no session, and a window of this end's own choice.
    pub sessionless: bool,
    /// Whether it has asked to be left alone, and that time is not over.
    pub paused: bool,
    /// Whether it was asked for a sign of life, and gave none in time: nothing goes there while
    /// another node is up.
    pub silent: bool,
    /// How long it takes to it and back, as heartbeats measure it.
    pub round_trip: Option<Duration>,
    /// The window it grants.
    pub credit: Credit,
    /// What is in flight there.
    pub in_flight: Credit,
    /// Calls sent to it.
    pub sent: u64,
    /// Answers from it.
    pub answered: u64,
    /// Errors from it.
    pub errors: u64,
    /// Calls that were in flight when it was lost.
    pub lost: u64,
    /// Its last load report.
    pub load: Option<Load>,
    /// What a call takes from here, smoothed.
    pub latency: Duration,
    /// Load reports of it that were not believed as they came.
    pub doubted: u64,
}

impl NodeStats {
    /// Whether its window is not used up.
    pub fn has_room(&self) -> bool {
        !is_used_up(self.in_flight, self.credit)
    }
}

fn is_used_up(flight: Credit, credit: Credit) -> bool {
    flight.calls >= credit.calls || flight.bytes >= credit.bytes
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) generation: u32,
    pub(super) used: bool,
    pub(super) state: NodeState,
    pub(super) weight: u32,
    pub(super) fixed: Option<Credit>,
    pub(super) credit: Credit,
    pub(super) flight: Credit,
    pub(super) sent: u64,
    pub(super) answered: u64,
    pub(super) errors: u64,
    pub(super) lost: u64,
    pub(super) latency: u64,
    /// It grants free workers alone, and is told how many calls wait.
    pub(super) pulls: bool,
    /// The calls that it was told of last, less what it has granted since.
    pub(super) wished: u32,
    /// A timer of its wish is armed.
    pub(super) wish_armed: bool,
    pub(super) doubted: u64,
    /// It has asked to be left alone until then; a timer ends it.
    pub(super) paused: Option<Time>,
    /// It was asked for a sign of life, which is late by then.
    pub(super) asked: Option<Time>,
    pub(super) curiosity: Curiosity,
}

impl Node {
    pub(super) fn takes(&self, bytes: u64) -> bool {
        let bytes = if planted!(BytesIgnored) { 0 } else { bytes };
        self.used
            && self.state == NodeState::Up
            && self.paused.is_none()
            && self.credit.admits(self.flight, bytes)
    }

    pub(super) fn is_used_up(&self) -> bool {
        is_used_up(self.flight, self.credit)
    }

    pub(super) fn took(&mut self, took: Duration) {
        self.latency = smoothed(self.latency, nanos(took));
    }

    /// Whether calls that any node may take can hope for it.
    pub(super) fn is_hope(&self) -> bool {
        self.weight > 0 && matches!(self.state, NodeState::Connecting | NodeState::Up)
    }

    pub(super) fn id(&self, index: usize) -> NodeId {
        NodeId {
            index: index as u32,
            generation: self.generation,
        }
    }

    pub(super) fn stats(&self, index: usize, nodes: &Nodes) -> NodeStats {
        let facts = nodes.facts(index);
        NodeStats {
            node: self.id(index),
            state: self.state,
            weight: self.weight,
            weight_now: nodes.weight(index),
            priority: facts.map_or(0, |facts| facts.priority),
            place: facts.and_then(|facts| facts.place.clone()),
            sessionless: self.fixed.is_some(),
            paused: self.paused.is_some(),
            silent: nodes.is_silent(index),
            round_trip: nodes.round_trip(index).map(Duration::from_nanos),
            credit: self.credit,
            in_flight: self.flight,
            sent: self.sent,
            answered: self.answered,
            errors: self.errors,
            lost: self.lost,
            load: nodes.report(index).map(|report| report.load),
            latency: Duration::from_nanos(self.latency),
            doubted: self.doubted,
        }
    }
}
