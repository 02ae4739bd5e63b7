//! Consistent hash: the same node for the same key, for every caller alike.
//!
//! A table of 65,537 entries, of which each node has as many as its weight is worth, dealt out by
//! Maglev's way (Eisenbud and others, 2016): each node has an order of its own over all entries,
//! and in turns each takes the first of them that is free. A key's node is that of its entry; if it
//! is not able, or has more in flight than its share times the bound (Mirrokni and others, 2016),
//! that of the entries after it.
//!
//! The table knows nodes by their [`id`](super::Facts::id) and by the weight that the pool says: all
//! that are in the pool, so that keys do not move when one is down or warms up for a moment.
//!
//! ```text
//! joined, changed, left ──► another table begins, or some thousand entries of it are dealt out
//! sent ───────────────────► some more
//! pick ───────────────────► the table before it, until it is full; a pool's first is waited for
//! ```
//!
//! A pick takes no memory: that for a pool's first table is taken as its nodes come.
//!
//! # Invariants
//!
//! 1. Whoever knows the same nodes has the same table, whatever came before. (test
//!    `the_table_does_not_depend_on_what_was_before`)
//! 2. A node less moves few keys but its own. (test `a_node_less_moves_little_but_its_own_keys`)
//! 3. Nobody able has more than its share times the bound while others are able, as far as that is
//!    seen within 256 entries. (test `no_node_has_more_than_the_bound`)

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::Nanos;
use super::members::Members;
use super::nodes::{Load, Nodes};
use super::pick::{Ask, Pick};
use super::random::mix;

/// Entries of the table: a prime, so that each step but 0 comes by all of them.
const ENTRIES: u64 = 65_537;
/// Entries dealt out when the nodes change.
const DEALT_ON_CHANGE: usize = 8192;
/// Entries dealt out with each call, while a table is not full.
const DEALT_ON_CALL: usize = 32;
/// Entries looked at for a node that is able and within its bound.
const STEPS_MAX: usize = 256;
/// Not taken.
const FREE: u32 = u32::MAX;

/// See the options of [`Policy::consistent_hash`](super::Policy::consistent_hash).
#[derive(Debug, Clone)]
pub(super) struct HashOptions {
    pub(super) bound: f64,
}

