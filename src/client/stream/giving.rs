//! The items that a method takes.

use std::convert::Infallible;
use std::fmt;

use super::{Finish, WriteItem};
use crate::CallError;
use crate::client::Client;

/// Why an item was not sent at once.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrySendError<I, E = Infallible> {
    /// There is no room for it. It was not sent.
    Full(I),
    /// The call has ended, or the method takes no more items.
    Ended(CallError<E>),
}

/// The half that sends, of a call that is given items.
///
/// Small items that follow each other quickly travel together. Dropping it without
/// [`finish`](Self::finish) cancels the call.
#[must_use = "dropping it cancels the call"]
pub struct Feed<I, E = Infallible> {
    client: Client,
    write: WriteItem<I>,
    _error: std::marker::PhantomData<fn() -> E>,
}

impl<I, E> Feed<I, E> {
    pub(super) fn new(client: Client, write: WriteItem<I>) -> Self {
        Feed {
            client,
            write,
            _error: std::marker::PhantomData,
        }
    }

    /// Sends an item.
    ///
    /// # Errors
    ///
    /// The call's error, if it has ended with one; `FAILED_PRECONDITION`, if the method takes no
    /// more items; and where the item cannot be encoded: then the stream goes on without it.
    ///
    /// # Blocking
    ///
    /// Until there is room for it, by the item deadline at the latest.
    pub fn send(&mut self, item: I) -> Result<(), CallError<E>> {
        let _ = (item, self.write);
        Ok(())
    }

    /// Sends an item, if there is room for it.
    ///
    /// # Errors
    ///
    /// The item, if there is none; and as [`send`](Self::send).
    pub fn try_send(&mut self, item: I) -> Result<(), TrySendError<I, E>> {
        self.send(item).map_err(TrySendError::Ended)
    }

    /// Sends items until there are no more, or the method takes no more; gives how many.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), except that the method takes no more.
    pub fn send_all(&mut self, items: impl IntoIterator<Item = I>) -> Result<u64, CallError<E>> {
        let mut count = 0;
        for item in items {
            self.send(item)?;
            count += 1;
        }
        Ok(count)
    }

    /// Whether the method still takes items.
    pub fn is_wanted(&self) -> bool {
        true
    }

    /// Items sent so far.
    pub fn sent(&self) -> u64 {
        0
    }

    /// Tells the method that no items follow.
    pub fn finish(self) {}

    /// Gives the call up.
    pub fn cancel(self) {
        drop(self);
    }
}

impl<I, E> fmt::Debug for Feed<I, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed")
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

/// A call that is given items, and gives a value in the end.
///
/// ```no_run
/// # use brokerless::client::Sink;
/// # fn total() -> Sink<i64, i64> { unimplemented!() }
/// let mut sink = total();
/// for value in [3, 4, 5] {
///     sink.send(value)?;
/// }
/// println!("{}", sink.finish()?);
/// # Ok::<(), brokerless::CallError>(())
/// ```
///
/// Dropping it without [`finish`](Self::finish) cancels the call.
#[must_use = "dropping it cancels the call"]
pub struct Sink<I, T, E = Infallible> {
    feed: Feed<I, E>,
    finish: Finish<T, E>,
}

impl<I, T, E> Sink<I, T, E> {
    pub(super) fn new(feed: Feed<I, E>, finish: Finish<T, E>) -> Self {
        Sink { feed, finish }
    }

    /// Sends an item: see [`Feed::send`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn send(&mut self, item: I) -> Result<(), CallError<E>> {
        self.feed.send(item)
    }

    /// Sends an item, if there is room for it: see [`Feed::try_send`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn try_send(&mut self, item: I) -> Result<(), TrySendError<I, E>> {
        self.feed.try_send(item)
    }

    /// Sends items until there are no more, or the method takes no more; gives how many.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), except that the method takes no more.
    pub fn send_all(&mut self, items: impl IntoIterator<Item = I>) -> Result<u64, CallError<E>> {
        self.feed.send_all(items)
    }

    /// Whether the method still takes items. If not, [`finish`](Self::finish) has its answer.
    pub fn is_wanted(&self) -> bool {
        self.feed.is_wanted()
    }

    /// Items sent so far.
    pub fn sent(&self) -> u64 {
        self.feed.sent()
    }

    /// Tells the method that no items follow, and waits for its value.
    ///
    /// # Errors
    ///
    /// What kept the call from its answer, or the method's own error.
    ///
    /// # Blocking
    ///
    /// Until it has come, or neither it nor room for items has for as long as the item deadline.
    pub fn finish(self) -> Result<T, CallError<E>> {
        let error = crate::RpcError::new(
            crate::Status::unimplemented("nothing streams yet"),
            crate::Ran::No,
        );
        let _ = self.finish;
        Err(error.into())
    }

    /// Sends all of these, and waits for the method's value.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send) and [`finish`](Self::finish).
    pub fn finish_with(mut self, items: impl IntoIterator<Item = I>) -> Result<T, CallError<E>> {
        self.send_all(items)?;
        self.finish()
    }

    /// Gives the call up.
    pub fn cancel(self) {
        drop(self);
    }
}

impl<I, T, E> fmt::Debug for Sink<I, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink")
            .field("feed", &self.feed)
            .finish_non_exhaustive()
    }
}
