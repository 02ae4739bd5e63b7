//! Connections within the process: a message is moved from one socket's hands to the other's.
//!
//! Nothing is encoded and no byte is copied. Names are the process's; a connect may come before
//! the bind. The messages that one side may have outstanding at the other are its own send limit
//! and the other's receive limit together, as with libzmq.
//!
//! # Invariants
//!
//! 1. Lock order: an end, then the other socket's inbox. Never the other way. (held by
//!    `Core::try_receive`, which resumes a pipe after it has let the inbox go)
//! 2. Whoever closes while the two ends are being introduced leaves nothing at the other. (test
//!    `who_leaves_while_it_is_introduced_is_no_peer`)
//! 3. A message is either in the backlog of its end or in the other socket's inbox; the counts
//!    follow it. (test `connecting_may_come_before_binding`)

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, LazyLock, Weak};

use parking_lot::Mutex;

use super::outbox::{After, Offered, OutboxCounts, Refused, Told};
use super::owner::Owner;
use super::pipe::Pipe;
use crate::event::{CloseReason, Event};
use crate::link::Endpoint;
use crate::message::Message;
use crate::zmtp::Violation;

/// What one side may have outstanding at the other, beyond the other's own limits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowance {
    pub(crate) messages_max: usize,
    pub(crate) bytes_max: usize,
    /// Whether a message takes the place of one that has not been received.
    pub(crate) conflates: bool,
}

impl Allowance {
    /// No limit.
    const BEYOND: Allowance = Allowance {
        messages_max: usize::MAX,
        bytes_max: usize::MAX,
        conflates: false,
    };
}

/// One end of a connection within the process.
pub(crate) struct End {
    state: Mutex<State>,
    allowance: Allowance,
}

struct State {
    peer: Option<(Arc<dyn Owner>, Arc<Pipe>)>,
    backlog: VecDeque<Message>,
    backlog_bytes: usize,
    closed: bool,
    /// The other side has closed: what is told of that comes later.
    parted: bool,
    /// The other side refused the last message.
    full: bool,
    pushed: u64,
    pushed_bytes: u64,
    dropped: u64,
    passed_over: u64,
    conflated: u64,
    /// The other side has been told the subscriptions: it hears of changes.
    told: bool,
}

impl End {
    pub(crate) fn new(allowance: Allowance) -> Self {
        End {
            state: Mutex::new(State {
                peer: None,
                backlog: VecDeque::new(),
                backlog_bytes: 0,
                closed: false,
                parted: false,
                full: false,
                pushed: 0,
                pushed_bytes: 0,
                dropped: 0,
                passed_over: 0,
                conflated: 0,
                told: false,
            }),
            allowance,
        }
    }

    pub(crate) fn push(&self, message: Message) -> Result<(), (Refused, Message)> {
        let mut state = self.state.lock();
        if state.closed || state.parted {
            return Err((Refused::Gone, message));
        }
        let bytes = message.bytes();
        self.hand_over(&mut state, message, bytes, self.allowance)?;
        state.pushed += 1;
        state.pushed_bytes += bytes as u64;
        let settles = match &state.peer {
            Some((owner, _)) if owner.settles() => Some(owner.clone()),
            _ => None,
        };
        drop(state);
        if let Some(owner) = settles {
            owner.settle();
        }
        Ok(())
    }

    /// Sends a message that goes to others too; without room for it, it is dropped and counted.
    pub(crate) fn offer(&self, message: &Message, beyond: bool) -> Offered {
        let mut state = self.state.lock();
        if state.closed || state.parted {
            return Offered::Gone;
        }
        let bytes = message.bytes();
        let allowance = if beyond {
            Allowance::BEYOND
        } else {
            self.allowance
        };
        let handed = self.hand_over(&mut state, message.clone(), bytes, allowance);
        state.pushed += 1;
        state.pushed_bytes += bytes as u64;
        match handed {
            Ok(()) => Offered::Taken(After::default()),
            Err(_) => {
                state.passed_over += 1;
                Offered::PassedOver
            }
        }
    }

