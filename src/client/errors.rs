//! How calls that were not answered ended, in words.

use std::fmt::Write;

use brokerless_patterns::Frame;

use super::core::Table;
use super::node::Place;
use super::slot::Request;
use crate::machine::{NodeId, Why};
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
    request: &Request,
    table: &Table,
) -> RpcError {
    let nodes: Vec<&Place> = table.nodes.iter().flatten().collect();
    let nodes = &nodes[..];
    let known = |node: NodeId| nodes.iter().find(|place| place.id == node);
    let node = node.and_then(known);
    let time = request.time();
    let status = match (why, node) {
        (Why::Expired, Some(node)) => Status::new(
            Code::DeadlineExceeded,
            format!("no answer from {} within {time:.0?}", node.endpoint),
        ),
        (Why::Expired, None) => Status::new(
            Code::DeadlineExceeded,
            format!("not sent within {time:.0?}: {}", standing(nodes, table)),
        ),
        (Why::Cancelled, _) => Status::new(Code::Cancelled, "cancelled by its caller"),
        (Why::Unavailable, _) if request.only.is_some() => {
            let only = request.only.and_then(known);
            Status::unavailable(match only {
                Some(place) => format!(
                    "{} cannot be reached, and the call goes to no other node: {}; wait_for_ready lets calls wait for it",
                    place.endpoint,
                    place.standing()
                ),
                None => "the node has left the pool, and the call goes to no other".to_owned(),
            })
        }
        (Why::Unavailable, _) => Status::unavailable(format!(
            "no node can be reached: {}; wait_for_ready lets calls wait for one",
            standing(nodes, table)
        )),
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

/// How the nodes stand, in a line.
fn standing(nodes: &[&Place], table: &Table) -> String {
    let mut line = String::new();
    for (index, node) in nodes.iter().take(NAMED_MAX).enumerate() {
        let comma = if index > 0 { ", " } else { "" };
        // Writing to a string does not fail.
        let drained = table
            .caller
            .facts(node.id)
            .is_some_and(|facts| facts.weight == 0);
        let how = if drained {
            "drained, by weight 0"
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
