//! The items that a method takes.

use std::convert::Infallible;
use std::fmt;

use super::conduit::Wanted;
use super::line::{Awaited, Line};
use super::{Finish, WriteItem};
use crate::client::Answer;
use crate::service::Produced;
use crate::wire::{EncodeError, Encoder, Mark};
use crate::{CallError, Ran, RpcError, Status};

/// Why an item was not sent at once.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrySendError<I, E = Infallible> {
    /// There is no room for it now, or the method has not begun. It was not sent.
    Full(I),
    /// It cannot be sent, for the reasons that `send` has.
    Refused(CallError<E>),
}

impl<I, E: fmt::Display> fmt::Display for TrySendError<I, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TrySendError::Full(_) => f.write_str("there is no room for the item now"),
            TrySendError::Refused(error) => error.fmt(f),
        }
    }
}

impl<I: fmt::Debug, E: fmt::Debug + fmt::Display> std::error::Error for TrySendError<I, E> {}

/// Why an item is not sent.
enum Refused {
    /// The call has ended so.
    Ended(Box<Answer>),
    /// No more items are taken.
    Done,
    /// The item itself.
    Item(RpcError),
}

/// The sending side of a call.
struct Giver<I> {
    line: Line,
    write: WriteItem<I>,
    /// What came next was told: dropping it is no cancelling.
    done: bool,
}

impl<I> Giver<I> {
    fn send(&mut self, item: I) -> Result<(), Refused> {
        if self.put(item)? {
            self.wait_for_room()?;
        }
        Ok(())
    }

    fn try_send(&mut self, item: I) -> Result<(), Refused> {
        let waits = self.put(item)?;
        match self.line.conduit().wanted() {
            wanted if waits && wanted != Wanted::Yes => Err(self.refused(wanted)),
            _ => Ok(()),
        }
    }

    /// Puts an item where it is sent from, and sends what can be. Whether the item may have to wait
    /// for room.
    fn put(&mut self, item: I) -> Result<bool, Refused> {
        let conduit = self.line.conduit();
        let mut lent = match conduit.lend() {
            Ok(batch) => Lent {
                before: batch.bytes(),
                mark: batch.mark(),
                batch: Some(batch),
                line: &self.line,
            },
            Err(wanted) => return Err(self.refused(wanted)),
        };
        let written = lent.write(self.write, item);
        let raw = match written {
            Ok(Produced::Item) => None,
            Ok(Produced::Raw(bytes)) => Some(bytes),
            Ok(Produced::End(_)) => return Ok(false),
            Err(error) => {
                drop(lent);
                return Err(Refused::Item(self.not_encoded(&error)));
            }
        };
        let before = lent.before;
        let Some(batch) = lent.batch.take() else {
            return Ok(false);
        };
        drop(lent);
        match self.line.conduit().put(batch, before, raw) {
            Ok(put) => {
                self.line.send(put.out);
                Ok(put.waits)
            }
            Err(status) => {
                self.line.send(self.line.conduit().next_out());
                let error = RpcError::new(status, Ran::No).with_node(self.line.node());
                Err(Refused::Item(error))
            }
        }
    }

    /// Waits until what was put is on its way, or has gathered.
    fn wait_for_room(&self) -> Result<(), Refused> {
        let conduit = self.line.conduit();
        let mut patience = None;
        loop {
            match conduit.out_or_wait() {
                Some(Ok(out)) => {
                    self.line.send(Some(out));
                    continue;
                }
                Some(Err(Wanted::Yes)) => return Ok(()),
                Some(Err(wanted)) => return Err(self.refused(wanted)),
                None => {}
            }
            let patience = *patience.get_or_insert_with(|| self.line.patience());
            let until = Some(patience.until);
            let found = self
                .line
                .wait(&conduit.giver, until, || conduit.out_or_wait());
            match found {
                Some(Ok(out)) => self.line.send(Some(out)),
                Some(Err(Wanted::Yes)) => return Ok(()),
                Some(Err(wanted)) => return Err(self.refused(wanted)),
                None => self.line.expire(Awaited::Room, patience),
            }
        }
    }

    fn finish(&mut self) {
        self.done = true;
        let out = self.line.conduit().finish();
        self.line.send(out);
    }

