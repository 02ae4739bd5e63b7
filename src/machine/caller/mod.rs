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
//! After each input the shell asks [`Caller::next_send`] and [`Caller::next_ended`] until both have
//! nothing more, and writes and wakes outside of its lock.
//!
//! # Invariants
//!
//! 1. A payload comes out once, whatever happens. (test `every_payload_comes_out_exactly_once`)
//! 2. A node never has more in flight than it granted. (test `a_node_never_has_more_than_its_credit`)
//! 3. A call is never sent again unless its last attempt did not run.
//!    (test `only_a_no_is_picked_again`)
//! 4. An answer to an earlier attempt ends nothing. (test `a_doubled_answer_ends_nothing`)
//!
//! # Not here
//!
//! Retries of what may have run, hedging and breakers; how a policy weighs nodes ([`Picker`]).

mod nodes;
mod picker;
mod slots;
#[cfg(test)]
mod tests;
mod timers;

use std::collections::VecDeque;
use std::time::Duration;

pub use nodes::{NodeId, NodeState, NodeStats};
pub use picker::{Picker, Smooth};
pub use slots::CallId;

use super::Ran;
use super::credit::Credit;
use super::load::Load;
use super::time::Time;
use nodes::Node;
use slots::{Line, Slots, State};
use timers::{Timer, Timers};

/// How many of those that some nodes have turned away are looked at for each send.
const PICKY_LOOKS: usize = 8;

/// What the calling end may hold, and how patient it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallerLimits {
    /// Calls that may wait for credit. Default 65,536.
    pub waiting_max: usize,
    /// The largest window believed, whatever a node grants. Default 16,384 calls, 1 GiB.
    pub window_max: Credit,
    /// How often a call may be picked again. Default 64, at most 250.
    pub repicks_max: u8,
    /// The first rest of a call that every node has turned away. Default 1 ms; doubles.
    pub rest: Duration,
    /// The longest rest, unless a node asks for more. Default 100 ms.
    pub rest_max: Duration,
}

impl Default for CallerLimits {
    fn default() -> CallerLimits {
        CallerLimits {
            waiting_max: 65_536,
            window_max: Credit::new(16_384, 1 << 30),
            repicks_max: 64,
            rest: Duration::from_millis(1),
            rest_max: Duration::from_millis(100),
        }
    }
}

/// What a call asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// When it is of no more use.
    pub deadline: Time,
    /// The size of its body and blobs.
    pub bytes: u64,
    /// Nobody waits for its answer. It is answered all the same, for the credit, and is watched.
    pub oneway: bool,
    /// Wait while no node is there and none is being connected to. Otherwise it fails fast.
    pub wait_for_ready: bool,
}

/// What becomes of a call that is submitted.
#[derive(Debug, PartialEq, Eq)]
pub enum Submitted<T> {
    /// It is to be sent now.
    Send(Sending),
    /// It waits for credit, or for a node.
    Waits(CallId),
    /// It has ended, never sent.
    Refused(T, Why),
}

/// A call that is to be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sending {
    /// Where to.
    pub node: NodeId,
    /// Under which identifier.
    pub id: CallId,
    /// Whether the window is used up with it: to be told, so that the window grows.
    pub used_up: bool,
}

/// Why a call ended without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Why {
    /// Its deadline passed.
    Expired,
    /// It was cancelled.
    Cancelled,
    /// No node was there, and it was not to wait for one.
    Unavailable,
    /// Too many calls wait already.
    QueueFull,
    /// The node that had it was lost.
    Lost,
    /// The pool is closed.
    Closed,
}

/// A call that ended without an answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended<T> {
    /// The identifier of its last attempt.
    pub id: CallId,
    /// What the shell keeps with it.
    pub payload: T,
    /// Why.
    pub why: Why,
    /// Whether it has run. `Yes` never stands here.
    pub ran: Ran,
    /// The node that had it.
    pub node: Option<NodeId>,
    /// Whether that node is to be told by a cancel.
    pub tell: bool,
}

