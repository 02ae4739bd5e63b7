//! The items that a method gives.

use std::convert::Infallible;
use std::fmt;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::batch::{Batch, Item, Kind};
use super::conduit::Pulled;
use super::line::{Awaited, Line};
use super::{Finish, ReadItem};
use crate::service;
use crate::wire::DecodeError;
use crate::{CallError, Ran, RpcError, Status};

/// Items after which the clock is looked at, where they are taken quickly.
const STRIDE_MAX: u32 = 16;
/// Time between two looks after which the next comes sooner.
const SLOW: Duration = Duration::from_millis(5);
/// The longest time without a word to the node, while items are taken.
const SILENCE: Duration = Duration::from_millis(100);
/// How often it is tried again to tell a node what it may send.
const OWED_LOOK: Duration = Duration::from_millis(5);
/// How long a node does without a little.
const LITTLE_LOOK: Duration = Duration::from_millis(1);

/// The items that a method gives, in order: an iterator that waits for each.
///
/// ```no_run
/// # use brokerless::client::Stream;
/// # fn lines() -> Stream<String> { unimplemented!() }
/// for line in lines() {
///     println!("{}", line?);
/// }
/// # Ok::<(), brokerless::CallError>(())
/// ```
///
/// An item that is of another type than was expected is an error that names its index, and the
/// next one follows: [`is_over`](Self::is_over) tells the two apart. Any other error is the end.
/// Dropping the stream cancels the call.
///
/// The node sends ahead as much as [`stream_items`](super::super::ClientBuilder::stream_items) and
/// [`stream_bytes`](super::super::ClientBuilder::stream_bytes) let it, and no more: whoever stops
/// to read holds up nobody else.
#[must_use = "dropping it cancels the call"]
pub struct Stream<T, E = Infallible> {
    line: Line,
    read: ReadItem<T>,
    finish: Finish<(), E>,
    batch: Batch,
    channel: Option<Receiver<Item>>,
    pace: Pace,
    /// Items go the other way, too: what is to be told may go with them.
    rides: bool,
    taken: u64,
    over: bool,
}

/// What a look at a stream found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Next<T, E = Infallible> {
    /// The next item, or an error.
    Item(Result<T, CallError<E>>),
    /// Nothing has come yet.
    NotYet,
    /// The stream is over.
    End,
}

/// How fast items are taken: the node of a slow taker hears of each now and then, lest it take
/// that for none.
#[derive(Debug)]
struct Pace {
    left: u32,
    stride: u32,
    looked: Instant,
    told: Instant,
}

impl<T, E> Stream<T, E> {
    pub(super) fn new(line: Line, read: ReadItem<T>, finish: Finish<(), E>) -> Self {
        let now = Instant::now();
        Stream {
            rides: line.conduit().gives,
            line,
            read,
            finish,
            batch: Batch::empty(),
            channel: None,
            pace: Pace {
                left: 1,
                stride: 1,
                looked: now,
                told: now,
            },
            taken: 0,
            over: false,
        }
    }

    /// The next item, if it is there, or comes within this time.
    ///
    /// # Blocking
    ///
    /// So long, or by the item deadline if that is sooner: then the call ends.
    pub fn next_timeout(&mut self, timeout: Duration) -> Next<T, E> {
        match self.at_hand() {
            Some(item) => Next::Item(item),
            None => self.await_next(Instant::now().checked_add(timeout)),
        }
    }

    /// The next item, if it is there.
    pub fn try_next(&mut self) -> Next<T, E> {
        self.next_timeout(Duration::ZERO)
    }

    /// A channel that gives the items, and the end as the last, for `crossbeam_channel::select!`;
    /// what it gives is decoded with [`decode`](Self::decode). Threads that read for the engine
    /// fill it, and no item deadline holds: `select!` has its own.
    ///
    /// Asked for again, it is the same channel. The iterator takes from it, too.
    ///
    /// ```
    /// # use brokerless::client::Stream;
    /// # use crossbeam_channel::{Receiver, select};
    /// fn words(mut chat: Stream<String>, keys: Receiver<char>) -> Result<(), brokerless::CallError> {
    ///     let words = chat.receiver();
    ///     loop {
    ///         select! {
    ///             recv(words) -> word => match chat.decode(word.expect("the end is the last")) {
    ///                 Some(word) => println!("{}", word?),
    ///                 None => return Ok(()),
    ///             },
    ///             recv(keys) -> key => println!("a key: {key:?}"),
    ///         }
    ///     }
    /// }
    /// ```
    pub fn receiver(&mut self) -> Receiver<Item> {
        if let Some(channel) = &self.channel {
            return channel.clone();
        }
        let (sender, receiver) = crossbeam_channel::unbounded();
        let mut rest = std::mem::replace(&mut self.batch, Batch::empty());
        let (items, bytes) = rest.took();
        if let Some((way, window)) = self.line.conduit().took(items, bytes, true) {
            self.line.conduit().tell(&way, window);
        }
        let conduit = self.line.conduit();
        rest.apart(conduit, |item| drop(sender.send(item)));
        conduit.divert(sender);
        self.line.watch();
        self.channel = Some(receiver.clone());
        receiver
    }

