//! What a method is sent, item by item.
//!
//! # Invariants
//!
//! 1. An item that does not decode is an error that names its index, and the next one comes after
//!    it. (test `an_item_that_does_not_decode_is_named_and_the_rest_comes`)
//! 2. What is dropped without being read counts as taken: room is never lost. (test
//!    `an_item_of_a_channel_that_is_dropped_makes_room`)

use std::fmt;
use std::sync::Arc;

use brokerless_patterns::Frame;
use crossbeam_channel::Receiver;

use crate::Status;
use crate::service::MethodInfo;
use crate::wire::{Blobs, DecodeError, Encoding, ItemCursor, ItemsHead, Payload};

/// Items taken from a message before its sender is told of the room.
const TOLD_AFTER: u32 = 64;

/// The items that a caller sends: an iterator that waits for the next one.
///
/// The last argument of a method that is sent items. It ends (`None`) once the caller has sent its
/// last one. An item that is not of the type is an error that names its index, and the next call
/// goes on with the one after it. Any other error is the end: the caller has cancelled the call or
/// is gone, no item came within the method's item timeout, the deadline has passed, or the server
/// is leaving; the caller then gets that error whatever the method answers.
///
/// Dropped before its end, it tells the caller to send no more; the call goes on.
///
/// ```
/// use brokerless::service::Incoming;
///
/// #[derive(Debug)]
/// struct Sums;
///
/// impl Sums {
///     fn total(&self, values: Incoming<i64>) -> i64 {
///         values.map_while(Result::ok).sum()
///     }
/// }
///
/// // Without a server, as a test does it.
/// assert_eq!(Sums.total(Incoming::of([1, 2, 3])), 6);
/// ```
pub struct Incoming<T> {
    from: Source<T>,
    index: u64,
}

enum Source<T> {
    Call(Box<Call<T>>),
    Values(Box<dyn Iterator<Item = T> + Send>),
    Nothing,
}

/// Items of a call that a server runs.
struct Call<T> {
    raw: RawIncoming,
    method: &'static MethodInfo,
    take: TakeItem<T>,
    /// The message at hand.
    batch: Batch,
    /// What of it is not taken yet.
    cursor: ItemCursor,
    /// Where in its body what is not taken begins.
    offset: usize,
    /// What was taken and not told: items, and where in the body they began.
    untold: u32,
    told_to: usize,
}

/// How an item is read.
pub(crate) type TakeItem<T> = fn(&Item<'_>) -> Result<T, DecodeError>;

/// An item as it came.
#[derive(Debug, Clone, Copy)]
pub struct Item<'b> {
    /// One value; or, in an encoding of its own, bytes.
    pub bytes: &'b [u8],
    /// The body that they lie in.
    pub body: &'b Frame,
    /// The blobs of the message, which the value names by their index.
    pub blobs: &'b [Frame],
}

impl<T> Incoming<T> {
    pub(crate) fn new(raw: RawIncoming, method: &'static MethodInfo, take: TakeItem<T>) -> Self {
        let batch = Batch::default();
        let call = Call {
            raw,
            method,
            take,
            cursor: batch.cursor(method.encoding),
            batch,
            offset: 0,
            untold: 0,
            told_to: 0,
        };
        Incoming {
            from: Source::Call(Box::new(call)),
            index: 0,
        }
    }

    /// These items, which no caller sends: for tests of methods.
    pub fn of<I>(items: I) -> Self
    where
        I: IntoIterator<Item = T>,
        I::IntoIter: Send + 'static,
        T: 'static,
    {
        Incoming {
            from: Source::Values(Box::new(items.into_iter())),
            index: 0,
        }
    }

