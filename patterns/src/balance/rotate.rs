//! Round-robin: each node in turn.

use super::nodes::{Nodes, WHOLE};
use super::pick::{Ask, Pick};

/// Each in turn; who is not able is passed over, and nobody gets two turns for that. The first is
/// any, so that many callers do not begin with the same node.
///
/// A node that warms up gathers its part of a turn each time that it comes round, and takes one
/// whenever that makes a whole.
#[derive(Debug, Clone, Default)]
pub(super) struct RoundRobin {
    ring: Vec<usize>,
    /// What of a turn each in the ring has gathered, in thousandths.
    gathered: Vec<u32>,
    /// Whose turn it is; none before the first pick.
    next: Option<usize>,
}

impl RoundRobin {
    /// No nodes yet.
    pub(super) fn new() -> RoundRobin {
        RoundRobin::default()
    }

    fn take_out(&mut self, node: usize) {
        if let Some(at) = self.ring.iter().position(|&other| other == node) {
            self.ring.remove(at);
            self.gathered.remove(at);
            if let Some(next) = &mut self.next
                && at < *next
            {
                *next -= 1;
            }
        }
    }

    /// Whether the one at this place of the ring, which warms up, has gathered a turn.
    fn has_turn(&mut self, at: usize, part: u32) -> bool {
        let gathered = self.gathered[at] + part;
        self.gathered[at] = gathered % WHOLE;
        gathered >= WHOLE
    }
}

impl Pick for RoundRobin {
    fn joined(&mut self, nodes: &Nodes, node: usize) {
        self.changed(nodes, node);
    }

    fn changed(&mut self, nodes: &Nodes, node: usize) {
        if !nodes.is_up(node) || nodes.weight(node) == 0 {
            self.take_out(node);
        } else if !self.ring.contains(&node) {
            self.ring.push(node);
            self.gathered.push(0);
        }
    }

    fn left(&mut self, _: &Nodes, node: usize) {
        self.take_out(node);
    }

    fn pick(&mut self, ask: &mut Ask<'_>) -> Option<usize> {
        let count = self.ring.len();
        let first = match self.next {
            Some(next) => next,
            None => ask.random.below(count),
        };
        let warming = ask.nodes.has_warming();
        let mut spared = None;
        let mut at = first;
        for _ in 0..count {
            at = if at < count { at } else { 0 };
            let node = self.ring[at];
            at += 1;
            if ask.is_able(node) {
                if warming && !self.has_turn(at - 1, ask.nodes.part(node)) {
                    spared.get_or_insert((at, node));
                    continue;
                }
                self.next = Some(at);
                return Some(node);
            }
        }
        // Nobody else is able.
        let (at, node) = spared?;
        self.next = Some(at);
        Some(node)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::testing::{MS, Pool, SECOND};
    use super::super::{Balancer, Facts, Policy};

    #[test]
    fn each_has_its_turn_whatever_its_weight() {
        let mut pool = Pool::of(&Policy::round_robin(), [1, 9, 1, 3]);
        let round = pool.picks(4);
        assert_eq!(pool.picks(4), round);
        assert_eq!(pool.counts(400), [100; 4]);
    }

    #[test]
    fn who_warms_up_has_its_part_of_the_turns() {
        let policy = Policy::round_robin().slow_start(Duration::from_secs(1));
        let mut pool = Pool {
            balancer: Balancer::new(&policy, 1).unwrap(),
            now: 0,
        };
        (0..3).for_each(|node| pool.join(node, Facts::default()));
        pool.now += 60 * SECOND;
        pool.join(3, Facts::default());
        // A tenth of a turn at first; by the time half of one, and at the end all of it.
        assert_eq!(pool.counts(310), [100, 100, 100, 10]);
        pool.now += 500 * MS;
        assert_eq!(pool.counts(350), [100, 100, 100, 50]);
        // If nobody else is able it gets everything.
        assert!((0..20).all(|_| pool.pick_of(&|node| node == 3) == Some(3)));
        pool.now += 500 * MS;
        assert_eq!(pool.counts(400), [100; 4]);
        // Two that warm up and others that are not able: each some.
        pool.join(4, Facts::default());
        pool.join(5, Facts::default());
        let counts = (0..20).fold([0; 6], |mut counts, _| {
            counts[pool.pick_of(&|node| node > 3).unwrap()] += 1;
            counts
        });
        assert!(counts[4] > 4 && counts[5] > 4, "{counts:?}");
    }

    #[test]
    fn who_is_passed_over_gives_nobody_two_turns() {
        let mut pool = Pool::of(&Policy::round_robin(), [1; 4]);
        let mut counts = [0; 4];
        for _ in 0..300 {
            counts[pool.pick_of(&|node| node != 1).unwrap()] += 1;
        }
        assert_eq!(counts, [100, 0, 100, 100]);
    }

    #[test]
    fn who_comes_and_goes_moves_nobody_elses_turn() {
        let mut pool = Pool::of(&Policy::round_robin(), [1; 4]);
        let last = pool.picks(2)[1];
        pool.balancer.remove((last + 3) % 4);
        let mut rest = pool.picks(3);
        assert_eq!(rest[0], (last + 1) % 4);
        rest.sort_unstable();
        pool.join(4, Facts::default());
        assert_eq!(
            pool.counts(400)
                .iter()
                .filter(|count| **count == 100)
                .count(),
            4
        );
        (0..5).for_each(|node| pool.balancer.remove(node));
        assert_eq!(pool.pick(), None);
    }

    #[test]
    fn the_first_is_not_that_of_another_caller() {
        let first =
            |seed| Pool::seeded(&Policy::round_robin(), vec![Facts::default(); 8], seed).pick();
        let mut nodes: Vec<_> = (0..50).map(first).collect();
        nodes.sort_unstable();
        nodes.dedup();
        assert_eq!(nodes.len(), 8);
    }
}
