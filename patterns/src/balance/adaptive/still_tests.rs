//! The default policy beside nodes that stand still for a while, and beside equal ones on a machine
//! that does not run each of them at once.

use std::collections::VecDeque;
use std::time::Duration;

use super::super::testing::{MS, Pool, SECOND};
use super::super::{Load, Nanos, Policy, Random};

const NODES: usize = 3;
/// A hundred calls a second.
const GAP: Nanos = 10 * MS;
/// The fair share of calls in a second.
const FAIR: usize = 100 / NODES;
const US: Nanos = MS / 1000;

/// A call on its way.
#[derive(Clone, Copy)]
struct Due {
    at: Nanos,
    node: usize,
    sent: Nanos,
    ran: Nanos,
}

/// Three equal nodes that answer in about 200 us, and report how long calls ran there as a mean over
/// sixteen.
struct World {
    pool: Pool,
    random: Random,
    due: VecDeque<Due>,
    runs: [f64; NODES],
    /// Until when the first one stands still.
    still: Option<Nanos>,
    /// One in so many calls runs for longer, up to so long.
    noise: Option<(usize, Nanos)>,
    says: bool,
    counts: [usize; NODES],
}

impl World {
    fn new(seed: u64) -> World {
        World {
            pool: Pool::seeded(
                &Policy::adaptive(),
                (0..NODES).map(|_| Default::default()),
                seed,
            ),
            random: Random::new(seed),
            due: VecDeque::new(),
            runs: [0.0; NODES],
            still: None,
            noise: None,
            says: true,
            counts: [0; NODES],
        }
    }

    fn hear(&mut self, until: Nanos) {
        while let Some(due) = self.due.front().copied().filter(|due| due.at <= until) {
            self.due.pop_front();
            let run = &mut self.runs[due.node];
            let ran = due.ran as f64;
            *run += if *run == 0.0 {
                ran
            } else {
                (ran - *run) / 16.0
            };
            let load = Load {
                run_us: (*run / 1000.0).ceil() as u32,
                latency_us: (*run / 1000.0).ceil() as u32,
                in_flight: self
                    .due
                    .iter()
                    .filter(|other| other.node == due.node)
                    .count() as u32,
                workers: 2,
                ..Load::default()
            };
            let took = Duration::from_nanos(due.at - due.sent);
            let load = Some(&load).filter(|_| self.says);
            self.pool.balancer.replied(due.at, due.node, took, load);
        }
    }

    fn push(&mut self, due: Due) {
        let place = self.due.partition_point(|other| other.at <= due.at);
        self.due.insert(place, due);
    }

    fn call_at(&mut self, node: usize) {
        let now = self.pool.now;
        self.pool.send(node);
        self.counts[node] += 1;
        let mut ran = (15 + self.random.below(10) as Nanos) * US;
        if let Some((one_in, most)) = self.noise
            && self.random.below(one_in) == 0
        {
            ran += self.random.below(most as usize) as Nanos;
        }
        let way = (120 + self.random.below(120) as Nanos) * US;
        let mut at = now + way + ran;
        if let Some(until) = self.still.filter(|until| node == 0 && *until > now) {
            at = until + at - now;
        }
        self.push(Due {
            at,
            node,
            sent: now,
            ran,
        });
    }

    /// Calls for so long, at a steady pace.
    fn calls(&mut self, spell: Nanos) {
        self.counts = [0; NODES];
        for _ in 0..spell / GAP {
            let now = self.pool.now + GAP;
            self.hear(now);
            self.pool.now = now;
            let node = self.pool.pick().expect("all but one are up");
            self.call_at(node);
        }
    }

    /// The first one stops for so long with so many calls in flight there, of which one runs;
    /// `noticed`: after so long it is taken to be silent.
    fn stands_still(&mut self, spell: Nanos, stuck: usize, noticed: Option<Nanos>) {
        let until = self.pool.now + spell;
        self.still = Some(until);
        for _ in 0..stuck {
            self.call_at(0);
        }
        // What it was about runs for as long.
        if let Some(due) = self.due.iter_mut().find(|due| due.node == 0) {
            due.ran += spell;
        }
        if let Some(after) = noticed {
            self.calls(after);
            self.pool.balancer.set_silent(0, true);
        }
        self.calls(until - self.pool.now);
        self.pool.balancer.set_silent(0, false);
        self.still = None;
    }
}

#[test]
fn a_node_that_stood_still_is_used_again_within_two_seconds() {
    for seed in 1..=5 {
        // With none, one or many calls stuck there; its silence noticed or not; with reports or without.
        for stuck in [0, 1, 2, 12, 64] {
            for noticed in [None, Some(300 * MS)] {
                for says in [true, false] {
                    let mut world = World::new(seed);
                    world.says = says;
                    world.calls(5 * SECOND);
                    world.stands_still(1500 * MS, stuck, noticed);
                    world.calls(2 * SECOND);
                    let within = world.counts;
                    world.calls(SECOND);
                    let case = (seed, stuck, noticed, says);
                    let after = world.counts;
                    assert!(after[0] >= FAIR / 2, "{case:?}: {within:?}, then {after:?}");
                }
            }
        }
    }
}

#[test]
fn equal_nodes_on_a_busy_machine_are_never_starved() {
    // None, a hundredth for up to 1 and up to 10 ms, a thirtieth, and few for very long.
    let noises = [
        None,
        Some((100, MS)),
        Some((100, 10 * MS)),
        Some((30, 10 * MS)),
        Some((300, 200 * MS)),
    ];
    for seed in 1..=10 {
        for noise in noises {
            for says in [true, false] {
                let mut world = World::new(seed);
                world.noise = noise;
                world.says = says;
                for spell in 0..20 {
                    world.calls(2 * SECOND);
                    let least = world.counts.into_iter().min().unwrap_or(0);
                    let case = (seed, noise, says, spell);
                    assert!(least >= 2 * FAIR / 4, "{case:?}: {:?}", world.counts);
                }
            }
        }
    }
}
