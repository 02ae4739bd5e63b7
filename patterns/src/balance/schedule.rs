//! Earliest deadline first: turns by rates that may be different at each turn.
//!
//! Each node's next turn is due one over its rate after the one before, in a time of its own that
//! goes on to the turn that is taken; the first is due somewhere within that, so that many callers
//! do not begin with the same node. A heap that knows where each node is keeps the earliest at its
//! front.
//!
//! Who is not able when its turn comes misses that turn, and comes back without a backlog.
//!
//! # Invariants
//!
//! 1. Over any time each node has its share, give or take a turn. (test
//!    `turns_follow_the_rates_to_a_turn`)
//! 2. Whoever is able is found, and the front is the earliest. (proptest `turns_come_in_order`)
//! 3. Who leaves leaves nothing. (proptest `turns_come_in_order`)

use super::random::Random;

/// Turns missed before the first that is able is taken, in the heap's order: nearly the earliest.
const MISSES_MAX: usize = 16;
/// Not in the heap.
const OUT: u32 = u32::MAX;
/// The smallest rate: so that none is never.
const RATE_MIN: f64 = 1e-18;

#[derive(Debug, Clone)]
pub(super) struct Schedule {
    heap: Vec<Turn>,
    /// Where in the heap a node is, by its number.
    place: Vec<u32>,
    now: f64,
    random: Random,
}

#[derive(Debug, Clone, Copy)]
struct Turn {
    due: f64,
    /// Since when it waits for it.
    since: f64,
    node: u32,
}

