//! The last message of each topic, for those who subscribe later.
//!
//! # Invariants
//!
//! 1. At most so many topics and bytes are kept; what was published longest ago goes first, and
//!    is counted. (proptest `the_last_values_are_those_of_a_list`)

use std::collections::BTreeMap;

use crate::message::{Frame, Message};

/// What a topic costs beside the bytes of its message and its name.
const TOPIC_COST: usize = 128;

#[derive(Debug)]
struct Kept {
    message: Message,
    /// When it was published, counted.
    turn: u64,
    bytes: usize,
}

/// The last message of each topic.
#[derive(Debug)]
pub(crate) struct LastValues {
    topics: BTreeMap<Frame, Kept>,
    turns: BTreeMap<u64, Frame>,
    turn: u64,
    bytes: usize,
    topics_max: usize,
    bytes_max: usize,
    evicted: u64,
}

impl LastValues {
    pub(crate) fn new(topics_max: usize, bytes_max: usize) -> Self {
        LastValues {
            topics: BTreeMap::new(),
            turns: BTreeMap::new(),
            turn: 0,
            bytes: 0,
            topics_max,
            bytes_max,
            evicted: 0,
        }
    }

    /// A message is published.
    pub(crate) fn keep(&mut self, message: &Message) {
        let topic = message.first();
        let bytes = TOPIC_COST + message.bytes();
        self.turn += 1;
        match self.topics.get_mut(&**topic) {
            Some(kept) => {
                self.bytes = self.bytes - kept.bytes + bytes;
                // The name stays the one that it is filed under.
                if let Some(name) = self.turns.remove(&kept.turn) {
                    self.turns.insert(self.turn, name);
                }
                *kept = Kept {
                    message: message.clone(),
                    turn: self.turn,
                    bytes,
                };
            }
            None => {
                // A name of its own: the message may be a slice of something larger.
                let name = Frame::copy_from_slice(topic);
                self.bytes += bytes;
                self.turns.insert(self.turn, name.clone());
                let kept = Kept {
                    message: message.clone(),
                    turn: self.turn,
                    bytes,
                };
                self.topics.insert(name, kept);
            }
        }
        while self.topics.len() > self.topics_max || self.bytes > self.bytes_max {
            let Some((_, name)) = self.turns.pop_first() else {
                return;
            };
            if let Some(kept) = self.topics.remove(&name) {
                self.bytes -= kept.bytes;
            }
            self.evicted += 1;
        }
    }

    /// The last messages of the topics that begin so, by topic.
    pub(crate) fn of<'a>(&'a self, prefix: &'a [u8]) -> impl Iterator<Item = &'a Message> {
        let from = (
            std::ops::Bound::Included(prefix),
            std::ops::Bound::Unbounded,
        );
        self.topics
            .range::<[u8], _>(from)
            .take_while(move |(topic, _)| topic.starts_with(prefix))
            .map(|(_, kept)| &kept.message)
    }

    /// Topics that are kept, and those that had to go.
    pub(crate) fn counts(&self) -> (usize, u64) {
        (self.topics.len(), self.evicted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_last_values_are_those_of_a_list(
            published in proptest::collection::vec(("[ab]{0,3}", 0usize..100), 0..100),
            prefix in "[ab]{0,2}",
            topics_max in 1usize..8,
            bytes_max in 200usize..2000,
        ) {
            let mut values = LastValues::new(topics_max, bytes_max);
            let mut model: Vec<(String, Message)> = Vec::new();
            let mut evicted = 0;
            for (topic, bytes) in published {
                let message = Message::from([Frame::from(&*topic), Frame::from(vec![1; bytes])]);
                values.keep(&message);
                model.retain(|(other, _)| *other != topic);
                model.push((topic, message));
                let cost = |(_, message): &(String, Message)| TOPIC_COST + message.bytes();
                while model.len() > topics_max || model.iter().map(cost).sum::<usize>() > bytes_max {
                    model.remove(0);
                    evicted += 1;
                }
                prop_assert_eq!(values.counts(), (model.len(), evicted));
                prop_assert_eq!(values.bytes, model.iter().map(cost).sum::<usize>());
                prop_assert_eq!(values.turns.len(), model.len());
                let mut expected: Vec<_> = model
                    .iter()
                    .filter(|(topic, _)| topic.starts_with(&prefix))
                    .cloned()
                    .collect();
                expected.sort_by(|(a, _), (b, _)| a.cmp(b));
                let found: Vec<_> = values.of(prefix.as_bytes()).cloned().collect();
                let expected: Vec<_> = expected.into_iter().map(|(_, message)| message).collect();
                prop_assert_eq!(found, expected);
            }
        }
    }
}
