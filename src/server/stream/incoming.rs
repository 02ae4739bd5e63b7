//! Items that a caller sends, and the handler that waits for them.
//!
//! They are put in order by the thread that reads them, which then wakes the handler's thread: or
//! is it, since a handler that waits leads the engine meanwhile. A ping-pong costs no thread switch.
//!
//! # Invariants
//!
//! 1. The caller may send nothing before the handler has begun. (test
//!    `a_caller_sends_nothing_before_the_handler_has_begun`)
//! 2. A handler is given the items in order, whichever thread took them. (test
//!    `items_that_come_out_of_order_are_given_in_order`)
//! 3. What is kept of items is within the window; what is beyond it ends the stream, and not the
//!    connection. (test `a_caller_that_breaks_the_rules_loses_its_stream_and_nothing_else`)
//! 4. Who waits for items in another thread than the handler's hears at once that the call is
//!    answered. (test `items_in_other_hands_end_with_the_answer`)

use std::sync::Arc;
use std::time::Instant;

use brokerless_patterns::{Frame, Message};
use crossbeam_channel::{Receiver, Sender};

use super::send::Post;
use super::{Broken, Over, Stream, Todo};
use crate::machine::{Flow, Inflow};
use crate::server::serve::Shared;
use crate::server::session::Session;
use crate::server::stats::{Count, Counts, Tally};
use crate::service::{Batch, RawIncoming, RawItem, Supply};
use crate::status::Status;
use crate::wire::{Encoding, ItemsHead, Payload};

/// What one stream is sent.
pub(super) struct Taking {
    flow: Inflow<Batch>,
    /// The caller has been told that it may send.
    open: bool,
    /// Nobody wants more.
    closed: bool,
    /// Where items go one by one, once somebody has asked for that.
    channel: Channel,
    /// A thread passes them on to it.
    feeding: bool,
}

/// What is dropped without a lock: whoever waits for it is woken.
#[must_use = "it is dropped once the lock is let go of"]
pub(super) struct Dropped {
    _channel: Option<Sender<RawItem>>,
    _batches: Vec<Batch>,
}

enum Channel {
    Never,
    Open(Sender<RawItem>),
    Closed,
}

/// What a handler that asks for items gets.
enum Given {
    Batch(Batch),
    /// There are no more.
    End,
    /// It is cut off.
    Over(Status),
    /// They go to a channel.
    Elsewhere,
}

impl Taking {
    pub(super) fn new(window: Flow) -> Self {
        Taking {
            flow: Inflow::new(window),
            open: false,
            closed: false,
            channel: Channel::Never,
            feeding: false,
        }
    }

    /// What the caller may send, if that is to be told.
    pub(super) fn due(&mut self, about_to_wait: bool) -> Option<Flow> {
        if !self.open || self.closed {
            return None;
        }
        self.flow.due_window(about_to_wait)
    }

    /// No more is wanted: what came is dropped.
    pub(super) fn close(&mut self) -> Dropped {
        self.closed = true;
        let batches = std::iter::from_fn(|| self.flow.next());
        let _batches = batches.collect();
        Dropped {
            _batches,
            _channel: self.close_channel(),
        }
    }

    fn close_channel(&mut self) -> Option<Sender<RawItem>> {
        match std::mem::replace(&mut self.channel, Channel::Closed) {
            Channel::Open(sender) => Some(sender),
            Channel::Never => {
                self.channel = Channel::Never;
                None
            }
            Channel::Closed => None,
        }
    }

    /// The next message for the channel; the channel itself once there are no more.
    fn next_to_feed(&mut self) -> Feed {
        let Channel::Open(channel) = &self.channel else {
            return Feed::Nothing(None);
        };
        match self.flow.next() {
            Some(batch) => Feed::Batch(batch, channel.clone()),
            None if self.flow.is_ended() => Feed::Nothing(self.close_channel()),
            None => Feed::Nothing(None),
        }
    }
}

enum Feed {
    Batch(Batch, Sender<RawItem>),
    Nothing(Option<Sender<RawItem>>),
}

/// What became of items that came.
enum Arrived {
    Taken(Todo),
    /// They are to be passed on.
    Passed(Payload),
    /// Nobody wants them.
    Late,
    Broken(Broken),
}

