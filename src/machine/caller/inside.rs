//! What the calling end does inside: picking, sending, ending, and the counts of each.

use std::time::Duration;

use brokerless_patterns::balance::Facts;

use super::belief;
use super::nodes::Node;
use super::probes::Curiosity;
use super::slots::{Line, Slots, State};
use super::timers::Timer;
use super::{
    Again, Answered, Ask, CallId, Caller, Ended, Failure, NodeId, NodeState, Sending, Verdict, Why,
};
use crate::machine::Ran;
use crate::machine::credit::Credit;
use crate::machine::time::{Time, nanos};

/// Room for a probe.
const PROBE_BYTES: u64 = 64;

impl<T> Caller<T> {
    /// What the mistake of this name does: nobody knows whether the call has run.
    #[cfg(planted)]
    pub(super) fn send_lost_again(&mut self, id: CallId) -> bool {
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

    pub(super) fn refusal(&self, now: Time, ask: &Ask) -> Option<Why> {
        if self.closed {
            Some(Why::Closed)
        } else if ask.deadline <= now {
            Some(Why::Expired)
        } else if let Some(only) = ask.only {
            let state = self.node(only).map(|node| node.state);
            let there = state.is_some_and(|state| waits_for(state, ask.wait_for_ready));
            (!there).then_some(Why::Unavailable)
        } else if self.hopes == 0 && !ask.wait_for_ready {
            Some(Why::Unavailable)
        } else {
            None
        }
    }

    /// The node that a call may be sent to at once: nobody waits before it.
    pub(super) fn pick_at_once(&mut self, now: Time, ask: &Ask) -> Option<usize> {
        match ask.only {
            Some(only) if self.slots.waiting(Line::Only(only.index)) == 0 => {
                let node = self.node(only)?;
                node.takes(ask.bytes).then_some(only.index as usize)
            }
            None if self.slots.waiting(Line::Fresh) == 0 => self.pick(now, ask.key, ask.bytes, 0),
            _ => None,
        }
    }

    /// The next of those that any node may take.
    pub(super) fn next_fresh(&mut self, now: Time) -> Option<Sending> {
        let id = self.slots.first(Line::Fresh)?;
        let slot = self.slots.get(id)?;
        let (key, bytes) = (slot.key, slot.bytes);
        let node = self.pick(now, key, bytes, 0)?;
        self.only_went_last = false;
        Some(self.send(now, id, node))
    }

    /// The next of those that may go to one node and no other.
    pub(super) fn next_only(&mut self, now: Time) -> Option<Sending> {
        if self.slots.waiting_for_one() == 0 {
            return None;
        }
        let slots = &self.slots;
        let found = self.nodes.iter().enumerate().find_map(|(index, node)| {
            let id = slots.first(Line::Only(index as u32))?;
            let bytes = slots.get(id)?.bytes;
            node.takes(bytes).then_some((id, index))
        });
        let (id, index) = match found {
            Some(found) => found,
            #[cfg(planted)]
            None if planted!(OnlyGoesElsewhere) => {
                let waits = |index: &usize| self.slots.first(Line::Only(*index as u32));
                let id = (0..self.nodes.len()).find_map(|index| waits(&index))?;
                let bytes = self.slots.get(id)?.bytes;
                (id, self.pick(now, None, bytes, 0)?)
            }
            None => return None,
        };
        self.only_went_last = true;
        Some(self.send(now, id, index))
    }

    /// Calls that wait for this node and no other end, where it is not there to be waited for.
    pub(super) fn fail_only(&mut self, node: NodeId) {
        if self.waiting() == 0 || planted!(OnlyWaitsForEver) {
            return;
        }
        let state = self.node(node).map(|node| node.state);
        let hopeless = |id: &CallId| {
            let Some(slot) = self.slots.get(*id) else {
                return false;
            };
            slot.only == Some(node)
                && matches!(slot.state, State::Waits(_) | State::Rests)
                && !(slot.wait_for_ready && state.is_some_and(|state| state != NodeState::Leaving))
        };
        let hopeless: Vec<CallId> = self.slots.ids().filter(hopeless).collect();
        for id in hopeless {
            if let Some(ended) = self.end_unsent(id, Why::Unavailable) {
                self.ended.push_back(ended);
            }
        }
    }

    pub(super) fn waiting(&self) -> usize {
        self.slots.waiting_in_all() + self.resting
    }

    #[cold]
    pub(super) fn wonders_now(&mut self, now: Time) -> Option<NodeId> {
        let every = nanos(self.limits.probe_every);
        // Spread over a fifth of the time, so that callers that began together do not ask together.
        let spread = now.as_nanos().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let wait = every - every / 10 + (every / 5) / 1000 * (spread % 1000);
        let is_first = self.wonders_at == Time::ZERO;
        self.wonders_at = now.after(Duration::from_nanos(wait));
        if is_first {
            return None;
        }
        let nodes = &self.nodes;
        let able = |index: usize| {
            let node = nodes.get(index);
            node.is_some_and(|node| node.can_be_asked(now, PROBE_BYTES))
        };
        let index = self.balancer.wonders(now.as_nanos(), &able)?;
        let node = self.nodes.get(index).filter(|_| able(index))?;
        Some(NodeId {
            index: index as u32,
            generation: node.generation,
        })
    }

    /// A node that is up and has credit, and is not among those tried.
    pub(super) fn pick(
        &mut self,
        now: Time,
        key: Option<u64>,
        bytes: u64,
        tried: u64,
    ) -> Option<usize> {
        if now >= self.judges_at {
            self.judge(now);
        }
        let nodes = &self.nodes;
        let able = |index: usize| {
            let node = nodes.get(index);
            tried & bit(index) == 0 && node.is_some_and(|node| node.weight > 0 && node.takes(bytes))
        };
        match nodes.len() {
            // Whatever the policy: there is nothing to choose.
            1 => able(0).then_some(0),
            // A policy of the program's own may say anything.
            _ => {
                let picked = self.balancer.pick(now.as_nanos(), key, &able);
                picked.filter(|index| able(*index))
            }
        }
    }

    /// Looks who is late with a sign of life.
    #[cold]
    fn judge(&mut self, now: Time) {
        self.judges_at = Time::NEVER;
        for (index, node) in self.nodes.iter_mut().enumerate() {
            match node.asked {
                Some(by) if by > now => self.judges_at = self.judges_at.min(by),
                Some(_) if node.used => self.balancer.set_silent(index, true),
                _ => {}
            }
        }
    }

    /// Whether one is up that has not been tried; one that is silent is not, beside others.
    pub(super) fn is_another_up(&self, tried: u64) -> bool {
        let mut nodes = self.nodes.iter().enumerate();
        nodes.any(|(index, node)| {
            node.used
                && self.balancer.nodes().is_up(index)
                && node.weight > 0
                && tried & bit(index) == 0
        })
    }

    /// Whether there is more than one node that calls may go to, now or later.
    fn is_one_of_many(&self) -> bool {
        let hopes = |node: &&Node| node.used && node.weight > 0;
        self.nodes.iter().filter(hopes).nth(1).is_some()
    }

    /// A node for a call that others have turned away, where the policy, which has just picked none,
    /// keeps to those: what was never begun goes elsewhere all the same.
    pub(super) fn left_over(&self, bytes: u64, tried: u64) -> Option<usize> {
        let mut nodes = self.nodes.iter().enumerate();
        let able = |(index, node): &(usize, &Node)| {
            node.weight > 0
                && tried & bit(*index) == 0
                && node.takes(bytes)
                && self.balancer.nodes().is_up(*index)
        };
        let found = nodes.find(able).filter(|_| tried != 0);
        found.map(|(index, _)| index)
    }

    /// Whether nodes are up, and all of them have turned the call away.
    pub(super) fn is_round_over(&self, tried: u64) -> bool {
        self.is_another_up(0) && !self.is_another_up(tried)
    }

    pub(super) fn send(&mut self, now: Time, id: CallId, index: usize) -> Sending {
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
        self.balancer.sent(now.as_nanos(), index);
        if slot.lasts {
            self.balancer.lasts(index);
        }
        sending.node.generation = node.generation;
        sending.used_up |= node.is_used_up();
        sending
    }

    /// Takes note of an answer, an error or not. None if it is no answer to a call in flight at this
    /// node.
    pub(super) fn answered(
        &mut self,
        now: Time,
        node: NodeId,
        id: CallId,
        answered: Answered,
        error: Option<Verdict>,
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
        if !planted!(CreditLeaksOnAnswer) {
            known.flight.take(slot.bytes);
        }
        known.errors += u64::from(error.is_some());
        known.answered += u64::from(error.is_none());
        let (index, at) = (node.index(), now.as_nanos());
        let load = answered.load.map(|told| {
            let before = self.balancer.nodes().report(index);
            let believed = belief::believed(at, before, told);
            known.doubted += u64::from(believed != told);
            believed
        });
        let load = load.as_ref();
        if slot.lasts {
            self.balancer.lasted(index);
        }
        // How fast a question is answered says nothing of calls, nor when a stream ends, unless with
        // an error of the node.
        let error = if slot.probe {
            known.errors -= u64::from(error.is_some());
            known.answered -= u64::from(error.is_none());
            known.curiosity.answered(now, load.is_some());
            let asked = &mut self.asked;
            asked.held -= 1;
            match (&slot.payload, error) {
                (None, _) => {
                    asked.late += 1;
                    asked.given_up -= 1;
                }
                (Some(_), None) => asked.replied += 1,
                (Some(_), Some(_)) => asked.failed += 1,
            }
            Some(Verdict::None)
        } else if slot.lasts && matches!(error, None | Some(Verdict::Well)) {
            Some(Verdict::None)
        } else {
            error
        };
        match error {
            None => {
                known.took(took);
                self.balancer.replied(at, index, took, load);
            }
            Some(verdict) => {
                match verdict {
                    // One that comes faster than answers do says nothing of the node's speed.
                    Verdict::Well => {
                        let took = took.max(Duration::from_nanos(known.latency));
                        self.balancer.replied(at, index, took, load);
                    }
                    Verdict::Unwell => self.balancer.failed(at, index, took, load),
                    Verdict::None => {
                        self.balancer.lapsed(at, index);
                        if let Some(load) = load {
                            self.balancer.reported(at, index, *load);
                        }
                    }
                }
            }
        }
        Some(())
    }

    /// Frees the slot of a call that is answered.
    pub(super) fn finish(&mut self, now: Time, id: CallId) -> Option<T> {
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
        self.drop_if_idle_at(now, node);
        payload
    }

    /// Picks a call again that did not run. False if it is to end.
    pub(super) fn pick_again(
        &mut self,
        now: Time,
        node: NodeId,
        id: CallId,
        failure: Failure,
    ) -> bool {
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
        if let Some(only) = slot.only {
            // Whoever chose the node decides what else may be done: unless it waits for that one.
            if !slot.wait_for_ready || failure.again != Again::Later {
                return false;
            }
            slot.attempt += 1;
            self.stats.repicked += 1;
            let id = self.slots.current(id);
            self.rest(now, id, failure.retry_after);
            self.fail_only(only);
            return true;
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
            // What one node wishes is not what others do: they may have room before.
            let most = match self.is_one_of_many() {
                true => self.limits.pause_max,
                false => Duration::MAX,
            };
            self.rest(now, id, failure.retry_after.map(|wish| wish.min(most)));
        } else {
            self.slots.enter(id, Line::Picky);
        }
        true
    }

    /// A node turned a call away and said when to come again: others are not sent there before.
    pub(super) fn pause(&mut self, now: Time, node: NodeId, wish: Duration) {
        let until = now.after(wish.min(self.limits.pause_max));
        let Some(known) = self.node_mut(node) else {
            return;
        };
        match &mut known.paused {
            // Its timer finds the later time.
            Some(paused) => *paused = until.max(*paused),
            None if until > now => {
                known.paused = Some(until);
                self.timers.arm(until, Timer::Resume(node));
            }
            None => {}
        }
    }

    /// A pause may be over.
    pub(super) fn resume(&mut self, now: Time, node: NodeId) {
        let Some(known) = self.node_mut(node) else {
            return;
        };
        match known.paused {
            Some(until) if until > now => self.timers.arm(until, Timer::Resume(node)),
            _ => known.paused = None,
        }
    }

    /// Every node has turned a call away: it rests before the next round.
    pub(super) fn rest(&mut self, now: Time, id: CallId, wish: Option<Duration>) {
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

    /// A node takes calls that did not before: those that rest need not wait for what others wished.
    pub(super) fn wake(&mut self, node: NodeId) {
        if self.resting == 0 {
            return;
        }
        let rests = |id: &CallId| {
            let slot = self.slots.get(*id);
            slot.is_some_and(|slot| slot.state == State::Rests && slot.only.is_none())
        };
        let resting: Vec<CallId> = self.slots.ids().filter(rests).collect();
        for id in resting {
            if let Some(slot) = self.slots.get_mut(id) {
                slot.tried &= !bit(node.index());
            }
            self.resting -= 1;
            self.slots.enter(id, Line::Picky);
            let slots = &self.slots;
            self.timers.disarm(|timer| is_good(slots, timer));
        }
    }

    /// Ends a call that is not in flight.
    pub(super) fn end_unsent(&mut self, id: CallId, why: Why) -> Option<Ended<T>> {
        // When it is makes no difference: there is no node to know of it.
        self.end(Time::ZERO, id, why, false)
    }

    /// Ends a call without an answer. `tell`: its node, if it is still there, is told.
    pub(super) fn end(&mut self, now: Time, id: CallId, why: Why, tell: bool) -> Option<Ended<T>> {
        let id = self.slots.current(id);
        let slot = self.slots.get(id)?;
        let (state, bytes, watched) = (slot.state, slot.bytes, slot.watched);
        let (at, probe, lasts) = (slot.node, slot.probe, slot.lasts);
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
            self.asked.given_up += usize::from(probe && payload.is_some());
            payload
        } else {
            if state == State::Rests {
                self.resting -= 1;
            }
            if sent && let Some(node) = self.nodes.get_mut(at as usize) {
                node.flight.take(bytes);
                if lasts {
                    self.balancer.lasted(at as usize);
                }
                self.balancer.lapsed(now.as_nanos(), at as usize);
            }
            let payload = self.slots.free(id);
            if state == State::Rests {
                let slots = &self.slots;
                self.timers.disarm(|timer| is_good(slots, timer));
            }
            self.given_up -= usize::from(payload.is_none());
            if probe {
                self.asked_for_nothing(at, payload.is_none());
            }
            payload
        };
        if sent && !stays {
            self.drop_if_idle_at(now, at);
        }
        let payload = payload?;
        if !probe {
            self.count(why);
        }
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
    pub(super) fn fail_fast(&mut self) {
        if self.hopes > 0 || self.waiting() == self.resting {
            return;
        }
        let hasty = |id: &CallId| {
            let slot = self.slots.get(*id);
            slot.is_some_and(|slot| matches!(slot.state, State::Waits(_)) && !slot.wait_for_ready)
        };
        let hasty: Vec<CallId> = self.slots.ids().filter(hasty).collect();
        for id in hasty {
            if let Some(ended) = self.end_unsent(id, Why::Unavailable) {
                self.ended.push_back(ended);
            }
        }
    }

    pub(super) fn count(&mut self, why: Why) {
        match why {
            Why::Expired => self.stats.expired += 1,
            Why::Cancelled => self.stats.cancelled += 1,
            Why::Unavailable => self.stats.unavailable += 1,
            Why::QueueFull => self.stats.queue_full += 1,
            Why::Lost => self.stats.lost += 1,
            Why::Closed => self.stats.closed += 1,
        }
    }

    pub(super) fn add(&mut self, now: Time, facts: Facts, fixed: Option<Credit>) -> NodeId {
        let free = self.nodes.iter().position(|node| !node.used);
        let generation = free.and_then(|index| self.nodes.get(index));
        let generation = generation.map_or(0, |node| node.generation.wrapping_add(1));
        let node = Node {
            generation,
            used: true,
            state: NodeState::Connecting,
            weight: facts.weight,
            fixed,
            credit: Credit::default(),
            flight: Credit::default(),
            sent: 0,
            answered: 0,
            errors: 0,
            lost: 0,
            latency: 0,
            pulls: false,
            wished: 0,
            wish_armed: false,
            doubted: 0,
            paused: None,
            asked: None,
            curiosity: Curiosity::default(),
        };
        let index = free.unwrap_or(self.nodes.len());
        match self.nodes.get_mut(index) {
            Some(place) => *place = node,
            None => self.nodes.push(node),
        }
        self.hopes += usize::from(facts.weight > 0);
        self.balancer.add(now.as_nanos(), index, facts);
        NodeId {
            index: index as u32,
            generation,
        }
    }

    pub(super) fn node(&self, node: NodeId) -> Option<&Node> {
        let known = self.nodes.get(node.index as usize)?;
        (known.used && known.generation == node.generation).then_some(known)
    }

    pub(super) fn node_mut(&mut self, node: NodeId) -> Option<&mut Node> {
        let known = self.nodes.get_mut(node.index as usize)?;
        (known.used && known.generation == node.generation).then_some(known)
    }

    pub(super) fn set_state(&mut self, now: Time, node: NodeId, state: NodeState) {
        let Some(known) = self.node_mut(node) else {
            return;
        };
        if known.state == NodeState::Leaving {
            return;
        }
        let before = known.is_hope();
        known.state = state;
        let after = known.is_hope();
        if state != NodeState::Up && !planted!(WelcomeIgnored) {
            known.credit = Credit::default();
        }
        // Whatever its connection owed, it owes nothing any more.
        known.asked = None;
        self.hopes -= usize::from(before);
        self.hopes += usize::from(after);
        self.balancer.set_silent(node.index(), false);
        let up = state == NodeState::Up;
        self.balancer.set_up(now.as_nanos(), node.index(), up);
        if up && after {
            self.wake(node);
        }
    }

    /// The same, by its index.
    fn drop_if_idle_at(&mut self, now: Time, index: u32) {
        if let Some(known) = self.nodes.get(index as usize)
            && known.state == NodeState::Leaving
        {
            let generation = known.generation;
            self.drop_if_idle(now, NodeId { index, generation });
        }
    }

    pub(super) fn drop_if_idle(&mut self, now: Time, node: NodeId) {
        let idle = |node: &Node| node.state == NodeState::Leaving && node.flight.calls == 0;
        if self.node(node).is_some_and(idle) {
            self.drop_node(now, node);
        }
    }

    pub(super) fn drop_node(&mut self, now: Time, node: NodeId) {
        self.set_state(now, node, NodeState::Leaving);
        if let Some(known) = self.node_mut(node) {
            known.used = false;
            self.balancer.remove(node.index());
        }
        self.fail_only(node);
    }
}

/// Whether a call that may go to one node only waits for it, as that stands.
fn waits_for(state: NodeState, wait_for_ready: bool) -> bool {
    match state {
        NodeState::Connecting | NodeState::Up => true,
        NodeState::Failed | NodeState::Draining => wait_for_ready,
        NodeState::Leaving => false,
    }
}

/// Nodes beyond the 64th share bits: one may be passed over for another's sake, until the round is
/// over.
pub(super) fn bit(index: usize) -> u64 {
    1 << (index % 64)
}

pub(super) fn is_good<T>(slots: &Slots<T>, timer: &Timer) -> bool {
    match timer {
        Timer::Deadline(id) => slots.get(*id).is_some_and(|slot| slot.watched),
        Timer::Again(id) => slots
            .get(*id)
            .is_some_and(|slot| slot.state == State::Rests && slot.attempt == id.attempt()),
        // Looked at when it comes up: there is one a node.
        Timer::Resume(_) | Timer::Wish(_) => true,
    }
}
