//! What goes out to one peer: the queue, and the combiner that writes it.
//!
//! ```text
//! sender A: lock, push, nobody writes: take the batch, unlock, write ..... lock, more? write
//! sender B:                                   lock, push, somebody writes: unlock, done
//! sender C:                                        lock, push, done
//! ```
//!
//! So one sender alone writes straight to the link, and many become batches without waiting for
//! each other. Whoever holds `writing` is the only one to touch the link, across a change of
//! links too: messages that it could not write go back to the front of the queue, in order.
//!
//! # Invariants
//!
//! 1. Messages go out in the order in which they were pushed, each once. (loom test
//!    `combined_sends_keep_every_message`)
//! 2. After every push and flush either somebody writes, or the link is blocked and watched, or
//!    the queue is corked and listed, or it is empty. (same test)
//! 3. pushed = written + dropped + passed over + conflated + queued. (test `the_books_balance`)
//!
//! # Not here
//!
//! Who watches a blocked link and flushes corked queues (`driver.rs`). What is sent to many peers
//! (`outbox/fan_out.rs`); what is told a peer beside messages (`outbox/control.rs`).

mod control;
mod fan_out;
mod outgoing;
#[cfg(all(test, not(loom)))]
mod tests;

pub(crate) use control::Told;
pub(crate) use fan_out::Offered;
pub(crate) use outgoing::Outgoing;

use std::collections::VecDeque;

use super::pace::{CHUNK, CHUNK_MESSAGES, Hold, SIP};
use super::sync::{Mutex, MutexGuard};
use crate::message::Message;
use crate::zmtp::encoder::Encoder;

/// No thread's number.
const NOBODY: usize = 0;
/// Pushes by one thread alone after which it counts as the only one.
const SHARED_PUSHES: u32 = 64;
/// Batches that one sender writes for the others before it leaves the rest to the leader.
const ROUNDS_MAX: usize = if cfg!(loom) { 2 } else { 16 };

/// Where an outbox writes to.
pub(crate) trait Link: Clone {
    /// Writes as much as it takes; gives the messages gone out whole, and how it ended.
    fn write(&self, batch: &mut Encoder) -> (usize, Wrote);
    /// Asks for [`Outbox::writable`] to be called once the link takes more; or no longer.
    fn watch(&self, blocked: bool);
    /// The link has failed: it shall be taken down.
    fn condemn(&self);
    /// Whether the two are the same connection.
    fn same(&self, other: &Self) -> bool;
}

/// How a write ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrote {
    All,
    Blocked,
    Failed,
}

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The queue is at its limit.
    Full,
    /// The peer has gone for good.
    Gone,
}

/// What the caller has to do after an operation, without the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[must_use]
pub(crate) struct After {
    /// Wake those who wait for room.
    pub(crate) room: bool,
    /// List the queue for a later flush.
    pub(crate) corked: bool,
    /// Something was written.
    pub(crate) wrote: bool,
}

/// Counts of one outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct OutboxCounts {
    pub(crate) pushed: u64,
    pub(crate) pushed_bytes: u64,
    pub(crate) written: u64,
    pub(crate) dropped: u64,
    /// Of what was sent to many: not taken, the queue being full.
    pub(crate) passed_over: u64,
    /// Gave place to a later one.
    pub(crate) conflated: u64,
    pub(crate) queued: usize,
    pub(crate) queued_bytes: usize,
}

impl OutboxCounts {
    pub(crate) fn add(&mut self, other: &OutboxCounts) {
        self.pushed += other.pushed;
        self.pushed_bytes += other.pushed_bytes;
        self.written += other.written;
        self.dropped += other.dropped;
        self.passed_over += other.passed_over;
        self.conflated += other.conflated;
        self.queued += other.queued;
        self.queued_bytes += other.queued_bytes;
    }
}

#[derive(Debug)]
struct State<L> {
    link: Option<L>,
    closed: bool,
    /// Messages for a link that does not exist yet.
    backlog: VecDeque<Message>,
    backlog_bytes: usize,
    /// Encoded, not yet given to the link.
    pending: Encoder,
    /// Encoded, written in part: the link is blocked.
    held: Encoder,
    /// An empty encoder that keeps its buffers.
    spare: Encoder,
    writing: bool,
    blocked: bool,
    corked: bool,
    /// The thread that pushed last.
    pusher: usize,
    /// Pushes for which several threads are taken to be pushing.
    shared_for: u32,
    starved: bool,
    /// What the one who writes has taken.
    flight: usize,
    flight_bytes: usize,
    pushed: u64,
    pushed_bytes: u64,
    written: u64,
    dropped: u64,
    passed_over: u64,
    conflated: u64,
    /// What a new link is told first, before the backlog.
    opening: Vec<u8>,
    /// The link was replaced, and the one who writes has not seen it yet.
    switching: bool,
}

