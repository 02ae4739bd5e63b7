//! Weighted round-robin: each node its share, by the weight of now.
//!
//! Up to 64 nodes in the smooth order, which asks everyone at each pick; above by earliest deadline
//! first, where a pick takes the logarithm of how many there are. As nodes come and go it changes
//! from one to the other: turns begin anew then.

use super::nodes::Nodes;
use super::pick::{Ask, Pick};
use super::random::Random;
use super::schedule::Schedule;
use super::smooth::SmoothWeighted;

/// Nodes that have their turns in the smooth order.
const SMOOTH_MAX: usize = 64;

#[derive(Debug, Clone)]
pub(super) struct Weighted {
    /// Those that are up and have a weight, in the order in which they came.
    list: Vec<usize>,
    /// Of as many members as are in the list, while there are not more of them than that.
    turns: SmoothWeighted,
    /// Of everyone, while there are more.
    schedule: Schedule,
}

impl Weighted {
    pub(super) fn new(random: &mut Random) -> Weighted {
        Weighted {
            list: Vec::new(),
            turns: SmoothWeighted::new(),
            schedule: Schedule::new(random),
        }
    }

    fn is_smooth(&self) -> bool {
        self.list.len() <= SMOOTH_MAX
    }

    fn take_in(&mut self, nodes: &Nodes, node: usize) {
        self.list.push(node);
        if self.is_smooth() {
            self.turns.push(nodes.weight(node));
        } else if self.list.len() == SMOOTH_MAX + 1 {
            self.turns = SmoothWeighted::new();
            for &node in &self.list {
                self.schedule.join(node, rate(nodes, node));
            }
        } else {
            self.schedule.join(node, rate(nodes, node));
        }
    }

    fn take_out(&mut self, nodes: &Nodes, at: usize) {
        let node = self.list.remove(at);
        if self.list.len() == SMOOTH_MAX {
            self.schedule.clear();
            for &node in &self.list {
                self.turns.push(nodes.weight(node));
            }
        } else if self.is_smooth() {
            self.turns.remove(at);
        } else {
            self.schedule.leave(node);
        }
    }

    fn find(&self, node: usize) -> Option<usize> {
        self.list.iter().position(|&other| other == node)
    }
}

fn rate(nodes: &Nodes, node: usize) -> f64 {
    f64::from(nodes.weight(node))
}

impl Pick for Weighted {
    fn joined(&mut self, nodes: &Nodes, node: usize) {
        self.changed(nodes, node);
    }

    fn changed(&mut self, nodes: &Nodes, node: usize) {
        let takes_part = nodes.is_up(node) && nodes.weight(node) > 0;
        match self.find(node) {
            None if takes_part => self.take_in(nodes, node),
            Some(at) if !takes_part => self.take_out(nodes, at),
            Some(at) if self.is_smooth() => self.turns.set_weight(at, nodes.weight(node)),
            Some(_) => self.schedule.set_rate(node, rate(nodes, node)),
            None => {}
        }
    }

    fn left(&mut self, nodes: &Nodes, node: usize) {
        if let Some(at) = self.find(node) {
            self.take_out(nodes, at);
        }
    }

    fn pick(&mut self, ask: &mut Ask<'_>) -> Option<usize> {
        if self.is_smooth() {
            let at = self.turns.pick(|at| ask.is_able(self.list[at]))?;
            return Some(self.list[at]);
        }
        let nodes = ask.nodes;
        let able = |node| ask.is_able(node);
        self.schedule.pick(able, |node| rate(nodes, node))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Pool;
    use super::super::{Facts, Policy};

    #[test]
    fn the_order_is_the_published_one_and_starts_anew_with_who_is_left() {
        let mut pool = Pool::of(&Policy::weighted(), [3, 2, 1]);
        assert_eq!(pool.picks(6), [0, 1, 0, 2, 1, 0]);
        pool.balancer.remove(0);
        assert_eq!(pool.counts(300), [0, 200, 100]);
        let mut pool = Pool::of(&Policy::weighted(), [5, 1, 1]);
        assert_eq!(pool.picks(7), [0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn shares_are_the_weights_on_both_sides_of_the_change_of_order() {
        let mut pool = Pool::of(&Policy::weighted(), (0..60).map(|node| 1 + node % 3));
        for node in 60..70 {
            pool.join(node, Facts::weight(1 + node as u32 % 3));
            pool.assert_shares(20_000, 0.02);
        }
        for node in 0..12 {
            pool.balancer.remove(node);
            pool.assert_shares(20_000, 0.02);
        }
    }
}