    #[inline(always)] // twice as many moves of a message otherwise
    fn hand_over(
        &self,
        state: &mut State,
        message: Message,
        bytes: usize,
        allowance: Allowance,
    ) -> Result<(), (Refused, Message)> {
        if let Some((owner, pipe)) = &state.peer {
            let taken = owner.take(pipe, message, allowance);
            state.full = taken.is_err();
            return taken.map_err(|message| (Refused::Full, message));
        }
        if allowance.conflates {
            state.conflated += state.backlog.len() as u64;
            state.backlog.clear();
            state.backlog_bytes = 0;
        }
        let waiting = state.backlog.len();
        if waiting >= allowance.messages_max
            || (waiting > 0 && state.backlog_bytes + bytes > allowance.bytes_max)
        {
            return Err((Refused::Full, message));
        }
        state.backlog_bytes += bytes;
        state.backlog.push_back(message);
        Ok(())
    }

    /// Tells the other side of a subscription, if it has been told of those before.
    pub(crate) fn tell(&self, begins: bool, topic: &[u8]) -> Told {
        let state = self.state.lock();
        match &state.peer {
            Some(peer) if state.told => tell(peer, begins, topic),
            _ => Told::Nobody,
        }
    }

    /// Tells the other side of every subscription; false if it does not take them.
    pub(crate) fn tell_first<'a>(&self, mut topics: impl Iterator<Item = &'a [u8]>) -> bool {
        let mut state = self.state.lock();
        state.told = true;
        let Some(peer) = &state.peer else {
            return true;
        };
        topics.all(|topic| tell(peer, true, topic) == Told::Queued)
    }

    /// The other end is there: what waits for it goes over. False if this one has been closed.
    pub(crate) fn link(&self, owner: Arc<dyn Owner>, pipe: Arc<Pipe>) -> bool {
        let mut state = self.state.lock();
        if state.closed {
            return false;
        }
        let mut backlog = std::mem::take(&mut state.backlog);
        state.backlog_bytes = 0;
        while let Some(message) = backlog.pop_front() {
            // The backlog is within this side's limit, which the other side adds to its own.
            if owner.take(&pipe, message, self.allowance).is_err() {
                state.dropped += 1;
            }
        }
        state.peer = Some((owner, pipe));
        state.parted = false;
        true
    }

    /// This side has taken messages out: the other may send more. Not to be called with an inbox
    /// locked.
    pub(crate) fn peer_has_room(&self) {
        let peer = self.state.lock().peer.clone();
        if let Some((owner, pipe)) = peer {
            pipe.has_room_again();
            owner.room();
        }
    }

    pub(crate) fn has_room_again(&self) {
        self.state.lock().full = false;
    }

    pub(crate) fn close(&self) {
        let peer = {
            let mut state = self.state.lock();
            state.closed = true;
            state.dropped += state.backlog.len() as u64;
            state.backlog = VecDeque::new();
            state.backlog_bytes = 0;
            state.peer.take()
        };
        if let Some((owner, pipe)) = peer {
            // Who hears that it has gone sees it so, and so does whoever looks before.
            pipe.part();
            owner.gone(&pipe, &CloseReason::PeerClosed);
            owner.settle();
        }
    }

    /// The other side has closed.
    pub(crate) fn part(&self) {
        self.state.lock().parted = true;
    }

    pub(crate) fn has_room(&self) -> bool {
        let state = self.state.lock();
        let waiting = state.peer.is_none() && state.backlog.len() >= self.allowance.messages_max;
        !(state.closed || waiting || state.full)
    }

    pub(crate) fn is_linked(&self) -> bool {
        let state = self.state.lock();
        state.peer.is_some() && !state.parted
    }

    pub(crate) fn counts(&self) -> OutboxCounts {
        let state = self.state.lock();
        let queued = state.backlog.len();
        OutboxCounts {
            pushed: state.pushed,
            pushed_bytes: state.pushed_bytes,
            written: state.pushed
                - state.dropped
                - state.passed_over
                - state.conflated
                - queued as u64,
            dropped: state.dropped,
            passed_over: state.passed_over,
            conflated: state.conflated,
            queued,
            queued_bytes: state.backlog_bytes,
        }
    }
}

fn tell((owner, pipe): &(Arc<dyn Owner>, Arc<Pipe>), begins: bool, topic: &[u8]) -> Told {
    let mut body = Vec::with_capacity(1 + topic.len());
    body.push(u8::from(begins));
    body.extend_from_slice(topic);
    match owner.take(pipe, Message::from(body), Allowance::BEYOND) {
        Ok(()) => Told::Queued,
        Err(_) => Told::Refused,
    }
}

impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("inproc::End")
    }
}

/// Who is bound to a name, and who waits for it.
#[derive(Default)]
struct Name {
    bound: Option<Weak<dyn Owner>>,
    waiting: Vec<(Weak<dyn Owner>, Weak<Pipe>)>,
}

