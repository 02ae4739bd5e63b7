//! Least in flight: the least busy of a few.

use super::members::Members;
use super::nodes::Nodes;
use super::pick::{Ask, Pick};

/// Options of [`Least`].
#[derive(Debug, Clone)]
pub(super) struct LeastOptions {
    pub(super) choices: usize,
    pub(super) bias: f64,
}

impl Default for LeastOptions {
    fn default() -> LeastOptions {
        LeastOptions {
            choices: 2,
            bias: 1.0,
        }
    }
}

/// The one with the least in flight from here, of a few different ones.
#[derive(Debug, Clone)]
pub(super) struct Least {
    options: LeastOptions,
    members: Members,
}

impl Least {
    pub(super) fn new(options: LeastOptions) -> Least {
        Least {
            options,
            members: Members::new(),
        }
    }
}

impl Pick for Least {
    fn joined(&mut self, nodes: &Nodes, node: usize) {
        self.members.update(nodes, node);
    }

    fn changed(&mut self, nodes: &Nodes, node: usize) {
        self.members.update(nodes, node);
    }

    fn left(&mut self, _: &Nodes, node: usize) {
        self.members.leave(node);
    }

    fn pick(&mut self, ask: &mut Ask<'_>) -> Option<usize> {
        let in_flight = |ask: &Ask<'_>, node| f64::from(ask.nodes.in_flight(node));
        self.members.least(ask, self.options.choices, in_flight)
    }
}
