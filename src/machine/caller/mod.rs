//! The calling end: a pool of nodes, the calls in flight at each, and those that wait.
//!
//! ```text
//! submit ─┬─► sent ◄──────── next_send ◄─┬─ waits for credit
//!         └─► waits ─────────────────────┘        ▲
//!              │                                  │ No: picked again elsewhere,
//!  cancel,     │       sent ──► reply ──► ended   │ or after a rest once all have said so
//!  expire ─────┴─► ended  │                       │
//!                         ├──► error ─────────────┤
//!                         ├──► lost ──► ended (Maybe)
//!                         └──► cancel, expire ──► given up: the slot and the credit stay
//!                                                 taken until the node answers
//! ```
//!
//! A call that has never been sent, or that was answered `No`, is picked again within its deadline:
//! that is no retry. One that was sent and is not answered ends as `Maybe` when its node is lost.
//!
//! After each input the shell asks [`Caller::next_send`], [`Caller::next_ended`] and
//! [`Caller::next_wish`] until they have nothing more, and writes and wakes outside of its lock.
//!
//! A call may name the only node that it goes to. It waits for that one's credit behind others of
//! its kind, and ends as `Unavailable`, not run, once that node is lost, drains, fails to be reached
//! or leaves; asked to wait, it outlasts all but the last. A `No` of that node ends it, too, unless
//! it waits.
//!
//! # Invariants
//!
//! 1. A payload comes out once, whatever happens. (test `every_payload_comes_out_exactly_once`)
//! 2. A node never has more in flight than it granted. (test `a_node_never_has_more_than_its_credit`)
//! 3. A call is never sent again unless its last attempt did not run.
//!    (test `only_a_no_is_picked_again`)
//! 4. An answer to an earlier attempt ends nothing. (test `a_doubled_answer_ends_nothing`)
//! 5. A node that says when to come again is sent nothing before, within a bound.
//!    (test `a_node_that_says_when_to_come_again_is_left_alone_until_then`)
//! 6. A node that owes a sign of life gets no call while another is up, whatever the policy. (test
//!    `a_silent_node_gets_nothing_while_another_is_up`)
//! 7. A call for one node goes to no other, and does not wait for one that has left. (test
//!    `a_call_for_one_node_goes_there_or_ends`)
//! 8. A call rests for what nodes wished no longer than until another takes calls. (test
//!    `what_a_lone_node_wishes_holds_no_call_once_another_is_up`)
//!
//! # Not here
//!
//! Retries of what may have run, hedging and breakers; how a policy weighs nodes
//! ([`brokerless_patterns::balance`]).

mod belief;
#[cfg(test)]
mod heartbeat_tests;
mod inside;
mod nodes;
#[cfg(test)]
mod only_tests;
mod probes;
mod slots;
#[cfg(test)]
mod tests;
mod timers;
mod values;
mod wishes;

use std::collections::VecDeque;
use std::time::Duration;

use brokerless_patterns::balance::{Balancer, Facts};

pub use nodes::{NodeId, NodeState, NodeStats};
pub use slots::CallId;
pub use values::{
    Again, Answered, Ask, CallerLimits, CallerStats, Ended, ErrorThen, Failure, Sending, Submitted,
    Verdict, Why,
};

use super::Ran;
use super::credit::Credit;
use super::time::Time;
use inside::is_good;
use nodes::Node;
use probes::{Asked, Curiosity};
use slots::{Line, Slots, State};
use timers::{Timer, Timers};

/// How many of those that some nodes have turned away are looked at for each send.
const PICKY_LOOKS: usize = 8;

/// The calling end. `T` is what the shell keeps with each call.
pub struct Caller<T> {
    limits: CallerLimits,
    slots: Slots<T>,
    nodes: Vec<Node>,
    balancer: Balancer,
    timers: Timers,
    ended: VecDeque<Ended<T>>,
    /// Nodes that are up or being connected to.
    hopes: usize,
    resting: usize,
    /// Calls began to rest without an answer, which the shell looks after by itself.
    rested: bool,
    given_up: usize,
    closed: bool,
    /// Of those that have waited, the last to be sent was one for one node only.
    only_went_last: bool,
    /// There are, or were, nodes that grant free workers alone.
    some_pull: bool,
    /// What is counted of questions, not of calls.
    asked: Asked,
    /// When the policy may next have a node asked for its load.
    wonders_at: Time,
    /// When the next node may be late with a sign of life; never later than that.
    judges_at: Time,
    stats: CallerStats,
}