/// What follows from what came.
pub(in crate::server) enum Came {
    Todo(Todo),
    /// Items that are to be passed on.
    Items(ItemsHead, Payload),
    /// The same of a window.
    Window(Flow),
    /// The stream is to be cut off.
    Broken(Broken),
}

impl Session {
    /// Items have come, for a call of this session. May be called with locks of the engine held;
    /// what follows is done without.
    pub(in crate::server) fn items(
        &self,
        counts: &Counts,
        head: &ItemsHead,
        message: Message,
        part_max: u64,
    ) -> (Option<Arc<Stream>>, Came) {
        let stream = match self.streams.given(head) {
            Ok(stream) => stream,
            Err(passed_over) => {
                counts.add(Count::StreamOver, passed_over);
                return (None, Came::Todo(Todo::default()));
            }
        };
        let mut todo = match stream.arrive(&counts.tally, head, message, part_max) {
            Arrived::Taken(todo) => todo,
            Arrived::Passed(items) => {
                counts.tally.items_in(head.count);
                return (Some(stream), Came::Items(*head, items));
            }
            Arrived::Late => {
                counts.one(Count::StreamOver);
                Todo::default()
            }
            Arrived::Broken(broken) => return (Some(stream), Came::Broken(broken)),
        };
        if let Some(window) = head.window {
            let more = stream.granted(&counts.tally, window);
            todo.send |= more.send;
            todo.turn |= more.turn;
        }
        (Some(stream), Came::Todo(todo))
    }

    /// The caller lets more be sent, as [`items`](Self::items).
    pub(in crate::server) fn window(
        &self,
        counts: &Counts,
        id: u64,
        window: Flow,
    ) -> (Option<Arc<Stream>>, Came) {
        match self.streams.granted(id, window) {
            Ok(stream) if stream.is_passed() => (Some(stream), Came::Window(window)),
            Ok(stream) => {
                let todo = stream.granted(&counts.tally, window);
                (Some(stream), Came::Todo(todo))
            }
            Err(passed_over) => {
                counts.add(Count::StreamOver, passed_over);
                (None, Came::Todo(Todo::default()))
            }
        }
    }
}

impl Stream {
    /// Items have come. May be called with locks of the engine held. They are counted before its
    /// handler can take them.
    fn arrive(&self, tally: &Tally, head: &ItemsHead, message: Message, part_max: u64) -> Arrived {
        let items = Payload::of_message(message);
        let parts = std::iter::once(&items.body).chain(&items.blobs);
        let (mut bytes, mut largest) = (0, 0);
        for part in parts {
            let length = part.len() as u64;
            bytes += length;
            largest = largest.max(length);
        }
        if largest > part_max {
            return Arrived::Broken(Broken::TooLarge(largest, part_max));
        }
        if self.is_passed() {
            return match self.is_cut() {
                true => Arrived::Late,
                false => Arrived::Passed(items),
            };
        }
        let Payload { body, blobs } = items;
        let raw = self.call.encoding != Encoding::MessagePack;
        if raw && head.count > 1 {
            let status = Status::invalid_argument(
                "several items in one message, in an encoding of their own: each goes alone",
            );
            return Arrived::Broken(Broken::Malformed(status));
        }
        let batch = Batch {
            first: head.first,
            count: head.count,
            body,
            blobs,
        };
        let mut state = self.lock();
        let state = &mut *state;
        let Some(taking) = &mut state.incoming else {
            return Arrived::Late;
        };
        if taking.closed || state.over.is_some() || state.ended {
            return Arrived::Late;
        }
        let arrived = taking
            .flow
            .arrive(head.first, head.count, bytes, head.last, batch);
        if let Err(violation) = arrived {
            return Arrived::Broken(Broken::Flow(violation));
        }
        tally.items_in(head.count);
        let feed = matches!(taking.channel, Channel::Open(_));
        Arrived::Taken(Todo {
            wake: !feed,
            feed,
            ..Todo::default()
        })
    }

    /// What there is for a handler that asks for items.
    fn give(&self) -> Option<Given> {
        let mut state = self.lock();
        let state = &mut *state;
        let taking = state.incoming.as_mut()?;
        if let Some(over) = &state.over {
            return Some(Given::Over(over.status()));
        }
        if taking.closed {
            return Some(Given::Over(Status::cancelled(
                "the call has been answered: no more of its items are taken",
            )));
        }
        if let Channel::Open(_) = taking.channel {
            return Some(Given::Elsewhere);
        }
        match taking.flow.next() {
            Some(batch) => Some(Given::Batch(batch)),
            None if taking.flow.is_ended() => Some(Given::End),
            None => None,
        }
    }