/// Whether a call that was answered `No` may do better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Again {
    /// The call itself is at fault: no node would run it.
    Never,
    /// Other nodes may know better than this one, once each, as for an unknown method.
    Elsewhere,
    /// Other nodes now, and this one later, as for a full queue.
    Later,
}

impl Again {
    /// By the number of a status code.
    pub const fn of_code(code: u8) -> Again {
        match code {
            // RESOURCE_EXHAUSTED, ABORTED, UNAVAILABLE.
            8 | 10 | 14 => Again::Later,
            // UNIMPLEMENTED.
            12 => Again::Elsewhere,
            _ => Again::Never,
        }
    }
}

/// An error that answers a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// Whether the call ran.
    pub ran: Ran,
    /// If not, whether to try again.
    pub again: Again,
    /// How long the node wishes to be left alone.
    pub retry_after: Option<Duration>,
}

/// What rides on an answer, of either kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Answered {
    /// The node's load.
    pub load: Option<Load>,
    /// The window that it grants from now on.
    pub credit: Option<Credit>,
}

/// What an error does to its call.
#[derive(Debug, PartialEq, Eq)]
pub enum ErrorThen<T> {
    /// The call ends with this error.
    Finished(T),
    /// The call did not run and is picked again: see [`Caller::next_send`].
    Again,
    /// Its caller has given it up, or it is not known. Counted.
    Late,
}

/// What has come of calls. What was submitted is the sum of the ends, and of `held`, less those
/// given up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct CallerStats {
    /// Calls submitted.
    pub submitted: u64,
    /// Times a call was sent.
    pub sent: u64,
    /// Ended by a reply.
    pub replied: u64,
    /// Ended by an error that a node answered.
    pub failed: u64,
    /// Ended by their deadline.
    pub expired: u64,
    /// Ended by being cancelled.
    pub cancelled: u64,
    /// Ended because no node was there.
    pub unavailable: u64,
    /// Refused because too many waited.
    pub queue_full: u64,
    /// Ended because their node was lost.
    pub lost: u64,
    /// Ended because the pool was closed.
    pub closed: u64,
    /// Times that a call was picked again.
    pub repicked: u64,
    /// Answers to calls that had been given up.
    pub late: u64,
    /// Answers to no call that is known, or from a node that was not asked.
    pub unknown: u64,
    /// Calls held now: waiting, resting, in flight, or given up and not yet answered.
    pub held: usize,
    /// Of those, calls that wait or rest.
    pub waiting: usize,
    /// Of those, calls given up and not yet answered.
    pub given_up: usize,
}

/// The calling end. `T` is what the shell keeps with each call.
pub struct Caller<T> {
    limits: CallerLimits,
    slots: Slots<T>,
    nodes: Vec<Node>,
    picker: Box<dyn Picker>,
    timers: Timers,
    ended: VecDeque<Ended<T>>,
    /// Nodes that are up or being connected to.
    hopes: usize,
    resting: usize,
    given_up: usize,
    closed: bool,
    stats: CallerStats,
}

impl<T> Caller<T> {
    /// An empty pool.
    pub fn new(limits: CallerLimits, picker: Box<dyn Picker>) -> Caller<T> {
        Caller {
            limits,
            slots: Slots::new(),
            nodes: Vec::new(),
            picker,
            timers: Timers::default(),
            ended: VecDeque::new(),
            hopes: 0,
            resting: 0,
            given_up: 0,
            closed: false,
            stats: CallerStats::default(),
        }
    }

    // ---- nodes -------------------------------------------------------------------------------

    /// A node joins the pool. It takes no calls before its welcome.
    pub fn add_node(&mut self, weight: u32) -> NodeId {
        self.add(weight, None)
    }

    /// Something behind a device joins: no session, and a window of this end's own choice. It takes
    /// calls once it is connected.
    pub fn add_sessionless(&mut self, weight: u32, window: Credit) -> NodeId {
        self.add(weight, Some(window.at_most(self.limits.window_max)))
    }

