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
//! 2. A message is either in the backlog of its end or in the other socket's inbox; the counts
//!    follow it. (test `connecting_may_come_before_binding`)

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, LazyLock, Weak};

use parking_lot::Mutex;

use super::outbox::{OutboxCounts, Refused};
use super::owner::Owner;
use super::pipe::Pipe;
use crate::event::{CloseReason, Event};
use crate::link::Endpoint;
use crate::message::Message;
use crate::zmtp::Violation;

/// One end of a connection within the process.
pub(crate) struct End {
    state: Mutex<State>,
    messages_max: usize,
    bytes_max: usize,
}

struct State {
    peer: Option<(Arc<dyn Owner>, Arc<Pipe>)>,
    backlog: VecDeque<Message>,
    backlog_bytes: usize,
    closed: bool,
    /// The other side refused the last message.
    full: bool,
    pushed: u64,
    pushed_bytes: u64,
    dropped: u64,
}

impl End {
    pub(crate) fn new(messages_max: usize, bytes_max: usize) -> Self {
        End {
            state: Mutex::new(State {
                peer: None,
                backlog: VecDeque::new(),
                backlog_bytes: 0,
                closed: false,
                full: false,
                pushed: 0,
                pushed_bytes: 0,
                dropped: 0,
            }),
            messages_max,
            bytes_max,
        }
    }

    pub(crate) fn push(&self, message: Message) -> Result<(), (Refused, Message)> {
        let mut state = self.state.lock();
        if state.closed {
            return Err((Refused::Gone, message));
        }
        let bytes = message.bytes();
        match &state.peer {
            Some((owner, pipe)) => {
                if let Err(message) = owner.take(pipe, message, self.messages_max, self.bytes_max) {
                    state.full = true;
                    return Err((Refused::Full, message));
                }
                state.full = false;
            }
            None => {
                let full = state.backlog.len() >= self.messages_max
                    || (!state.backlog.is_empty() && state.backlog_bytes + bytes > self.bytes_max);
                if full {
                    return Err((Refused::Full, message));
                }
                state.backlog_bytes += bytes;
                state.backlog.push_back(message);
            }
        }
        state.pushed += 1;
        state.pushed_bytes += bytes as u64;
        Ok(())
    }

    /// The other end is there: what waits for it goes over.
    pub(crate) fn link(&self, owner: Arc<dyn Owner>, pipe: Arc<Pipe>) {
        let mut state = self.state.lock();
        if state.closed {
            return;
        }
        let mut backlog = std::mem::take(&mut state.backlog);
        state.backlog_bytes = 0;
        while let Some(message) = backlog.pop_front() {
            // The backlog is within this side's limit, which the other side adds to its own.
            if owner
                .take(&pipe, message, self.messages_max, self.bytes_max)
                .is_err()
            {
                state.dropped += 1;
            }
        }
        state.peer = Some((owner, pipe));
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
            owner.gone(&pipe, &CloseReason::PeerClosed);
        }
    }

    pub(crate) fn has_room(&self) -> bool {
        let state = self.state.lock();
        let waiting = state.peer.is_none() && state.backlog.len() >= self.messages_max;
        !(state.closed || waiting || state.full)
    }

    pub(crate) fn is_linked(&self) -> bool {
        self.state.lock().peer.is_some()
    }

    pub(crate) fn counts(&self) -> OutboxCounts {
        let state = self.state.lock();
        let queued = state.backlog.len();
        OutboxCounts {
            pushed: state.pushed,
            pushed_bytes: state.pushed_bytes,
            written: state.pushed - state.dropped - queued as u64,
            dropped: state.dropped,
            queued,
            queued_bytes: state.backlog_bytes,
        }
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
            // The bound side first, so that answers find their way when the backlog goes over.
            other.meet(pipe);
            pipe.meet(&other);
            dialing.room();
            bound.room();
        }
        Err(reason) => {
            dialing.gone(pipe, &reason);
            refused(name, bound, reason.clone());
            refused(name, dialing, reason);
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
