//! Nodes divided into parts, with a policy of its own in each.
//!
//! A part is there as long as a node is: its policy is told of those nodes only. What is common to
//! policies that divide is here, and what a part is good for: the weight of its nodes, and of those
//! that are up.

use std::sync::Arc;

use super::nodes::Nodes;
use super::pick::{Ask, Pick};
use super::policy::Policy;
use super::random::Random;

pub(super) struct Parts<K> {
    inner: Arc<Policy>,
    random: Random,
    /// A place that is empty gets the next part.
    parts: Vec<Option<Part<K>>>,
    /// By number: where a node is.
    of: Vec<Option<Member>>,
}

pub(super) struct Part<K> {
    /// What its nodes have in common.
    pub(super) key: K,
    /// The weight of its nodes, as the pool says.
    pub(super) all: u64,
    /// Of those that are up.
    pub(super) up: u64,
    nodes: usize,
    policy: Box<dyn Pick>,
}

#[derive(Clone, Copy)]
struct Member {
    part: usize,
    all: u64,
    up: u64,
}

impl<K> Parts<K> {
    pub(super) fn new(inner: &Arc<Policy>, random: &mut Random) -> Parts<K> {
        Parts {
            inner: Arc::clone(inner),
            random: Random::new(random.next_u64()),
            parts: Vec::new(),
            of: Vec::new(),
        }
    }

    /// The parts, and where they are: they stay there while they have a node.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &Part<K>)> {
        let parts = self.parts.iter().enumerate();
        parts.filter_map(|(at, part)| Some((at, part.as_ref()?)))
    }

    /// The nodes of all parts.
    pub(super) fn nodes(&self) -> impl Iterator<Item = usize> + '_ {
        let of = self.of.iter().enumerate();
        of.filter_map(|(node, member)| member.map(|_| node))
    }

    /// The part at this place.
    pub(super) fn get(&self, at: usize) -> Option<&Part<K>> {
        self.parts.get(at)?.as_ref()
    }

    fn get_mut(&mut self, at: usize) -> Option<&mut Part<K>> {
        self.parts.get_mut(at)?.as_mut()
    }

    /// Where the part of a node is.
    pub(super) fn part_of(&self, node: usize) -> Option<usize> {
        Some((*self.of.get(node)?)?.part)
    }

    /// A node is new, or another than it was: it belongs to the part of which the key `is_its`, as
    /// that of `key` is.
    pub(super) fn changed(
        &mut self,
        nodes: &Nodes,
        node: usize,
        is_its: impl Fn(&K) -> bool,
        key: impl FnOnce() -> K,
    ) {
        match self.part_of(node).and_then(|at| self.get_mut(at)) {
            Some(part) if is_its(&part.key) => part.policy.changed(nodes, node),
            Some(_) => {
                self.left(nodes, node);
                self.join(nodes, node, is_its, key);
            }
            None => self.join(nodes, node, is_its, key),
        }
        self.count(nodes, node);
    }

    fn join(
        &mut self,
        nodes: &Nodes,
        node: usize,
        is_its: impl Fn(&K) -> bool,
        key: impl FnOnce() -> K,
    ) {
        let known = self.iter().find(|(_, part)| is_its(&part.key));
        let at = match known.map(|(at, _)| at) {
            Some(at) => at,
            None => self.open(key()),
        };
        if self.of.len() <= node {
            self.of.resize(node + 1, None);
        }
        let (all, up) = (0, 0);
        self.of[node] = Some(Member { part: at, all, up });
        if let Some(part) = self.get_mut(at) {
            part.nodes += 1;
            part.policy.joined(nodes, node);
        }
    }

    fn open(&mut self, key: K) -> usize {
        let part = Part {
            key,
            all: 0,
            up: 0,
            nodes: 0,
            policy: self.inner.make(&mut self.random),
        };
        match self.parts.iter().position(Option::is_none) {
            Some(free) => {
                self.parts[free] = Some(part);
                free
            }
            None => {
                self.parts.push(Some(part));
                self.parts.len() - 1
            }
        }
    }

    fn count(&mut self, nodes: &Nodes, node: usize) {
        let all = nodes.facts(node).map_or(0, |facts| u64::from(facts.weight));
        let up = if nodes.is_up(node) { all } else { 0 };
        if let Some(Some(member)) = self.of.get_mut(node)
            && let Some(Some(part)) = self.parts.get_mut(member.part)
        {
            part.all = part.all - member.all + all;
            part.up = part.up - member.up + up;
            (member.all, member.up) = (all, up);
        }
    }

    pub(super) fn left(&mut self, nodes: &Nodes, node: usize) {
        let Some(member) = self.of.get_mut(node).and_then(Option::take) else {
            return;
        };
        if let Some(part) = self.get_mut(member.part) {
            part.policy.left(nodes, node);
            part.all -= member.all;
            part.up -= member.up;
            part.nodes -= 1;
            if part.nodes == 0 {
                self.parts[member.part] = None;
            }
        }
    }

    /// One of the nodes of the part at this place.
    pub(super) fn pick(&mut self, at: usize, ask: &mut Ask<'_>) -> Option<usize> {
        self.get_mut(at)?.policy.pick(ask)
    }

    pub(super) fn wonders(&mut self, ask: &mut Ask<'_>) -> Option<usize> {
        let at = ask.random.below(self.parts.len());
        self.get_mut(at)?.policy.wonders(ask)
    }

    /// The policy of the part that a node is in.
    pub(super) fn policy_of(&mut self, node: usize) -> Option<&mut (dyn Pick + 'static)> {
        let at = self.part_of(node)?;
        Some(&mut *self.get_mut(at)?.policy)
    }
}
