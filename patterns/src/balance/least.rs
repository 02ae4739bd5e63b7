//! Least in flight: the least busy of a few, by what is in flight from here.
//!
//! # Invariants
//!
//! 1. The few are different ones: the busiest of all is never picked, and of as many as there are
//!    the least busy always. (tests `the_worst_is_never_picked_and_of_all_only_the_best`,
//!    `the_best_of_ten_is_picked_as_often_as_it_is_among_those_drawn`)
//! 2. Weights keep their shares. (test `a_node_of_99_percent_of_the_weight_gets_99_percent`)

use std::time::Duration;

use super::Nanos;
use super::choice::Choice;
use super::nodes::{Load, Nodes};
use super::pick::{Ask, Pick};
use super::random::Random;

/// See the options of [`Policy::least_in_flight`](super::Policy::least_in_flight).
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

#[derive(Debug, Clone)]
pub(super) struct Least {
    choice: Choice,
    bias: f64,
}

impl Least {
    pub(super) fn new(options: &LeastOptions, random: &mut Random) -> Least {
        Least {
            choice: Choice::new(options.choices, random),
            bias: options.bias,
        }
    }

    /// With an answer its next turn comes sooner: it is less busy than when it had the last.
    fn answered(&mut self, nodes: &Nodes, node: usize) {
        let bias = self.bias;
        self.choice.costs(nodes, node, || cost(nodes, bias, node));
    }
}

fn cost(nodes: &Nodes, bias: f64, node: usize) -> f64 {
    let busy = f64::from(nodes.in_flight(node)) + 1.0;
    // The usual exponent without the slow function.
    if bias == 1.0 { busy } else { busy.powf(bias) }
}

impl Pick for Least {
    fn pick(&mut self, ask: &mut Ask<'_>) -> Option<usize> {
        let bias = self.bias;
        self.choice
            .pick(ask, |ask, node| cost(ask.nodes, bias, node))
    }

    fn joined(&mut self, nodes: &Nodes, node: usize) {
        self.changed(nodes, node);
    }

    fn changed(&mut self, nodes: &Nodes, node: usize) {
        let bias = self.bias;
        self.choice
            .changed(nodes, node, |node| cost(nodes, bias, node));
    }

    fn left(&mut self, nodes: &Nodes, node: usize) {
        let bias = self.bias;
        self.choice
            .left(nodes, node, |node| cost(nodes, bias, node));
    }

    fn replied(&mut self, nodes: &Nodes, _: Nanos, node: usize, _: Duration, _: Option<&Load>) {
        self.answered(nodes, node);
    }

    fn failed(&mut self, nodes: &Nodes, _: Nanos, node: usize, _: Duration, _: Option<&Load>) {
        self.answered(nodes, node);
    }

    fn lapsed(&mut self, nodes: &Nodes, _: Nanos, node: usize) {
        self.answered(nodes, node);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::Policy;
    use super::super::testing::Pool;

    /// As many nodes, each with one more in flight than the one before.
    fn steps(policy: &Policy, nodes: usize) -> Pool {
        let mut pool = Pool::of(policy, vec![1; nodes]);
        for node in 0..nodes {
            (0..node).for_each(|_| pool.send(node));
        }
        pool
    }

    #[test]
    fn the_worst_is_never_picked_and_of_all_only_the_best() {
        // Drawn with replacement, the worse of two would be picked one time in four, and the best
        // of N by C draws only 1 - ((N - 1) / N)^C of the times: 0.65 for ten of ten.
        for (nodes, choices) in [(2, 2), (3, 3), (10, 10)] {
            let mut pool = steps(&Policy::least_in_flight().choices(choices), nodes);
            assert!((0..10_000).all(|_| pool.pick() == Some(0)));
        }
        let mut pool = steps(&Policy::least_in_flight(), 10);
        assert!((0..10_000).all(|_| pool.pick() != Some(9)));
    }

    #[test]
    fn the_best_of_ten_is_picked_as_often_as_it_is_among_those_drawn() {
        for choices in 1..=10 {
            let mut pool = steps(&Policy::least_in_flight().choices(choices), 10);
            let best = pool
                .picks(100_000)
                .iter()
                .filter(|node| **node == 0)
                .count();
            let exact = 10_000 * choices;
            assert!(
                best.abs_diff(exact) < 700,
                "{best} for {exact} of {choices}"
            );
        }
    }

    #[test]
    fn among_equals_each_is_picked_as_often() {
        let mut pool = Pool::of(&Policy::least_in_flight(), [1; 10]);
        pool.assert_shares(100_000, 0.05);
    }

    #[test]
    fn a_node_of_99_percent_of_the_weight_gets_99_percent() {
        let mut pool = Pool::of(&Policy::least_in_flight(), [990, 5, 5]);
        let counts = pool.counts(10_000);
        assert!((9_898..=9_902).contains(&counts[0]), "{counts:?}");
        assert!(counts[1] >= 49 && counts[2] >= 49, "{counts:?}");
    }

    #[test]
    fn what_is_in_flight_takes_of_a_weight_as_much_as_the_bias_says() {
        // Of weight 3 with two in flight, beside weight 1 with none: 3 / 3^bias to 1.
        for (bias, share) in [(0.0, 0.75_f64), (1.0, 0.5), (2.0, 0.25)] {
            let mut pool = Pool::of(&Policy::least_in_flight().bias(bias), [3, 1]);
            (0..2).for_each(|_| pool.send(0));
            let mut counts = BTreeMap::new();
            for node in pool.picks(10_000) {
                *counts.entry(node).or_insert(0.0) += 1e-4;
            }
            assert!((counts[&0] - share).abs() < 0.01, "{bias}: {counts:?}");
        }
    }

    #[test]
    fn weights_may_become_equal_and_different_again() {
        let mut pool = Pool::of(&Policy::least_in_flight(), [2, 1, 1]);
        pool.assert_shares(4_000, 0.02);
        pool.balancer.set(0, 0, super::super::Facts::weight(1));
        pool.assert_shares(40_000, 0.05);
        pool.balancer.set(0, 1, super::super::Facts::weight(6));
        pool.assert_shares(4_000, 0.02);
    }
}
