//! Streams on the serving side: calls that carry items.
//!
//! ```text
//!  call: opened by its worker ──► Items: driven by turns ──► out ──► socket
//!                                   ▲ again │ no room                (one thread at a time)
//!                                   │       ▼
//!                            pool's queue ◄─ parked, without a thread ◄── window (hooks.rs)
//!
//!  items (hooks.rs) ──► Inflow ──► gate: the handler's thread, in Incoming
//! ```
//!
//! A stream is a call: it holds its place in the session's window, and counts as in flight, until
//! its answer. It ends once: by what its method gives, or cut off by what is in [`Over`]. What it
//! sends goes through one queue, `out`, which one thread at a time empties, so that the answer
//! never overtakes an item.
//!
//! | file | what |
//! |---|---|
//! | `outgoing.rs` | items that gather, and room for them |
//! | `strip.rs` | small items, between the worker that makes them and those that send |
//! | `turn.rs` | the iterator of a method: opened, driven, dropped |
//! | `send.rs` | what goes out, in order, and how it ends |
//! | `incoming.rs` | items that come, and the handler that waits for them |
//! | `watch.rs` | time limits of streams that nobody runs |
//!
//! # Invariants
//!
//! 1. A stream is answered once, after all of its items. (test
//!    `the_answer_comes_after_all_items_whoever_sends_them`)
//! 2. What a producer has made and its caller has not taken is within the caller's window, but for
//!    one item. (test `a_producer_makes_at_most_its_credit_and_one_item`)
//! 3. Nothing that a method made is dropped under a lock, or on a thread of the engine. (held by
//!    `turn.rs`: the iterator is in the hands of a worker whenever it is touched)
//!
//! # Not here
//!
//! Room and order as rules (`crate::machine`); what a handler sees (`crate::service`).

mod incoming;
mod outgoing;
mod send;
mod strip;
mod turn;
mod watch;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use brokerless_patterns::tap::Gate;
use parking_lot::{Mutex, MutexGuard};

use super::call::Call;
use super::pass::Hears;
use super::session::Session;
use super::stats::Counts;
use crate::machine::{Flow, Violation};
use crate::service::MethodInfo;
use crate::status::Status;
use crate::wire::ItemsHead;
pub(super) use incoming::Came;
use incoming::Taking;
use outgoing::Giving;
use send::Out;
pub(super) use watch::Watch;

/// A call that carries items, from its beginning to its answer.
pub(super) struct Stream {
    pub(super) session: Arc<Session>,
    pub(super) call: Call,
    pub(super) info: &'static MethodInfo,
    /// How long to wait for an item, or for room for one.
    item_timeout: Duration,
    /// Time that workers have spent on it, in nanoseconds.
    busy: AtomicU64,
    /// Where its handler waits for items.
    gate: Gate,
    /// It was cut off: for a look without the lock.
    is_cut: AtomicBool,
    /// It is passed on.
    is_passed: bool,
    state: Mutex<State>,
}

struct State {
    /// Why it was cut off.
    over: Option<Over>,
    incoming: Option<Taking>,
    outgoing: Option<Giving>,
    /// What goes out, in order.
    out: VecDeque<Out>,
    /// A thread empties `out`.
    sending: bool,
    /// The socket has no room for the first of `out`.
    clogged: bool,
    /// It stands in the [line](Streams::line) of those.
    in_line: bool,
    /// It is answered.
    ended: bool,
    /// When the watch looks at it, if it does.
    watched: Option<watch::Key>,
    /// It is passed on: what comes of it goes there.
    ear: Option<Arc<dyn Hears>>,
}

/// Why a stream is cut off.
#[derive(Debug, Clone)]
pub(super) enum Over {
    /// Its caller has cancelled it.
    Cancelled,
    /// Its caller is gone.
    Gone,
    /// Its deadline has passed.
    Deadline,
    /// The caller gave no room for so long.
    NoRoom(Duration),
    /// No item came for so long.
    NoItem(Duration),
    /// The server is leaving.
    Leaving,
    /// Its caller does not read, and so many bytes are kept for such callers at most.
    Unread(u64),
    /// The caller did what it must not.
    Broken(Broken),
}

