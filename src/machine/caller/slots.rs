//! The table of calls: a slot each, named by an identifier that is not used again for long.
//!
//! An identifier is a slot's index (24 bits), the attempt (8 bits) and the slot's generation (32
//! bits). Each time a call is sent it goes under another attempt, so that a late or doubled answer
//! to an earlier one is never taken for an answer to this one.
//!
//! The queues of calls that wait are lists through the slots: a call in the middle leaves in
//! constant time.

use super::NodeId;
use crate::machine::time::Time;

const INDEX_BITS: u32 = 24;
const ATTEMPT_BITS: u32 = 8;
/// The most slots that identifiers can name.
pub(super) const SLOTS_MAX: usize = 1 << INDEX_BITS;
/// No slot: the end of a list.
const NONE: u32 = u32::MAX;

/// A call, and which attempt at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(u64);

impl CallId {
    pub(super) fn new(index: u32, attempt: u8, generation: u32) -> CallId {
        let high = u64::from(generation) << (INDEX_BITS + ATTEMPT_BITS);
        CallId(high | u64::from(attempt) << INDEX_BITS | u64::from(index))
    }

    /// The number that goes over the wire.
    pub const fn wire(self) -> u64 {
        self.0
    }

    /// From a number that came over the wire. It may name no call.
    pub const fn from_wire(wire: u64) -> CallId {
        CallId(wire)
    }

    pub(super) fn index(self) -> u32 {
        self.0 as u32 & (SLOTS_MAX as u32 - 1)
    }

    pub(super) fn attempt(self) -> u8 {
        (self.0 >> INDEX_BITS) as u8
    }

    pub(super) fn generation(self) -> u32 {
        (self.0 >> (INDEX_BITS + ATTEMPT_BITS)) as u32
    }

    /// Whether both are of one call, whatever the attempt.
    pub fn is_same_call(self, other: CallId) -> bool {
        self.index() == other.index() && self.generation() == other.generation()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum State {
    Free,
    /// In a queue.
    Waits(Line),
    /// Until a timer.
    Rests,
    /// Sent, not answered. Without a payload: its caller has given it up.
    Sent,
}

/// Which queue a call waits in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Line {
    /// Calls that any node may take.
    Fresh,
    /// Calls that some nodes have turned away.
    Picky,
    /// Calls that may go to the node of this index and to no other.
    Only(u32),
    /// Calls that take no worker: they wait for a node, or for the window of one that grants more.
    Beside,
}

#[derive(Debug)]
pub(super) struct Slot<T> {
    pub(super) payload: Option<T>,
    pub(super) deadline: Time,
    pub(super) sent_at: Time,
    pub(super) bytes: u64,
    /// A bit for each node that has turned it away in this round.
    pub(super) tried: u64,
    /// The only node that it may go to, if there is one.
    pub(super) only: Option<NodeId>,
    /// The hash of its key.
    pub(super) key: Option<u64>,
    pub(super) probe: bool,
    pub(super) lasts: bool,
    pub(super) node: u32,
    pub(super) generation: u32,
    prev: u32,
    next: u32,
    pub(super) state: State,
    pub(super) attempt: u8,
    pub(super) rounds: u8,
    pub(super) wait_for_ready: bool,
    pub(super) oneway: bool,
    pub(super) watched: bool,
}

#[derive(Debug)]
struct Queue {
    head: u32,
    tail: u32,
    len: usize,
}

impl Queue {
    const EMPTY: Queue = Queue {
        head: NONE,
        tail: NONE,
        len: 0,
    };
}

/// The slots and the queues through them.
#[derive(Debug)]
pub(super) struct Slots<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    fresh: Queue,
    picky: Queue,
    beside: Queue,
    /// By the nodes' index.
    only: Vec<Queue>,
    /// Calls in those.
    only_waiting: usize,
}

impl<T> Slots<T> {
    pub(super) fn new() -> Slots<T> {
        Slots {
            slots: Vec::new(),
            free: Vec::new(),
            fresh: Queue::EMPTY,
            picky: Queue::EMPTY,
            beside: Queue::EMPTY,
            only: Vec::new(),
            only_waiting: 0,
        }
    }