    /// Waits for the end of the call, sending what is left. Windows that come meanwhile show that
    /// the method goes on.
    fn wait_for_end(&self) -> Answer {
        let conduit = self.line.conduit();
        loop {
            if let Some(answer) = conduit.ended() {
                return answer;
            }
            let (windows, patience) = (conduit.windows(), self.line.patience());
            let until = Some(patience.until);
            let look = || conduit.out_or_end(windows);
            match self.line.wait(&conduit.giver, until, look) {
                Some(out) => self.line.send(out),
                None => self.line.expire(Awaited::Answer, patience),
            }
        }
    }

    #[cold]
    fn refused(&self, wanted: Wanted) -> Refused {
        match (wanted, self.line.conduit().ended()) {
            (Wanted::Ended, Some(answer)) => Refused::Ended(Box::new(answer)),
            _ => Refused::Done,
        }
    }

    #[cold]
    fn not_encoded(&self, error: &EncodeError) -> RpcError {
        let index = self.line.conduit().given();
        let path = self.line.path();
        let message = format!("item {index} for {path} cannot be encoded: {error}");
        RpcError::new(Status::invalid_argument(message), Ran::No)
    }
}

/// A batch while an item is written into it: given back as it was, unless it is taken out.
struct Lent<'l> {
    batch: Option<Encoder>,
    /// Bytes that were in it, and where to come back to.
    before: usize,
    mark: Mark,
    line: &'l Line,
}

impl Lent<'_> {
    #[inline]
    fn write<I>(&mut self, write: WriteItem<I>, item: I) -> Result<Produced, EncodeError> {
        let Some(batch) = &mut self.batch else {
            return Ok(Produced::Item);
        };
        write(batch, item)
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let Some(mut batch) = self.batch.take() {
            batch.rewind(self.mark);
            let out = self.line.conduit().unlend(batch);
            self.line.send(out);
        }
    }
}

impl<I> Drop for Giver<I> {
    fn drop(&mut self) {
        if !self.done {
            self.line.cancel();
        }
    }
}

/// The error of an item that was not sent.
fn error<T, E>(refused: Refused, finish: Finish<T, E>) -> CallError<E> {
    let ended = match &refused {
        Refused::Ended(answer) => finish(answer).err(),
        Refused::Item(error) => return error.clone().into(),
        Refused::Done => None,
    };
    ended.unwrap_or_else(|| no_more().into())
}

#[cold]
pub(super) fn no_more() -> RpcError {
    let status = Status::failed_precondition(
        "no more items are taken: the method has enough, has answered, or was told that none follow",
    );
    RpcError::new(status, Ran::Yes)
}

/// What both handles of a sending side do, with the errors of their call.
impl<I> Giver<I> {
    fn new(line: Line, write: WriteItem<I>) -> Self {
        let done = false;
        Giver { line, write, done }
    }

    fn send_or<T, E>(&mut self, item: I, finish: Finish<T, E>) -> Result<(), CallError<E>> {
        self.send(item).map_err(|refused| error(refused, finish))
    }

    fn try_send_or<T, E>(
        &mut self,
        item: I,
        finish: Finish<T, E>,
    ) -> Result<(), TrySendError<I, E>> {
        if self.line.conduit().is_full() {
            return Err(TrySendError::Full(item));
        }
        let sent = self.try_send(item);
        sent.map_err(|refused| TrySendError::Refused(error(refused, finish)))
    }

    /// Sends all that are wanted.
    fn send_all_or<T, E>(
        &mut self,
        items: impl IntoIterator<Item = I>,
        finish: Finish<T, E>,
    ) -> Result<u64, CallError<E>> {
        let mut count = 0;
        for item in items {
            match self.send(item) {
                Ok(()) => count += 1,
                Err(Refused::Done) => break,
                Err(Refused::Ended(answer)) if !answer.is_error() => break,
                Err(refused) => return Err(error(refused, finish)),
            }
        }
        Ok(count)
    }

    fn is_wanted(&self) -> bool {
        self.line.conduit().wanted() == Wanted::Yes
    }

    fn given(&self) -> u64 {
        self.line.conduit().given()
    }
}

/// The half that sends, of a call that is given items.
///
/// Items that the method cannot take as fast as they come travel together. Dropping it without
/// [`finish`](Self::finish) cancels the call.
#[must_use = "dropping it cancels the call"]
pub struct Feed<I, E = Infallible> {
    giver: Giver<I>,
    finish: Finish<(), E>,
}