/// What the caller did.
#[derive(Debug, Clone)]
pub(super) enum Broken {
    /// Against the order or the window.
    Flow(Violation),
    /// Sent an item with a part of so many bytes, of at most so many.
    TooLarge(u64, u64),
    /// Sent what cannot be read.
    Malformed(Status),
}

impl Over {
    /// What the caller is told.
    pub(super) fn status(&self) -> Status {
        match self {
            Over::Cancelled => Status::cancelled("the caller cancelled the call"),
            Over::Gone => Status::cancelled("the caller is gone"),
            Over::Deadline => {
                Status::deadline_exceeded("the deadline passed before the stream had ended")
            }
            Over::NoRoom(waited) => Status::deadline_exceeded(format!(
                "the caller gave no room for an item for {waited:?}: take items faster, or raise the item timeout of the method or server"
            )),
            Over::NoItem(waited) => Status::deadline_exceeded(format!(
                "the caller sent no item for {waited:?}: raise the item timeout of the method or server"
            )),
            Over::Leaving => Status::unavailable("the server left before the stream had ended"),
            Over::Unread(most) => Status::resource_exhausted(format!(
                "the caller does not read the items that it let be sent, and {most} bytes of them are kept for all callers: let less be sent, or raise bytes_max"
            )),
            Over::Broken(Broken::Flow(violation)) => {
                Status::invalid_argument(violation.to_string())
            }
            Over::Broken(Broken::TooLarge(bytes, max)) => Status::resource_exhausted(format!(
                "an item has a part of {bytes} bytes: at most {max} are taken; raise the server's option blob_bytes_max, or send it in parts"
            )),
            Over::Broken(Broken::Malformed(status)) => status.clone(),
        }
    }
}

/// What is to be done about a stream once its lock is let go of.
#[derive(Debug, Default, Clone, Copy)]
#[must_use]
pub(super) struct Todo {
    /// Something goes out, and nobody sees to that.
    pub(super) send: bool,
    /// The handler may go on.
    pub(super) wake: bool,
    /// Its iterator may go on: it is to be queued.
    pub(super) turn: bool,
    /// Items are to be passed on to a channel.
    pub(super) feed: bool,
}

impl Todo {
    /// Whether there is something for [`Shared::act`](super::serve::Shared::act).
    pub(super) fn is_some(self) -> bool {
        self.send || self.turn || self.feed
    }
}

impl Stream {
    /// One whose handler is about to run. `window`: what is un-taken of its items at most.
    pub(super) fn new(
        session: Arc<Session>,
        call: Call,
        info: &'static MethodInfo,
        window: Flow,
        item_timeout: Duration,
    ) -> Self {
        let granted = call.window.unwrap_or_default();
        Stream {
            session,
            call,
            info,
            item_timeout,
            busy: AtomicU64::new(0),
            gate: Gate::new(),
            is_cut: AtomicBool::new(false),
            is_passed: false,
            state: Mutex::new(State {
                over: None,
                incoming: info.items_in.map(|_| Taking::new(window)),
                outgoing: info.items_out.map(|_| Giving::new(granted)),
                out: VecDeque::new(),
                sending: false,
                clogged: false,
                in_line: false,
                ended: false,
                watched: None,
                ear: None,
            }),
        }
    }

    /// One that is passed on: nothing of it is kept here but what goes out.
    pub(super) fn passed(session: Arc<Session>, call: Call, info: &'static MethodInfo) -> Self {
        let mut stream = Stream::new(session, call, info, Flow::default(), Duration::MAX);
        stream.is_passed = true;
        stream
    }

    /// This one listens, before the stream is [there](super::serve::Shared::join) for anybody to speak of it.
    pub(super) fn listen(&self, ear: &Arc<dyn Hears>) {
        self.lock().ear = Some(ear.clone());
    }

    /// Nobody listens any more.
    pub(super) fn unlisten(&self) {
        let ear = self.lock().ear.take();
        drop(ear);
    }

