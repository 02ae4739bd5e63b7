//! What a method sends, item by item.

use std::fmt;

use brokerless_patterns::Frame;

use crate::Status;
use crate::service::{MethodInfo, Outcome};
use crate::wire::{EncodeError, Encoder};

/// The items that a method sends its caller: an iterator, which is asked for the next item only
/// while the caller has room for it.
///
/// It may borrow from the service. It is kept, without a thread, while the caller has no room; it
/// is asked by whichever worker is free, in turn with others, so that none starves. It may block,
/// as a handler may, and keeps its worker then. It is dropped early if nobody wants its items any
/// more: the caller has dropped its stream, is gone, or the time is up.
///
/// ```
/// use brokerless::Status;
/// use brokerless::service::Items;
///
/// struct Lines(Vec<String>);
///
/// impl Lines {
///     fn lines(&self) -> Items<'_, String> {
///         Items::new(self.0.iter().cloned())
///     }
///
///     fn numbers(&self) -> Items<'_, i64> {
///         let parse = |line: &String| line.parse().map_err(|_| Status::data_loss("no number"));
///         Items::fallible(self.0.iter().map(parse))
///     }
/// }
///
/// let lines = Lines(vec!["7".to_owned(), "x".to_owned()]);
/// assert_eq!(lines.lines().count(), 2);
/// assert_eq!(lines.numbers().next(), Some(Ok(7)));
/// ```
#[must_use = "it sends nothing by itself"]
pub struct Items<'s, T>(Box<dyn Iterator<Item = Result<T, Status>> + Send + 's>);

impl<'s, T> Items<'s, T> {
    /// These items.
    pub fn new<I>(items: I) -> Self
    where
        I: IntoIterator<Item = T>,
        I::IntoIter: Send + 's,
        T: 's,
    {
        Items(Box::new(items.into_iter().map(Ok)))
    }

    /// These items, of which the first that is an error ends the stream with it.
    pub fn fallible<I>(items: I) -> Self
    where
        I: IntoIterator<Item = Result<T, Status>>,
        I::IntoIter: Send + 's,
        T: 's,
    {
        Items(Box::new(items.into_iter()))
    }
}

impl<T> Iterator for Items<'_, T> {
    type Item = Result<T, Status>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<T> fmt::Debug for Items<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Items").finish_non_exhaustive()
    }
}

/// What a server drives: gives the items of one call, encoded.
///
/// It is not asked again once it has given [`Produced::End`].
pub trait Produce: Send {
    /// Writes the next item, or says how the call ends.
    ///
    /// What it has written is of no account unless it gives [`Produced::Item`]. Called without a
    /// lock held; it may block, and it may panic, which the server turns into an error.
    fn next(&mut self, encoder: &mut Encoder) -> Produced;
}

/// What a [`Produce`] has done.
#[derive(Debug)]
#[non_exhaustive]
pub enum Produced {
    /// It has written an item: one value, and the blobs that it names.
    Item,
    /// It has an item in an encoding of its own, and has written nothing.
    Raw(Frame),
    /// There are no more; the call ends so. What a method gives that only streams is the empty
    /// value.
    End(Outcome),
}

/// How an item is written.
pub(crate) type PutItem<T> = fn(&mut Encoder, T) -> Result<Produced, EncodeError>;

/// Items of a handler, with how they are written.
pub(crate) struct Producer<'s, T> {
    pub(crate) items: Items<'s, T>,
    pub(crate) method: &'static MethodInfo,
    pub(crate) put: PutItem<T>,
}

impl<T> Produce for Producer<'_, T> {
    fn next(&mut self, encoder: &mut Encoder) -> Produced {
        let item = match self.items.next() {
            Some(Ok(item)) => item,
            Some(Err(status)) => return Produced::End(Outcome::failed(status)),
            None => return Produced::End(Outcome::nothing()),
        };
        match (self.put)(encoder, item) {
            // By itself, lest the others' room is copied.
            Ok(Produced::Item) => Produced::Item,
            Ok(produced) => produced,
            Err(error) => {
                let path = self.method.path;
                Produced::End(Outcome::failed(Status::internal(format!(
                    "an item of {path} cannot be encoded: {error}"
                ))))
            }
        }
    }
}