    /// Decodes what [`receiver`](Self::receiver) gave; `None` at the end of a stream without an
    /// error.
    pub fn decode(&mut self, item: Item) -> Option<Result<T, CallError<E>>> {
        let index = match (item.kind(), item.index()) {
            _ if self.over => return None,
            (_, Some(index)) => index,
            (_, None) => return self.end(),
        };
        self.taken += 1;
        match item.kind() {
            Kind::End => self.end(),
            Kind::Broken(error) => Some(Err(self.broken(index, error).into())),
            Kind::Value(payload) => {
                let item = service::Item {
                    bytes: &payload.body,
                    body: &payload.body,
                    blobs: &payload.blobs,
                };
                let value = (self.read)(&item);
                Some(value.map_err(|error| self.misfit(index, &error).into()))
            }
        }
    }

    /// Items taken so far, those that could not be decoded among them.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Whether the end has been given out: nothing follows.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Gives the call up. What the method has not given yet it needs not give.
    pub fn cancel(self) {
        drop(self);
    }

    /// The next item of the message at hand.
    #[inline]
    fn at_hand(&mut self) -> Option<Result<T, CallError<E>>> {
        let (index, item) = self.batch.next(self.read)?;
        self.taken += 1;
        self.pace.left -= 1;
        if self.pace.left == 0 {
            self.look();
        }
        if self.rides && self.batch.left() == 0 {
            // So that it is told with what goes the other way before the next look.
            let (items, bytes) = self.batch.took();
            self.line.conduit().note(items, bytes);
        }
        match item {
            Ok(Ok(item)) => Some(Ok(item)),
            Ok(Err(error)) => Some(Err(self.misfit(index, &error).into())),
            Err(error) => Some(Err(self.broken(index, &error).into())),
        }
    }

    /// Waits for the next item: until then, and no longer than the item deadline.
    fn await_next(&mut self, until: Option<Instant>) -> Next<T, E> {
        loop {
            if self.over {
                return Next::End;
            }
            if self.channel.is_some() {
                return self.of_channel(until);
            }
            let (items, bytes) = self.batch.took();
            let (pulled, due) = self.line.conduit().pull(items, bytes);
            if let Some((way, window)) = due {
                self.line.conduit().tell(&way, window);
            }
            let pulled = match pulled {
                Pulled::Nothing => match self.glance(until) {
                    Some(there) => there,
                    None => self.pull(until),
                },
                there => there,
            };
            match pulled {
                Pulled::Items(batch) => self.batch = batch,
                Pulled::Over => return self.end().map_or(Next::End, Next::Item),
                Pulled::Nothing => return Next::NotYet,
            }
            if let Some(item) = self.at_hand() {
                return Next::Item(item);
            }
        }
    }

    /// Looks whether the next message has come to the socket, before the node is told that this
    /// thread waits: a node that is told sends what it would better gather. A little is told later, if
    /// this thread waits for so long.
    fn glance(&self, until: Option<Instant>) -> Option<Pulled> {
        let conduit = self.line.conduit();
        if !conduit.owes() {
            return None;
        }
        let look = || conduit.pull_or_wait();
        let pulled = self.line.wait(&conduit.taker, Some(Instant::now()), look);
        let waits = || until.is_none_or(|until| until > Instant::now() + LITTLE_LOOK);
        if pulled.is_none()
            && !(conduit.owes_little() && waits())
            && let Some((way, window)) = conduit.idle()
        {
            conduit.tell(&way, window);
        }
        pulled
    }

