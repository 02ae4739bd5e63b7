//! Items in both directions.

use std::convert::Infallible;
use std::time::Duration;

use crossbeam_channel::Receiver;

use super::giving::no_more;
use super::{Feed, Item, Next, Stream, TrySendError};
use crate::CallError;

/// A call that is given items and gives items, each when it likes.
///
/// ```no_run
/// # use brokerless::client::Duplex;
/// # fn chat() -> Duplex<String, String> { unimplemented!() }
/// let mut chat = chat();
/// chat.send("hello".into())?;
/// if let Some(word) = chat.next() {
///     println!("{}", word?);
/// }
/// # Ok::<(), brokerless::CallError>(())
/// ```
///
/// Dropping it before it has ended cancels the call.
#[derive(Debug)]
#[must_use = "dropping it cancels the call"]
pub struct Duplex<I, O, E = Infallible> {
    feed: Option<Feed<I, E>>,
    /// Items sent before the feed was finished.
    sent: u64,
    stream: Stream<O, E>,
}

impl<I, O, E> Duplex<I, O, E> {
    pub(super) fn new(feed: Feed<I, E>, stream: Stream<O, E>) -> Self {
        Duplex {
            feed: Some(feed),
            sent: 0,
            stream,
        }
    }

    /// Sends an item: see [`Feed::send`].
    ///
    /// # Errors
    ///
    /// As there; and after [`finish_sending`](Self::finish_sending).
    pub fn send(&mut self, item: I) -> Result<(), CallError<E>> {
        match &mut self.feed {
            Some(feed) => feed.send(item),
            None => Err(no_more().into()),
        }
    }

    /// Sends an item, if there is room for it: see [`Feed::try_send`].
    ///
    /// # Errors
    ///
    /// As there; and after [`finish_sending`](Self::finish_sending).
    pub fn try_send(&mut self, item: I) -> Result<(), TrySendError<I, E>> {
        match &mut self.feed {
            Some(feed) => feed.try_send(item),
            None => Err(TrySendError::Refused(no_more().into())),
        }
    }

    /// Sends items until there are no more, or the method takes no more; gives how many. What the
    /// method gives meanwhile waits here: if it gives as much as it takes, two threads do better
    /// ([`split`](Self::split)).
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), except that the method takes no more.
    pub fn send_all(&mut self, items: impl IntoIterator<Item = I>) -> Result<u64, CallError<E>> {
        match &mut self.feed {
            Some(feed) => feed.send_all(items),
            None => Err(no_more().into()),
        }
    }

    /// Tells the method that no items follow; what it gives is still taken. Done twice, it is done.
    pub fn finish_sending(&mut self) {
        if let Some(feed) = self.feed.take() {
            self.sent = feed.sent();
            feed.finish();
        }
    }

    /// The next item, if it is there, or comes within this time.
    pub fn next_timeout(&mut self, timeout: Duration) -> Next<O, E> {
        self.stream.next_timeout(timeout)
    }

    /// The next item, if it is there.
    pub fn try_next(&mut self) -> Next<O, E> {
        self.stream.try_next()
    }

    /// Whether the method still takes items.
    pub fn is_wanted(&self) -> bool {
        self.feed.as_ref().is_some_and(Feed::is_wanted)
    }

    /// Items sent so far.
    pub fn sent(&self) -> u64 {
        self.feed.as_ref().map_or(self.sent, Feed::sent)
    }

    /// Items taken so far.
    pub fn taken(&self) -> u64 {
        self.stream.taken()
    }

    /// A channel that gives the items, and the end as the last, for `crossbeam_channel::select!`:
    /// see [`Stream::receiver`].
    pub fn receiver(&mut self) -> Receiver<Item> {
        self.stream.receiver()
    }

    /// Decodes what [`receiver`](Self::receiver) gave; `None` at the end of a stream without an
    /// error.
    pub fn decode(&mut self, item: Item) -> Option<Result<O, CallError<E>>> {
        self.stream.decode(item)
    }

    /// Whether the end has been given out: nothing follows.
    pub fn is_over(&self) -> bool {
        self.stream.is_over()
    }

    /// Both halves, for two threads. Dropping the first before it is finished cancels the call, as
    /// dropping the second does. The first is `None` after
    /// [`finish_sending`](Self::finish_sending).
    pub fn split(self) -> (Option<Feed<I, E>>, Stream<O, E>) {
        (self.feed, self.stream)
    }

    /// Gives the call up.
    pub fn cancel(self) {
        drop(self);
    }
}

impl<I, O, E> Iterator for Duplex<I, O, E> {
    type Item = Result<O, CallError<E>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.stream.next()
    }
}