    fn took(&self, items: u32, bytes: u64) -> bool {
        let mut state = self.lock();
        let Some(taking) = &mut state.incoming else {
            return false;
        };
        taking.flow.took(items, bytes);
        let (mut post, _) = state.post(self.id());
        post.window(false);
        state.is_to_send()
    }

    /// The caller is told what it may send, as nothing else is to be done.
    fn tell_before_waiting(&self) -> bool {
        let mut state = self.lock();
        let (mut post, _) = state.post(self.id());
        post.window(true);
        state.is_to_send()
    }
}

impl Shared {
    /// Items have come.
    pub(in crate::server) fn items(
        self: &Arc<Self>,
        session: &Session,
        head: &ItemsHead,
        message: Message,
    ) {
        let most = self.settings.blob_bytes_max;
        let (stream, came) = session.items(&self.counts, head, message, most);
        self.see_to(stream, came);
    }

    /// A caller lets more be sent.
    pub(in crate::server) fn window(self: &Arc<Self>, session: &Session, id: u64, window: Flow) {
        let (stream, came) = session.window(&self.counts, id, window);
        self.see_to(stream, came);
    }

    /// Does what is to be done after something came for a stream.
    pub(in crate::server) fn see_to(self: &Arc<Self>, stream: Option<Arc<Stream>>, came: Came) {
        let Some(stream) = stream else {
            return;
        };
        match came {
            Came::Todo(todo) => self.act(&stream, todo),
            Came::Broken(broken) => drop(self.cut(&stream, Over::Broken(broken))),
            Came::Items(head, items) => {
                if let Some(ear) = stream.ear()
                    && let Err(violation) = ear.items(&head, items)
                {
                    self.cut(&stream, Over::Broken(Broken::Flow(violation)));
                }
            }
            Came::Window(window) => {
                if let Some(ear) = stream.ear() {
                    ear.window(window);
                }
            }
        }
    }

    /// A stream is there from now on, for what its caller says of it and has said before; it is cut
    /// off at once if that is how it stands. False if the session is over.
    pub(in crate::server) fn join(self: &Arc<Self>, stream: &Arc<Stream>) -> bool {
        let session = &stream.session;
        let Some(early) = session.streams.add(stream) else {
            return false;
        };
        if let Some(window) = early.window {
            self.window(session, stream.id(), window);
        }
        if let Some(head) = early.end {
            self.items(session, &head, Message::single(Frame::new()));
        }
        // What came before it stood in the table was told to nobody.
        if session.lock().machine.is_cancelled(stream.call.ticket) {
            self.cut(stream, Over::Cancelled);
        }
        if self.is_stopping() {
            self.cut(stream, Over::Leaving);
        }
        true
    }

    /// The items of a call, for its handler; once.
    pub(in crate::server) fn incoming(
        self: &Arc<Self>,
        stream: &Arc<Stream>,
    ) -> Option<RawIncoming> {
        let sends = {
            let mut state = stream.lock();
            let taking = state.incoming.as_mut()?;
            if std::mem::replace(&mut taking.open, true) {
                return None;
            }
            let window = taking.flow.first_window();
            let mut post = Post::new(stream.id(), None, &mut state.out);
            post.first_window(window);
            state.is_to_send()
        };
        if sends {
            self.send_out(stream);
        }
        Some(RawIncoming::new(Supplier {
            shared: self.clone(),
            stream: stream.clone(),
        }))
    }

    /// Passes items on to the channel that somebody has asked for.
    pub(super) fn feed(self: &Arc<Self>, stream: &Arc<Stream>) {
        self.feed_on(stream, false);
    }

    /// `goes_on`: this thread is the one that does it.
    fn feed_on(self: &Arc<Self>, stream: &Arc<Stream>, mut goes_on: bool) {
        loop {
            let feed = {
                let mut state = stream.lock();
                let Some(taking) = &mut state.incoming else {
                    return;
                };
                if taking.feeding && !goes_on {
                    return;
                }
                let feed = taking.next_to_feed();
                taking.feeding = matches!(feed, Feed::Batch(..));
                feed
            };
            goes_on = true;
            match feed {
                Feed::Batch(batch, channel) => self.feed_batch(stream, batch, &channel),
                Feed::Nothing(closed) => return drop(closed),
            }
        }
    }

