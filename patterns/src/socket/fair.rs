//! The fair queue: what came in, and whose turn it is.
//!
//! Deficit round-robin (Shreedhar and Varghese, 1995) over the bytes of whole messages, with a
//! weight for each peer. Peers with messages stand in a ring; one at the front may send until it
//! has used up its quantum, then the next has its turn. A single peer with messages pays nothing
//! for any of this.
//!
//! All messages lie in one slab, chained by peer, so a peer without messages owns no memory.
//!
//! # Invariants
//!
//! 1. Messages of one peer come out in the order in which they went in.
//!    (proptest `every_message_comes_out_once_and_in_its_order`)
//! 2. Between two peers that always have messages, bytes taken differ from their weights by less
//!    than a quantum and a message. (test `shares_follow_the_weights_whatever_the_sizes`)
//! 3. A pop costs the same whatever the number of peers. (test `a_large_message_needs_no_turns`)

use std::collections::VecDeque;

/// Bytes that a peer of weight 1 may send in its turn.
const QUANTUM: u64 = 16 * 1024;
/// What a message costs beside its bytes.
const MESSAGE_COST: u64 = 64;
/// Space for this many messages is kept by an empty queue.
const KEPT: usize = 1024;

const NONE: u32 = u32::MAX;

#[derive(Debug)]
struct Node<T> {
    item: Option<T>,
    cost: u64,
    next: u32,
}

#[derive(Debug)]
struct Slot<K> {
    key: K,
    weight: u64,
    deficit: u64,
    head: u32,
    tail: u32,
    messages: usize,
    bytes: u64,
    paused: bool,
    /// No more will come; the slot goes with its last message.
    ended: bool,
}

/// The message whose turn it is: out of the queue, but not yet out of its place.
#[derive(Debug)]
pub(crate) struct Popped<R> {
    /// The slot that it came from; free again, if its peer has ended.
    pub(crate) slot: u32,
    /// What was kept of the peer that it came from.
    pub(crate) key: R,
    /// Its place.
    node: u32,
}

/// A fair queue of messages `T` from peers `K`.
#[derive(Debug)]
pub(crate) struct FairQueue<K, T> {
    slots: Vec<Option<Slot<K>>>,
    free_slots: Vec<u32>,
    nodes: Vec<Node<T>>,
    free_nodes: u32,
    ring: VecDeque<u32>,
    /// The peer at the front of the ring has had its quantum for this turn.
    credited: bool,
    len: usize,
}

impl<K: Clone, T> FairQueue<K, T> {
    pub(crate) fn new() -> Self {
        FairQueue {
            slots: Vec::new(),
            free_slots: Vec::new(),
            nodes: Vec::new(),
            free_nodes: NONE,
            ring: VecDeque::new(),
            credited: false,
            len: 0,
        }
    }

    /// Messages in the queue.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// A place for a peer, with this weight of 1 or more.
    pub(crate) fn add(&mut self, key: K, weight: u32) -> u32 {
        let slot = Slot {
            key,
            weight: u64::from(weight.max(1)),
            deficit: 0,
            head: NONE,
            tail: NONE,
            messages: 0,
            bytes: 0,
            paused: false,
            ended: false,
        };
        match self.free_slots.pop() {
            Some(index) => {
                self.slots[index as usize] = Some(slot);
                index
            }
            None => {
                self.slots.push(Some(slot));
                (self.slots.len() - 1) as u32
            }
        }
    }

    fn slot(&self, slot: u32) -> Option<&Slot<K>> {
        self.slots.get(slot as usize)?.as_ref()
    }

    fn slot_mut(&mut self, slot: u32) -> Option<&mut Slot<K>> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    /// The peer of a slot.
    #[cfg(test)]
    pub(crate) fn key(&self, slot: u32) -> Option<&K> {
        self.slot(slot).map(|slot| &slot.key)
    }

    /// Messages and bytes that wait in a slot.
    pub(crate) fn load(&self, slot: u32) -> (usize, u64) {
        self.slot(slot)
            .map_or((0, 0), |slot| (slot.messages, slot.bytes))
    }

    pub(crate) fn set_weight(&mut self, slot: u32, weight: u32) {
        if let Some(slot) = self.slot_mut(slot) {
            slot.weight = u64::from(weight.max(1));
        }
    }

    /// Marks the slot as paused or not; gives what it was.
    pub(crate) fn set_paused(&mut self, slot: u32, paused: bool) -> bool {
        self.slot_mut(slot)
            .is_some_and(|slot| std::mem::replace(&mut slot.paused, paused))
    }

    /// No more will come from this peer; true if its slot is gone now.
    pub(crate) fn end(&mut self, slot: u32) -> bool {
        let Some(state) = self.slot_mut(slot) else {
            return true;
        };
        state.ended = true;
        if state.messages == 0 {
            self.slots[slot as usize] = None;
            self.free_slots.push(slot);
            return true;
        }
        false
    }

