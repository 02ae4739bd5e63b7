//! Calls of methods that no service here has, taken up by whoever passes them on.
//!
//! ```text
//! receive.rs: a call ── no such method ──► Fallback::pass(Passing, Back)   may not block
//! Hears: items, windows, cancelled, gone ◄── what its caller says meanwhile
//! Back: items, windows, the answer ──► the caller, from whichever thread
//! ```
//!
//! Such a call holds its place in its caller's window until it is answered, as any other, and no
//! thread.
//!
//! # Invariants
//!
//! 1. A call is answered once, whoever answers. (held by `Back::end`)
//! 2. Who has a call hears once that it is wanted no more, also if that was so before it listened.
//!    (test `a_cancelled_call_is_cancelled_at_the_node`)
//! 3. Nothing is kept of a call that has been answered. (held by `Back::unlisten`, and by
//!    `Shared::answer` for those that carry items)
//! 4. What callers let be sent and do not read is bounded, all together, whatever they let be sent.
//!    (test `a_caller_that_lets_all_be_sent_and_reads_nothing_loses_its_stream`)
//!
//! # Not here
//!
//! Where calls are passed on to (`crate::client`), and by what (`crate::proxy`).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use brokerless_patterns::Message;
use parking_lot::Mutex;

use super::answer::Report;
use super::call::{Call, Form, Target};
use super::serve::{Shared, leaving};
use super::session::Session;
use super::stats::Count;
use super::stream::{Over, Stream};
use crate::machine::{Admit, Arrival, Flow, Start, Ticket, Time, Violation};
use crate::service::{MethodInfo, Outcome, Passing};
use crate::status::Status;
use crate::wire::{ItemsHead, Payload, encode_items, encode_stop};

/// What is known of a method that is somewhere else.
static ELSEWHERE: MethodInfo = MethodInfo::new("", "");
/// An index that no method has.
const NO_METHOD: usize = usize::MAX;

/// Takes up the calls of methods that no service of the server has.
pub(crate) trait Fallback: Send + Sync + 'static {
    /// Takes up a call, on the thread that receives: it must not block. The call is answered by
    /// what it is given for that.
    fn pass(&self, call: Passing, back: Back);
    /// What it keeps for callers that do not read.
    fn unread(&self) -> &Arc<Unread>;
}

/// Bytes of items that are kept for callers which let them be sent and do not read them.
pub(crate) struct Unread {
    bytes: AtomicU64,
    most: u64,
}

/// Bytes that are kept, until it is dropped.
pub(crate) struct Kept {
    of: Arc<Unread>,
    bytes: u64,
}

impl Unread {
    /// At most so many bytes, and one message of each stream.
    pub(crate) fn new(most: u64) -> Arc<Unread> {
        let bytes = AtomicU64::new(0);
        Arc::new(Unread { bytes, most })
    }

