//! A call on its way through the server, and what its handler may ask about it.
//!
//! # Invariants
//!
//! 1. A call that was deferred is answered by whoever holds it, and by nobody else. (test
//!    `a_deferred_answer_comes_from_another_thread`)

use std::cell::Cell;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use brokerless_patterns::{Frame, Message};

use super::serve::Shared;
use super::session::Session;
use super::stream::Stream;
use crate::machine::Ticket;
use crate::metadata::Metadata;
use crate::service::{
    Answerer, Caller, Deferred, MethodInfo, Outcome, RawIncoming, Running, ServiceInfo,
};
use crate::wire::{Encoding, Flow, Payload, ReturnPath, Version};

/// How a call came, which is how its answer goes.
#[derive(Debug, Clone)]
pub(super) enum Form {
    /// In a session of this version.
    Session(Version),
    /// On its own, by a path that leads back.
    Sessionless(ReturnPath),
    /// The same, without an envelope.
    Plain(ReturnPath),
}

/// Where an answer goes.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) form: Form,
    /// The number that the caller gave.
    pub(super) id: u64,
    /// The caller wants to know no more than that it has ended.
    pub(super) oneway: bool,
}

/// A call that was admitted.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) target: Target,
    pub(super) ticket: Ticket,
    /// The method's index in the table.
    pub(super) method: usize,
    pub(super) deadline: Instant,
    pub(super) encoding: Encoding,
    pub(super) body: Body,
    pub(super) metadata: Metadata,
    /// What may be sent of its items at first, if it takes any.
    pub(super) window: Option<Flow>,
}

/// Where in its message a call's arguments are.
#[derive(Debug, Clone)]
pub(super) enum Body {
    /// The frame after the envelope, and blobs behind it.
    Frames,
    /// Within the only frame.
    Within(Range<usize>),
    /// Nowhere: there are none.
    Absent,
}

/// An array without values.
const NO_ARGUMENTS: &[u8] = &[0x90];

impl Body {
    /// Where these arguments of a plain call lie in its frame.
    pub(super) fn within(frame: &[u8], arguments: &[u8]) -> Self {
        let start = frame.len().saturating_sub(arguments.len());
        match frame.get(start..) {
            Some(tail) if std::ptr::eq(tail, arguments) => Body::Within(start..frame.len()),
            _ => Body::Absent,
        }
    }

    /// What the arguments and blobs are, sharing the message's frames.
    pub(super) fn into_payload(self, message: Message) -> Payload {
        match self {
            Body::Frames => Payload::of_message(message),
            Body::Within(range) if range.end <= message.first().len() => {
                Payload::raw(message.first().slice(range))
            }
            Body::Within(_) | Body::Absent => Payload::raw(NO_ARGUMENTS.to_vec()),
        }
    }

    pub(super) fn of<'m>(&self, message: &'m Message) -> (&'m [u8], &'m [Frame]) {
        match (self, message.frames()) {
            (Body::Frames, [_, body, blobs @ ..]) => (body, blobs),
            (Body::Within(range), [frame, ..]) => (frame.get(range.clone()).unwrap_or(&[]), &[]),
            (_, _) => (NO_ARGUMENTS, &[]),
        }
    }
}

/// A call that waits for a thread.
pub(super) struct Job {
    pub(super) session: Arc<Session>,
    pub(super) call: Call,
    pub(super) message: Message,
}

/// What waits for a thread.
#[allow(
    clippy::large_enum_variant,
    reason = "a call that waits would be allocated for a turn's sake"
)]
pub(super) enum Work {
    Call(Job),
    /// A stream that may go on.
    Turn(Arc<Stream>),
}

/// A call that runs, as its handler sees it.
pub(super) struct Live<'c> {
    pub(super) server: &'c Arc<Shared>,
    pub(super) session: &'c Arc<Session>,
    pub(super) call: &'c Call,
    /// Its items, if it carries some.
    pub(super) stream: Option<&'c Arc<Stream>>,
    pub(super) about: &'static ServiceInfo,
    pub(super) info: &'static MethodInfo,
    /// Somebody else answers.
    pub(super) deferred: Cell<bool>,
}

fn is_unwanted(server: &Shared, session: &Session, call: &Call) -> bool {
    session.is_gone() || server.is_stopping() || session.lock().machine.is_cancelled(call.ticket)
}

impl Running for Live<'_> {
    fn caller(&self) -> &Caller {
        self.session.caller()
    }

    fn deadline(&self) -> Instant {
        self.call.deadline
    }

    fn is_cancelled(&self) -> bool {
        is_unwanted(self.server, self.session, self.call)
    }

    fn metadata(&self) -> &Metadata {
        &self.call.metadata
    }

    fn service(&self) -> &'static ServiceInfo {
        self.about
    }

    fn method(&self) -> &'static MethodInfo {
        self.info
    }

    fn defer(&self) -> Deferred {
        Deferred::new(Later {
            first: !self.deferred.replace(true),
            server: self.server.clone(),
            session: self.session.clone(),
            call: self.call.clone(),
            stream: self.stream.cloned(),
        })
    }

    fn incoming(&self) -> Option<RawIncoming> {
        self.server.incoming(self.stream?)
    }
}

/// A call that is answered after its handler has returned.
struct Later {
    /// Of several for one call, the first one asked for answers.
    first: bool,
    server: Arc<Shared>,
    session: Arc<Session>,
    call: Call,
    stream: Option<Arc<Stream>>,
}

impl Answerer for Later {
    fn finish(self: Box<Self>, outcome: Outcome) {
        if self.first {
            if let Some(stream) = &self.stream {
                return self.server.end_stream(stream, outcome);
            }
            let now = self.server.time(Instant::now());
            self.server
                .finish(&self.session, &self.call, outcome, Duration::ZERO, now);
        }
    }

    fn is_cancelled(&self) -> bool {
        is_unwanted(&self.server, &self.session, &self.call)
    }

    fn deadline(&self) -> Instant {
        self.call.deadline
    }
}
