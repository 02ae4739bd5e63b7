//! How calls that were not answered ended, in words.
//!
//! # Invariants
//!
//! 1. A call that nodes turned away until its deadline is told which did so last, with what, and how
//!    often; not that it was never sent. (test `a_call_refused_until_its_deadline_is_told_by_whom_and_with_what`)
//! 2. A node that asked to be left alone is not said to grant no credit. (test
//!    `a_node_that_is_left_alone_is_said_to_be`)

use std::fmt::Write;

use brokerless_patterns::Frame;

use super::core::Table;
use super::node::Place;
use super::slot::{Refusal, Slot};
use crate::machine::{NodeId, NodeState, Why};
use crate::wire::{DecodeError, EncodeError, Envelope};
use crate::{Code, Ran, RpcError, Status};

/// Nodes that an error names; it says how many more there are.
const NAMED_MAX: usize = 3;

pub(super) fn not_encoded(path: &str, error: &EncodeError) -> RpcError {
    let message = format!("the arguments of {path} cannot be encoded: {error}");
    RpcError::new(Status::invalid_argument(message), Ran::No)
}

#[cold]
pub(super) fn without_key(policy: &str, path: &str) -> RpcError {
    let message = format!(
        "the policy {policy} picks a node by key, and {path} has none: mark one of its arguments by `#[rpc(key = \"..\")]`, or give calls one by `Call::key`"
    );
    RpcError::new(Status::failed_precondition(message), Ran::No)
}

#[cold]
pub(super) fn passed_without_key(policy: &str, path: &str) -> RpcError {
    let message = format!(
        "the policy {policy} of what passes calls on picks a node by key, and {path} came without one: its caller marks an argument by `#[rpc(key = \"..\")]`, gives calls one by `Call::key`, or sends the field `key`"
    );
    RpcError::new(Status::failed_precondition(message), Ran::No)
}

pub(super) fn not_decoded(node: &str, error: &DecodeError) -> RpcError {
    let message = format!("the answer is of another type than was expected: {error}");
    RpcError::new(Status::internal(message), Ran::Yes).with_node(node)
}

/// The error that an envelope tells.
pub(super) fn told(envelope: &Frame, node: &str) -> RpcError {
    match Envelope::decode(envelope) {
        Ok(Envelope::Error(head)) => RpcError::new(head.status(), head.ran).with_node(node),
        _ => RpcError::new(Status::internal("an error that cannot be read"), Ran::Maybe)
            .with_node(node),
    }
}

/// The error of a call that ended on this side.
pub(super) fn ended(
    why: Why,
    ran: Ran,
    node: Option<NodeId>,
    slot: &Slot,
    table: &Table,
) -> RpcError {
    let nodes: Vec<&Place> = table.nodes.iter().flatten().collect();
    let nodes = &nodes[..];
    let known = |node: NodeId| nodes.iter().find(|place| place.id == node);
    let node = node.and_then(known);
    let request = &slot.request;
    let time = request.left;
    // What holds up a call is what it was turned away with, unless a node has it.
    let refusal = slot.refusal().filter(|_| node.is_none());
    let refused = |line: String| match &refusal {
        Some(refusal) => format!("{line}; before that {}", by(refusal)),
        None => line,
    };
    let status = match (why, node) {
        (Why::Expired, Some(node)) => Status::new(
            Code::DeadlineExceeded,
            format!("no answer from {} within {time:.0?}", node.endpoint),
        ),
        (Why::Expired, None) => Status::new(
            Code::DeadlineExceeded,
            match &refusal {
                Some(refusal) => format!(
                    "not run within {time:.0?}: {}; {}",
                    by(refusal),
                    standing(nodes, table)
                ),
                None => format!("not sent within {time:.0?}: {}", standing(nodes, table)),
            },
        ),
        (Why::Cancelled, _) => Status::new(Code::Cancelled, "cancelled by its caller"),
        (Why::Unavailable, _) if request.only.is_some() => {
            let only = request.only.and_then(known);
            Status::unavailable(refused(match only {
                Some(place) => format!(
                    "{} cannot be reached, and the call goes to no other node: {}; wait_for_ready lets calls wait for it",
                    place.endpoint,
                    place.standing()
                ),
                None => "the node has left the pool, and the call goes to no other".to_owned(),
            }))
        }
        (Why::Unavailable, _) => Status::unavailable(refused(format!(
            "no node can be reached: {}; wait_for_ready lets calls wait for one",
            standing(nodes, table)
        ))),
        (Why::QueueFull, _) => Status::resource_exhausted(format!(
            "too many calls wait for credit: {}; waiting_max lets more",
            standing(nodes, table)
        )),
        (Why::Lost, node) => Status::unavailable(format!(
            "the connection to {} was lost before its answer came",
            node.map_or("the node", |node| &*node.endpoint)
        )),
        (Why::Closed, _) => Status::new(Code::Cancelled, "the client is closed"),
    };
    let error = RpcError::new(status, ran);
    match node {
        Some(node) => error.with_node(node.endpoint.clone()),
        None => error,
    }
}

/// Who turned the call away last, with what, and how often that was done.
fn by(refusal: &Refusal) -> String {
    let (node, status) = (&refusal.node, &refusal.status);
    match refusal.times {
        1 => format!("{node} turned it away with {status}"),
        times => format!("it was turned away {times} times, the last by {node} with {status}"),
    }
}

/// How the nodes stand, in a line.
fn standing(nodes: &[&Place], table: &Table) -> String {
    let mut line = String::new();
    for (index, node) in nodes.iter().take(NAMED_MAX).enumerate() {
        let comma = if index > 0 { ", " } else { "" };
        // Writing to a string does not fail.
        let stats = table.caller.node_stats(node.id);
        let stats = stats.as_ref();
        let up = stats.filter(|stats| stats.state == NodeState::Up);
        let how = if stats.is_some_and(|stats| stats.weight == 0) {
            "drained, by weight 0"
        } else if up.is_some_and(|stats| stats.paused) {
            "left alone for a while, as it asked"
        } else if up.is_some_and(|stats| stats.has_room()) {
            "connected"
        } else {
            node.standing()
        };
        let _ = write!(line, "{comma}{}: {how}", node.endpoint);
    }
    if nodes.len() > NAMED_MAX {
        let _ = write!(line, " and {} more", nodes.len() - NAMED_MAX);
    }
    if nodes.is_empty() {
        line.push_str("the pool is empty");
    }
    line
}