    /// Waits for the next message. None before the item deadline is nothing; none by then ends the
    /// call.
    fn pull(&mut self, until: Option<Instant>) -> Pulled {
        let conduit = self.line.conduit();
        let patience = self.line.patience();
        let first = until.map_or(patience.until, |until| until.min(patience.until));
        loop {
            // A window that found no room is told as soon as there is some: the node may stand still.
            let pause = match (conduit.owes(), conduit.owes_little()) {
                (false, _) => None,
                (true, false) => Some(OWED_LOOK),
                (true, true) => Some(LITTLE_LOOK),
            };
            let until = pause.map_or(first, |pause| first.min(Instant::now() + pause));
            let look = || conduit.pull_or_wait();
            if let Some(pulled) = self.line.wait(&conduit.taker, Some(until), look) {
                return pulled;
            }
            if until == first {
                break;
            }
            if let Some((way, window)) = conduit.idle() {
                conduit.tell(&way, window);
            }
        }
        if until.is_some_and(|until| until < patience.until) {
            return Pulled::Nothing;
        }
        self.line.expire(Awaited::Item, patience);
        // What came meanwhile, or the end.
        conduit.pull_or_wait().unwrap_or(Pulled::Over)
    }

    fn of_channel(&mut self, until: Option<Instant>) -> Next<T, E> {
        let Some(channel) = self.channel.clone() else {
            return Next::End;
        };
        let patience = self.line.patience();
        let first = until.map_or(patience.until, |until| until.min(patience.until));
        let item = match channel.recv_deadline(first) {
            Ok(item) => item,
            Err(RecvTimeoutError::Disconnected) => Item::end(),
            Err(RecvTimeoutError::Timeout) if first < patience.until => return Next::NotYet,
            Err(RecvTimeoutError::Timeout) => {
                self.line.expire(Awaited::Item, patience);
                channel.recv().unwrap_or_else(|_| Item::end())
            }
        };
        self.decode(item).map_or(Next::End, Next::Item)
    }

    /// Looks at the clock: a node whose items are taken slowly is told so.
    #[cold]
    fn look(&mut self) {
        let now = Instant::now();
        let pace = &mut self.pace;
        let slow = now.saturating_duration_since(pace.looked) > SLOW;
        pace.looked = now;
        pace.stride = if slow {
            1
        } else {
            (pace.stride * 2).min(STRIDE_MAX)
        };
        pace.left = pace.stride;
        if now.saturating_duration_since(pace.told) > SILENCE {
            pace.told = now;
            let (items, bytes) = self.batch.took();
            if let Some((way, window)) = self.line.conduit().took(items, bytes, true) {
                self.line.conduit().tell(&way, window);
            }
        }
    }

    /// Takes note of the end, and gives its error.
    fn end(&mut self) -> Option<Result<T, CallError<E>>> {
        self.over = true;
        let answer = self.line.conduit().ended()?;
        self.line.tell_end(Some(&answer));
        (self.finish)(&answer).err().map(Err)
    }

    #[cold]
    fn misfit(&self, index: u64, error: &DecodeError) -> RpcError {
        let message = format!("item {index} is of another type than was expected: {error}");
        RpcError::new(Status::internal(message), Ran::Yes).with_node(self.line.node())
    }

    /// The items of a message cannot be told apart: that is the end.
    #[cold]
    fn broken(&mut self, index: u64, error: &DecodeError) -> RpcError {
        let message = format!(
            "the node broke the rules of streams: item {index} and those after it cannot be told apart: {error}"
        );
        let error = RpcError::new(Status::internal(message), Ran::Yes);
        let error = error.with_node(self.line.node());
        self.over = true;
        self.line.violated(error.clone());
        error
    }
}

impl<T, E> Iterator for Stream<T, E> {
    type Item = Result<T, CallError<E>>;

    /// The next item.
    ///
    /// # Blocking
    ///
    /// Until it has come, by the item deadline at the latest: then the call ends.
    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if let Some(item) = self.at_hand() {
            return Some(item);
        }
        match self.await_next(None) {
            Next::Item(item) => Some(item),
            Next::NotYet | Next::End => None,
        }
    }
}

impl<T, E> std::iter::FusedIterator for Stream<T, E> {}

impl<T, E> Drop for Stream<T, E> {
    fn drop(&mut self) {
        let (items, bytes) = self.batch.took();
        self.line.conduit().untake(items, bytes);
        self.line.cancel();
    }
}

impl<T, E> fmt::Debug for Stream<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("path", &self.line.path())
            .field("taken", &self.taken)
            .field("over", &self.over)
            .finish_non_exhaustive()
    }
}