impl Default for HashOptions {
    fn default() -> HashOptions {
        HashOptions { bound: 1.25 }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Hash {
    bound: f64,
    /// Those that are up and have a weight.
    members: Members,
    /// What the table is made from: by number, the weight and the id; none if there is no such node.
    known: Vec<Option<(u32, u64)>>,
    /// Of those that are up, and what they have in flight.
    weights: u64,
    in_flight: u64,
    counted: Vec<(u32, u32)>,
    table: Vec<u32>,
    /// The nodes are others than those of the table, or of the one that is being made.
    stale: bool,
    next: Dealing,
    /// A table is being made.
    is_dealing: bool,
}

/// A table that is being made, and the memory for one to come.
#[derive(Debug, Clone, Default)]
struct Dealing {
    table: Vec<u32>,
    left: usize,
    /// By hash and id, the number and the weight: in the same order for everyone.
    order: Vec<(u64, u64, u32, u32)>,
    takers: Vec<Taker>,
    /// Who takes next: by round, then by place among the takers.
    turns: BinaryHeap<Reverse<(u64, u32)>>,
    most: u64,
}

#[derive(Debug, Clone)]
struct Taker {
    node: u32,
    weight: u64,
    entry: u64,
    step: u64,
    /// Entries taken, times the largest weight.
    taken: u64,
}

impl Dealing {
    /// Takes the memory that a table of so many nodes needs.
    fn reserve(&mut self, nodes: usize) {
        self.table.clear();
        self.table.reserve(ENTRIES as usize);
        self.order.clear();
        self.order.reserve(nodes);
        self.takers.clear();
        self.takers.reserve(nodes);
        self.turns.clear();
        self.turns.reserve(nodes);
    }

    /// Begins a table; where there is memory for it, without taking any.
    fn begin(&mut self, known: &[Option<(u32, u64)>]) {
        self.reserve(known.len());
        for (node, known) in (0u32..).zip(known) {
            if let Some((weight, id)) = *known {
                self.order.push((mix(id), id, node, weight));
            }
        }
        // The same order for everyone, whatever the numbers.
        self.order.sort_unstable();
        let most = self.order.iter().map(|taker| u64::from(taker.3)).max();
        self.most = most.unwrap_or(1);
        let takers = self.order.iter().map(|(hash, _, node, weight)| Taker {
            node: *node,
            weight: u64::from(*weight),
            entry: hash % ENTRIES,
            step: mix(*hash) % (ENTRIES - 1) + 1,
            taken: 0,
        });
        self.takers.extend(takers);
        let turns = (0..self.takers.len() as u32).map(|taker| Reverse((1, taker)));
        self.turns.extend(turns);
        self.table.resize(ENTRIES as usize, FREE);
        self.left = match self.takers.is_empty() {
            true => 0,
            false => self.table.len(),
        };
    }

    /// Deals out so many entries. Whether all are.
    fn deal(&mut self, entries: usize) -> bool {
        for _ in 0..entries.min(self.left) {
            let Some(Reverse((round, at))) = self.turns.pop() else {
                break;
            };
            let taker = &mut self.takers[at as usize];
            while self.table[taker.entry as usize] != FREE {
                taker.entry = (taker.entry + taker.step) % ENTRIES;
            }
            self.table[taker.entry as usize] = taker.node;
            self.left -= 1;
            // In each round who has taken no more than its weight is worth by then takes one.
            taker.taken += self.most;
            let due = taker.taken.div_ceil(taker.weight);
            self.turns.push(Reverse((due.max(round + 1), at)));
        }
        self.left == 0
    }
}

impl Hash {
    pub(super) fn new(options: &HashOptions) -> Hash {
        Hash {
            bound: options.bound,
            members: Members::new(),
            known: Vec::new(),
            weights: 0,
            in_flight: 0,
            counted: Vec::new(),
            table: Vec::new(),
            stale: false,
            next: Dealing::default(),
            is_dealing: false,
        }
    }

    fn know(&mut self, node: usize, what: Option<(u32, u64)>) {
        if self.known.len() <= node {
            self.known.resize(node + 1, None);
        }
        if self.known[node] != what {
            self.known[node] = what;
            self.stale = true;
        }
        // The first is made when it is asked for: a pool's nodes come one after the other.
        if self.table.is_empty() {
            self.is_dealing = false;
            self.stale = true;
            self.next.reserve(self.known.len());
        } else {
            self.deal(DEALT_ON_CHANGE);
        }
    }

    /// Goes on with the table to come.
    fn deal(&mut self, entries: usize) {
        if !self.is_dealing {
            if !self.stale {
                return;
            }
            self.stale = false;
            self.is_dealing = true;
            self.next.begin(&self.known);
        }
        if self.next.deal(entries) {
            self.is_dealing = false;
            self.table = std::mem::take(&mut self.next).table;
        }
    }

    /// Counts what a node adds to the weights and to what is in flight.
    fn count(&mut self, node: usize, now: (u32, u32)) {
        if self.counted.len() <= node {
            self.counted.resize(node + 1, (0, 0));
        }
        let before = std::mem::replace(&mut self.counted[node], now);
        self.weights = self.weights - u64::from(before.0) + u64::from(now.0);
        self.in_flight = self.in_flight - u64::from(before.1) + u64::from(now.1);
    }

    fn recount(&mut self, nodes: &Nodes, node: usize) {
        let now = if self.members.contains(node) {
            (nodes.weight(node), nodes.in_flight(node))
        } else {
            (0, 0)
        };
        self.count(node, now);
    }

    /// Whether one more would be within its share times the bound.
    fn has_room(&self, nodes: &Nodes, node: usize) -> bool {
        let share = f64::from(nodes.weight(node)) / self.weights.max(1) as f64;
        let most = (self.bound * share * (self.in_flight + 1) as f64).ceil();
        f64::from(nodes.in_flight(node)) < most
    }
}

impl Pick for Hash {
    fn pick(&mut self, ask: &mut Ask<'_>) -> Option<usize> {
        let Some(key) = ask.key else {
            return self.members.any(ask);
        };
        while self.table.is_empty() && (self.stale || self.is_dealing) {
            self.deal(ENTRIES as usize);
        }
        let first = (key % ENTRIES) as usize;
        let mut over = None;
        for entry in self.table.iter().cycle().skip(first).take(STEPS_MAX) {
            let node = *entry as usize;
            if !self.members.contains(node) || !ask.is_able(node) {
                continue;
            }
            if self.has_room(ask.nodes, node) {
                return Some(node);
            }
            over = over.or(Some(node));
        }
        over.or_else(|| self.members.any(ask))
    }

    fn joined(&mut self, nodes: &Nodes, node: usize) {
        self.changed(nodes, node);
    }

    fn changed(&mut self, nodes: &Nodes, node: usize) {
        let facts = nodes.facts(node).filter(|facts| facts.weight > 0);
        let what = facts.map(|facts| {
            let id = if facts.id == 0 { node as u64 } else { facts.id };
            (facts.weight, id)
        });
        self.members.update(nodes, node);
        self.recount(nodes, node);
        self.know(node, what);
    }

    fn left(&mut self, nodes: &Nodes, node: usize) {
        self.members.leave(node);
        self.recount(nodes, node);
        self.know(node, None);
    }

    fn sent(&mut self, nodes: &Nodes, _: Nanos, node: usize) {
        self.recount(nodes, node);
        self.deal(DEALT_ON_CALL);
    }

    fn replied(&mut self, nodes: &Nodes, _: Nanos, node: usize, _: Duration, _: Option<&Load>) {
        self.recount(nodes, node);
    }

    fn failed(&mut self, nodes: &Nodes, _: Nanos, node: usize, _: Duration, _: Option<&Load>) {
        self.recount(nodes, node);
    }

    fn lapsed(&mut self, nodes: &Nodes, _: Nanos, node: usize) {
        self.recount(nodes, node);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Pool;
    use super::super::{Facts, Policy, hash};
    use super::*;

    /// The table of these weights and ids.
    fn table(nodes: &[(u32, u64)]) -> Vec<u32> {
        let known: Vec<_> = nodes.iter().copied().map(Some).collect();
        let mut dealing = Dealing::default();
        dealing.begin(&known);
        assert!(dealing.deal(ENTRIES as usize));
        dealing.table
    }

    fn counts(table: &[u32], nodes: usize) -> Vec<usize> {
        let mut counts = vec![0; nodes];
        table.iter().for_each(|node| counts[*node as usize] += 1);
        counts
    }

    #[test]
    fn weights_of_one_and_two_have_the_published_entries() {
        let counts = counts(&table(&[(1, 10), (2, 20)]), 2);
        assert_eq!(counts, [21_846, 43_691]);
    }

    #[test]
    fn equals_have_as_many_entries_to_one() {
        for nodes in [3, 10, 1000] {
            let known: Vec<_> = (0..nodes).map(|node| (7, node as u64)).collect();
            let counts = counts(&table(&known), nodes);
            let (least, most) = (counts.iter().min(), counts.iter().max());
            assert!(most.unwrap() - least.unwrap() <= 1, "{least:?} to {most:?}");
        }
    }

    #[test]
    fn entries_follow_any_weights() {
        let known: Vec<_> = (1..=50).map(|weight| (weight, u64::from(weight))).collect();
        for (node, count) in counts(&table(&known), 50).into_iter().enumerate() {
            let exact = 65_537.0 * (node + 1) as f64 / 1275.0;
            assert!((count as f64 - exact).abs() <= 2.0, "{count} of {exact}");
        }
        // However far apart.
        let apart = counts(&table(&[(1, 1), (1_000_000, 2)]), 2);
        assert_eq!(apart, [1, 65_536]);
    }

    #[test]
    fn a_node_less_moves_little_but_its_own_keys() {
        let known: Vec<_> = (0..10).map(|node| (1, hash(&[node]))).collect();
        let (before, after) = (table(&known), table(&known[..9]));
        let moved = before
            .iter()
            .zip(&after)
            .filter(|(b, a)| **b != 9 && b != a);
        let moved = moved.count();
        assert!(moved * 20 < before.len(), "{moved} of {}", before.len());
    }

    fn pool(nodes: impl IntoIterator<Item = u64>) -> Pool {
        let facts = nodes.into_iter().map(|id| Facts::weight(1).id(id));
        Pool::with(&Policy::consistent_hash(), facts)
    }

    /// The ids of the nodes that so many keys go to.
    fn ids(pool: &mut Pool, keys: u64) -> Vec<u64> {
        let picks = (0..keys).map(|key| pool.balancer.pick(0, Some(mix(key)), &|_| true).unwrap());
        let picks: Vec<_> = picks.collect();
        let nodes = pool.balancer.nodes();
        picks
            .iter()
            .map(|node| nodes.facts(*node).unwrap().id)
            .collect()
    }

    #[test]
    fn the_table_does_not_depend_on_what_was_before() {
        let expected = ids(&mut pool([1, 2, 3, 4, 5]), 2000);
        // Others first, another order, other numbers.
        let mut other = pool([9, 5, 8, 3]);
        ids(&mut other, 10);
        other.balancer.remove(0);
        other.balancer.remove(2);
        for (node, id) in [(0, 2), (2, 1), (7, 4)] {
            other.join(node, Facts::weight(1).id(id));
        }
        // Without a call, what is left of the table is dealt out with more changes.
        for _ in 0..20 {
            other.balancer.set(0, 7, Facts::weight(1).id(4));
        }
        assert_eq!(ids(&mut other, 2000), expected);
    }

    #[test]
    fn a_change_is_worked_off_by_the_calls_after_it() {
        let mut pool = pool([1, 2, 3]);
        ids(&mut pool, 1);
        pool.join(3, Facts::weight(1).id(4));
        let mut calls = 0;
        while !ids(&mut pool, 100).contains(&4) {
            pool.send(0);
            pool.reply(0, Duration::from_millis(1));
            calls += 1;
            assert!(calls < 3000, "the new node has no keys");
        }
    }

    #[test]
    fn a_key_stays_where_it_is_and_comes_back_after_its_node() {
        let mut pool = pool([1, 2, 3, 4]);
        let before = ids(&mut pool, 1000);
        pool.up(2, false);
        let without = ids(&mut pool, 1000);
        for (before, without) in before.iter().zip(&without) {
            assert!(before == without || *before == 3);
        }
        pool.up(2, true);
        assert_eq!(ids(&mut pool, 1000), before);
    }

    #[test]
    fn no_node_has_more_than_the_bound() {
        let mut pool = pool(1..=10);
        for _ in 0..1000 {
            let node = pool.balancer.pick(0, Some(4711), &|_| true).unwrap();
            pool.send(node);
        }
        let nodes = pool.balancer.nodes();
        let most = nodes.iter().map(|node| nodes.in_flight(node)).max();
        assert_eq!(most, Some(125));
    }

    #[test]
    fn a_call_without_a_key_goes_anywhere() {
        let mut pool = pool(1..=4);
        pool.assert_shares(8_000, 0.1);
        assert!(Policy::consistent_hash().by_priority().needs_key());
        assert!(!Policy::peak_ewma().by_priority().needs_key());
    }
}
