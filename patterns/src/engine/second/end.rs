//! What goes out to a peer over the second engine, and what is known of it on the way.
//!
//! A message waits here until the endpoint's task gives it to the crate. The crate says nothing
//! of what it has written, but it drops a message once it has: so the last frame of each carries
//! a [`Ticket`], whose end is the sign.
//!
//! ```text
//! program: push --> queue -- task: begin --> under way (in the crate) -- Ticket drops --> written
//!                     ^                          |
//!                     +----- send has failed ----+
//! ```
//!
//! # Invariants
//!
//! 1. A message is in the queue, under way, or counted as written, dropped or passed over: the
//!    books balance at every moment. (test
//!    `a_message_that_the_crate_does_not_take_is_the_next_again`)
//! 2. No ticket is dropped with `state` locked. (held by `End::begin`, which gives it out)
//!
//! # Not here
//!
//! Whose turn it is (`super::endpoint`).

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;
use zeromq::ZmqMessage;

use super::super::outbox::{After, Offered, OutboxCounts, Refused, Told};
use super::super::owner::{Owner, Settings};
use crate::message::Message;
use crate::zmtp::SocketType;

/// Messages of one pipe that the crate may hold: far from the 100,000 at which it would wait with
/// a lock held that others need.
const UNDER_WAY_MAX: usize = 10_000;

static NEXT_NUMBER: AtomicU64 = AtomicU64::new(1);

/// What an endpoint's task is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Wish {
    /// To go on.
    Serve = 0,
    /// To accept nobody any more.
    Unbind = 1,
    /// To end.
    Stop = 2,
}

/// How an endpoint's task is told that there is something to do.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    rung: Notify,
    ready: Mutex<VecDeque<u64>>,
    wish: AtomicU8,
}

impl Bell {
    /// Tells the task; a wish is never taken back.
    pub(crate) fn wish(&self, wish: Wish) {
        self.wish.fetch_max(wish as u8, Ordering::SeqCst);
        self.rung.notify_one();
    }

    pub(super) fn wishes(&self) -> Wish {
        match self.wish.load(Ordering::SeqCst) {
            0 => Wish::Serve,
            1 => Wish::Unbind,
            _ => Wish::Stop,
        }
    }

    pub(super) async fn rung(&self) {
        self.rung.notified().await;
    }

    /// The next end that has something to send, or to tell.
    pub(super) fn next(&self) -> Option<u64> {
        self.ready.lock().pop_front()
    }

    fn ring(&self, number: u64) {
        self.ready.lock().push_back(number);
        self.rung.notify_one();
    }
}

/// One peer's way out; or one endpoint's, where the crate does not tell its peers apart.
pub(crate) struct End {
    number: u64,
    me: Weak<End>,
    owner: Weak<dyn Owner>,
    bell: Arc<Bell>,
    messages_max: usize,
    bytes_max: usize,
    /// It sends to many: what the crate has taken is not held against the limits, so that one
    /// that does not read costs the others nothing.
    publishes: bool,
    reading: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Message>,
    queue_bytes: usize,
    under_way: usize,
    under_way_bytes: usize,
    /// What the task is giving to the crate right now, to be taken back if that fails.
    giving: Option<(u64, Message)>,
    serial: u64,
    /// The number of the connection; tickets of an earlier one were lost with it.
    epoch: u64,
    linked: bool,
    closed: bool,
    /// In the bell's list.
    listed: bool,
    /// Somebody found no room, or waits for everything to have gone out.
    awaited: bool,
    told: bool,
    /// Topics that begin (true) or end, not told yet.
    topics: BTreeMap<Box<[u8]>, bool>,
    pushed: u64,
    pushed_bytes: u64,
    written: u64,
    dropped: u64,
    passed_over: u64,
}