impl<T> Caller<T> {
    /// An empty pool. `balancer`: one without nodes.
    pub fn new(limits: CallerLimits, balancer: Balancer) -> Caller<T> {
        Caller {
            limits,
            slots: Slots::new(),
            nodes: Vec::new(),
            balancer,
            timers: Timers::default(),
            ended: VecDeque::new(),
            hopes: 0,
            resting: 0,
            rested: false,
            given_up: 0,
            closed: false,
            only_went_last: false,
            some_pull: false,
            asked: Asked::default(),
            wonders_at: Time::ZERO,
            judges_at: Time::NEVER,
            stats: CallerStats::default(),
        }
    }

    // ---- nodes -------------------------------------------------------------------------------

    /// A node joins the pool. It takes no calls before its welcome.
    pub fn add_node(&mut self, now: Time, facts: Facts) -> NodeId {
        self.add(now, facts, None)
    }

    /// Something behind a device joins: no session, and a window of this end's own choice. It takes
    /// calls once it is connected.
    pub fn add_sessionless(&mut self, now: Time, facts: Facts, window: Credit) -> NodeId {
        self.add(now, facts, Some(window.at_most(self.limits.window_max)))
    }

    /// What the pool says of a node is something else from now on. With a weight of 0 it is given
    /// no more calls, but for those that name it, and stays connected. False if it is not there.
    pub fn set_node(&mut self, now: Time, node: NodeId, facts: Facts) -> bool {
        let Some(known) = self.node_mut(node) else {
            return false;
        };
        let (before, after) = (known.is_hope(), facts.weight > 0);
        known.weight = facts.weight;
        let after = after && known.is_hope();
        let takes = after && !before && known.state == NodeState::Up;
        self.hopes -= usize::from(before);
        self.hopes += usize::from(after);
        self.balancer.set(now.as_nanos(), node.index(), facts);
        if takes {
            self.wake(node);
        }
        self.fail_fast();
        true
    }

    /// What the pool says of a node.
    pub fn facts(&self, node: NodeId) -> Option<&Facts> {
        self.node(node)?;
        self.balancer.nodes().facts(node.index())
    }

    /// A connection is made. A node with sessions is to be sent a hello; another is up.
    pub fn connected(&mut self, now: Time, node: NodeId) {
        let Some(known) = self.node_mut(node) else {
            return;
        };
        if let Some(window) = known.fixed {
            known.credit = window;
            self.set_state(now, node, NodeState::Up);
        } else if known.state == NodeState::Failed {
            self.set_state(now, node, NodeState::Connecting);
        }
    }

    /// A node welcomes this caller.
    pub fn welcome(&mut self, now: Time, node: NodeId, credit: Credit) {
        let max = self.limits.window_max;
        let Some(known) = self.node_mut(node) else {
            return;
        };
        if matches!(known.state, NodeState::Connecting | NodeState::Failed) {
            if !planted!(WelcomeIgnored) || known.credit.calls == 0 {
                known.credit = credit.at_most(max);
            }
            // Another one may be there now.
            known.curiosity = Curiosity::default();
            self.set_state(now, node, NodeState::Up);
        }
    }

    /// A node grants another window.
    pub fn credit(&mut self, node: NodeId, credit: Credit) {
        let max = self.limits.window_max;
        if let Some(known) = self.node_mut(node)
            && known.fixed.is_none()
        {
            let more = credit.calls.saturating_sub(known.credit.calls);
            known.wished = known.wished.saturating_sub(more);
            known.credit = credit.at_most(max);
        }
    }

    /// Nothing was heard of a node for a while, and it was asked for a sign of life. If none comes
    /// `within` this time, calls go elsewhere, as long as another node is up.
    pub fn asked(&mut self, now: Time, node: NodeId, within: Duration) {
        let by = now.after(within);
        if let Some(known) = self.node_mut(node) {
            known.asked = Some(by);
            self.judges_at = self.judges_at.min(by);
        }
    }

    /// Something was heard of a node that had been asked.
    pub fn heard(&mut self, node: NodeId) {
        if let Some(known) = self.node_mut(node) {
            known.asked = None;
            self.balancer.set_silent(node.index(), false);
        }
    }

