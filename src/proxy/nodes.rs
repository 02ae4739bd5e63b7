//! The nodes of a proxy, and how one set of them becomes another.
//!
//! # Invariants
//!
//! 1. A set that is refused changes nothing. (test `nodes_that_are_refused_change_nothing`)
//! 2. A proxy that has left its nodes connects to no other. (test
//!    `a_stopped_proxy_connects_to_no_node`)

use std::fmt;

use super::core::Core;
use crate::client::{Client, Member};
use crate::error::Error;

/// What has changed of the nodes.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Change {
    /// It is new.
    Added(Member),
    /// It is left out: it gets nothing new, and is parted from once it has answered.
    Removed(Member),
    /// It has another weight, priority or place than before: these.
    Changed(Member),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Added(one) => write!(f, "added {one}"),
            Change::Removed(one) => write!(f, "removed {}", one.endpoint()),
            Change::Changed(one) => write!(f, "changed {one}"),
        }
    }
}

/// The same nodes, if all of them can be.
pub(super) fn check(nodes: Vec<Member>) -> Result<Vec<Member>, Error> {
    if nodes.is_empty() {
        return Err(Error::NoEndpoints);
    }
    let mut checked: Vec<Member> = Vec::with_capacity(nodes.len());
    for node in nodes {
        let node = node.checked()?;
        if find(&checked, &node).is_some() {
            let endpoint = node.endpoint();
            return Err(Error::option("endpoint", endpoint, "each endpoint once"));
        }
        checked.push(node);
    }
    Ok(checked)
}

/// Takes back what was done of a set that is refused after all.
fn undo(client: &Client, current: &[Member], changes: &[Change]) {
    for change in changes {
        match change {
            Change::Changed(one) => {
                if let Some(before) = find(current, one) {
                    // As it was: it was right before.
                    let _ = client.set_of_many(&before.instead_of(one));
                }
            }
            Change::Added(one) | Change::Removed(one) => {
                client.remove_of_many(one.endpoint());
            }
        }
    }
}

fn find<'l>(list: &'l [Member], one: &Member) -> Option<&'l Member> {
    list.iter().find(|other| other.endpoint() == one.endpoint())
}

impl Core {
    pub(super) fn nodes(&self) -> Vec<Member> {
        self.nodes.lock().clone()
    }

    pub(super) fn set_nodes(&self, nodes: Vec<Member>) -> Result<Vec<Change>, Error> {
        let wanted = check(nodes)?;
        let Some(client) = self.client.get() else {
            return Ok(Vec::new());
        };
        client.fits(&wanted)?;
        let mut current = self.nodes.lock();
        if client.has_left() {
            return Err(Error::Closed);
        }
        let mut changes = Vec::new();
        // New ones first, so that there is always one that calls may wait for.
        for one in &wanted {
            let done = match find(&current, one) {
                None => client
                    .add_of_many(one)
                    .map(|()| changes.push(Change::Added(one.clone()))),
                Some(before) if before != one => client
                    .set_of_many(&one.instead_of(before))
                    .map(|_| changes.push(Change::Changed(one.clone()))),
                Some(_) => Ok(()),
            };
            if let Err(error) = done {
                undo(client, &current, &changes);
                return Err(error);
            }
        }
        for one in current.iter() {
            if find(&wanted, one).is_none() {
                client.remove_of_many(one.endpoint());
                changes.push(Change::Removed(one.clone()));
            }
        }
        *current = wanted;
        Ok(changes)
    }
}