/// The outgoing queue of one peer.
#[derive(Debug)]
pub(crate) struct Outbox<L> {
    state: Mutex<State<L>>,
    messages_max: usize,
    bytes_max: usize,
    /// Whether messages outlive a link, for the next one.
    keeps: bool,
    /// Whether a message takes the place of one that has not been given to the link.
    conflates: bool,
}

impl<L> State<L> {
    fn queued(&self) -> usize {
        self.backlog.len() + self.pending.messages() + self.held.messages() + self.flight
    }

    fn queued_bytes(&self) -> usize {
        self.backlog_bytes + self.pending.len() + self.held.len() + self.flight_bytes
    }

    /// What nobody has begun to write gives place.
    fn conflate(&mut self) {
        self.conflated += (self.backlog.len() + self.pending.discard()) as u64;
        self.backlog.clear();
        self.backlog_bytes = 0;
    }

    /// What waits for a link is given to it.
    fn encode_backlog(&mut self) {
        if !self.opening.is_empty() {
            self.pending.push_control(&self.opening);
            self.opening = Vec::new();
        }
        for message in self.backlog.drain(..) {
            self.pending.push(message);
        }
        self.backlog_bytes = 0;
        self.backlog.shrink_to(16);
    }

    /// Takes no more; what waits for a link is dropped.
    fn shut(&mut self) {
        self.closed = true;
        self.dropped += self.backlog.len() as u64;
        self.backlog = VecDeque::new();
        self.backlog_bytes = 0;
    }

    /// Puts unsent messages back to the front, or drops them.
    fn put_back(&mut self, mut batch: Encoder, keeps: bool) {
        let (unsent, lost) = batch.take_unsent();
        self.dropped += lost as u64;
        if keeps && !self.closed {
            for message in unsent.into_iter().rev() {
                self.backlog_bytes += message.bytes();
                self.backlog.push_front(message);
            }
        } else {
            self.dropped += unsent.len() as u64;
        }
    }
}

impl<L: Link> Outbox<L> {
    pub(crate) fn new(messages_max: usize, bytes_max: usize, keeps: bool) -> Self {
        Outbox {
            state: Mutex::new(State {
                link: None,
                closed: false,
                backlog: VecDeque::new(),
                backlog_bytes: 0,
                pending: Encoder::default(),
                held: Encoder::default(),
                spare: Encoder::default(),
                writing: false,
                blocked: false,
                corked: false,
                pusher: NOBODY,
                shared_for: 0,
                starved: false,
                flight: 0,
                flight_bytes: 0,
                pushed: 0,
                pushed_bytes: 0,
                written: 0,
                dropped: 0,
                passed_over: 0,
                conflated: 0,
                opening: Vec::new(),
                switching: false,
            }),
            messages_max,
            bytes_max,
            keeps,
            conflates: false,
        }
    }

    /// The same, keeping only the last message if `conflates`.
    pub(crate) fn conflating(mut self, conflates: bool) -> Self {
        self.conflates = conflates;
        self
    }

    /// Queues a message, and writes it if nobody else does. It may be held back for a flush that
    /// is sure to come, as `hold` has it. `pusher` tells threads apart.
    pub(crate) fn push<M: Outgoing>(
        &self,
        message: M,
        hold: Hold,
        pusher: usize,
    ) -> Result<After, (Refused, M)> {
        let mut state = self.state.lock();
        if state.closed {
            return Err((Refused::Gone, message));
        }
        let bytes = message.bytes();
        let full;
        (state, full) = self.is_full(state, bytes);
        if full {
            state.starved = true;
            return Err((Refused::Full, message));
        }
        state.pushed += 1;
        state.pushed_bytes += bytes as u64;
        if state.link.is_none() || !state.backlog.is_empty() {
            // Without a link, or behind what a new link has not been given yet.
            state.backlog_bytes += bytes;
            state.backlog.push_back(message.into_message());
            return Ok(After::default());
        }
        message.encode(&mut state.pending);
        Ok(self.pushed(state, hold, pusher))
    }