    /// Adds a message of so many bytes at the end of its peer's.
    pub(crate) fn push(&mut self, slot: u32, item: T, bytes: usize) {
        let cost = bytes as u64 + MESSAGE_COST;
        let index = if self.free_nodes == NONE {
            self.nodes.push(Node {
                item: Some(item),
                cost,
                next: NONE,
            });
            (self.nodes.len() - 1) as u32
        } else {
            let index = self.free_nodes;
            let node = &mut self.nodes[index as usize];
            self.free_nodes = node.next;
            // Field by field: a whole node would be made elsewhere and copied.
            node.item = Some(item);
            node.cost = cost;
            node.next = NONE;
            index
        };
        let Some(state) = self.slots.get_mut(slot as usize).and_then(Option::as_mut) else {
            return;
        };
        if state.head == NONE {
            state.head = index;
            self.ring.push_back(slot);
        } else {
            self.nodes[state.tail as usize].next = index;
        }
        state.tail = index;
        state.messages += 1;
        state.bytes += bytes as u64;
        self.len += 1;
    }

    /// Puts a message in the place of its peer's last one; gives it back if there is none.
    pub(crate) fn replace_last(&mut self, slot: u32, item: T, bytes: usize) -> Result<(), T> {
        let Some(state) = self.slots.get_mut(slot as usize).and_then(Option::as_mut) else {
            return Err(item);
        };
        if state.head == NONE {
            return Err(item);
        }
        let node = &mut self.nodes[state.tail as usize];
        let cost = bytes as u64 + MESSAGE_COST;
        state.bytes = state.bytes - (node.cost - MESSAGE_COST) + bytes as u64;
        (node.item, node.cost) = (Some(item), cost);
        Ok(())
    }

    /// Whether the peer whose turn it is has been paused.
    pub(crate) fn next_is_paused(&mut self) -> bool {
        let next = self.choose();
        next.and_then(|slot| self.slot(slot))
            .is_some_and(|slot| slot.paused)
    }

    /// Takes the next message off the queue, and what `keep` makes of its peer and of whether that
    /// is paused: to share a peer costs as much as all the rest. [`take`](Self::take) has to
    /// follow before anything else.
    #[inline]
    pub(crate) fn pop_with<R>(&mut self, keep: impl FnOnce(&K, bool) -> R) -> Option<Popped<R>> {
        let slot = self.choose()?;
        let state = self.slots[slot as usize].as_mut()?;
        let key = keep(&state.key, state.paused);
        let index = state.head;
        let node = &self.nodes[index as usize];
        let (cost, next) = (node.cost, node.next);

        state.deficit = state.deficit.saturating_sub(cost);
        state.head = next;
        state.messages -= 1;
        state.bytes -= cost - MESSAGE_COST;
        self.len -= 1;
        if next == NONE {
            state.deficit = 0;
            self.ring.pop_front();
            self.credited = false;
            if state.ended {
                self.slots[slot as usize] = None;
                self.free_slots.push(slot);
            }
        }
        Some(Popped {
            slot,
            key,
            node: index,
        })
    }

    /// Takes the message itself. Apart from the rest, so that it is moved once: it is large beside
    /// all else.
    #[inline]
    pub(crate) fn take<R>(&mut self, popped: &Popped<R>) -> Option<T> {
        let node = &mut self.nodes[popped.node as usize];
        node.next = self.free_nodes;
        self.free_nodes = popped.node;
        let item = node.item.take();
        if self.len == 0 && self.nodes.len() > KEPT {
            self.nodes = Vec::new();
            self.free_nodes = NONE;
        }
        item
    }

    /// Takes the next message, with its slot and its peer.
    pub(crate) fn pop(&mut self) -> Option<(u32, K, T)> {
        let popped = self.pop_with(|key, _| key.clone())?;
        let item = self.take(&popped)?;
        Some((popped.slot, popped.key, item))
    }

    /// The peer whose turn it is, at the front of the ring.
    fn choose(&mut self) -> Option<u32> {
        if self.ring.len() == 1 {
            return self.ring.front().copied();
        }
        let mut refused = 0;
        loop {
            let slot = *self.ring.front()?;
            let state = self.slots[slot as usize].as_mut()?;
            if !self.credited {
                state.deficit += QUANTUM * state.weight;
                self.credited = true;
            }
            if self.nodes[state.head as usize].cost <= state.deficit {
                return Some(slot);
            }
            self.ring.rotate_left(1);
            self.credited = false;
            refused += 1;
            if refused == self.ring.len() {
                // Everybody's message is larger than a turn: grant the turns that are needed
                // for the first to fit at once.
                self.grant_turns();
                refused = 0;
            }
        }
    }