    /// Who hears of it, if it is passed on.
    pub(super) fn ear(&self) -> Option<Arc<dyn Hears>> {
        self.lock().ear.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub(super) fn id(&self) -> u64 {
        self.call.target.id
    }

    /// Whether nobody wants any more of it.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::Acquire)
    }

    /// Cuts it off. Nothing if it has ended, or was cut off before. What the caller did is counted
    /// first: its handler may see the end at once, and answer.
    pub(super) fn cut(&self, counts: &Counts, why: Over) -> Option<Todo> {
        let mut state = self.lock();
        if state.ended || state.over.is_some() {
            return None;
        }
        if let Over::Broken(broken) = &why {
            counts.one(broken.count());
        }
        state.over = Some(why);
        self.is_cut.store(true, Ordering::Release);
        let mut todo = Todo {
            wake: true,
            ..Todo::default()
        };
        let dropped = state.incoming.as_mut().map(Taking::close);
        // What goes out waits for nobody any more, but for its answer.
        if state.clogged {
            state.out.retain(|out| matches!(out, Out::End(_)));
            state.clogged = false;
            todo.send = !state.out.is_empty();
        }
        if let Some(giving) = &mut state.outgoing {
            todo.turn = giving.unpark();
        }
        drop(state);
        drop(dropped);
        Some(todo)
    }

    /// Wakes the handler that waits for items: may be called with locks of the engine held.
    pub(super) fn wake(&self) {
        self.gate.wake(usize::MAX);
    }

    /// Workers have spent so much on it.
    fn spent(&self, took: Duration) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.busy.fetch_add(took, Ordering::Relaxed);
    }

    /// What has come of it when its method gave no end: why it was cut off.
    fn verdict(&self) -> Option<Status> {
        self.lock().over.as_ref().map(Over::status)
    }

    /// Since when nobody has run it, if its iterator waits for room: and how long it may.
    fn times_out(&self, state: &State) -> Option<(Instant, Over)> {
        let parked = state.outgoing.as_ref()?.parked_at()?;
        let deadline = self.call.deadline;
        let (room, over) = match parked.checked_add(self.item_timeout) {
            Some(room) if room < deadline => (room, Over::NoRoom(self.item_timeout)),
            _ => (deadline, Over::Deadline),
        };
        Some((room, over))
    }
}

/// The streams of a session, by the numbers of their calls.
#[derive(Default)]
pub(super) struct Streams {
    table: Mutex<Table>,
    /// Those for which the socket had no room, in the order in which they found that: else those
    /// that are looked at first would have all of it.
    line: Mutex<VecDeque<Arc<Stream>>>,
}

/// Streams that are not known of which something is kept: windows and ends are picked where they are
/// read, and overtake calls that wait for a worker. Those of streams that have ended are among them,
/// and come to nothing.
const EARLY_MAX: usize = 1024;

/// What its caller has said of a stream before that was known.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Early {
    pub(super) window: Option<Flow>,
    /// The end of its items, of which there are none.
    pub(super) end: Option<ItemsHead>,
}

#[derive(Default)]
struct Table {
    open: HashMap<u64, Arc<Stream>>,
    early: HashMap<u64, Early>,
    /// Their numbers, the oldest first; some of them may have been used.
    order: VecDeque<u64>,
    closed: bool,
}

impl Table {
    /// Keeps a window for a stream that may yet come. Says how many came to nothing.
    fn keep_window(&mut self, id: u64, window: Flow) -> u64 {
        let (early, passed_over) = self.early(id);
        match &mut early.window {
            Some(known) => {
                known.items = known.items.max(window.items);
                known.bytes = known.bytes.max(window.bytes);
                // One for both.
                passed_over + 1
            }
            none => {
                *none = Some(window);
                passed_over
            }
        }
    }

    /// The same for the end of its items.
    fn keep_end(&mut self, head: &ItemsHead) -> u64 {
        let (early, passed_over) = self.early(head.id);
        let before = early.end.replace(*head);
        passed_over + u64::from(before.is_some())
    }

