//! Calls that wait for a thread: first in, first out for each caller, and callers by turns.
//!
//! A caller with a thousand calls waiting delays one with a single call by one call, not by a
//! thousand.
//!
//! # Invariants
//!
//! 1. Callers take turns, whatever each has queued. (test `callers_take_turns`)
//! 2. What was queued comes out once: popped, removed, or with its caller. (test
//!    `everything_comes_out_once`)

use std::collections::{HashMap, VecDeque};

/// Emptied lists that are kept for the next caller.
const SPARE_MAX: usize = 64;

/// A job with what it is known by among its caller's.
type Entry<K, T> = (K, T);

/// Jobs of callers, who are known by number.
#[derive(Debug)]
pub(super) struct FairQueue<K, T> {
    callers: HashMap<u64, VecDeque<Entry<K, T>>>,
    /// Callers with jobs, each once; the first is next.
    turns: VecDeque<u64>,
    spare: Vec<VecDeque<Entry<K, T>>>,
    len: usize,
}

impl<K: Eq, T> FairQueue<K, T> {
    pub(super) fn new() -> Self {
        FairQueue {
            callers: HashMap::new(),
            turns: VecDeque::new(),
            spare: Vec::new(),
            len: 0,
        }
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, caller: u64, id: K, job: T) {
        self.len += 1;
        if let Some(list) = self.callers.get_mut(&caller) {
            list.push_back((id, job));
            return;
        }
        let mut list = self.spare.pop().unwrap_or_default();
        list.push_back((id, job));
        self.callers.insert(caller, list);
        self.turns.push_back(caller);
    }

    /// The next job of the caller whose turn it is.
    pub(super) fn pop(&mut self) -> Option<T> {
        let caller = self.turns.pop_front()?;
        let list = self.callers.get_mut(&caller)?;
        let (_, job) = list.pop_front()?;
        self.len -= 1;
        if list.is_empty() {
            self.retire(caller);
        } else {
            self.turns.push_back(caller);
        }
        Some(job)
    }

    /// Takes out this job of a caller's.
    pub(super) fn remove(&mut self, caller: u64, id: &K) -> Option<T> {
        let list = self.callers.get_mut(&caller)?;
        let index = list.iter().position(|(other, _)| other == id)?;
        let (_, job) = list.remove(index)?;
        self.len -= 1;
        if list.is_empty() {
            self.retire(caller);
            self.turns.retain(|other| *other != caller);
        }
        Some(job)
    }

    /// Takes out everything of a caller, in order.
    pub(super) fn remove_caller(&mut self, caller: u64) -> Vec<T> {
        let Some(list) = self.callers.remove(&caller) else {
            return Vec::new();
        };
        self.turns.retain(|other| *other != caller);
        self.len -= list.len();
        list.into_iter().map(|(_, job)| job).collect()
    }

    /// Takes out everything.
    pub(super) fn remove_all(&mut self) -> Vec<T> {
        let mut all = Vec::with_capacity(self.len);
        while let Some(job) = self.pop() {
            all.push(job);
        }
        all
    }

    fn retire(&mut self, caller: u64) {
        if let Some(list) = self.callers.remove(&caller)
            && self.spare.len() < SPARE_MAX
        {
            self.spare.push(list);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(queue: &mut FairQueue<u64, &'static str>) -> Vec<&'static str> {
        std::iter::from_fn(|| queue.pop()).collect()
    }

    #[test]
    fn callers_take_turns() {
        let mut queue = FairQueue::new();
        for (caller, id, job) in [(1, 1, "a1"), (1, 2, "a2"), (1, 3, "a3"), (2, 1, "b1")] {
            queue.push(caller, id, job);
        }
        assert_eq!(queue.pop(), Some("a1"));
        queue.push(3, 1, "c1");
        assert_eq!(drain(&mut queue), ["b1", "a2", "c1", "a3"]);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn everything_comes_out_once() {
        let mut queue = FairQueue::new();
        for (caller, id, job) in [(1, 7, "a7"), (1, 8, "a8"), (2, 7, "b7"), (3, 1, "c1")] {
            queue.push(caller, id, job);
        }
        assert_eq!(queue.remove(1, &7), Some("a7"));
        assert_eq!(queue.remove(1, &7), None);
        assert_eq!(queue.remove(2, &7), Some("b7"), "its caller's only one");
        assert_eq!(queue.remove_caller(3), ["c1"]);
        assert_eq!(queue.remove_caller(3), [""; 0]);
        assert_eq!(queue.len(), 1);
        queue.push(2, 9, "b9");
        assert_eq!(queue.remove_all(), ["a8", "b9"]);
        assert_eq!(queue.pop(), None);
    }
}
