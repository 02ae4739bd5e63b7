//! Questions to nodes for their load, which are no calls of the program's own.
//!
//! A question goes out at once or not at all, as a later one will know more. It takes of the node's
//! credit what a call does, until it is answered or the connection is lost; there is one at a time for
//! each node. What came of questions is in no count of calls.
//!
//! # Invariants
//!
//! 1. A question never waits, and is in no count but its own. (test
//!    `a_question_never_waits_and_is_no_call`)
//! 2. A node has one question at a time, and is asked ever more rarely while its answers tell nothing.
//!    (tests `a_node_has_one_question_at_a_time`,
//!    `a_node_whose_answers_tell_nothing_is_asked_rarely`)

use std::time::Duration;

use super::nodes::Node;
use super::slots::State;
use super::{Caller, NodeId, Sending};
use crate::machine::time::Time;

/// How long a node is not asked after an answer that told nothing; doubled with each in a row.
const IN_VAIN: Duration = Duration::from_secs(1);
/// How often it is doubled.
const DOUBLED_MAX: u32 = 9;

/// What of the counts is not of calls.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// Questions that were sent.
    pub(super) all: u64,
    pub(super) replied: u64,
    pub(super) failed: u64,
    pub(super) late: u64,
    /// In flight, given up or not.
    pub(super) held: usize,
    pub(super) given_up: usize,
}

/// What one node was asked.
#[derive(Debug, Default)]
pub(super) struct Curiosity {
    /// A question is in flight.
    asking: bool,
    /// Answers in a row that told nothing.
    in_vain: u32,
    /// It is not asked before.
    after: Time,
}

impl Curiosity {
    /// Whether there is any point in a question now.
    pub(super) fn may_ask(&self, now: Time) -> bool {
        !self.asking && self.after <= now
    }

    /// The question is in flight no more.
    pub(super) fn is_over(&mut self) {
        self.asking = false;
    }

    /// It was answered, with a load or without.
    pub(super) fn answered(&mut self, now: Time, told: bool) {
        self.asking = false;
        if told {
            self.in_vain = 0;
            return;
        }
        let doubled = 1 << self.in_vain.min(DOUBLED_MAX);
        self.after = now.after(IN_VAIN.saturating_mul(doubled));
        self.in_vain += 1;
    }
}

impl Node {
    /// Whether it can be asked for its load now.
    pub(super) fn can_be_asked(&self, now: Time, bytes: u64) -> bool {
        self.weight > 0 && self.fixed.is_none() && self.curiosity.may_ask(now) && self.takes(bytes)
    }
}

impl<T> Caller<T> {
    /// Asks a node for its load, as [`wonders`](Self::wonders) would: what is to be sent for it, or
    /// nothing if the node has no room for it, or has a question already. What is kept with it comes
    /// out as that of a call does.
    pub fn ask(
        &mut self,
        now: Time,
        node: NodeId,
        deadline: Time,
        bytes: u64,
        payload: T,
    ) -> Option<Sending> {
        let known = self.node(node)?;
        if self.closed || deadline <= now || !known.can_be_asked(now, bytes) {
            return None;
        }
        let taken = self.slots.take(payload, |slot| {
            slot.deadline = deadline;
            slot.bytes = bytes;
            slot.oneway = true;
            slot.wait_for_ready = false;
            slot.only = Some(node);
            slot.key = None;
            slot.probe = true;
            slot.lasts = false;
            slot.state = State::Rests;
        });
        let id = taken.ok()?;
        self.watch(id);
        let sending = self.send(now, id, node.index());
        self.stats.sent -= 1;
        self.asked.all += 1;
        self.asked.held += 1;
        if let Some(known) = self.node_mut(node) {
            known.sent -= 1;
            known.curiosity.asking = true;
        }
        Some(sending)
    }