    /// A slot for a call; the payload comes back if there are too many.
    pub(super) fn take(
        &mut self,
        payload: T,
        fill: impl FnOnce(&mut Slot<T>),
    ) -> Result<CallId, T> {
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.slots.len() >= SLOTS_MAX => return Err(payload),
            None => {
                self.slots.push(Slot {
                    payload: None,
                    deadline: Time::NEVER,
                    sent_at: Time::ZERO,
                    bytes: 0,
                    tried: 0,
                    only: None,
                    key: None,
                    probe: false,
                    lasts: false,
                    node: NONE,
                    // Never 0, so that no identifier is: on the wire 0 stands for the session itself.
                    generation: 1,
                    prev: NONE,
                    next: NONE,
                    state: State::Free,
                    attempt: 0,
                    rounds: 0,
                    wait_for_ready: false,
                    oneway: false,
                    watched: false,
                });
                (self.slots.len() - 1) as u32
            }
        };
        let Some(slot) = self.slots.get_mut(index as usize) else {
            return Err(payload);
        };
        slot.payload = Some(payload);
        slot.tried = 0;
        slot.attempt = 0;
        slot.rounds = 0;
        slot.watched = false;
        fill(slot);
        Ok(CallId::new(index, 0, slot.generation))
    }

    /// The slot of a call, whatever the attempt.
    pub(super) fn get(&self, id: CallId) -> Option<&Slot<T>> {
        let slot = self.slots.get(id.index() as usize)?;
        (slot.generation == id.generation() && slot.state != State::Free).then_some(slot)
    }

    pub(super) fn get_mut(&mut self, id: CallId) -> Option<&mut Slot<T>> {
        let slot = self.slots.get_mut(id.index() as usize)?;
        (slot.generation == id.generation() && slot.state != State::Free).then_some(slot)
    }

    /// The identifier of the present attempt.
    pub(super) fn current(&self, id: CallId) -> CallId {
        let attempt = self.get(id).map_or(id.attempt(), |slot| slot.attempt);
        CallId::new(id.index(), attempt, id.generation())
    }

    /// Ends a call: its slot is free for another, under another identifier.
    pub(super) fn free(&mut self, id: CallId) -> Option<T> {
        if !planted!(EndedStaysQueued) {
            self.leave(id);
        }
        let slot = self.get_mut(id)?;
        slot.state = State::Free;
        if !planted!(IdentifierReused) {
            slot.generation = slot.generation.wrapping_add(1).max(1);
        }
        let payload = slot.payload.take();
        self.free.push(id.index());
        payload
    }

    /// Puts a call at the end of a queue.
    pub(super) fn enter(&mut self, id: CallId, line: Line) {
        self.leave(id);
        let tail = self.queue(line).tail;
        let Some(slot) = self.get_mut(id) else { return };
        slot.state = State::Waits(line);
        slot.prev = tail;
        slot.next = NONE;
        match self.slots.get_mut(tail as usize) {
            Some(last) => last.next = id.index(),
            None => self.queue(line).head = id.index(),
        }
        let queue = self.queue(line);
        queue.tail = id.index();
        queue.len += 1;
        self.only_waiting += usize::from(matches!(line, Line::Only(_)));
    }

    /// Takes a call out of the queue that it is in, if any. Its state is the caller's to set.
    pub(super) fn leave(&mut self, id: CallId) {
        let Some(slot) = self.get_mut(id) else { return };
        let State::Waits(line) = slot.state else {
            return;
        };
        let (prev, next) = (slot.prev, slot.next);
        slot.state = State::Rests;
        match self.slots.get_mut(prev as usize) {
            Some(before) => before.next = next,
            None => self.queue(line).head = next,
        }
        match self.slots.get_mut(next as usize) {
            Some(after) => after.prev = prev,
            None => self.queue(line).tail = prev,
        }
        self.queue(line).len -= 1;
        self.only_waiting -= usize::from(matches!(line, Line::Only(_)));
    }

    /// The first call of a queue.
    pub(super) fn first(&self, line: Line) -> Option<CallId> {
        let head = match line {
            Line::Fresh => self.fresh.head,
            Line::Picky => self.picky.head,
            Line::Only(node) => self.only.get(node as usize).map_or(NONE, |it| it.head),
            Line::Beside => self.beside.head,
        };
        self.at(head)
    }

    /// The one behind it.
    pub(super) fn after(&self, id: CallId) -> Option<CallId> {
        self.at(self.get(id)?.next)
    }

    /// How many wait in a queue.
    pub(super) fn waiting(&self, line: Line) -> usize {
        match line {
            Line::Fresh => self.fresh.len,
            Line::Picky => self.picky.len,
            Line::Only(node) => self.only.get(node as usize).map_or(0, |it| it.len),
            Line::Beside => self.beside.len,
        }
    }

    /// How many wait in a queue, whichever.
    pub(super) fn waiting_in_all(&self) -> usize {
        self.fresh.len + self.picky.len + self.only_waiting + self.beside.len
    }

    /// How many wait for one node and no other.
    pub(super) fn waiting_for_one(&self) -> usize {
        self.only_waiting
    }

    /// Every call, in the order of the slots.
    pub(super) fn ids(&self) -> impl Iterator<Item = CallId> + '_ {
        let slots = self.slots.iter().enumerate();
        slots
            .filter(|(_, slot)| slot.state != State::Free)
            .map(|(index, slot)| CallId::new(index as u32, slot.attempt, slot.generation))
    }

    /// Slots in use.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    fn at(&self, index: u32) -> Option<CallId> {
        let slot = self.slots.get(index as usize)?;
        Some(CallId::new(index, slot.attempt, slot.generation))
    }

    fn queue(&mut self, line: Line) -> &mut Queue {
        match line {
            Line::Fresh => &mut self.fresh,
            Line::Picky => &mut self.picky,
            Line::Beside => &mut self.beside,
            Line::Only(node) => {
                let node = node as usize;
                if self.only.len() <= node {
                    self.only.resize_with(node + 1, || Queue::EMPTY);
                }
                &mut self.only[node]
            }
        }
    }
}