    /// Whether there is no room for so many bytes. A conflating queue makes it; another one that
    /// has only held back what it could have written writes it first.
    fn is_full<'a>(
        &'a self,
        mut state: MutexGuard<'a, State<L>>,
        bytes: usize,
    ) -> (MutexGuard<'a, State<L>>, bool) {
        if self.conflates {
            state.conflate();
            return (state, false);
        }
        let full = |state: &State<L>| {
            let queued = state.queued();
            queued >= self.messages_max
                || (queued > 0 && state.queued_bytes() + bytes > self.bytes_max)
        };
        let free = state.link.is_some() && !state.writing && !state.blocked;
        if full(&state) && free && !state.pending.is_empty() {
            let after = self.write(state);
            state = self.state.lock();
            // Whoever writes next tells of the room.
            state.starved |= after.room;
        }
        let full = full(&state) || state.closed;
        (state, full)
    }

    /// A message has been encoded: writes it, unless somebody does, or it is held back.
    fn pushed(&self, mut state: MutexGuard<'_, State<L>>, hold: Hold, pusher: usize) -> After {
        match std::mem::replace(&mut state.pusher, pusher) {
            last if last == pusher || last == NOBODY => {
                state.shared_for = state.shared_for.saturating_sub(1);
            }
            _ => state.shared_for = SHARED_PUSHES,
        }
        if state.writing || state.blocked {
            return After::default();
        }
        let chunk = match hold {
            _ if self.conflates => 0,
            Hold::Never => 0,
            Hold::Sip if state.shared_for == 0 => SIP,
            Hold::Sip | Hold::Chunk => CHUNK,
            Hold::Flush => usize::MAX,
        };
        if state.pending.len() < chunk && state.pending.messages() < CHUNK_MESSAGES {
            let corked = !std::mem::replace(&mut state.corked, true);
            return After {
                corked,
                ..After::default()
            };
        }
        self.write(state)
    }

    /// Queues a command frame and writes it as soon as the link takes it. Dropped without a
    /// link, and while `unless_queued` bytes or more are waiting.
    pub(crate) fn push_command(&self, frame: &[u8], unless_queued: usize) -> After {
        let mut state = self.state.lock();
        if state.link.is_none() || state.pending.len() >= unless_queued {
            return After::default();
        }
        state.pending.push_command(frame);
        if state.writing || state.blocked {
            return After::default();
        }
        self.write(state)
    }

    /// Writes what was corked.
    pub(crate) fn flush(&self) -> After {
        let mut state = self.state.lock();
        state.corked = false;
        if state.writing || state.blocked || state.link.is_none() || state.pending.is_empty() {
            return After::default();
        }
        self.write(state)
    }

    /// The blocked link takes more.
    pub(crate) fn writable(&self, link: &L) -> After {
        let mut state = self.state.lock();
        let current = state
            .link
            .as_ref()
            .is_some_and(|current| current.same(link));
        if !current || !state.blocked || state.writing {
            return After::default();
        }
        state.blocked = false;
        let after = self.write(state);
        let state = self.state.lock();
        if !state.blocked {
            link.watch(false);
        }
        after
    }

    /// Writes batch after batch until nothing is left or the link takes no more.
    fn write<'a>(&'a self, mut state: MutexGuard<'a, State<L>>) -> After {
        debug_assert!(!state.writing && !state.blocked);
        state.writing = true;
        let mut room = false;
        for round in 0.. {
            let Some(link) = state.link.clone() else {
                break;
            };
            let spare = std::mem::take(&mut state.spare);
            let mut batch = if state.held.is_empty() {
                std::mem::replace(&mut state.pending, spare)
            } else {
                std::mem::replace(&mut state.held, spare)
            };
            if batch.is_empty() {
                state.spare = batch;
                break;
            }
            if round == ROUNDS_MAX {
                state.held = batch;
                state.blocked = true;
                link.watch(true);
                break;
            }
            (state.flight, state.flight_bytes) = (batch.messages(), batch.len());
            drop(state);

            let (whole, wrote) = link.write(&mut batch);

            state = self.state.lock();
            (state.flight, state.flight_bytes) = (0, 0);
            state.written += whole as u64;
            room |= whole > 0 && std::mem::take(&mut state.starved);
            if !state
                .link
                .as_ref()
                .is_some_and(|current| current.same(&link))
            {
                // The link was replaced meanwhile: what it did not take goes to the next one,
                // before what was pushed since.
                let later = std::mem::take(&mut state.pending);
                state.put_back(later, self.keeps);
                state.put_back(batch, self.keeps);
                // One of which a part has been let go of is lost, and leaves room.
                room |= std::mem::take(&mut state.starved);
                state.switching = false;
                if state.link.is_some() {
                    state.encode_backlog();
                }
                continue;
            }
            match wrote {
                Wrote::All => state.spare = batch,
                Wrote::Blocked => {
                    state.held = batch;
                    state.blocked = true;
                    link.watch(true);
                    break;
                }
                Wrote::Failed => {
                    state.held = batch;
                    state.blocked = true;
                    link.condemn();
                    break;
                }
            }
        }
        state.writing = false;
        After {
            room,
            corked: false,
            wrote: true,
        }
    }

    /// The link that messages go to from now on.
    #[cfg(test)]
    pub(crate) fn attach(&self, link: L) -> After {
        self.place(link, Vec::new());
        self.flush()
    }

    /// The link that messages go to from now on; it is told `opening` first. Nothing is written
    /// before a [`flush`](Self::flush).
    pub(crate) fn place(&self, link: L, opening: Vec<u8>) {
        let mut state = self.state.lock();
        if state.closed {
            return;
        }
        state.link = Some(link);
        state.blocked = false;
        state.opening = opening;
        if state.writing {
            state.switching = true; // the one who writes finds the new link
        } else {
            state.encode_backlog();
        }
    }

    /// The link is gone. Its unsent messages wait for the next one; or they are dropped, and no
    /// more are taken: who sees that there is no link finds that nothing is sent to it.
    pub(crate) fn detach(&self, link: &L) {
        let mut state = self.state.lock();
        if !state
            .link
            .as_ref()
            .is_some_and(|current| current.same(link))
        {
            return;
        }
        state.link = None;
        state.blocked = false;
        state.opening = Vec::new();
        state.switching = false;
        // What somebody is writing right now is put back before these when the write ends.
        let later = std::mem::take(&mut state.pending);
        let first = std::mem::take(&mut state.held);
        state.put_back(later, self.keeps);
        state.put_back(first, self.keeps);
        if !self.keeps {
            state.shut();
        }
    }

    /// Takes no more, and drops what is queued; gives the messages dropped.
    pub(crate) fn close(&self) -> u64 {
        let mut state = self.state.lock();
        let before = state.dropped;
        state.shut();
        state.link = None;
        state.blocked = false;
        let batches = [
            std::mem::take(&mut state.held),
            std::mem::take(&mut state.pending),
        ];
        for batch in batches {
            state.put_back(batch, false);
        }
        state.dropped - before
    }

    /// Whether a message would be taken now.
    pub(crate) fn has_room(&self) -> bool {
        let state = self.state.lock();
        !state.closed
            && state.queued() < self.messages_max
            && (state.queued() == 0 || state.queued_bytes() < self.bytes_max)
    }

    /// Whether there is a link.
    pub(crate) fn is_linked(&self) -> bool {
        self.state.lock().link.is_some()
    }

    /// Whether nothing is queued. If something is, the caller hears of room.
    pub(crate) fn is_drained(&self) -> bool {
        let mut state = self.state.lock();
        state.starved |= state.queued() > 0;
        state.queued() == 0
    }

    /// Gives up the buffers of an outbox that is not in use.
    pub(crate) fn release(&self) {
        let mut state = self.state.lock();
        if !state.writing && state.queued() == 0 && state.pending.is_empty() {
            state.spare.release();
            state.pending.release();
            state.held = Encoder::default();
        }
    }

    pub(crate) fn counts(&self) -> OutboxCounts {
        let state = self.state.lock();
        OutboxCounts {
            pushed: state.pushed,
            pushed_bytes: state.pushed_bytes,
            written: state.written,
            dropped: state.dropped,
            passed_over: state.passed_over,
            conflated: state.conflated,
            queued: state.queued(),
            queued_bytes: state.queued_bytes(),
        }
    }
}
