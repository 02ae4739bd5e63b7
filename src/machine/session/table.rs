//! The calls that a session holds, by ticket and by identifier.
//!
//! Identifiers are found through lists of those that share a bucket. A caller that chooses them so
//! that all share one makes each search as long as its own window, and nobody else's.

use super::Ticket;
use crate::machine::time::Time;

/// No entry: the end of a list.
const NONE: u32 = u32::MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Free,
    Waits,
    Runs,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) id: u64,
    pub(super) via: u64,
    pub(super) bytes: u64,
    pub(super) deadline: Time,
    pub(super) arrived: Time,
    pub(super) started: Time,
    pub(super) state: State,
    pub(super) cancelled: bool,
    generation: u32,
    next: u32,
}

impl Entry {
    pub(super) fn new(id: u64, via: u64, bytes: u64, deadline: Time, now: Time) -> Entry {
        Entry {
            id,
            via,
            bytes,
            deadline,
            arrived: now,
            started: now,
            state: State::Waits,
            cancelled: false,
            generation: 0,
            next: NONE,
        }
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    entries: Vec<Entry>,
    free: Vec<u32>,
    /// Where each list begins; as many as a power of two, and no fewer than entries.
    heads: Vec<u32>,
}

impl Table {
    pub(super) fn find(&self, id: u64, via: u64) -> Option<Ticket> {
        let mut index = *self.heads.get(self.bucket(id, via))?;
        while let Some(entry) = self.entries.get(index as usize) {
            if entry.id == id && entry.via == via {
                let generation = entry.generation;
                return Some(Ticket { index, generation });
            }
            index = entry.next;
        }
        None
    }

    pub(super) fn keep(&mut self, mut entry: Entry) -> Ticket {
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.entries.push(entry);
                if self.entries.len() > self.heads.len() {
                    self.spread();
                }
                (self.entries.len() - 1) as u32
            }
        };
        let bucket = self.bucket(entry.id, entry.via);
        if let Some(slot) = self.entries.get_mut(index as usize)
            && let Some(head) = self.heads.get_mut(bucket)
        {
            entry.generation = slot.generation.wrapping_add(1);
            entry.next = *head;
            *head = index;
            *slot = entry;
        }
        let generation = entry.generation;
        Ticket { index, generation }
    }

    pub(super) fn get(&self, ticket: Ticket) -> Option<&Entry> {
        let entry = self.entries.get(ticket.index as usize)?;
        let good = entry.generation == ticket.generation && entry.state != State::Free;
        good.then_some(entry)
    }

    pub(super) fn get_mut(&mut self, ticket: Ticket) -> Option<&mut Entry> {
        let entry = self.entries.get_mut(ticket.index as usize)?;
        let good = entry.generation == ticket.generation && entry.state != State::Free;
        good.then_some(entry)
    }

    pub(super) fn release(&mut self, ticket: Ticket) -> Option<Entry> {
        let held = *self.get(ticket)?;
        self.unlink(ticket.index, &held);
        if let Some(entry) = self.entries.get_mut(ticket.index as usize) {
            entry.state = State::Free;
        }
        self.free.push(ticket.index);
        Some(held)
    }

    /// All that are held.
    pub(super) fn all(&self) -> Vec<Ticket> {
        let entries = self.entries.iter().enumerate();
        let held = entries.filter(|(_, entry)| entry.state != State::Free);
        held.map(|(index, entry)| Ticket {
            index: index as u32,
            generation: entry.generation,
        })
        .collect()
    }

    fn bucket(&self, id: u64, via: u64) -> usize {
        let mixed = (id ^ via.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 32) as usize & self.heads.len().wrapping_sub(1)
    }

    fn unlink(&mut self, index: u32, held: &Entry) {
        let bucket = self.bucket(held.id, held.via);
        let Some(head) = self.heads.get_mut(bucket) else {
            return;
        };
        if *head == index {
            *head = held.next;
            return;
        }
        let mut at = *head;
        while let Some(entry) = self.entries.get_mut(at as usize) {
            if entry.next == index {
                entry.next = held.next;
                return;
            }
            at = entry.next;
        }
    }

    /// More buckets, and everything that is held in its new one.
    fn spread(&mut self) {
        let buckets = self.entries.len().next_power_of_two().max(16);
        self.heads = vec![NONE; buckets];
        // The last one is not in a list yet.
        for index in 0..self.entries.len() - 1 {
            let Some(entry) = self.entries.get(index) else {
                return;
            };
            if entry.state == State::Free {
                continue;
            }
            let bucket = self.bucket(entry.id, entry.via);
            if let Some(entry) = self.entries.get_mut(index)
                && let Some(head) = self.heads.get_mut(bucket)
            {
                entry.next = *head;
                *head = index as u32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn entry(id: u64) -> Entry {
        Entry::new(id, 0, 0, Time::NEVER, Time::ZERO)
    }

    proptest! {
        #[test]
        fn the_table_agrees_with_a_map(
            steps in proptest::collection::vec((any::<bool>(), 0u64..40), 1..300),
        ) {
            let (mut table, mut map) = (Table::default(), BTreeMap::new());
            for (keep, id) in steps {
                if keep {
                    map.entry(id).or_insert_with(|| table.keep(entry(id)));
                } else if let Some(ticket) = map.remove(&id) {
                    prop_assert_eq!(table.release(ticket).map(|entry| entry.id), Some(id));
                    prop_assert!(table.release(ticket).is_none());
                }
                for id in 0..40 {
                    prop_assert_eq!(table.find(id, 0), map.get(&id).copied());
                }
            }
        }
    }
}