    /// Keeps so many more, if there is room for them or nothing else of their stream is kept.
    pub(super) fn keep(self: &Arc<Self>, bytes: u64, alone: bool) -> Option<Kept> {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let kept = Kept {
            of: self.clone(),
            bytes,
        };
        (alone || before.saturating_add(bytes) <= self.most).then_some(kept)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.of.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Who has a call, and hears what its caller says meanwhile. Called without a lock held; it must
/// not block.
pub(crate) trait Hears: Send + Sync {
    /// The caller sends items.
    ///
    /// # Errors
    ///
    /// Where it may not: [`gone`](Self::gone) follows.
    fn items(&self, head: &ItemsHead, items: Payload) -> Result<(), Violation>;
    /// The caller lets items be sent.
    fn window(&self, window: Flow);
    /// The caller wants no more items.
    fn stop(&self);
    /// Nobody wants the call any more, for this reason. It is to be answered all the same.
    fn gone(&self, why: &Status);
}

/// Who hears of the calls of one session that are passed on and carry no items.
#[derive(Default)]
pub(super) struct Ears {
    ears: Mutex<HashMap<Ticket, Arc<dyn Hears>>>,
}

impl Ears {
    fn add(&self, ticket: Ticket, ear: Arc<dyn Hears>) {
        self.ears.lock().insert(ticket, ear);
    }

    fn remove(&self, ticket: Ticket) {
        let removed = self.ears.lock().remove(&ticket);
        drop(removed);
    }

    fn get(&self, ticket: Ticket) -> Option<Arc<dyn Hears>> {
        self.ears.lock().get(&ticket).cloned()
    }

    fn all(&self) -> Vec<Arc<dyn Hears>> {
        self.ears.lock().values().cloned().collect()
    }
}

/// A call that is to be passed on, as it came.
pub(super) struct Coming {
    pub(super) target: Target,
    pub(super) via: u64,
    pub(super) bytes: u64,
    pub(super) more: bool,
    pub(super) call: Passing,
}

impl Shared {
    /// A call has come in that is to be passed on.
    pub(super) fn pass(
        self: &Arc<Self>,
        fallback: &Arc<dyn Fallback>,
        session: &Arc<Session>,
        coming: Coming,
        now: Time,
    ) {
        let Coming {
            target,
            via,
            bytes,
            more,
            call: passing,
        } = coming;
        if !self.takes(session, NO_METHOD) {
            return self.is_busy(session, &target);
        }
        let mut state = session.lock();
        let id = match target.form {
            Form::Plain(_) => state.next_number(),
            Form::Session(_) | Form::Sessionless(_) => target.id,
        };
        let arrival = Arrival {
            id,
            via,
            bytes,
            deadline: self.time(passing.deadline),
            used_up: more,
        };
        let admitted = state.machine.arrive(now, arrival);
        let begun = match admitted {
            Admit::Run(ticket) => state.machine.start(now, ticket),
            _ => Start::Run,
        };
        drop(state);
        let ticket = match (admitted, begun) {
            (Admit::Run(ticket), Start::Run) => ticket,
            (Admit::Run(_), Start::Refused(refusal, credit))
            | (Admit::Refused(refusal, credit), _) => {
                self.gives_back(session, NO_METHOD);
                return self.turn_away(session, &target, refusal, credit);
            }
            (Admit::Run(_), Start::Gone) => {
                self.gives_back(session, NO_METHOD);
                return self.counts.one(Count::Abandoned);
            }
            (Admit::Duplicate, _) => {
                self.gives_back(session, NO_METHOD);
                return self.counts.one(Count::Duplicate);
            }
        };
        self.in_flight.begins();
        let call = Call {
            target,
            ticket,
            method: NO_METHOD,
            deadline: passing.deadline,
            encoding: passing.encoding,
            body: super::call::Body::Absent,
            metadata: crate::Metadata::new(),
            window: passing.window,
        };
        let mut back = Back {
            server: self.clone(),
            session: session.clone(),
            call,
            stream: None,
            ended: AtomicBool::new(false),
        };
        if passing.flags.streams() {
            let call = back.call.clone();
            let stream = Arc::new(Stream::passed(session.clone(), call, &ELSEWHERE));
            self.counts.tally.opened();
            back.stream = Some(stream);
        }
        fallback.pass(passing, back);
    }

    /// Nobody wants this call any more, if it is one that is passed on.
    pub(super) fn tell_gone(&self, session: &Session, ticket: Ticket, why: &Status) {
        if let Some(ear) = session.ears.get(ticket) {
            ear.gone(why);
        }
    }

    /// Nobody wants any of the calls of this session any more that are passed on.
    pub(super) fn tell_all_gone(&self, session: &Session, why: &Status) -> u64 {
        let ears = session.ears.all();
        ears.iter().for_each(|ear| ear.gone(why));
        ears.len() as u64
    }
}

/// The way back to the caller of one call.
pub(crate) struct Back {
    server: Arc<Shared>,
    session: Arc<Session>,
    call: Call,
    stream: Option<Arc<Stream>>,
    ended: AtomicBool,
}

impl Back {
    /// Has this one hear what the caller says, from now on and of what it has said before.
    pub(crate) fn listen(&self, ear: &Arc<dyn Hears>) {
        if let Some(stream) = &self.stream {
            stream.listen(ear);
            if !self.server.join(stream) {
                self.server.cut(stream, Over::Gone);
            }
            return;
        }
        let ticket = self.call.ticket;
        self.session.ears.add(ticket, ear.clone());
        if self.ended.load(Ordering::SeqCst) {
            return self.unlisten();
        }
        if self.session.is_gone() {
            ear.gone(&Over::Gone.status());
        } else if self.server.is_stopping() {
            ear.gone(&leaving());
        } else if self.session.lock().machine.is_cancelled(ticket) {
            ear.gone(&Over::Cancelled.status());
        }
    }

    fn unlisten(&self) {
        match &self.stream {
            Some(stream) => stream.unlisten(),
            None => self.session.ears.remove(self.call.ticket),
        }
    }

    /// Answers the call. Nothing, if it has been answered.
    pub(crate) fn end(&self, outcome: Outcome) {
        if self.ended.swap(true, Ordering::SeqCst) {
            return;
        }
        if let Some(stream) = &self.stream {
            return self.server.end_stream(stream, outcome);
        }
        self.unlisten();
        let (server, session) = (&self.server, &self.session);
        let now = server.time(Instant::now());
        server.finish(session, &self.call, outcome, Duration::ZERO, now);
    }

    /// Answers the call: it has not run, as there is no room for it. Its caller may send less from
    /// now on.
    pub(crate) fn turn_back(&self, status: &Status) {
        if self.stream.is_some() {
            return self.end(Outcome::refused(status.clone()));
        }
        if self.ended.swap(true, Ordering::SeqCst) {
            return;
        }
        self.unlisten();
        let (server, session) = (&self.server, &self.session);
        let time = server.time(Instant::now());
        let finish = session.lock().machine.turn_back(time, self.call.ticket);
        server.in_flight.ends();
        server.gives_back(session, NO_METHOD);
        if let Some(finish) = finish {
            server.counts.one(Count::QueueFull);
            let report = Report::new(None, self.server.riding(finish.credit));
            server.say_no(session, &self.call.target, status, report);
        }
        server.told();
    }

    /// Sends items on.
    pub(crate) fn items(&self, head: &ItemsHead, items: Payload) {
        let (Some(stream), Some(fallback)) = (&self.stream, &self.server.fallback) else {
            return;
        };
        let (id, bytes) = (self.call.target.id, items.bytes() as u64);
        let envelope = encode_items(&ItemsHead { id, ..*head });
        let message = match head.count {
            0 => Message::single(envelope),
            _ => items.into_message(envelope),
        };
        let unread = fallback.unread();
        if !stream.post_items(message, bytes, unread) {
            self.server.cut(stream, Over::Unread(unread.most));
            return;
        }
        self.server.counts.tally.items_out(head.count);
        self.server.send_out(stream);
    }

    /// Tells the caller what it may send.
    pub(crate) fn window(&self, window: Flow) {
        if let Some(stream) = &self.stream {
            stream.post_window(window);
            self.server.send_out(stream);
        }
    }

    /// Tells the caller that no more items are wanted.
    pub(crate) fn stop(&self) {
        if let Some(stream) = &self.stream {
            stream.post(Message::single(encode_stop(self.call.target.id)));
            self.server.send_out(stream);
        }
    }
}
