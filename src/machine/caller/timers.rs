//! Every timer of the calling end, in one table.
//!
//! Taking a timer back is a count; its entry is passed over when it comes up, and the table is
//! swept once more than half of it is stale. So it holds at most twice what is armed, and a bit.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::nodes::NodeId;
use super::slots::CallId;
use crate::machine::time::Time;

/// Stale entries that are not worth a sweep.
const STALE_MIN: usize = 64;

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Timer {
    /// A call that nobody waits for has reached its deadline.
    Deadline(CallId),
    /// A call that every node turned away is picked again.
    Again(CallId),
    /// A node that asked to be left alone may be picked again.
    Resume(NodeId),
    /// A node was told of calls that wait for its credit, and is told again if they still do.
    Wish(NodeId),
}

/// The table of what is due.
#[derive(Debug, Default)]
pub(super) struct Timers {
    due: BinaryHeap<Reverse<(Time, Timer)>>,
    stale: usize,
}

impl Timers {
    pub(super) fn arm(&mut self, at: Time, timer: Timer) {
        self.due.push(Reverse((at, timer)));
    }

    /// One that is armed is of no more use. `good` tells the others.
    pub(super) fn disarm(&mut self, good: impl Fn(&Timer) -> bool) {
        self.stale += 1;
        if self.stale > self.due.len() / 2 + STALE_MIN {
            self.due.retain(|Reverse((_, timer))| good(timer));
            self.stale = 0;
        }
    }

    pub(super) fn next(&self) -> Option<Time> {
        self.due.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes one that is due, good or stale.
    pub(super) fn pop(&mut self, now: Time) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        self.due.pop().map(|Reverse((_, timer))| timer)
    }

    /// One that was taken turned out stale.
    pub(super) fn was_stale(&mut self) {
        self.stale = self.stale.saturating_sub(1);
    }

    pub(super) fn len(&self) -> usize {
        self.due.len()
    }
}
