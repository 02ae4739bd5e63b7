//! Numbers for requests, by which each answer is known: awaited, too late, or never asked for.
//!
//! # Invariants
//!
//! 1. A number is expected once, from when it is opened until it is answered or given up; after
//!    that it is late for ever. (proptest `a_number_is_expected_once`)
//! 2. What is remembered is what is open. (held by the only collection being that of open ones)

use std::collections::BTreeSet;

/// What an answer that comes is to the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// It is awaited; from now on it is not.
    Expected,
    /// The request has been answered before, or given up.
    Late,
    /// Nothing was ever asked under this number.
    Unknown,
}

/// The requests of a caller that are not answered yet.
#[derive(Debug, Clone)]
pub struct Requests {
    first: u64,
    next: u64,
    open: BTreeSet<u64>,
}

impl Requests {
    /// None yet; numbers begin with `first`. A random one keeps answers to an earlier life of the
    /// program apart.
    pub fn new(first: u64) -> Self {
        Requests {
            first,
            next: first,
            open: BTreeSet::new(),
        }
    }

    /// A new request; gives its number. All attempts go under the same one.
    pub fn open(&mut self) -> u64 {
        let id = self.next;
        self.next = self.next.wrapping_add(1);
        self.open.insert(id);
        id
    }

    /// An answer under this number has come.
    pub fn answered(&mut self, id: u64) -> Arrival {
        if self.open.remove(&id) {
            Arrival::Expected
        } else if id.wrapping_sub(self.first) < self.next.wrapping_sub(self.first) {
            Arrival::Late
        } else {
            Arrival::Unknown
        }
    }

    /// The answer is not awaited any more; false if it was not.
    pub fn give_up(&mut self, id: u64) -> bool {
        self.open.remove(&id)
    }

    /// The numbers that are awaited, in order.
    pub fn awaited(&self) -> impl Iterator<Item = u64> + '_ {
        self.open.iter().copied()
    }

    /// How many are awaited.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether none is awaited.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_number_is_expected_once(
            // The numbers may pass the end of their range.
            first in prop_oneof![Just(0), Just(u64::MAX - 3), any::<u64>()],
            steps in proptest::collection::vec((0u8..3, 0u64..12), 0..60),
        ) {
            let mut requests = Requests::new(first);
            let (mut opened, mut done) = (0, BTreeSet::new());
            for (step, nth) in steps {
                let id = first.wrapping_add(nth);
                match step {
                    0 => {
                        prop_assert_eq!(requests.open(), first.wrapping_add(opened));
                        opened += 1;
                    }
                    1 => {
                        let expected = match (nth < opened, done.insert(nth)) {
                            (false, _) => { done.remove(&nth); Arrival::Unknown }
                            (true, true) => Arrival::Expected,
                            (true, false) => Arrival::Late,
                        };
                        prop_assert_eq!(requests.answered(id), expected);
                    }
                    _ => {
                        let was_open = nth < opened && done.insert(nth);
                        prop_assert_eq!(requests.give_up(id), was_open);
                    }
                }
                prop_assert_eq!(requests.len() as u64, opened - done.len() as u64);
            }
        }
    }
}