    fn feed_batch(self: &Arc<Self>, stream: &Arc<Stream>, batch: Batch, channel: &Sender<RawItem>) {
        let (shared, own) = (Arc::downgrade(self), Arc::downgrade(stream));
        let taken: Arc<dyn Fn(u64) + Send + Sync> = Arc::new(move |bytes| {
            if let (Some(shared), Some(stream)) = (shared.upgrade(), own.upgrade())
                && stream.took(1, bytes)
            {
                shared.send_out(&stream);
            }
        });
        let (items, error) = batch.split(stream.info, &taken);
        for item in items {
            // One that nobody is there to take counts as taken.
            drop(channel.send(item));
        }
        if let Some(error) = error {
            let status = Status::invalid_argument(format!(
                "a message of items is not as many values as it says: {error}"
            ));
            self.cut(stream, Over::Broken(Broken::Malformed(status)));
        }
    }
}

/// Gives a handler its items.
struct Supplier {
    shared: Arc<Shared>,
    stream: Arc<Stream>,
}

impl Supplier {
    /// Waits for items, until the item's or the call's deadline.
    fn wait(&self) -> Option<Given> {
        let (shared, stream) = (&self.shared, &self.stream);
        let group = shared.group_of(&stream.session)?;
        if stream.tell_before_waiting() {
            shared.send_out(stream);
        }
        let now = Instant::now();
        let item = now.checked_add(stream.item_timeout);
        let deadline = item.map_or(stream.call.deadline, |at| at.min(stream.call.deadline));
        let drive = group.router.drive();
        let given = stream
            .gate
            .wait(&group.engine, drive, Some(deadline), || stream.give());
        if given.is_some() {
            return given;
        }
        let why = if deadline == stream.call.deadline {
            Over::Deadline
        } else {
            Over::NoItem(stream.item_timeout)
        };
        shared.cut(stream, why);
        stream.give()
    }
}

impl Supply for Supplier {
    fn next(&mut self) -> Option<Result<Batch, Status>> {
        let given = self.stream.give().or_else(|| self.wait());
        match given {
            Some(Given::Batch(batch)) => Some(Ok(batch)),
            Some(Given::End) => None,
            Some(Given::Over(status)) => Some(Err(status)),
            Some(Given::Elsewhere) => Some(Err(Status::failed_precondition(
                "the items go to a channel: take them there until it is closed",
            ))),
            None => Some(Err(Status::internal("the items have no place to come to"))),
        }
    }

    fn took(&mut self, items: u32, bytes: u64) {
        if self.stream.took(items, bytes) {
            self.shared.send_out(&self.stream);
        }
    }

    fn broke(&mut self, why: &Status) {
        let broken = Broken::Malformed(why.clone());
        self.shared.cut(&self.stream, Over::Broken(broken));
    }

    fn receiver(&mut self, rest: Batch) -> Receiver<RawItem> {
        // What it holds is within the window.
        let (sender, receiver) = crossbeam_channel::unbounded();
        {
            let mut state = self.stream.lock();
            let over = state.over.is_some();
            match &mut state.incoming {
                Some(taking) if !over && matches!(taking.channel, Channel::Never) => {
                    taking.channel = Channel::Open(sender.clone());
                    taking.feeding = true;
                }
                _ => return crossbeam_channel::bounded(0).1,
            }
        }
        if rest.count > 0 {
            self.shared.feed_batch(&self.stream, rest, &sender);
        }
        drop(sender);
        self.shared.feed_on(&self.stream, true);
        receiver
    }
}

impl Drop for Supplier {
    fn drop(&mut self) {
        let (sends, dropped) = {
            let mut state = self.stream.lock();
            let state = &mut *state;
            let quiet = state.over.is_some() || state.ended;
            let Some(taking) = &mut state.incoming else {
                return;
            };
            let tells = !(quiet || taking.closed || taking.flow.end_is_known());
            let dropped = taking.close();
            if tells {
                let (mut post, _) = state.post(self.stream.id());
                post.stop();
            }
            (state.is_to_send(), dropped)
        };
        drop(dropped);
        if sends {
            self.shared.send_out(&self.stream);
        }
    }
}