    /// How long it takes to a node and back is something else than was known, or is not known any more.
    /// It holds until more is told, whatever becomes of the connection.
    pub fn measured(&mut self, node: NodeId, round_trip: Option<Duration>) {
        if self.node(node).is_some() {
            self.balancer.set_round_trip(node.index(), round_trip);
        }
    }

    /// A node says bye. Whether that is to be answered by a bye.
    pub fn bye(&mut self, now: Time, node: NodeId) -> bool {
        let Some(known) = self.node_mut(node) else {
            return false;
        };
        match known.state {
            NodeState::Draining => return false,
            NodeState::Leaving => return true,
            NodeState::Connecting | NodeState::Failed | NodeState::Up => {}
        }
        if planted!(ByeIgnored) {
            return true;
        }
        self.set_state(now, node, NodeState::Draining);
        self.fail_only(node);
        self.fail_fast();
        true
    }

    /// An attempt to connect failed, or the hello was refused; more attempts follow.
    pub fn failed_to_connect(&mut self, now: Time, node: NodeId) {
        self.set_state(now, node, NodeState::Failed);
        self.fail_only(node);
        self.fail_fast();
    }

    /// The connection is lost; another attempt is made. What was in flight ends as `Maybe`: see
    /// [`Caller::next_ended`].
    pub fn lost(&mut self, now: Time, node: NodeId) {
        let Some(known) = self.node(node) else { return };
        let leaving = known.state == NodeState::Leaving;
        let there = |id: &CallId| {
            let slot = self.slots.get(*id);
            slot.is_some_and(|slot| slot.state == State::Sent && slot.node == node.index)
        };
        let stranded: Vec<CallId> = self.slots.ids().filter(there).collect();
        for id in stranded {
            #[cfg(planted)]
            if planted!(LostIsPickedAgain) && self.send_lost_again(id) {
                continue;
            }
            let is_call = self.slots.get(id).is_some_and(|slot| !slot.probe);
            if let Some(ended) = self.end(now, id, Why::Lost, false) {
                self.ended.push_back(ended);
            }
            if let Some(known) = self.node_mut(node) {
                known.lost += u64::from(is_call);
            }
        }
        if leaving {
            self.drop_node(now, node);
            return;
        }
        self.set_state(now, node, NodeState::Connecting);
        self.fail_only(node);
        self.fail_fast();
    }

    /// Takes a node out of the pool: no more calls for it. True if it has none in flight and is
    /// gone; otherwise it is after its last answer, or when it is lost.
    pub fn remove_node(&mut self, now: Time, node: NodeId) -> bool {
        let Some(known) = self.node(node) else {
            return true;
        };
        if known.flight.calls == 0 {
            self.drop_node(now, node);
            self.fail_fast();
            return true;
        }
        self.set_state(now, node, NodeState::Leaving);
        self.fail_only(node);
        self.fail_fast();
        false
    }

