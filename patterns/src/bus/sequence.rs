//! What a subscriber knows of its publishers: how far each has come, and what did not come.
//!
//! Each publisher numbers its updates from 1. The first that is heard of a publisher is where
//! counting begins, whatever its number: what came before was not for us. After it, a number
//! that is left out is lost; one that is not higher than the last has been here before, such as a
//! last value that is sent again when a connection comes back.
//!
//! Over one path order is kept. Over several at once, what overtakes makes the overtaken lost.
//!
//! # Invariants
//!
//! 1. Between the first and the last number heard of a publisher, each is counted once: as
//!    received or as lost. (proptest `received_and_lost_make_the_whole`)
//! 2. No more publishers are remembered than the limit; the one heard of longest ago goes.
//!    (test `the_publisher_heard_of_longest_ago_is_forgotten`)

use std::collections::BTreeMap;

use super::wire::PublisherId;

/// What came of one publisher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PublisherCounts {
    /// Which one.
    pub publisher: PublisherId,
    /// The number of its update that came last.
    pub sequence: u64,
    /// Updates that came, each counted once.
    pub received: u64,
    /// Updates that did not come, as the gaps in its numbers tell.
    pub lost: u64,
    /// Updates that had come before, and were passed over.
    pub repeated: u64,
}

#[derive(Debug)]
struct Known {
    counts: PublisherCounts,
    /// When it was heard of last, counted.
    turn: u64,
}

/// What an update is to the subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The first that is heard of its publisher.
    First,
    /// A new one, with so many lost before it.
    Next { lost: u64 },
    /// It has been here before.
    Repeat,
}

/// The publishers of one topic.
#[derive(Debug)]
pub(super) struct Publishers {
    known: BTreeMap<PublisherId, Known>,
    turns: BTreeMap<u64, PublisherId>,
    turn: u64,
    publishers_max: usize,
    pub(super) forgotten: u64,
}

impl Publishers {
    pub(super) fn new(publishers_max: usize) -> Self {
        Publishers {
            known: BTreeMap::new(),
            turns: BTreeMap::new(),
            turn: 0,
            publishers_max,
            forgotten: 0,
        }
    }

    /// An update of this publisher and number has come.
    pub(super) fn hear(&mut self, publisher: PublisherId, sequence: u64) -> Place {
        self.turn += 1;
        if let Some(known) = self.known.get_mut(&publisher) {
            self.turns.remove(&known.turn);
            self.turns.insert(self.turn, publisher);
            known.turn = self.turn;
            let counts = &mut known.counts;
            if sequence <= counts.sequence {
                counts.repeated += 1;
                return Place::Repeat;
            }
            let lost = sequence - counts.sequence - 1;
            counts.sequence = sequence;
            counts.received += 1;
            counts.lost = counts.lost.saturating_add(lost);
            return Place::Next { lost };
        }
        if self.known.len() >= self.publishers_max
            && let Some((_, longest)) = self.turns.pop_first()
        {
            self.known.remove(&longest);
            self.forgotten += 1;
        }
        let counts = PublisherCounts {
            publisher,
            sequence,
            received: 1,
            lost: 0,
            repeated: 0,
        };
        let turn = self.turn;
        self.known.insert(publisher, Known { counts, turn });
        self.turns.insert(turn, publisher);
        Place::First
    }

    pub(super) fn counts(&self) -> Vec<PublisherCounts> {
        self.known.values().map(|known| known.counts).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const A: PublisherId = PublisherId(1);
    const B: PublisherId = PublisherId(2);
    const C: PublisherId = PublisherId(3);

    #[test]
    fn joining_late_is_no_loss_and_a_repeated_last_value_is_no_news() {
        let mut publishers = Publishers::new(10);
        assert_eq!(publishers.hear(A, 7), Place::First);
        assert_eq!(publishers.hear(A, 7), Place::Repeat);
        assert_eq!(publishers.hear(A, 8), Place::Next { lost: 0 });
        assert_eq!(publishers.hear(A, 12), Place::Next { lost: 3 });
        assert_eq!(publishers.hear(A, 9), Place::Repeat);
        // Another publisher, or the same one started anew, counts for itself.
        assert_eq!(publishers.hear(B, 1), Place::First);
        assert_eq!(
            publishers.hear(A, u64::MAX),
            Place::Next {
                lost: u64::MAX - 13
            }
        );
        assert_eq!(publishers.counts()[0].lost, u64::MAX - 10);
    }

    #[test]
    fn the_publisher_heard_of_longest_ago_is_forgotten() {
        let mut publishers = Publishers::new(2);
        for publisher in [A, B, A, C] {
            publishers.hear(publisher, 1);
        }
        assert_eq!((publishers.known.len(), publishers.forgotten), (2, 1));
        assert_eq!(publishers.hear(A, 2), Place::Next { lost: 0 });
        assert_eq!(publishers.hear(B, 5), Place::First);
        assert_eq!((publishers.turns.len(), publishers.forgotten), (2, 2));
    }

    proptest! {
        #[test]
        fn received_and_lost_make_the_whole(
            heard in proptest::collection::vec((0u64..3, 1u64..30), 1..60),
        ) {
            let mut publishers = Publishers::new(3);
            let mut firsts = BTreeMap::new();
            for (publisher, sequence) in heard {
                firsts.entry(PublisherId(publisher)).or_insert(sequence);
                publishers.hear(PublisherId(publisher), sequence);
            }
            for counts in publishers.counts() {
                let whole = counts.sequence - firsts[&counts.publisher] + 1;
                prop_assert_eq!(counts.received + counts.lost, whole);
            }
        }
    }
}