    /// A question is in flight no more, and was not answered.
    pub(super) fn asked_for_nothing(&mut self, node: u32, given_up: bool) {
        self.asked.held -= 1;
        self.asked.given_up -= usize::from(given_up);
        if let Some(known) = self.nodes.get_mut(node as usize) {
            known.curiosity.is_over();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ask, pool, sent};
    use super::super::{Again, Answered, ErrorThen, Failure, Submitted, Verdict, Why};
    use super::*;
    use crate::machine::credit::Credit;
    use crate::machine::load::Load;
    use crate::machine::{CallerStats, Ran};

    const LEFT: Duration = Duration::from_secs(1);
    /// An unknown method.
    const UNKNOWN: Failure = Failure {
        ran: Ran::No,
        again: Again::Elsewhere,
        retry_after: None,
        verdict: Verdict::Unwell,
    };
    const NOW: Time = Time::ZERO;

    fn put(caller: &mut Caller<u64>, now: Time, node: NodeId) -> Option<Sending> {
        caller.ask(now, node, now.after(LEFT), 2, 77)
    }

    fn told() -> Answered {
        Answered {
            load: Some(Load::default()),
            credit: None,
        }
    }

    #[test]
    fn a_question_never_waits_and_is_no_call() {
        let (mut caller, nodes) = pool(2, 1);
        let question = put(&mut caller, NOW, nodes[0]).expect("it has room");
        assert_eq!(caller.reply(NOW, nodes[0], question.id, told()), Some(77));
        let call = sent(&mut caller, 1);
        assert_eq!(put(&mut caller, NOW, call.node), None, "it has no room");
        let other = *nodes.iter().find(|node| **node != call.node).unwrap();
        let question = put(&mut caller, NOW, other).expect("this one has");
        let waits = caller.submit(NOW, ask(), 2);
        assert!(
            matches!(waits, Submitted::Waits(_)),
            "a call behind it does"
        );
        // Refused, it is not sent again, nor elsewhere.
        let failure = Failure {
            again: Again::Later,
            ..UNKNOWN
        };
        let then = caller.error(NOW, other, question.id, failure, Answered::default());
        assert_eq!(then, ErrorThen::Finished(77));
        assert_eq!(caller.next_send(NOW).map(|it| it.node), Some(other));
        let stats = caller.stats();
        let calls = CallerStats {
            submitted: 2,
            sent: 2,
            held: 2,
            probes: 2,
            ..CallerStats::default()
        };
        assert_eq!(stats, calls);
        let of = |node| caller.node_stats(node).unwrap();
        for node in nodes {
            let stats = of(node);
            assert_eq!((stats.sent, stats.answered, stats.errors), (1, 0, 0));
        }
    }

    #[test]
    fn a_node_has_one_question_at_a_time() {
        let (mut caller, nodes) = pool(1, 10);
        let question = put(&mut caller, NOW, nodes[0]).expect("it has room");
        assert_eq!(put(&mut caller, NOW, nodes[0]), None);
        // Given up, it is in flight still.
        let late = NOW.after(LEFT);
        caller.due(late);
        let ended = caller.next_ended().expect("its deadline has passed");
        assert_eq!(
            (ended.payload, ended.why, ended.tell),
            (77, Why::Expired, true)
        );
        assert_eq!(put(&mut caller, late, nodes[0]), None);
        assert_eq!(caller.node_stats(nodes[0]).unwrap().in_flight.calls, 1);
        assert_eq!(caller.reply(late, nodes[0], question.id, told()), None);
        put(&mut caller, late, nodes[0]).expect("it has answered");
        caller.due(late.after(LEFT));
        assert!(caller.next_ended().is_some());
        caller.lost(late, nodes[0]);
        assert_eq!(caller.next_ended(), None);
        caller.welcome(late, nodes[0], Credit::new(10, 1000));
        put(&mut caller, late, nodes[0]).expect("what it had is lost");
        caller.lost(late, nodes[0]);
        assert_eq!(caller.next_ended().map(|it| it.payload), Some(77));
        let stats = CallerStats {
            probes: 3,
            ..CallerStats::default()
        };
        assert_eq!(caller.stats(), stats);
        assert_eq!(caller.node_stats(nodes[0]).unwrap().lost, 0);
    }

    #[test]
    fn a_node_whose_answers_tell_nothing_is_asked_rarely() {
        let (mut caller, nodes) = pool(1, 10);
        let (mut now, mut asked) = (NOW, 0);
        let hour = NOW.after(Duration::from_secs(3600));
        while now < hour {
            if let Some(question) = put(&mut caller, now, nodes[0]) {
                asked += 1;
                caller.error(now, nodes[0], question.id, UNKNOWN, Answered::default());
            }
            now = now.after(Duration::from_millis(100));
        }
        assert!((10..=17).contains(&asked), "{asked} in an hour");
        // Another one may be there after a connection was lost.
        caller.lost(now, nodes[0]);
        caller.welcome(now, nodes[0], Credit::new(10, 1000));
        for _ in 0..3 {
            let question = put(&mut caller, now, nodes[0]).expect("it may know better");
            caller.reply(now, nodes[0], question.id, told());
        }
    }
}
