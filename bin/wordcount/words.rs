//! What a word is, and the table of how often each occurs.
//!
//! A word is a run of letters, digits and underscores that does not begin with a digit, in lower
//! case.
//!
//! # Invariants
//!
//! 1. Counting a text in pieces cut between words gives what counting it whole gives. (test
//!    `pieces_cut_between_words_count_like_the_whole`)

use std::cmp::Reverse;
use std::collections::HashMap;

/// Whether a character may stand within a word.
pub(super) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// How often each word occurs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    counts: HashMap<Box<str>, u64>,
    words: u64,
}

impl Table {
    /// Counts the words of a text.
    pub(super) fn count(&mut self, text: &str) {
        let mut folded = String::new();
        for word in text.split(|c| !is_word(c)) {
            if word.chars().next().is_none_or(char::is_numeric) {
                continue;
            }
            if !word.is_ascii() {
                self.add(&word.to_lowercase(), 1);
            } else if word.bytes().any(|byte| byte.is_ascii_uppercase()) {
                folded.clear();
                folded.push_str(word);
                folded.make_ascii_lowercase();
                self.add(&folded, 1);
            } else {
                self.add(word, 1);
            }
        }
    }

    /// Adds what somebody else has counted.
    pub(super) fn add(&mut self, word: &str, count: u64) {
        self.words += count;
        match self.counts.get_mut(word) {
            Some(known) => *known += count,
            None => {
                self.counts.insert(word.into(), count);
            }
        }
    }

    /// The table of the same text this many times over.
    pub(super) fn times(mut self, times: u64) -> Self {
        self.words *= times;
        self.counts.values_mut().for_each(|count| *count *= times);
        self
    }

    /// Words in all.
    pub(super) fn words(&self) -> u64 {
        self.words
    }

    /// Words that differ.
    pub(super) fn distinct(&self) -> usize {
        self.counts.len()
    }

    /// Every word with its count, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.counts.iter().map(|(word, count)| (&**word, *count))
    }

    /// The words that occur most often; those that occur as often are in the order of their text.
    pub(super) fn top(&self, most: usize) -> Vec<(String, u64)> {
        let mut all: Vec<(&str, u64)> = self.iter().collect();
        all.sort_unstable_by_key(|(word, count)| (Reverse(*count), *word));
        all.truncate(most);
        all.into_iter()
            .map(|(word, count)| (word.to_owned(), count))
            .collect()
    }

    /// A word that the two tables do not agree on, with both counts.
    pub(super) fn difference(&self, other: &Table) -> Option<(String, u64, u64)> {
        let words = self.counts.keys().chain(other.counts.keys());
        words
            .map(|word| {
                let count = |table: &Table| table.counts.get(word).copied().unwrap_or(0);
                (word.to_string(), count(self), count(other))
            })
            .filter(|(_, ours, theirs)| ours != theirs)
            .min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table {
        let mut table = Table::default();
        table.count(text);
        table
    }

    #[test]
    fn words_are_folded_and_split_at_everything_else() {
        let table = table("The cat, the_dog; THE cat's Straße ÜBER über 42 2nd");
        assert_eq!(table.words(), 9);
        assert_eq!(table.distinct(), 6);
        assert_eq!(
            table.top(4),
            [("cat", 2), ("the", 2), ("über", 2), ("s", 1)]
                .map(|(word, count)| (word.to_owned(), count))
        );
    }

    #[test]
    fn a_difference_is_found_whichever_side_has_more() {
        let (one, two) = (table("a b b"), table("a b c"));
        assert_eq!(one.difference(&table("b a b")), None);
        assert_eq!(one.difference(&two), Some(("b".to_owned(), 2, 1)));
        assert_eq!(two.difference(&one), Some(("b".to_owned(), 1, 2)));
        assert_eq!(table("").difference(&two), Some(("a".to_owned(), 0, 1)));
    }

    #[test]
    fn the_same_text_twice_counts_twice() {
        assert_eq!(table("x y x").times(2), table("x y x x y x"));
    }
}
