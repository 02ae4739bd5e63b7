//! Slow start: a node that comes up gets less than its share for a while.
//!
//! A tenth of its weight at first, and more by the time, until it has all of it after a window. It
//! goes in steps, so that a policy has little to do: it sees a weight that changes, and knows of
//! nothing else. Policies that go by no weights pass the node over as often as its part says
//! ([`Ask::spares`](super::Ask::spares), and turns that are gathered).
//!
//! The first nodes of a pool have all of it at once, and so have the first that come back after none
//! was up: whoever comes up within a window of the first. There is nobody who could take their
//! share, and if the second began with a tenth, all that has gathered would come down on the first.
//!
//! # Invariants
//!
//! 1. A node in its slow start gets something. (test `a_node_in_slow_start_gets_something`)
//! 2. It has its share after the window. (test `a_new_node_has_its_share_after_the_window`)
//! 3. The first back after an outage share evenly. (test
//!    `the_first_back_after_an_outage_of_all_are_not_alone_with_it`)

use std::time::Duration;

use super::Nanos;
use super::nodes::{Nodes, WHOLE};

/// Steps from a tenth to all of it.
const STEPS: u64 = 10;
/// The least part of its weight that a node has, in thousandths.
const LEAST_PERMILLE: u64 = 100;

/// The nodes that are in their slow start.
#[derive(Debug, Clone)]
pub(super) struct SlowStart {
    window: Nanos,
    /// Each with the time at which it came up.
    warming: Vec<(usize, Nanos)>,
    next_step: Nanos,
    /// Nodes that are up.
    up: usize,
    /// When the first of them came up while there was none.
    opened: Nanos,
}

impl SlowStart {
    pub(super) fn new(window: Duration) -> SlowStart {
        SlowStart {
            window: u64::try_from(window.as_nanos()).unwrap_or(u64::MAX),
            warming: Vec::new(),
            next_step: Nanos::MAX,
            up: 0,
            opened: 0,
        }
    }

    /// A node is up now, or not any more.
    pub(super) fn set_up(&mut self, now: Nanos, node: usize, up: bool) {
        if !up {
            self.up = self.up.saturating_sub(1);
            self.warming.retain(|(other, _)| *other != node);
            return;
        }
        if self.up == 0 {
            self.opened = now;
        }
        self.up += 1;
        // Within a window of the first, it is one of the first.
        if self.window > 0 && now.saturating_sub(self.opened) > self.window {
            self.warming.push((node, now));
            self.next_step = self.next_step.min(now.saturating_add(self.window / STEPS));
        }
    }

    /// Whether weights have to be set anew.
    pub(super) fn is_due(&self, now: Nanos) -> bool {
        now >= self.next_step
    }

    /// One that is warming up and whose weight is another by now, each once; after the last the
    /// next step is set.
    pub(super) fn step(
        &mut self,
        nodes: &mut Nodes,
        now: Nanos,
        mut changed: impl FnMut(&Nodes, usize),
    ) {
        let window = self.window;
        self.next_step = Nanos::MAX;
        let mut next = Nanos::MAX;
        self.warming.retain(|&(node, since)| {
            let part = part(window, since, now);
            let before = nodes.weight(node);
            nodes.set_part(node, part);
            if nodes.weight(node) != before {
                changed(nodes, node);
            }
            if part < WHOLE {
                next = now.saturating_add((window / STEPS).max(1));
            }
            part < WHOLE
        });
        self.next_step = next;
    }

    /// How much of its weight a node has, in thousandths.
    pub(super) fn part(&self, node: usize, now: Nanos) -> u32 {
        let mut warming = self.warming.iter();
        let since = warming.find(|(other, _)| *other == node);
        since.map_or(WHOLE, |(_, since)| part(self.window, *since, now))
    }
}

fn part(window: Nanos, since: Nanos, now: Nanos) -> u32 {
    let up_for = u128::from(now.saturating_sub(since));
    let part = up_for * u128::from(WHOLE) / u128::from(window.max(1));
    part.clamp(u128::from(LEAST_PERMILLE), u128::from(WHOLE)) as u32
}

#[cfg(test)]
mod tests {
    use super::super::testing::{MS, Pool, SECOND};
    use super::super::{Balancer, Facts, Policy};
    use std::time::Duration;