impl Schedule {
    pub(super) fn new(random: &mut Random) -> Schedule {
        Schedule {
            heap: Vec::new(),
            place: Vec::new(),
            now: 0.0,
            random: Random::new(random.next_u64()),
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }

    /// A node more; another rate, if it is there.
    pub(super) fn join(&mut self, node: usize, rate: f64) {
        if self.at(node).is_some() {
            return self.set_rate(node, rate);
        }
        let (Ok(number), Ok(at)) = (u32::try_from(node), u32::try_from(self.heap.len())) else {
            return;
        };
        if self.place.len() <= node {
            self.place.resize(node + 1, OUT);
        }
        self.place[node] = at;
        let period = period(rate);
        let due = self.now + self.random.unit() * period;
        self.heap.push(Turn {
            due,
            since: due - period,
            node: number,
        });
        self.up(at as usize);
    }

    pub(super) fn leave(&mut self, node: usize) {
        let Some(at) = self.at(node) else {
            return;
        };
        self.heap.swap_remove(at);
        self.place[node] = OUT;
        if let Some(moved) = self.heap.get(at) {
            self.place[moved.node as usize] = at as u32;
            let at = self.up(at);
            self.down(at);
        }
    }

    /// Nobody.
    pub(super) fn clear(&mut self) {
        for turn in self.heap.drain(..) {
            self.place[turn.node as usize] = OUT;
        }
    }

    /// The turn that it waits for comes by this rate.
    pub(super) fn set_rate(&mut self, node: usize, rate: f64) {
        if let Some(at) = self.at(node) {
            let turn = &mut self.heap[at];
            turn.due = (turn.since + period(rate)).max(self.now);
            let at = self.up(at);
            self.down(at);
        }
    }

    /// Whose turn it is of those that are able; the next it has by its `rate`, asked when this one
    /// is taken or missed.
    pub(super) fn pick(
        &mut self,
        able: impl Fn(usize) -> bool,
        rate: impl Fn(usize) -> f64,
    ) -> Option<usize> {
        for _ in 0..MISSES_MAX {
            let node = self.heap.first()?.node as usize;
            let able = able(node);
            self.take(0, &rate);
            if able {
                return Some(node);
            }
        }
        let at = self.heap.iter().position(|turn| able(turn.node as usize))?;
        let node = self.heap[at].node as usize;
        self.take(at, &rate);
        Some(node)
    }

    /// A turn is over. The time goes on to it only if nobody's is due before.
    fn take(&mut self, at: usize, rate: impl Fn(usize) -> f64) {
        let turn = &mut self.heap[at];
        if at == 0 {
            self.now = self.now.max(turn.due);
        }
        turn.since = turn.due;
        turn.due += period(rate(turn.node as usize));
        self.down(at);
    }

    fn at(&self, node: usize) -> Option<usize> {
        let place = *self.place.get(node)?;
        (place != OUT).then_some(place as usize)
    }

    /// Moves a turn towards the front, as far as it is due before those there. Where it is then.
    fn up(&mut self, mut at: usize) -> usize {
        let turn = self.heap[at];
        while at > 0 {
            let parent = (at - 1) / 2;
            if self.heap[parent].due <= turn.due {
                break;
            }
            self.put(at, self.heap[parent]);
            at = parent;
        }
        self.put(at, turn);
        at
    }

    /// Moves a turn away from the front, as far as others are due before it.
    fn down(&mut self, mut at: usize) {
        let turn = self.heap[at];
        loop {
            let mut child = 2 * at + 1;
            if child >= self.heap.len() {
                break;
            }
            if child + 1 < self.heap.len() && self.heap[child + 1].due < self.heap[child].due {
                child += 1;
            }
            if self.heap[child].due >= turn.due {
                break;
            }
            self.put(at, self.heap[child]);
            at = child;
        }
        self.put(at, turn);
    }

    fn put(&mut self, at: usize, turn: Turn) {
        self.heap[at] = turn;
        self.place[turn.node as usize] = at as u32;
    }
}

/// Not a number, nothing and less than nothing count as next to nothing.
fn period(rate: f64) -> f64 {
    1.0 / rate.max(RATE_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn with(rates: &[f64]) -> Schedule {
        let mut schedule = Schedule::new(&mut Random::new(1));
        for (node, rate) in rates.iter().enumerate() {
            schedule.join(node, *rate);
        }
        schedule
    }

    #[test]
    fn turns_follow_the_rates_to_a_turn() {
        let rates: Vec<f64> = (1..=100).map(f64::from).collect();
        let total: f64 = rates.iter().sum();
        let mut schedule = with(&rates);
        let mut taken = vec![0.0; rates.len()];
        for turn in 1..=50_500 {
            taken[schedule.pick(|_| true, |node| rates[node]).unwrap()] += 1.0;
            // However short the time: nobody is ahead or behind by more than a turn, beside the
            // one that its first may be due early or late.
            for (node, taken) in taken.iter().enumerate() {
                let exact = f64::from(turn) * rates[node] / total;
                assert!((taken - exact).abs() < 2.0, "{node}: {taken} of {exact}");
            }
        }
    }

    #[test]
    fn first_turns_are_not_those_of_another_caller() {
        let first = |seed| {
            let mut schedule = Schedule::new(&mut Random::new(seed));
            (0..100).for_each(|node| schedule.join(node, 1.0));
            schedule.pick(|_| true, |_| 1.0)
        };
        let mut nodes: Vec<_> = (0..100).map(first).collect();
        nodes.sort_unstable();
        nodes.dedup();
        assert!(nodes.len() > 40, "{} of 100", nodes.len());
    }

    #[test]
    fn turns_missed_are_not_made_up_for() {
        let mut schedule = with(&[1.0; 4]);
        for _ in 0..1000 {
            assert_ne!(schedule.pick(|node| node != 2, |_| 1.0), Some(2));
        }
        let after: Vec<_> = (0..40)
            .filter_map(|_| schedule.pick(|_| true, |_| 1.0))
            .collect();
        let mine = after.iter().filter(|node| **node == 2).count();
        assert!((9..=11).contains(&mine), "{mine} of 40");
    }

    #[test]
    fn a_rate_that_is_none_is_next_to_none() {
        let rates = [f64::NAN, 0.0, -1.0, 1.0];
        let mut schedule = with(&rates);
        for _ in 0..100 {
            assert_eq!(schedule.pick(|_| true, |node| rates[node]), Some(3));
        }
        assert!(schedule.pick(|node| node < 3, |node| rates[node]).is_some());
    }

    proptest! {
        #[test]
        fn turns_come_in_order(steps in proptest::collection::vec((0usize..40, 0u8..6), 1..300)) {
            let mut schedule = with(&[]);
            let mut there = std::collections::BTreeSet::new();
            for (node, what) in steps {
                match what {
                    0 | 1 => {
                        schedule.join(node, node as f64 + 1.0);
                        there.insert(node);
                    }
                    2 => {
                        schedule.leave(node);
                        there.remove(&node);
                    }
                    3 => schedule.set_rate(node, 7.0),
                    4 => {
                        let able = |other: usize| other >= node;
                        let picked = schedule.pick(able, |_| 2.0);
                        prop_assert_eq!(picked.is_some(), there.range(node..).next().is_some());
                        prop_assert!(picked.is_none_or(|it| it >= node && there.contains(&it)));
                    }
                    _ => {
                        let earliest = schedule.heap.iter().map(|turn| turn.due);
                        let earliest = earliest.fold(f64::INFINITY, f64::min);
                        let front = schedule.heap.first().map_or(f64::INFINITY, |turn| turn.due);
                        prop_assert!(front == earliest);
                    }
                }
                prop_assert_eq!(schedule.len(), there.len());
                for &node in &there {
                    let at = schedule.at(node).unwrap();
                    prop_assert_eq!(schedule.heap[at].node as usize, node);
                }
            }
        }
    }
}
