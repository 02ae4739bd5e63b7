//! The nodes of a proxy, and how one set of them becomes another.
//!
//! # Invariants
//!
//! 1. A set that is refused changes nothing. (test `nodes_that_are_refused_change_nothing`)

use std::fmt;

use brokerless_patterns::Endpoint;

use super::core::Core;
use crate::error::Error;

/// A node that calls are passed on to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Member {
    endpoint: String,
    weight: u32,
}

impl Member {
    /// The node at this endpoint, with weight 1.
    pub fn new(endpoint: impl Into<String>) -> Self {
        Member {
            endpoint: endpoint.into(),
            weight: 1,
        }
    }

    /// Its share of the calls, beside that of the others. Default 1; 1 to 1,000.
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// Where it is.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Its share.
    pub fn get_weight(&self) -> u32 {
        self.weight
    }
}

/// What has changed of the nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// It is new.
    Added(Member),
    /// It is left out: it gets nothing new, and is parted from once it has answered.
    Removed(Member),
    /// It has another weight than before, which is the one here.
    Weight(Member),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Added(one) => write!(f, "added {} weight={}", one.endpoint, one.weight),
            Change::Removed(one) => write!(f, "removed {}", one.endpoint),
            Change::Weight(one) => write!(f, "changed {} weight={}", one.endpoint, one.weight),
        }
    }
}

/// The same nodes, each endpoint as it is spelled by itself.
pub(super) fn check(members: Vec<Member>) -> Result<Vec<Member>, Error> {
    if members.is_empty() {
        return Err(Error::NoEndpoints);
    }
    let mut checked: Vec<Member> = Vec::with_capacity(members.len());
    for mut member in members {
        let parsed: Endpoint = member
            .endpoint
            .parse()
            .map_err(brokerless_patterns::Error::from)?;
        member.endpoint = parsed.to_string();
        if !(1..=1_000).contains(&member.weight) {
            let weight = format!("{} of {}", member.weight, member.endpoint);
            return Err(Error::option("weight", weight, "from 1 to 1,000"));
        }
        if checked.iter().any(|one| one.endpoint == member.endpoint) {
            let endpoint = member.endpoint;
            return Err(Error::option("endpoint", endpoint, "each endpoint once"));
        }
        checked.push(member);
    }
    Ok(checked)
}

/// As the client takes it.
pub(super) fn node(one: &Member) -> crate::client::Member {
    crate::client::Member::new(&one.endpoint).weight(one.weight)
}

impl Core {
    pub(super) fn members(&self) -> Vec<Member> {
        self.members.lock().clone()
    }

    pub(super) fn set_members(&self, members: Vec<Member>) -> Result<Vec<Change>, Error> {
        let wanted = check(members)?;
        let Some(client) = self.client.get() else {
            return Ok(Vec::new());
        };
        let mut current = self.members.lock();
        let mut changes = Vec::new();
        let find = |list: &[Member], one: &Member| {
            let mut list = list.iter();
            list.find(|other| other.endpoint == one.endpoint).cloned()
        };
        // New ones first, so that there is always one that calls may wait for.
        for one in &wanted {
            match find(&current, one) {
                None => {
                    client.add(node(one))?;
                    changes.push(Change::Added(one.clone()));
                }
                Some(before) if before.weight != one.weight => {
                    client.set(node(one))?;
                    changes.push(Change::Weight(one.clone()));
                }
                Some(_) => {}
            }
        }
        for one in current.iter() {
            if find(&wanted, one).is_none() {
                client.remove(&one.endpoint);
                changes.push(Change::Removed(one.clone()));
            }
        }
        *current = wanted;
        Ok(changes)
    }
}