    /// Nodes that have been up for long, with the slow start that is the default.
    fn pool(policy: &Policy, nodes: usize) -> Pool {
        let mut pool = Pool {
            balancer: Balancer::new(policy, 1).unwrap(),
            now: 0,
        };
        (0..nodes).for_each(|node| pool.join(node, Facts::default()));
        pool.now += 60 * SECOND;
        pool
    }

    /// The policies by which a new node's share grows.
    const SLOWLY: [&str; 8] = [
        "weighted",
        "least-in-flight",
        "peak-ewma",
        "dynamic",
        "random",
        "round-robin",
        "hot-cold",
        "adaptive",
    ];

    fn share(pool: &mut Pool, node: usize) -> f64 {
        pool.counts(5_000)[node] as f64 / 5e3
    }

    #[test]
    fn a_node_in_slow_start_gets_something() {
        for name in SLOWLY {
            let mut pool = pool(&Policy::named(name).unwrap(), 9);
            pool.counts(100);
            pool.join(9, Facts::default());
            let share = share(&mut pool, 9);
            assert!(share > 0.005, "{name}: {share}");
            // A tenth of a share.
            assert!(share < 0.03, "{name}: {share}");
        }
    }

    #[test]
    fn a_new_node_has_its_share_after_the_window() {
        for name in SLOWLY {
            let mut pool = pool(&Policy::named(name).unwrap(), 9);
            pool.counts(1000);
            pool.join(9, Facts::default());
            let mut last = 0.0;
            for step in 0..10 {
                let share = share(&mut pool, 9);
                // What is drawn by chance varies.
                assert!(share > last * 0.75, "{name}: {share} after {last}");
                assert!(step > 5 || share < 0.07, "{name}: {share} at once");
                last = share;
                pool.now += 51 * MS;
            }
            pool.pick();
            assert_eq!(pool.balancer.nodes().weight(9), 1000, "{name}");
            let share = share(&mut pool, 9);
            assert!((share - 0.1).abs() < 0.02, "{name}: {share}");
        }
    }

    #[test]
    fn the_first_nodes_of_a_pool_begin_with_all() {
        let mut pool = pool(&Policy::weighted(), 0);
        for node in 0..4 {
            pool.join(node, Facts::default());
            pool.now += 100 * MS;
        }
        assert_eq!(pool.counts(400), [100; 4]);
        // The fifth is late.
        pool.now += 200 * MS;
        pool.join(4, Facts::default());
        assert!(pool.counts(4100)[4] <= 101);
    }

    #[test]
    fn the_first_back_after_an_outage_of_all_are_not_alone_with_it() {
        let mut pool = pool(&Policy::weighted(), 10);
        (0..10).for_each(|node| pool.up(node, false));
        assert_eq!(pool.pick(), None);
        pool.now += 30 * SECOND;
        pool.up(3, true);
        assert_eq!(pool.counts(100)[3], 100);
        // The next to come back takes its half of everything at once, and no tenth.
        pool.now += 50 * MS;
        pool.up(4, true);
        let counts = pool.counts(100);
        assert_eq!((counts[3], counts[4]), (50, 50));
        // One node of ten that comes back alone does begin with a tenth.
        (0..10).for_each(|node| pool.up(node, true));
        pool.now += 30 * SECOND;
        pool.up(5, false);
        pool.up(5, true);
        assert_eq!(pool.balancer.nodes().weight(5), 100);
    }

    #[test]
    fn a_window_of_nothing_is_no_slow_start() {
        let mut pool = pool(&Policy::weighted().slow_start(Duration::ZERO), 9);
        pool.join(9, Facts::default());
        assert_eq!(pool.counts(1000)[9], 100);
    }

    #[test]
    fn another_weight_in_slow_start_is_of_that_weight_the_same_part() {
        let mut pool = pool(&Policy::weighted(), 3);
        pool.join(3, Facts::weight(10));
        pool.now += 250 * MS;
        pool.balancer.set(pool.now, 3, Facts::weight(20));
        assert_eq!(pool.balancer.nodes().weight(3), 10_000);
        pool.now += 250 * MS;
        pool.pick();
        assert_eq!(pool.balancer.nodes().weight(3), 20_000);
    }

    #[test]
    fn who_goes_while_it_warms_up_is_forgotten() {
        let mut pool = pool(&Policy::weighted(), 3);
        pool.join(3, Facts::default());
        pool.balancer.remove(3);
        pool.now += SECOND;
        pool.pick();
        // Another under its number begins anew.
        pool.join(3, Facts::default());
        assert_eq!(pool.balancer.nodes().weight(3), 100);
    }
}