    /// How many items were taken so far, those that did not decode among them: the index of the
    /// next one.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// A channel of the items that come, for `crossbeam_channel::select!`; each is then given to
    /// [`decode`](Self::decode). It takes the place of the iterator, for good: once the channel is
    /// closed, `next` says how the items ended, `None` if the caller has sent its last one. A
    /// second one is closed from the start.
    ///
    /// The threads that receive fill it. There is no item timeout: `select!` has its own. An item
    /// makes room for another one when it is decoded, or dropped.
    pub fn receiver(&mut self) -> Receiver<RawItem> {
        match &mut self.from {
            Source::Call(call) => call.receiver(self.index),
            Source::Values(_) | Source::Nothing => crossbeam_channel::bounded(0).1,
        }
    }

    /// Reads an item of the channel.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT`, with its index, where it is not of the type. Others are not touched.
    pub fn decode(&mut self, item: RawItem) -> Result<T, Status> {
        self.index = item.index + 1;
        let Source::Call(call) = &self.from else {
            return Err(Status::failed_precondition(
                "an item of another call: each is decoded where it came from",
            ));
        };
        let bytes = Item {
            bytes: &item.payload.body,
            body: &item.payload.body,
            blobs: &item.payload.blobs,
        };
        (call.take)(&bytes).map_err(|error| call.misfit(item.index, &error))
    }
}

impl<T> Iterator for Incoming<T> {
    type Item = Result<T, Status>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = match &mut self.from {
            Source::Call(call) => call.next(self.index),
            Source::Values(values) => values.next().map(|value| Next::Item(Ok(value))),
            Source::Nothing => None,
        };
        match next {
            Some(Next::Item(item)) => {
                self.index += 1;
                Some(item)
            }
            Some(Next::Failed(status)) => {
                self.from = Source::Nothing;
                Some(Err(status))
            }
            None => {
                self.from = Source::Nothing;
                None
            }
        }
    }
}

enum Next<T> {
    Item(Result<T, Status>),
    /// It is over.
    Failed(Status),
}

impl<T> Call<T> {
    fn next(&mut self, index: u64) -> Option<Next<T>> {
        while self.cursor.left() == 0 {
            self.tell();
            match self.raw.0.next() {
                Some(Ok(batch)) => self.begin(batch),
                Some(Err(status)) => return Some(Next::Failed(status)),
                None => return None,
            }
        }
        let body = &self.batch.body;
        let range = match self.cursor.next_range(body)? {
            Ok(range) => range,
            Err(error) => {
                let status = Status::invalid_argument(format!(
                    "the message of item {index} is not as many values as it says: {error}"
                ));
                self.raw.0.broke(&status);
                return Some(Next::Failed(status));
            }
        };
        self.offset = range.end;
        let item = Item {
            bytes: body.get(range).unwrap_or_default(),
            body,
            blobs: &self.batch.blobs,
        };
        let taken = (self.take)(&item).map_err(|error| self.misfit(index, &error));
        self.untold += 1;
        if self.cursor.left() == 0 || self.untold >= TOLD_AFTER {
            self.tell();
        }
        Some(Next::Item(taken))
    }

    fn begin(&mut self, batch: Batch) {
        self.cursor = batch.cursor(self.method.encoding);
        self.batch = batch;
        self.offset = 0;
        self.told_to = 0;
    }

    /// Says what was taken; the blobs with the last item of their message.
    fn tell(&mut self) {
        if self.untold == 0 {
            return;
        }
        let mut bytes = self.offset - self.told_to;
        if self.cursor.left() == 0 {
            bytes = self.batch.body.len() - self.told_to;
            bytes += self
                .batch
                .blobs
                .iter()
                .map(|blob| blob.len())
                .sum::<usize>();
        }
        self.raw.0.took(self.untold, bytes as u64);
        self.untold = 0;
        self.told_to = self.offset;
    }

    fn receiver(&mut self, index: u64) -> Receiver<RawItem> {
        self.tell();
        let mut rest = std::mem::take(&mut self.batch);
        rest.body = rest.body.slice(self.offset.min(rest.body.len())..);
        rest.first = index;
        rest.count = self.cursor.left();
        self.begin(Batch::default());
        self.raw.0.receiver(rest)
    }