    /// What the picker and the credit know of each node.
    pub fn nodes(&self) -> impl Iterator<Item = NodeStats> + '_ {
        let nodes = self.nodes.iter().enumerate();
        nodes
            .filter(|(_, node)| node.used)
            .map(|(index, node)| node.stats(index, self.balancer.nodes()))
    }

    /// Its nodes, and how they stand.
    pub fn states(&self) -> impl Iterator<Item = (NodeId, NodeState)> + '_ {
        let nodes = self.nodes.iter().enumerate();
        nodes
            .filter(|(_, node)| node.used)
            .map(|(index, node)| (node.id(index), node.state))
    }

    /// The same as [`nodes`](Self::nodes), of one node.
    pub fn node_stats(&self, node: NodeId) -> Option<NodeStats> {
        self.node(node)
            .map(|known| known.stats(node.index(), self.balancer.nodes()))
    }

    // ---- calls -------------------------------------------------------------------------------

    /// A call. It is sent at once where a node has credit and nobody waits before it.
    pub fn submit(&mut self, now: Time, ask: Ask, payload: T) -> Submitted<T> {
        self.stats.submitted += 1;
        if let Some(why) = self.refusal(now, &ask) {
            self.count(why);
            return Submitted::Refused(payload, why);
        }
        let mut node = self.pick_at_once(now, &ask);
        if node.is_none() && ask.beside {
            node = self.pick_beside(ask.only, ask.bytes);
        }
        if node.is_none() && self.waiting() >= self.limits.waiting_max {
            self.count(Why::QueueFull);
            return Submitted::Refused(payload, Why::QueueFull);
        }
        let taken = self.slots.take(payload, |slot| {
            slot.deadline = ask.deadline;
            slot.bytes = ask.bytes;
            slot.oneway = ask.oneway;
            slot.wait_for_ready = ask.wait_for_ready;
            slot.only = ask.only;
            slot.key = ask.key;
            slot.probe = false;
            slot.lasts = ask.lasts;
            slot.state = State::Rests;
        });
        let id = match taken {
            Ok(id) => id,
            Err(payload) => {
                self.count(Why::QueueFull);
                return Submitted::Refused(payload, Why::QueueFull);
            }
        };
        if ask.oneway {
            self.watch(id);
        }
        match node {
            Some(node) => Submitted::Send(self.send(now, id, node)),
            None => {
                let line = match ask.only {
                    _ if ask.beside => Line::Beside,
                    Some(only) => Line::Only(only.index),
                    None => Line::Fresh,
                };
                self.slots.enter(id, line);
                Submitted::Waits(id)
            }
        }
    }

    /// A node whose load the policy would like to know, although no call goes there: to be asked by
    /// [`ask`](Self::ask). Asked with each call, so that a pool without calls is left alone.
    #[inline]
    pub fn wonders(&mut self, now: Time) -> Option<NodeId> {
        if now < self.wonders_at || self.nodes.len() < 2 {
            return None;
        }
        self.wonders_now(now)
    }

    /// The next call that has waited and can be sent now.
    pub fn next_send(&mut self, now: Time) -> Option<Sending> {
        if let Some(sending) = self.next_beside(now) {
            return Some(sending);
        }
        let mut picky = self.slots.first(Line::Picky);
        for _ in 0..PICKY_LOOKS {
            let Some(id) = picky else { break };
            picky = self.slots.after(id);
            let Some(slot) = self.slots.get(id) else {
                break;
            };
            let (key, bytes, tried) = (slot.key, slot.bytes, slot.tried);
            if let Some(node) = self.pick(now, key, bytes, tried) {
                return Some(self.send(now, id, node));
            }
            if let Some(node) = self.left_over(bytes, tried) {
                return Some(self.send(now, id, node));
            }
            if self.is_round_over(tried) {
                self.rest(now, id, None);
                self.rested = true;
            }
        }
        // In turn, so that neither kind has to wait for the other to end.
        if self.only_went_last {
            self.next_fresh(now).or_else(|| self.next_only(now))
        } else {
            self.next_only(now).or_else(|| self.next_fresh(now))
        }
    }

    /// Whether [`next_send`](Self::next_send) has let calls rest since this was last asked: then
    /// [`next_due`](Self::next_due) is to be asked, too.
    pub fn take_rested(&mut self) -> bool {
        std::mem::take(&mut self.rested)
    }

    /// A call could not be handed to its connection: it was never sent, and is picked again.
    pub fn unsent(&mut self, now: Time, node: NodeId, id: CallId) -> ErrorThen<T> {
        let failure = Failure {
            ran: Ran::No,
            again: Again::Later,
            retry_after: None,
            verdict: Verdict::None,
        };
        self.error(now, node, id, failure, Answered::default())
    }

    /// A node replies. What the shell keeps with the call, unless it has been given up.
    pub fn reply(&mut self, now: Time, node: NodeId, id: CallId, answered: Answered) -> Option<T> {
        self.answered(now, node, id, answered, None)?;
        let payload = self.finish(now, id);
        match payload {
            Some(_) => self.stats.replied += 1,
            None => self.stats.late += 1,
        }
        payload
    }

    /// A node answers with an error.
    pub fn error(
        &mut self,
        now: Time,
        node: NodeId,
        id: CallId,
        failure: Failure,
        answered: Answered,
    ) -> ErrorThen<T> {
        if self
            .answered(now, node, id, answered, Some(failure.verdict))
            .is_none()
        {
            return ErrorThen::Late;
        }
        if failure.ran == Ran::No
            && failure.again == Again::Later
            && let Some(wish) = failure.retry_after
        {
            self.pause(now, node, wish);
        }
        if failure.ran == Ran::No
            && failure.again != Again::Never
            && self.pick_again(now, node, id, failure)
        {
            self.drop_if_idle(now, node);
            return ErrorThen::Again;
        }
        let payload = self.finish(now, id);
        match payload {
            Some(payload) => {
                self.stats.failed += 1;
                ErrorThen::Finished(payload)
            }
            None => {
                self.stats.late += 1;
                ErrorThen::Late
            }
        }
    }

    /// Its caller gives a call up. None if it has ended.
    pub fn cancel(&mut self, now: Time, id: CallId) -> Option<Ended<T>> {
        self.end(now, id, Why::Cancelled, true)
    }

    /// A call's deadline has passed. None if it has ended.
    pub fn expire(&mut self, now: Time, id: CallId) -> Option<Ended<T>> {
        self.end(now, id, Why::Expired, true)
    }

    /// Nobody waits for this call: the table ends it at its deadline.
    pub fn watch(&mut self, id: CallId) {
        let Some(slot) = self.slots.get_mut(id) else {
            return;
        };
        if !slot.watched && slot.payload.is_some() {
            slot.watched = true;
            let at = slot.deadline;
            if !planted!(DeadlineForgotten) {
                self.timers.arm(at, Timer::Deadline(id));
            }
        }
    }

    /// When [`Caller::due`] has something to do.
    pub fn next_due(&self) -> Option<Time> {
        self.timers.next()
    }

    /// Does what is due. Then ask [`Caller::next_send`] and [`Caller::next_ended`].
    pub fn due(&mut self, now: Time) {
        while let Some(timer) = self.timers.pop(now) {
            if !is_good(&self.slots, &timer) {
                self.timers.was_stale();
                continue;
            }
            match timer {
                Timer::Deadline(id) => {
                    if let Some(slot) = self.slots.get_mut(id) {
                        slot.watched = false;
                    }
                    if let Some(ended) = self.end(now, id, Why::Expired, true) {
                        self.ended.push_back(ended);
                    }
                }
                Timer::Again(id) => {
                    self.resting -= 1;
                    let mut line = Line::Picky;
                    if let Some(slot) = self.slots.get_mut(id) {
                        slot.tried = 0;
                        line = slot.only.map_or(line, |only| Line::Only(only.index));
                    }
                    self.slots.enter(id, line);
                }
                Timer::Resume(node) => self.resume(now, node),
                Timer::Wish(node) => self.wish_again(node),
            }
        }
        self.fail_fast();
    }

    /// The next call that ended by what happened to its node or by a timer.
    pub fn next_ended(&mut self) -> Option<Ended<T>> {
        self.ended.pop_front()
    }

    /// Whether there is neither an end to give out nor a call that waits to be sent.
    pub fn is_settled(&self) -> bool {
        self.ended.is_empty() && self.waiting() == self.resting && !self.has_wishes()
    }

    /// What the shell keeps with a call.
    pub fn payload(&mut self, id: CallId) -> Option<&mut T> {
        self.slots.get_mut(id)?.payload.as_mut()
    }

    /// What the shell keeps with a call that this node has under this identifier, for what comes
    /// before its end. None if it has ended, or been given up.
    pub fn in_flight(&self, node: NodeId, id: CallId) -> Option<&T> {
        let slot = self.slots.get(id)?;
        let here = slot.state == State::Sent
            && slot.node == node.index
            && slot.attempt == id.attempt()
            && self.node(node).is_some();
        slot.payload.as_ref().filter(|_| here)
    }

    /// No more calls. Those that were never sent end; the others are awaited.
    pub fn close(&mut self) {
        self.closed = true;
        let unsent = |id: &CallId| {
            let slot = self.slots.get(*id);
            slot.is_some_and(|slot| slot.state != State::Sent)
        };
        let unsent: Vec<CallId> = self.slots.ids().filter(unsent).collect();
        for id in unsent {
            if let Some(ended) = self.end_unsent(id, Why::Closed) {
                self.ended.push_back(ended);
            }
        }
    }

    /// The counts.
    pub fn stats(&self) -> CallerStats {
        CallerStats {
            replied: self.stats.replied - self.asked.replied,
            failed: self.stats.failed - self.asked.failed,
            late: self.stats.late - self.asked.late,
            probes: self.asked.all,
            held: self.slots.len() - self.asked.held,
            waiting: self.waiting(),
            given_up: self.given_up - self.asked.given_up,
            ..self.stats
        }
    }

    /// Timers in the table, stale ones among them.
    pub fn timers(&self) -> usize {
        self.timers.len()
    }
}

impl<T> std::fmt::Debug for Caller<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Caller")
            .field("nodes", &self.nodes)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