    fn grant_turns(&mut self) {
        let mut least = u64::MAX;
        for &slot in &self.ring {
            if let Some(state) = &self.slots[slot as usize] {
                let missing = self.nodes[state.head as usize]
                    .cost
                    .saturating_sub(state.deficit);
                least = least.min(missing.div_ceil(QUANTUM * state.weight));
            }
        }
        // The turn that comes next is granted as usual.
        let turns = least.saturating_sub(1);
        for index in 0..self.ring.len() {
            let slot = self.ring[index];
            if let Some(state) = &mut self.slots[slot as usize] {
                state.deficit += QUANTUM * state.weight * turns;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Keeps every peer's queue filled with messages of its size; gives the bytes that each had
    /// when `total` bytes have been taken.
    fn saturate(peers: &[(u32, usize)], total: u64) -> Vec<u64> {
        let mut queue = FairQueue::new();
        let slots: Vec<u32> = peers
            .iter()
            .enumerate()
            .map(|(n, &(weight, _))| queue.add(n, weight))
            .collect();
        for (n, &(_, size)) in peers.iter().enumerate() {
            queue.push(slots[n], (), size);
            queue.push(slots[n], (), size);
        }
        let mut taken = vec![0u64; peers.len()];
        while taken.iter().sum::<u64>() < total {
            let (_, n, ()) = queue.pop().unwrap();
            taken[n] += peers[n].1 as u64;
            queue.push(slots[n], (), peers[n].1);
        }
        taken
    }

    #[test]
    fn shares_follow_the_weights_whatever_the_sizes() {
        let taken = saturate(&[(1, 1000), (2, 100_000), (3, 5000)], 60 << 20);
        let unit = taken.iter().sum::<u64>() as f64 / 6.0;
        for (taken, weight) in taken.iter().zip([1.0, 2.0, 3.0]) {
            let share = *taken as f64 / unit / weight;
            assert!(
                (share - 1.0).abs() < 0.1,
                "share {share} of weight {weight}"
            );
        }
    }

    #[test]
    fn a_flood_of_small_messages_leaves_the_other_its_turn() {
        let mut queue = FairQueue::new();
        let (flood, other) = (queue.add("flood", 1), queue.add("other", 1));
        for _ in 0..10_000 {
            queue.push(flood, (), 64);
        }
        queue.push(other, (), 64);
        let turn = (0..)
            .find(|_| queue.pop().is_some_and(|(slot, ..)| slot == other))
            .unwrap();
        assert!(
            turn <= (QUANTUM / 128) as usize + 1,
            "after {turn} messages"
        );
    }

    #[test]
    fn a_large_message_needs_no_turns() {
        let mut queue = FairQueue::new();
        for n in 0..1000u32 {
            let slot = queue.add(n, 1);
            queue.push(slot, n, 1 << 30);
        }
        // 65,536 turns of 1,000 peers each, were they taken one by one.
        for _ in 0..1000 {
            assert!(queue.pop().is_some());
        }
        assert!(queue.pop().is_none());
    }

    #[test]
    fn an_ended_peers_messages_are_still_delivered() {
        let mut queue = FairQueue::new();
        let slot = queue.add('a', 1);
        queue.push(slot, 1, 0);
        queue.push(slot, 2, 0);
        assert!(!queue.end(slot));
        assert_eq!(queue.pop().unwrap().2, 1);
        assert_eq!(queue.key(slot), Some(&'a'));
        assert_eq!(queue.pop().unwrap().2, 2);
        assert_eq!(queue.key(slot), None, "the slot is free");
        assert_eq!(queue.add('b', 1), slot);
    }

    #[test]
    fn the_last_message_of_a_peer_can_be_replaced() {
        let mut queue = FairQueue::new();
        let (a, b) = (queue.add('a', 1), queue.add('b', 1));
        assert_eq!(queue.replace_last(a, 0, 0), Err(0), "there is none");
        queue.push(b, 1, 100);
        queue.push(a, 2, 100);
        assert_eq!(queue.replace_last(b, 3, 7), Ok(()));
        assert_eq!((queue.len(), queue.load(b)), (2, (1, 7)));
        assert_eq!([(); 2].map(|()| queue.pop().unwrap().2), [3, 2]);
        assert_eq!(queue.load(b), (0, 0));
    }

    #[test]
    fn an_emptied_queue_gives_its_memory_back() {
        let mut queue = FairQueue::new();
        let slot = queue.add((), 1);
        for n in 0..10_000 {
            queue.push(slot, n, 0);
        }
        while queue.pop().is_some() {}
        assert_eq!(queue.nodes.capacity(), 0);
    }

    proptest! {
        #[test]
        fn every_message_comes_out_once_and_in_its_order(
            pushes in proptest::collection::vec((0usize..5, 0usize..100_000, any::<bool>()), 0..200),
            weights in proptest::collection::vec(1u32..10, 5),
        ) {
            let mut queue = FairQueue::new();
            let slots: Vec<u32> = weights.iter().enumerate().map(|(n, &w)| queue.add(n, w)).collect();
            let mut sent = vec![0; 5];
            let mut seen = vec![0; 5];
            let take = |queue: &mut FairQueue<usize, u32>, seen: &mut Vec<u32>| {
                let Some((slot, _, item)) = queue.pop() else { return false };
                let n = slots.iter().position(|&other| other == slot).unwrap();
                assert_eq!(item, seen[n]);
                seen[n] += 1;
                true
            };
            for &(n, bytes, pop) in &pushes {
                queue.push(slots[n], sent[n], bytes);
                sent[n] += 1;
                if pop {
                    take(&mut queue, &mut seen);
                }
            }
            while take(&mut queue, &mut seen) {}
            prop_assert_eq!(queue.len(), 0);
            prop_assert_eq!(sent, seen);
        }
    }
}