    /// A connection is made. A node with sessions is to be sent a hello; another is up.
    pub fn connected(&mut self, node: NodeId) {
        let Some(known) = self.node_mut(node) else {
            return;
        };
        if let Some(window) = known.fixed {
            known.credit = window;
            self.set_state(node, NodeState::Up);
        } else if known.state == NodeState::Failed {
            self.set_state(node, NodeState::Connecting);
        }
    }

    /// A node welcomes this caller.
    pub fn welcome(&mut self, node: NodeId, credit: Credit) {
        let max = self.limits.window_max;
        let Some(known) = self.node_mut(node) else {
            return;
        };
        if matches!(known.state, NodeState::Connecting | NodeState::Failed) {
            if !planted!(WelcomeIgnored) || known.credit.calls == 0 {
                known.credit = credit.at_most(max);
            }
            self.set_state(node, NodeState::Up);
        }
    }

    /// A node grants another window.
    pub fn credit(&mut self, node: NodeId, credit: Credit) {
        let max = self.limits.window_max;
        if let Some(known) = self.node_mut(node)
            && known.fixed.is_none()
        {
            known.credit = credit.at_most(max);
        }
    }

    /// A node says bye. Whether that is to be answered by a bye.
    pub fn bye(&mut self, node: NodeId) -> bool {
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
        self.set_state(node, NodeState::Draining);
        self.fail_fast();
        true
    }

    /// An attempt to connect failed, or the hello was refused; more attempts follow.
    pub fn failed_to_connect(&mut self, node: NodeId) {
        self.set_state(node, NodeState::Failed);
        self.fail_fast();
    }