impl End {
    pub(crate) fn new(
        owner: Weak<dyn Owner>,
        kind: SocketType,
        settings: &Settings,
        bell: Arc<Bell>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|me| End {
            number: NEXT_NUMBER.fetch_add(1, Ordering::Relaxed),
            me: me.clone(),
            owner,
            bell,
            messages_max: settings.send_messages_max,
            bytes_max: settings.send_bytes_max,
            publishes: kind == SocketType::Pub,
            reading: AtomicBool::new(true),
            state: Mutex::default(),
        })
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    fn list(&self, state: &mut State) {
        if !std::mem::replace(&mut state.listed, true) {
            self.bell.ring(self.number);
        }
    }

    /// Queues a message, or gives it back.
    pub(crate) fn push(&self, message: Message) -> Result<(), (Refused, Message)> {
        let mut state = self.state.lock();
        if state.closed {
            return Err((Refused::Gone, message));
        }
        let bytes = message.bytes();
        if self.is_full(&state, bytes) {
            state.awaited = true;
            return Err((Refused::Full, message));
        }
        state.pushed += 1;
        state.pushed_bytes += bytes as u64;
        state.queue_bytes += bytes;
        state.queue.push_back(message);
        self.list(&mut state);
        Ok(())
    }

    /// Queues a message that goes to others too; without room for it, it is dropped and counted.
    pub(crate) fn offer(&self, message: &Message) -> Offered {
        match self.push(message.clone()) {
            Ok(()) => Offered::Taken(After::default()),
            Err((Refused::Gone, _)) => Offered::Gone,
            Err((Refused::Full, message)) => {
                let mut state = self.state.lock();
                state.pushed += 1;
                state.pushed_bytes += message.bytes() as u64;
                state.passed_over += 1;
                Offered::PassedOver
            }
        }
    }

    fn is_full(&self, state: &State, bytes: usize) -> bool {
        let (mut messages, mut queued) = (state.queue.len(), state.queue_bytes);
        if !self.publishes {
            messages += state.under_way;
            queued += state.under_way_bytes;
        }
        messages >= self.messages_max || (messages > 0 && queued + bytes > self.bytes_max)
    }

    pub(crate) fn has_room(&self) -> bool {
        let state = self.state.lock();
        !state.closed && !self.is_full(&state, 0)
    }

    pub(crate) fn is_linked(&self) -> bool {
        self.state.lock().linked
    }

    /// Whether nothing is left to go out; if something is, the owner hears when it has gone.
    pub(crate) fn is_drained(&self) -> bool {
        let mut state = self.state.lock();
        let drained = state.queue.is_empty() && state.under_way == 0;
        state.awaited |= !drained;
        drained
    }

    /// A topic begins or ends. One that was told and taken back meanwhile is told of once, or not
    /// at all, so what waits here is limited by the topics themselves.
    pub(crate) fn tell(&self, begins: bool, topic: &[u8]) -> Told {
        let mut state = self.state.lock();
        if !state.told || state.closed {
            return Told::Nobody;
        }
        state.topics.insert(topic.into(), begins);
        self.list(&mut state);
        Told::Queued
    }