impl<I, E> Feed<I, E> {
    pub(super) fn new(line: Line, write: WriteItem<I>, finish: Finish<(), E>) -> Self {
        Feed {
            giver: Giver::new(line, write),
            finish,
        }
    }

    /// Sends an item: at once if the method keeps up, else with others, by the time that the method
    /// has taken some of those before it.
    ///
    /// # Errors
    ///
    /// The call's error, if it has ended with one; `FAILED_PRECONDITION`, if the method takes no
    /// more items. Where the item cannot be encoded (`INVALID_ARGUMENT`) or is larger than the node
    /// takes (`RESOURCE_EXHAUSTED`), the stream goes on without it.
    ///
    /// # Blocking
    ///
    /// Until the method has begun and there is room for the item, by the item deadline at the
    /// latest: then the call ends.
    pub fn send(&mut self, item: I) -> Result<(), CallError<E>> {
        self.giver.send_or(item, self.finish)
    }

    /// Sends an item, if there is room for one.
    ///
    /// # Errors
    ///
    /// The item, if there is none; and as [`send`](Self::send).
    pub fn try_send(&mut self, item: I) -> Result<(), TrySendError<I, E>> {
        self.giver.try_send_or(item, self.finish)
    }

    /// Sends items until there are no more, or the method takes no more; gives how many.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), except that the method takes no more.
    pub fn send_all(&mut self, items: impl IntoIterator<Item = I>) -> Result<u64, CallError<E>> {
        self.giver.send_all_or(items, self.finish)
    }

    /// Whether the method still takes items.
    pub fn is_wanted(&self) -> bool {
        self.giver.is_wanted()
    }

    /// Items given to be sent so far.
    pub fn sent(&self) -> u64 {
        self.giver.given()
    }

    /// Tells the method that no items follow. What has gathered is still sent, as there is room.
    pub fn finish(mut self) {
        self.giver.finish();
    }

    /// Gives the call up.
    pub fn cancel(self) {
        drop(self);
    }
}

impl<I, E> fmt::Debug for Feed<I, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed")
            .field("path", &self.giver.line.path())
            .field("sent", &self.sent())
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
/// Items that the method cannot take as fast as they come travel together. Dropping it without
/// [`finish`](Self::finish) cancels the call.
#[must_use = "dropping it cancels the call"]
pub struct Sink<I, T, E = Infallible> {
    giver: Giver<I>,
    finish: Finish<T, E>,
}

impl<I, T, E> Sink<I, T, E> {
    pub(super) fn new(line: Line, write: WriteItem<I>, finish: Finish<T, E>) -> Self {
        Sink {
            giver: Giver::new(line, write),
            finish,
        }
    }

    /// Sends an item: see [`Feed::send`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn send(&mut self, item: I) -> Result<(), CallError<E>> {
        self.giver.send_or(item, self.finish)
    }

    /// Sends an item, if there is room for one: see [`Feed::try_send`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn try_send(&mut self, item: I) -> Result<(), TrySendError<I, E>> {
        self.giver.try_send_or(item, self.finish)
    }

    /// Sends items until there are no more, or the method takes no more; gives how many.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), except that the method takes no more.
    pub fn send_all(&mut self, items: impl IntoIterator<Item = I>) -> Result<u64, CallError<E>> {
        self.giver.send_all_or(items, self.finish)
    }

    /// Whether the method still takes items. If not, [`finish`](Self::finish) has its answer.
    pub fn is_wanted(&self) -> bool {
        self.giver.is_wanted()
    }

    /// Items given to be sent so far.
    pub fn sent(&self) -> u64 {
        self.giver.given()
    }

    /// Tells the method that no items follow, and waits for its value.
    ///
    /// # Errors
    ///
    /// What kept the call from its answer, or the method's own error.
    ///
    /// # Blocking
    ///
    /// Until it has come; or until the method has neither answered nor taken any items for as long
    /// as the item deadline: then the call ends.
    pub fn finish(mut self) -> Result<T, CallError<E>> {
        self.giver.finish();
        let answer = self.giver.wait_for_end();
        self.giver.line.tell_end(Some(&answer));
        (self.finish)(&answer)
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
            .field("path", &self.giver.line.path())
            .field("sent", &self.sent())
            .finish_non_exhaustive()
    }
}