    /// The connection is lost; another attempt is made. What was in flight ends as `Maybe`: see
    /// [`Caller::next_ended`].
    pub fn lost(&mut self, node: NodeId) {
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
            if let Some(ended) = self.end(id, Why::Lost, false) {
                self.ended.push_back(ended);
            }
            if let Some(known) = self.node_mut(node) {
                known.lost += 1;
            }
        }
        if leaving {
            self.drop_node(node);
            return;
        }
        self.set_state(node, NodeState::Connecting);
        self.fail_fast();
    }

    /// Takes a node out of the pool: no more calls for it. True if it has none in flight and is
    /// gone; otherwise it is after its last answer, or when it is lost.
    pub fn remove_node(&mut self, node: NodeId) -> bool {
        let Some(known) = self.node(node) else {
            return true;
        };
        if known.flight.calls == 0 {
            self.drop_node(node);
            self.fail_fast();
            return true;
        }
        self.set_state(node, NodeState::Leaving);
        self.fail_fast();
        false
    }

    /// What the picker and the credit know of each node.
    pub fn nodes(&self) -> impl Iterator<Item = NodeStats> + '_ {
        let nodes = self.nodes.iter().enumerate();
        nodes
            .filter(|(_, node)| node.used)
            .map(|(index, node)| node.stats(index))
    }

    /// The same, of one node.
    pub fn node_stats(&self, node: NodeId) -> Option<NodeStats> {
        self.node(node)
            .map(|known| known.stats(node.index as usize))
    }

    // ---- calls -------------------------------------------------------------------------------

    /// A call. It is sent at once where a node has credit and nobody waits before it.
    pub fn submit(&mut self, now: Time, ask: Ask, payload: T) -> Submitted<T> {
        self.stats.submitted += 1;
        if let Some(why) = self.refusal(now, &ask) {
            self.count(why);
            return Submitted::Refused(payload, why);
        }
        let node = match self.slots.waiting(Line::Fresh) {
            0 => self.pick(ask.bytes, 0),
            _ => None,
        };
        if node.is_none() && self.waiting() >= self.limits.waiting_max {
            self.count(Why::QueueFull);
            return Submitted::Refused(payload, Why::QueueFull);
        }
        let taken = self.slots.take(payload, |slot| {
            slot.deadline = ask.deadline;
            slot.bytes = ask.bytes;
            slot.oneway = ask.oneway;
            slot.wait_for_ready = ask.wait_for_ready;
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
                self.slots.enter(id, Line::Fresh);
                Submitted::Waits(id)
            }
        }
    }

    /// The next call that has waited and can be sent now.
    pub fn next_send(&mut self, now: Time) -> Option<Sending> {
        let mut picky = self.slots.first(Line::Picky);
        for _ in 0..PICKY_LOOKS {
            let Some(id) = picky else { break };
            picky = self.slots.after(id);
            let Some(slot) = self.slots.get(id) else {
                break;
            };
            let (bytes, tried) = (slot.bytes, slot.tried);
            if let Some(node) = self.pick(bytes, tried) {
                return Some(self.send(now, id, node));
            }
            if self.is_round_over(tried) {
                self.rest(now, id, None);
            }
        }
        let id = self.slots.first(Line::Fresh)?;
        let bytes = self.slots.get(id)?.bytes;
        let node = self.pick(bytes, 0)?;
        Some(self.send(now, id, node))
    }

    /// A call could not be handed to its connection: it was never sent, and is picked again.
    pub fn unsent(&mut self, now: Time, node: NodeId, id: CallId) -> ErrorThen<T> {
        let failure = Failure {
            ran: Ran::No,
            again: Again::Later,
            retry_after: None,
        };
        self.error(now, node, id, failure, Answered::default())
    }

    /// A node replies. What the shell keeps with the call, unless it has been given up.
    pub fn reply(&mut self, now: Time, node: NodeId, id: CallId, answered: Answered) -> Option<T> {
        self.answered(now, node, id, answered, true)?;
        let payload = self.finish(id);
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
        if self.answered(now, node, id, answered, false).is_none() {
            return ErrorThen::Late;
        }
        if failure.ran == Ran::No
            && failure.again != Again::Never
            && self.pick_again(now, node, id, failure)
        {
            self.drop_if_idle(node);
            return ErrorThen::Again;
        }
        let payload = self.finish(id);
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
    pub fn cancel(&mut self, id: CallId) -> Option<Ended<T>> {
        self.end(id, Why::Cancelled, true)
    }

    /// A call's deadline has passed. None if it has ended.
    pub fn expire(&mut self, id: CallId) -> Option<Ended<T>> {
        self.end(id, Why::Expired, true)
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
                    if let Some(ended) = self.end(id, Why::Expired, true) {
                        self.ended.push_back(ended);
                    }
                }
                Timer::Again(id) => {
                    self.resting -= 1;
                    if let Some(slot) = self.slots.get_mut(id) {
                        slot.tried = 0;
                    }
                    self.slots.enter(id, Line::Picky);
                }
            }
        }
        self.fail_fast();
    }

    /// The next call that ended by what happened to its node or by a timer.
    pub fn next_ended(&mut self) -> Option<Ended<T>> {
        self.ended.pop_front()
    }

    /// What the shell keeps with a call.
    pub fn payload(&mut self, id: CallId) -> Option<&mut T> {
        self.slots.get_mut(id)?.payload.as_mut()
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
            if let Some(ended) = self.end(id, Why::Closed, true) {
                self.ended.push_back(ended);
            }
        }
    }

    /// The counts.
    pub fn stats(&self) -> CallerStats {
        CallerStats {
            held: self.slots.len(),
            waiting: self.waiting(),
            given_up: self.given_up,
            ..self.stats
        }
    }

    /// Timers in the table, stale ones among them.
    pub fn timers(&self) -> usize {
        self.timers.len()
    }

    // ---- inside ------------------------------------------------------------------------------

    /// What the mistake of this name does: nobody knows whether the call has run.
    #[cfg(planted)]
    fn send_lost_again(&mut self, id: CallId) -> bool {
        let Some(slot) = self.slots.get_mut(id) else {
            return false;
        };
        if slot.payload.is_none() || slot.attempt > 100 {
            return false;
        }
        slot.attempt += 1;
        let (bytes, node) = (slot.bytes, slot.node as usize);
        if let Some(node) = self.nodes.get_mut(node) {
            node.flight.take(bytes);
        }
        let id = self.slots.current(id);
        self.slots.enter(id, Line::Picky);
        true
    }

    fn refusal(&self, now: Time, ask: &Ask) -> Option<Why> {
        if self.closed {
            Some(Why::Closed)
        } else if ask.deadline <= now {
            Some(Why::Expired)
        } else if self.hopes == 0 && !ask.wait_for_ready {
            Some(Why::Unavailable)
        } else {
            None
        }
    }

    fn waiting(&self) -> usize {
        self.slots.waiting(Line::Fresh) + self.slots.waiting(Line::Picky) + self.resting
    }

    /// A node that is up and has credit, and is not among those tried.
    fn pick(&mut self, bytes: u64, tried: u64) -> Option<usize> {
        let nodes = &self.nodes;
        let mut able = |index: usize| {
            let node = nodes.get(index);
            tried & bit(index) == 0 && node.is_some_and(|node| node.takes(bytes))
        };
        match nodes.len() {
            // Whatever the policy: there is nothing to choose.
            1 => able(0).then_some(0),
            _ => self.picker.pick(&mut able),
        }
    }

    fn is_another_up(&self, tried: u64) -> bool {
        let mut nodes = self.nodes.iter().enumerate();
        nodes.any(|(index, node)| {
            node.used && node.state == NodeState::Up && tried & bit(index) == 0
        })
    }

    /// Whether nodes are up, and all of them have turned the call away.
    fn is_round_over(&self, tried: u64) -> bool {
        self.is_another_up(0) && !self.is_another_up(tried)
    }

    fn send(&mut self, now: Time, id: CallId, index: usize) -> Sending {
        self.slots.leave(id);
        let waiting = self.waiting() > 0;
        let mut sending = Sending {
            node: NodeId {
                index: index as u32,
                generation: 0,
            },
            id,
            used_up: waiting,
        };
        let Some(node) = self.nodes.get_mut(index) else {
            return sending;
        };
        let Some(slot) = self.slots.get_mut(id) else {
            return sending;
        };
        slot.state = State::Sent;
        slot.node = index as u32;
        slot.sent_at = now;
        node.flight.add(slot.bytes);
        node.sent += 1;
        self.stats.sent += 1;
        sending.node.generation = node.generation;
        sending.used_up |= node.is_used_up();
        sending
    }

    /// Takes note of an answer. None if it is no answer to a call in flight at this node.
    fn answered(
        &mut self,
        now: Time,
        node: NodeId,
        id: CallId,
        answered: Answered,
        replied: bool,
    ) -> Option<()> {
        let max = self.limits.window_max;
        let known = self.nodes.get_mut(node.index as usize);
        let known = known.filter(|known| known.used && known.generation == node.generation);
        let Some(known) = known else {
            self.stats.unknown += 1;
            return None;
        };
        if let Some(credit) = answered.credit
            && known.fixed.is_none()
        {
            known.credit = credit.at_most(max);
        }
        let slot = self.slots.get(id).filter(|slot| {
            slot.state == State::Sent
                && slot.node == node.index
                && (slot.attempt == id.attempt() || planted!(EarlierAttemptAnswers))
        });
        let Some(slot) = slot else {
            self.stats.unknown += 1;
            return None;
        };
        let took = now.since(slot.sent_at);
        known.load = answered.load.or(known.load);
        if !planted!(CreditLeaksOnAnswer) {
            known.flight.take(slot.bytes);
        }
        let index = node.index as usize;
        if replied {
            known.answered += 1;
            known.took(took);
            self.picker.replied(index, answered.load.as_ref(), took);
        } else {
            known.errors += 1;
            self.picker.failed(index, answered.load.as_ref());
        }
        Some(())
    }

    /// Frees the slot of a call that is answered.
    fn finish(&mut self, id: CallId) -> Option<T> {
        let slot = self.slots.get(id)?;
        let (node, watched) = (slot.node, slot.watched);
        let payload = self.slots.free(id);
        if payload.is_none() {
            self.given_up -= 1;
        }
        if watched {
            let slots = &self.slots;
            self.timers.disarm(|timer| is_good(slots, timer));
        }
        if let Some(known) = self.nodes.get(node as usize)
            && known.state == NodeState::Leaving
        {
            self.drop_if_idle(NodeId {
                index: node,
                generation: known.generation,
            });
        }
        payload
    }

    /// Picks a call again that did not run. False if it is to end.
    fn pick_again(&mut self, now: Time, node: NodeId, id: CallId, failure: Failure) -> bool {
        let max = self.limits.repicks_max.min(250);
        let hopeless = self.hopes == 0;
        let closed = self.closed;
        let Some(slot) = self.slots.get_mut(id) else {
            return false;
        };
        if slot.payload.is_none()
            || closed
            || slot.deadline <= now
            || slot.attempt >= max
            || (hopeless && !slot.wait_for_ready)
        {
            return false;
        }
        let tried = slot.tried | bit(node.index as usize);
        if failure.again == Again::Elsewhere && !self.is_another_up(tried) {
            return false;
        }
        let Some(slot) = self.slots.get_mut(id) else {
            return false;
        };
        slot.tried = tried;
        slot.attempt += 1;
        self.stats.repicked += 1;
        let id = self.slots.current(id);
        if self.is_round_over(tried) {
            self.rest(now, id, failure.retry_after);
        } else {
            self.slots.enter(id, Line::Picky);
        }
        true
    }

    /// Every node has turned a call away: it rests before the next round.
    fn rest(&mut self, now: Time, id: CallId, wish: Option<Duration>) {
        self.slots.leave(id);
        let Some(slot) = self.slots.get_mut(id) else {
            return;
        };
        let doubled = self.limits.rest.saturating_mul(1 << slot.rounds.min(16));
        let rest = doubled
            .min(self.limits.rest_max)
            .max(wish.unwrap_or_default());
        slot.rounds = slot.rounds.saturating_add(1);
        slot.state = State::Rests;
        self.resting += 1;
        if !planted!(RestNeverEnds) {
            self.timers.arm(now.after(rest), Timer::Again(id));
        }
    }

    /// Ends a call without an answer. `tell`: its node, if it is still there, is told.
    fn end(&mut self, id: CallId, why: Why, tell: bool) -> Option<Ended<T>> {
        let id = self.slots.current(id);
        let slot = self.slots.get(id)?;
        let (state, bytes, watched) = (slot.state, slot.bytes, slot.watched);
        let at = slot.node;
        let sent = state == State::Sent;
        let stays = sent
            && tell
            && !planted!(GivenUpFreesCredit)
            && self
                .nodes
                .get(at as usize)
                .is_some_and(|node| node.fixed.is_none());
        if watched {
            if let Some(slot) = self.slots.get_mut(id) {
                slot.watched = false;
            }
            let slots = &self.slots;
            self.timers.disarm(|timer| is_good(slots, timer));
        }
        let payload = if stays {
            // The replier still has it, and counts it: so does this end.
            let payload = self.slots.get_mut(id)?.payload.take();
            self.given_up += usize::from(payload.is_some());
            payload
        } else {
            if state == State::Rests {
                self.resting -= 1;
            }
            if sent && let Some(node) = self.nodes.get_mut(at as usize) {
                node.flight.take(bytes);
            }
            let payload = self.slots.free(id);
            if state == State::Rests {
                let slots = &self.slots;
                self.timers.disarm(|timer| is_good(slots, timer));
            }
            self.given_up -= usize::from(payload.is_none());
            payload
        };
        let payload = payload?;
        self.count(why);
        let node = self.nodes.get(at as usize).filter(|_| sent);
        let node = node.map(|node| NodeId {
            index: at,
            generation: node.generation,
        });
        Some(Ended {
            id,
            payload,
            why,
            ran: if sent && !planted!(LostSaysNo) {
                Ran::Maybe
            } else {
                Ran::No
            },
            tell: tell && node.is_some(),
            node,
        })
    }

    /// Without hope of a node, calls that are not to wait for one end.
    fn fail_fast(&mut self) {
        if self.hopes > 0 || self.waiting() == self.resting {
            return;
        }
        let hasty = |id: &CallId| {
            let slot = self.slots.get(*id);
            slot.is_some_and(|slot| matches!(slot.state, State::Waits(_)) && !slot.wait_for_ready)
        };
        let hasty: Vec<CallId> = self.slots.ids().filter(hasty).collect();
        for id in hasty {
            if let Some(ended) = self.end(id, Why::Unavailable, false) {
                self.ended.push_back(ended);
            }
        }
    }

    fn count(&mut self, why: Why) {
        match why {
            Why::Expired => self.stats.expired += 1,
            Why::Cancelled => self.stats.cancelled += 1,
            Why::Unavailable => self.stats.unavailable += 1,
            Why::QueueFull => self.stats.queue_full += 1,
            Why::Lost => self.stats.lost += 1,
            Why::Closed => self.stats.closed += 1,
        }
    }

    fn add(&mut self, weight: u32, fixed: Option<Credit>) -> NodeId {
        let free = self.nodes.iter().position(|node| !node.used);
        let generation = free.and_then(|index| self.nodes.get(index));
        let generation = generation.map_or(0, |node| node.generation.wrapping_add(1));
        let node = Node {
            generation,
            used: true,
            state: NodeState::Connecting,
            weight,
            fixed,
            credit: Credit::default(),
            flight: Credit::default(),
            sent: 0,
            answered: 0,
            errors: 0,
            lost: 0,
            load: None,
            latency: 0,
        };
        let index = free.unwrap_or(self.nodes.len());
        match self.nodes.get_mut(index) {
            Some(place) => *place = node,
            None => self.nodes.push(node),
        }
        self.hopes += 1;
        self.picker.add(index, weight);
        NodeId {
            index: index as u32,
            generation,
        }
    }

    fn node(&self, node: NodeId) -> Option<&Node> {
        let known = self.nodes.get(node.index as usize)?;
        (known.used && known.generation == node.generation).then_some(known)
    }

    fn node_mut(&mut self, node: NodeId) -> Option<&mut Node> {
        let known = self.nodes.get_mut(node.index as usize)?;
        (known.used && known.generation == node.generation).then_some(known)
    }

    fn set_state(&mut self, node: NodeId, state: NodeState) {
        let hope = |state| matches!(state, NodeState::Connecting | NodeState::Up);
        let Some(known) = self.node_mut(node) else {
            return;
        };
        let (before, after) = (known.state, state);
        if before == NodeState::Leaving {
            return;
        }
        known.state = state;
        if state != NodeState::Up && !planted!(WelcomeIgnored) {
            known.credit = Credit::default();
        }
        self.hopes -= usize::from(hope(before));
        self.hopes += usize::from(hope(after));
    }

    fn drop_if_idle(&mut self, node: NodeId) {
        let idle = |node: &Node| node.state == NodeState::Leaving && node.flight.calls == 0;
        if self.node(node).is_some_and(idle) {
            self.drop_node(node);
        }
    }

    fn drop_node(&mut self, node: NodeId) {
        self.set_state(node, NodeState::Leaving);
        if let Some(known) = self.node_mut(node) {
            known.used = false;
            self.picker.remove(node.index as usize);
        }
    }
}

/// Nodes beyond the 64th share bits: one may be passed over for another's sake, until the round is
/// over.
fn bit(index: usize) -> u64 {
    1 << (index % 64)
}

fn is_good<T>(slots: &Slots<T>, timer: &Timer) -> bool {
    match timer {
        Timer::Deadline(id) => slots.get(*id).is_some_and(|slot| slot.watched),
        Timer::Again(id) => slots
            .get(*id)
            .is_some_and(|slot| slot.state == State::Rests && slot.attempt == id.attempt()),
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