    /// Every topic, before those that come later.
    pub(crate) fn tell_first<'a>(&self, topics: impl Iterator<Item = &'a [u8]>) {
        let mut state = self.state.lock();
        state.told = true;
        state
            .topics
            .extend(topics.map(|topic| (Box::from(topic), true)));
        self.list(&mut state);
    }

    pub(super) fn take_topics(&self) -> BTreeMap<Box<[u8]>, bool> {
        std::mem::take(&mut self.state.lock().topics)
    }

    /// Ends it: what is queued is dropped and counted.
    pub(crate) fn close(&self) {
        let dropped = {
            let mut state = self.state.lock();
            state.closed = true;
            state.linked = false;
            state.epoch += 1;
            state.dropped += state.queue.len() as u64;
            state.queue_bytes = 0;
            std::mem::take(&mut state.queue)
        };
        drop(dropped);
    }

    pub(crate) fn set_reading(&self, reading: bool) {
        self.reading.store(reading, Ordering::SeqCst);
        if reading {
            self.bell.rung.notify_one();
        }
    }

    pub(super) fn is_reading(&self) -> bool {
        self.reading.load(Ordering::SeqCst) || self.state.lock().closed
    }

    pub(crate) fn counts(&self) -> OutboxCounts {
        let state = self.state.lock();
        OutboxCounts {
            pushed: state.pushed,
            pushed_bytes: state.pushed_bytes,
            written: state.written,
            dropped: state.dropped,
            passed_over: state.passed_over,
            conflated: 0,
            queued: state.queue.len() + state.under_way,
            queued_bytes: state.queue_bytes + state.under_way_bytes,
        }
    }

    // For the endpoint's task.

    /// There is a peer, or none any more.
    pub(super) fn set_linked(&self, linked: bool) {
        let mut state = self.state.lock();
        state.linked = linked && !state.closed;
        if !linked {
            state.epoch += 1;
        } else if !state.queue.is_empty() {
            self.list(&mut state);
        }
    }

    /// Taken off the bell's list: what is queued from now on rings it again.
    pub(super) fn unlist(&self) {
        self.state.lock().listed = false;
    }

    /// Puts it on the bell's list: there is more.
    pub(super) fn list_again(&self) {
        self.list(&mut self.state.lock());
    }

    /// The next message, for the crate; [`gave`](Self::gave) has to follow.
    pub(super) fn begin(&self) -> Option<ZmqMessage> {
        let mut state = self.state.lock();
        if !state.linked || (state.under_way >= UNDER_WAY_MAX && !self.publishes) {
            return None;
        }
        let end = self.me.upgrade()?;
        let message = state.queue.pop_front()?;
        let bytes = message.bytes();
        state.queue_bytes -= bytes;
        state.under_way += 1;
        state.under_way_bytes += bytes;
        state.serial += 1;
        let (serial, epoch) = (state.serial, state.epoch);
        let mut frames: VecDeque<Bytes> = message.iter().cloned().map(Bytes::from).collect();
        state.giving = Some((serial, message));
        drop(state);
        let last = frames.pop_back().unwrap_or_default();
        frames.push_back(Bytes::from_owner(Ticket {
            frame: last,
            end,
            bytes,
            serial,
            epoch,
        }));
        ZmqMessage::try_from(frames).ok()
    }

    /// The crate has taken the message, or has not: then the ticket has put it back.
    pub(super) fn gave(&self) {
        let given = self.state.lock().giving.take();
        drop(given);
    }

    fn returned(&self, ticket: &Ticket) {
        let awaited = {
            let mut state = self.state.lock();
            state.under_way -= 1;
            state.under_way_bytes -= ticket.bytes;
            let failed = matches!(state.giving, Some((serial, _)) if serial == ticket.serial);
            match state.giving.take_if(|_| failed) {
                Some((_, message)) if !state.closed => {
                    state.queue_bytes += ticket.bytes;
                    state.queue.push_front(message);
                }
                Some(_) => state.dropped += 1,
                None if ticket.epoch == state.epoch => state.written += 1,
                None => state.dropped += 1,
            }
            if state.under_way + 1 == UNDER_WAY_MAX {
                self.list(&mut state);
            }
            // Who waits is woken for half a queue: for each message it would cost more than that.
            let left = state.queue.len() + state.under_way;
            left <= self.messages_max / 2 && std::mem::take(&mut state.awaited)
        };
        if awaited && let Some(owner) = self.owner.upgrade() {
            owner.room();
        }
    }
}

impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("second::End")
    }
}

/// The last frame of a message that the crate has: its end says that the crate has let it go.
struct Ticket {
    frame: Bytes,
    end: Arc<End>,
    bytes: usize,
    serial: u64,
    epoch: u64,
}