    #[cold]
    fn misfit(&self, index: u64, error: &DecodeError) -> Status {
        let wanted = self.method.items_in.unwrap_or_default();
        Status::invalid_argument(format!("item {index} wants {wanted}: {error}"))
    }
}

impl<T> fmt::Debug for Incoming<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming")
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}

/// The items of one call, not decoded, for whoever runs the call: the server, or a test.
///
/// Handlers use it through [`Incoming`].
pub struct RawIncoming(Box<dyn Supply>);

impl RawIncoming {
    /// Items that come from there.
    pub fn new(supply: impl Supply + 'static) -> Self {
        RawIncoming(Box::new(supply))
    }
}

impl fmt::Debug for RawIncoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawIncoming").finish_non_exhaustive()
    }
}

/// Where the items of a call come from. Dropped, it wants no more.
pub trait Supply: Send {
    /// The next message of items, in order; waits for it. Nothing after the last one. After an
    /// error it is not asked again.
    fn next(&mut self) -> Option<Result<Batch, Status>>;

    /// So many items, of so many bytes, have been taken from the messages that were given.
    fn took(&mut self, items: u32, bytes: u64);

    /// The values of a message that was given are not as many as it says: nothing is to be made of
    /// what follows. Default: nothing.
    fn broke(&mut self, _why: &Status) {}

    /// From now on messages are taken apart into this channel; the rest of the one at hand comes
    /// first.
    fn receiver(&mut self, rest: Batch) -> Receiver<RawItem>;
}

/// A message of items.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// The index of its first item.
    pub first: u64,
    /// How many it has.
    pub count: u32,
    /// Their values, one after the other; in an encoding of its own, the only one.
    pub body: Frame,
    /// The blobs that they name by their index.
    pub blobs: Blobs,
}

impl Batch {
    fn cursor(&self, encoding: Encoding) -> ItemCursor {
        ItemCursor::new(&ItemsHead::new(0, self.first, self.count), encoding)
    }

    /// Takes it apart. `taken` is told, when each item is decoded or dropped, how many bytes it
    /// had.
    ///
    /// # Errors
    ///
    /// Where the values are not as many as it says: what the items before that are, and why.
    pub(crate) fn split(
        self,
        method: &MethodInfo,
        taken: &Arc<dyn Fn(u64) + Send + Sync>,
    ) -> (Vec<RawItem>, Option<DecodeError>) {
        let mut items = Vec::new();
        let mut blob_bytes: usize = self.blobs.iter().map(|blob| blob.len()).sum();
        let mut cursor = self.cursor(method.encoding);
        loop {
            let index = cursor.index();
            let range = match cursor.next_range(&self.body) {
                Some(Ok(range)) => range,
                Some(Err(error)) => return (items, Some(error)),
                None => return (items, None),
            };
            let mut bytes = range.len();
            if cursor.left() == 0 {
                bytes += std::mem::take(&mut blob_bytes);
            }
            items.push(RawItem {
                index,
                payload: Payload {
                    body: self.body.slice(range),
                    blobs: self.blobs.clone(),
                },
                bytes: bytes as u64,
                taken: taken.clone(),
            });
        }
    }
}

/// An item of a channel, not decoded: see [`Incoming::receiver`].
#[must_use = "it is to be decoded"]
pub struct RawItem {
    index: u64,
    payload: Payload,
    bytes: u64,
    taken: Arc<dyn Fn(u64) + Send + Sync>,
}

impl RawItem {
    /// Its index, from 0.
    pub fn index(&self) -> u64 {
        self.index
    }
}

impl Drop for RawItem {
    fn drop(&mut self) {
        (self.taken)(self.bytes);
    }
}

impl fmt::Debug for RawItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawItem")
            .field("index", &self.index)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}