static NAMES: LazyLock<Mutex<HashMap<Box<str>, Name>>> = LazyLock::new(Mutex::default);

fn is(owner: &Weak<dyn Owner>, other: &Arc<dyn Owner>) -> bool {
    std::ptr::addr_eq(owner.as_ptr(), Arc::as_ptr(other))
}

/// Takes the name; false if another socket has it.
pub(crate) fn bind(name: &str, owner: &Arc<dyn Owner>) -> bool {
    let waiting = {
        let mut names = NAMES.lock();
        let entry = names.entry(name.into()).or_default();
        if entry
            .bound
            .as_ref()
            .is_some_and(|bound| bound.strong_count() > 0)
        {
            return false;
        }
        entry.bound = Some(Arc::downgrade(owner));
        std::mem::take(&mut entry.waiting)
    };
    for (dialing, pipe) in waiting {
        if let (Some(dialing), Some(pipe)) = (dialing.upgrade(), pipe.upgrade()) {
            introduce(name, &dialing, &pipe, owner);
        }
    }
    true
}

/// Gives the name up.
pub(crate) fn unbind(name: &str, owner: &Arc<dyn Owner>) {
    let mut names = NAMES.lock();
    if let Some(entry) = names.get_mut(name) {
        if entry.bound.as_ref().is_some_and(|bound| is(bound, owner)) {
            entry.bound = None;
        }
        if entry.bound.is_none() && entry.waiting.is_empty() {
            names.remove(name);
        }
    }
}

/// Connects the pipe to whoever is bound to the name, now or once somebody is.
pub(crate) fn connect(name: &str, owner: &Arc<dyn Owner>, pipe: &Arc<Pipe>) {
    let bound = {
        let mut names = NAMES.lock();
        let entry = names.entry(name.into()).or_default();
        let bound = entry.bound.as_ref().and_then(Weak::upgrade);
        if bound.is_none() {
            entry.waiting.retain(|(_, pipe)| pipe.strong_count() > 0);
            entry
                .waiting
                .push((Arc::downgrade(owner), Arc::downgrade(pipe)));
        }
        bound
    };
    if let Some(bound) = bound {
        introduce(name, owner, pipe, &bound);
    }
}

fn introduce(name: &str, dialing: &Arc<dyn Owner>, pipe: &Arc<Pipe>, bound: &Arc<dyn Owner>) {
    let (dialing_type, identity) = dialing.local();
    let (bound_type, bound_identity) = bound.local();
    let misfit =
        |ours, theirs| CloseReason::Violation(Violation::IncompatibleSockets { ours, theirs });
    if !bound_type.accepts(dialing_type) {
        refused(name, bound, misfit(bound_type, dialing_type));
        let reason = misfit(dialing_type, bound_type);
        dialing.gone(pipe, &reason);
        refused(name, dialing, reason);
        return;
    }
    match bound.admit_inproc(identity) {
        Ok(other) => {
            pipe.set_identity(bound_identity.into());
            pipe.set_peer(bound_type, false);
            other.set_peer(dialing_type, false);
            // The bound side first, so that answers find their way when the backlog goes over.
            // Either may have closed meanwhile: it could not tell the other, which it did not know.
            if !other.meet(pipe) {
                dialing.gone(pipe, &CloseReason::PeerClosed);
                dialing.settle();
                return;
            }
            if !pipe.meet(&other) {
                other.close();
                bound.gone(&other, &CloseReason::PeerClosed);
                bound.settle();
                return;
            }
            dialing.joined(pipe);
            bound.joined(&other);
            // Or just now: then it has told that before the other said that it had come.
            if !pipe.is_linked() {
                dialing.gone(pipe, &CloseReason::PeerClosed);
            }
            if !other.is_linked() {
                bound.gone(&other, &CloseReason::PeerClosed);
            }
            dialing.room();
            bound.room();
            dialing.settle();
            bound.settle();
        }
        Err(reason) => {
            dialing.gone(pipe, &reason);
            refused(name, bound, reason.clone());
            refused(name, dialing, reason);
            dialing.settle();
        }
    }
}

/// Tells a socket that a connection within the process did not come to be.
fn refused(name: &str, owner: &Arc<dyn Owner>, reason: CloseReason) {
    owner.report(Event::HandshakeFailed {
        endpoint: Endpoint::Inproc(name.into()),
        remote: "inproc".into(),
        reason,
    });
}