impl AsRef<[u8]> for Ticket {
    fn as_ref(&self) -> &[u8] {
        &self.frame
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.end.returned(self);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::Options;
    use crate::socket::core::Core;

    /// An end with a peer, for so many messages.
    fn end(messages_max: usize) -> Arc<End> {
        let settings = Options::new()
            .send_messages_max(messages_max)
            .settings(SocketType::Dealer);
        let owner: Weak<dyn Owner> = Weak::<Core>::new();
        let end = End::new(owner, SocketType::Dealer, &settings, Arc::default());
        end.set_linked(true);
        end
    }

    /// Pushed, written, dropped, queued.
    fn books(end: &End) -> [u64; 4] {
        let counts = end.counts();
        assert_eq!(
            counts.pushed,
            counts.written + counts.dropped + counts.queued as u64
        );
        [
            counts.pushed,
            counts.written,
            counts.dropped,
            counts.queued as u64,
        ]
    }

    #[test]
    fn a_message_is_written_when_the_crate_lets_go_of_it() {
        let end = end(10);
        end.push(Message::from(["one", "two"])).unwrap();
        let message = end.begin().unwrap();
        assert_eq!(message.get(1).unwrap(), "two");
        end.gave();
        assert_eq!(books(&end), [1, 0, 0, 1]);
        drop(message);
        assert_eq!(books(&end), [1, 1, 0, 0]);
    }

    #[test]
    fn a_message_that_the_crate_does_not_take_is_the_next_again() {
        let end = end(10);
        end.push(Message::from("first")).unwrap();
        end.push(Message::from("second")).unwrap();
        let before = end.begin().unwrap();
        end.gave();
        let refused = end.begin().unwrap();
        // One that is written meanwhile is another one.
        drop(before);
        drop(refused);
        end.gave();
        assert_eq!(books(&end), [2, 1, 0, 1]);
        assert_eq!(end.begin().unwrap().get(0).unwrap(), "second");
    }

    #[test]
    fn what_the_crate_has_when_the_peer_goes_is_dropped_and_the_queue_stays() {
        let end = end(10);
        for text in ["under way", "queued"] {
            end.push(Message::from(text)).unwrap();
        }
        let message = end.begin().unwrap();
        end.gave();
        end.set_linked(false);
        drop(message);
        assert_eq!(books(&end), [2, 0, 1, 1]);
        assert!(end.begin().is_none(), "there is nobody");
        end.set_linked(true);
        assert_eq!(end.begin().unwrap().get(0).unwrap(), "queued");
    }

    #[test]
    fn what_the_crate_has_counts_against_the_limit() {
        let end = end(2);
        end.push(Message::from("one")).unwrap();
        let one = end.begin().unwrap();
        end.gave();
        end.push(Message::from("two")).unwrap();
        let (refused, message) = end.push(Message::from("three")).unwrap_err();
        assert_eq!((refused, &message[0][..]), (Refused::Full, &b"three"[..]));
        assert!(!end.has_room() && !end.is_drained());
        drop(one);
        assert!(end.has_room());
        end.push(message).unwrap();
        end.close();
        assert_eq!(books(&end), [3, 1, 2, 0]);
        assert_eq!(
            end.push(Message::from("four")).unwrap_err().0,
            Refused::Gone
        );
    }

    #[test]
    fn a_topic_that_is_taken_back_before_it_was_told_is_told_as_that() {
        let end = end(1);
        assert_eq!(end.tell(true, b"early"), Told::Nobody);
        end.tell_first([&b"first"[..], b"second"].into_iter());
        assert_eq!(end.tell(false, b"first"), Told::Queued);
        let topics: Vec<_> = end.take_topics().into_iter().collect();
        assert_eq!(
            topics,
            [(b"first"[..].into(), false), (b"second"[..].into(), true)]
        );
        assert!(end.take_topics().is_empty());
    }
}
