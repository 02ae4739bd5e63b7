//! Which node takes the next call: the seam for picking policies.

use std::time::Duration;

use brokerless_patterns::balance::SmoothWeighted;

use crate::machine::load::Load;

/// A policy. Nodes go by a small number, which another may get after a node is removed.
pub trait Picker: Send {
    /// There is a node more.
    fn add(&mut self, node: usize, weight: u32);

    /// A node is gone.
    fn remove(&mut self, node: usize);

    /// Picks one of those that are `able`: up, and with credit for the call.
    fn pick(&mut self, able: &mut dyn FnMut(usize) -> bool) -> Option<usize>;

    /// A node has replied: what it reported, and how long the call took from here.
    fn replied(&mut self, node: usize, load: Option<&Load>, took: Duration) {
        let _ = (node, load, took);
    }

    /// A node has answered with an error. How long that took says nothing of its speed.
    fn failed(&mut self, node: usize, load: Option<&Load>) {
        let _ = (node, load);
    }
}

/// Smooth weighted round-robin: each node its share, spread evenly. Weight 0: never picked.
#[derive(Debug, Clone, Default)]
pub struct Smooth {
    turns: SmoothWeighted,
}

impl Smooth {
    /// No nodes yet.
    pub fn new() -> Smooth {
        Smooth::default()
    }
}

impl Picker for Smooth {
    fn add(&mut self, node: usize, weight: u32) {
        while self.turns.len() <= node {
            self.turns.push(0);
        }
        // From nothing, whatever one before it under this number had gained.
        self.turns.set_weight(node, 0);
        self.turns.set_weight(node, weight);
    }

    fn remove(&mut self, node: usize) {
        if node < self.turns.len() {
            self.turns.set_weight(node, 0);
        }
    }

    fn pick(&mut self, able: &mut dyn FnMut(usize) -> bool) -> Option<usize> {
        self.turns.pick(able)
    }
}