    /// What is kept for a stream, and how many messages came to nothing for its sake.
    fn early(&mut self, id: u64) -> (&mut Early, u64) {
        let mut passed_over = 0;
        if !self.early.contains_key(&id) {
            if self.order.len() >= EARLY_MAX
                && let Some(oldest) = self.order.pop_front()
                && let Some(early) = self.early.remove(&oldest)
            {
                passed_over = u64::from(early.window.is_some()) + u64::from(early.end.is_some());
            }
            self.order.push_back(id);
        }
        (self.early.entry(id).or_default(), passed_over)
    }
}

impl Streams {
    /// Keeps one, and gives what was said of it before; none if the session is over.
    pub(super) fn add(&self, stream: &Arc<Stream>) -> Option<Early> {
        let mut table = self.table.lock();
        if table.closed {
            return None;
        }
        table.open.insert(stream.id(), stream.clone());
        let early = table.early.remove(&stream.id());
        Some(early.unwrap_or_default())
    }

    /// One of this number, which more is granted; if there is none it is kept for a while. Says how
    /// many such have come to nothing.
    pub(super) fn granted(&self, id: u64, window: Flow) -> Result<Arc<Stream>, u64> {
        let mut table = self.table.lock();
        if let Some(stream) = table.open.get(&id) {
            return Ok(stream.clone());
        }
        if table.closed {
            return Err(1);
        }
        Err(table.keep_window(id, window))
    }

    /// One of this number, for which items came; if there is none, that they end before they have
    /// begun is kept for a while. Says how many messages have come to nothing.
    pub(super) fn given(&self, head: &ItemsHead) -> Result<Arc<Stream>, u64> {
        let mut table = self.table.lock();
        if let Some(stream) = table.open.get(&head.id) {
            return Ok(stream.clone());
        }
        if table.closed || (head.first, head.count, head.last) != (0, 0, true) {
            return Err(1);
        }
        Err(table.keep_end(head))
    }

    pub(super) fn get(&self, id: u64) -> Option<Arc<Stream>> {
        self.table.lock().open.get(&id).cloned()
    }

    pub(super) fn remove(&self, id: u64) {
        let removed = self.table.lock().open.remove(&id);
        drop(removed);
    }

    pub(super) fn all(&self) -> Vec<Arc<Stream>> {
        self.table.lock().open.values().cloned().collect()
    }

    /// One found no room in the socket.
    fn line_up(&self, stream: Arc<Stream>) {
        self.line.lock().push_back(stream);
    }

    /// How many wait for room.
    fn in_line(&self) -> usize {
        self.line.lock().len()
    }

    /// The one that has waited for room the longest.
    fn first_in_line(&self) -> Option<Arc<Stream>> {
        self.line.lock().front().cloned()
    }

    /// It is that no more.
    fn step_out(&self, stream: &Arc<Stream>) {
        let mut line = self.line.lock();
        let at = line.iter().position(|other| Arc::ptr_eq(other, stream));
        let out = at.and_then(|at| line.remove(at));
        drop(line);
        drop(out);
    }

    /// The session is over: gives those that end with it.
    pub(super) fn close(&self) -> Vec<Arc<Stream>> {
        let mut table = self.table.lock();
        table.closed = true;
        let open = std::mem::take(&mut table.open);
        drop(table);
        let line = std::mem::take(&mut *self.line.lock());
        drop(line);
        open.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_streams_that_never_come_is_bounded_and_counted() {
        let streams = Streams::default();
        let many = EARLY_MAX as u64 * 3;
        let mut passed_over = 0;
        for id in 1..=many {
            let mut head = ItemsHead::new(id, 0, 0);
            head.last = true;
            passed_over += streams.given(&head).map_or_else(|count| count, |_| 0);
            let window = Flow::new(1, 1);
            passed_over += streams
                .granted(id, window)
                .map_or_else(|count| count, |_| 0);
        }
        let table = streams.table.lock();
        assert_eq!(
            (table.early.len(), table.order.len()),
            (EARLY_MAX, EARLY_MAX)
        );
        assert_eq!(passed_over, 2 * (many - EARLY_MAX as u64));
    }
}
